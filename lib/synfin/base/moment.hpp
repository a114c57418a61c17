// The moment that all segments of a pass share. Each of them asks several times for its
// microseconds or milliseconds, and would divide each time; so they are worked out once.
#pragma once

#include <cstdint>

#include <synfin/base/instant.hpp>

namespace synfin {

/// An Instant that has its microseconds and milliseconds at hand.
class Moment {
  public:
    constexpr Moment() = default;
    constexpr Moment(Instant at) : at_{at}, us_{at.us()}, ms_{at.ms()}, ticks_{ticks_of(at)} {}
    constexpr operator Instant() const { return at_; }

    constexpr int64_t us() const { return us_; }
    constexpr int64_t ms() const { return ms_; }
    /// In units of 2^42 ns, which is 73 minutes.
    constexpr uint16_t ticks() const { return ticks_; }
    static constexpr uint16_t ticks_of(Instant at) { return static_cast<uint16_t>(at.ns() >> 42); }

  private:
    Instant at_;
    int64_t us_ = 0;
    int64_t ms_ = 0;
    uint16_t ticks_ = 0;
};

}  // namespace synfin
