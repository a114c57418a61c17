// The device of one worker: its queue pair on each port, and the stash of buffers between them.
//
//     receive ---> worker ---> recycle ---> [ stash ] ---> prepare ---> worker ---> transmit
//                                            |     ^                                   |
//                                      full: v     | empty                     refused: v
//                                        packet pool (in bulk)                     [ pending ]
//
// Buffers of consumed packets are what output is written into next: they are in this core's cache,
// while a buffer that is freed here and allocated on another core moves twice. The stash is last
// in, first out for the same reason. In an in-process link the buffers come from the other worker
// and go back to it; nobody cares whose they were.
//
// What a queue refuses waits in `pending` and goes first next time; nothing is dropped. While
// anything is pending the device is congested() and prepares nothing, which is how the queue's
// limit reaches the connections.
//
// The hot path of the program: no allocation, no lock, no system call of ours.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <synfin/base/assert.hpp>
#include <synfin/base/relaxed.hpp>
#include <synfin/stack/frame.hpp>

namespace synfin::dpdk {

/// One queue pair: of a port, or of an in-process link.
struct Lane {
    rte_ring* receive_ring = nullptr;  ///< in-process link; then there is no port
    rte_ring* transmit_ring = nullptr;
    uint16_t port_id = 0;
    uint16_t queue_id = 0;
    bool checksums_are_good = false;  ///< nothing on the way can break them
    stack::DeviceProperties properties;
};

/// Written by the worker, readable by anyone.
struct DeviceCounters {
    Relaxed<uint64_t> received;
    Relaxed<uint64_t> transmitted;
    Relaxed<uint64_t> copied;          ///< received in pieces or in a shared buffer, made whole
    Relaxed<uint64_t> dropped_pieces;  ///< the same, but it did not fit into one buffer
    Relaxed<uint64_t> no_buffer;       ///< prepare found the pool empty
    Relaxed<uint64_t> refused;         ///< frames that the queue did not take at once
};

class QueueDevice {
  public:
    static constexpr unsigned burst = stack::TransmitBatch::capacity;

    /// `lanes[p]` is what Frame::port p means. All lanes' buffers come from `pool`.
    QueueDevice(rte_mempool* pool, std::vector<Lane> lanes)
        : pool_{pool}, lanes_(lanes.size()), counters_{} {
        SYNFIN_ASSERT(!lanes.empty() && lanes.size() <= UINT8_MAX);
        for (size_t i = 0; i < lanes.size(); ++i) lanes_[i].lane = lanes[i];
    }
    ~QueueDevice() { close(); }
    QueueDevice(const QueueDevice&) = delete;
    QueueDevice& operator=(const QueueDevice&) = delete;

    /// Up to `max` received frames. They are the worker's until recycle.
    unsigned receive(stack::Frame* frames, unsigned max) {
        if (congested()) flush();
        if (lanes_.size() == 1) return receive_from(0, frames, std::min(max, burst));
        unsigned count = 0;
        // The lane that was second is first next time, so that none can starve the others.
        first_lane_ = first_lane_ + 1 < lanes_.size() ? first_lane_ + 1 : 0;
        for (size_t i = 0; i < lanes_.size() && count < max; ++i) {
            const size_t lane = (first_lane_ + i) % lanes_.size();
            count += receive_from(lane, frames + count, std::min(max - count, burst));
        }
        return count;
    }

    /// The frames are consumed.
    void recycle(const stack::Frame* frames, unsigned count) {
        SYNFIN_ASSERT(count <= stash_room);
        if (stashed_ + count > stash_capacity) [[unlikely]]
            shrink_stash();
        for (unsigned i = 0; i < count; ++i) {
            stash_[stashed_ + i] = static_cast<rte_mbuf*>(frames[i].owner);
        }
        stashed_ += count;
    }

