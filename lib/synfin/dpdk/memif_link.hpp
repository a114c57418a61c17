// Who moves the frames of one queue pair of a memif: the driver, or this side itself.
//
//     waiting ---- link is up, memory is laid out as we know it ----> ours
//        |  ^                                                          |
//        |  +------------------ the driver has let go of it -----------+
//        +------- link is up, but with something else: drivers, for good
//
// The driver keeps indices of its own, so within one life of the link only one of the two may touch
// the rings: while nobody knows which, nothing is received and nothing sent. The driver goes on
// doing the rest: the socket, the handshake, the memory, and to notice when the peer leaves.
#pragma once

#include <cstdint>
#include <optional>

#include <synfin/base/assert.hpp>
#include <synfin/dpdk/memif_memory.hpp>
#include <synfin/dpdk/memif_queue.hpp>

namespace synfin::dpdk {

/// What a queue pair must know to be looked for in the memory.
struct MemifEnd {
    bool server = false;
    unsigned queues = 1;  ///< of the port
};

class MemifLink {
  public:
    enum class State : uint8_t { waiting, ours, drivers };

    /// Of a port that is no memif, or is to be left to the driver if `end` says nothing. A slot
    /// must take `frame_bytes`, and be no larger than `buffer_bytes`.
    MemifLink(const std::optional<MemifEnd>& end, uint16_t port_id, uint16_t queue_id,
              uint32_t frame_bytes, uint32_t buffer_bytes);

    State state() const { return state_; }
    MemifQueue& queue() {
        SYNFIN_ASSERT(state_ == State::ours);
        return *queue_;
    }
    /// Nothing has come. Now is the time to see how the link does; mostly that costs nothing.
    void nothing_came() {
        if (state_ == State::waiting) {
            attach();
        } else if (++empty_polls_ % polls_between_looks == 0) {
            detach_if_let_go();
        }
    }

  private:
    /// Some ten microseconds: a peer that comes back is not kept waiting.
    static constexpr unsigned polls_between_looks = 1024;

    void attach();
    void detach_if_let_go();

    MemifEnd end_;
    uint16_t port_id_;
    uint16_t queue_id_;
    uint32_t frame_bytes_;
    uint32_t buffer_bytes_;
    State state_;
    unsigned empty_polls_ = 0;
    std::optional<MemifMemory> memory_;
    std::optional<MemifQueue> queue_;
};

}  // namespace synfin::dpdk
