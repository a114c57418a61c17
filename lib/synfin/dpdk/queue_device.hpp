// The device of one worker on one port: its queue pair, and the stash of buffers between the two.
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
// What comes over an in-process link lies in the other core's cache. So the burst after the one
// that is being worked on is taken off the link already, and its lines are asked for in portions
// during that work: a core waits for only so many lines at once.
//
// The frames of a memif are moved without its driver where that can be (memif_link.hpp): received
// ones are copied into buffers of the stash, and what is prepared is the slot that the peer reads.
//
// The hot path of the program: no allocation, no system call of ours, and no lock but the pool's,
// once for many buffers.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <synfin/base/apart.hpp>
#include <synfin/base/assert.hpp>
#include <synfin/base/relaxed.hpp>
#include <synfin/dpdk/link_word.hpp>
#include <synfin/dpdk/memif_link.hpp>
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
    std::optional<MemifEnd> memif;  ///< a memif whose frames we may move ourselves
};

/// Written by the worker, readable by anyone.
struct DeviceCounters {
    Relaxed<uint64_t> received;
    Relaxed<uint64_t> transmitted;
    Relaxed<uint64_t> without_driver;  ///< of these, over a memif whose frames we move ourselves
    Relaxed<uint64_t> copied;          ///< received in pieces or in a shared buffer, made whole
    Relaxed<uint64_t> dropped_pieces;  ///< the same, but it did not fit into one buffer
    Relaxed<uint64_t> no_buffer;       ///< prepare found the pool empty
    Relaxed<uint64_t> refused;         ///< frames that the queue did not take at once
};

class alignas(apart) QueueDevice {
  public:
    static constexpr unsigned burst = stack::TransmitBatch::capacity;

    QueueDevice(rte_mempool* pool, const Lane& lane)
        : pool_{pool},
          lane_{lane},
          memif_{lane.memif, lane.port_id, lane.queue_id,
                 lane.properties.mtu + stack::TransmitBatch::slack_bytes, frame_bytes()} {
        // A buffer's bytes begin at a fixed distance from its descriptor.
        SYNFIN_ASSERT(rte_pktmbuf_priv_size(pool) == 0);
    }
    ~QueueDevice() { close(); }
    QueueDevice(const QueueDevice&) = delete;
    QueueDevice& operator=(const QueueDevice&) = delete;

    /// Up to `max` received frames. They are the worker's until recycle.
    unsigned receive(stack::Frame* frames, unsigned max) {
        if (congested()) flush();
        max = std::min(max, burst);
        if (lane_.receive_ring != nullptr) return receive_from_link(frames, max);
        return left_to_driver() ? receive_from_port(frames, max) : receive_from_memif(frames, max);
    }

    /// The frames are consumed.
    void recycle(const stack::Frame* frames, unsigned count) {
        SYNFIN_ASSERT(count <= stash_room);
        ask_for_a_few_ahead();
        if (stashed_ + count > stash_capacity) [[unlikely]]
            shrink_stash();
        rte_mbuf** const top = stash_.data() + stashed_;
        for (unsigned i = 0; i < count; ++i) top[i] = static_cast<rte_mbuf*>(frames[i].owner);
        stashed_ += count;
    }

    /// Up to `wanted` empty frames; returns how many.
    unsigned prepare(stack::TransmitBatch& batch, unsigned wanted) {
        batch.available = 0;
        batch.filled = 0;
        ask_for_a_few_ahead();
        if (congested()) [[unlikely]]
            return 0;
        wanted = std::min(wanted, burst);
        if (!left_to_driver()) return prepare_slots(batch, wanted);
        if (stashed_ < wanted && !refill_stash()) [[unlikely]]
            wanted = std::min(wanted, stashed_);
        rte_mbuf* const* top = stash_.data() + stashed_;
        const bool descriptors_too = lane_.transmit_ring == nullptr;
        for (stack::Frame& frame : std::span{batch.frames}.first(wanted)) {
            rte_mbuf* const buffer = *--top;
            ask_for_data(buffer);
            if (descriptors_too) __builtin_prefetch(buffer, 1);
            frame.data = usual_data(buffer);
            frame.owner = buffer;
        }
        stashed_ -= wanted;
        batch.available = wanted;
        return wanted;
    }

