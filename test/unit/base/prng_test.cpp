#include <array>
#include <cstdint>

#include <gtest/gtest.h>

#include <synfin/base/prng.hpp>

namespace synfin {
namespace {

TEST(Prng, Splitmix64YieldsThePublishedSequence) {
    uint64_t state = 1234567;
    for (uint64_t expected : {6457827717110365317u, 3203168211198807973u, 9817491932198370423u,
                              4593380528125082431u, 16408922859458223821u}) {
        EXPECT_EQ(splitmix64(state), expected);
    }
}

TEST(Prng, SeedZeroYieldsThePublishedSequenceOfXoshiro256PlusPlus) {
    Prng random{0};
    for (uint64_t expected : {5987356902031041503u, 7051070477665621255u, 6633766593972829180u,
                              211316841551650330u, 9136120204379184874u}) {
        EXPECT_EQ(random(), expected);
    }
}

TEST(Prng, EqualSeedsYieldEqualSequencesAndOthersDoNot) {
    Prng a{7};
    Prng b{7};
    Prng c{8};
    bool all_equal_to_c = true;
    for (int i = 0; i < 100; ++i) {
        const uint64_t value = a();
        EXPECT_EQ(value, b());
        all_equal_to_c = all_equal_to_c && value == c();
    }
    EXPECT_FALSE(all_equal_to_c);
}

TEST(Prng, BelowReachesEachNumberEquallyOften) {
    Prng random{1};
    std::array<int, 7> counts{};
    constexpr int draws = 700'000;
    for (int i = 0; i < draws; ++i) {
        const uint64_t value = random.below(7);
        ASSERT_LT(value, 7u);
        ++counts[value];
    }
    // 100,000 expected, standard deviation 293: six of them.
    for (int n : counts) EXPECT_NEAR(n, draws / 7, 1800);
}

// With bound 3 * 2^62, taking the remainder would yield the lowest quarter of the range twice as
// often.
TEST(Prng, BelowIsFairForBoundsNearTheWholeRange) {
    Prng random{2};
    const uint64_t bound = uint64_t{3} << 62;
    constexpr int draws = 300'000;
    std::array<int, 3> counts{};
    for (int i = 0; i < draws; ++i) ++counts[random.below(bound) >> 62];
    for (int n : counts) EXPECT_NEAR(n, draws / 3, 1600);
}

TEST(Prng, BelowOneIsZero) {
    Prng random{3};
    for (int i = 0; i < 100; ++i) EXPECT_EQ(random.below(1), 0u);
}

TEST(Prng, UnitStaysInItsHalfOpenRangeAndAveragesHalf) {
    Prng random{4};
    double sum = 0;
    for (int i = 0; i < 100'000; ++i) {
        const double value = random.unit();
        ASSERT_GE(value, 0.0);
        ASSERT_LT(value, 1.0);
        sum += value;
    }
    EXPECT_NEAR(sum / 100'000, 0.5, 0.006);
}

TEST(Prng, ChanceComesTrueAsOftenAsItSays) {
    Prng random{5};
    int hits = 0;
    for (int i = 0; i < 100'000; ++i) hits += random.chance(3, 100) ? 1 : 0;
    EXPECT_NEAR(hits, 3000, 350);
}

}  // namespace
}  // namespace synfin
