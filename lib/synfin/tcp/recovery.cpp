// From a loss to its repair: when fast recovery begins and ends, and how much may leave meanwhile.
//
//   detection       RACK with SACK (rack.cpp), else three duplicate ACKs (RFC 5681, RFC 6582)
//   what leaves     what is held for lost, the lowest first, then new data (RFC 6675 section 4)
//   how much        cwnd minus what is in flight; in fast recovery cwnd is set by PRR (RFC 6937)
//   limited transmit (RFC 3042) follows from that: what duplicates report is not in flight
#include <algorithm>

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

constexpr uint8_t duplicate_threshold = 3;
using Phase = Recovery::Phase;

uint32_t flight_size(const Connection& c) { return c.snd_nxt.load().distance_from(c.snd_una); }

// RFC 6937 section 3, with the slow start reduction bound. The fast retransmission leaves at once,
// and so does the next hole that a partial ACK names (RFC 6582).
void reduce_proportionally(Connection& c, Transfer& t, uint32_t delivered, bool hole_is_next) {
    Recovery& r = t.recovery;
    r.delivered += delivered;
    const uint32_t pipe = bytes_in_flight(c, t);
    uint64_t allowed = 0;
    if (pipe > c.ssthresh) {
        const uint64_t share = (uint64_t{r.delivered} * c.ssthresh + r.flight_at_start - 1) /
                               std::max(r.flight_at_start, 1u);
        allowed = share > r.sent ? share - r.sent : 0;
    } else {
        const uint32_t behind = r.delivered > r.sent ? r.delivered - r.sent : 0;
        allowed =
            std::min<uint64_t>(c.ssthresh - pipe, uint64_t{std::max(behind, delivered)} + c.mss);
    }
    if (hole_is_next) allowed = std::max<uint64_t>(allowed, c.mss);
    c.cwnd = static_cast<uint32_t>(pipe + allowed);
}

void enter_fast_recovery(Connection& c, Transfer& t, Environment& env, Instant now) {
    remember_for_undo(c, t, false);
    // Without what limited transmit has sent beyond the window (RFC 5681 section 3.2, step 2); and
    // once in a window of data, for whatever reason (RFC 3168 section 6.1.2).
    if (!is_answered_echo(c, t)) {
        congestion_control(c, env).on_loss(c, t, std::min(flight_size(c), c.cwnd), env);
    }
    c.owes_cwr = c.ecn;
    Recovery& r = t.recovery;
    r.phase = Phase::fast;
    r.point = c.snd_nxt;
    r.flight_at_start = flight_size(c);
    r.delivered = r.sent = 0;
    t.tail_probe = TailProbe{};
    ++env.counters.fast_retransmits;
    arm_retransmission(c, env, now);
}

void leave_recovery(Connection& c, Transfer& t) {
    if (t.recovery.phase == Phase::fast && t.model == no_index) c.cwnd = c.ssthresh;
    t.recovery.phase = Phase::none;
    t.recovery.repeats_arrive = true;
    t.undo.until = c.snd_nxt;
    rack_end_recovery(t.rack);
}

// ---- without SACK

// A duplicate ACK says that some segment has arrived, but not which. One at least has not.
void count_duplicate(const Connection& c, Transfer& t) {
    Recovery& r = t.recovery;
    if (r.duplicate_acks < duplicate_threshold) ++r.duplicate_acks;
    const uint32_t segment = payload_max(c, t);
    const uint32_t missing = std::max(t.flight.lost_bytes(), segment);
    const uint32_t flight = flight_size(c);
    const uint32_t most = flight > missing ? flight - missing : 0;
    r.duplicate_bytes = std::min(r.duplicate_bytes + segment, most);
}

// What was acknowledged is what was sent again, and what duplicates had reported behind it.
void uncount_duplicates(const Connection& c, Transfer& t, uint32_t acked) {
    Recovery& r = t.recovery;
    r.duplicate_acks = 0;
    if (c.snd_una.load().after(r.point)) r.repeats_arrive = false;
    const uint32_t segment = payload_max(c, t);
    const uint32_t behind = acked > segment ? acked - segment : 0;
    const bool goes_on = r.phase == Phase::fast;
    r.duplicate_bytes = goes_on ? r.duplicate_bytes - std::min(behind, r.duplicate_bytes) : 0;
}

void lose_first_segment(const Connection& c, Transfer& t, Environment& env) {
    Seq end = c.snd_una.load() + payload_max(c, t);
    end = earlier_of(end, c.snd_nxt);
    t.flight.lose_before(end, env.transfers.flights);
    const uint32_t flight = flight_size(c);
    t.recovery.duplicate_bytes =
        std::min(t.recovery.duplicate_bytes, flight - t.flight.lost_bytes());
}

// RFC 6582 section 3.2: the third duplicate, unless it may stem from what was sent again; and each
// partial ACK, which names the next hole.
void detect_loss_by_duplicates(const Connection& c, Transfer& t, const AckReport& ack,
                               Environment& env) {
    const Recovery& r = t.recovery;
    if (r.phase == Phase::fast && ack.acked > 0) {
        lose_first_segment(c, t, env);
    } else if (r.phase == Phase::none && r.duplicate_acks == duplicate_threshold &&
               !r.repeats_arrive) {
        lose_first_segment(c, t, env);
    }
}

// ---- the tail probe (RFC 8985 section 7.4)

