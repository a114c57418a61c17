#include <random>

#include <gtest/gtest.h>

#include <synfin/wire/checksum.hpp>

#include "frames.hpp"

namespace synfin::wire {
namespace {

using namespace test;

Bytes random_bytes(std::mt19937_64& random, size_t length) {
    Bytes bytes(length);
    for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
    return bytes;
}

/// The checksum of `bytes` as a number in host order.
uint16_t checksum_of(std::span<const uint8_t> bytes) {
    return network_order(finish(sum_bytes(bytes.data(), bytes.size())));
}

TEST(Checksum, AgreesWithTheExampleOfRfc1071) {
    const Bytes bytes{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    EXPECT_EQ(network_order(sum_bytes(bytes.data(), bytes.size()).folded()), 0xddf2);
    EXPECT_EQ(checksum_of(bytes), 0x220d);
}

TEST(Checksum, AgreesWithTheReferenceForAllLengthsAndAlignments) {
    std::mt19937_64 random{1};
    const Bytes bytes = random_bytes(random, 2200);
    for (size_t length = 0; length <= 2100; ++length) {
        for (const size_t offset : {0u, 1u, 2u, 3u, 7u, 31u}) {
            const auto part = std::span{bytes}.subspan(offset, length);
            ASSERT_EQ(checksum_of(part), naive_checksum(part)) << length << " at " << offset;
        }
    }
}

TEST(Checksum, LosesNoCarryWhenAllBitsAreSet) {
    for (size_t length = 1; length < 70000; length = length * 3 + 1) {
        const Bytes bytes(length, 0xff);
        EXPECT_EQ(checksum_of(bytes), naive_checksum(bytes)) << length;
    }
    // 2^32 - 1 four times over: the accumulator itself overflows and the carry has to come back in.
    const PartialSum most{UINT64_MAX};
    EXPECT_EQ((most + most + most).folded(), 0xffff);
    EXPECT_EQ((most + PartialSum{1}).folded(), 1);
}

TEST(Checksum, CopyAndSumCopiesEachByteAndNothingBeyond) {
    std::mt19937_64 random{2};
    const Bytes from = random_bytes(random, 1700);
    for (size_t length = 0; length <= 1600; ++length) {
        const size_t from_offset = random() % 32;
        const size_t to_offset = 1 + random() % 31;
        Bytes to(to_offset + length + 32, 0xee);
        const auto part = std::span{from}.subspan(from_offset, length);
        const PartialSum sum = copy_and_sum(to.data() + to_offset, part.data(), length);
        ASSERT_EQ(network_order(finish(sum)), naive_checksum(part)) << length;
        ASSERT_TRUE(
            std::equal(part.begin(), part.end(), to.begin() + static_cast<long>(to_offset)));
        ASSERT_EQ(std::count(to.begin(), to.begin() + static_cast<long>(to_offset), 0xee),
                  static_cast<long>(to_offset));
        ASSERT_EQ(std::count(to.end() - 32, to.end(), 0xee), 32);
    }
}

TEST(Checksum, PartsAddUpAlsoWhenOneBeginsAtAnOddOffset) {
    std::mt19937_64 random{3};
    for (int i = 0; i < 2000; ++i) {
        const Bytes bytes = random_bytes(random, 1 + random() % 300);
        const size_t cut = random() % (bytes.size() + 1);
        const PartialSum front = sum_bytes(bytes.data(), cut);
        const PartialSum back = sum_bytes(bytes.data() + cut, bytes.size() - cut);
        const PartialSum sum = front + (cut % 2 == 0 ? back : back.at_odd_offset());
        ASSERT_EQ(network_order(finish(sum)), naive_checksum(bytes)) << cut << '/' << bytes.size();
    }
}

TEST(Checksum, AnIncrementalUpdateGivesWhatSummingAgainGives) {
    std::mt19937_64 random{4};
    for (int i = 0; i < 20000; ++i) {
        Bytes bytes = random_bytes(random, 20);
        const uint16_t before = naive_checksum(bytes);
        const size_t at = 2 * (random() % 10);
        const uint16_t old_word = load_be16(&bytes[at]);
        const auto new_word = static_cast<uint16_t>(random());
        put16(bytes, at, new_word);
        ASSERT_EQ(updated_checksum(before, old_word, new_word), naive_checksum(bytes));
    }
}

TEST(Checksum, AnIncrementalUpdateAgreesWithTheExampleOfRfc1624) {
    EXPECT_EQ(updated_checksum(0xdd2f, 0x5555, 0x3285), 0x0000);
}

TEST(Checksum, PseudoHeadersAreSummedAsIfTheyStoodInMemory) {
    const Bytes ipv4 = from_hex("c6120001c612ff02") + Bytes{0, 6, 0x12, 0x34};
    EXPECT_EQ(network_order(finish(pseudo_header_sum_ipv4(
                  IpAddress::v4(198, 18, 0, 1), IpAddress::v4(198, 18, 255, 2), 6, 0x1234))),
              naive_checksum(ipv4));
    const Bytes ipv6 = from_hex("20010db8fffffffffffffffffffffff1") +
                       from_hex("fe80000000000000abcdef0123456789") +
                       Bytes{0, 1, 0x12, 0x34, 0, 0, 0, 58};
    EXPECT_EQ(network_order(finish(pseudo_header_sum_ipv6(
                  IpAddress::v6(0x20010db8ffffffff, 0xfffffffffffffff1),
                  IpAddress::v6(0xfe80000000000000, 0xabcdef0123456789), 58, 0x11234))),
              naive_checksum(ipv6));
}

TEST(Checksum, DataThatContainsItsChecksumIsComplete) {
    Bytes bytes = from_hex("4500003c1c4640004006b1e6ac100a63ac100a0c");
    EXPECT_TRUE(is_complete(sum_bytes(bytes.data(), bytes.size())));
    EXPECT_TRUE(is_complete(sum_words(bytes.data(), bytes.size())));
    bytes[8] ^= 1;
    EXPECT_FALSE(is_complete(sum_bytes(bytes.data(), bytes.size())));
}

}  // namespace
}  // namespace synfin::wire
