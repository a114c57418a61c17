// The timers of a connection: deadlines, kept in the connection itself. At most one of
// retransmission, persist and SYN runs (they share a deadline), and at most one of user timeout,
// keep-alive and FIN_WAIT_2 (the long one): the first runs while something is to be acknowledged,
// the others while nothing is. The delayed ACK stands beside them.
#include <algorithm>

#include <synfin/base/assert.hpp>
#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

uint32_t low_us(Instant t) { return static_cast<uint32_t>(t.us()); }

bool is_due(uint32_t deadline_us, Instant now) {
    return static_cast<int32_t>(low_us(now) - deadline_us) >= 0;
}

// A 32-bit deadline lies within 35 minutes of now, on one side or the other.
int64_t full_deadline_us(uint32_t deadline_us, int64_t now_us) {
    return now_us + static_cast<int32_t>(deadline_us - static_cast<uint32_t>(now_us));
}

void give_up(Connection& c, Environment& env, Events& events) {
    ++env.counters.abort_on_timeout;
    end_connection(c, CloseReason::timed_out, env, events);
}

void report_retry(Connection& c, uint8_t retries, Events& events) {
    if (c.backoff < retries || c.has(Mark::retry_reported)) return;
    c.set(Mark::retry_reported);
    events.report = Report::retrying;
}

void on_syn_timeout(Connection& c, Environment& env, Instant now, Events& events) {
    const Profile& p = env.profile_of(c);
    const bool exhausted = c.has(Mark::passive_open) ? c.backoff >= p.syn_received_retries
                           : p.syn_retries > 0       ? c.backoff >= p.syn_retries
                                                     : time_tried(c, env) >= p.syn_timeout;
    if (exhausted) return give_up(c, env, events);
    ++c.backoff;
    back_off_rto(c);
    c.set(Mark::syn_retransmitted);
    c.set(Mark::send_syn);
    arm_retransmission(c, env, now);
    report_retry(c, p.syn_report_retries, events);
}

// Section 3.8.6.1: the window is closed, or too small for a segment, and nothing else would ever
// tell us that it has opened.
void on_persist_timeout(Connection& c, Environment& env, Instant now, Events& events) {
    Transfer* t = transfer_of(c, env);
    SYNFIN_ASSERT(t != nullptr);
    // A peer that answers keeps the connection for as long as it likes (MUST-37); one that has
    // fallen silent is given up as for any retransmission.
    const Profile& p = env.profile_of(c);
    const uint8_t silent = t->unanswered_probes;
    const Duration silent_for = backed_off_rto(c, env) * silent;
    constexpr uint8_t least_silent = 3;
    if (silent >= least_silent && silent_for >= p.retransmission_timeout) {
        return give_up(c, env, events);
    }
    if (c.backoff < UINT8_MAX) ++c.backoff;
    back_off_rto(c);
    if (t->unanswered_probes < UINT8_MAX) ++t->unanswered_probes;
    c.set(Mark::send_probe);
    arm_retransmission(c, env, now);
    if (silent > 0) report_retry(c, p.report_retries, events);
}

// RFC 6298 (5.4) to (5.6): everything that is in flight counts as lost, and goes again in slow
// start.
void on_retransmission_timeout(Connection& c, Environment& env, Instant now, Events& events) {
    ++env.counters.timeouts;
    if (c.has(Mark::syn_unacked)) return on_syn_timeout(c, env, now, events);
    if (c.snd_wnd == 0 && queued_bytes(c, env) > 0) {
        // The window has shrunk over what is in flight (SHLD-17): it is probed, not timed out.
        c.set(Mark::persisting);
        return on_persist_timeout(c, env, now, events);
    }
    const Profile& p = env.profile_of(c);
    if (time_tried(c, env) >= p.retransmission_timeout) return give_up(c, env, events);
    const uint32_t flight = c.snd_nxt.load().distance_from(c.snd_una);
    if (c.backoff == 0) congestion_control(p.congestion).on_timeout(c, flight);
    ++c.backoff;
    back_off_rto(c);
    c.cwnd = c.mss;
    c.duplicate_acks = 0;
    Transfer* t = transfer_of(c, env);
    if (t == nullptr) {
        c.set(Mark::send_fin_again);
    } else {
        t->timing = false;
        t->recovering = false;
        t->limited_transmit = 0;
        t->recover = c.snd_nxt;
        t->retransmit_next = c.snd_una;
        t->retransmit_end = c.snd_nxt;
    }
    arm_retransmission(c, env, now);
    report_retry(c, p.report_retries, events);
}

