#include <array>
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
constexpr size_t block = 32;

/// Zeros, then ones: from `n` on, a mask that leaves the last `n` bytes of a block.
alignas(64) constexpr auto last_bytes = [] {
    std::array<uint8_t, 2 * block> mask{};
    for (size_t i = block; i < mask.size(); ++i) mask[i] = 0xff;
    return mask;
}();

/// One block or more. Of the 64-bit lanes the high halves are summed once more by themselves: what
/// they come to, taken from the sum of the whole lanes, leaves that of the low halves, though that
/// sum has lost its carries. So nothing is lost for any length that fits into memory.
template <Mode mode>
PartialSum take_blocks(uint8_t* to, const uint8_t* from, size_t length) {
    // Another core has had these lines, and the processor's own prefetching ends with each page.
    constexpr size_t ahead = 1024;
    __m256i whole = _mm256_setzero_si256();
    __m256i high = _mm256_setzero_si256();
    const auto add = [&](__m256i v) {
        whole = _mm256_add_epi64(whole, v);
        high = _mm256_add_epi64(high, _mm256_srli_epi64(v, 32));
    };
    const auto block_at = [&](size_t at) {
        const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + at));
        if constexpr (mode == Mode::copy_and_sum) {
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + at), v);
        }
        return v;
    };
    const auto take = [&](size_t blocks) {
        for (size_t i = 0; i < blocks; ++i) add(block_at(i * block));
        from += blocks * block;
        if constexpr (mode == Mode::copy_and_sum) to += blocks * block;
    };
    size_t pairs = length / (2 * block);
    for (; pairs > ahead / (2 * block); --pairs) {
        __builtin_prefetch(from + ahead);
        if constexpr (mode == Mode::copy_and_sum) __builtin_prefetch(to + ahead, 1);
        take(2);
    }
    for (; pairs != 0; --pairs) take(2);
    if ((length & block) != 0) take(1);
    length %= block;
    // What is left, as the end of a whole block that ends with it. At an odd offset even and odd
    // bytes have changed places.
    if (length != 0) {
        from -= block - length;
        if constexpr (mode == Mode::copy_and_sum) to -= block - length;
        const auto* mask = reinterpret_cast<const __m256i*>(last_bytes.data() + length);
        __m256i v = _mm256_and_si256(block_at(0), _mm256_loadu_si256(mask));
        if (length % 2 != 0) {
            v = _mm256_or_si256(_mm256_slli_epi16(v, 8), _mm256_srli_epi16(v, 8));
        }
        add(v);
    }
    const __m256i low = _mm256_sub_epi64(whole, _mm256_slli_epi64(high, 32));
    const __m256i both = _mm256_add_epi64(low, high);
    const __m128i two =
        _mm_add_epi64(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    return PartialSum{static_cast<uint64_t>(_mm_extract_epi64(two, 0)) +
                      static_cast<uint64_t>(_mm_extract_epi64(two, 1))};
}
#endif

template <Mode mode>
[[gnu::noinline]] PartialSum take_words(uint8_t* to, const uint8_t* from, size_t length) {
    size_t at = 0;
    PartialSum sum;
    // Two chains of additions with carry, so that one does not wait for the other.
    PartialSum other;
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

template <Mode mode>
PartialSum take_all(uint8_t* to, const uint8_t* from, size_t length) {
#ifdef __AVX2__
    if (length >= block) [[likely]]
        return take_blocks<mode>(to, from, length);
#endif
    return take_words<mode>(to, from, length);
}

}  // namespace

PartialSum sum_bytes(const uint8_t* data, size_t length) {
    return take_all<Mode::sum>(nullptr, data, length);
}

PartialSum copy_and_sum(uint8_t* to, const uint8_t* from, size_t length) {
    return take_all<Mode::copy_and_sum>(to, from, length);
}

}  // namespace synfin::wire
