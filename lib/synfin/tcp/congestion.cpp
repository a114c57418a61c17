// Congestion control: what its algorithms share, and NewReno (RFC 5681, RFC 6928). The machinery of
// retransmission (what is sent again, and when recovery ends) is recovery.cpp's.
#include <algorithm>

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

uint32_t half_of_flight(const Connection& c, uint32_t flight) {  // RFC 5681 (4)
    return std::max<uint32_t>(flight / 2, 2u * c.mss);
}

void new_reno_on_ack(Connection& c, Transfer& t, const AckReport& ack, Instant) {
    if (!window_was_used(c, ack) || c.cwnd >= largest_congestion_window) return;
    if (c.cwnd < c.ssthresh) return grow_in_slow_start(c, t, ack);
    // Congestion avoidance: one segment per window's worth of acknowledged bytes (RFC 3465).
    t.acked_for_growth += ack.acked;
    if (t.acked_for_growth >= c.cwnd) {
        t.acked_for_growth -= c.cwnd;
        c.cwnd += c.mss;
    }
}

void new_reno_on_loss(Connection& c, Transfer&, uint32_t flight) {
    c.ssthresh = half_of_flight(c, flight);
}

void new_reno_on_timeout(Connection& c, Transfer*, uint32_t flight) {
    c.ssthresh = half_of_flight(c, flight);
}

void new_reno_on_undo(Transfer&) {}  // its memory is ssthresh, which is restored for all

uint32_t initial_window(const Connection& c, const Environment& env) {
    const uint32_t mss = c.mss;
    const uint32_t segments = env.profile_of(c).initial_window_segments;
    return std::min(segments * mss, std::max(2 * mss, segments * 1460));
}

}  // namespace

constinit const CongestionControl new_reno{new_reno_on_ack, new_reno_on_loss, new_reno_on_loss,
                                           new_reno_on_timeout, new_reno_on_undo};

const CongestionControl& congestion_control(CongestionAlgorithm algorithm) {
    switch (algorithm) {
        case CongestionAlgorithm::cubic: return cubic;
        case CongestionAlgorithm::new_reno: return new_reno;
        case CongestionAlgorithm::dctcp: return dctcp;
    }
    return cubic;
}

bool window_was_used(const Connection& c, const AckReport& ack) {
    return c.cwnd / 2 <= ack.flight_before && !ack.echo;
}

void grow_in_slow_start(Connection& c, const Transfer& t, const AckReport& ack) {
    const bool after_timeout = t.recovery.phase == Recovery::Phase::timeout;
    const uint32_t most = (after_timeout ? 1u : 2u) * c.mss;
    c.cwnd = std::min(c.cwnd + std::min(ack.acked, most), largest_congestion_window);
}

void start_congestion_control(Connection& c, const Environment& env) {
    // RFC 6928: ten segments, and one if the SYN or SYN,ACK had to be sent more than twice.
    c.cwnd = c.backoff > 1 ? c.mss : initial_window(c, env);
    c.ssthresh = UINT32_MAX;
}

void restart_after_idle(Connection& c, const Environment& env) {
    c.cwnd = std::min(c.cwnd, initial_window(c, env));
}

}  // namespace synfin::tcp
