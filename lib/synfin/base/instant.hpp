// Time as two types: a point (`Instant`) and a distance (`Duration`), both in nanoseconds.
//
// Nothing in the core reads a clock. Time comes in as an argument, once per loop, so that the same
// code runs against a TSC, against virtual time in simulation, and against a test's own hand.
#pragma once

#include <compare>
#include <cstdint>

namespace synfin {

/// A distance in time. Whole nanoseconds, signed, +-292 years.
class Duration {
  public:
    constexpr Duration() = default;
    static constexpr Duration nanoseconds(int64_t n) { return Duration{n}; }
    static constexpr Duration microseconds(int64_t n) { return Duration{n * 1'000}; }
    static constexpr Duration milliseconds(int64_t n) { return Duration{n * 1'000'000}; }
    static constexpr Duration seconds(int64_t n) { return Duration{n * 1'000'000'000}; }
    static constexpr Duration minutes(int64_t n) { return seconds(60 * n); }
    static constexpr Duration hours(int64_t n) { return minutes(60 * n); }
    /// Longer than anything that is waited for; adding it to an Instant does not overflow.
    static constexpr Duration forever() { return Duration{INT64_MAX / 4}; }

    constexpr int64_t count_ns() const { return ns_; }
    constexpr int64_t count_us() const { return ns_ / 1'000; }
    constexpr int64_t count_ms() const { return ns_ / 1'000'000; }
    constexpr double count_seconds() const { return static_cast<double>(ns_) / 1e9; }

    [[gnu::always_inline]] friend constexpr auto operator<=>(Duration, Duration) = default;
    friend constexpr Duration operator+(Duration a, Duration b) { return Duration{a.ns_ + b.ns_}; }
    friend constexpr Duration operator-(Duration a, Duration b) { return Duration{a.ns_ - b.ns_}; }
    friend constexpr Duration operator*(Duration a, int64_t k) { return Duration{a.ns_ * k}; }
    friend constexpr Duration operator*(int64_t k, Duration a) { return a * k; }
    friend constexpr Duration operator/(Duration a, int64_t k) { return Duration{a.ns_ / k}; }
    friend constexpr int64_t operator/(Duration a, Duration b) { return a.ns_ / b.ns_; }

  private:
    explicit constexpr Duration(int64_t ns) : ns_{ns} {}
    int64_t ns_ = 0;
};

/// A point in time: nanoseconds since an origin that only its clock knows. Never negative.
class Instant {
  public:
    constexpr Instant() = default;
    static constexpr Instant from_ns(int64_t ns) { return Instant{ns}; }
    static constexpr Instant from_us(int64_t us) { return Instant{us * 1'000}; }

    constexpr int64_t ns() const { return ns_; }
    // Unsigned division is the quicker one.
    constexpr int64_t us() const {
        return static_cast<int64_t>(static_cast<uint64_t>(ns_) / 1'000);
    }
    constexpr int64_t ms() const {
        return static_cast<int64_t>(static_cast<uint64_t>(ns_) / 1'000'000);
    }

    [[gnu::always_inline]] friend constexpr auto operator<=>(Instant, Instant) = default;
    friend constexpr Instant operator+(Instant t, Duration d) {
        return Instant{t.ns_ + d.count_ns()};
    }
    friend constexpr Instant operator-(Instant t, Duration d) {
        return Instant{t.ns_ - d.count_ns()};
    }
    friend constexpr Duration operator-(Instant a, Instant b) {
        return Duration::nanoseconds(a.ns_ - b.ns_);
    }

  private:
    explicit constexpr Instant(int64_t ns) : ns_{ns} {}
    int64_t ns_ = 0;
};

namespace literals {
constexpr Duration operator""_ns(unsigned long long n) {
    return Duration::nanoseconds(static_cast<int64_t>(n));
}
constexpr Duration operator""_us(unsigned long long n) {
    return Duration::microseconds(static_cast<int64_t>(n));
}
constexpr Duration operator""_ms(unsigned long long n) {
    return Duration::milliseconds(static_cast<int64_t>(n));
}
constexpr Duration operator""_s(unsigned long long n) {
    return Duration::seconds(static_cast<int64_t>(n));
}
}  // namespace literals

}  // namespace synfin
