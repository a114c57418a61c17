// Steps of SEGMENT ARRIVES that the fast path (usual_input.hpp) and the general one (input.cpp)
// take in the same way. Inline in any case, so that what they bring about stays in registers.
#pragma once

#include <algorithm>

#include <synfin/tcp/internal.hpp>
#include <synfin/tcp/negotiation.hpp>

namespace synfin::tcp {

[[gnu::always_inline]] inline uint32_t receive_window(const Connection& c) {
    return c.rcv_edge.distance_from(c.rcv_nxt);
}

/// TS.Recent follows what covers Last.ACK.sent (RFC 7323 section 4.3). Not before the ACK field has
/// been believed: a forged stamp would have the peer's own segments dropped from then on. `tick` is
/// paws_tick of now.
[[gnu::always_inline]] inline void take_timestamp(Connection& c, const Segment& s, uint16_t tick) {
    if (s.seq.after(c.last_ack_sent)) return;
    c.ts_recent = s.options.ts_value;
    c.ts_recent_tick = tick;
}
/// The same of a segment that need not have one.
[[gnu::always_inline]] inline void update_ts_recent(Connection& c, const Segment& s,
                                                    uint16_t tick) {
    if (c.has(Mark::timestamps) && s.options.has_timestamps) take_timestamp(c, s, tick);
}

[[gnu::always_inline]] inline void update_send_window(Connection& c, const Segment& s) {
    const Seq seq = s.seq;
    const Seq ack = s.ack;
    const bool newer = c.snd_wl1.before(seq) || (c.snd_wl1 == seq && c.snd_wl2.at_or_before(ack));
    if (!newer) return;
    const uint16_t window = s.window;
    c.snd_wnd = uint32_t{window} << c.snd_scale;
    c.snd_wl1 = seq;
    c.snd_wl2 = ack;
    if (window > c.max_snd_wnd) c.max_snd_wnd = window;
}

/// What the ACK of our FIN does to the state. True if the connection is over.
[[gnu::always_inline]] inline bool advance_after_fin_ack(Connection& c, const Segment& s,
                                                         Environment& env, const Moment& now,
                                                         InputResult& result) {
    Events& events = result.events;
    switch (c.state) {
        case State::fin_wait_1:
            move_state<State::fin_wait_1, State::fin_wait_2>(c, env.counters);
            if (arm_fin_wait_2(c, env, now)) [[unlikely]] {
                result.reply = Reply{s.ack, Seq{}, wire::flag::rst};
                Events end;
                end_connection(c, CloseReason::aborted, env, end);
                events.closed = end.closed;
                return true;
            }
            arm_keep_alive(c, env, now);
            return false;
        case State::closing: finish<State::closing, State::time_wait>(c, env, events); return true;
        case State::last_ack:
            c.clear(Mark::ack_now);
            finish<State::last_ack, State::closed>(c, env, events);
            return true;
        default: return false;
    }
}

/// What the peer's SYN says of it, in SYN_SENT.
[[gnu::always_inline]] inline void take_peer_syn(Connection& c, const Segment& s, Environment& env,
                                                 const Moment& now) {
    const Terms& terms = env.terms_of(c);
    const Seq rcv_nxt = s.seq + 1;
    c.rcv_nxt = rcv_nxt;
    c.last_ack_sent = rcv_nxt;
    // What our SYN announced, unscaled, counts from here.
    const uint32_t window = c.transfer == no_index
                                ? terms.syn_window
                                : std::min<uint32_t>(receive_buffer_space(c, env), 0xffff);
    c.rcv_edge = rcv_nxt + window;
    negotiate(c, s, terms, env, now);
    c.snd_wnd = s.window;  // unscaled in a SYN
    c.max_snd_wnd = static_cast<uint16_t>(s.window >> c.snd_scale);
    c.snd_wl1 = s.seq;
    c.snd_wl2 = c.snd_una;
}

/// ESTABLISHED, after either side's handshake; a close that was called earlier takes effect. `from`
/// is the state, unless that was such a close; `alone`: nothing but the SYN has been sent, and
/// nothing is queued.
template <State from, bool alone = false>
[[gnu::always_inline]] inline void complete_handshake(Connection& c, Environment& env,
                                                      const Moment& now, Events& events) {
    constexpr uint32_t over =
        static_cast<uint32_t>(Mark::syn_unacked) | static_cast<uint32_t>(Mark::send_syn) |
        static_cast<uint32_t>(Mark::retry_reported) | static_cast<uint32_t>(Mark::extra_option);
    const Terms& terms = env.terms_of(c);
    const uint32_t departure_us = c.rttvar_us;
    c.rttvar_us = 0;
    if (!c.has(Mark::syn_retransmitted) && departure_us != 0) {  // Karn
        take_first_round_trip_sample(c, low_us(now) - departure_us);
    }
    start_congestion_control(c, terms);
    c.backoff = 0;
    c.rto_shift = 0;
    const Seq una = c.snd_una.load() + 1;
    c.snd_una = una;
    c.flags &= ~over;
    if (terms.user_timeout_option) [[unlikely]]
        c.set(Mark::extra_option);
    if (Transfer* t = alone ? nullptr : transfer_of(c, env)) restart_flight(c, *t, env);
    if (alone || una == c.snd_nxt) [[likely]] {
        stop_retransmission(c, now);
    } else {
        arm_retransmission(c, env, now);
        arm_user_timeout(c, terms, env, now);
    }
    if (c.state == from) {
        move_state<from, State::established>(c, env.counters);
        if (c.has(Mark::send_closed)) {
            move_state<State::established, State::fin_wait_1>(c, env.counters);
        }
    }
    events.add(Event::established);
    arm_keep_alive(c, env, now);
}

/// The segment of a peer that has heard of no MSS (section 3.7.1): what is as large may be full.
inline constexpr size_t least_full_segment = 536;

/// RFC 5681 section 4.2: text is acknowledged at once when it has filled a hole or a second full
/// segment has come. What a full segment is to the peer, only the peer knows: its MTU may be
/// smaller than ours. So the second segment counts, whatever its size.
inline void owe_acknowledgment(Connection& c, const Segment& s, bool filled_hole, Environment& env,
                               const Moment& now) {
    const uint32_t unacknowledged = c.rcv_nxt.load().distance_from(c.last_ack_sent);
    if (filled_hole || c.has(Mark::delayed_ack) ||
        unacknowledged + 2 * agreed_option_bytes(c) >= uint32_t{2} * c.mss) {
        c.set(Mark::ack_now);
    } else {
        const bool awaited = s.flags.psh() || s.payload.size() >= least_full_segment;
        arm_delayed_ack(c, awaited, env, now);
    }
}

/// Eighth, the FIN bit.
[[gnu::always_inline]] inline void check_fin(Connection& c, Environment& env, Events& events) {
    const Seq fin = c.rcv_nxt;
    c.rcv_nxt = fin + 1;
    c.rcv_edge = later_of(c.rcv_edge, fin + 1);
    if (Transfer* t = transfer_of(c, env)) {
        t->held_fin = false;  // it may have come twice: behind a hole, and with what filled it
        // No octet follows a FIN, whatever the peer has sent before.
        t->urgent_end = earlier_of(t->urgent_end, fin);
        if (t->held != no_index) [[unlikely]]
            release_held(*t, env);
        drop_idle_transfer(c, env);
    }
    c.set(Mark::peer_fin);
    c.set(Mark::ack_now);
    events.add(Event::peer_closed);
    switch (c.state) {
        case State::established:
            move_state<State::established, State::close_wait>(c, env.counters);
            break;
        case State::fin_wait_1:
            move_state<State::fin_wait_1, State::closing>(c, env.counters);
            break;
        case State::fin_wait_2: finish<State::fin_wait_2, State::time_wait>(c, env, events); break;
        default: break;
    }
}

}  // namespace synfin::tcp