// What the probe repaired silently was a loss, too, and the window must answer it.
void judge_tail_probe(Connection& c, Transfer& t, const Segment& s, const AckReport& ack,
                      Environment& env) {
    TailProbe& probe = t.tail_probe;
    if (s.ack.before(probe.end)) return;
    const Seq end_of_data = probe.end - (c.has(Mark::fin_sent) ? 1 : 0);
    const bool came_twice = ack.dsack && ack.dsack_right.at_or_after(end_of_data);
    if (!probe.repeated || came_twice) {
        probe = TailProbe{};
    } else if (s.ack.after(probe.end)) {
        probe = TailProbe{};
        ++env.counters.tail_probe_repairs;
        congestion_control(c, env).on_loss(c, t, std::min(flight_size(c) + ack.acked, c.cwnd), env);
        c.cwnd = std::min(c.cwnd, c.ssthresh);
    } else if (ack.acked == 0 && s.options.sack_count == 0) {
        probe = TailProbe{};
    }
}

// ---- the timeout

// What the peer has reported need not go again (RFC 6675 section 5.1), unless it takes that back:
// who has the first octet acknowledges it, so a report of that is worth no more than the rest (RFC
// 2018 section 8). Where the peer has forgotten something behind it, a later timeout finds out.
void lose_what_is_not_reported(const Connection& c, Transfer& t, Environment& env, Instant now) {
    const Seq una = c.snd_una;
    if (t.flight.sacked_bytes() > 0 && t.flight.is_sacked(una, una + 1, env.transfers.flights)) {
        ++env.counters.sack_reneging;
        t.flight.lose_all(env.transfers.flights);
    } else if (c.has(Mark::sack_permitted)) {
        rack_lose_at_timeout(c, t, env, now);
    } else {
        t.flight.lose_before(c.snd_nxt, env.transfers.flights);
    }
}

}  // namespace

Duration respond_to_ack(Connection& c, Transfer& t, const Segment& s, AckReport& ack,
                        Environment& env, Instant now) {
    Recovery& r = t.recovery;
    if (ack.echo) [[unlikely]]
        respond_to_echo(c, t, ack, env);
    const CongestionControl& control = congestion_control(c, env);
    if (r.phase == Phase::none && t.flight.empty() && !t.tail_probe.under_way && !ack.dsack)
        [[likely]] {
        control.on_ack(c, t, ack, env, now);
        r.duplicate_acks = 0;
        r.repeats_arrive = false;
        r.duplicate_bytes = 0;
        return Duration{};
    }
    const bool undone = t.undo.possible && undo_if_spurious(c, t, s, ack, env);
    uint32_t delivered = ack.delivery.bytes;
    Duration wait;
    const bool ends =
        r.phase != Phase::none && ack.acked > 0 && c.snd_una.load().at_or_after(r.point);
    const bool ends_fast = ends && r.phase == Phase::fast;
    if (ends) leave_recovery(c, t);
    const uint32_t lost_before = t.flight.lost_bytes();
    if (c.has(Mark::sack_permitted)) {
        rack_take_delivery(c, t, s, ack.delivery, now);
        wait = rack_detect_losses(c, t, env, now);
        if (t.tail_probe.under_way) judge_tail_probe(c, t, s, ack, env);
    } else {
        const uint32_t reported = r.duplicate_bytes;
        if (ack.acked > 0) uncount_duplicates(c, t, ack.acked);
        if (ack.duplicate) count_duplicate(c, t);
        const int64_t newly = int64_t{delivered} + r.duplicate_bytes - reported;
        delivered = static_cast<uint32_t>(std::max<int64_t>(newly, 0));
        detect_loss_by_duplicates(c, t, ack, env);
    }
    const uint32_t lost = t.flight.lost_bytes();
    ack.newly_lost = lost > lost_before ? lost - lost_before : 0;
    const bool begins =
        r.phase == Phase::none && lost > 0 && !only_oversized_is_lost(c, t, env, now);
    if (begins) enter_fast_recovery(c, t, env, now);
    if (t.model != no_index) {
        control.on_ack(c, t, ack, env, now);
    } else if (r.phase == Phase::fast) {
        const bool partial = ack.acked > 0 && !c.has(Mark::sack_permitted);
        reduce_proportionally(c, t, delivered, begins || partial);
    } else if (ack.acked > 0 && !ends_fast && !undone && t.undo.trial == Undo::Trial::none) {
        control.on_ack(c, t, ack, env, now);
    }
    return wait;
}

void respond_to_lateness(Connection& c, Transfer& t, Environment& env, Instant now) {
    rack_detect_losses(c, t, env, now);
    if (t.flight.lost_bytes() == 0 || only_oversized_is_lost(c, t, env, now)) return;
    const bool begins = t.recovery.phase == Phase::none;
    if (begins) enter_fast_recovery(c, t, env, now);
    if (t.model == no_index && t.recovery.phase == Phase::fast)
        reduce_proportionally(c, t, 0, begins);
}

void begin_timeout_recovery(Connection& c, Transfer& t, Environment& env, Instant now) {
    t.tail_probe = TailProbe{};
    begin_trial(c, t);
    t.recovery.phase = Phase::timeout;
    t.recovery.duplicate_bytes = 0;
    t.recovery.point = c.snd_nxt;
    lose_what_is_not_reported(c, t, env, now);
}

}  // namespace synfin::tcp
