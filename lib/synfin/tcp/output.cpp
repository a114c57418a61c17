// The only place where a segment of a connection comes into being.
//
// next_segment decides in this order: a reset; a SYN; what was lost; what is new; a lone FIN again;
// a probe; a plain ACK. Whatever leaves carries the ACK with it, so an ACK of its own is sent only
// if nothing else is.
#include <algorithm>

#include <synfin/base/assert.hpp>
#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

namespace flag = wire::flag;

constexpr uint32_t output_marks =
    static_cast<uint32_t>(Mark::ack_now) | static_cast<uint32_t>(Mark::send_syn) |
    static_cast<uint32_t>(Mark::send_fin_again) | static_cast<uint32_t>(Mark::send_probe) |
    static_cast<uint32_t>(Mark::send_reset);

bool is_handshake(State s) { return s == State::syn_sent || s == State::syn_received; }

// ACK, window and timestamps: what every segment of a synchronized connection says (MUST-58).
void write_acknowledgment(Connection& c, OutSegment& out, Environment& env, Instant now) {
    out.ack = c.rcv_nxt;
    out.flags |= flag::ack;
    out.window = announce_window(c, env);
    write_plain_options(c, env, now, out.options);
    c.last_ack_sent = c.rcv_nxt;
    c.clear(Mark::ack_now);
    c.clear(Mark::delayed_ack);
    const Transfer* t = transfer_of(c, env);
    if (t != nullptr && t->urgent_out) [[unlikely]]
        write_urgent_pointer(*t, out);
}

// Points the segment at `length` queued bytes from `offset` behind snd_una's data. Fewer bytes if
// they lie in too many pieces.
void gather(Transfer& t, uint32_t offset, uint32_t length, const BufferPool& pool,
            OutSegment& out) {
    if (t.cursor_node == no_index || offset < t.cursor_offset) {
        t.cursor_node = t.unsent_or_unacked.head;
        t.cursor_offset = 0;
    }
    while (offset - t.cursor_offset >= pool.nodes[t.cursor_node].length) {
        t.cursor_offset += pool.nodes[t.cursor_node].length;
        t.cursor_node = pool.nodes[t.cursor_node].next;
    }
    uint32_t node = t.cursor_node;
    uint32_t skip = offset - t.cursor_offset;
    while (length > 0 && out.piece_count < OutSegment::max_pieces) {
        const BufferNode& n = pool.nodes[node];
        const uint32_t count = std::min(length, n.length - skip);
        out.pieces[out.piece_count++] = {n.data + skip, count};
        out.payload_length += count;
        length -= count;
        skip = 0;
        node = n.next;
    }
}

// Where a segment without data begins: at SND.NXT, but not beyond the window. What a closed or
// shrunk window has refused (a probe's octet, say) is not part of the peer's stream, and a peer
// refuses what begins behind it: with both windows closed, neither would learn that the other's has
// opened. A right edge that seems to go back may be the rounding of a scaled window, and a FIN
// needs none.
Seq acceptable_seq(const Connection& c) {
    const Seq edge = c.snd_una.load() + c.snd_wnd;
    const uint32_t tolerated = (1u << c.snd_scale) - 1 + (c.has(Mark::fin_sent) ? 1 : 0);
    return c.snd_nxt.load().after(edge + tolerated) ? edge : c.snd_nxt.load();
}

bool emit_reset(Connection& c, OutSegment& out, Environment& env) {
    out.seq = acceptable_seq(c);
    out.ack = c.rcv_nxt;
    out.flags = flag::rst | flag::ack;
    c.clear(Mark::send_reset);
    ++env.counters.out_rsts;
    ++env.counters.out_segs;
    set_state(c, State::closed, env.counters);
    return true;
}

bool emit_syn(Connection& c, OutSegment& out, Environment& env, Instant now) {
    c.clear(Mark::send_syn);
    out.seq = c.snd_una;
    out.flags = flag::syn;
    write_syn_options(c, env, now, out.options);
    const auto window =
        static_cast<uint16_t>(std::min<uint32_t>(receive_buffer_space(c, env), 0xffff));
    out.window = window;
    if (c.state != State::syn_sent) {
        out.flags |= flag::ack;
        out.ack = c.rcv_nxt;
        c.last_ack_sent = c.rcv_nxt;
        c.rcv_edge = later_of(c.rcv_edge, c.rcv_nxt.load() + window);
        c.clear(Mark::ack_now);
    }
    if (c.snd_nxt == c.snd_una.load()) {
        c.snd_nxt = c.snd_una.load() + 1;
        c.rttvar_us =
            static_cast<uint32_t>(now.us());  // the moment of departure, for the first sample
        arm_retransmission(c, env, now);
        arm_user_timeout(c, env, now);
        ++env.counters.out_segs;
    } else {
        ++env.counters.retrans_segs;
        ++env.counters.syn_retransmits;
    }
    return true;
}

