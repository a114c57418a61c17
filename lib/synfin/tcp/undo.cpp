// Undoing what was done for a loss that was none: the segment was late, not lost. Three witnesses:
//
//   timestamps   the first ACK after the retransmission answers an earlier transmission (Eifel,
//                RFC 3522)
//   DSACK        the peer reports everything that was sent again as a duplicate (RFC 2883)
//   F-RTO        after a timeout outside of a recovery, something arrives that was not sent again
//                (RFC 5682). With SACK it is known what that is; without, the first answer lets new
//                data out instead of what comes next, and the second one tells: a duplicate, or an
//                ACK for what was sent once
//
// The answer is RFC 4015's: the threshold of before, and a window that lets out no burst.
#include <algorithm>

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

using Phase = Recovery::Phase;

bool answers_earlier_transmission(const Connection& c, Undo& undo, const Segment& s,
                                  const AckReport& ack) {
    if (!undo.stamped || ack.acked == 0 || !c.has(Mark::timestamps)) return false;
    undo.stamped = false;  // only the first ACK for new data can tell
    return static_cast<int32_t>(s.options.ts_echo - undo.first_stamp) < 0;
}

bool everything_came_twice(Undo& undo, const Recovery& recovery, const AckReport& ack) {
    if (!ack.dsack || undo.sent_again == 0 || ack.dsack_right.after(recovery.point)) return false;
    undo.sent_again -= std::min(undo.sent_again, ack.dsack_right.distance_from(ack.dsack_left));
    return undo.sent_again == 0;
}

bool arrived_without_being_sent_again(const Connection& c, const Transfer& t,
                                      const AckReport& ack) {
    return c.has(Mark::sack_permitted) && t.undo.by_arrivals &&
           t.recovery.phase == Phase::timeout && ack.delivery.undead &&
           c.snd_una.load().before(t.recovery.point);
}

uint32_t flight_size(const Connection& c) { return c.snd_nxt.load().distance_from(c.snd_una); }

// RFC 5682 section 2.1, step 2. There must be a full segment that may leave, or nothing would bring
// the second answer.
void judge_first_answer(Connection& c, Transfer& t, const Segment& s, const AckReport& ack,
                        Environment& env) {
    Undo::Trial& trial = t.undo.trial;
    const uint32_t segment = payload_max(c, t);
    const Seq end = c.snd_nxt.load() + segment;
    const Seq edge = s.ack + (uint32_t{s.window} << c.snd_scale);
    const bool has_new = !end.after(data_end(c, env)) && !end.after(edge);
    const bool covers_repetition = ack.acked > 0 && ack.acked >= t.undo.sent_again;
    trial = Undo::Trial::none;
    if (!covers_repetition || !has_new || c.snd_una.load().at_or_after(t.recovery.point)) return;
    trial = Undo::Trial::second;
    t.flight.revive(env.transfers.flights);
    c.cwnd = flight_size(c) + 2 * segment;
}

// Step 3 a): it was a loss, and what was in flight goes again.
void resume_timeout_recovery(Connection& c, Transfer& t, Environment& env) {
    t.undo.trial = Undo::Trial::none;
    t.flight.lose_before(t.recovery.point, env.transfers.flights);
    c.cwnd = 3u * c.mss;
}

// Whether the second answer acknowledges what was sent once (step 3 b).
bool follow_trial(Connection& c, Transfer& t, const Segment& s, const AckReport& ack,
                  Environment& env) {
    if (ack.acked == 0 && !ack.duplicate) return false;
    const bool second = t.undo.trial == Undo::Trial::second;
    if (second && ack.acked > 0) return true;
    if (second) {
        resume_timeout_recovery(c, t, env);
    } else {
        judge_first_answer(c, t, s, ack, env);
    }
    return false;
}

void restore(Connection& c, Transfer& t, const AckReport& ack, Environment& env) {
    constexpr uint32_t burst_segments = 10;
    ++(t.undo.by_timer ? env.counters.spurious_timeouts : env.counters.spurious_recoveries);
    t.flight.revive(env.transfers.flights);
    if (t.recovery.phase != Phase::none) t.recovery.repeats_arrive = true;
    t.recovery.phase = Phase::none;
    t.recovery.duplicate_acks = 0;
    t.recovery.duplicate_bytes = 0;
    if (!ack.echo) {  // routers have marked what was not lost
        const uint32_t smooth = flight_size(c) + std::min(ack.acked, burst_segments * c.mss);
        c.cwnd = std::max(c.cwnd, std::min(t.undo.cwnd, smooth));
        c.ssthresh = t.undo.ssthresh;
        congestion_control(c, env).on_undo(t, env);
    }
    t.undo = Undo{};
}

}  // namespace

void remember_for_undo(const Connection& c, Transfer& t, bool by_timer) {
    t.undo = Undo{};
    t.undo.possible = true;
    t.undo.by_timer = by_timer;
    t.undo.by_arrivals = by_timer && t.recovery.phase == Phase::none;
    t.undo.cwnd = c.cwnd;
    t.undo.ssthresh = c.ssthresh;
}

void begin_trial(const Connection& c, Transfer& t) {
    const bool told_otherwise = c.has(Mark::sack_permitted) || c.has(Mark::timestamps);
    // A second timeout proves that the first was none too early; and a model sets the window
    // itself.
    const bool first = t.recovery.phase == Phase::none;
    const bool tries = !told_otherwise && first && t.model == no_index;
    t.undo.trial = tries ? Undo::Trial::first : Undo::Trial::none;
}

void note_retransmission(const Connection& c, Transfer& t, uint32_t bytes, Instant now) {
    if (!t.undo.possible) return;
    if (t.undo.sent_again == 0 && c.has(Mark::timestamps)) {
        t.undo.stamped = true;
        t.undo.first_stamp = timestamp_clock(c, now);
    }
    t.undo.sent_again += bytes;
}

bool undo_if_spurious(Connection& c, Transfer& t, const Segment& s, const AckReport& ack,
                      Environment& env) {
    if (t.recovery.phase == Phase::none && c.snd_una.load().after(t.undo.until)) {
        t.undo = Undo{};
        return false;
    }
    const bool late = answers_earlier_transmission(c, t.undo, s, ack);
    const bool twice = everything_came_twice(t.undo, t.recovery, ack);
    const bool tried = t.undo.trial != Undo::Trial::none && follow_trial(c, t, s, ack, env);
    const bool spurious = late || twice || tried || arrived_without_being_sent_again(c, t, ack);
    if (spurious) restore(c, t, ack, env);
    return spurious;
}

}  // namespace synfin::tcp