    /// Up to `wanted` empty frames; returns how many.
    unsigned prepare(stack::TransmitBatch& batch, unsigned wanted) {
        batch.available = 0;
        batch.filled = 0;
        if (congested()) [[unlikely]]
            return 0;
        wanted = std::min(wanted, burst);
        if (stashed_ < wanted && !refill_stash()) [[unlikely]]
            wanted = std::min(wanted, stashed_);
        for (unsigned i = 0; i < wanted; ++i) {
            rte_mbuf* const buffer = stash_[--stashed_];
            buffer->data_off = RTE_PKTMBUF_HEADROOM;
            buffer->ol_flags = 0;
            stack::Frame& frame = batch.frames[i];
            frame = stack::Frame{};
            frame.data = static_cast<uint8_t*>(buffer->buf_addr) + RTE_PKTMBUF_HEADROOM;
            frame.owner = buffer;
        }
        batch.available = wanted;
        return wanted;
    }

    /// Sends the filled frames and keeps the rest.
    void transmit(stack::TransmitBatch& batch) {
        for (unsigned i = batch.available; i > batch.filled; --i) {
            stash_[stashed_++] = static_cast<rte_mbuf*>(batch.frames[i - 1].owner);
        }
        if (lanes_.size() == 1) {
            transmit_on(lanes_[0], batch, [](const stack::Frame&) { return true; });
        } else {
            for (size_t lane = 0; lane < lanes_.size(); ++lane) {
                transmit_on(lanes_[lane], batch,
                            [lane](const stack::Frame& frame) { return frame.port == lane; });
            }
        }
        batch.available = 0;
        batch.filled = 0;
    }

    /// Frames wait for room in a queue: prepare gives nothing now.
    bool congested() const { return pending_ != 0; }

    /// Tries again to send what is pending; receive does so, too.
    void flush() {
        for (SendingLane& lane : lanes_) flush(lane);
    }

    /// The size of the space that a frame offers to be written.
    uint32_t frame_bytes() const {
        return static_cast<uint32_t>(rte_pktmbuf_data_room_size(pool_)) - RTE_PKTMBUF_HEADROOM;
    }
    const stack::DeviceProperties& properties(size_t port = 0) const {
        return lanes_[port].lane.properties;
    }
    size_t ports() const { return lanes_.size(); }
    const DeviceCounters& counters() const { return counters_; }
    rte_mempool* pool() const { return pool_; }

    /// Gives all buffers back to the pool, the pending ones unsent.
    void close() {
        free_buffers(stash_.data(), stashed_);
        stashed_ = 0;
        for (SendingLane& lane : lanes_) {
            free_buffers(lane.pending.data() + lane.first_pending, lane.pending_count);
            lane.pending_count = 0;
        }
        pending_ = 0;
    }

  private:
    // A frame is at most pending once while another batch is being written.
    static constexpr unsigned pending_capacity = 2 * burst;
    // What an operation may add to the stash at once stays free above its capacity.
    static constexpr unsigned stash_room = 2 * burst;
    static constexpr unsigned stash_capacity = 512 - stash_room;

    struct SendingLane {
        Lane lane;
        unsigned first_pending = 0;
        unsigned pending_count = 0;
        std::array<rte_mbuf*, pending_capacity> pending;
    };

