#include <array>
#include <cstdint>

#include <gtest/gtest.h>

#include <synfin/base/prng.hpp>
#include <synfin/flow/bucket_match.hpp>

namespace synfin::flow {
namespace {

TEST(BucketMatch, FindsExactlyTheEqualBytesBothWays) {
    Prng random{1};
    alignas(16) std::array<uint8_t, 16> bytes{};
    for (int round = 0; round < 100'000; ++round) {
        // Few different values, and neighbours that differ by one, so that a borrow would show.
        const auto wanted = static_cast<uint8_t>(random());
        uint32_t expected = 0;
        for (size_t i = 0; i < 16; ++i) {
            bytes[i] = static_cast<uint8_t>(wanted + random.below(3));
            expected |= uint32_t{bytes[i] == wanted} << i;
        }
        ASSERT_EQ(matching_bytes_portable(bytes.data(), wanted), expected);
        ASSERT_EQ(matching_bytes(bytes.data(), wanted), expected);
    }
}

TEST(BucketMatch, FindsExactlyTheEqualWordsBothWays) {
    Prng random{2};
    alignas(16) std::array<uint32_t, 16> words{};
    for (int round = 0; round < 100'000; ++round) {
        const uint32_t bits = ~uint32_t{0} << random.below(32);
        const uint32_t wanted = random.next_u32() & bits;
        uint32_t expected = 0;
        for (size_t i = 0; i < 16; ++i) {
            words[i] =
                random.chance(1, 3) ? random.next_u32() : wanted | (random.next_u32() & ~bits);
            expected |= uint32_t{(words[i] & bits) == wanted} << i;
        }
        ASSERT_EQ(matching_words_portable(words.data(), bits, wanted), expected);
        ASSERT_EQ(matching_words(words.data(), bits, wanted), expected);
    }
}

}  // namespace
}  // namespace synfin::flow
