// What a connection needs only while bytes are on their way: the send queue, the receive queue, the
// segments out of order, loss recovery. Taken from a pool when the first byte comes, given back
// when the last one has gone; an idle connection has none.
#pragma once

#include <cstdint>
#include <span>

#include <synfin/base/index_pool.hpp>
#include <synfin/base/relaxed.hpp>
#include <synfin/tcp/bbr.hpp>
#include <synfin/tcp/flight.hpp>
#include <synfin/tcp/seq.hpp>
#include <synfin/wire/summed_bytes.hpp>

namespace synfin::tcp {

/// Bytes that are kept: a node names a stretch of memory, its own chunk's or the application's.
struct BufferNode {
    const uint8_t* data = nullptr;
    uint32_t length = 0;
    uint32_t next = no_index;
    uint32_t chunk = no_index;  ///< no_index: the application's immutable memory
    bool ends_record = false;   ///< no segment carries these bytes and what follows them
    uint16_t sum = 0;           ///< of all these bytes: SummedBytes::sum
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
    /// A node and its chunk.
    [[gnu::always_inline]] void give_back(uint32_t node) {
        const uint32_t chunk = nodes[node].chunk;
        if (chunk != no_index) chunks.give_back(chunk);
        nodes.give_back(node);
    }
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
    uint32_t append_static(const wire::SummedBytes& data, BufferPool& pool);
    /// What is appended from now on begins a node, and segments, of its own.
    void end_record(BufferPool& pool);
    /// Moves all of `other` behind this.
    void append_queue(ByteQueue& other, BufferPool& pool);
    void remove_front(uint32_t count, BufferPool& pool);
    [[gnu::always_inline]] void clear(BufferPool& pool) {
        while (head != no_index) {
            const uint32_t gone = head;
            head = pool.nodes[gone].next;
            pool.give_back(gone);
        }
        tail = no_index;
        bytes = 0;
    }
    std::span<const uint8_t> front(const BufferPool& pool) const;
    /// Copies from the front as much as `into` has room for; returns how much that was.
    uint32_t copy_front(std::span<uint8_t> into, const BufferPool& pool) const;
};

/// A stretch of payload received ahead of a hole.
struct HeldRange {
    Seq begin;
    ByteQueue queue;
    uint32_t changed = 0;  ///< by Transfer::held_changes: when it grew last
    uint32_t next = no_index;
    Seq end() const { return begin + queue.bytes.load(); }
};
inline uint32_t& pool_link(HeldRange& r) { return r.next; }

/// When a segment that is not full leaves, beyond what Nagle's rule and the profile's cork say.
enum class Pushing : uint8_t {
    usual,
    later,     ///< the user has said that more follows: until the next ACK, or the persist timer
    now,       ///< what is queued at present goes whatever else holds it back
    unpushed,  ///< more was to follow, but nothing is held back any more: only PSH is missing
};

/// What the retransmission deadline is waiting for: one timer, since only one of them runs.
enum class LossTimer : uint8_t {
    timeout,     ///< RFC 6298
    tail_probe,  ///< PTO (RFC 8985 section 7)
    reordering,  ///< what may be lost or merely late is lost then (RFC 8985 section 6.2)
};

/// Where a connection stands after a loss.
struct Recovery {
    enum class Phase : uint8_t {
        none,
        fast,     ///< until `point` is acknowledged; cwnd follows PRR (RFC 6937)
        timeout,  ///< slow start over what was in flight when the timer expired
    };
    Phase phase = Phase::none;
    uint8_t duplicate_acks = 0;  ///< without SACK only
    /// Nothing beyond `point` has been acknowledged yet, so that duplicates may stem from what was
    /// sent again. Without SACK only; where it is not set, `point` says nothing.
    bool repeats_arrive = false;
    uint32_t duplicate_bytes = 0;  ///< what the duplicates say has left the network
    Seq point;                     ///< snd_nxt when the loss was detected (RecoveryPoint)
    // RFC 6937, bytes
    uint32_t flight_at_start = 0;  ///< RecoverFS
    uint32_t delivered = 0;        ///< prr_delivered
    uint32_t sent = 0;             ///< prr_out
};

/// RACK's memory of what arrived (RFC 8985 section 5.2).
struct Rack {
    uint32_t sent_us = 0;  ///< RACK.xmit_ts
    Seq end;               ///< RACK.end_seq
    uint32_t rtt_us = 0;   ///< 0: nothing has arrived yet
    uint32_t min_rtt_us = 0;
    uint32_t min_rtt_at_us = 0;
    bool reordering_seen = false;
    bool in_dsack_round = false;
    uint8_t window_factor = 1;     ///< reo_wnd_mult
    uint8_t window_persists = 16;  ///< reo_wnd_persist, in recoveries
    Seq dsack_round;
};

/// What stood before a recovery that may turn out to have been for nothing (undo.cpp).
struct Undo {
    /// Which answer after a timeout shows, without SACK and timestamps, whether it was for nothing.
    enum class Trial : uint8_t {
        none,
        first,   ///< that to what was sent again: then new data follows, not what came next
        second,  ///< that to what had been sent before
    };
    bool possible = false;
    bool by_timer = false;     ///< a timeout, not a fast recovery
    bool stamped = false;      ///< `first_stamp` waits for the first ACK of new data
    bool by_arrivals = false;  ///< what arrives tells whether the timeout was for nothing (F-RTO)
    Trial trial = Trial::none;
    uint32_t first_stamp = 0;  ///< TSval of the first retransmission
    uint32_t cwnd = 0;
    uint32_t ssthresh = 0;
    uint32_t sent_again = 0;  ///< bytes, not yet reported as duplicates
    Seq until;  ///< snd_nxt when the recovery ended: reports of duplicates come before
};

/// CUBIC's memory of the last loss (RFC 9438 section 4.1.2); windows in segments. What grows by
/// less than a millionth of itself needs a double.
struct Cubic {
    double w_est = 0;         ///< what NewReno would have
    float w_max = 0;          ///< the window that was too large
    float k = 0;              ///< seconds until the cubic is back there
    float window_before = 0;  ///< cwnd_prior
    // the same before the last loss, if that was none
    float undo_w_max = 0;
    float undo_window_before = 0;
    bool undo_in_epoch = false;
    uint32_t epoch_us = 0;  ///< when congestion avoidance began
    uint32_t last_ack_us = 0;
    bool in_epoch = false;
};

/// What DCTCP knows of the share of marked octets (RFC 8257 section 3.3).
struct Dctcp {
    double alpha = 1;
    uint32_t acked = 0;   ///< since the observation window began
    uint32_t marked = 0;  ///< of these, by ACKs with ECE
    Seq window_end;
    bool observing = false;
};

/// DCTCP's receiver: what arrived before `end` came with other marks than what followed, and an ACK
/// of its own tells so (RFC 8257 section 3.2).
struct MarkChange {
    Seq end;
    bool marked = false;
};

/// Round trips of the first slow start (RFC 9406), in microseconds; 0: none yet.
struct HyStart {
    bool running = false;
    bool conservative = false;  ///< they have become longer: the window grows slowly
    uint8_t conservative_rounds = 0;
    uint8_t samples = 0;         ///< of this round
    Seq round_end;               ///< windowEnd
    uint32_t last_round_us = 0;  ///< the least of the round before
    uint32_t this_round_us = 0;
    uint32_t baseline_us = 0;  ///< of the round in which they became longer
};

/// The one probe of a tail that may be under way (RFC 8985 section 7.3).
struct TailProbe {
    bool due = false;  ///< to be sent at the next output
    bool under_way = false;
    bool repeated = false;  ///< TLP.is_retrans: it carried nothing new
    Seq end;                ///< TLP.end_seq
};

/// What is in flight in segments that may be too large for the path (path.cpp): one probe, or what
/// a router has refused.
struct Oversized {
    enum class Phase : uint8_t {
        none,
        probing,  ///< one segment is under way to find out
        lost,     ///< for its size, and not all of it has been sent again
    };
    Phase phase = Phase::none;
    uint16_t size = 0;  ///< of the probe, as an MSS
    Seq begin;
    Seq end;
};

struct alignas(16) Transfer {
    // ---- what each life of a transfer begins with: start() sets it
    ByteQueue unsent_or_unacked;  ///< begins at snd_una (behind the SYN)
    // where the next transmission's bytes begin: a cursor into unsent_or_unacked
    uint32_t cursor_node = no_index;
    uint32_t cursor_offset = 0;  ///< bytes between snd_una and the cursor node's begin
    Seq small_end;               ///< of the last segment that was not full
    uint32_t burst_us = 0;       ///< when new data was sent last
    /// All that is below `flight` is as it was made: nobody but a fast path, which leaves it alone,
    /// has asked for the transfer since it was taken. So is most of what a short message needs.
    bool plain = true;
    /// What retransmit_deadline stands for while it is armed and the connection is not persisting.
    LossTimer loss_timer = LossTimer::timeout;
    // round-trip time of one segment at a time (RFC 6298, Karn)
    bool timing = false;
    Seq timed;  ///< acknowledged when snd_una reaches this
    uint32_t timed_at_us = 0;
    Flight flight;

