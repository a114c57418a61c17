// The loop of one worker over its devices: the only template over the device, so that the calls
// into it are direct ones. Everything that the loop calls of Worker is an ordinary function.
//
// A device stands for one interface, in the order of WorkerConfig::interfaces. Its shape is
// described in stack/frame.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include <synfin/base/assert.hpp>
#include <synfin/base/instant.hpp>
#include <synfin/stack/frame.hpp>
#include <synfin/stack/stage_profile.hpp>
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
        : worker_{worker},
          devices_(devices.begin(), devices.end()),
          batches_sent_(devices.size(), 0) {
        SYNFIN_ASSERT(devices_.size() == worker.interface_count());
    }
    Loop(Worker& worker, Device& device) : Loop{worker, std::array<Device*, 1>{&device}} {}

    /// One pass: receive, timers, the application, transmit. Returns how many frames came or went;
    /// 0 tells a caller that wants to save power that it may rest until worker.next_deadline().
    unsigned run_once(Instant now) { return run_once(now, Unprofiled{}); }

    /// The same, and where the time goes.
    unsigned run_once(Instant now, StageProfile& profile) {
        return run_once(now, Profiled{profile});
    }

  private:
    struct Unprofiled {
        void enter(Stage) const {}
        StageProfile* get() const { return nullptr; }
    };
    struct Profiled {
        StageProfile& profile;
        void enter(Stage stage) const { profile.enter(stage); }
        StageProfile* get() const { return &profile; }
    };

    template <class Profile>
    unsigned run_once(Instant now, Profile profile) {
        if (StageProfile* p = profile.get()) p->begin_pass(Stage::rx);
        unsigned received = 0;
        for (uint8_t port = 0; port < devices_.size(); ++port) {
            received += receive(port, now, profile);
        }
        profile.enter(Stage::timers);
        worker_.run_timers(now);
        profile.enter(Stage::poll);
        worker_.poll(now);
        unsigned sent = 0;
        for (uint8_t port = 0; port < devices_.size(); ++port) sent += transmit(port, now, profile);
        if (StageProfile* p = profile.get()) p->end_pass(received, sent);
        return received + sent;
    }

    // As many full bursts as batches were sent in the last pass: a peer may answer each frame,
    // and what is sent again for want of an answer that waits here would bring still more of them.
    template <class Profile>
    unsigned receive(uint8_t port, Instant now, Profile profile) {
        const unsigned burst = worker_.receive_burst();
        unsigned received = 0;
        for (unsigned left = std::max(batches_sent_[port], 1u); left > 0; --left) {
            const unsigned count = receive_burst(port, burst, now, profile);
            received += count;
            if (count < burst) break;
        }
        return received;
    }

    template <class Profile>
    unsigned receive_burst(uint8_t port, unsigned most, Instant now, Profile profile) {
        profile.enter(Stage::rx);
        Device& device = *devices_[port];
        const unsigned count = device.receive(frames_.data(), most);
        if (count == 0) return 0;
        worker_.receive(port, {frames_.data(), count}, now, profile.get());
        profile.enter(Stage::rx);
        device.recycle(frames_.data(), count);
        return count;
    }

    template <class Profile>
    unsigned transmit(uint8_t port, Instant now, Profile profile) {
        Device& device = *devices_[port];
        unsigned sent = 0;
        batches_sent_[port] = 0;
        for (unsigned pass = 0; pass < batches_per_pass; ++pass) {
            unsigned wanted = std::min(worker_.frames_wanted(port), TransmitBatch::capacity);
            if (wanted == 0 || device.congested()) break;
            // Who has filled what was prepared for one segment each has more to say.
            if (pass > 0) wanted = TransmitBatch::capacity;
            profile.enter(Stage::tx);
            batch_.port = port;
            device.prepare(batch_, wanted);
            if (batch_.available == 0) break;
            profile.enter(Stage::output);
            worker_.transmit(batch_, now);
            sent += batch_.filled;
            profile.enter(Stage::tx);
            device.transmit(batch_);
            ++batches_sent_[port];
        }
        return sent;
    }

    Worker& worker_;
    std::vector<Device*> devices_;
    std::vector<unsigned> batches_sent_;  ///< by interface, in the last pass
    std::array<Frame, Worker::receive_burst_max> frames_;
    TransmitBatch batch_;
};

}  // namespace synfin::stack