    /// Sends the filled frames and keeps the rest.
    void transmit(stack::TransmitBatch& batch) {
        if (!left_to_driver()) return transmit_slots(batch);
        for (unsigned i = batch.available; i > batch.filled; --i) {
            stash_[stashed_++] = static_cast<rte_mbuf*>(batch.frames[i - 1].owner);
        }
        ask_for_a_few_ahead();
        std::array<void*, burst> outgoing;
        if (lane_.transmit_ring != nullptr) {
            uint32_t longest = 0;
            void** next = outgoing.data();
            for (const stack::Frame& frame : std::span{batch.frames}.first(batch.filled)) {
                longest = std::max(longest, frame.length);
                *next++ = LinkWord{static_cast<rte_mbuf*>(frame.owner), frame.length}.stored();
            }
            note_lengths(longest);
        } else {
            fill_in_descriptors(batch, outgoing.data());
        }
        counters_.transmitted += batch.filled;
        if (congested()) [[unlikely]]
            flush();
        const unsigned sent = congested() ? 0 : send(outgoing.data(), batch.filled);
        if (sent < batch.filled) keep_pending(outgoing.data() + sent, batch.filled - sent);
        batch.available = 0;
        batch.filled = 0;
    }

    /// Frames wait for room in a queue: prepare gives nothing now.
    bool congested() const { return pending_count_ != 0; }

    /// Tries again to send what is pending; receive does so, too.
    [[gnu::noinline]] void flush() {
        if (!congested()) return;
        const unsigned sent = send(pending_.data() + first_pending_, pending_count_);
        pending_count_ -= sent;
        first_pending_ = congested() ? first_pending_ + sent : 0;
    }

    /// The size of the space that a frame offers to be written.
    uint32_t frame_bytes() const {
        return static_cast<uint32_t>(rte_pktmbuf_data_room_size(pool_)) - RTE_PKTMBUF_HEADROOM;
    }
    const stack::DeviceProperties& properties() const { return lane_.properties; }
    const DeviceCounters& counters() const { return counters_; }
    rte_mempool* pool() const { return pool_; }

    /// Gives all buffers back to the pool, the pending ones unsent, those taken ahead unread.
    void close() {
        free_buffers(stash_.data(), stashed_);
        stashed_ = 0;
        for (unsigned i = first_pending_; i < first_pending_ + pending_count_; ++i) {
            rte_pktmbuf_free(lane_.transmit_ring != nullptr ? LinkWord{pending_[i]}.buffer()
                                                            : static_cast<rte_mbuf*>(pending_[i]));
        }
        first_pending_ = 0;
        pending_count_ = 0;
        for (; first_ahead_ < end_ahead_; ++first_ahead_) {
            rte_pktmbuf_free(LinkWord{ahead_[first_ahead_]}.buffer());
        }
    }

  private:
    // What was refused of one batch, and one that was prepared before that.
    static constexpr unsigned pending_capacity = 2 * burst;
    // What an operation may add to the stash at once stays free above its capacity.
    static constexpr unsigned stash_room = 2 * burst;
    static constexpr unsigned stash_capacity = 256 - stash_room;
    // A core has about two dozen lines underway at once.
    static constexpr unsigned asked_at_once = 16;

    static uint8_t* usual_data(rte_mbuf* buffer) {
        return reinterpret_cast<uint8_t*>(buffer) + sizeof(rte_mbuf) + RTE_PKTMBUF_HEADROOM;
    }

    /// Where the headers of a packet usually lie is known without reading its descriptor, so both
    /// are fetched at once; with timestamps the headers end in the second line. They are fetched to
    /// be written, because that is what comes next, and it spares the lines a second way.
    [[gnu::always_inline]] static void ask_for_data(rte_mbuf* buffer) {
        __builtin_prefetch(usual_data(buffer), 1);
        __builtin_prefetch(usual_data(buffer) + 64, 1);
    }

    /// The same for what lies behind the headers, of what has come or of what will be written into
    /// its place. Further lines of long frames are asked for by the processor itself.
    [[gnu::always_inline]] static void ask_for_rest(rte_mbuf* buffer, uint32_t bytes) {
        if (bytes <= 128) return;
        __builtin_prefetch(usual_data(buffer) + 128, 1);
        if (bytes > 192) __builtin_prefetch(usual_data(buffer) + 192, 1);
    }

