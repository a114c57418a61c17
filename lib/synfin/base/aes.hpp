// AES-128 (FIPS 197) by the processor's own instructions, in the one direction that is needed here:
// as a function of 16 bytes that nobody without the key can tell from a random one.
//
// A block takes ten instructions, each of which waits for the one before, so a burst of blocks
// costs hardly more than one. The keys of the rounds are computed in plain C++, so that a key can
// be a constant. Where a processor (or this file) has no such instructions, available() says so,
// and there is nothing else.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#if defined(__x86_64__)
#include <wmmintrin.h>
/// For functions that call Aes128::encrypt, so that it becomes part of them.
#define SYNFIN_USES_AES [[gnu::target("aes")]]
#else
#define SYNFIN_USES_AES
#endif

namespace synfin {

namespace detail {

/// The substitution of FIPS 197 section 5.1.1: the inverse in GF(2^8), and an affine map.
constexpr std::array<uint8_t, 256> make_aes_substitution() {
    std::array<uint8_t, 256> box{};
    // p runs through all powers of 3, q through those of its inverse.
    uint8_t p = 1;
    uint8_t q = 1;
    do {
        p = static_cast<uint8_t>(p ^ (p << 1) ^ ((p & 0x80) != 0 ? 0x1b : 0));
        q = static_cast<uint8_t>(q ^ (q << 1));
        q = static_cast<uint8_t>(q ^ (q << 2));
        q = static_cast<uint8_t>(q ^ (q << 4));
        if ((q & 0x80) != 0) q ^= 0x09;
        box[p] = static_cast<uint8_t>(q ^ std::rotl(q, 1) ^ std::rotl(q, 2) ^ std::rotl(q, 3) ^
                                      std::rotl(q, 4) ^ 0x63);
    } while (p != 1);
    box[0] = 0x63;
    return box;
}

inline constexpr std::array<uint8_t, 256> aes_substitution = make_aes_substitution();

}  // namespace detail

class Aes128 {
  public:
    /// 16 bytes as two little-endian words.
    struct Block {
        uint64_t first = 0;
        uint64_t second = 0;
        friend constexpr bool operator==(const Block&, const Block&) = default;
    };

    explicit constexpr Aes128(const Block& key) {
        std::array<uint32_t, 4 * (rounds + 1)> words{};
        words[0] = static_cast<uint32_t>(key.first);
        words[1] = static_cast<uint32_t>(key.first >> 32);
        words[2] = static_cast<uint32_t>(key.second);
        words[3] = static_cast<uint32_t>(key.second >> 32);
        uint8_t constant = 1;
        for (size_t i = 4; i < words.size(); ++i) {
            uint32_t last = words[i - 1];
            if (i % 4 == 0) {
                last = substitute(std::rotr(last, 8)) ^ constant;
                constant = static_cast<uint8_t>(constant << 1 ^ ((constant & 0x80) != 0 ? 27 : 0));
            }
            words[i] = words[i - 4] ^ last;
        }
        for (size_t i = 0; i < keys_.size(); ++i) {
            keys_[i] = {words[4 * i] | uint64_t{words[4 * i + 1]} << 32,
                        words[4 * i + 2] | uint64_t{words[4 * i + 3]} << 32};
        }
    }

#if defined(__AES__)
    static constexpr bool available() { return true; }
#elif defined(__x86_64__)
    static bool available() { return __builtin_cpu_supports("aes") != 0; }
#else
    static constexpr bool available() { return false; }
#endif

#if defined(__x86_64__)
    /// Only if available().
    SYNFIN_USES_AES __m128i encrypt(__m128i block) const {
        block = _mm_xor_si128(block, key(0));
#pragma GCC unroll 9
        for (size_t i = 1; i < rounds; ++i) block = _mm_aesenc_si128(block, key(i));
        return _mm_aesenclast_si128(block, key(rounds));
    }
    SYNFIN_USES_AES Block encrypt(const Block& block) const {
        const __m128i result = encrypt(
            _mm_set_epi64x(static_cast<int64_t>(block.second), static_cast<int64_t>(block.first)));
        return {static_cast<uint64_t>(_mm_cvtsi128_si64(result)),
                static_cast<uint64_t>(_mm_cvtsi128_si64(_mm_unpackhi_epi64(result, result)))};
    }
#endif

  private:
    static constexpr size_t rounds = 10;

    static constexpr uint32_t substitute(uint32_t word) {
        uint32_t result = 0;
        for (unsigned shift = 0; shift < 32; shift += 8) {
            result |= uint32_t{detail::aes_substitution[word >> shift & 0xff]} << shift;
        }
        return result;
    }

#if defined(__x86_64__)
    SYNFIN_USES_AES __m128i key(size_t round) const {
        return _mm_load_si128(reinterpret_cast<const __m128i*>(&keys_[round]));
    }
#endif

    alignas(16) std::array<Block, rounds + 1> keys_{};
};

}  // namespace synfin
