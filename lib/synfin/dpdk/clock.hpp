// Time from the time stamp counter: one instruction and one multiplication.
//
// The rate is measured against the system's clock during EAL's start. Two clocks of one process
// with the same rate agree, because both count from the counter's own zero.
#pragma once

#include <cstdint>

#include <rte_cycles.h>

#include <synfin/base/instant.hpp>
#include <synfin/dpdk/eal.hpp>

namespace synfin::dpdk {

class Clock {
  public:
    explicit Clock(const Eal& eal) : Clock{eal.tsc_hz(), rte_rdtsc()} {}

    /// Times count from an hour before `first_tick`, so that they are positive also for a worker
    /// whose core's counter is a little behind, and after a subtraction of the usual timeouts.
    Clock(double ticks_per_second, uint64_t first_tick)
        : nanoseconds_per_tick_{static_cast<uint64_t>(1e9 / ticks_per_second *
                                                      static_cast<double>(uint64_t{1} << shift))},
          origin_{first_tick} {}

    Instant now() const { return at(rte_rdtsc()); }

    Instant at(uint64_t tick) const {
        const auto ticks = static_cast<int64_t>(tick - origin_);
        const auto ns = static_cast<Wide>(ticks) * static_cast<int64_t>(nanoseconds_per_tick_);
        return start + Duration::nanoseconds(static_cast<int64_t>(ns >> shift));
    }

    static uint64_t ticks() { return rte_rdtsc(); }

  private:
    __extension__ using Wide = __int128;
    static constexpr unsigned shift = 32;
    static constexpr Instant start = Instant::from_us(int64_t{3600} * 1'000'000);
    uint64_t nanoseconds_per_tick_;
    uint64_t origin_;
};

}  // namespace synfin::dpdk