// A segment of queued bytes from `seq`, with the FIN if it reaches the end of the stream.
void write_data(Connection& c, Transfer* t, Seq seq, uint32_t length, OutSegment& out,
                Environment& env) {
    out.seq = seq;
    if (length > 0) gather(*t, seq.distance_from(data_begin(c)), length, env.buffers, out);
    const Seq end = seq + out.payload_length;
    const bool at_end = end == data_end(c, env);
    if (at_end && c.has(Mark::send_closed)) out.flags |= flag::fin;
    // MUST-61: the last of what is queued is pushed.
    if (at_end && length > 0) out.flags |= flag::psh;
}

bool emit_retransmission(Connection& c, Transfer& t, OutSegment& out, uint32_t payload_max,
                         Environment& env, Instant now) {
    const Seq seq = t.retransmit_next;
    // After a timeout slow start governs; in fast recovery the one segment goes at once.
    const uint32_t in_flight = seq.distance_from(c.snd_una);
    if (!t.recovering && in_flight > 0 && in_flight + payload_max > c.cwnd) return false;
    const Seq end = data_end(c, env);
    // A short last segment is filled up with what has never been sent (section 3.8.1): the octet of
    // a zero-window probe must not cost the data behind it a round trip.
    Seq limit = earlier_of(end, t.retransmit_end);
    if (limit == c.snd_nxt) {
        limit = later_of(limit, earlier_of(end, c.snd_una.load() + c.cwnd));
    }
    uint32_t length = std::min(payload_max, limit.distance_from(seq));
    // SHLD-16: what lies beyond a shrunk window waits, but the first octet always may go.
    const Seq edge = c.snd_una.load() + std::max(c.snd_wnd, 1u);
    if (seq.at_or_after(edge) && length > 0) return false;
    if (length > 0) length = std::min(length, edge.distance_from(seq));
    write_data(c, &t, seq, length, out, env);
    if (out.flags.fin() && !c.has(Mark::fin_sent)) out.flags = out.flags & ~flag::fin;
    t.retransmit_next = seq + out.payload_length + (out.flags.fin() ? 1 : 0);
    t.retransmit_end = later_of(t.retransmit_end, t.retransmit_next);
    c.snd_nxt = later_of(c.snd_nxt, t.retransmit_end);
    if (t.timing && t.timed.after(seq)) t.timing = false;  // Karn
    if (!c.has(Mark::retransmit_armed)) arm_retransmission(c, env, now);
    ++env.counters.retrans_segs;
    return true;
}

// How much new data may leave now: by the peer's window, the congestion window, the segment size,
// and silly-window avoidance with Nagle's rule (section 3.8.6.2.1, MUST-38, SHLD-7).
uint32_t sendable_length(const Connection& c, const Transfer& t, uint32_t unsent,
                         uint32_t payload_max, const Environment& env) {
    const uint32_t flight = c.snd_nxt.load().distance_from(c.snd_una);
    // Both differences are negative when a window has shrunk (MUST-34, SHLD-15).
    const uint32_t window_left = c.snd_wnd > flight ? c.snd_wnd - flight : 0;
    const uint64_t congestion = uint64_t{c.cwnd} + t.limited_transmit;
    const uint32_t congestion_left =
        congestion > flight
            ? static_cast<uint32_t>(std::min<uint64_t>(congestion - flight, UINT32_MAX))
            : 0;
    const uint32_t usable = std::min(window_left, congestion_left);
    const uint32_t length = std::min({unsent, usable, payload_max});
    if (length == 0) return 0;
    if (length == payload_max) return length;
    const bool all_of_it = length == unsent;
    if (all_of_it && env.profile_of(c).cork && !c.has(Mark::send_closed)) return 0;
    const bool may_be_small =
        flight == 0 || c.has(Mark::no_nagle) || c.has(Mark::send_closed) || t.urgent_out;
    if (all_of_it && may_be_small) return length;
    const uint32_t half_of_largest = (uint32_t{c.max_snd_wnd} << c.snd_scale) / 2;
    // Cut short by the window, not by Nagle: worth sending if it is a good part of the peer's
    // buffer.
    if (!all_of_it && may_be_small && length >= half_of_largest) return length;
    return 0;
}