    unsigned receive_from(size_t index, stack::Frame* frames, unsigned max) {
        const Lane& lane = lanes_[index].lane;
        std::array<rte_mbuf*, burst> buffers;
        const unsigned count =
            lane.receive_ring != nullptr
                ? rte_ring_sc_dequeue_burst(lane.receive_ring,
                                            reinterpret_cast<void**>(buffers.data()), max, nullptr)
                : rte_eth_rx_burst(lane.port_id, lane.queue_id, buffers.data(),
                                   static_cast<uint16_t>(max));
        // Where the headers of a packet usually lie is known without reading its descriptor, so
        // both are fetched at once.
        for (unsigned i = 0; i < count; ++i) {
            rte_prefetch0(buffers[i]);
            rte_prefetch0(reinterpret_cast<const uint8_t*>(buffers[i]) + sizeof(rte_mbuf) +
                          RTE_PKTMBUF_HEADROOM);
        }
        unsigned kept = 0;
        for (unsigned i = 0; i < count; ++i) {
            rte_mbuf* buffer = buffers[i];
            if (!is_ours_and_whole(*buffer)) [[unlikely]] {
                buffer = make_whole(buffer);
                if (buffer == nullptr) continue;
            }
            stack::Frame& frame = frames[kept++];
            frame.data = rte_pktmbuf_mtod(buffer, uint8_t*);
            frame.length = buffer->data_len;
            set_checksum_flags(frame, buffer->ol_flags, lane.checksums_are_good);
            frame.port = static_cast<uint8_t>(index);
            frame.owner = buffer;
        }
        counters_.received += kept;
        return kept;
    }

    static void set_checksum_flags(stack::Frame& frame, uint64_t flags, bool all_good) {
        const uint64_t ip = flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
        const uint64_t tcp = flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
        frame.ip_checksum_good = all_good || ip == RTE_MBUF_F_RX_IP_CKSUM_GOOD;
        frame.tcp_checksum_good = all_good || tcp == RTE_MBUF_F_RX_L4_CKSUM_GOOD;
        frame.checksum_bad = ip == RTE_MBUF_F_RX_IP_CKSUM_BAD || tcp == RTE_MBUF_F_RX_L4_CKSUM_BAD;
    }

    /// One piece, referenced once, its bytes inside: only such a buffer may be written into later.
    static bool is_ours_and_whole(const rte_mbuf& buffer) {
        return buffer.nb_segs == 1 && rte_mbuf_refcnt_read(&buffer) == 1 &&
               RTE_MBUF_DIRECT(&buffer);
    }

    /// A copy in one buffer of ours; nullptr when it does not fit.
    [[gnu::noinline, gnu::cold]] rte_mbuf* make_whole(rte_mbuf* buffer) {
        rte_mbuf* const copy = rte_pktmbuf_copy(buffer, pool_, 0, UINT32_MAX);
        rte_pktmbuf_free(buffer);
        if (copy == nullptr || copy->nb_segs != 1) {
            rte_pktmbuf_free(copy);
            ++counters_.dropped_pieces;
            return nullptr;
        }
        ++counters_.copied;
        return copy;
    }

    template <typename Belongs>
    void transmit_on(SendingLane& lane, const stack::TransmitBatch& batch, Belongs belongs) {
        std::array<rte_mbuf*, burst> buffers;
        unsigned count = 0;
        const stack::DeviceProperties& device = lane.lane.properties;
        const bool offload = device.transmit_ip_checksum || device.transmit_tcp_checksum;
        for (unsigned i = 0; i < batch.filled; ++i) {
            const stack::Frame& frame = batch.frames[i];
            if (!belongs(frame)) continue;
            auto* const buffer = static_cast<rte_mbuf*>(frame.owner);
            buffer->data_len = static_cast<uint16_t>(frame.length);
            buffer->pkt_len = frame.length;
            if (offload) ask_for_checksums(*buffer, frame, device);
            buffers[count++] = buffer;
        }
        if (count == 0) return;
        counters_.transmitted += count;
        if (lane.pending_count != 0) [[unlikely]]
            flush(lane);
        const unsigned sent = lane.pending_count == 0 ? send(lane.lane, buffers.data(), count) : 0;
        if (sent < count) keep_pending(lane, buffers.data() + sent, count - sent);
    }

    static unsigned send(const Lane& lane, rte_mbuf** buffers, unsigned count) {
        return lane.transmit_ring != nullptr
                   ? rte_ring_sp_enqueue_burst(lane.transmit_ring,
                                               reinterpret_cast<void* const*>(buffers), count,
                                               nullptr)
                   : rte_eth_tx_burst(lane.port_id, lane.queue_id, buffers,
                                      static_cast<uint16_t>(count));
    }