    unsigned receive_from_link(stack::Frame* frames, unsigned max) {
        if (first_ahead_ == end_ahead_) look_ahead();
        const unsigned count = std::min(end_ahead_ - first_ahead_, max);
        ask_ahead(first_ahead_ + count);
        const bool good = lane_.checksums_are_good;
        const wire::VerifiedChecksums verified{.ip = good, .tcp = good};
        uint32_t longest = 0;
        for (void* const stored : std::span{ahead_}.subspan(first_ahead_, count)) {
            const LinkWord word{stored};
            stack::Frame& frame = *frames++;
            frame.data = usual_data(word.buffer());
            frame.length = word.length();
            frame.verified = verified;
            frame.owner = word.buffer();
            longest = std::max(longest, frame.length);
        }
        if (count == 0) return 0;
        note_lengths(longest);
        counters_.received += count;
        first_ahead_ += count;
        if (first_ahead_ == end_ahead_) look_ahead();
        return count;
    }

    /// A batch of short frames lets little be forgotten of long ones.
    void note_lengths(uint32_t longest) { longest_ = std::max(longest, longest_ - longest_ / 128); }

    /// Takes the next burst off the link, to be received later.
    void look_ahead() {
        first_ahead_ = 0;
        asked_ahead_ = 0;
        end_ahead_ = rte_ring_sc_dequeue_burst(lane_.receive_ring, ahead_.data(), burst, nullptr);
    }

    /// Asks for the lines of what was taken ahead, up to `until`.
    void ask_ahead(unsigned until) {
        until = std::min(until, end_ahead_);
        void* const* next = ahead_.data() + asked_ahead_;
        void* const* const end = ahead_.data() + until;
        if (next >= end) return;
        const uint32_t longest = longest_;
        for (; next < end; ++next) {
            rte_mbuf* const buffer = LinkWord{*next}.buffer();
            ask_for_data(buffer);
            ask_for_rest(buffer, longest);
        }
        asked_ahead_ = until;
    }
    void ask_for_a_few_ahead() {
        if (memif_.state() == MemifLink::State::ours) {
            memif_.queue().ask_ahead(asked_at_once);
        } else {
            ask_ahead(asked_ahead_ + asked_at_once);
        }
    }

    unsigned receive_from_port(stack::Frame* frames, unsigned max) {
        std::array<rte_mbuf*, burst> buffers;
        const unsigned count = rte_eth_rx_burst(lane_.port_id, lane_.queue_id, buffers.data(),
                                                static_cast<uint16_t>(max));
        for (unsigned i = 0; i < count; ++i) {
            __builtin_prefetch(buffers[i], 1);
            ask_for_data(buffers[i]);
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
            set_checksum_flags(frame, buffer->ol_flags);
            frame.owner = buffer;
        }
        counters_.received += kept;
        return kept;
    }

    /// No memif, or one that we do not move the frames of ourselves.
    bool left_to_driver() const { return memif_.state() == MemifLink::State::drivers; }

    unsigned receive_from_memif(stack::Frame* frames, unsigned max) {
        if (memif_.state() == MemifLink::State::waiting) {
            memif_.nothing_came();
            return 0;
        }
        MemifQueue& queue = memif_.queue();
        unsigned count = queue.arrived(max);
        if (count == 0) {
            memif_.nothing_came();
            return 0;
        }
        if (stashed_ < count && !refill_stash()) [[unlikely]]
            count = std::min(count, stashed_);
        queue.ask_until(count);
        unsigned kept = 0;
        for (unsigned i = 0; i < count; ++i) {
            rte_mbuf* const buffer = stash_[stashed_ - 1];
            const uint32_t length = queue.read(usual_data(buffer));
            if (length == 0) [[unlikely]] {
                ++counters_.dropped_pieces;
                continue;
            }
            --stashed_;
            stack::Frame& frame = frames[kept++];
            frame.data = usual_data(buffer);
            frame.length = length;
            frame.verified = {};
            frame.owner = buffer;
        }
        queue.give_back(count);
        counters_.received += kept;
        queue.look();
        return kept;
    }

    unsigned prepare_slots(stack::TransmitBatch& batch, unsigned wanted) {
        if (memif_.state() == MemifLink::State::waiting) return 0;
        MemifQueue& queue = memif_.queue();
        wanted = queue.room(wanted);
        for (unsigned i = 0; i < wanted; ++i) batch.frames[i].data = queue.place(i);
        batch.available = wanted;
        return wanted;
    }

