// Thousands of connections of drawn plans through links that lose, duplicate, reorder, corrupt and
// delay: every byte right, every end told once, nothing left.
#include <ostream>
#include <string>
#include <tuple>

#include "world_of_two.hpp"

namespace synfin::sim {
namespace {

struct Weather {
    const char* name;
    LinkFaults faults;
};

void PrintTo(const Weather& weather, std::ostream* out) { *out << weather.name; }

const Weather weathers[] = {
    {"clear", {}},
    {"jittery", {.jitter = 300_us}},
    {"losing1", {.loss = 0.01}},
    {"losing10", {.delay = 2_ms, .loss = 0.10}},
    {"duplicating", {.jitter = 100_us, .duplication = 0.2}},
    {"reordering", {.delay = 200_us, .reordering = 0.1, .reordering_delay = 2_ms}},
    {"corrupting", {.corruption = 0.02}},
    {"far", {.delay = 150_ms, .jitter = 20_ms, .loss = 0.01}},
    {"storm",
     {.delay = 1_ms,
      .jitter = 2_ms,
      .loss = 0.05,
      .duplication = 0.05,
      .corruption = 0.01,
      .reordering = 0.05,
      .reordering_delay = 10_ms}},
};

class EveryWeather : public ::testing::TestWithParam<std::tuple<Family, Weather>> {
  protected:
    WorldOfTwo make_world(uint64_t seed) {
        const auto& [family, weather] = GetParam();
        return WorldOfTwo{seed, weather.faults, host_config(1, family), host_config(2, family)};
    }
};
INSTANTIATE_TEST_SUITE_P(Links, EveryWeather,
                         ::testing::Combine(::testing::Values(Family::ipv4, Family::ipv6),
                                            ::testing::ValuesIn(weathers)),
                         [](const auto& p) {
                             return std::string{std::get<0>(p.param) == Family::ipv4 ? "ipv4_"
                                                                                     : "ipv6_"} +
                                    std::get<1>(p.param).name;
                         });

TEST_P(EveryWeather, ConnectionsOfAllKindsLiveTheirWholeLives) {
    for (uint64_t seed = 1; seed <= 3; ++seed) {
        WorldOfTwo w = make_world(seed);
        w.open_many(200, 100'000, 2_s);
        w.run_to_the_end();
        EXPECT_EQ(w.refused, 0u);
        EXPECT_GE(w.oracle.ended_with(tcp::CloseReason::finished), 100u);
        if (::testing::Test::HasFailure()) {
            ADD_FAILURE() << "seed " << seed;
            return;
        }
    }
}

TEST_P(EveryWeather, SameSeedIsTheSameRun) {
    const auto run = [&](uint64_t seed) {
        WorldOfTwo w = make_world(seed);
        w.open_many(30, 20'000, 500_ms);
        w.run_to_the_end();
        return w.world.trace_hash();
    };
    const uint64_t first = run(11);
    EXPECT_EQ(first, run(11));
    EXPECT_NE(first, run(12));
}

TEST_P(EveryWeather, BulkArrivesWhole) {
    WorldOfTwo w = make_world(5);
    w.open({.client_bytes = 1'000'000, .server_bytes = 1'000'000, .closing = Closing::both});
    w.open({.client_bytes = 1'000'000, .closing = Closing::client_half_close});
    w.open({.server_bytes = 1'000'000, .closing = Closing::server_first, .static_memory = true});
    w.open({.server_bytes = 300'000, .client_reads_slowly = true});
    w.scheduled = 4;
    w.run_to_the_end();
    EXPECT_EQ(w.oracle.bytes_checked(), 4'300'000u);
}

TEST(Links, PartitionOfAMinuteIsSurvived) {
    WorldOfTwo w{3, {.delay = 1_ms}};
    w.open_many(50, 200'000, 1_s);
    w.world.schedule(500_ms, [&] { w.link.set_down(true); });
    w.world.schedule(15_s, [&] { w.link.set_down(false); });
    w.run_to_the_end();
}

TEST(Links, PeerThatVanishesForGoodLeavesNothingBehind) {
    WorldOfTwo w{4, {.delay = 1_ms}};
    w.oracle.tolerate_failures();
    w.open_many(300, 200'000, 1_s);
    w.world.schedule(700_ms, [&] { w.link.set_down(true); });
    w.run_to_the_end();
    EXPECT_GT(w.oracle.ended_with(tcp::CloseReason::timed_out), 0u);
}

TEST(Links, CleanRunRetransmitsNothing) {
    WorldOfTwo w{6};
    w.open_many(500, 50'000, 1_s);
    w.run_to_the_end();
    for (Host* host : {&w.client, &w.server}) {
        const auto& c = host->worker().tcp_counters();
        EXPECT_EQ(c.timeouts.load(), 0u);
        EXPECT_EQ(c.fast_retransmits.load(), 0u);
        EXPECT_EQ(c.out_of_order.load(), 0u);
        EXPECT_EQ(c.curr_estab.load(), 0u);
    }
    EXPECT_EQ(w.client.worker().tcp_counters().active_opens.load(), 500u);
    EXPECT_EQ(w.server.worker().tcp_counters().passive_opens.load(), 500u);
}

}  // namespace
}  // namespace synfin::sim