    void flush(SendingLane& lane) {
        if (lane.pending_count == 0) return;
        const unsigned sent =
            send(lane.lane, lane.pending.data() + lane.first_pending, lane.pending_count);
        lane.pending_count -= sent;
        lane.first_pending = lane.pending_count == 0 ? 0 : lane.first_pending + sent;
        pending_ -= sent;
    }

    [[gnu::noinline]] void keep_pending(SendingLane& lane, rte_mbuf** buffers, unsigned count) {
        if (lane.first_pending != 0) {
            std::memmove(lane.pending.data(), lane.pending.data() + lane.first_pending,
                         lane.pending_count * sizeof(rte_mbuf*));
            lane.first_pending = 0;
        }
        SYNFIN_ASSERT(lane.pending_count + count <= pending_capacity);
        std::memcpy(lane.pending.data() + lane.pending_count, buffers, count * sizeof(rte_mbuf*));
        lane.pending_count += count;
        pending_ += count;
        counters_.refused += count;
    }

    /// What a device needs to fill in checksums: where the headers are. The frame's own bytes say
    /// so; they were written a moment ago. Frames that are not TCP over IP get what applies.
    static void ask_for_checksums(rte_mbuf& buffer, const stack::Frame& frame,
                                  const stack::DeviceProperties& device) {
        constexpr uint8_t tcp = 6;
        const uint8_t* const bytes = frame.data;
        unsigned network = 14;
        if (frame.length < 34) return;
        if (bytes[12] == 0x81 && bytes[13] == 0x00) network = 18;
        const unsigned type = static_cast<unsigned>(bytes[network - 2]) << 8 | bytes[network - 1];
        uint64_t flags = 0;
        unsigned header = 0;
        bool is_tcp = false;
        if (type == 0x0800) {
            header = (bytes[network] & 0x0fu) * 4u;
            is_tcp = bytes[network + 9] == tcp;
            flags = RTE_MBUF_F_TX_IPV4;
            if (device.transmit_ip_checksum) flags |= RTE_MBUF_F_TX_IP_CKSUM;
        } else if (type == 0x86dd && frame.length >= network + 40) {
            header = 40;
            is_tcp = bytes[network + 6] == tcp;
            flags = RTE_MBUF_F_TX_IPV6;
        } else {
            return;
        }
        if (is_tcp && device.transmit_tcp_checksum) flags |= RTE_MBUF_F_TX_TCP_CKSUM;
        buffer.ol_flags = flags;
        buffer.tx_offload = 0;
        buffer.l2_len = network & 0x7fu;
        buffer.l3_len = header & 0x1ffu;
    }

    [[gnu::noinline]] bool refill_stash() {
        if (rte_mempool_get_bulk(pool_, reinterpret_cast<void**>(stash_.data() + stashed_),
                                 burst) != 0) {
            ++counters_.no_buffer;
            return false;
        }
        stashed_ += burst;
        return true;
    }

    /// Gives the colder half back.
    [[gnu::noinline]] void shrink_stash() {
        constexpr unsigned half = stash_capacity / 2;
        const unsigned surplus = stashed_ - half;
        free_buffers(stash_.data(), surplus);
        std::memmove(stash_.data(), stash_.data() + surplus, half * sizeof(rte_mbuf*));
        stashed_ = half;
    }

    static void free_buffers(rte_mbuf** buffers, unsigned count) {
        if (count != 0) rte_pktmbuf_free_bulk(buffers, count);
    }

    rte_mempool* pool_;
    std::vector<SendingLane> lanes_;
    size_t first_lane_ = 0;
    unsigned pending_ = 0;
    unsigned stashed_ = 0;
    std::array<rte_mbuf*, stash_capacity + stash_room> stash_;
    DeviceCounters counters_;
};

}  // namespace synfin::dpdk
