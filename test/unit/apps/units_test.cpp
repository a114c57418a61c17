#include "units.hpp"

#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace synfin::apps {
namespace {

TEST(Units, CountsTakePowersOfAThousand) {
    EXPECT_EQ(parse_count("0"), 0.0);
    EXPECT_EQ(parse_count("512"), 512.0);
    EXPECT_EQ(parse_count("0.5"), 0.5);
    EXPECT_EQ(parse_count("100k"), 100'000.0);
    EXPECT_EQ(parse_count("1.5M"), 1'500'000.0);
    EXPECT_EQ(parse_count("2G"), 2'000'000'000.0);
}

TEST(Units, DurationsTakeTheirUnits) {
    EXPECT_EQ(parse_duration("7ns"), Duration::nanoseconds(7));
    EXPECT_EQ(parse_duration("1.5us"), Duration::nanoseconds(1500));
    EXPECT_EQ(parse_duration("200ms"), Duration::milliseconds(200));
    EXPECT_EQ(parse_duration("30s"), Duration::seconds(30));
    EXPECT_EQ(parse_duration("5m"), Duration::minutes(5));
    EXPECT_EQ(parse_duration("2h"), Duration::hours(2));
    EXPECT_EQ(parse_duration("0"), Duration{});
}

TEST(Units, SizesTakePowersOf1024) {
    EXPECT_EQ(parse_bytes("0"), 0u);
    EXPECT_EQ(parse_bytes("64"), 64u);
    EXPECT_EQ(parse_bytes("64B"), 64u);
    EXPECT_EQ(parse_bytes("1K"), 1024u);
    EXPECT_EQ(parse_bytes("10MB"), 10u * 1024 * 1024);
    EXPECT_EQ(parse_bytes("1.5KB"), 1536u);
    EXPECT_EQ(parse_bytes("1G"), 1024u * 1024 * 1024);
}

TEST(Units, WhatIsNoQuantityIsRefused) {
    for (const char* text : {"", " ", "k", "-1", "+1", "1e3", "0x10", "1 k", "1kk", "1K", ".",
                             "1.2.3", "1,000", "inf", "nan", "9007199254740993k"}) {
        EXPECT_FALSE(parse_count(text).has_value()) << text;
    }
    for (const char* text :
         {"", "1", "30", "s", "-1s", "1 s", "1S", "1d", "1e3s", "9007199254740993h"}) {
        EXPECT_FALSE(parse_duration(text).has_value()) << text;
    }
    for (const char* text : {"", "B", "-1", "0.5", "1.0001K", "1T", "1kB", "1 K"}) {
        EXPECT_FALSE(parse_bytes(text).has_value()) << text;
    }
}

TEST(Units, FormattedDurationsAreReadBack) {
    for (const Duration d :
         {Duration::nanoseconds(999), Duration::microseconds(20), Duration::milliseconds(200),
          Duration::seconds(60), Duration::seconds(1)}) {
        EXPECT_EQ(parse_duration(format_duration(d)), d) << format_duration(d);
    }
}

TEST(Units, FormattedSizesAreReadBack) {
    for (const uint64_t size : {uint64_t{0}, uint64_t{1}, uint64_t{1500}, uint64_t{1024},
                                uint64_t{256} << 10, uint64_t{3} << 20, uint64_t{2048} << 30}) {
        EXPECT_EQ(parse_bytes(format_bytes(size)), size) << format_bytes(size);
    }
    EXPECT_EQ(format_bytes(1500), "1500B");
    EXPECT_EQ(format_bytes(256 << 10), "256KB");
}

}  // namespace
}  // namespace synfin::apps
