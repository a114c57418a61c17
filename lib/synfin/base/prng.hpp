// A seeded source of pseudo-random numbers: xoshiro256++ (Blackman, Vigna 2018), its state filled
// by splitmix64 so that any seed, zero included, will do.
//
// For choices that must be reproducible or merely spread out: a simulation's faults, back-off,
// where to start looking for a port. Not for secrets: its output can be predicted from its output.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include <synfin/base/assert.hpp>

namespace synfin {

/// The next number of the sequence that `state` stands for; each state is good for one number.
constexpr uint64_t splitmix64(uint64_t& state) {
    uint64_t z = (state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/// Satisfies std::uniform_random_bit_generator.
class Prng {
  public:
    using result_type = uint64_t;
    static constexpr uint64_t min() { return 0; }
    static constexpr uint64_t max() { return UINT64_MAX; }

    explicit constexpr Prng(uint64_t seed) {
        for (uint64_t& word : state_) word = splitmix64(seed);
    }

    constexpr uint64_t operator()() {
        const uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
        const uint64_t shifted = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= shifted;
        state_[3] = std::rotl(state_[3], 45);
        return result;
    }

    constexpr uint32_t next_u32() { return static_cast<uint32_t>((*this)() >> 32); }

    /// Uniform in [0, bound), bound > 0. The product's high half is the number; the few low halves
    /// that would favour some numbers over others are drawn again (Lemire 2019).
    constexpr uint64_t below(uint64_t bound) {
        SYNFIN_ASSERT(bound > 0);
        Wide product = Wide{(*this)()} * bound;
        if (static_cast<uint64_t>(product) < bound) {
            const uint64_t unfair = (0 - bound) % bound;
            while (static_cast<uint64_t>(product) < unfair) product = Wide{(*this)()} * bound;
        }
        return static_cast<uint64_t>(product >> 64);
    }

    /// Uniform in [0, 1).
    constexpr double unit() { return static_cast<double>((*this)() >> 11) * 0x1.0p-53; }

    /// True in `numerator` of `denominator` cases.
    constexpr bool chance(uint64_t numerator, uint64_t denominator) {
        return below(denominator) < numerator;
    }

  private:
    __extension__ using Wide = unsigned __int128;
    std::array<uint64_t, 4> state_{};
};

}  // namespace synfin
