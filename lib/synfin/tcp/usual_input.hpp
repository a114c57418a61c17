// The fast path of input: the very segment that was expected.
//
// In SYN_SENT that is a SYN,ACK of our first SYN, with all the options that most hosts carry and
// nothing else. Later it is what nearly every segment is: it begins at rcv_nxt and fits into the
// window; it acknowledges all that we have sent; its options are those that were agreed
// on; and when it has been taken, nothing is left of what was on its way. Then the checks of
// section 3.10.7.4 hold without being asked for one by one, and there is nothing to recover, to
// probe or to reassemble. Or it is the ACK of a part of a long transfer: then there may be, and
// only the checks are spared. Whatever differs is left to input_in_general. So nothing is decided
// here: what is taken, input_in_general would take in the same way.
#pragma once

#include <synfin/tcp/input_steps.hpp>
#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace usual {

/// With these there is more to do than is done here.
inline constexpr uint32_t unusual_input_marks =
    static_cast<uint32_t>(Mark::send_reset) | static_cast<uint32_t>(Mark::keep_alive) |
    static_cast<uint32_t>(Mark::persisting) | static_cast<uint32_t>(Mark::pacing);

/// With these the user may have said that nobody reads any more.
inline constexpr uint32_t text_may_be_refused =
    static_cast<uint32_t>(Mark::detached) | static_cast<uint32_t>(Mark::fin_sent);

[[gnu::always_inline]] inline bool has_usual_options(const Connection& c, const Segment& s) {
    if (!c.has(Mark::timestamps)) return s.options.kinds() == wire::TcpOptionKinds{};
    // PAWS (RFC 7323 section 5.3)
    return s.options.kinds() == wire::TcpOptionKinds::timestamps_alone() &&
           static_cast<int32_t>(s.options.ts_value - c.ts_recent) >= 0;
}

/// Whether a plain transfer has nothing more to do once `acked` octets, all that is in flight, are
/// acknowledged; and the congestion window has not been used so far that it would grow.
[[gnu::always_inline]] inline bool ends_with(const Connection& c, const Transfer& t,
                                             uint32_t acked) {
    const uint32_t fin = c.has(Mark::fin_sent) ? 1 : 0;
    return t.plain && acked > fin && t.unsent_or_unacked.bytes == acked - fin && c.cwnd / 2 > acked;
}

/// Whether this is the segment that was expected, as far as the ACK field does not tell.
[[gnu::always_inline]] inline bool begins_as_expected(const Connection& c, const Segment& s) {
    if ((s.flags & ~(wire::flag::psh | wire::flag::fin)) != wire::flag::ack) return false;
    const State state = c.state;
    if (state < State::syn_received || state > State::last_ack) return false;
    if (c.has_any(unusual_input_marks)) return false;
    if (c.ecn != 0 || c.rto_shift != 0) return false;
    return s.seq == c.rcv_nxt && has_usual_options(c, s);
}

/// The same of one that acknowledges all that we have sent.
[[gnu::always_inline]] inline bool is_usual(const Connection& c, const Segment& s,
                                            const Transfer* t) {
    if (!s.payload.empty() || s.flags.fin()) {
        const State state = c.state;
        if (state != State::syn_received && !can_receive(state)) return false;
        if (s.payload.size() > receive_window(c)) return false;
        if (!s.payload.empty() && c.has_any(text_may_be_refused)) return false;
    }
    const uint32_t acked = s.ack.distance_from(c.snd_una);
    if (c.has(Mark::syn_unacked)) return c.state == State::syn_received && acked == 1 && !t;
    return t == nullptr || ends_with(c, *t, acked);
}

/// Whether it does nothing but acknowledge some of what is in flight, and no FIN.
inline bool acknowledges_text(const Connection& c, const Segment& s) {
    constexpr uint32_t others =
        static_cast<uint32_t>(Mark::syn_unacked) | static_cast<uint32_t>(Mark::fin_sent);
    if (c.transfer == no_index || !s.payload.empty() || s.flags.fin() || c.has_any(others) ||
        !begins_as_expected(c, s)) {
        return false;
    }
    const Seq una = c.snd_una;
    return s.ack != una && s.ack.in_window(una, c.snd_nxt.load().distance_from(una) + 1);
}

/// All that was in flight has arrived.
[[gnu::always_inline]] inline void take_acknowledgment(Connection& c, Transfer* t, const Segment& s,
                                                       Environment& env, const Moment& now,
                                                       Events& events) {
    if (t != nullptr) {
        if (t->timing) {
            take_round_trip_sample(c, low_us(now) - t->timed_at_us);
        }
        events.add(Event::acknowledged);
        release_plain(c, *t, env);
    }
    c.snd_una = s.ack;
    c.backoff = 0;
    c.clear(Mark::retry_reported);
    c.clear(Mark::send_fin_again);
    stop_retransmission(c, now);
}

/// With these there is more to do at the end of a handshake than is done here.
inline constexpr uint32_t unusual_syn_ack_marks = static_cast<uint32_t>(Mark::send_reset) |
                                                  static_cast<uint32_t>(Mark::send_closed) |
                                                  static_cast<uint32_t>(Mark::extra_option);

[[gnu::always_inline]] inline bool take_syn_ack(Connection& c, const Segment& s, Environment& env,
                                                const Moment& now, Events& events) {
    if (s.flags != (wire::flag::syn | wire::flag::ack) || s.ack != c.snd_nxt ||
        s.ack == c.snd_una || s.options.kinds() != wire::TcpOptionKinds::usual_syn() ||
        !s.payload.empty() || c.has_any(unusual_syn_ack_marks) || c.cwnd != 0 ||
        c.transfer != no_index) {
        return false;
    }
    take_peer_syn(c, s, env, now);
    c.snd_wl2 = s.ack;
    complete_handshake<State::syn_sent, true>(c, env, now, events);
    c.set(Mark::ack_now);
    return true;
}

}  // namespace usual

/// True: the segment was the expected one, it is taken, and `result`, which was empty, says what it
/// has brought about. False: nothing is said or done; ask take_other_segment.
[[gnu::always_inline]] inline bool take_usual_segment(Connection& c, const Segment& s,
                                                      Environment& env, const Moment& now,
                                                      InputResult& result) {
    if (c.state == State::syn_sent) return usual::take_syn_ack(c, s, env, now, result.events);
    Transfer* const t = usual_transfer_of(c, env);
    if (!usual::begins_as_expected(c, s) || s.ack != c.snd_nxt || !usual::is_usual(c, s, t)) {
        return false;
    }
    if (c.has(Mark::timestamps)) take_timestamp(c, s, paws_tick(now));
    if (c.has(Mark::syn_unacked)) {
        complete_handshake<State::syn_received, true>(c, env, now, result.events);
    } else if (s.ack != c.snd_una) {
        usual::take_acknowledgment(c, t, s, env, now, result.events);
    }
    update_send_window(c, s);
    // What has been sent is acknowledged, and so is the FIN, if there was one.
    if (c.has(Mark::fin_sent) && advance_after_fin_ack(c, s, env, now, result)) return true;
    if (!s.payload.empty()) {
        result.data = s.payload;
        c.rcv_nxt = c.rcv_nxt.load() + static_cast<uint32_t>(s.payload.size());
        owe_acknowledgment(c, s, false, env, now);
    }
    if (s.flags.fin()) check_fin(c, env, result.events);
    return true;
}

/// input() of what take_usual_segment leaves; `result` is empty.
void take_other_segment(Connection& c, const Segment& s, Environment& env, const Moment& now,
                        InputResult& result);

}  // namespace synfin::tcp
