// A rate limit: so many events per second on average, and a burst of a tenth of a second's worth.
//
// The bucket is kept as the one moment at which it will be full again (the generic cell rate
// algorithm): taking a token moves that moment on by the interval between tokens, and is refused
// when it lies further ahead than a whole bucket takes to fill. No timer, no refill.
#pragma once

#include <algorithm>
#include <cstdint>

#include <synfin/base/instant.hpp>

namespace synfin::stack {

class TokenBucket {
  public:
    /// A rate of 0 never gives a token.
    explicit TokenBucket(uint32_t per_second)
        : interval_{per_second == 0 ? Duration{}
                                    : Duration::nanoseconds(1'000'000'000 / per_second)},
          depth_{interval_ * std::max<int64_t>(per_second / 10, 1)},
          never_{per_second == 0} {}

    bool take(Instant now) {
        if (never_) return false;
        const Instant full_at = std::max(full_at_, now) + interval_;
        if (full_at - now > depth_) return false;
        full_at_ = full_at;
        return true;
    }

  private:
    Duration interval_;
    Duration depth_;
    bool never_;
    Instant full_at_;
};

}  // namespace synfin::stack