bool emit_new(Connection& c, OutSegment& out, uint32_t payload_max, Environment& env, Instant now) {
    if (c.has(Mark::fin_sent)) return false;
    Transfer* t = transfer_of(c, env);
    const Seq seq = c.snd_nxt;
    const uint32_t unsent = data_end(c, env).distance_from(seq);
    const bool bare_fin = unsent == 0 && c.has(Mark::send_closed);
    uint32_t length = 0;
    if (unsent > 0) {
        if (!c.has(Mark::retransmit_armed) && idle_time(c, now) > base_rto(c, env)) {
            restart_after_idle(c, env);
        }
        length = sendable_length(c, *t, unsent, payload_max, env);
        if (length == 0) return false;
    } else if (!bare_fin) {
        return false;
    }
    write_data(c, t, seq, length, out, env);
    c.snd_nxt = seq + out.payload_length + (out.flags.fin() ? 1 : 0);
    if (out.flags.fin()) c.set(Mark::fin_sent);
    if (t != nullptr) {
        t->retransmit_end = later_of(t->retransmit_end, t->retransmit_next);
        if (!t->timing) {
            t->timing = true;
            t->timed = c.snd_nxt;
            t->timed_at_us = static_cast<uint32_t>(now.us());
        }
    }
    if (!c.has(Mark::retransmit_armed) || c.has(Mark::persisting)) {  // (5.1)
        c.clear(Mark::persisting);
        arm_retransmission(c, env, now);
        arm_user_timeout(c, env, now);
    }
    ++env.counters.out_segs;
    return true;
}

bool emit_fin_again(Connection& c, OutSegment& out, Environment& env) {
    c.clear(Mark::send_fin_again);
    if (!c.has(Mark::fin_sent) || fin_acknowledged(c)) return false;
    out.seq = c.snd_nxt.load() - 1;
    out.flags |= flag::fin;
    ++env.counters.retrans_segs;
    return true;
}

// Zero window: one octet, new if there is one that was never sent (section 3.8.6.1, MUST-36).
// Window too small for silly-window avoidance: what fits, by the override timeout. Keep-alive: a
// segment without data before the window, which the peer must answer (SHLD-12).
bool emit_probe(Connection& c, OutSegment& out, uint32_t payload_max, Environment& env) {
    c.clear(Mark::send_probe);
    ++env.counters.out_segs;
    const uint32_t queued = queued_bytes(c, env);
    if (queued == 0) {
        out.seq = c.snd_nxt.load() - 1;
        ++env.counters.keep_alives;
        return true;
    }
    ++env.counters.zero_window_probes;
    Transfer* t = transfer_of(c, env);
    write_data(c, t, c.snd_una, std::min({std::max(c.snd_wnd, 1u), queued, payload_max}), out, env);
    out.flags = out.flags & ~flag::fin;
    const Seq end = c.snd_una.load() + out.payload_length;
    if (end.after(c.snd_nxt)) c.snd_nxt = end;
    t->timing = false;
    return true;
}

// When there is data that nothing else will ever send, the persist timer must (SHLD-29).
void arm_persist_if_stuck(Connection& c, Environment& env, Instant now) {
    if (c.has(Mark::retransmit_armed) || c.has(Mark::syn_unacked)) return;
    if (queued_bytes(c, env) == 0) return;
    c.set(Mark::persisting);
    arm_retransmission(c, env, now);
    arm_user_timeout(c, env, now);
}

}  // namespace

bool wants_output(const Connection& c, const Environment& env) {
    if ((c.flags & output_marks) != 0) return true;
    if (is_handshake(c.state) || c.state == State::closed) return false;
    if (c.has(Mark::send_closed) && !c.has(Mark::fin_sent)) return true;
    const Transfer* t = transfer_of(c, env);
    if (t == nullptr) return false;
    // What is to be sent again may be the FIN alone, behind an empty queue.
    return t->retransmit_next != t->retransmit_end || c.snd_nxt.load().before(data_end(c, env));
}

bool next_segment(Connection& c, OutSegment& out, Environment& env, Instant now) {
    if (c.state == State::closed || !wants_output(c, env)) return false;
    out.flags = flag::none;
    out.options = wire::TcpOptions{};
    out.piece_count = 0;
    out.payload_length = 0;
    out.urgent = 0;
    if (c.has(Mark::send_reset)) return emit_reset(c, out, env);
    if (c.has(Mark::send_syn)) return emit_syn(c, out, env, now);
    if (is_handshake(c.state) && !c.has(Mark::ack_now)) return false;

    const uint32_t options = option_bytes(c, env);
    const uint32_t payload_max = c.mss > options ? c.mss - options : 1;
    Transfer* t = transfer_of(c, env);
    bool sent = false;
    if (!is_handshake(c.state)) {
        if (t != nullptr && t->retransmit_next != t->retransmit_end) {
            sent = emit_retransmission(c, *t, out, payload_max, env, now);
        } else {
            sent = emit_new(c, out, payload_max, env, now);
        }
        if (!sent && c.has(Mark::send_fin_again)) sent = emit_fin_again(c, out, env);
        if (!sent && c.has(Mark::send_probe)) sent = emit_probe(c, out, payload_max, env);
    }
    if (!sent && c.has(Mark::ack_now)) {
        out.seq = acceptable_seq(c);
        ++env.counters.out_segs;
        sent = true;
    }
    if (sent) {
        write_acknowledgment(c, out, env, now);
    } else {
        arm_persist_if_stuck(c, env, now);
    }
    return sent;
}

}  // namespace synfin::tcp
