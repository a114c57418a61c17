// A rate limit: so many events per second on average, and a burst of a tenth of a second's worth.
//
// The bucket is kept as the one moment at which it will be full again (the generic cell rate
// algorithm): taking a token moves that moment on by what the token costs, and is refused when it
// lies further ahead than a whole bucket takes to fill. No timer, no refill.
//
// All peers share a bucket, so whoever counts his own answers could tell from what is missing
// whether another's packet was answered, and so what lives here (as with CVE-2016-5696 and
// CVE-2020-25705). Therefore a token costs anything from half to one and a half of its share of
// time: the rate stays, and what is left over when others have taken theirs cannot be counted.
#pragma once

#include <algorithm>
#include <cstdint>

#include <synfin/base/instant.hpp>
#include <synfin/base/siphash.hpp>

namespace synfin::stack {

class TokenBucket {
  public:
    /// A rate of 0 never gives a token.
    TokenBucket(uint32_t per_second, const SipKey& key)
        : interval_{per_second == 0 ? Duration{}
                                    : Duration::nanoseconds(1'000'000'000 / per_second)},
          depth_{interval_ * std::max<int64_t>(per_second / 10, 1)},
          never_{per_second == 0},
          key_{key} {}

    bool take(Instant now) {
        if (never_) return false;
        const Instant full_at = std::max(full_at_, now);
        if (full_at - now >= depth_) return false;
        full_at_ = full_at + next_cost();
        return true;
    }

  private:
    Duration next_cost() {
        const uint64_t uniform = SipHash13::of_12_bytes(key_, ++taken_, 0) & 0xffff;
        return interval_ / 2 + interval_ * static_cast<int64_t>(uniform) / 0x10000;
    }

    Duration interval_;
    Duration depth_;
    bool never_;
    SipKey key_;
    uint64_t taken_ = 0;
    Instant full_at_;
};

}  // namespace synfin::stack
