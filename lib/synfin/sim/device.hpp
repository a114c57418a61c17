// A network interface of a simulated host: frames in memory, one queue in each direction.
//
// It has the shape of a device of stack/frame.hpp, so that the loop that runs over it is the one
// that runs over hardware. What it transmits goes to the link that it is plugged into; what the
// link delivers waits in the receive queue until the host's next pass.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <synfin/stack/frame.hpp>

namespace synfin::sim {

/// One frame's memory.
using FrameBytes = std::vector<uint8_t>;

class Device {
  public:
    /// `mtu` is the largest IP packet. The receive queue holds `receive_queue_frames`; what comes
    /// beyond is lost, as in a NIC's ring, and counted.
    explicit Device(uint32_t mtu, size_t receive_queue_frames = 4096);

    // ---- for stack::Loop
    unsigned receive(stack::Frame* frames, unsigned max);
    void recycle(stack::Frame* frames, unsigned count);
    unsigned prepare(stack::TransmitBatch& batch, unsigned wanted);
    void transmit(stack::TransmitBatch& batch);
    bool congested() const { return false; }

    // ---- for the link
    /// Where transmitted frames go.
    void plug(std::function<void(std::span<const uint8_t>)> wire) { wire_ = std::move(wire); }
    void deliver(std::span<const uint8_t> frame);

    // ---- for the world
    bool has_received() const { return !queue_.empty(); }
    uint64_t overflowed() const { return overflowed_; }
    /// Buffers that the worker has and has not given back; zero between two passes.
    size_t buffers_out() const { return out_; }

  private:
    FrameBytes* take_buffer();
    void give_back(void* owner);

    uint32_t capacity_bytes_;
    size_t receive_queue_frames_;
    std::function<void(std::span<const uint8_t>)> wire_;
    std::deque<FrameBytes> queue_;
    std::vector<std::unique_ptr<FrameBytes>> buffers_;
    std::vector<FrameBytes*> free_;
    size_t out_ = 0;
    uint64_t overflowed_ = 0;
};

}  // namespace synfin::sim
