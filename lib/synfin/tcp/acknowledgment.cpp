// What an acknowledgment does to the send side: the queue shrinks, the timer moves, the congestion
// window grows, duplicates hint at a loss (RFC 9293 section 3.10.7.4, RFC 5681, RFC 6582, RFC
// 3042).
#include <algorithm>

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

constexpr uint8_t duplicate_threshold = 3;

void take_timed_sample(Connection& c, Transfer& t, Seq ack, Instant now) {
    if (!t.timing || ack.before(t.timed)) return;
    t.timing = false;
    take_round_trip_sample(c, static_cast<uint32_t>(now.us()) - t.timed_at_us);
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

// Drops `acked` octets of sequence space from the queue; what is not data is the FIN.
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

void retransmit_first_segment(const Connection& c, Transfer& t) {
    t.retransmit_next = c.snd_una;
    t.retransmit_end = earlier_of(c.snd_una.load() + c.mss, c.snd_nxt);
}

// An ACK for new data during fast recovery (RFC 6582 section 3.2, step 3).
void continue_recovery(Connection& c, Transfer& t, uint32_t acked) {
    const uint32_t flight = c.snd_nxt.load().distance_from(c.snd_una);
    if (c.snd_una.load().at_or_after(t.recover)) {  // full acknowledgment
        c.cwnd = std::min(c.ssthresh, std::max<uint32_t>(flight, c.mss) + c.mss);
        t.recovering = false;
        return;
    }
    retransmit_first_segment(c, t);  // partial: the next hole
    c.cwnd -= std::min(acked, c.cwnd);
    if (acked >= c.mss) c.cwnd += c.mss;
    c.cwnd = std::max<uint32_t>(c.cwnd, c.mss);
}

void acknowledge_new(Connection& c, Seq ack, Environment& env, Instant now, Events& events) {
    const uint32_t acked = ack.distance_from(c.snd_una);
    const uint32_t flight = c.snd_nxt.load().distance_from(c.snd_una);
    Transfer* t = transfer_of(c, env);
    if (t != nullptr) {
        take_timed_sample(c, *t, ack, now);
        events.acknowledged = remove_acknowledged(*t, acked, env) > 0;
    }
    c.snd_una = ack;
    c.duplicate_acks = 0;
    c.clear(Mark::retry_reported);
    c.clear(Mark::send_fin_again);
    if (t != nullptr) {
        t->limited_transmit = 0;
        t->retransmit_next = later_of(t->retransmit_next, ack);
        t->retransmit_end = later_of(t->retransmit_end, ack);
        if (t->recovering) {
            continue_recovery(c, *t, acked);
        } else {
            congestion_control(env.profile_of(c).congestion).on_ack(c, *t, acked, flight);
        }
    }
    c.backoff = 0;
    if (ack == c.snd_nxt) {  // (5.2)
        stop_retransmission(c, now);
        arm_keep_alive(c, env, now);
    } else {  // (5.3)
        arm_retransmission(c, env, now);
        arm_user_timeout(c, env, now);
    }
}

// RFC 5681 section 2: outstanding data, nothing new in the segment, the window unchanged.
bool is_duplicate(const Connection& c, const Segment& s) {
    return c.snd_una != c.snd_nxt.load() && s.length() == 0 &&
           uint32_t{s.window} << c.snd_scale == c.snd_wnd && !c.has(Mark::persisting);
}

void count_duplicate(Connection& c, Transfer& t, Environment& env, Instant now) {
    if (t.recovering) {
        // A segment has left the network, but no more of them than were sent.
        if (c.cwnd < c.ssthresh + c.snd_nxt.load().distance_from(c.snd_una)) c.cwnd += c.mss;
        return;
    }
    if (c.duplicate_acks <= duplicate_threshold) c.duplicate_acks = (c.duplicate_acks + 1) & 7;
    if (c.duplicate_acks < duplicate_threshold) {
        t.limited_transmit = uint32_t{c.duplicate_acks} * c.mss;
        return;
    }
    // A loss that was already answered must not be answered again (RFC 6582 section 3.2, step 2).
    if (c.duplicate_acks != duplicate_threshold || !c.snd_una.load().after(t.recover)) return;
    const uint32_t flight = c.snd_nxt.load().distance_from(c.snd_una);
    // Without what limited transmit has sent beyond the window (RFC 5681 section 3.2, step 2).
    const uint32_t beyond = flight > c.cwnd ? std::min(flight - c.cwnd, t.limited_transmit) : 0;
    congestion_control(env.profile_of(c).congestion).on_loss(c, flight - beyond);
    t.recovering = true;
    t.recover = c.snd_nxt;
    t.limited_transmit = 0;
    t.timing = false;  // Karn
    c.cwnd = c.ssthresh + duplicate_threshold * uint32_t{c.mss};
    retransmit_first_segment(c, t);
    ++env.counters.fast_retransmits;
    arm_retransmission(c, env, now);
}

// The window has opened: what the probes have sent meanwhile was refused and is sent again.
void leave_persist(Connection& c, Transfer* t) {
    disarm_retransmission(c);
    c.backoff = 0;
    c.rto_shift = 0;  // it was the peer's window that made us wait, not a loss
    if (t == nullptr) return;
    t->retransmit_next = c.snd_una;
    t->retransmit_end = c.snd_nxt;
}

}  // namespace

void update_send_window(Connection& c, const Segment& s) {
    const bool newer =
        c.snd_wl1.before(s.seq) || (c.snd_wl1 == s.seq && c.snd_wl2.at_or_before(s.ack));
    if (!newer) return;
    c.snd_wnd = uint32_t{s.window} << c.snd_scale;
    c.max_snd_wnd = std::max(c.max_snd_wnd, s.window);
    c.snd_wl1 = s.seq;
    c.snd_wl2 = s.ack;
}

void process_ack(Connection& c, const Segment& s, Environment& env, Instant now, Events& events) {
    if (s.ack.before(c.snd_una)) return;
    Transfer* t = transfer_of(c, env);
    if (t != nullptr) t->unanswered_probes = 0;

    if (s.ack.after(c.snd_una)) {
        take_echoed_sample(c, s, now);
        acknowledge_new(c, s.ack, env, now, events);
    } else if (t != nullptr && is_duplicate(c, s)) {
        count_duplicate(c, *t, env, now);
    }
    update_send_window(c, s);
    if (c.has(Mark::persisting) && c.snd_wnd > 0) leave_persist(c, t);
    // A probe of ours in flight into a closed window is the persist timer's business.
    if (c.snd_una != c.snd_nxt.load() && !c.has(Mark::retransmit_armed))
        arm_retransmission(c, env, now);
    drop_idle_transfer(c, env);
}

}  // namespace synfin::tcp
