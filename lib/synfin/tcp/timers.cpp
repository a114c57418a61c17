// The timers of a connection: deadlines, kept in the connection itself. At most one of
// retransmission, tail probe, reordering, persist and SYN runs (they share a deadline), and at most
// one of user timeout, keep-alive and FIN_WAIT_2 (the long one): the first runs while something is
// to be acknowledged, the others while nothing is. The delayed ACK and the pacer stand beside them
// and share a deadline.
#include <algorithm>

#include <synfin/base/assert.hpp>
#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

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
    const auto silent_for = Duration::microseconds(backed_off_rto_us(c, env.terms_of(c))) * silent;
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
    Transfer* t = transfer_of(c, env);
    if (c.backoff == 0 && t != nullptr) remember_for_undo(c, *t, true);
    if (c.backoff == 0) congestion_control(p.congestion).on_timeout(c, t, flight, env);
    ++c.backoff;
    back_off_rto(c);
    if (t != nullptr) suspect_path(c, *t, env, now);
    c.cwnd = c.mss;
    c.owes_cwr = c.ecn;
    if (t != nullptr) {
        begin_timeout_recovery(c, *t, env, now);
    } else {
        c.set(Mark::send_fin_again);
    }
    arm_retransmission(c, env, now);
    report_retry(c, p.report_retries, events);
}

// RFC 8985 section 7.3: the end of what was sent may be lost, and no ACK would ever tell.
void on_probe_timeout(Connection& c, Transfer& t, Environment& env, Instant now) {
    t.tail_probe.due = true;
    arm_retransmission(c, env, now);
}

void on_reordering_timeout(Connection& c, Transfer& t, Environment& env, Instant now) {
    arm_retransmission(c, env, now);
    respond_to_lateness(c, t, env, now);
}

void on_loss_timer(Connection& c, Environment& env, Instant now, Events& events) {
    Transfer* t = transfer_of(c, env);
    switch (t == nullptr ? LossTimer::timeout : t->loss_timer) {
        case LossTimer::timeout: return on_retransmission_timeout(c, env, now, events);
        case LossTimer::tail_probe: return on_probe_timeout(c, *t, env, now);
        case LossTimer::reordering: return on_reordering_timeout(c, *t, env, now);
    }
}

// tail_probe_wait_us, and zero also if the probe has to stay away for what has happened to the
// flight.
uint32_t probe_timeout_us(const Connection& c, const Transfer& t, uint32_t timeout_us) {
    const bool stays_away = t.recovery.phase != Recovery::Phase::none ||
                            t.flight.sacked_bytes() != 0 || t.unsent_or_unacked.empty() ||
                            t.tail_probe.under_way || c.snd_wnd == 0;
    return stays_away ? 0 : tail_probe_wait_us(c, timeout_us);
}

bool waits_shortly(const Connection& c) {
    constexpr uint32_t either =
        static_cast<uint32_t>(Mark::delayed_ack) | static_cast<uint32_t>(Mark::pacing);
    return (c.flags & either) != 0;
}

// What the pacer lets out takes a delayed ACK along.
void on_short_deadline(Connection& c, Environment& env) {
    c.clear(Mark::pacing);
    if (!c.has(Mark::delayed_ack)) return;
    c.clear(Mark::delayed_ack);
    c.set(Mark::ack_now);
    ++env.counters.delayed_acks;
}

// A user timeout takes the place of the number of probes: the peer may be silent for so long.
bool has_been_silent_too_long(const Connection& c, const Profile& p) {
    if (p.user_timeout == Duration::forever()) return c.backoff >= p.keep_alive_probes;
    return c.backoff > 0 && p.keep_alive_idle + p.keep_alive_interval * c.backoff >= p.user_timeout;
}

