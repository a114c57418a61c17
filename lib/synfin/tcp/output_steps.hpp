// Steps of output that the fast path (usual_output.hpp) and the general one (output.cpp) take in
// the same way.
#pragma once

#include <algorithm>

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

inline uint32_t half_of_largest_window(const Connection& c) {
    return (uint32_t{c.max_snd_wnd} << c.snd_scale) / 2;
}

/// How much more the congestion window lets out, with `flight` octets between snd_una and snd_nxt.
[[gnu::always_inline]] inline uint32_t congestion_left(const Connection& c, const Transfer& t,
                                                       uint32_t flight) {
    const uint32_t pipe = bytes_in_flight(t, flight);
    return c.cwnd > pipe ? c.cwnd - pipe : 0;
}

/// Moves the cursor to the node of what lies `offset` behind the first queued octet; returns where
/// in the node.
[[gnu::always_inline]] inline uint32_t seek(Transfer& t, uint32_t offset, const BufferPool& pool) {
    if (t.cursor_node == no_index || offset < t.cursor_offset) {
        t.cursor_node = t.unsent_or_unacked.head;
        t.cursor_offset = 0;
    }
    while (offset - t.cursor_offset >= pool.nodes[t.cursor_node].length) {
        t.cursor_offset += pool.nodes[t.cursor_node].length;
        t.cursor_node = pool.nodes[t.cursor_node].next;
    }
    return offset - t.cursor_offset;
}

/// Whether new data of this moment follows other; from now on, it does.
inline bool goes_on_in_burst(Transfer& t, uint32_t now_us) {
    const bool goes_on = t.burst_us == now_us;
    t.burst_us = now_us;
    return goes_on;
}

/// Whether `length` of `allowed` bytes end a burst that is going on: the congestion window cuts it
/// off, or the peer's, where that has become less than half of what it was. Nothing follows before
/// an ACK comes; a receiver that puts segments together hands on what it has when it sees PSH.
[[gnu::always_inline]] inline bool ends_burst(const Connection& c, uint32_t length,
                                              uint32_t allowed, uint32_t payload_max) {
    const uint32_t window_left = (c.snd_una.load() + c.snd_wnd).distance_from(c.snd_nxt.load());
    const uint32_t with_another = length + payload_max;
    if (allowed < with_another && window_left > length) return true;
    return window_left < with_another && c.snd_wnd <= half_of_largest_window(c);
}

/// [snd_nxt, end) leaves for the first time. What leaves within a 32nd of a round trip is accounted
/// for together: RACK can do without more precision, and no window needs more than some dozen
/// ranges while nothing is lost.
[[gnu::always_inline]] inline void account_new(Connection& c, Transfer& t, Seq end,
                                               Environment& env, uint32_t now_us) {
    if (!t.flight.append(end, now_us, c.srtt_us / 32, env.transfers.flights)) {
        ++env.counters.flight_coarse;
    }
    c.snd_nxt = end;
}

/// One segment at a time is timed (RFC 6298); what ends at `end` will be, if none is.
[[gnu::always_inline]] inline void time_round_trip(Transfer& t, Seq end, uint32_t now_us) {
    if (t.timing) return;
    t.timing = true;
    t.timed = end;
    t.timed_at_us = now_us;
}

/// New data has left from `seq` on while the timer runs: the probe of the tail waits for that. Of a
/// burst, what follows the second segment changes nothing about the deadline.
[[gnu::always_inline]] inline void follow_with_timer(Connection& c, Transfer& t, Seq seq,
                                                     bool in_burst, const Environment& env,
                                                     const Moment& now) {
    if (!in_burst || seq.distance_from(c.snd_una) <= c.mss) put_off_tail_probe(c, t, env, now);
}

}  // namespace synfin::tcp
