#include <array>
#include <bit>
#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include <synfin/base/hash_key.hpp>

namespace synfin {
namespace {

constexpr HashKey key{0x0123'4567'89ab'cdef, 0xfedc'ba98'7654'3210};

using Hash = std::function<uint64_t(const HashKey&, uint64_t, uint64_t)>;

/// Both ways, as far as this processor has them.
std::vector<Hash> ways() {
    std::vector<Hash> result{[](const HashKey& k, uint64_t first, uint64_t second) {
        return k.hash_by_siphash(first, second);
    }};
    result.emplace_back(
        [](const HashKey& k, uint64_t first, uint64_t second) { return k.hash(first, second); });
    return result;
}

TEST(HashKey, ChoosesAesWhereThereIsAny) {
#if defined(__x86_64__)
    if (Aes128::available()) {
        EXPECT_EQ(key.hash(1, 2), key.hash_by_aes(1, 2));
        return;
    }
#endif
    EXPECT_EQ(key.hash(1, 2), key.hash_by_siphash(1, 2));
}

TEST(HashKey, SipHashIsThatOfTheSameKey) {
    const SipKey& sip = key;
    EXPECT_EQ(key.hash_by_siphash(3, 4), SipHash24::of_16_bytes(sip, 3, 4));
    EXPECT_EQ(key[0], 0x0123'4567'89ab'cdefu);
    EXPECT_EQ(key[1], 0xfedc'ba98'7654'3210u);
}

// Of 64 bits about half change; fewer than 8 or more than 56 in one of 10^10 cases.
TEST(HashKey, EachBitOfTheMessageAndOfTheKeyChangesHalfOfTheHash) {
    for (const Hash& hash : ways()) {
        const uint64_t reference = hash(key, 1, 2);
        for (unsigned bit = 0; bit < 256; ++bit) {
            std::array<uint64_t, 4> words{1, 2, key[0], key[1]};
            words[bit / 64] ^= uint64_t{1} << (bit % 64);
            const int changed =
                std::popcount(reference ^ hash({words[2], words[3]}, words[0], words[1]));
            EXPECT_GT(changed, 8) << bit;
            EXPECT_LT(changed, 56) << bit;
        }
    }
}

}  // namespace
}  // namespace synfin