void on_keep_alive(Connection& c, Environment& env, Instant now, Events& events) {
    const Profile& p = env.profile_of(c);
    if (has_been_silent_too_long(c, p)) {
        // A peer that only could not be reached shall learn that nobody is here any more.
        ++env.counters.abort_on_timeout;
        return reset_connection(c, CloseReason::timed_out, events);
    }
    if (c.backoff < UINT8_MAX) ++c.backoff;
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

void arm_retransmission(Connection& c, Environment& env, Instant now) {
    arm_timeout(c, transfer_of(c, env), backed_off_rto_us(c, env.terms_of(c)), now);
}

void arm_loss_timer(Connection& c, Transfer* t, const Environment& env, Instant now) {
    const Terms& terms = env.terms_of(c);
    const uint32_t timeout_us = base_rto_us(c, terms);
    const uint32_t wait_us = t == nullptr ? 0 : probe_timeout_us(c, *t, timeout_us);
    if (wait_us == 0) return arm_timeout(c, t, backed_off_rto_us(c, terms, timeout_us), now);
    arm_timeout(c, nullptr, wait_us, now);
    t->loss_timer = LossTimer::tail_probe;
}

void move_tail_probe(Connection& c, Transfer& t, const Environment& env, Instant now) {
    if (!c.has(Mark::sack_permitted)) return;
    const uint32_t timeout_us = base_rto_us(c, env.terms_of(c));
    const uint32_t wait_us = probe_timeout_us(c, t, timeout_us);
    // Who never ceases to send would put it off for ever.
    const auto age = static_cast<int32_t>(low_us(now) - t.flight.first_sent_us());
    if (wait_us == 0 || wait_us >= int64_t{timeout_us} - age) return;
    arm_timeout(c, nullptr, wait_us, now);
    t.loss_timer = LossTimer::tail_probe;
}

void arm_reordering(Connection& c, Duration wait, Environment& env, Instant now) {
    c.set(Mark::retransmit_armed);
    c.retransmit_deadline_us = low_us(now + wait);
    transfer_of(c, env)->loss_timer = LossTimer::reordering;
}

namespace {

// The deadline is shared: the earlier one stands, and whoever is asked too early asks again.
void set_short_deadline(Connection& c, uint32_t deadline_us, Mark other) {
    const bool later = static_cast<int32_t>(deadline_us - c.short_deadline_us) >= 0;
    if (c.has(other) && later) return;
    c.short_deadline_us = deadline_us;
}

}  // namespace

void arm_delayed_ack(Connection& c, bool awaited, const Environment& env, const Moment& now) {
    if (c.has(Mark::ack_now) || c.has(Mark::delayed_ack)) return;
    const Terms& terms = env.terms_of(c);
    const uint32_t delay_us = awaited ? terms.prompt_ack_us : terms.delayed_ack_us;
    if (delay_us == 0) return c.set(Mark::ack_now);
    c.set(Mark::delayed_ack);
    set_short_deadline(c, low_us(now) + delay_us, Mark::pacing);
}

void arm_pacing(Connection& c, Instant at) {
    c.set(Mark::pacing);
    const Instant rounded_up = at + Duration::nanoseconds(999);
    set_short_deadline(c, low_us(rounded_up), Mark::delayed_ack);
}

void start_keep_alive(Connection& c, const Environment& env, Instant now) {
    if (c.has(Mark::retransmit_armed)) return;
    // In FIN_WAIT_2 as long as the user still reads; then its own timeout takes the deadline.
    const bool half_closed = c.state == State::fin_wait_2 && !c.has(Mark::detached);
    if (c.state != State::established && c.state != State::close_wait && !half_closed) return;
    c.backoff = 0;
    c.long_deadline_us = (now + env.profile_of(c).keep_alive_idle).us();
}

void start_user_timeout(Connection& c, const Environment& env, Instant now) {
    c.long_deadline_us = (now + env.profile_of(c).user_timeout).us();
}

int64_t next_deadline_us(const Connection& c, Instant now) {
    const int64_t now_us = now.us();
    int64_t earliest_us = c.long_deadline_us;
    const auto consider = [&](uint32_t low_us) {
        const int64_t deadline_us = full_deadline_us(low_us, now_us);
        if (earliest_us == never_us || deadline_us < earliest_us) earliest_us = deadline_us;
    };
    if (c.has(Mark::retransmit_armed)) consider(c.retransmit_deadline_us);
    if (waits_shortly(c)) consider(c.short_deadline_us);
    return earliest_us;
}

std::optional<Instant> next_deadline(const Connection& c, Instant now) {
    const int64_t earliest_us = next_deadline_us(c, now);
    if (earliest_us == never_us) return std::nullopt;
    return Instant::from_us(earliest_us);
}

Events on_timer(Connection& c, Environment& env, Instant now) {
    Events events;
    if (c.state == State::closed || c.has(Mark::send_reset)) return events;
    if (waits_shortly(c) && is_due(c.short_deadline_us, now)) on_short_deadline(c, env);
    if (c.has(Mark::retransmit_armed) && is_due(c.retransmit_deadline_us, now)) {
        if (c.has(Mark::persisting)) {
            on_persist_timeout(c, env, now, events);
        } else {
            on_loss_timer(c, env, now, events);
        }
    }
    if (c.state != State::closed && c.long_deadline_us != never_us &&
        c.long_deadline_us <= now.us()) {
        on_long_deadline(c, env, now, events);
    }
    return events;
}

}  // namespace synfin::tcp
