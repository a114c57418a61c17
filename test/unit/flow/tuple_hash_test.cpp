#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <unordered_map>
#include <vector>

#include <gtest/gtest.h>

#include <synfin/base/prng.hpp>
#include <synfin/flow/tuple_hash.hpp>

namespace synfin::flow {
namespace {

constexpr HashKey key{0x0123456789abcdef, 0xfedcba9876543210};

/// The largest number of tuples with the same top 12 bits of hash, as buckets are chosen.
size_t fullest_of_4096(const std::vector<FourTuple>& tuples, const HashKey& with) {
    std::vector<size_t> counts(4096);
    for (const FourTuple& tuple : tuples) ++counts[tuple_hash(tuple, with) >> 20];
    return *std::max_element(counts.begin(), counts.end());
}

TEST(TupleHash, IsTheKeyedHashOfTheTwelveBytes) {
    const FourTuple tuple{0x03020100, 0x07060504, 0x0908, 0x0b0a};
    const uint64_t hash = key.hash(0x0706050403020100, 0x0b0a0908);
    EXPECT_EQ(wide_tuple_hash(tuple, key), hash);
    EXPECT_EQ(tuple_hash(tuple, key), static_cast<uint32_t>(hash));
}

TEST(TupleHash, OfWhatAnIpv4HeaderSaysIsThatOfItsTuple) {
    const std::array<uint8_t, 16> ends{198, 18, 0, 7, 10, 1, 2, 3, 0xc3, 0x51, 0, 80, 9, 9, 9, 9};
    const FourTuple tuple{0x0a010203, 0xc6120007, 80, 0xc351};
    HashedTuple read{.tuple = {}, .hash = 5};
    read_ipv4_ends(ends.data(), key, read);
    EXPECT_EQ(read.tuple, tuple);
    EXPECT_EQ(read.hash, tuple_hash(tuple, key));
}

TEST(TupleHash, BurstOfAnyLengthHashesLikeOneByOne) {
    Prng random{2};
    std::vector<FourTuple> tuples;
    for (size_t length = 0; length <= 70; ++length) {
        // One more place than is needed, which must stay as it is.
        std::vector<uint32_t> hashes(length + 1, 0x5a5a5a5a);
        tuple_hash_burst(
            length, key, [&](size_t i) -> const FourTuple& { return tuples[i]; },
            [&](size_t i, uint32_t hash) { hashes[i] = hash; });
        for (size_t i = 0; i < length; ++i) ASSERT_EQ(hashes[i], tuple_hash(tuples[i], key));
        ASSERT_EQ(hashes[length], 0x5a5a5a5a);
        tuples.push_back({random.next_u32(), random.next_u32(), static_cast<uint16_t>(random()),
                          static_cast<uint16_t>(random())});
    }
}

TEST(TupleHash, EachFieldMatters) {
    const FourTuple base{0x0a000001, 0x0a000002, 1000, 80};
    const std::set<uint32_t> hashes{
        tuple_hash(base, key),
        tuple_hash({0x0a000003, 0x0a000002, 1000, 80}, key),
        tuple_hash({0x0a000001, 0x0a000003, 1000, 80}, key),
        tuple_hash({0x0a000001, 0x0a000002, 1001, 80}, key),
        tuple_hash({0x0a000001, 0x0a000002, 1000, 81}, key),
        tuple_hash({0x0a000002, 0x0a000001, 80, 1000}, key),
    };
    EXPECT_EQ(hashes.size(), 6u);
}

TEST(TupleHash, RegularTuplesSpreadLikeRandomOnes) {
    // What a load generator makes: two addresses, consecutive ports.
    std::vector<FourTuple> tuples;
    for (uint16_t port = 1; port <= 32768; ++port) {
        tuples.push_back({0x0a000001, 0x0a000002, port, 80});
        tuples.push_back({0x0a000002, 0x0a000002, port, 80});
    }
    // 16 expected in each of 4096; a Poisson count reaches 48 once in 10^10.
    EXPECT_LT(fullest_of_4096(tuples, key), 48u);
}

// An attacker who knows one key picks 4096 tuples that all fall into one bucket of 4096. Under any
// other key they are tuples like all others.
TEST(TupleHash, TuplesChosenToCollideUnderOneKeyDoNotUnderAnother) {
    Prng random{1};
    std::vector<FourTuple> chosen;
    while (chosen.size() < 4096) {
        const FourTuple tuple{0x0a000001, random.next_u32(), 80, static_cast<uint16_t>(random())};
        if (tuple_hash(tuple, key) >> 20 == 7) chosen.push_back(tuple);
    }
    EXPECT_EQ(fullest_of_4096(chosen, key), 4096u);
    EXPECT_LT(fullest_of_4096(chosen, {key[0] ^ 1, key[1]}), 12u);
    EXPECT_LT(fullest_of_4096(chosen, {key[0], key[1] ^ (uint64_t{1} << 63)}), 12u);
}

}  // namespace
}  // namespace synfin::flow
