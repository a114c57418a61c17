// Congestion control: NewReno's reaction to acknowledgments and losses (RFC 5681, RFC 6928). The
// retransmission machinery itself (what is sent again, and when recovery ends) is
// acknowledgment.cpp's.
#include <algorithm>

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

uint32_t half_of_flight(const Connection& c, uint32_t flight) {  // RFC 5681 (4)
    return std::max<uint32_t>(flight / 2, 2u * c.mss);
}

void new_reno_on_ack(Connection& c, Transfer& t, uint32_t acked, uint32_t flight) {
    // A window that was not used says nothing about the path.
    if (c.cwnd / 2 > flight) return;
    constexpr uint32_t largest_window = uint32_t{1} << 30;
    if (c.cwnd >= largest_window) return;
    if (c.cwnd < c.ssthresh) {
        c.cwnd += std::min<uint32_t>(acked, c.mss);  // slow start
        return;
    }
    // Congestion avoidance: one segment per window's worth of acknowledged bytes (RFC 3465).
    t.acked_for_growth += acked;
    if (t.acked_for_growth >= c.cwnd) {
        t.acked_for_growth -= c.cwnd;
        c.cwnd += c.mss;
    }
}

void new_reno_on_loss(Connection& c, uint32_t flight) { c.ssthresh = half_of_flight(c, flight); }

void new_reno_on_timeout(Connection& c, uint32_t flight) { c.ssthresh = half_of_flight(c, flight); }

uint32_t initial_window(const Connection& c, const Environment& env) {
    const uint32_t mss = c.mss;
    const uint32_t segments = env.profile_of(c).initial_window_segments;
    return std::min(segments * mss, std::max(2 * mss, segments * 1460));
}

constexpr CongestionControl new_reno{new_reno_on_ack, new_reno_on_loss, new_reno_on_timeout};

}  // namespace

const CongestionControl& congestion_control(CongestionAlgorithm algorithm) {
    switch (algorithm) {
        case CongestionAlgorithm::new_reno: return new_reno;
    }
    return new_reno;
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
