// Spreads what a congestion window lets out over time, for the algorithms that know a rate.
//
// The sum of what has left moves `release` on, by the time that it takes at the rate; nothing
// leaves before it. So that a fast connection does not need a timer for each segment, who waits for
// it waits until a burst of some segments may leave; and who comes late may catch up by as much,
// and by a millisecond, but not by more: an idle time gives no credit.
#pragma once

#include <algorithm>
#include <cstdint>

#include <synfin/base/instant.hpp>

namespace synfin::tcp {

class Pacer {
  public:
    /// 0 until the algorithm has set one.
    uint64_t bytes_per_second() const { return bytes_per_second_; }

    void set_rate(uint64_t bytes_per_second) {
        bytes_per_second_ = std::max<uint64_t>(bytes_per_second, 1);
    }

    /// What leaves at once (send_quantum of BBR): a segment on a slow path, up to a millisecond's
    /// worth on a fast one.
    uint32_t burst_bytes(uint32_t segment) const {
        constexpr uint64_t slow = 1'200'000 / 8;
        constexpr uint64_t fast = 24'000'000 / 8;
        constexpr uint64_t most = 64 * 1024;
        if (bytes_per_second_ < slow) return segment;
        if (bytes_per_second_ < fast) return 2 * segment;
        return static_cast<uint32_t>(
            std::max<uint64_t>(std::min(bytes_per_second_ / 1000, most), 2 * segment));
    }

    bool may_send(Instant now) const { return now >= release_; }

    /// When a burst may leave.
    Instant wake_at(uint32_t segment) const {
        return release_ + time_of(burst_bytes(segment) - segment);
    }

    void on_departure(uint32_t bytes, uint32_t segment, Instant now) {
        const Duration late = time_of(burst_bytes(segment)) + Duration::milliseconds(1);
        release_ = std::max(release_, now - std::min(late, now - Instant{})) + time_of(bytes);
    }
    /// The first of a flight after an idle time: a burst may leave, and there is no other credit.
    void restart(uint32_t segment, Instant now) {
        const Duration burst = time_of(burst_bytes(segment) - segment);
        release_ = std::max(release_, now - std::min(burst, now - Instant{}));
    }

  private:
    Duration time_of(uint32_t bytes) const {
        return Duration::nanoseconds(
            static_cast<int64_t>(uint64_t{bytes} * 1'000'000'000 / bytes_per_second_));
    }

    uint64_t bytes_per_second_ = 0;
    Instant release_;
};

}  // namespace synfin::tcp