    // ---- what only some need
    ByteQueue unread;  ///< ends at rcv_nxt, or at the first hole
    Recovery recovery;
    Undo undo;
    Rack rack;
    TailProbe tail_probe;
    Oversized oversized;
    uint32_t acked_for_growth = 0;  ///< NewReno: bytes acknowledged since cwnd last grew
    HyStart hystart;
    Cubic cubic;
    uint32_t model = no_index;  ///< PathModel of an algorithm that has one; kept while idle
    Dctcp dctcp;
    bool reduced_for_echo = false;  ///< for an ECE, and that answers all up to `echo_point`
    Seq echo_point;
    static constexpr uint8_t max_mark_changes = 4;
    uint8_t mark_change_count = 0;
    MarkChange mark_changes[max_mark_changes];
    Pushing pushing = Pushing::usual;
    uint8_t unanswered_probes = 0;  ///< zero-window probes since the peer was last heard
    // reassembly: ranges in order of sequence, never touching each other
    uint32_t held = no_index;
    uint16_t held_count = 0;
    bool held_fin = false;  ///< the peer's FIN lies behind a hole, at held_fin_seq
    Seq held_fin_seq;
    uint32_t held_bytes = 0;
    uint32_t held_changes = 0;
    /// [duplicate_begin, duplicate_end) came a second time: the next ACK says so (RFC 2883).
    Seq duplicate_begin;
    Seq duplicate_end;
    bool owes_dsack() const { return duplicate_begin != duplicate_end; }
    // urgent data (section 3.8.5): the sequence number behind it, if there is some
    bool urgent_in = false;
    bool urgent_out = false;
    Seq urgent_end;      ///< RCV.UP
    Seq urgent_out_end;  ///< SND.UP
    uint32_t link = no_index;

    /// As it was made. A reader may still look at what it was before, and sees each word before or
    /// after.
    void renew();
    /// A new life, with nothing in flight and what comes from `at` on. The queues are empty.
    void start(Seq at) {
        if (!plain) [[unlikely]]
            renew();
        cursor_node = no_index;
        cursor_offset = 0;
        small_end = at;
        burst_us = 0;
        loss_timer = LossTimer::timeout;
        timing = false;
        flight.start(at);
    }
};
inline uint32_t& pool_link(Transfer& t) { return t.link; }

struct TransferPool {
    TransferPool(uint32_t transfer_count, uint32_t range_count)
        : transfers{transfer_count},
          ranges{range_count},
          flights{range_count},
          models{transfer_count} {}
    IndexPool<Transfer> transfers;
    IndexPool<HeldRange> ranges;
    FlightPool flights;
    IndexPool<PathModel> models;
};

}  // namespace synfin::tcp
