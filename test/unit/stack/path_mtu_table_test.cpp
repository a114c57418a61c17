// What is remembered of narrow paths, and when a larger size is tried.
#include <gtest/gtest.h>

#include <synfin/stack/path_mtu_table.hpp>

namespace synfin::stack::test {
namespace {

using wire::IpAddress;

class PathMtus : public ::testing::Test {
  protected:
    static IpAddress destination(uint8_t n) { return IpAddress::v4(192, 0, 2, n); }
    void pass(Duration time) { now = now + time; }
    void lose_probes_of(uint16_t size) {
        for (unsigned i = 0; i < PathMtuTable::probes_max; ++i) {
            EXPECT_EQ(table.probe(destination(1), now), size);
            EXPECT_TRUE(table.probe_lost(destination(1), size, 552, now));
            pass(PathMtuTable::probe_interval);
        }
    }
    Instant now = Instant::from_us(1'000'000);
    PathMtuTable table{4, 1500, SipKey{1, 2}};
    bool evicted = false;
};

TEST_F(PathMtus, NothingIsKnownAtFirst) {
    EXPECT_TRUE(table.empty());
    EXPECT_EQ(table.find(destination(1), now), 0u);
}

TEST_F(PathMtus, RoutersWordIsKnownForThatDestinationAlone) {
    EXPECT_TRUE(table.reduce(destination(1), 1400, now));
    EXPECT_EQ(table.find(destination(1), now), 1400u);
    EXPECT_EQ(table.find(destination(2), now), 0u);
}

TEST_F(PathMtus, Rfc1191_1_NothingLargerIsTriedForTenMinutesAfterARoutersWord) {
    table.reduce(destination(1), 1400, now);
    for (int minute = 0; minute < 10; ++minute) {
        EXPECT_EQ(table.probe(destination(1), now), 1400u);
        pass(Duration::seconds(60));
    }
    EXPECT_EQ(table.probe(destination(1), now), 1500u);
}

TEST_F(PathMtus, ProbeThatArrivesIsTheNewSizeAndThatOfTheLinkEndsTheEntry) {
    table.suspect(destination(1), 1500, now, evicted);
    EXPECT_EQ(table.probe(destination(1), now), 1262u);
    table.probe_arrived(destination(1), 1262, now);
    EXPECT_EQ(table.find(destination(1), now), 1262u);
    table.probe_arrived(destination(1), 1500, now);
    EXPECT_TRUE(table.empty());
}

TEST_F(PathMtus, Rfc6864_1_IdentificationsAreCountedForEachDestinationByItself) {
    table.reduce(destination(1), 552, now);
    table.reduce(destination(2), 552, now);
    const uint16_t first = table.next_identification(destination(1), now, evicted);
    const uint16_t others = table.next_identification(destination(2), now, evicted);
    EXPECT_NE(first, others);
    EXPECT_EQ(table.next_identification(destination(1), now, evicted), uint16_t(first + 1));
    EXPECT_EQ(table.next_identification(destination(2), now, evicted), uint16_t(others + 1));
    EXPECT_FALSE(evicted);
}

TEST_F(PathMtus, IdentificationForAForgottenDestinationTakesItsPlaceAgain) {
    for (uint8_t n = 1; n <= 4; ++n) table.reduce(destination(n), 1400, now);
    table.next_identification(destination(5), now, evicted);
    EXPECT_TRUE(evicted);
    EXPECT_EQ(table.find(destination(5), now), PathMtuTable::smallest_v4);
}

TEST_F(PathMtus, BlackHoleIsLeftByAGuessAndThenByTheSmallest) {
    EXPECT_EQ(table.suspect(destination(1), 1500, now, evicted), 1024u);
    EXPECT_EQ(table.suspect(destination(1), 1024, now, evicted), PathMtuTable::smallest_v4);
    EXPECT_EQ(table.suspect(destination(1), PathMtuTable::smallest_v4, now, evicted), 0u);
}

TEST_F(PathMtus, Rfc8201_1_NoIpv6PathIsSmallerThan1280) {
    const auto six = IpAddress::v6(0x2001'0db8'0000'0000, 1);
    EXPECT_EQ(table.suspect(six, 1500, now, evicted), 1280u);
    EXPECT_EQ(table.suspect(six, 1280, now, evicted), 0u);
}

TEST_F(PathMtus, SizeIsTooLargeWhenThreeProbesOfItAreLost) {
    table.suspect(destination(1), 1500, now, evicted);
    lose_probes_of(1262);
    EXPECT_EQ(table.probe(destination(1), now), (1024 + 1262) / 2);
}

TEST_F(PathMtus, NextProbeWaitsAfterOneThatWasLost) {
    table.suspect(destination(1), 1500, now, evicted);
    table.probe_lost(destination(1), 1262, 1024, now);
    EXPECT_EQ(table.probe(destination(1), now), 1024u);
    pass(PathMtuTable::probe_interval);
    EXPECT_EQ(table.probe(destination(1), now), 1262u);
}

TEST_F(PathMtus, SearchEndsWhenItIsPreciseAndBeginsAgainWithTheLinksSize) {
    table.suspect(destination(1), 1500, now, evicted);
    unsigned probes = 0;
    uint16_t size = 0;
    while ((size = table.probe(destination(1), now)) > table.find(destination(1), now)) {
        ASSERT_LT(++probes, 20u);
        if (size <= 1400) {
            table.probe_arrived(destination(1), size, now);
        } else {
            lose_probes_of(size);
        }
    }
    EXPECT_GT(table.find(destination(1), now), 1400 - PathMtuTable::precision_bytes);
    EXPECT_LE(table.find(destination(1), now), 1400u);
    for (int minute = 0; minute < 10; ++minute) {
        EXPECT_LE(table.probe(destination(1), now), 1400u);
        pass(Duration::seconds(60));
    }
    EXPECT_EQ(table.probe(destination(1), now), 1500u);
}

TEST_F(PathMtus, WhatNobodyHasUsedForTenMinutesIsForgotten) {
    table.reduce(destination(1), 1400, now);
    pass(PathMtuTable::lifetime - Duration::seconds(1));
    EXPECT_EQ(table.find(destination(1), now), 1400u);
    pass(PathMtuTable::lifetime);
    EXPECT_EQ(table.find(destination(1), now), 0u);
    EXPECT_TRUE(table.empty());
}

TEST_F(PathMtus, OldestGoesWhenTheTableIsFull) {
    for (uint8_t n = 1; n <= 4; ++n) EXPECT_TRUE(table.reduce(destination(n), 1400, now));
    EXPECT_FALSE(table.reduce(destination(5), 1300, now));
    EXPECT_EQ(table.size(), 4u);
    EXPECT_EQ(table.find(destination(1), now), 0u);
    for (uint8_t n = 2; n <= 4; ++n) EXPECT_EQ(table.find(destination(n), now), 1400u);
    EXPECT_EQ(table.find(destination(5), now), 1300u);
}

TEST_F(PathMtus, LostProbeOfAForgottenPathIsRememberedWithWhatPasses) {
    EXPECT_EQ(table.probe(destination(1), now), 1500u);
    EXPECT_TRUE(table.probe_lost(destination(1), 1500, 1300, now));
    EXPECT_EQ(table.probe(destination(1), now), 1300u);
}

}  // namespace
}  // namespace synfin::stack::test
