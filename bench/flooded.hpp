// What stands under a flood, in the benchmark and in the test: a device that forgets what it is
// given to send, and an application that nobody reaches.
#pragma once

#include <array>
#include <cstdint>

#include <synfin/stack/application.hpp>
#include <synfin/stack/frame.hpp>

namespace synfin {

/// The half of a device that sends. What arrives is the flood's.
class SinkDevice {
  public:
    void recycle(stack::Frame*, unsigned) {}
    unsigned prepare(stack::TransmitBatch& batch, unsigned wanted) {
        for (unsigned i = 0; i < wanted; ++i) {
            batch.frames[i] = stack::Frame{};
            batch.frames[i].data = leaving_[i].data();
        }
        return batch.available = wanted;
    }
    void transmit(stack::TransmitBatch& batch) {
        sent += batch.filled;
        batch.available = batch.filled = 0;
    }
    static bool congested() { return false; }
    uint64_t sent = 0;

  private:
    std::array<std::array<uint8_t, 1500 + stack::TransmitBatch::slack_bytes>, 64> leaving_;
};

class NobodyComes : public stack::Application {
  public:
    void on_established(stack::Worker&, stack::ConnectionId) override { ++reached; }
    size_t on_data(stack::Worker&, stack::ConnectionId, std::span<const uint8_t>) override {
        return 0;
    }
    void on_peer_closed(stack::Worker&, stack::ConnectionId) override {}
    void on_writable(stack::Worker&, stack::ConnectionId) override {}
    void on_closed(stack::Worker&, stack::ConnectionId, tcp::CloseReason) override {}
    unsigned reached = 0;
};

}  // namespace synfin
