// Streams through a bottleneck of 10 Mbit/s with 40 ms of round trip: how much of it each algorithm
// of congestion control gets, alone, with losses, and beside another one. In virtual time, so the
// figures are exact.
#include "streams.hpp"

namespace synfin::sim {
namespace {

using Algorithm = tcp::CongestionAlgorithm;

constexpr double capacity = 1'250'000;  // bytes a second
constexpr uint32_t product = 50'000;

LinkFaults bottleneck(uint32_t queue_bytes, double loss = 0) {
    return {
        .delay = 20_ms, .loss = loss, .bytes_per_second = 1'250'000, .queue_bytes = queue_bytes};
}

TEST(Bottleneck, EachAlgorithmFillsIt) {
    for (const auto algorithm : {Algorithm::cubic, Algorithm::new_reno, Algorithm::bbr}) {
        Streams streams{1, bottleneck(2 * product), {algorithm}};
        streams.world.run_for(3_s);
        EXPECT_GT(streams.measure(5_s)[0], 0.9 * capacity) << tcp::name(algorithm);
    }
}

TEST(Bottleneck, FirstSlowStartEndsBeforeTheQueueOverflowsByMuch) {
    for (const auto algorithm : {Algorithm::cubic, Algorithm::new_reno}) {
        Streams streams{1, bottleneck(2 * product), {algorithm}};
        streams.world.run_for(2_s);
        EXPECT_LT(streams.link.counters().overflowed, 50u) << tcp::name(algorithm);
    }
}

TEST(Bottleneck, BbrLeavesTheQueueNearlyEmpty) {
    const auto round_trip = [](Algorithm algorithm) {
        Streams streams{1, bottleneck(4 * product), {algorithm}};
        streams.world.run_for(8_s);
        return streams.info().srtt;
    };
    EXPECT_LT(round_trip(Algorithm::bbr), 55_ms);
    EXPECT_GT(round_trip(Algorithm::cubic), 100_ms);
}

TEST(Bottleneck, BbrKeepsItsRateWhenTheLinkLosesSomeOfAll) {
    const auto rate = [](Algorithm algorithm) {
        Streams streams{1, bottleneck(2 * product, 0.02), {algorithm}};
        streams.world.run_for(2_s);
        return streams.measure(10_s)[0];
    };
    EXPECT_GT(rate(Algorithm::bbr), 0.85 * capacity);
    EXPECT_LT(rate(Algorithm::new_reno), 0.6 * capacity);
}

TEST(Bottleneck, BbrAndCubicShareIt) {
    Streams streams{1, bottleneck(2 * product), {Algorithm::cubic, Algorithm::bbr}};
    streams.world.run_for(5_s);
    const auto rates = streams.measure(30_s);
    ASSERT_EQ(rates.size(), 2u);
    for (const double rate : rates) EXPECT_GT(rate, 0.2 * capacity);
    EXPECT_GT(rates[0] + rates[1], 0.9 * capacity);
}

TEST(Bottleneck, TwoOfAKindShareItFairly) {
    for (const auto algorithm : {Algorithm::cubic, Algorithm::new_reno, Algorithm::bbr}) {
        Streams streams{1, bottleneck(2 * product), {algorithm, algorithm}};
        streams.world.run_for(5_s);
        const auto rates = streams.measure(30_s);
        ASSERT_EQ(rates.size(), 2u);
        for (const double rate : rates) EXPECT_GT(rate, 0.3 * capacity) << tcp::name(algorithm);
    }
}

TEST(Bottleneck, SameSeedIsTheSameRunUnderBbr) {
    const auto run = [](uint64_t seed) {
        Streams streams{seed, bottleneck(product, 0.01), {Algorithm::bbr}};
        streams.world.run_for(3_s);
        return streams.world.trace_hash();
    };
    EXPECT_EQ(run(1), run(1));
    EXPECT_NE(run(1), run(2));
}

}  // namespace
}  // namespace synfin::sim
