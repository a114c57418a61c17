// The scoreboard against a naive one that remembers the fate of every single octet.
#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include <synfin/tcp/flight.hpp>

namespace synfin::tcp {
namespace {

struct Octet {
    Fate fate = Fate::outstanding;
    bool retransmitted = false;
};

/// Drives a Flight and the naive model with the same operations.
class Both {
  public:
    Both(uint32_t isn, uint32_t pool_size) : pool{pool_size}, una{isn}, nxt{isn} {
        flight.restart(una, pool);
    }
    ~Both() { flight.restart(una, pool); }

    void send(uint32_t count, uint32_t together_us) {
        if (!flight.can_append(pool)) return;
        const bool mixes = !flight.append(nxt + count, now_us, together_us, pool);
        // Without ranges, new data joins what was sent before it, and shares its history.
        const bool again = mixes && octets.back().retransmitted;
        for (uint32_t i = 0; i < count; ++i) octets.push_back({Fate::outstanding, again});
        nxt += count;
    }
    uint32_t acknowledge(uint32_t count) {
        Delivery d;
        una += count;
        flight.acknowledge(una, d, pool);
        uint32_t expected = 0;
        for (uint32_t i = 0; i < count; ++i)
            if (octets[i].fate != Fate::sacked) ++expected;
        octets.erase(octets.begin(), octets.begin() + count);
        EXPECT_EQ(d.bytes, expected);
        return d.bytes;
    }
    void sack(uint32_t from, uint32_t to) {
        Delivery d;
        const bool complete = flight.sack(una + from, una + to, d, pool);
        uint32_t expected = 0;
        for (uint32_t i = from; i < to; ++i)
            if (octets[i].fate != Fate::sacked) ++expected;
        if (complete) {
            EXPECT_EQ(d.bytes, expected);
            for (uint32_t i = from; i < to; ++i) octets[i].fate = Fate::sacked;
        } else {
            EXPECT_LE(d.bytes, expected);
            learn();  // what could not be noted is the implementation's choice
        }
    }
    void lose_before(uint32_t count) {
        const bool tight = full();
        flight.lose_before(una + count, pool);
        for (uint32_t i = 0; i < count; ++i)
            if (octets[i].fate == Fate::outstanding) octets[i].fate = Fate::lost;
        if (tight) learn();
    }
    void lose_all() {
        flight.lose_all(pool);
        for (auto& octet : octets) octet.fate = Fate::lost;
    }
    void revive() {
        flight.revive(pool);
        for (auto& octet : octets)
            if (octet.fate == Fate::lost) octet.fate = Fate::outstanding;
    }
    void resend_first_lost(uint32_t most) {
        const FlightRange* r = flight.first_lost(pool);
        const auto first = std::find_if(octets.begin(), octets.end(),
                                        [](const Octet& o) { return o.fate == Fate::lost; });
        ASSERT_EQ(r != nullptr, first != octets.end());
        if (r == nullptr) return;
        ASSERT_EQ(r->begin.distance_from(una), first - octets.begin());
        const uint32_t from = r->begin.distance_from(una);
        const uint32_t to = from + std::min(most, r->bytes());
        const bool exact = flight.resend(una + from, una + to, now_us, pool);
        for (uint32_t i = from; i < to; ++i) octets[i] = {Fate::outstanding, true};
        if (!exact) learn();
    }
    bool full() const { return pool.used() == pool.capacity(); }
    uint32_t size() const { return static_cast<uint32_t>(octets.size()); }

    void compare() {
        flight.check(una, nxt, pool);
        flight.for_each(pool, [&](const FlightRange& r) {
            for (Seq s = r.begin; s != r.end; s += 1) {
                const Octet& octet = octets[s.distance_from(una)];
                ASSERT_EQ(octet.fate, r.fate);
                // What was sent once may pass for sent again, never the other way round (Karn).
                ASSERT_TRUE(r.retransmitted || !octet.retransmitted);
            }
        });
    }

    FlightPool pool;
    Flight flight;
    Seq una, nxt;
    uint32_t now_us = 0;

  private:
    void learn() {
        flight.for_each(pool, [&](const FlightRange& r) {
            for (Seq s = r.begin; s != r.end; s += 1) {
                octets[s.distance_from(una)] = {r.fate, r.retransmitted};
            }
        });
    }
    std::vector<Octet> octets;
};

void run_random(uint32_t seed, uint32_t isn, uint32_t pool_size) {
    std::mt19937 engine{seed};
    const auto below = [&](uint32_t n) { return static_cast<uint32_t>(engine() % n); };
    Both both{isn, pool_size};
    for (int step = 0; step < 400; ++step) {
        both.now_us += below(3) * 100;
        const uint32_t size = both.size();
        switch (below(9)) {
            case 0:
            case 1:
            case 2:
                if (size < 400) both.send(1 + below(30), 100 * below(2));
                break;
            case 3:
                if (size > 0) both.acknowledge(1 + below(std::min(size, 40u)));
                break;
            case 4:
            case 5:
                if (size > 0) {
                    const uint32_t from = below(size);
                    both.sack(from, from + 1 + below(std::min(size - from, 30u)));
                }
                break;
            case 6:
                if (size > 0) both.lose_before(1 + below(std::min(size, 30u)));
                break;
            case 7: both.resend_first_lost(1 + below(20)); break;
            case 8:
                if (below(20) == 0) both.lose_all();
                if (below(20) == 0) both.revive();
                break;
        }
        both.compare();
        if (::testing::Test::HasFatalFailure() || ::testing::Test::HasNonfatalFailure()) {
            FAIL() << "seed " << seed << ", step " << step;
        }
    }
}

TEST(Flight, IsTheSameAsANaiveScoreboardUnderRandomOperations) {
    for (uint32_t seed = 0; seed < 30; ++seed) run_random(seed, seed * 0x4000'0001u - 200, 1000);
}

TEST(Flight, StaysWholeUnderRandomOperationsWhenRangesRunOut) {
    for (uint32_t seed = 0; seed < 30; ++seed) run_random(seed, 0xffff'ff80, seed % 8);
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
    Delivery d;
    both.flight.acknowledge(Seq{21}, d, both.pool);
    both.una = Seq{21};
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
    Delivery d;
    both.flight.acknowledge(Seq{11}, d, both.pool);
    both.una = Seq{11};
    EXPECT_LE(d.original.sent_us, 1100u);
    EXPECT_GE(both.pool.used(), 20u);
}

TEST(Flight, OriginalBelowWhatArrivedBeforeItIsReordering) {
    Both both{1, 8};
    both.send(30, 0);
    both.sack(20, 30);
    Delivery d;
    both.flight.sack(Seq{1}, Seq{11}, d, both.pool);
    EXPECT_TRUE(d.reordered);
    both.resend_first_lost(10);
}

TEST(Flight, WhatHadArrivedBeforeATimeoutIsNoNewsAfterIt) {
    Both both{1, 8};
    both.send(30, 0);
    both.sack(20, 30);
    both.lose_all();
    Delivery again;
    both.flight.sack(Seq{21}, Seq{31}, again, both.pool);
    EXPECT_FALSE(again.undead);
    Delivery late;
    both.flight.sack(Seq{11}, Seq{21}, late, both.pool);
    EXPECT_TRUE(late.undead);
}

TEST(Flight, RetransmissionBelowWhatArrivedBeforeItIsNoReordering) {
    Both both{1, 8};
    both.send(30, 0);
    both.sack(20, 30);
    both.lose_before(10);
    both.resend_first_lost(10);
    Delivery d;
    both.flight.acknowledge(Seq{11}, d, both.pool);
    both.una = Seq{11};
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
