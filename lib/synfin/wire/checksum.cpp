#include <cstring>
#ifdef __AVX2__
#include <immintrin.h>
#endif

#include <synfin/wire/checksum.hpp>

namespace synfin::wire {

namespace {

// Summing and copy-and-summing are the same loops; `Mode` says whether there is a copy.
enum class Mode { sum, copy_and_sum };

struct Cursor {
    uint8_t* to;
    const uint8_t* from;
    size_t left;

    template <Mode mode>
    void advance(size_t bytes) {
        if constexpr (mode == Mode::copy_and_sum) to += bytes;
        from += bytes;
        left -= bytes;
    }
};

template <Mode mode, typename Word>
PartialSum take(Cursor& cursor) {
    const Word word = load_native<Word>(cursor.from);
    if constexpr (mode == Mode::copy_and_sum) store_native(cursor.to, word);
    cursor.advance<mode>(sizeof(Word));
    return PartialSum{word};
}

#ifdef __AVX2__
// 64 bytes a turn: the low and the high halves of each 64-bit lane are added to 64-bit accumulators
// of their own, so that no carry is lost for any length that fits into memory.
template <Mode mode>
PartialSum take_blocks(Cursor& cursor) {
    const __m256i low_half = _mm256_set1_epi64x(0xffffffff);
    __m256i low = _mm256_setzero_si256();
    __m256i high = _mm256_setzero_si256();
    const auto take_32 = [&](size_t at) {
        const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(cursor.from + at));
        if constexpr (mode == Mode::copy_and_sum) {
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(cursor.to + at), v);
        }
        low = _mm256_add_epi64(low, _mm256_and_si256(v, low_half));
        high = _mm256_add_epi64(high, _mm256_srli_epi64(v, 32));
    };
    while (cursor.left >= 64) {
        take_32(0);
        take_32(32);
        cursor.advance<mode>(64);
    }
    const __m256i both = _mm256_add_epi64(low, high);
    const __m128i two =
        _mm_add_epi64(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    return PartialSum{static_cast<uint64_t>(_mm_extract_epi64(two, 0)) +
                      static_cast<uint64_t>(_mm_extract_epi64(two, 1))};
}
#endif

template <Mode mode>
PartialSum take_all(Cursor cursor) {
    PartialSum sum;
#ifdef __AVX2__
    if (cursor.left >= 64) sum += take_blocks<mode>(cursor);
#else
    // Two chains of additions with carry, so that one does not wait for the other.
    PartialSum other;
    while (cursor.left >= 32) {
        sum += take<mode, uint64_t>(cursor);
        other += take<mode, uint64_t>(cursor);
        sum += take<mode, uint64_t>(cursor);
        other += take<mode, uint64_t>(cursor);
    }
    sum += other;
#endif
    while (cursor.left >= 8) sum += take<mode, uint64_t>(cursor);
    if (cursor.left >= 4) sum += take<mode, uint32_t>(cursor);
    if (cursor.left >= 2) sum += take<mode, uint16_t>(cursor);
    if (cursor.left == 1) {
        if constexpr (mode == Mode::copy_and_sum) *cursor.to = *cursor.from;
        sum += PartialSum::of16(static_cast<uint16_t>(*cursor.from << 8));
    }
    return sum;
}

}  // namespace

PartialSum sum_bytes(const uint8_t* data, size_t length) {
    return take_all<Mode::sum>({nullptr, data, length});
}

PartialSum copy_and_sum(uint8_t* to, const uint8_t* from, size_t length) {
    return take_all<Mode::copy_and_sum>({to, from, length});
}

}  // namespace synfin::wire
