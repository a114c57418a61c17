// The fast path of output: what nearly every segment is.
//
// Usual is the first SYN or SYN,ACK with all the options that most hosts carry; of a connection of
// which nothing is on its way, one of three things: all that is queued, in one segment and one
// piece, perhaps with the FIN behind it; a FIN alone; an ACK; and of one of which something is, a
// full segment of what is queued, in one piece and not the last, for which both windows have room.
// No loss and no pacer has a word in that. Whatever differs is left to next_segment_in_general. So
// this file decides nothing: what it emits, next_segment_in_general would emit in the same way.
//
// Inline, and with whoever writes it as an argument, so that what a segment says goes from the
// connection to the frame in registers.
#pragma once

#include <synfin/tcp/output_steps.hpp>
#include <synfin/wire/tcp.hpp>
#include <synfin/wire/usual_segment.hpp>

namespace synfin::tcp {

/// What next_usual_segment has done.
enum class Usual : uint8_t {
    none,   ///< nothing: the next segment is no usual one
    ack,    ///< emitted an ACK alone, and there is nothing more to say now: the short timers rest
    armed,  ///< emitted what has started the retransmission timer, the only short one that runs;
            ///< nothing more to say now
    more,   ///< emitted it; wants_output tells whether there is more
};

namespace usual {

constexpr uint32_t bits(auto... marks) { return (static_cast<uint32_t>(marks) | ...); }

/// With these, something else leaves, or more is to be said than is said here.
inline constexpr uint32_t unusual_marks = bits(
    Mark::send_reset, Mark::send_syn, Mark::send_fin_again, Mark::send_probe, Mark::persisting,
    Mark::pacing, Mark::extra_option, Mark::narrow_path, Mark::retransmit_armed, Mark::syn_unacked);

/// Of a usual SYN these are set, and none of the others.
inline constexpr uint32_t syn_marks = bits(Mark::send_syn, Mark::syn_unacked, Mark::timestamps,
                                           Mark::window_scaling, Mark::sack_permitted);
inline constexpr uint32_t unusual_syn_marks =
    bits(Mark::send_reset, Mark::extra_option, Mark::narrow_path, Mark::delayed_ack, Mark::pacing);

inline wire::usual::Timestamps timestamps_of(const Connection& c, const Moment& now) {
    return {timestamp_clock(c.ts_offset, now), c.ts_recent};
}

/// Whether the connection has been idle for no longer than its RTO.
[[gnu::noinline]] inline bool is_busy_by_rto(const Connection& c, const Terms& terms,
                                             uint32_t idle) {
    return idle <= base_rto_us(c, terms);
}
/// The same; nearly always, the least RTO says it.
[[gnu::always_inline]] inline bool is_busy(const Connection& c, const Terms& terms,
                                           const Moment& now) {
    const uint32_t idle = idle_us(c, now);
    if (c.srtt_us != 0 && idle <= terms.rto_min_us) [[likely]]
        return true;
    return is_busy_by_rto(c, terms, idle);
}

/// Whether the `length` bytes that are queued may leave at once, in one segment that is not full
/// with options of `with_options` bytes in all.
[[gnu::always_inline]] inline bool leaves_at_once(const Connection& c, uint32_t length,
                                                  uint32_t with_options, const Terms& terms,
                                                  const Moment& now) {
    return with_options < c.mss && length <= c.snd_wnd && length <= c.cwnd && !terms.cork &&
           !c.has(Mark::fin_sent) && is_busy(c, terms, now);
}

/// All that is queued, up to `end`, is taken for sent.
[[gnu::always_inline]] inline void take_text(Connection& c, Transfer& t, Seq end, Environment& env,
                                             const Moment& now) {
    t.cursor_node = t.unsent_or_unacked.head;
    t.cursor_offset = 0;
    const auto now_us = low_us(now);
    t.burst_us = now_us;
    t.flight.append(end, now_us, 0, env.transfers.flights);
    time_round_trip(t, end, now_us);
    c.snd_nxt = end;
}

/// arm_loss_timer, when what has just left at once, in a segment that is not full, is all that is
/// in flight, and the RTO is not backed off.
[[gnu::always_inline]] inline void arm_loss_timer_of_text(Connection& c, Transfer& t,
                                                          const Terms& terms, Environment& env,
                                                          const Moment& now) {
    const uint32_t timeout_us = base_rto_us(c, terms);
    // Nearly always the probe would come too late, however short the round trips are.
    if (timeout_us > tail_probe_wait_min_us + longest_delayed_ack_us) [[unlikely]]
        return arm_loss_timer(c, &t, env, now);
    arm_timeout(c, &t, timeout_us, now);
}

template <typename Write>
[[gnu::always_inline]] inline Usual next_syn(Connection& c, const Terms& terms, Environment& env,
                                             const Moment& now, Write& write) {
    const Seq iss = c.snd_una;
    const State state = c.state;
    uint32_t flags = c.flags;
    if ((flags & (syn_marks | unusual_syn_marks)) != syn_marks || !is_handshake(state) ||
        c.snd_nxt.load() != iss || c.ecn || c.transfer != no_index || terms.user_timeout_option) {
        return Usual::none;
    }
    flags &= ~bits(Mark::send_syn);
    const bool passive = state == State::syn_received;
    Seq ack;
    if (passive) {
        ack = c.rcv_nxt;
        c.last_ack_sent = ack;
        c.rcv_edge = later_of(c.rcv_edge, ack + terms.syn_window);
        flags &= ~bits(Mark::ack_now);
    }
    c.snd_nxt = iss + 1;
    c.rttvar_us = low_us(now);
    c.flags = flags;
    arm_timeout(c, nullptr, terms.rto_initial_us, now);  // nothing has been measured or tried yet
    arm_user_timeout(c, terms, env, now);
    write(wire::TcpFields{.seq = iss.value(),
                          .ack = ack.value(),
                          .flags = passive ? wire::flag::syn | wire::flag::ack : wire::flag::syn,
                          .window = terms.syn_window},
          wire::usual::OptionsOfSyn{receive_mss(c, terms), c.rcv_scale, timestamps_of(c, now)},
          wire::SummedBytes{});
    return Usual::armed;
}

/// What every segment from `seq` on says that is no SYN (MUST-58), but for its options; it is
/// accounted for.
[[gnu::always_inline]] inline wire::TcpFields acknowledge(Connection& c, Seq seq,
                                                          const Terms& terms, Environment& env) {
    const Seq ack = c.rcv_nxt;
    const uint16_t window = announce_whole_window(c, terms, env);
    c.last_ack_sent = ack;
    c.flags &= ~bits(Mark::ack_now, Mark::delayed_ack);
    return {.seq = seq.value(), .ack = ack.value(), .flags = wire::flag::ack, .window = window};
}

template <typename Write>
[[gnu::always_inline]] inline void write_with_options(const Connection& c, const Moment& now,
                                                      wire::TcpFields fields,
                                                      const wire::SummedBytes& payload,
                                                      Write& write) {
    if (c.has(Mark::timestamps)) [[likely]] {
        write(fields, timestamps_of(c, now), payload);
    } else {
        write(fields, wire::usual::NoOptions{}, payload);
    }
}

template <typename Write>
[[gnu::always_inline]] inline Usual next_text(Connection& c, Transfer& t, const Terms& terms,
                                              bool fin, Environment& env, const Moment& now,
                                              Write& write) {
    const uint32_t length = t.unsent_or_unacked.bytes;
    if (!t.plain || length == 0) return Usual::none;
    const BufferNode& node = env.buffers.nodes[t.unsent_or_unacked.head];
    const uint32_t with_options = length + agreed_option_bytes(c);
    if (node.length != length || !leaves_at_once(c, length, with_options, terms, now)) {
        return Usual::none;
    }
    const Seq seq = c.snd_nxt;
    Seq end = seq + length;
    wire::TcpFlags flags = wire::flag::ack | wire::flag::psh;  // MUST-61
    if (fin) {
        flags |= wire::flag::fin;
        c.set(Mark::fin_sent);
        end = end + 1;
    }
    t.small_end = end;
    take_text(c, t, end, env, now);
    arm_loss_timer_of_text(c, t, terms, env, now);
    arm_user_timeout(c, terms, env, now);
    wire::TcpFields fields = acknowledge(c, seq, terms, env);
    fields.flags = flags;
    write_with_options(c, now, fields, {{node.data, length}, node.sum}, write);
    return Usual::armed;
}

/// With these, what leaves is not new data, or more is to be said than is said here.
inline constexpr uint32_t unusual_stream_marks =
    (unusual_marks & ~bits(Mark::retransmit_armed)) | bits(Mark::fin_sent);

/// Whether new data goes on as it went before.
[[gnu::always_inline]] inline bool flows(const Connection& c, const Transfer& t) {
    return !c.ecn && t.flight.lost_bytes() == 0 && !t.tail_probe.due &&
           t.recovery.phase == Recovery::Phase::none && t.model == no_index && !t.urgent_out &&
           !t.owes_dsack() && t.held == no_index && t.unread.empty();
}

/// A full segment of new data behind what is in flight.
template <typename Write>
[[gnu::always_inline]] inline Usual next_of_stream(Connection& c, const Terms& terms,
                                                   Environment& env, const Moment& now,
                                                   Write& write) {
    Transfer* const t = transfer_of(c, env);
    if (c.has_any(unusual_stream_marks) || t == nullptr || !flows(c, *t)) return Usual::none;
    const Seq seq = c.snd_nxt;
    const uint32_t flight = seq.distance_from(c.snd_una);
    const uint32_t options = agreed_option_bytes(c);
    const uint32_t length = c.mss > options ? c.mss - options : 1;
    const uint32_t allowed = congestion_left(c, *t, flight);
    const uint32_t end_of_it = flight + length;
    if (end_of_it >= t->unsent_or_unacked.bytes || end_of_it > c.snd_wnd || length > allowed ||
        !t->flight.can_append(env.transfers.flights)) {
        return Usual::none;
    }
    const uint32_t skip = seek(*t, flight, env.buffers);
    const BufferNode& node = env.buffers.nodes[t->cursor_node];
    if (node.length - skip < length + (node.ends_record ? 1 : 0)) return Usual::none;

    const wire::SummedBytes payload{{node.data + skip, length}};
    wire::TcpFields fields = acknowledge(c, seq, terms, env);
    const uint32_t now_us = low_us(now);
    const bool in_burst = goes_on_in_burst(*t, now_us);
    if (length > half_of_largest_window(c) ||
        (in_burst && ends_burst(c, length, allowed, length))) {
        fields.flags |= wire::flag::psh;
    }
    const Seq end = seq + length;
    account_new(c, *t, end, env, now_us);
    time_round_trip(*t, end, now_us);
    follow_with_timer(c, *t, seq, in_burst, env, now);
    write_with_options(c, now, fields, payload, write);
    return Usual::more;
}

template <typename Write>
[[gnu::always_inline]] inline Usual next_fin(Connection& c, Seq seq, const Terms& terms,
                                             Environment& env, const Moment& now, Write& write) {
    c.snd_nxt = seq + 1;
    c.set(Mark::fin_sent);
    wire::TcpFields fields = acknowledge(c, seq, terms, env);
    fields.flags |= wire::flag::fin;
    arm_timeout(c, nullptr, base_rto_us(c, terms), now);
    arm_user_timeout(c, terms, env, now);
    write_with_options(c, now, fields, {}, write);
    return Usual::armed;
}

/// Data, a FIN or an ACK, in ESTABLISHED and later.
template <typename Write>
[[gnu::always_inline]] inline Usual next_plain(Connection& c, const Terms& terms, Environment& env,
                                               const Moment& now, Write& write) {
    const uint32_t flags = c.flags;
    if ((flags & unusual_marks) != 0 || c.snd_una.load() != c.snd_nxt || c.ecn != 0 ||
        c.rto_shift != 0) {
        return Usual::none;
    }
    const bool fin = (flags & bits(Mark::send_closed, Mark::fin_sent)) == bits(Mark::send_closed);
    if (Transfer* const t = usual_transfer_of(c, env)) {
        return next_text(c, *t, terms, fin, env, now, write);
    }
    const Seq seq = c.snd_nxt;
    if (fin) return next_fin(c, seq, terms, env, now, write);
    if ((flags & bits(Mark::ack_now)) == 0) return Usual::none;
    write_with_options(c, now, acknowledge(c, seq, terms, env), {}, write);
    return Usual::ack;
}

}  // namespace usual

/// If the next segment is a usual one, it is accounted for as sent and given to
/// `write(fields, options, payload)`: fields without ports, options of one of wire's usual layouts,
/// and SummedBytes that stay valid as OutSegment::pieces do. If not, nothing is said or done; ask
/// next_segment. `terms` are the connection's, and it is not closed. Only out_segs is the caller's
/// to count, who may do so for many at once.
template <typename Write>
[[gnu::always_inline]] inline Usual next_usual_segment(Connection& c, const Terms& terms,
                                                       Environment& env, const Moment& now,
                                                       Write&& write) {
    if (c.has(Mark::send_syn)) return usual::next_syn(c, terms, env, now, write);
    const Usual plain = usual::next_plain(c, terms, env, now, write);
    if (plain != Usual::none || !c.has(Mark::retransmit_armed)) return plain;
    return usual::next_of_stream(c, terms, env, now, write);
}

}  // namespace synfin::tcp
