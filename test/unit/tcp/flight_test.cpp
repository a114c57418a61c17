// The scoreboard of what is in flight.
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include <synfin/tcp/flight.hpp>

#include "../../fuzz/scoreboard.hpp"

namespace synfin::tcp {
namespace {

using Both = Scoreboards;

// The fuzz target over bytes from fixed seeds; the scoreboards assert what is promised.
TEST(Flight, IsTheSameAsANaiveScoreboardWhateverHappens) {
    std::mt19937 random{7};
    for (int story = 0; story < 400; ++story) {
        std::vector<uint8_t> bytes(2 + 3 * (random() % 300));
        for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
        run_scoreboards(bytes.data(), bytes.size());
    }
}

TEST(Flight, OneFlightNeedsNoRangeOfThePool) {
    Both both{1, 8};
    for (int i = 0; i < 10; ++i) both.send(100, 0);
    EXPECT_EQ(both.pool.used(), 0u);
    both.acknowledge(1000);
    EXPECT_TRUE(both.flight.empty());
}

TEST(Flight, RangesOfOneFlightAreBounded) {
    Both both{1, 10'000};
    for (uint32_t i = 0; i < 4000; ++i) {
        both.now_us += 1000;
        both.send(10, 0);
    }
    EXPECT_EQ(both.pool.used(), Flight::max_ranges);
    for (uint32_t i = 1; i < 4000; i += 2) both.sack(10 * i, 10 * i + 10);
    EXPECT_LE(both.pool.used(), Flight::max_ranges);
    both.flight.check(both.una, both.nxt, both.pool);
    both.lose_all();
    EXPECT_EQ(both.flight.lost_bytes(), 40'000u);
    EXPECT_EQ(both.flight.sacked_bytes(), 0u);
    both.acknowledge(40'000);
    EXPECT_EQ(both.pool.used(), 0u);
}

TEST(Flight, DeliveryNamesWhatWasSentLast) {
    Both both{1, 8};
    both.now_us = 100;
    both.send(10, 0);
    both.now_us = 200;
    both.send(10, 0);
    const Delivery d = both.acknowledge(20);
    EXPECT_TRUE(d.original.any);
    EXPECT_EQ(d.original.sent_us, 200u);
    EXPECT_EQ(d.original.end, Seq{21});
    EXPECT_FALSE(d.again.any);
    EXPECT_FALSE(d.reordered);
}

TEST(Flight, SteadyStreamDoesNotMakeTheMomentOfItsBeginLater) {
    Both both{1, 64};
    both.now_us = 1000;
    for (int i = 0; i < 100; ++i) {
        both.send(10, 100);
        both.now_us += 30;
    }
    const Delivery d = both.acknowledge(10);
    EXPECT_LE(d.original.sent_us, 1100u);
    EXPECT_GE(both.pool.used(), 20u);
}

// A router's word that a segment was too large comes sooner than any loss is found otherwise.
TEST(Flight, NewDataIsToldFromWhatWasSentAgainAMomentBefore) {
    Both both{1, 8};
    both.send(10, 100);
    both.lose_all();
    both.resend_first_lost(10);
    both.send(10, 100);
    const Delivery again = both.acknowledge(10);
    EXPECT_TRUE(again.again.any);
    EXPECT_FALSE(again.original.any);
    const Delivery original = both.acknowledge(10);
    EXPECT_TRUE(original.original.any);
    EXPECT_FALSE(original.again.any);
}

TEST(Flight, OriginalBelowWhatArrivedBeforeItIsReordering) {
    Both both{1, 8};
    both.send(30, 0);
    both.sack(20, 30);
    const Delivery d = both.sack(0, 10);
    EXPECT_TRUE(d.reordered);
    both.resend_first_lost(10);
}

TEST(Flight, WhatHadArrivedBeforeATimeoutIsNoNewsAfterIt) {
    Both both{1, 8};
    both.send(30, 0);
    both.sack(20, 30);
    both.lose_all();
    const Delivery again = both.sack(20, 30);
    EXPECT_FALSE(again.undead);
    const Delivery late = both.sack(10, 20);
    EXPECT_TRUE(late.undead);
}

TEST(Flight, RetransmissionBelowWhatArrivedBeforeItIsNoReordering) {
    Both both{1, 8};
    both.send(30, 0);
    both.sack(20, 30);
    both.lose_before(10);
    both.resend_first_lost(10);
    const Delivery d = both.acknowledge(10);
    EXPECT_FALSE(d.reordered);
    EXPECT_TRUE(d.again.any);
}

// A late report of a duplicate has losses looked for when nothing is in flight.
TEST(FlightAlone, NothingIsLostWhileNothingIsInFlight) {
    FlightPool pool{4};
    Flight flight;
    flight.restart(Seq{100}, pool);
    flight.lose_if(pool, [](const FlightRange&) { return true; });
    flight.append(Seq{200}, 1, 0, pool);
    flight.check(Seq{100}, Seq{200}, pool);
    EXPECT_EQ(flight.lost_bytes(), 0u);
    Delivery delivery;
    flight.acknowledge(Seq{200}, delivery, pool);
    EXPECT_EQ(flight.lost_bytes(), 0u);
}

}  // namespace
}  // namespace synfin::tcp
