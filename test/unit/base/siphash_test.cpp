// The expected values are those of the reference implementation: key 00 01 .. 0f, message 00 01 ..
#include <array>
#include <numeric>

#include <gtest/gtest.h>

#include <synfin/base/siphash.hpp>

namespace synfin {
namespace {

constexpr SipKey reference_key{0x0706050403020100, 0x0f0e0d0c0b0a0908};

struct Vector {
    size_t length;
    uint64_t hash_2_4;
    uint64_t hash_1_3;
};
constexpr std::array<Vector, 8> vectors{{
    {0, 0x726fdb47dd0e0e31, 0xabac0158050fc4dc},
    {1, 0x74f839c593dc67fd, 0xc9f49bf37d57ca93},
    {7, 0xab0200f58b01d137, 0xd3927d989bb11140},
    {8, 0x93f5f5799a932462, 0x369095118d299a8e},
    {12, 0x751e8fbc860ee5fb, 0x78a384b157b4d9a2},
    {15, 0xa129ca6149be45e5, 0xd320d86d2a519956},
    {16, 0x3f2acc7f57c29bdb, 0xcc4fdd1a7d908b66},
    {63, 0x958a324ceb064572, 0x9d199062b7bbb3a8},
}};

std::array<uint8_t, 63> counting_bytes() {
    std::array<uint8_t, 63> bytes{};
    std::iota(bytes.begin(), bytes.end(), uint8_t{0});
    return bytes;
}

TEST(SipHash, TwoFourMatchesTheReferenceForAllKindsOfLengths) {
    const auto bytes = counting_bytes();
    for (const Vector& v : vectors) {
        EXPECT_EQ(SipHash24::of(reference_key, std::span{bytes}.first(v.length)), v.hash_2_4)
            << v.length << " bytes";
    }
}

TEST(SipHash, OneThreeMatchesTheReferenceForAllKindsOfLengths) {
    const auto bytes = counting_bytes();
    for (const Vector& v : vectors) {
        EXPECT_EQ(SipHash13::of(reference_key, std::span{bytes}.first(v.length)), v.hash_1_3)
            << v.length << " bytes";
    }
}

TEST(SipHash, WordsHashLikeTheirBytes) {
    EXPECT_EQ(SipHash24::of_12_bytes(reference_key, 0x0706050403020100, 0x0b0a0908),
              0x751e8fbc860ee5fb);
    EXPECT_EQ(SipHash13::of_12_bytes(reference_key, 0x0706050403020100, 0x0b0a0908),
              0x78a384b157b4d9a2);
    EXPECT_EQ(SipHash24::of_16_bytes(reference_key, 0x0706050403020100, 0x0f0e0d0c0b0a0908),
              0x3f2acc7f57c29bdb);
    EXPECT_EQ(SipHash13::of_16_bytes(reference_key, 0x0706050403020100, 0x0f0e0d0c0b0a0908),
              0xcc4fdd1a7d908b66);
}

TEST(SipHash, EveryBitOfTheKeyMatters) {
    const uint64_t hash = SipHash13::of_12_bytes(reference_key, 1, 2);
    for (unsigned bit = 0; bit < 128; ++bit) {
        SipKey key = reference_key;
        key[bit / 64] ^= uint64_t{1} << (bit % 64);
        EXPECT_NE(SipHash13::of_12_bytes(key, 1, 2), hash) << "bit " << bit;
    }
}

}  // namespace
}  // namespace synfin
