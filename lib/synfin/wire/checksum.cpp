#include <cstring>
#ifdef __AVX2__
#include <immintrin.h>
#endif

#include <synfin/wire/checksum.hpp>

namespace synfin::wire {

namespace {

// Summing and copy-and-summing are the same loops; `Mode` says whether there is a copy. The
// position is one offset for both ranges, and nothing goes through memory but the bytes themselves.
enum class Mode { sum, copy_and_sum };

template <Mode mode, typename Word>
PartialSum take(uint8_t* to, const uint8_t* from, size_t& at) {
    const Word word = load_native<Word>(from + at);
    if constexpr (mode == Mode::copy_and_sum) store_native(to + at, word);
    at += sizeof(Word);
    return PartialSum{word};
}

#ifdef __AVX2__
/// Sums blocks of 64 bytes, and one of 32, as long as they fit. The low and the high halves of each
/// 64-bit lane are added to 64-bit accumulators of their own, so that no carry is lost for any
/// length that fits into memory.
template <Mode mode>
PartialSum take_blocks(uint8_t* to, const uint8_t* from, size_t& at, size_t length) {
    // Another core has had these lines, and the processor's own prefetching ends with each page.
    constexpr size_t ahead = 1024;
    const __m256i low_half = _mm256_set1_epi64x(0xffffffff);
    __m256i low = _mm256_setzero_si256();
    __m256i high = _mm256_setzero_si256();
    const auto take_32 = [&] {
        const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + at));
        if constexpr (mode == Mode::copy_and_sum) {
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + at), v);
        }
        low = _mm256_add_epi64(low, _mm256_and_si256(v, low_half));
        high = _mm256_add_epi64(high, _mm256_srli_epi64(v, 32));
        at += 32;
    };
    while (length - at >= ahead + 64) {
        __builtin_prefetch(from + at + ahead);
        if constexpr (mode == Mode::copy_and_sum) __builtin_prefetch(to + at + ahead, 1);
        take_32();
        take_32();
    }
    while (length - at >= 64) {
        take_32();
        take_32();
    }
    if (length - at >= 32) take_32();
    const __m256i both = _mm256_add_epi64(low, high);
    const __m128i two =
        _mm_add_epi64(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    return PartialSum{static_cast<uint64_t>(_mm_extract_epi64(two, 0)) +
                      static_cast<uint64_t>(_mm_extract_epi64(two, 1))};
}
#endif

template <Mode mode>
PartialSum take_all(uint8_t* to, const uint8_t* from, size_t length) {
    size_t at = 0;
    PartialSum sum;
    // Two chains of additions with carry, so that one does not wait for the other.
    PartialSum other;
#ifdef __AVX2__
    if (length >= 64) sum = take_blocks<mode>(to, from, at, length);
#endif
    while (length - at >= 16) {
        sum += take<mode, uint64_t>(to, from, at);
        other += take<mode, uint64_t>(to, from, at);
    }
    const size_t tail = length - at;
    if ((tail & 8) != 0) sum += take<mode, uint64_t>(to, from, at);
    if ((tail & 4) != 0) other += take<mode, uint32_t>(to, from, at);
    if ((tail & 2) != 0) sum += take<mode, uint16_t>(to, from, at);
    if ((tail & 1) != 0) {
        if constexpr (mode == Mode::copy_and_sum) to[at] = from[at];
        other += PartialSum::of16(static_cast<uint16_t>(from[at] << 8));
    }
    return sum + other;
}

}  // namespace

PartialSum sum_bytes(const uint8_t* data, size_t length) {
    return take_all<Mode::sum>(nullptr, data, length);
}

PartialSum copy_and_sum(uint8_t* to, const uint8_t* from, size_t length) {
    return take_all<Mode::copy_and_sum>(to, from, length);
}

}  // namespace synfin::wire
