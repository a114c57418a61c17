// What a connection needs only while bytes are on their way: the send queue, the receive queue, the
// segments out of order, loss recovery. Taken from a pool when the first byte comes, given back
// when the last one has gone; an idle connection has none.
#pragma once

#include <cstdint>
#include <span>

#include <synfin/base/index_pool.hpp>
#include <synfin/base/relaxed.hpp>
#include <synfin/tcp/seq.hpp>

namespace synfin::tcp {

/// Bytes that are kept: a node names a stretch of memory, its own chunk's or the application's.
struct BufferNode {
    const uint8_t* data = nullptr;
    uint32_t length = 0;
    uint32_t next = no_index;
    uint32_t chunk = no_index;  ///< no_index: the application's immutable memory
};
inline uint32_t& pool_link(BufferNode& n) { return n.next; }

struct BufferChunk {
    static constexpr uint32_t size = 2048;
    union {
        uint32_t link;
        uint8_t bytes[size];
    };
    BufferChunk() : link{no_index} {}
};
inline uint32_t& pool_link(BufferChunk& c) { return c.link; }

/// The memory for all queues of a worker; bounded, so that no peer can take more than this.
struct BufferPool {
    BufferPool(uint32_t node_count, uint32_t chunk_count)
        : nodes{node_count}, chunks{chunk_count} {}
    IndexPool<BufferNode> nodes;
    IndexPool<BufferChunk> chunks;
};

/// A first-in first-out queue of bytes.
struct ByteQueue {
    uint32_t head = no_index;
    uint32_t tail = no_index;
    Relaxed<uint32_t> bytes;

    bool empty() const { return bytes == 0; }
    /// Both return how many bytes were taken: all, or as many as the pool has room for.
    uint32_t append_copy(std::span<const uint8_t> data, BufferPool& pool);
    uint32_t append_static(std::span<const uint8_t> data, BufferPool& pool);
    /// Moves all of `other` behind this.
    void append_queue(ByteQueue& other, BufferPool& pool);
    void remove_front(uint32_t count, BufferPool& pool);
    void clear(BufferPool& pool);
    std::span<const uint8_t> front(const BufferPool& pool) const;
    /// Copies from the front as much as `into` has room for; returns how much that was.
    uint32_t copy_front(std::span<uint8_t> into, const BufferPool& pool) const;
};

/// A stretch of payload received ahead of a hole.
struct HeldRange {
    Seq begin;
    ByteQueue queue;
    uint32_t next = no_index;
    Seq end() const { return begin + queue.bytes.load(); }
};
inline uint32_t& pool_link(HeldRange& r) { return r.next; }

struct Transfer {
    ByteQueue unsent_or_unacked;  ///< begins at snd_una (behind the SYN)
    ByteQueue unread;             ///< ends at rcv_nxt, or at the first hole
    // where the next transmission's bytes begin: a cursor into unsent_or_unacked
    uint32_t cursor_node = no_index;
    uint32_t cursor_offset = 0;  ///< bytes between snd_una and the cursor node's begin
    // round-trip time of one segment at a time (RFC 6298, Karn)
    bool timing = false;
    Seq timed;  ///< acknowledged when snd_una reaches this
    uint32_t timed_at_us = 0;
    // loss recovery (RFC 6582)
    bool recovering = false;  ///< fast recovery
    Seq recover;              ///< snd_nxt when the loss was detected
    Seq retransmit_next;      ///< [retransmit_next, retransmit_end) is to be sent again
    Seq retransmit_end;
    uint32_t limited_transmit = 0;  ///< bytes beyond cwnd that duplicate ACKs allow (RFC 3042)
    uint32_t acked_for_growth = 0;  ///< bytes acknowledged since cwnd last grew by one segment
    uint8_t unanswered_probes = 0;  ///< zero-window probes since the peer was last heard
    // reassembly: ranges in order of sequence, never touching each other
    uint32_t held = no_index;
    uint16_t held_count = 0;
    bool held_fin = false;  ///< the peer's FIN lies behind a hole, at held_fin_seq
    Seq held_fin_seq;
    uint32_t held_bytes = 0;
    Seq last_held;  ///< the range that changed last: first SACK block (RFC 2018)
    // urgent data (section 3.8.5): the sequence number behind it, if there is some
    bool urgent_in = false;
    bool urgent_out = false;
    Seq urgent_end;      ///< RCV.UP
    Seq urgent_out_end;  ///< SND.UP
    uint32_t link = no_index;
};
inline uint32_t& pool_link(Transfer& t) { return t.link; }

struct TransferPool {
    TransferPool(uint32_t transfer_count, uint32_t range_count)
        : transfers{transfer_count}, ranges{range_count} {}
    IndexPool<Transfer> transfers;
    IndexPool<HeldRange> ranges;
};

}  // namespace synfin::tcp
