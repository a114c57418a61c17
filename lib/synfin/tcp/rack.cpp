// RACK: what was sent well before something that has arrived is lost (RFC 8985 section 6). Works on
// connections with SACK; the others count duplicate ACKs (recovery.cpp).
#include <algorithm>

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

constexpr uint32_t min_rtt_holds_us = 10'000'000;
constexpr uint8_t factor_holds_recoveries = 16;

// Step 1. The least round trip of the last seconds, from what was sent once.
void update_min_rtt(Rack& rack, uint32_t rtt_us, uint32_t now_us) {
    if (rack.min_rtt_us != 0 && rtt_us > rack.min_rtt_us &&
        now_us - rack.min_rtt_at_us < min_rtt_holds_us) {
        return;
    }
    rack.min_rtt_us = std::max(rtt_us, 1u);
    rack.min_rtt_at_us = now_us;
}

// Step 2, for what was sent more than once: was it an earlier transmission that arrived? The
// timestamp tells only of what is acknowledged: who reports something behind a hole echoes what
// came before the hole (RFC 7323 section 4.3).
bool is_ambiguous(const Connection& c, const Rack& rack, const Segment& s,
                  const Delivery::Latest& latest, Instant now) {
    const uint32_t rtt_us = low_us(now) - latest.sent_us;
    if (rtt_us < rack.min_rtt_us) return true;
    if (latest.end.after(s.ack)) return false;
    if (!c.has(Mark::timestamps) || !s.options.has_timestamps) return false;
    const Instant sent = now - Duration::microseconds(rtt_us);
    return static_cast<int32_t>(s.options.ts_echo - timestamp_clock(c, sent)) < 0;
}

// The first of a transfer begins RACK's order of transmissions.
void take_latest(Rack& rack, const Delivery::Latest& latest, uint32_t now_us) {
    const bool first = rack.rtt_us == 0;
    rack.rtt_us = std::max(now_us - latest.sent_us, 1u);
    if (first || sent_after(latest.sent_us, latest.end, rack.sent_us, rack.end)) {
        rack.sent_us = latest.sent_us;
        rack.end = latest.end;
    }
}

// Step 4. How long something may be late before it is lost.
uint32_t reordering_window_us(const Connection& c, const Transfer& t) {
    const Rack& rack = t.rack;
    const uint32_t three_segments = 3 * payload_max(c, t);
    const bool enough_arrived = t.flight.sacked_bytes() >= three_segments;
    if (!rack.reordering_seen && (t.recovery.phase != Recovery::Phase::none || enough_arrived)) {
        return 0;
    }
    const uint32_t least = rack.min_rtt_us != 0 ? rack.min_rtt_us : c.srtt_us;
    const uint64_t window = uint64_t{rack.window_factor} * least / 4;
    return static_cast<uint32_t>(std::min<uint64_t>(window, c.srtt_us));
}

}  // namespace

void rack_take_delivery(const Connection& c, Transfer& t, const Segment& s, const Delivery& d,
                        Instant now) {
    const uint32_t now_us = low_us(now);
    if (d.original.any) {
        update_min_rtt(t.rack, now_us - d.original.sent_us, now_us);
        take_latest(t.rack, d.original, now_us);
    }
    if (d.again.any && !is_ambiguous(c, t.rack, s, d.again, now)) {
        take_latest(t.rack, d.again, now_us);
    }
    if (d.reordered) t.rack.reordering_seen = true;  // step 3
    if (c.snd_una.load().at_or_after(t.rack.dsack_round)) t.rack.in_dsack_round = false;
}

void rack_take_dsack(const Connection& c, Rack& rack) {
    if (rack.in_dsack_round && c.snd_una.load().before(rack.dsack_round)) return;
    rack.in_dsack_round = true;
    rack.dsack_round = c.snd_nxt;
    if (rack.window_factor < UINT8_MAX) ++rack.window_factor;
    rack.window_persists = factor_holds_recoveries;
}

void rack_end_recovery(Rack& rack) {
    if (rack.window_persists > 0) --rack.window_persists;
    if (rack.window_persists == 0) rack.window_factor = 1;
}

Duration rack_find_late(const Connection& c, Transfer& t, Environment& env, Instant now) {
    const Rack& rack = t.rack;
    const uint32_t tolerance = rack.rtt_us + reordering_window_us(c, t);
    const uint32_t now_us = low_us(now);
    int32_t longest_wait = 0;
    t.flight.lose_if(env.transfers.flights, [&](const FlightRange& r) {
        if (!sent_after(rack.sent_us, rack.end, r.sent_us, r.end)) return false;
        const auto left = static_cast<int32_t>(r.sent_us + tolerance - now_us);
        if (left > 0) {
            longest_wait = std::max(longest_wait, left);
            return false;
        }
        if (r.retransmitted) ++env.counters.lost_retransmits;
        return true;
    });
    return Duration::microseconds(longest_wait);
}

void rack_lose_at_timeout(const Connection& c, Transfer& t, Environment& env, Instant now) {
    t.flight.lose_before(c.snd_una.load() + payload_max(c, t), env.transfers.flights);
    const uint32_t tolerance = t.rack.rtt_us + reordering_window_us(c, t);
    const uint32_t now_us = low_us(now);
    t.flight.lose_if(env.transfers.flights,
                     [&](const FlightRange& r) { return now_us - r.sent_us >= tolerance; });
}

}  // namespace synfin::tcp
