// What an acknowledgment does to the send side: the queue shrinks, the scoreboard fills, the timer
// moves (RFC 9293 section 3.10.7.4, RFC 6298). What follows for losses and for the congestion
// window is recovery.cpp's.
#include <algorithm>

#include <synfin/tcp/input_steps.hpp>
#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

void take_timed_sample(Connection& c, Transfer& t, Seq ack, Instant now) {
    if (!t.timing || ack.before(t.timed)) return;
    t.timing = false;
    take_round_trip_sample(c, low_us(now) - t.timed_at_us);
}

// While the RTO is backed off, the segment that was acknowledged has been sent more than once: only
// its timestamp tells which of them it was (RFC 7323 section 4.1), and so ends the back-off before
// something new has been sent.
void take_echoed_sample(Connection& c, const Segment& s, Instant now) {
    if (c.rto_shift == 0 || !c.has(Mark::timestamps) || !s.options.has_timestamps) return;
    constexpr uint32_t longest_plausible_ms = 600'000;
    const uint32_t elapsed_ms = timestamp_clock(c, now) - s.options.ts_echo;
    if (elapsed_ms > longest_plausible_ms) return;
    take_round_trip_sample(c, std::max(elapsed_ms, 1u) * 1000);
}

void acknowledge_new(Connection& c, const Segment& s, Instant now) {
    take_echoed_sample(c, s, now);
    c.snd_una = s.ack;
    c.backoff = 0;
    c.clear(Mark::retry_reported);
    c.clear(Mark::send_fin_again);
}

void acknowledge_text(Connection& c, Transfer& t, const Segment& s, AckReport& report,
                      Environment& env, Instant now, Events& events) {
    report.acked = s.ack.distance_from(c.snd_una);
    acknowledge_new(c, s, now);
    take_timed_sample(c, t, s.ack, now);
    if (remove_acknowledged(t, report.acked, env) > 0) events.add(Event::acknowledged);
    t.flight.acknowledge(s.ack, report.delivery, env.transfers.flights);
}

// RFC 5681 section 2: outstanding data, nothing new in the segment, the window unchanged.
bool is_duplicate(const Connection& c, const Segment& s) {
    return s.ack == c.snd_una && c.snd_una != c.snd_nxt.load() && s.length() == 0 &&
           uint32_t{s.window} << c.snd_scale == c.snd_wnd && !c.has(Mark::persisting);
}

// The window has opened: what the probes have sent meanwhile was refused and is sent again.
void leave_persist(Connection& c, Transfer& t, Environment& env) {
    disarm_retransmission(c);
    c.backoff = 0;
    c.rto_shift = 0;  // it was the peer's window that made us wait, not a loss
    t.flight.lose_all(env.transfers.flights);
}

// RFC 6298 (5.2) and (5.3), and what RFC 8985 makes of it.
void move_timer(Connection& c, Transfer* t, bool advanced, Duration reordering_wait,
                Environment& env, Instant now) {
    if (c.snd_una == c.snd_nxt.load()) {
        if (!advanced) return;
        stop_retransmission(c, now);
        arm_keep_alive(c, env, now);
    } else if (reordering_wait > Duration{} && queued_bytes(c, env) > 0) {
        arm_reordering(c, reordering_wait, env, now);
    } else if (advanced || (t != nullptr && t->loss_timer != LossTimer::timeout)) {
        arm_loss_timer(c, t, env, now);
    }
    if (advanced && c.snd_una != c.snd_nxt.load()) arm_user_timeout(c, env, now);
}

}  // namespace

uint32_t remove_acknowledged(Transfer& t, uint32_t acked, Environment& env) {
    const uint32_t data = std::min(acked, t.unsent_or_unacked.bytes.load());
    if (data <= t.cursor_offset) {
        t.cursor_offset -= data;
    } else {
        t.cursor_node = no_index;
    }
    t.unsent_or_unacked.remove_front(data, env.buffers);
    return data;
}

namespace {

void process_ack_of_text(Connection& c, Transfer& t, const Segment& s, Environment& env,
                         Instant now, Events& events) {
    AckReport report;
    report.flight_before = c.snd_nxt.load().distance_from(c.snd_una);
    report.duplicate = is_duplicate(c, s);
    report.echo = c.ecn && s.flags.ece();
    if (s.ack.after(c.snd_una)) acknowledge_text(c, t, s, report, env, now, events);
    Duration reordering_wait;
    t.unanswered_probes = 0;
    if (t.pushing == Pushing::later) [[unlikely]]
        t.pushing = Pushing::unpushed;
    if (c.has(Mark::sack_permitted) && s.options.sack_count > 0) {
        take_sack_blocks(c, t, s, report, env);
    }
    // What was reported selectively makes the congestion window grow, and so the send buffer.
    if (report.delivery.bytes > 0) events.add(Event::acknowledged);
    if (t.oversized.phase != Oversized::Phase::none) [[unlikely]]
        take_oversized_delivery(c, t, env, now);
    if (report.flight_before > 0) reordering_wait = respond_to_ack(c, t, s, report, env, now);
    // A probe of ours in flight into a closed window is the persist timer's business.
    if (!c.has(Mark::persisting) || report.acked > 0) {
        move_timer(c, &t, report.acked > 0, reordering_wait, env, now);
    }
    update_send_window(c, s);
    if (c.has(Mark::persisting) && c.snd_wnd > 0) leave_persist(c, t, env);
    if (c.snd_una != c.snd_nxt.load() && !c.has(Mark::retransmit_armed)) {
        arm_retransmission(c, env, now);
    }
    drop_idle_transfer(c, env);
}

}  // namespace

void process_ack(Connection& c, const Segment& s, Environment& env, Instant now, Events& events) {
    if (s.ack.before(c.snd_una)) return;
    if (Transfer* t = transfer_of(c, env)) return process_ack_of_text(c, *t, s, env, now, events);
    // Only a FIN can be in flight: nothing to measure, to recover or to probe.
    if (s.ack.after(c.snd_una)) {
        acknowledge_new(c, s, now);
        move_timer(c, nullptr, true, Duration{}, env, now);
    }
    update_send_window(c, s);
}

}  // namespace synfin::tcp