    void transmit_slots(stack::TransmitBatch& batch) {
        ask_for_a_few_ahead();
        if (batch.filled != 0) {
            MemifQueue& queue = memif_.queue();
            for (unsigned i = 0; i < batch.filled; ++i) queue.finish(batch.frames[i].length);
            counters_.without_driver += batch.filled;
            // The driver knows how; no frame of its own is sent with that.
            if (queue.publish()) [[unlikely]]
                rte_eth_tx_burst(lane_.port_id, lane_.queue_id, nullptr, 0);
        }
        counters_.transmitted += batch.filled;
        batch.available = 0;
        batch.filled = 0;
    }

    /// What each frame's descriptor has to say to a driver.
    void fill_in_descriptors(const stack::TransmitBatch& batch, void** outgoing) const {
        const bool offload =
            lane_.properties.transmit_ip_checksum || lane_.properties.transmit_tcp_checksum;
        for (unsigned i = 0; i < batch.filled; ++i) {
            const stack::Frame& frame = batch.frames[i];
            auto* const buffer = static_cast<rte_mbuf*>(frame.owner);
            buffer->data_off = RTE_PKTMBUF_HEADROOM;
            buffer->ol_flags = 0;
            buffer->data_len = static_cast<uint16_t>(frame.length);
            buffer->pkt_len = frame.length;
            if (offload) ask_for_checksums(*buffer, frame, lane_.properties);
            outgoing[i] = buffer;
        }
    }

    /// `outgoing`: words of the link, or buffers for the port. Returns how many were taken.
    unsigned send(void** outgoing, unsigned count) {
        return lane_.transmit_ring != nullptr
                   ? rte_ring_sp_enqueue_burst(lane_.transmit_ring, outgoing, count, nullptr)
                   : rte_eth_tx_burst(lane_.port_id, lane_.queue_id,
                                      reinterpret_cast<rte_mbuf**>(outgoing),
                                      static_cast<uint16_t>(count));
    }

    void set_checksum_flags(stack::Frame& frame, uint64_t flags) const {
        const uint64_t ip = flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
        const uint64_t tcp = flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
        // NONE: there is no checksum in the packet, but the device vouches for the data (virtio).
        const bool ip_good = ip == RTE_MBUF_F_RX_IP_CKSUM_GOOD || ip == RTE_MBUF_F_RX_IP_CKSUM_NONE;
        const bool tcp_good =
            tcp == RTE_MBUF_F_RX_L4_CKSUM_GOOD || tcp == RTE_MBUF_F_RX_L4_CKSUM_NONE;
        const bool bad = ip == RTE_MBUF_F_RX_IP_CKSUM_BAD || tcp == RTE_MBUF_F_RX_L4_CKSUM_BAD;
        frame.verified.ip = !bad && (ip_good || lane_.checksums_are_good);
        frame.verified.tcp = !bad && (tcp_good || lane_.checksums_are_good);
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

    [[gnu::noinline]] void keep_pending(void** outgoing, unsigned count) {
        std::memmove(pending_.data(), pending_.data() + first_pending_,
                     pending_count_ * sizeof(void*));
        first_pending_ = 0;
        SYNFIN_ASSERT(pending_count_ + count <= pending_capacity);
        std::memcpy(pending_.data() + pending_count_, outgoing, count * sizeof(void*));
        pending_count_ += count;
        counters_.refused += count;
    }

    /// What a device needs to fill in checksums: where the headers are. The frame's own bytes say
    /// so; they were written a moment ago. Frames that are not TCP over IP get what applies.
    static void ask_for_checksums(rte_mbuf& buffer, const stack::Frame& frame,
                                  const stack::DeviceProperties& device) {
        constexpr uint8_t tcp = 6;
        const uint8_t* const bytes = frame.data;
        unsigned network = 14;
        if (frame.length < 42) return;
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
    Lane lane_;
    MemifLink memif_;
    uint32_t longest_ = 0;  ///< of the frames that went over a link of late, either way
    unsigned stashed_ = 0;
    unsigned first_ahead_ = 0;  ///< taken off the link, and not received yet
    unsigned end_ahead_ = 0;
    unsigned asked_ahead_ = 0;
    unsigned first_pending_ = 0;
    unsigned pending_count_ = 0;
    std::array<rte_mbuf*, stash_capacity + stash_room> stash_;
    std::array<void*, pending_capacity> pending_;  ///< as `send` takes them
    std::array<void*, burst> ahead_;
    DeviceCounters counters_;
};

}  // namespace synfin::dpdk
