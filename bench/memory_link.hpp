// Two devices that are connected back to back in memory, for one thread: what one transmits the
// other receives, by handing the buffer over. No DPDK, no second core, nothing random, so that
// what a measurement shows is the stack and the applications alone.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include <synfin/base/assert.hpp>
#include <synfin/stack/frame.hpp>

namespace synfin::bench {

/// The buffers of both devices, last in first out.
class BufferStock {
  public:
    explicit BufferStock(size_t count) : buffers_{std::make_unique<Buffer[]>(count)} {
        for (size_t i = 0; i < count; ++i) free_.push_back(buffers_[i].bytes.data());
    }
    uint8_t* take() {
        SYNFIN_ASSERT(!free_.empty());
        uint8_t* const buffer = free_.back();
        free_.pop_back();
        return buffer;
    }
    void give_back(uint8_t* buffer) { free_.push_back(buffer); }

  private:
    struct alignas(64) Buffer {
        std::array<uint8_t, 2048> bytes;
    };
    std::unique_ptr<Buffer[]> buffers_;
    std::vector<uint8_t*> free_;
};

class MemoryDevice {
  public:
    explicit MemoryDevice(BufferStock& stock) : stock_{stock}, inbox_(capacity) {}
    void connect_to(MemoryDevice& peer) { peer_ = &peer; }

    unsigned receive(stack::Frame* frames, unsigned max) {
        unsigned count = 0;
        for (; count < max && head_ != tail_; ++count) frames[count] = inbox_[head_++ % capacity];
        return count;
    }

    void recycle(const stack::Frame* frames, unsigned count) {
        for (unsigned i = 0; i < count; ++i) stock_.give_back(frames[i].data);
    }

    /// As many as the peer has room for, so that nothing is ever refused.
    unsigned prepare(stack::TransmitBatch& batch, unsigned wanted) {
        batch.available = 0;
        batch.filled = 0;
        const unsigned room = capacity - (peer_->tail_ - peer_->head_);
        for (; batch.available < std::min(wanted, room); ++batch.available) {
            batch.frames[batch.available] = stack::Frame{.data = stock_.take()};
        }
        return batch.available;
    }

    void transmit(stack::TransmitBatch& batch) {
        for (unsigned i = batch.available; i > batch.filled; --i) {
            stock_.give_back(batch.frames[i - 1].data);
        }
        for (unsigned i = 0; i < batch.filled; ++i) {
            peer_->inbox_[peer_->tail_++ % capacity] = batch.frames[i];
        }
        batch.available = batch.filled = 0;
    }

    bool congested() const { return false; }

  private:
    static constexpr unsigned capacity = 1024;

    BufferStock& stock_;
    MemoryDevice* peer_ = nullptr;
    std::vector<stack::Frame> inbox_;
    unsigned head_ = 0;
    unsigned tail_ = 0;
};

}  // namespace synfin::bench
