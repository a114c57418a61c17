// Following the size of the path (RFC 1191, RFC 8201, RFC 8899 with RFC 4821): smaller at once when
// a router says so or when large segments vanish; larger only when a probe has arrived.
//
// A segment that was too large for the path is no sign of congestion: what an ICMP message names
// and a probe that was lost are sent again without a smaller congestion window (RFC 4821
// section 7.6).
#include <algorithm>

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

using Phase = Oversized::Phase;

/// Expiries in a row before segments are made smaller: one is any loss, two may be bad luck. If
/// that does not help, two more lead to the next smaller size.
constexpr uint8_t expiries_of_a_black_hole = 3;
constexpr uint8_t expiries_to_the_next_size = 2;
/// How many segments follow a probe at least, so that its loss is seen by what arrives behind it.
constexpr uint32_t segments_behind_probe = 4;

void make_smaller(Connection& c, uint16_t size, Environment& env) {
    if (!c.has(Mark::narrow_path)) env.paths->remember_agreed_size(c);
    c.set(Mark::narrow_path);
    c.mss = size;
}

void end_probe(Connection& c, Transfer& t, bool arrived, Environment& env, Instant now) {
    Oversized& probe = t.oversized;
    ++(arrived ? env.counters.path_probes_arrived : env.counters.path_probes_lost);
    probe.phase = arrived ? Phase::none : Phase::lost;
    env.paths->on_probe(c, probe.size, arrived, now);
    if (!arrived) return;
    c.mss = std::max(c.mss, probe.size);
    if (c.mss >= env.paths->agreed_size(c)) c.clear(Mark::narrow_path);
}

// The router has refused the probe, which is nothing but the answer to it.
void lose_probe(Connection& c, Transfer& t, Environment& env, Instant now) {
    const Oversized& probe = t.oversized;
    t.flight.lose_if(env.transfers.flights, [&](const FlightRange& r) {
        return r.end.after(probe.begin) && r.begin.before(probe.end);
    });
    end_probe(c, t, false, env, now);
}

}  // namespace

void follow_known_path(Connection& c, Environment& env, Instant now) {
    const uint16_t size = env.paths->segment_size(c, now);
    if (size != 0 && size < c.mss) make_smaller(c, size, env);
}

TooBig on_too_big(Connection& c, Seq quoted, uint16_t size, bool in_parts, Environment& env,
                  Instant now) {
    Transfer* t = transfer_of(c, env);
    const uint32_t flight = c.snd_nxt.load().distance_from(c.snd_una);
    if (env.paths == nullptr || t == nullptr || !is_synchronized(c.state) ||
        c.has(Mark::send_reset) || !quoted.in_window(c.snd_una, flight)) {
        return TooBig::not_believed;
    }
    Oversized& o = t->oversized;
    const bool names_probe = o.phase == Phase::probing && quoted == o.begin && size < o.size;
    if (names_probe) lose_probe(c, *t, env, now);
    const bool is_news = size < c.mss || (in_parts && !c.has(Mark::narrow_path));
    if (!is_news) return names_probe ? TooBig::probe_refused : TooBig::not_believed;

    make_smaller(c, std::min(size, c.mss), env);
    ++env.counters.path_reductions;
    // What follows the quoted segment was as large; no later message has to name each of them.
    t->flight.lose_if(env.transfers.flights,
                      [&](const FlightRange& r) { return r.end.after(quoted); });
    o.phase = Phase::lost;
    o.begin = c.snd_una;
    o.end = c.snd_nxt;
    arm_retransmission(c, env, now);
    return TooBig::believed;
}

void suspect_path(Connection& c, Transfer& t, Environment& env, Instant now) {
    if (env.paths == nullptr) return;
    if (t.oversized.phase == Phase::probing) end_probe(c, t, false, env, now);
    t.oversized.phase = Phase::none;
    if (c.backoff < expiries_of_a_black_hole) {
        // Another connection may have learned it meanwhile.
        if (env.paths->any()) follow_known_path(c, env, now);
        return;
    }
    if ((c.backoff - expiries_of_a_black_hole) % expiries_to_the_next_size != 0) return;
    const uint32_t largest_sent = std::min<uint32_t>(queued_bytes(c, env), c.mss);
    const uint16_t size = env.paths->on_black_hole(c, static_cast<uint16_t>(largest_sent), now);
    if (size == 0 || size >= c.mss) return;
    make_smaller(c, size, env);
    ++env.counters.path_black_holes;
}

uint32_t path_probe_payload(Connection& c, const Transfer& t, uint32_t unsent,
                            uint32_t congestion_left, uint32_t payload_max, Environment& env,
                            Instant now) {
    if (t.oversized.phase != Phase::none || t.recovery.phase != Recovery::Phase::none ||
        t.flight.sacked_bytes() != 0 || t.flight.lost_bytes() != 0) {
        return 0;
    }
    const uint16_t size = env.paths->size_to_probe(c, now);
    if (size <= c.mss) return 0;
    const uint32_t probe = payload_max + (size - c.mss);
    const uint32_t enough = probe + segments_behind_probe * payload_max;
    const uint32_t flight = c.snd_nxt.load().distance_from(c.snd_una);
    const bool is_room =
        unsent >= enough && congestion_left >= enough && c.snd_wnd >= flight + enough;
    return is_room ? probe : 0;
}

void note_path_probe(const Connection& c, Transfer& t, Seq begin, uint32_t bytes,
                     Environment& env) {
    ++env.counters.path_probes;
    t.oversized.phase = Phase::probing;
    t.oversized.size = static_cast<uint16_t>(bytes + option_bytes(c, t));
    t.oversized.begin = begin;
    t.oversized.end = begin + bytes;
}

void take_oversized_delivery(Connection& c, Transfer& t, Environment& env, Instant now) {
    Oversized& o = t.oversized;
    const bool acknowledged = c.snd_una.load().at_or_after(o.end);
    if (o.phase == Phase::lost) {
        if (acknowledged) o.phase = Phase::none;
        return;
    }
    if (acknowledged || (o.begin.at_or_after(c.snd_una) &&
                         t.flight.is_sacked(o.begin, o.end, env.transfers.flights))) {
        end_probe(c, t, true, env, now);
    }
}

bool only_oversized_is_lost(Connection& c, Transfer& t, Environment& env, Instant now) {
    const Oversized& o = t.oversized;
    if (o.phase == Phase::none) return false;
    const FlightRange* lost = t.flight.first_lost(env.transfers.flights);
    const bool within = lost->begin.at_or_after(o.begin) && lost->begin.before(o.end) &&
                        t.flight.lost_bytes() <= o.end.distance_from(o.begin);
    if (within && o.phase == Phase::probing) {
        // Without SACK one segment of the usual size was held for lost.
        t.flight.lose_before(o.end, env.transfers.flights);
        end_probe(c, t, false, env, now);
    }
    return within;
}

void note_oversized_sent_again(Connection& c, Transfer& t, Seq begin, Seq end, Environment& env,
                               Instant now) {
    Oversized& o = t.oversized;
    if (end.at_or_before(o.begin) || begin.at_or_after(o.end)) return;
    if (o.phase == Phase::probing) end_probe(c, t, false, env, now);
    if (end.at_or_after(o.end)) o.phase = Phase::none;
}

}  // namespace synfin::tcp