void on_keep_alive(Connection& c, Environment& env, Instant now, Events& events) {
    const Profile& p = env.profile_of(c);
    if (c.backoff >= p.keep_alive_probes) return give_up(c, env, events);
    ++c.backoff;
    c.set(Mark::send_probe);
    c.long_deadline_us = (now + p.keep_alive_interval).us();
}

void on_long_deadline(Connection& c, Environment& env, Instant now, Events& events) {
    c.long_deadline_us = never_us;
    if (c.state == State::fin_wait_2 && c.has(Mark::detached)) {
        return end_connection(c, CloseReason::timed_out, env, events);
    }
    // Where something waits for the peer, it is the user timeout: the others wait for idleness.
    if (c.has(Mark::retransmit_armed) && env.profile_of(c).user_timeout != Duration::forever()) {
        return give_up(c, env, events);
    }
    if (!c.has(Mark::keep_alive) || !is_synchronized(c.state)) return;
    // MUST-26: only when nothing is outstanding; what is in flight has a timer of its own.
    if (c.snd_una == c.snd_nxt.load() && !c.has(Mark::retransmit_armed)) {
        on_keep_alive(c, env, now, events);
    }
}

}  // namespace

void arm_retransmission(Connection& c, const Environment& env, Instant now) {
    c.set(Mark::retransmit_armed);
    c.retransmit_deadline_us = low_us(now + backed_off_rto(c, env));
}

void disarm_retransmission(Connection& c) {
    c.clear(Mark::retransmit_armed);
    c.clear(Mark::persisting);
}

void stop_retransmission(Connection& c, Instant now) {
    disarm_retransmission(c);
    c.long_deadline_us = never_us;
    c.retransmit_deadline_us = low_us(now);
}

Duration idle_time(const Connection& c, Instant now) {
    return Duration::microseconds(low_us(now) - c.retransmit_deadline_us);
}

void arm_delayed_ack(Connection& c, const Environment& env, Instant now) {
    if (c.has(Mark::ack_now) || c.has(Mark::delayed_ack)) return;
    const Duration delay = env.profile_of(c).delayed_ack;
    if (delay == Duration{}) return c.set(Mark::ack_now);
    c.set(Mark::delayed_ack);
    c.delayed_ack_deadline_us = low_us(now + delay);
}

void arm_keep_alive(Connection& c, const Environment& env, Instant now) {
    if (!c.has(Mark::keep_alive) || c.has(Mark::retransmit_armed)) return;
    // In FIN_WAIT_2 as long as the user still reads; then its own timeout takes the deadline.
    const bool half_closed = c.state == State::fin_wait_2 && !c.has(Mark::detached);
    if (c.state != State::established && c.state != State::close_wait && !half_closed) return;
    c.backoff = 0;
    c.long_deadline_us = (now + env.profile_of(c).keep_alive_idle).us();
}

void arm_user_timeout(Connection& c, const Environment& env, Instant now) {
    const Duration timeout = env.profile_of(c).user_timeout;
    if (timeout != Duration::forever()) c.long_deadline_us = (now + timeout).us();
}

void arm_fin_wait_2(Connection& c, const Environment& env, Instant now) {
    if (c.state != State::fin_wait_2 || !c.has(Mark::detached)) return;
    c.long_deadline_us = (now + env.profile_of(c).fin_wait_2_timeout).us();
}

std::optional<Instant> next_deadline(const Connection& c, Instant now) {
    const int64_t now_us = now.us();
    int64_t earliest_us = c.long_deadline_us;
    if (c.has(Mark::retransmit_armed)) {
        earliest_us = std::min(earliest_us, full_deadline_us(c.retransmit_deadline_us, now_us));
    }
    if (c.has(Mark::delayed_ack)) {
        earliest_us = std::min(earliest_us, full_deadline_us(c.delayed_ack_deadline_us, now_us));
    }
    if (earliest_us == never_us) return std::nullopt;
    return Instant::from_us(earliest_us);
}

Events on_timer(Connection& c, Environment& env, Instant now) {
    Events events;
    if (c.state == State::closed || c.has(Mark::send_reset)) return events;
    if (c.has(Mark::delayed_ack) && is_due(c.delayed_ack_deadline_us, now)) {
        c.clear(Mark::delayed_ack);
        c.set(Mark::ack_now);
        ++env.counters.delayed_acks;
    }
    if (c.has(Mark::retransmit_armed) && is_due(c.retransmit_deadline_us, now)) {
        if (c.has(Mark::persisting)) {
            on_persist_timeout(c, env, now, events);
        } else {
            on_retransmission_timeout(c, env, now, events);
        }
    }
    if (c.state != State::closed && c.long_deadline_us != never_us &&
        c.long_deadline_us <= now.us()) {
        on_long_deadline(c, env, now, events);
    }
    return events;
}

}  // namespace synfin::tcp
