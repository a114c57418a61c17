// CUBIC (RFC 9438): after a loss the window comes back along a cubic of the time since, steep far
// below the window of the loss, flat around it, steep again beyond; and never below what NewReno
// would have ("Reno-friendly").
//
// Windows are counted in segments here, as the RFC's constants are, and time in seconds. The state
// lies in the Transfer: a connection that has been idle begins its next cubic where it stands.
#include <algorithm>
#include <cmath>

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

constexpr double c_cubic = 0.4;     // segments per second^3
constexpr double beta_cubic = 0.7;  // what remains of the window after a loss
constexpr double alpha_cubic = 3.0 * (1.0 - beta_cubic) / (1.0 + beta_cubic);
constexpr double most_growth = 1.5;  // of the target over the window, per round trip

double in_segments(const Connection& c, uint32_t bytes) {
    return static_cast<double>(bytes) / c.mss;
}

uint32_t reduced(const Connection& c, uint32_t flight) {  // section 4.6
    const auto part = static_cast<uint32_t>(flight * beta_cubic);
    return std::max<uint32_t>(part, 2u * c.mss);
}

// Section 4.7: a window that did not get as far as the last time leaves room to others.
void remember_window_of_loss(const Connection& c, Cubic& cubic) {
    const double window = in_segments(c, c.cwnd);
    const bool converges = window < cubic.w_max;
    cubic.undo_w_max = cubic.w_max;
    cubic.undo_window_before = cubic.window_before;
    cubic.undo_in_epoch = cubic.in_epoch;
    cubic.w_max = static_cast<float>(converges ? window * (1.0 + beta_cubic) / 2.0 : window);
    cubic.window_before = static_cast<float>(window);
    cubic.in_epoch = false;
}

// Section 4.2: the cubic that is back at w_max after k seconds.
void begin_epoch(const Connection& c, Cubic& cubic, uint32_t now_us) {
    const double window = in_segments(c, c.cwnd);
    cubic.in_epoch = true;
    cubic.epoch_us = now_us;
    cubic.w_max = std::max(cubic.w_max, static_cast<float>(window));
    cubic.k = static_cast<float>(std::cbrt(std::max(cubic.w_max - window, 0.0) / c_cubic));
    cubic.w_est = window;
}

double cubic_window(const Cubic& cubic, double seconds) {
    const double t = seconds - cubic.k;
    return c_cubic * t * t * t + cubic.w_max;
}

// Section 4.3: what NewReno would have by now.
void grow_reno_estimate(Cubic& cubic, double window, double acked) {
    const double alpha = cubic.w_est < cubic.window_before ? alpha_cubic : 1.0;
    cubic.w_est += alpha * acked / window;
}

void avoid_congestion(Connection& c, Cubic& cubic, uint32_t acked_bytes, uint32_t now_us) {
    if (!cubic.in_epoch) begin_epoch(c, cubic, now_us);
    const double window = in_segments(c, c.cwnd);
    const double acked = in_segments(c, acked_bytes);
    grow_reno_estimate(cubic, window, acked);
    const double elapsed = (now_us - cubic.epoch_us) / 1e6;
    double grown = window;
    if (cubic_window(cubic, elapsed) < cubic.w_est) {
        grown = std::max(window, cubic.w_est);
    } else {
        const double ahead = cubic_window(cubic, elapsed + c.srtt_us / 1e6);
        const double target = std::clamp(ahead, window, most_growth * window);
        grown = window + (target - window) * std::min(acked / window, 1.0);
    }
    c.cwnd = std::max(c.cwnd, static_cast<uint32_t>(std::min(
                                  grown * c.mss, static_cast<double>(largest_congestion_window))));
}

void on_ack(Connection& c, Transfer& t, const AckReport& ack, Environment&, Instant now) {
    Cubic& cubic = t.cubic;
    const uint32_t now_us = low_us(now);
    if (!window_was_used(c, ack)) {
        // Section 4.2: time in which the window was not the limit does not count.
        cubic.epoch_us += now_us - cubic.last_ack_us;
    } else if (c.cwnd < c.ssthresh) {
        grow_in_slow_start(c, t, ack, now);
    } else {
        avoid_congestion(c, cubic, ack.acked, now_us);
    }
    cubic.last_ack_us = now_us;
}

void on_loss(Connection& c, Transfer& t, uint32_t flight, Environment&) {
    remember_window_of_loss(c, t.cubic);
    c.ssthresh = reduced(c, flight);
}

void on_timeout(Connection& c, Transfer* t, uint32_t flight, Environment&) {
    c.ssthresh = reduced(c, flight);
    if (t == nullptr) return;
    remember_window_of_loss(c, t->cubic);
    t->cubic.w_max = 0;  // section 4.8: the cubic begins where slow start ends
}

// Section 4.9. As long as no other epoch has begun, the one of before the loss goes on.
void on_undo(Transfer& t, Environment&) {
    Cubic& cubic = t.cubic;
    cubic.w_max = cubic.undo_w_max;
    cubic.window_before = cubic.undo_window_before;
    cubic.in_epoch = cubic.undo_in_epoch && !cubic.in_epoch;
}

}  // namespace

constinit const CongestionControl cubic{on_ack, on_loss, on_loss, on_timeout, on_undo};

}  // namespace synfin::tcp
