#include <algorithm>

#include <synfin/base/assert.hpp>
#include <synfin/sim/device.hpp>

namespace synfin::sim {

Device::Device(uint32_t mtu, size_t receive_queue_frames)
    : capacity_bytes_{mtu + stack::TransmitBatch::slack_bytes},
      receive_queue_frames_{receive_queue_frames} {}

unsigned Device::receive(stack::Frame* frames, unsigned max) {
    unsigned count = 0;
    for (; count < max && !queue_.empty(); ++count) {
        FrameBytes* buffer = take_buffer();
        const FrameBytes& arrived = queue_.front();
        buffer->assign(arrived.begin(), arrived.end());
        queue_.pop_front();
        frames[count] = stack::Frame{.data = buffer->data(),
                                     .length = static_cast<uint32_t>(buffer->size()),
                                     .owner = buffer};
    }
    return count;
}

void Device::recycle(stack::Frame* frames, unsigned count) {
    for (unsigned i = 0; i < count; ++i) give_back(frames[i].owner);
}

unsigned Device::prepare(stack::TransmitBatch& batch, unsigned wanted) {
    const unsigned count = std::min(wanted, stack::TransmitBatch::capacity);
    while (batch.available < count) {
        FrameBytes* buffer = take_buffer();
        buffer->resize(capacity_bytes_);
        batch.frames[batch.available++] =
            stack::Frame{.data = buffer->data(), .length = 0, .owner = buffer};
    }
    return batch.available;
}

void Device::transmit(stack::TransmitBatch& batch) {
    SYNFIN_ASSERT(batch.filled <= batch.available);
    for (unsigned i = 0; i < batch.available; ++i) {
        const stack::Frame& frame = batch.frames[i];
        if (i < batch.filled) {
            SYNFIN_ASSERT(frame.length <= capacity_bytes_);
            if (wire_) wire_({frame.data, frame.length});
        }
        give_back(frame.owner);
    }
    batch.available = batch.filled = 0;
}

void Device::deliver(std::span<const uint8_t> frame) {
    if (queue_.size() >= receive_queue_frames_) {
        ++overflowed_;
        return;
    }
    queue_.emplace_back(frame.begin(), frame.end());
}

FrameBytes* Device::take_buffer() {
    ++out_;
    if (free_.empty()) {
        buffers_.push_back(std::make_unique<FrameBytes>());
        return buffers_.back().get();
    }
    FrameBytes* buffer = free_.back();
    free_.pop_back();
    return buffer;
}

void Device::give_back(void* owner) {
    SYNFIN_ASSERT(out_ > 0);
    --out_;
    free_.push_back(static_cast<FrameBytes*>(owner));
}

}  // namespace synfin::sim
