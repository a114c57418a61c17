// HyStart++ (RFC 9406): the first slow start ends when round trips get longer, before the queue of
// the bottleneck overflows and takes a part of each flight with it. Growth first becomes four times
// slower, for five rounds; if round trips get shorter again meanwhile, that was no queue.
//
// Only while ssthresh is not known: a slow start after a loss ends where the loss was.
#include <algorithm>

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

constexpr uint32_t least_threshold_us = 4'000;   // MIN_RTT_THRESH
constexpr uint32_t most_threshold_us = 16'000;   // MAX_RTT_THRESH
constexpr uint32_t threshold_divisor = 8;        // MIN_RTT_DIVISOR
constexpr uint8_t samples_needed = 8;            // N_RTT_SAMPLE
constexpr uint32_t conservative_divisor = 4;     // CSS_GROWTH_DIVISOR
constexpr uint8_t conservative_rounds_most = 5;  // CSS_ROUNDS

void begin_round(const Connection& c, HyStart& h) {
    h.round_end = c.snd_nxt;
    h.last_round_us = h.this_round_us;
    h.this_round_us = 0;
    h.samples = 0;
}

void end_round(Connection& c, HyStart& h) {
    if (h.conservative && ++h.conservative_rounds == conservative_rounds_most) {
        c.ssthresh = c.cwnd;
    }
    begin_round(c, h);
}

// A round has as many samples as it needs to say something.
void judge(HyStart& h) {
    if (h.conservative) {
        h.conservative = h.this_round_us >= h.baseline_us;
    } else if (h.last_round_us != 0) {
        const uint32_t threshold =
            std::clamp(h.last_round_us / threshold_divisor, least_threshold_us, most_threshold_us);
        if (h.this_round_us < h.last_round_us + threshold) return;
        h.conservative = true;
        h.conservative_rounds = 0;
        h.baseline_us = h.this_round_us;
    }
}

void take_sample(HyStart& h, uint32_t round_trip_us) {
    const uint32_t sample_us = std::max(round_trip_us, 1u);
    h.this_round_us = h.samples == 0 ? sample_us : std::min(h.this_round_us, sample_us);
    if (h.samples < samples_needed) ++h.samples;
    if (h.samples == samples_needed) judge(h);
}

}  // namespace

uint32_t growth_by_round_trips(Connection& c, HyStart& h, const AckReport& ack, uint32_t growth,
                               Instant now) {
    // A round whose end nobody has seen pass begins anew.
    const bool in_round = h.running && h.round_end.at_or_before(c.snd_nxt);
    if (!in_round) {
        h = HyStart{};
        h.running = true;
        begin_round(c, h);
    }
    const Delivery::Latest& latest = ack.delivery.original;
    if (latest.any) take_sample(h, low_us(now) - latest.sent_us);
    const uint32_t grown = h.conservative ? growth / conservative_divisor : growth;
    if (c.snd_una.load().at_or_after(h.round_end)) end_round(c, h);
    return grown;
}

}  // namespace synfin::tcp
