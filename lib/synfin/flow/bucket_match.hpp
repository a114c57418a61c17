// Which slots of a bucket hold what is looked for, as a bit mask: one vector comparison for 16
// bytes, four for 16 words on x86-64; plain arithmetic elsewhere.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace synfin::flow {

/// For any machine; little-endian or not only decides the order of bits.
inline uint32_t matching_bytes_portable(const void* group, uint8_t wanted) {
    constexpr uint64_t low_bits = 0x7f7f7f7f7f7f7f7f;
    constexpr uint64_t ones = 0x0101010101010101;
    // Gathers the lowest bit of each byte into the top byte, in order.
    constexpr uint64_t gather = 0x0102040810204080;
    uint32_t mask = 0;
    for (unsigned half = 0; half < 2; ++half) {
        uint64_t word = 0;
        std::memcpy(&word, static_cast<const uint8_t*>(group) + 8 * half, 8);
        word ^= ones * wanted;
        // The top bit of each byte: set exactly if the byte is zero, no borrow between bytes.
        const uint64_t zero = ~(((word & low_bits) + low_bits) | word | low_bits);
        mask |= static_cast<uint32_t>(((zero >> 7) * gather) >> 56) << (8 * half);
    }
    return mask;
}

/// Bit i is set if byte i of `group` (16 bytes, 16-byte aligned) equals `wanted`.
inline uint32_t matching_bytes(const void* group, uint8_t wanted) {
#if defined(__SSE2__)
    const __m128i bytes = _mm_load_si128(static_cast<const __m128i*>(group));
    const __m128i equal = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(static_cast<char>(wanted)));
    return static_cast<uint32_t>(_mm_movemask_epi8(equal));
#else
    return matching_bytes_portable(group, wanted);
#endif
}

/// For any machine.
inline uint32_t matching_words_portable(const uint32_t* words, uint32_t bits, uint32_t wanted) {
    uint32_t mask = 0;
    for (unsigned i = 0; i < 16; ++i) mask |= uint32_t{(words[i] & bits) == wanted} << i;
    return mask;
}

/// Bit i is set if words[i] & bits equals `wanted`, for 16 words, 16-byte aligned.
inline uint32_t matching_words(const uint32_t* words, uint32_t bits, uint32_t wanted) {
#if defined(__SSE2__)
    const __m128i* group = reinterpret_cast<const __m128i*>(words);
    const __m128i select = _mm_set1_epi32(static_cast<int>(bits));
    const __m128i want = _mm_set1_epi32(static_cast<int>(wanted));
    const auto equal = [&](unsigned i) {
        return _mm_cmpeq_epi32(_mm_and_si128(_mm_load_si128(group + i), select), want);
    };
    const __m128i low = _mm_packs_epi32(equal(0), equal(1));
    const __m128i high = _mm_packs_epi32(equal(2), equal(3));
    return static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(low, high)));
#else
    return matching_words_portable(words, bits, wanted);
#endif
}

}  // namespace synfin::flow
