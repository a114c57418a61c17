// Sequence numbers: 32 bits that wrap (RFC 9293 section 3.4).
//
// There is no operator< on purpose. "Less" has no meaning on a circle; `before` means that the
// shorter way round leads forwards, and is right as long as the two are less than 2^31 apart.
#pragma once

#include <cstdint>

namespace synfin::tcp {

class Seq {
  public:
    constexpr Seq() = default;
    explicit constexpr Seq(uint32_t value) : value_{value} {}
    constexpr uint32_t value() const { return value_; }

    constexpr bool before(Seq other) const {
        return static_cast<int32_t>(value_ - other.value_) < 0;
    }
    constexpr bool after(Seq other) const { return other.before(*this); }
    constexpr bool at_or_before(Seq other) const { return !after(other); }
    constexpr bool at_or_after(Seq other) const { return !before(other); }
    /// Whether this lies in [left, left + size).
    constexpr bool in_window(Seq left, uint32_t size) const { return value_ - left.value_ < size; }
    /// How far this lies ahead of `earlier`; right only if it does.
    constexpr uint32_t distance_from(Seq earlier) const { return value_ - earlier.value_; }

    friend constexpr bool operator==(Seq, Seq) = default;
    friend constexpr Seq operator+(Seq s, uint32_t n) { return Seq{s.value_ + n}; }
    friend constexpr Seq operator-(Seq s, uint32_t n) { return Seq{s.value_ - n}; }
    constexpr Seq& operator+=(uint32_t n) { return *this = *this + n; }

  private:
    uint32_t value_ = 0;
};

// By their values: compilers choose between the objects in memory else.
constexpr Seq earlier_of(Seq a, Seq b) { return Seq{a.before(b) ? a.value() : b.value()}; }
constexpr Seq later_of(Seq a, Seq b) { return Seq{a.after(b) ? a.value() : b.value()}; }

}  // namespace synfin::tcp
