// Segments out of order: permutations, overlaps, limits.
#include <algorithm>
#include <array>
#include <random>

#include <gtest/gtest.h>

#include "script.hpp"

namespace synfin::conformance {
namespace {

TEST(Reassembly, Shld31_AllPermutationsOfFiveSegmentsDeliverTheStream) {
    std::array<uint32_t, 5> order{0, 1, 2, 3, 4};
    do {
        Script s;
        s.establish();
        for (uint32_t i : order) s.inject(Data().seq(1 + 100 * i).ack(1).length(100));
        s.expect_received_bytes(500);
        s.wait(1_s);
        const auto sent = s.take_sent();
        ASSERT_FALSE(sent.empty());
        EXPECT_EQ(sent.back().ack, 501u);
        EXPECT_EQ(s.held_ranges(), 0u);
    } while (std::next_permutation(order.begin(), order.end()));
}

TEST(Reassembly, AllPermutationsWithAFinInTheLastSegment) {
    std::array<uint32_t, 4> order{0, 1, 2, 3};
    do {
        Script s;
        s.establish();
        for (uint32_t i : order) {
            auto p = Data().seq(1 + 100 * i).ack(1).length(100);
            s.inject(i == 3 ? p.fin() : p);
            EXPECT_LE(s.peer_closed_count(), s.received_total() == 400 ? 1u : 0u);
        }
        s.expect_received_bytes(400);
        s.expect_state(State::close_wait);
        EXPECT_EQ(s.take_sent().back().ack, 402u);
    } while (std::next_permutation(order.begin(), order.end()));
}

TEST(Reassembly, AllPairsOfOverlappingSegmentsDeliverTheStreamOnce) {
    // Two segments anywhere in [0, 8), then the whole: every kind of overlap there is.
    for (uint32_t a = 0; a < 8; ++a)
        for (uint32_t b = a + 1; b <= 8; ++b)
            for (uint32_t c = 0; c < 8; ++c)
                for (uint32_t d = c + 1; d <= 8; ++d) {
                    Script s;
                    s.establish();
                    s.inject(Data().seq(1 + a).ack(1).length(b - a));
                    s.inject(Data().seq(1 + c).ack(1).length(d - c));
                    s.inject(Data().seq(1).ack(1).length(8));
                    s.expect_received_bytes(8);
                    EXPECT_EQ(s.held_ranges(), 0u);
                    s.wait(1_s);
                    s.ignore_sent();
                    if (::testing::Test::HasFailure()) return;
                }
}

TEST(Reassembly, RandomPiecesInRandomOrderDeliverTheStream) {
    for (uint32_t seed = 0; seed < 200; ++seed) {
        std::mt19937 engine{seed};
        const auto random = [&] { return static_cast<uint32_t>(engine()); };
        Script s;
        s.establish();
        constexpr uint32_t size = 5000;
        for (int i = 0; i < 60; ++i) {
            const uint32_t begin = random() % size;
            const uint32_t length = std::min<uint32_t>(1 + random() % 400, size - begin);
            s.inject(Data().seq(1 + begin).ack(1).length(length));
        }
        for (uint32_t at = 0; at < size; at += 500) s.inject(Data().seq(1 + at).ack(1).length(500));
        s.expect_received_bytes(size);
        EXPECT_EQ(s.held_ranges(), 0u) << seed;
        s.wait(1_s);
        s.ignore_sent();
        if (::testing::Test::HasFailure()) return;
    }
}

TEST(Reassembly, OrderHoldsForAnApplicationThatDoesNotRead) {
    Script s;
    s.establish();
    s.stop_reading();
    s.inject(Data().seq(201).ack(1).length(100));
    s.inject(Data().seq(1).ack(1).length(100));
    s.inject(Data().seq(401).ack(1).length(100));
    s.inject(Data().seq(101).ack(1).length(100));
    s.inject(Data().seq(301).ack(1).length(100));
    s.inject(Data().seq(501).ack(1).length(100));
    EXPECT_EQ(s.unread(), 600u);
    s.call_read(250);
    s.inject(Data().seq(601).ack(1).length(100));
    s.call_read(1000);
    s.expect_received_bytes(700);
    s.wait(1_s);
    s.ignore_sent();
}

TEST(Reassembly, FinOutOfOrderWaitsForTheHole) {
    Script s;
    s.establish();
    s.inject(FinAck().seq(101).ack(1));
    s.expect(Ack().seq(1).ack(1));
    s.expect_state(State::established);
    EXPECT_EQ(s.peer_closed_count(), 0u);
    s.inject(Data().seq(1).ack(1).length(100));
    s.expect(Ack().seq(1).ack(102));
    s.expect_received_bytes(100);
    s.expect_state(State::close_wait);
    EXPECT_EQ(s.peer_closed_count(), 1u);
}

TEST(Reassembly, FinBehindAHoleIsTakenInFinWait2) {
    Script s;
    enter(s, State::fin_wait_2);
    s.inject(Data().fin().seq(101).ack(2).length(50));
    s.expect(Ack().seq(2).ack(1));
    s.inject(Data().seq(1).ack(2).length(100));
    s.expect(Ack().seq(2).ack(152));
    s.expect_received_bytes(150);
    s.expect_state(State::time_wait);
}

TEST(Reassembly, NothingIsHeldThatComesBehindAFinThatIsHeld) {
    Script s;
    s.establish();
    s.inject(Data().seq(101).ack(1).length(100).fin());
    s.expect(Ack().seq(1).ack(1));
    s.inject(Data().seq(151).ack(1).length(100));
    s.expect(Ack().seq(1).ack(1));
    s.inject(Data().seq(1).ack(1).length(100));
    s.expect(Ack().seq(1).ack(202));
    s.expect_received_bytes(200);
    s.expect_state(State::close_wait);
}

TEST(Reassembly, WhatAPeerHasSentBehindItsFinIsForgotten) {
    Script s;
    s.establish();
    s.inject(Data().seq(2).ack(1).length(50));
    s.expect(Ack().seq(1).ack(1));
    s.inject(FinAck().seq(1).ack(1));
    s.expect(Ack().seq(1).ack(2));
    s.expect_received_bytes(0);
    s.expect_state(State::close_wait);
    EXPECT_EQ(s.peer_closed_count(), 1u);
}

TEST(Reassembly, SegmentPartlyOldDeliversItsNewPart) {
    Script s;
    s.establish();
    s.inject(Data().seq(1).ack(1).length(100));
    s.inject(Data().seq(51).ack(1).length(100));
    s.expect_received_bytes(150);
    s.wait(1_s);
    s.ignore_sent();
}

TEST(Reassembly, FirstOfTwoVersionsOfTheSameBytesWins) {
    Script s;
    s.establish();
    s.inject(Data().seq(3).ack(1).payload("cd"));
    s.inject(Data().seq(3).ack(1).payload("XY"));
    s.inject(Data().seq(1).ack(1).payload("ab"));
    s.expect_received("abcd");
    s.wait(1_s);
    s.ignore_sent();
}

TEST(Reassembly, RangesPerConnectionAreBounded) {
    Script s{{.ranges = 10'000, .nodes = 20'000, .chunks = 10'000}};
    s.establish();
    for (uint32_t i = 0; i < 5000; ++i) s.inject(Data().seq(3 + 2 * i).ack(1).length(1));
    s.ignore_sent();
    EXPECT_LE(s.held_ranges(), 1000u);
    EXPECT_GT(s.counters().out_of_order_dropped.load(), 0u);
    // What was refused comes again in order, and the stream is whole.
    for (uint32_t i = 0; i < 10; ++i) s.inject(Data().seq(1 + 1000 * i).ack(1).length(1000));
    s.expect_received_bytes(10'000);
    s.wait(1_s);
    s.ignore_sent();
}

TEST(Reassembly, GoesOnInOrderWhenThePoolsAreEmpty) {
    Script s{{.ranges = 2, .nodes = 2, .chunks = 2}};
    s.establish();
    for (uint32_t i = 1; i <= 20; ++i) s.inject(Data().seq(1 + 200 * i).ack(1).length(100));
    s.ignore_sent();
    EXPECT_LE(s.held_ranges(), 2u);
    for (uint32_t i = 0; i < 41; ++i) s.inject(Data().seq(1 + 100 * i).ack(1).length(100));
    s.expect_received_bytes(4100);
    s.wait(1_s);
    EXPECT_EQ(s.take_sent().back().ack, 4101u);
}

TEST(Reassembly, NothingBeyondTheWindowIsHeld) {
    Script s;
    s.establish();
    s.inject(Data().seq(s.announced_edge() + 10).ack(1).length(100));
    EXPECT_EQ(s.held_ranges(), 0u);
    s.ignore_sent();
}

TEST(Reassembly, MemoryComesBackWhenTheConnectionIsResetWithHoles) {
    Script s;
    s.establish();
    for (uint32_t i = 1; i <= 20; ++i) s.inject(Data().seq(1 + 200 * i).ack(1).length(100));
    s.ignore_sent();
    EXPECT_GT(s.held_ranges(), 0u);
    s.inject(Rst().seq(1));
    EXPECT_EQ(s.held_ranges(), 0u);
    EXPECT_EQ(s.buffer_nodes(), 0u);
}

TEST(Sack, BlocksNameWhatIsHeldTheLatestFirst) {
    Script s;
    s.establish({.sack_permitted = true});
    const uint32_t isn = s.setup().peer_isn;
    s.inject(Data().seq(201).ack(1).length(100));
    auto sent = s.take_sent();
    ASSERT_EQ(sent.size(), 1u);
    ASSERT_EQ(sent[0].options.sack_count, 1);
    EXPECT_EQ(sent[0].options.sack[0], (wire::SackBlock{isn + 201, isn + 301}));
    s.inject(Data().seq(401).ack(1).length(100));
    sent = s.take_sent();
    ASSERT_EQ(sent[0].options.sack_count, 2);
    EXPECT_EQ(sent[0].options.sack[0], (wire::SackBlock{isn + 401, isn + 501}));
    EXPECT_EQ(sent[0].options.sack[1], (wire::SackBlock{isn + 201, isn + 301}));
    s.inject(Data().seq(1).ack(1).length(200));
    sent = s.take_sent();
    ASSERT_EQ(sent[0].options.sack_count, 1);
    EXPECT_EQ(sent[0].options.sack[0], (wire::SackBlock{isn + 401, isn + 501}));
    s.expect_received_bytes(300);
}

TEST(Sack, NoBlocksUnlessPermitted) {
    Script s;
    s.establish();
    s.inject(Data().seq(201).ack(1).length(100));
    EXPECT_EQ(s.take_sent().at(0).options.sack_count, 0);
}

}  // namespace
}  // namespace synfin::conformance
