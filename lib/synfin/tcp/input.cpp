// SEGMENT ARRIVES in SYN_RECEIVED and all synchronized states (RFC 9293 section 3.10.7.4), step by
// step in the RFC's order, with RFC 5961 against blind attacks and RFC 7323's PAWS before all else.
#include <algorithm>

#include <synfin/base/assert.hpp>
#include <synfin/tcp/input_steps.hpp>
#include <synfin/tcp/internal.hpp>
#include <synfin/tcp/user_timeout.hpp>

namespace synfin::tcp {

namespace {

/// Whether a check lets the segment through to the next one.
enum class Check : bool { drop, pass };

// At most one answer in half a second to segments that carry nothing (RFC 5961 section 7), counted
// per connection, so that no outsider can watch it (CVE-2016-5696).
void answer_unacceptable(Connection& c, bool limited, Environment& env, Instant now) {
    constexpr uint16_t half_a_second = 62;  // of 2^13 us
    const auto tick = static_cast<uint16_t>((now.us() >> 13) | 1);
    const auto since = static_cast<uint16_t>(tick - c.challenge_tick);
    if (limited && c.challenge_tick != 0 && since < half_a_second) {
        ++env.counters.challenge_acks_skipped;
        return;
    }
    if (limited) c.challenge_tick = tick;
    c.set(Mark::ack_now);
}

void challenge(Connection& c, Environment& env, Instant now) {
    ++env.counters.challenge_acks;
    answer_unacceptable(c, true, env, now);
}

// RFC 7323 section 5.3 (R1): timestamps that run backwards mark an old duplicate.
Check check_timestamps(Connection& c, const Segment& s, Environment& env, Instant now) {
    if (!c.has(Mark::timestamps)) return Check::pass;
    if (!s.options.has_timestamps) {
        if (s.flags.syn()) return Check::pass;  // a peer that starts over: gets its challenge ACK
        ++env.counters.drop_no_timestamp;
        return Check::drop;
    }
    const bool backwards = static_cast<int32_t>(s.options.ts_value - c.ts_recent) < 0;
    if (!backwards) [[likely]]
        return Check::pass;
    constexpr uint16_t ticks_of_24_days = 471;
    if (static_cast<uint16_t>(paws_tick(now) - c.ts_recent_tick) > ticks_of_24_days) {
        return Check::pass;
    }
    ++env.counters.drop_paws;
    answer_unacceptable(c, s.length() == 0, env, now);
    return Check::drop;
}

// RFC 2883: of a segment that begins before rcv_nxt, the text that was taken before.
void report_duplicate(Connection& c, const Segment& s, Environment& env) {
    if (!c.has(Mark::sack_permitted) || s.payload.empty() || s.flags.syn()) return;
    const Seq end = earlier_of(s.seq + static_cast<uint32_t>(s.payload.size()), c.rcv_nxt);
    if (!s.seq.before(end)) return;
    if (Transfer* t = require_transfer(c, env)) note_duplicate(*t, s.seq, end);
    c.set(Mark::ack_now);
}

// The same for new text, which may contain what has waited behind a hole.
void report_held_part(Connection& c, Seq begin, std::span<const uint8_t> text, Environment& env) {
    if (!c.has(Mark::sack_permitted)) return;
    Transfer* t = transfer_of(c, env);
    if (t == nullptr || t->held == no_index) return;
    note_held_part(*t, begin, begin + static_cast<uint32_t>(text.size()), env);
}

// First, the sequence number (table 6). A segment that begins at the left edge of a closed window
// is let through for its ACK; its text is cut off later.
bool is_acceptable(const Connection& c, const Segment& s) {
    const uint32_t window = receive_window(c);
    const uint32_t length = s.length();
    const Seq rcv_nxt = c.rcv_nxt;
    if (window == 0) return s.seq == rcv_nxt;
    if (s.seq.in_window(rcv_nxt, window)) return true;
    return length > 0 && (s.seq + (length - 1)).in_window(rcv_nxt, window);
}

Check check_sequence(Connection& c, const Segment& s, Environment& env, Instant now) {
    if (is_acceptable(c, s)) return Check::pass;
    ++env.counters.drop_out_of_window;
    if (is_synchronized(c.state)) report_duplicate(c, s, env);
    arm_keep_alive(c, env, now);  // what is sent again proves that the peer is there (MUST-26)
    // A listener's SYN,ACK was lost; that of a simultaneous open has the timer of our SYN.
    const bool waits_at_listener = c.state == State::syn_received && c.has(Mark::passive_open);
    if (waits_at_listener && s.flags.syn() && !s.flags.ack() && s.seq == c.snd_wl1) {
        c.set(Mark::send_syn);
        c.ecn = c.ecn && agrees_to_ecn(s, env.profile_of(c));
        return Check::drop;
    }
    // A window of zero is being probed, or something was sent again: the answer must not be
    // delayed.
    answer_unacceptable(c, s.length() == 0, env, now);
    return Check::drop;
}

// Second, the RST bit (RFC 5961 section 3.2). A RST may carry text (SHLD-2): only where it begins
// counts.
void check_rst(Connection& c, const Segment& s, Environment& env, Instant now, Events& events) {
    if (s.seq != c.rcv_nxt) {
        if (s.seq.in_window(c.rcv_nxt, receive_window(c))) {
            ++env.counters.drop_rst_inexact;
            challenge(c, env, now);
        } else {
            ++env.counters.drop_rst_out_of_window;
        }
        return;
    }
    const bool refused = c.state == State::syn_received && !c.has(Mark::passive_open);
    end_connection(c, refused ? CloseReason::refused : CloseReason::reset, env, events);
}

// Fourth, the SYN bit: never believed on a connection that exists (RFC 5961 section 4.2). Only a
// half-open passive one goes back to LISTEN, that is: it is forgotten.
void check_syn(Connection& c, Environment& env, Instant now, Events& events) {
    ++env.counters.drop_syn_in_window;
    if (c.state == State::syn_received && c.has(Mark::passive_open)) {
        end_connection(c, CloseReason::reset, env, events);
        return;
    }
    challenge(c, env, now);
}

// The user reads no more: what comes now would be lost, and the peer must know (SHLD-3). The reset
// has the number that the peer expects next, whatever of ours it lacks: any other would only be
// challenged (RFC 5961).
bool refuse_text_after_close(Connection& c, const Segment& s, Environment& env,
                             InputResult& result) {
    const bool after_fin = c.state == State::fin_wait_1 || c.state == State::fin_wait_2;
    const bool refused =
        c.has(Mark::detached) || (after_fin && env.profile_of(c).refuses_text_after_fin);
    if (!refused) return false;
    ++env.counters.abort_on_data;
    result.reply = Reply{s.ack, Seq{}, wire::flag::rst};
    end_connection(c, CloseReason::aborted, env, result.events);
    return true;
}

// Section 3.10.7.3: the text of a SYN that crossed ours has waited for the handshake.
Check take_text_of_syn(Connection& c, const Segment& s, Environment& env, Instant now,
                       InputResult& result) {
    Transfer* t = transfer_of(c, env);
    if (t == nullptr || t->held == no_index) return Check::pass;
    if (refuse_text_after_close(c, s, env, result)) return Check::drop;
    c.rcv_nxt = take_contiguous(*t, c.rcv_nxt, env);
    result.events.add(Event::readable);
    owe_acknowledgment(c, s, false, env, now);
    return Check::pass;
}

// Fifth, the ACK field (with RFC 5961 section 5.2).
Check check_ack(Connection& c, const Segment& s, Environment& env, Instant now,
                InputResult& result) {
    if (!s.flags.ack()) {
        ++env.counters.drop_no_ack;
        return Check::drop;
    }
    const Seq una = c.snd_una;
    if (c.state == State::syn_received) {
        if (!s.ack.after(una) || s.ack.after(c.snd_nxt)) {
            ++env.counters.drop_bad_ack;
            result.reply = Reply{s.ack, Seq{}, wire::flag::rst};
            return Check::drop;
        }
    } else {
        const Seq oldest = una - (uint32_t{c.max_snd_wnd} << c.snd_scale);
        if (s.ack.after(c.snd_nxt) || s.ack.before(oldest)) {
            ++env.counters.drop_bad_ack;
            answer_unacceptable(c, s.length() == 0, env, now);
            return Check::drop;
        }
    }
    if (c.has(Mark::syn_unacked)) {
        if (!s.ack.after(una)) {  // closed early, so not in SYN_RECEIVED any more
            ++env.counters.drop_bad_ack;
            return Check::drop;
        }
        complete_handshake<State::syn_received>(c, env, now, result.events);
        if (take_text_of_syn(c, s, env, now, result) == Check::drop) return Check::drop;
    }
    process_ack(c, s, env, now, result.events);
    return Check::pass;
}

// The part of the payload that is new and inside the window; `seq` moves with it.
std::span<const uint8_t> trim_text(const Connection& c, const Segment& s, Seq& seq) {
    std::span<const uint8_t> text = s.payload;
    const Seq rcv_nxt = c.rcv_nxt;
    if (seq.before(rcv_nxt)) {
        const uint32_t old =
            std::min(rcv_nxt.distance_from(seq), static_cast<uint32_t>(text.size()));
        text = text.subspan(old);
        seq += old;
    }
    const uint32_t room = c.rcv_edge.after(seq) ? c.rcv_edge.distance_from(seq) : 0;
    return text.first(std::min<size_t>(text.size(), room));
}

// Nothing follows a FIN, whatever the peer sends behind it.
std::span<const uint8_t> before_held_fin(const Transfer& t, Seq seq,
                                         std::span<const uint8_t> text) {
    const Seq end = seq + static_cast<uint32_t>(text.size());
    if (end.at_or_before(t.held_fin_seq)) return text;
    const Seq kept = later_of(seq, t.held_fin_seq);
    return text.first(seq.before(t.held_fin_seq) ? kept.distance_from(seq) : 0);
}

// In-order text: straight to the application if nothing is queued before it.
uint32_t take_in_order(Connection& c, const Segment& s, std::span<const uint8_t> text,
                       Environment& env, Instant now, InputResult& result) {
    Transfer* t = transfer_of(c, env);
    bool direct = t == nullptr || (t->unread.empty() && t->held == no_index);
    auto taken = static_cast<uint32_t>(text.size());
    const bool filled_hole = t != nullptr && t->held != no_index;
    if (!direct) {
        taken = t->unread.append_copy(text, env.buffers);
        if (taken < text.size() && t->held != no_index) {
            // What lies behind a hole has taken the memory that what lies before it needs.
            release_held(*t, env);
            taken += t->unread.append_copy(text.subspan(taken), env.buffers);
        }
        direct = taken == 0 && t->unread.empty();
    }
    if (direct) {
        taken = static_cast<uint32_t>(text.size());
        result.data = text;
        c.rcv_nxt = c.rcv_nxt.load() + taken;
        if (t != nullptr && t->urgent_in) drop_idle_transfer(c, env);
    } else {
        env.counters.receive_pruned += text.size() - taken;
        c.rcv_nxt = take_contiguous(*t, c.rcv_nxt.load() + taken, env);
        c.rcv_edge = later_of(c.rcv_edge, c.rcv_nxt);
        if (!t->unread.empty()) result.events.add(Event::readable);
    }
    owe_acknowledgment(c, s, filled_hole, env, now);
    return taken;
}

void hold_out_of_order(Connection& c, Seq seq, std::span<const uint8_t> text, Environment& env) {
    c.set(Mark::ack_now);  // a duplicate ACK, to tell the sender of the hole
    Transfer* t = require_transfer(c, env);
    if (t != nullptr && hold(*t, seq, text, env)) {
        ++env.counters.out_of_order;
    } else {
        ++env.counters.out_of_order_dropped;
    }
    drop_idle_transfer(c, env);
}

// A FIN of a segment whose text has been taken up to `seq`: in order, or behind a hole.
void take_fin(Connection& c, Seq fin_seq, Environment& env, Events& events) {
    if (fin_seq == c.rcv_nxt) {
        check_fin(c, env, events);
        return;
    }
    c.set(Mark::ack_now);
    Transfer* t = require_transfer(c, env);
    if (t == nullptr) return;
    t->held_fin = true;
    t->held_fin_seq = fin_seq;
}

void take_held_fin(Connection& c, Environment& env, Events& events) {
    Transfer* t = transfer_of(c, env);
    if (t == nullptr || !t->held_fin || t->held_fin_seq != c.rcv_nxt) return;
    check_fin(c, env, events);
}

// On the full connection only until the stack has made the compact record of it.
void input_time_wait(Connection& c, const Segment& s) {
    switch (on_segment_in_time_wait(make_time_wait(c), s)) {
        case TimeWaitVerdict::ignore: break;
        case TimeWaitVerdict::acknowledge:
        case TimeWaitVerdict::restart_and_acknowledge:
        case TimeWaitVerdict::reopen: c.set(Mark::ack_now); break;
    }
}

}  // namespace

void end_connection(Connection& c, CloseReason reason, Environment& env, Events& events) {
    stop_all_timers(c);
    c.clear(Mark::ack_now);
    c.clear(Mark::send_syn);
    set_state(c, State::closed, env.counters);
    events.closed = reason;
}

void reset_connection(Connection& c, CloseReason reason, Events& events) {
    stop_all_timers(c);
    c.set(Mark::send_reset);
    events.closed = reason;
}

void take_user_timeout(const Connection& c, const Segment& s, Environment& env, Events& events) {
    const Profile& p = env.profile_of(c);
    if (!p.user_timeout_option || !p.user_timeout_changeable) return;
    const Duration advised = decode_user_timeout(s.options.user_timeout);
    if (advised == Duration{} || adopted_user_timeout(p, advised) == p.user_timeout) return;
    events.advised_user_timeout = s.options.user_timeout;
    ++env.counters.user_timeouts_heard;
}

void process_text(Connection& c, const Segment& s, Environment& env, Instant now,
                  InputResult& result) {
    if (s.payload.empty() && !s.flags.fin()) return;
    if (!can_receive(c.state)) {
        if (!s.payload.empty()) ++env.counters.drop_after_fin;
        return;
    }
    report_duplicate(c, s, env);
    Seq seq = s.seq;
    const Seq fin_seq = s.seq + static_cast<uint32_t>(s.payload.size());
    std::span<const uint8_t> text = trim_text(c, s, seq);
    if (const Transfer* t = transfer_of(c, env); t != nullptr && t->held_fin) [[unlikely]]
        text = before_held_fin(*t, seq, text);
    const bool cut_right = seq + static_cast<uint32_t>(text.size()) != fin_seq;
    bool complete = !cut_right;

    if (!text.empty()) {
        if (refuse_text_after_close(c, s, env, result)) return;
        report_held_part(c, seq, text, env);
        if (seq == c.rcv_nxt) {
            complete = take_in_order(c, s, text, env, now, result) == text.size() && complete;
        } else {
            hold_out_of_order(c, seq, text, env);
        }
    } else if (!s.payload.empty()) {
        c.set(Mark::ack_now);  // nothing new, or a closed window is being probed
    }
    if (s.flags.fin() && complete && fin_seq.at_or_after(c.rcv_nxt)) {
        take_fin(c, fin_seq, env, result.events);
    }
    take_held_fin(c, env, result.events);
}

namespace {

// The checks of section 3.10.7.4, one after the other. Whether the ACK field let the segment
// through.
bool run_checks(Connection& c, const Segment& s, Environment& env, Instant now,
                InputResult& result) {
    if (s.flags.syn() && is_synchronized(c.state)) {  // irrespective of its sequence number
        check_syn(c, env, now, result.events);
        return false;
    }
    if (check_timestamps(c, s, env, now) == Check::drop) return false;
    if (check_sequence(c, s, env, now) == Check::drop) return false;
    if (s.flags.syn()) {
        check_syn(c, env, now, result.events);
        return false;
    }
    if (check_ack(c, s, env, now, result) == Check::drop) return false;
    update_ts_recent(c, s, paws_tick(now));
    if (c.ecn) take_congestion_marks(c, s, env);
    if (s.options.has_user_timeout) [[unlikely]]
        take_user_timeout(c, s, env, result.events);
    arm_keep_alive(c, env, now);
    if (fin_acknowledged(c) && advance_after_fin_ack(c, s, env, now, result)) return true;
    if (s.flags.urg()) [[unlikely]]
        check_urg(c, s, env, result);
    process_text(c, s, env, now, result);
    return true;
}

// Simultaneous open: the peer's SYN,ACK repeats the SYN that was taken; the rest is an ACK.
bool is_crossing_syn_ack(const Connection& c, const Segment& s) {
    return c.state == State::syn_received && !c.has(Mark::passive_open) && s.flags.syn() &&
           s.flags.ack() && s.seq + 1 == c.rcv_nxt;
}

}  // namespace

void input_in_general(Connection& c, const Segment& s, Environment& env, Instant now,
                      InputResult& result) {
    const State state = c.state;
    if (state == State::closed || c.has(Mark::send_reset)) {
        // Nothing matters any more.
    } else if (state == State::syn_sent) {
        input_syn_sent(c, s, env, now, result);
    } else if (state == State::time_wait) {
        input_time_wait(c, s);
    } else if (s.flags.rst()) {
        check_rst(c, s, env, now, result.events);
    } else if (is_crossing_syn_ack(c, s)) [[unlikely]] {
        Segment acknowledgment = s;
        acknowledgment.seq = c.rcv_nxt;
        acknowledgment.flags = s.flags & ~wire::flag::syn;
        if (run_checks(c, acknowledgment, env, now, result)) c.set(Mark::ack_now);
    } else {
        run_checks(c, s, env, now, result);
    }
}

Events on_icmp_error(Connection& c, Seq quoted, Report error, Environment& env, Instant now) {
    static_cast<void>(now);
    Events events;
    if (c.state == State::closed || c.has(Mark::send_reset)) return events;
    // RFC 5927 section 4.1: only about something that is in flight.
    const uint32_t flight = c.snd_nxt.load().distance_from(c.snd_una);
    if (!quoted.in_window(c.snd_una, flight)) return events;
    events.report = error;
    // Section 5.2: hard errors are soft once the connection is synchronized (against SHLD-26).
    if (is_hard(error) && c.state == State::syn_sent)
        end_connection(c, CloseReason::unreachable, env, events);
    return events;
}

}  // namespace synfin::tcp
