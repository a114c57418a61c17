// The only place where a segment of a connection comes into being.
//
// next_segment decides in this order: a reset; a SYN; what was lost; what is new; a lone FIN again;
// a probe; a plain ACK. Whatever leaves carries the ACK with it, so an ACK of its own is sent only
// if nothing else is.
#include <algorithm>

#include <synfin/base/assert.hpp>
#include <synfin/tcp/output_steps.hpp>
#include <synfin/wire/tcp_options.hpp>

namespace synfin::tcp {

namespace {

namespace flag = wire::flag;

// Data waits for the end of the handshake, but not behind a SYN whose data has been taken.
bool awaits_handshake(const Connection& c) {
    return c.state == State::syn_sent || (c.state == State::syn_received && !takes_early_data(c));
}

// ACK, window and timestamps: what every segment of a synchronized connection says (MUST-58).
void write_acknowledgment(Connection& c, OutSegment& out, Environment& env, Instant now) {
    out.ack = c.rcv_nxt;
    out.flags |= flag::ack;
    out.window = announce_window(c, env);
    write_plain_options(c, env, now, out.options);
    if (c.echoes_ce) out.flags |= flag::ece;
    c.last_ack_sent = c.rcv_nxt;
    c.clear(Mark::ack_now);
    c.clear(Mark::delayed_ack);
    if (owes_user_timeout(c)) [[unlikely]]
        c.clear(Mark::extra_option);
    Transfer* t = transfer_of(c, env);
    if (t != nullptr && t->urgent_out) [[unlikely]]
        write_urgent_pointer(*t, out);
    if (t != nullptr && t->owes_dsack()) {
        ++env.counters.dsacks_sent;
        t->duplicate_begin = t->duplicate_end;
        drop_idle_transfer(c, env);
    }
}

// Points the segment at `length` queued bytes from `offset` behind snd_una's data. Fewer bytes if
// they lie in too many pieces, or a record ends before; returns whether one ends there.
bool gather(Transfer& t, uint32_t offset, uint32_t length, const BufferPool& pool,
            OutSegment& out) {
    uint32_t skip = seek(t, offset, pool);
    uint32_t node = t.cursor_node;
    while (length > 0 && out.piece_count < OutSegment::max_pieces) {
        const BufferNode& n = pool.nodes[node];
        const uint32_t count = std::min(length, n.length - skip);
        out.pieces[out.piece_count++] = {n.data + skip, count};
        out.payload_length += count;
        if (n.ends_record && skip + count == n.length) [[unlikely]]
            return true;
        length -= count;
        skip = 0;
        node = n.next;
    }
    return false;
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

// Stamped as all other segments (RFC 7323 section 3.2), though a peer must not insist on that.
bool emit_reset(Connection& c, OutSegment& out, Environment& env, Instant now) {
    out.seq = acceptable_seq(c);
    out.ack = c.rcv_nxt;
    out.flags = flag::rst | flag::ack;
    write_timestamps(c, now, out.options);
    c.clear(Mark::send_reset);
    ++env.counters.out_rsts;
    ++env.counters.out_segs;
    set_state(c, State::closed, env.counters);
    return true;
}

// A SYN that has to be sent again goes without: the option may be why it was not answered.
void add_fast_open(Connection& c, OutSegment& out, Environment& env, Instant now) {
    if (c.has(Mark::passive_open)) {
        write_fast_open_cookie(addresses_of(c, env), env.secret, now, out.options);
    } else if (c.state == State::syn_sent && !c.has(Mark::syn_retransmitted)) {
        write_early_data(c, out, env, now);
    }
    // The longest cookie leaves no room; the segment after the SYN repeats the advice.
    if (wire::tcp_options_length(out.options) > wire::tcp_options_bytes_max) {
        out.options.has_user_timeout = false;
    }
}

bool emit_syn(Connection& c, OutSegment& out, Environment& env, Instant now) {
    c.clear(Mark::send_syn);
    out.seq = c.snd_una;
    out.flags = flag::syn | ecn_flags_of_syn(c);
    write_syn_options(c, env, now, out.options);
    const auto window =
        static_cast<uint16_t>(std::min<uint32_t>(receive_buffer_space(c, env), 0xffff));
    out.window = window;
    if (c.has(Mark::extra_option)) add_fast_open(c, out, env, now);
    if (c.state != State::syn_sent) {
        out.flags |= flag::ack;
        out.ack = c.rcv_nxt;
        c.last_ack_sent = c.rcv_nxt;
        c.rcv_edge = later_of(c.rcv_edge, c.rcv_nxt.load() + window);
        c.clear(Mark::ack_now);
    }
    if (c.snd_nxt == c.snd_una.load()) {
        c.snd_nxt = c.snd_una.load() + 1;
        c.rttvar_us = low_us(now);  // the moment of departure, for the first sample
        arm_retransmission(c, env, now);
        arm_user_timeout(c, env, now);
        ++env.counters.out_segs;
    } else {
        ++env.counters.retrans_segs;
        ++env.counters.syn_retransmits;
        if (c.ecn && c.state == State::syn_sent) ++env.counters.ecn_fallbacks;
    }
    return true;
}

// account_new, and a model learns of it.
void account_departure(Connection& c, Transfer& t, Seq end, Environment& env, Instant now) {
    const Seq begin = c.snd_nxt;
    account_new(c, t, end, env, low_us(now));
    if (t.model != no_index) note_departure(c, t, end.distance_from(begin), env, now);
}

// A segment of queued bytes from `seq`, with the FIN if it reaches the end of the stream.
void write_data(Connection& c, Transfer& t, Seq seq, uint32_t length, OutSegment& out,
                Environment& env) {
    out.seq = seq;
    const bool ends_record =
        length > 0 && gather(t, seq.distance_from(data_begin(c)), length, env.buffers, out);
    const Seq end = seq + out.payload_length;
    const bool at_end = end == data_end(c, env);
    if (at_end && c.has(Mark::send_closed)) out.flags |= flag::fin;
    // MUST-61: the last of a record, and of what is queued, is pushed, unless the user has said
    // that more follows, and not for so long that the persist timer had to send it. So is what
    // fills more than half of the peer's window: it may have room for no more before its user has
    // read.
    const bool more_follows =
        (t.pushing == Pushing::later && !c.has(Mark::persisting)) || t.pushing == Pushing::unpushed;
    const bool pushed = ends_record || (at_end && (!more_follows || c.has(Mark::send_closed)));
    if (length > 0 && (pushed || length > half_of_largest_window(c))) out.flags |= flag::psh;
}

// The data of [seq, seq + length) once more, with the FIN if it was sent behind it. Returns the
// end.
Seq write_again(Connection& c, Transfer& t, Seq seq, uint32_t length, OutSegment& out,
                Environment& env, Instant now) {
    write_data(c, t, seq, length, out, env);
    if (out.flags.fin() && !c.has(Mark::fin_sent)) out.flags = out.flags & ~flag::fin;
    const Seq end = seq + out.payload_length + (out.flags.fin() ? 1 : 0);
    if (!t.flight.resend(seq, earlier_of(end, c.snd_nxt), low_us(now), env.transfers.flights)) {
        ++env.counters.flight_coarse;
    }
    if (t.model != no_index) {
        note_departure(c, t, earlier_of(end, c.snd_nxt).distance_from(seq), env, now);
    }
    if (end.after(c.snd_nxt)) account_departure(c, t, end, env, now);
    if (t.oversized.phase != Oversized::Phase::none) {
        note_oversized_sent_again(c, t, seq, end, env, now);
    }
    note_retransmission(c, t, out.payload_length, now);
    if (t.recovery.phase == Recovery::Phase::fast) t.recovery.sent += out.payload_length;
    if (t.timing && t.timed.after(seq)) t.timing = false;  // Karn
    if (!c.has(Mark::retransmit_armed)) arm_retransmission(c, env, now);
    ++env.counters.retrans_segs;
    return end;
}

bool emit_retransmission(Connection& c, Transfer& t, OutSegment& out, uint32_t payload_max,
                         Environment& env, Instant now) {
    const FlightRange* range = t.flight.first_lost(env.transfers.flights);
    const Seq seq = range->begin;
    const Seq end = data_end(c, env);
    Seq limit = earlier_of(end, range->end);
    // A short last segment is filled up with what has never been sent (section 3.8.1): the octet of
    // a zero-window probe must not cost the data behind it a round trip.
    const uint32_t pipe = bytes_in_flight(c, t);
    if (limit == c.snd_nxt && c.cwnd > pipe && t.flight.can_append(env.transfers.flights)) {
        limit = later_of(limit, earlier_of(end, seq + (c.cwnd - pipe)));
    }
    uint32_t length = std::min(payload_max, limit.distance_from(seq));
    // What a timeout sends first waits for nothing, though what was sent shortly before is under
    // way.
    const bool by_timeout = t.recovery.phase == Recovery::Phase::timeout && c.cwnd <= c.mss;
    const bool goes_anyhow = pipe == 0 || (by_timeout && seq == c.snd_una);
    if (!goes_anyhow && pipe + length > c.cwnd) return false;
    // SHLD-16: what lies beyond a shrunk window waits, but the first octet always may go.
    const Seq edge = c.snd_una.load() + std::max(c.snd_wnd, 1u);
    if (seq.at_or_after(edge) && length > 0) return false;
    if (length > 0) length = std::min(length, edge.distance_from(seq));
    write_again(c, t, seq, length, out, env, now);
    return true;
}

// Full segments ahead of a small one are no reason to hold it: the peer may delay the ACK of the
// last of them, and both would wait for the other (section 3.7.4, appendix A.3).
bool small_is_in_flight(const Connection& c, const Transfer& t) {
    return t.small_end.after(c.snd_una) && !t.small_end.after(c.snd_nxt);
}

// How much new data may leave now: by the peer's window, the congestion window, the segment size,
// and silly-window avoidance with Nagle's rule (section 3.8.6.2.1, MUST-38, SHLD-7) in the form of
// appendix A.3.
uint32_t sendable_length(const Connection& c, const Transfer& t, uint32_t congestion_left,
                         uint32_t unsent, uint32_t payload_max, const Environment& env) {
    // Nagle's rule is about data: a SYN,ACK that early data is answered behind does not count.
    const uint32_t flight = c.snd_nxt.load().distance_from(data_begin(c));
    // Negative when the window has shrunk (MUST-34, SHLD-15).
    const uint32_t window_left = c.snd_wnd > flight ? c.snd_wnd - flight : 0;
    const uint32_t usable = std::min(window_left, congestion_left);
    const uint32_t length = std::min({unsent, usable, payload_max});
    if (length == 0) return 0;
    if (length == payload_max) return length;
    const bool all_of_it = length == unsent;
    const bool pushed = c.has(Mark::send_closed) || t.pushing == Pushing::now;
    const bool held_back = t.pushing == Pushing::later || env.profile_of(c).cork;
    if (all_of_it && held_back && !pushed) return 0;
    const bool may_be_small =
        !small_is_in_flight(c, t) || c.has(Mark::no_nagle) || pushed || t.urgent_out;
    if (all_of_it && may_be_small) return length;
    // Cut short by the window, not by Nagle: worth sending if it is a good part of the peer's
    // buffer.
    if (!all_of_it && may_be_small && length >= half_of_largest_window(c)) return length;
    return 0;
}

// The FIN of a connection that has nothing queued and nothing in flight.
bool emit_bare_fin(Connection& c, OutSegment& out, Environment& env, Instant now) {
    if (!c.has(Mark::send_closed) || c.has(Mark::fin_sent)) return false;
    out.seq = c.snd_nxt;
    out.flags |= flag::fin;
    c.set(Mark::fin_sent);
    c.snd_nxt = out.seq + 1;
    if (!c.has(Mark::retransmit_armed)) {  // else it is the SYN,ACK that waits
        arm_retransmission(c, env, now);
        arm_user_timeout(c, env, now);
    }
    ++env.counters.out_segs;
    return true;
}

// At least `least` bytes are not refused for the congestion window's sake.
bool emit_new(Connection& c, Transfer& t, OutSegment& out, uint32_t payload_max, uint32_t least,
              Environment& env, Instant now) {
    if (c.has(Mark::fin_sent)) return false;
    const Seq seq = c.snd_nxt;
    const uint32_t unsent = data_end(c, env).distance_from(seq);
    const bool bare_fin = unsent == 0 && c.has(Mark::send_closed);
    uint32_t length = 0;
    uint32_t probe = 0;
    uint32_t allowed = 0;
    if (!t.flight.can_append(env.transfers.flights)) return false;
    if (unsent > 0) {
        if (!c.has(Mark::retransmit_armed) && idle_us(c, now) > base_rto_us(c, env.terms_of(c))) {
            restart_after_idle(c, env);
        }
        const uint32_t flight = seq.distance_from(c.snd_una);
        allowed = std::max(congestion_left(c, t, flight), least);
        if (c.has(Mark::narrow_path)) [[unlikely]] {
            probe = path_probe_payload(c, t, unsent, allowed, payload_max, env, now);
        }
        length = sendable_length(c, t, allowed, unsent, std::max(payload_max, probe), env);
        if (length == 0) return false;
    } else if (!bare_fin) {
        return false;
    }
    write_data(c, t, seq, length, out, env);
    length = out.payload_length;
    const Seq end = seq + length + (out.flags.fin() ? 1 : 0);
    if (out.flags.fin()) c.set(Mark::fin_sent);
    const uint32_t now_us = low_us(now);
    const bool in_burst = goes_on_in_burst(t, now_us);
    if (in_burst && length > 0 && ends_burst(c, length, allowed, payload_max)) {
        out.flags |= flag::psh;
    }
    if (length < payload_max) t.small_end = end;
    if (c.ecn && length > 0) mark_new_data(c, t, end, out);
    account_departure(c, t, end, env, now);
    if (t.pushing != Pushing::later && length == unsent) t.pushing = Pushing::usual;
    if (probe != 0) note_path_probe(c, t, seq, length, env);
    if (t.recovery.phase == Recovery::Phase::fast) t.recovery.sent += length;
    time_round_trip(t, end, now_us);
    if (!c.has(Mark::retransmit_armed) || c.has(Mark::persisting)) {  // (5.1)
        c.clear(Mark::persisting);
        arm_loss_timer(c, &t, env, now);
        arm_user_timeout(c, env, now);
    } else {
        follow_with_timer(c, t, seq, in_burst, env, now);
    }
    ++env.counters.out_segs;
    return true;
}

// RFC 8985 section 7.3: a segment of new data, past the congestion window if need be; else the last
// one once more.
bool emit_tail_probe(Connection& c, Transfer& t, OutSegment& out, uint32_t payload_max,
                     Environment& env, Instant now) {
    t.tail_probe.due = false;
    if (t.flight.empty()) return false;
    const Seq sent = c.snd_nxt;
    if (emit_new(c, t, out, payload_max, payload_max, env, now)) {
        t.tail_probe.repeated = false;
    } else {
        const Seq data = sent - (c.has(Mark::fin_sent) ? 1 : 0);
        const Seq first = c.snd_una;
        const uint32_t length =
            data.after(first) ? std::min(data.distance_from(first), payload_max) : 0;
        if (data.after(first + c.snd_wnd)) return false;  // the window has shrunk over it
        write_again(c, t, data - length, length, out, env, now);
        t.tail_probe.repeated = true;
    }
    t.tail_probe.under_way = true;
    t.tail_probe.end = c.snd_nxt;
    arm_retransmission(c, env, now);
    ++env.counters.tail_probes;
    return true;
}

bool waits_for_pacer(Connection& c, const Transfer& t, Environment& env, Instant now) {
    const Pacer& pacer = env.transfers.models[t.model].pacer;
    if (!c.has(Mark::pacing) && !pacer.may_send(now)) arm_pacing(c, pacer.wake_at(c.mss));
    return c.has(Mark::pacing);
}

// What was lost goes before what is new.
bool emit_text(Connection& c, Transfer& t, OutSegment& out, uint32_t payload_max, Environment& env,
               Instant now) {
    if (t.tail_probe.due && emit_tail_probe(c, t, out, payload_max, env, now)) return true;
    if (t.model != no_index && waits_for_pacer(c, t, env, now)) return false;
    if (t.flight.lost_bytes() != 0) {
        return emit_retransmission(c, t, out, payload_max, env, now);
    }
    return emit_new(c, t, out, payload_max, 0, env, now);
}

bool emit_fin_again(Connection& c, OutSegment& out, Environment& env) {
    c.clear(Mark::send_fin_again);
    if (!c.has(Mark::fin_sent) || fin_acknowledged(c)) return false;
    out.seq = c.snd_nxt.load() - 1;
    out.flags |= flag::fin;
    ++env.counters.retrans_segs;
    return true;
}

// Zero window (section 3.8.6.1, MUST-36) and keep-alive (SHLD-12): a segment without data before
// the window, which the peer must answer, and of which nothing is to be sent again. A window that
// has shrunk over what is in flight: the first octet of that. Window too small for silly-window
// avoidance: what fits, by the override timeout.
bool emit_probe(Connection& c, OutSegment& out, uint32_t payload_max, Environment& env,
                Instant now) {
    c.clear(Mark::send_probe);
    ++env.counters.out_segs;
    const uint32_t queued = queued_bytes(c, env);
    ++(queued == 0 ? env.counters.keep_alives : env.counters.zero_window_probes);
    if (queued == 0 || (c.snd_wnd == 0 && c.snd_una == c.snd_nxt.load())) {
        out.seq = c.snd_nxt.load() - 1;
        return true;
    }
    Transfer* t = transfer_of(c, env);
    write_data(c, *t, c.snd_una, std::min({std::max(c.snd_wnd, 1u), queued, payload_max}), out,
               env);
    // Nothing follows it for a while.
    out.flags = (out.flags & ~flag::fin) | flag::psh;
    const Seq end = c.snd_una.load() + out.payload_length;
    if (end.after(c.snd_nxt)) account_departure(c, *t, end, env, now);
    t->timing = false;
    return true;
}

// The ACK of all that has come is still to follow.
bool emit_ack_of_mark_change(Connection& c, Transfer& t, OutSegment& out, Environment& env,
                             Instant now) {
    out.seq = acceptable_seq(c);
    ++env.counters.out_segs;
    write_acknowledgment(c, out, env, now);
    write_ack_of_mark_change(c, t, out);
    c.set(Mark::ack_now);
    return true;
}

// When there is data that nothing else will ever send, the persist timer must (SHLD-29).
void arm_persist_if_stuck(Connection& c, Environment& env, Instant now) {
    if (c.has(Mark::retransmit_armed) || c.has(Mark::syn_unacked) || c.has(Mark::pacing)) return;
    if (queued_bytes(c, env) == 0) return;
    c.set(Mark::persisting);
    arm_retransmission(c, env, now);
    arm_user_timeout(c, env, now);
}

}  // namespace

void gather_queued(const Connection& c, uint32_t offset, uint32_t length, OutSegment& out,
                   Environment& env) {
    gather(*transfer_of(c, env), offset, length, env.buffers, out);
}

namespace {

// Whether `unsent` bytes of new data wait for nothing but an ACK: what sendable_length would find
// out, but without all that it looks at. More often than not, they do. Out of line: who has nothing
// to send shall not save registers for it.
[[gnu::noinline]] bool awaits_acknowledgment(const Connection& c, const Transfer& t,
                                             uint32_t unsent) {
    const uint32_t flight = c.snd_nxt.load().distance_from(c.snd_una);
    const uint32_t window_left = c.snd_wnd > flight ? c.snd_wnd - flight : 0;
    const uint32_t usable = std::min(window_left, congestion_left(c, t, flight));
    return usable < c.mss && usable < unsent && !c.has(Mark::narrow_path) && t.model == no_index &&
           usable < payload_max(c, t) && (usable == 0 || usable < half_of_largest_window(c));
}

bool owes_fin(const Connection& c) {
    constexpr auto send_closed = static_cast<uint32_t>(Mark::send_closed);
    constexpr auto fin_sent = static_cast<uint32_t>(Mark::fin_sent);
    return (c.flags & (send_closed | fin_sent)) == send_closed;
}

// Before the end of the handshake, or while the pacer has to be waited for.
bool has_output_in_waiting(const Connection& c, const Environment& env) {
    if (awaits_handshake(c)) return false;
    const Transfer* t = transfer_of(c, env);
    if (c.has(Mark::pacing)) return t != nullptr && t->tail_probe.due;
    return c.has(Mark::send_closed) || t != nullptr;
}

}  // namespace

bool has_output_without_mark(const Connection& c, const Environment& env) {
    constexpr uint32_t waiting =
        static_cast<uint32_t>(Mark::syn_unacked) | static_cast<uint32_t>(Mark::pacing);
    constexpr auto armed = static_cast<uint32_t>(Mark::retransmit_armed);
    constexpr auto persisting = static_cast<uint32_t>(Mark::persisting);
    if (c.state == State::closed) return false;
    if (c.has_any(waiting)) [[unlikely]]
        return has_output_in_waiting(c, env);
    const uint32_t place = c.transfer;
    if (place == no_index) return owes_fin(c);
    const Transfer& t = env.transfers.transfers[place];
    // What is to be sent again may be the FIN alone, behind an empty queue.
    if (t.flight.lost_bytes() != 0 || t.tail_probe.due) return true;
    const Seq end = c.snd_una.load() + t.unsent_or_unacked.bytes;
    const Seq nxt = c.snd_nxt;
    if (!nxt.before(end)) return owes_fin(c);
    if ((c.flags & (armed | persisting)) != armed) return true;
    return !awaits_acknowledgment(c, t, end.distance_from(nxt));
}

bool next_segment_in_general(Connection& c, OutSegment& out, Environment& env, Instant now) {
    if (c.state == State::closed) return false;
    out.flags = flag::none;
    out.ecn = wire::Ecn::not_capable;
    out.options.clear();
    out.piece_count = 0;
    out.payload_length = 0;
    out.ack = Seq{};
    out.window = 0;
    out.urgent = 0;
    if (c.has(Mark::send_reset)) return emit_reset(c, out, env, now);
    if (c.has(Mark::send_syn)) return emit_syn(c, out, env, now);
    if (awaits_handshake(c) && !c.has(Mark::ack_now)) return false;

    Transfer* t = transfer_of(c, env);
    if (c.ecn && t != nullptr && t->mark_change_count > 0) [[unlikely]]
        return emit_ack_of_mark_change(c, *t, out, env, now);
    const uint32_t payload_max = t == nullptr ? 0 : tcp::payload_max(c, *t);
    bool sent = false;
    if (!awaits_handshake(c)) {
        sent = t == nullptr ? emit_bare_fin(c, out, env, now)
                            : emit_text(c, *t, out, payload_max, env, now);
        if (!sent && c.has(Mark::send_fin_again)) sent = emit_fin_again(c, out, env);
        if (!sent && c.has(Mark::send_probe)) sent = emit_probe(c, out, payload_max, env, now);
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
