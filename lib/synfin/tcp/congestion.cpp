// Congestion control: what its algorithms share, and NewReno (RFC 5681, RFC 6928). The machinery of
// retransmission (what is sent again, and when recovery ends) is recovery.cpp's.
#include <algorithm>

#include <synfin/base/assert.hpp>
#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

uint32_t half_of_flight(const Connection& c, uint32_t flight) {  // RFC 5681 (4)
    return std::max<uint32_t>(flight / 2, 2u * c.mss);
}

void new_reno_on_ack(Connection& c, Transfer& t, const AckReport& ack, Environment&, Instant now) {
    if (!window_was_used(c, ack) || c.cwnd >= largest_congestion_window) return;
    if (c.cwnd < c.ssthresh) return grow_in_slow_start(c, t, ack, now);
    // Congestion avoidance: one segment per window's worth of acknowledged bytes (RFC 3465).
    t.acked_for_growth += ack.acked;
    if (t.acked_for_growth >= c.cwnd) {
        t.acked_for_growth -= c.cwnd;
        c.cwnd += c.mss;
    }
}

void new_reno_on_loss(Connection& c, Transfer&, uint32_t flight, Environment&) {
    c.ssthresh = half_of_flight(c, flight);
}

void new_reno_on_timeout(Connection& c, Transfer*, uint32_t flight, Environment&) {
    c.ssthresh = half_of_flight(c, flight);
}

// Its memory is ssthresh, which is restored for all.
void new_reno_on_undo(Transfer&, Environment&) {}

}  // namespace

constinit const CongestionControl new_reno{new_reno_on_ack, new_reno_on_loss, new_reno_on_loss,
                                           new_reno_on_timeout, new_reno_on_undo};

const CongestionControl& congestion_control(CongestionAlgorithm algorithm) {
    switch (algorithm) {
        case CongestionAlgorithm::cubic: return cubic;
        case CongestionAlgorithm::new_reno: return new_reno;
        case CongestionAlgorithm::dctcp: return dctcp;
        case CongestionAlgorithm::bbr: return bbr;
    }
    return cubic;
}

bool window_was_used(const Connection& c, const AckReport& ack) {
    return c.cwnd / 2 <= ack.flight_before && !ack.echo;
}

void grow_in_slow_start(Connection& c, Transfer& t, const AckReport& ack, Instant now) {
    const bool first = c.ssthresh == UINT32_MAX;
    const bool after_timeout = t.recovery.phase == Recovery::Phase::timeout;
    const uint32_t segments = after_timeout ? 1 : first ? 8 : 2;
    uint32_t growth = std::min(ack.acked, segments * c.mss);
    // A flight that is acknowledged in one piece has no round trips to compare.
    if (first && !t.flight.empty()) {
        growth = growth_by_round_trips(c, t.hystart, ack, growth, now);
    }
    c.cwnd = std::min(c.cwnd + growth, largest_congestion_window);
}

void restart_after_idle(Connection& c, const Environment& env) {
    if (has_model(c, env)) return;
    c.cwnd = std::min(c.cwnd, initial_window(c, env.terms_of(c)));
}

void adopt_congestion_control(Connection& c, Transfer& t, Environment& env) {
    const bool wanted = has_model(c, env);
    if (wanted == (t.model != no_index)) return;
    if (wanted) {
        t.model = env.transfers.models.take();
        SYNFIN_ASSERT(t.model != no_index);  // there are as many as transfers
        env.transfers.models[t.model] = PathModel{};
        c.ssthresh = UINT32_MAX;
    } else {
        env.transfers.models.give_back(t.model);
        t.model = no_index;
        c.clear(Mark::pacing);
        c.ssthresh = c.cwnd;  // what the model knew is not to be searched for again
    }
}

}  // namespace synfin::tcp
