// The loop of one worker over its devices: the only template over the device, so that the calls
// into it are direct ones. Everything that the loop calls of Worker is an ordinary function.
//
// A device stands for one interface, in the order of WorkerConfig::interfaces. Its shape is
// described in stack/frame.hpp.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include <synfin/base/assert.hpp>
#include <synfin/base/instant.hpp>
#include <synfin/stack/frame.hpp>
#include <synfin/stack/worker.hpp>

namespace synfin::stack {

template <class Device>
class Loop {
  public:
    /// Batches that one pass sends over one interface at most, so that reception is never kept
    /// waiting for long; what remains leaves in the next pass.
    static constexpr unsigned batches_per_pass = 4;

    /// Worker and devices must outlive the loop. One device per interface of the worker.
    Loop(Worker& worker, std::span<Device* const> devices)
        : worker_{worker}, devices_(devices.begin(), devices.end()) {
        SYNFIN_ASSERT(devices_.size() == worker.interface_count());
    }
    Loop(Worker& worker, Device& device) : Loop{worker, std::array<Device*, 1>{&device}} {}

    /// One pass: receive, timers, the application, transmit. Returns how many frames came or went;
    /// 0 tells a caller that wants to save power that it may rest until worker.next_deadline().
    unsigned run_once(Instant now) {
        unsigned moved = 0;
        for (uint8_t port = 0; port < devices_.size(); ++port) moved += receive(port, now);
        worker_.run_timers(now);
        worker_.poll(now);
        for (uint8_t port = 0; port < devices_.size(); ++port) moved += transmit(port, now);
        return moved;
    }

  private:
    unsigned receive(uint8_t port, Instant now) {
        Device& device = *devices_[port];
        const unsigned count = device.receive(frames_.data(), worker_.receive_burst());
        if (count == 0) return 0;
        for (unsigned i = 0; i < count; ++i) frames_[i].port = port;
        worker_.receive(std::span<const Frame>{frames_.data(), count}, now);
        device.recycle(frames_.data(), count);
        return count;
    }

    unsigned transmit(uint8_t port, Instant now) {
        Device& device = *devices_[port];
        unsigned sent = 0;
        for (unsigned pass = 0; pass < batches_per_pass; ++pass) {
            if (!worker_.has_output(port) || device.congested()) break;
            TransmitBatch batch;
            batch.port = port;
            device.prepare(batch, TransmitBatch::capacity);
            if (batch.available == 0) break;
            worker_.transmit(batch, now);
            sent += batch.filled;
            device.transmit(batch);
        }
        return sent;
    }

    Worker& worker_;
    std::vector<Device*> devices_;
    std::array<Frame, Worker::receive_burst_max> frames_;
};

}  // namespace synfin::stack
