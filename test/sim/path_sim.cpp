// Links that take less than the devices at their ends, and say nothing about it.
#include <string>

#include "world_of_two.hpp"

namespace synfin::sim {
namespace {

class BlackHole : public ::testing::TestWithParam<Family> {};
INSTANTIATE_TEST_SUITE_P(Paths, BlackHole, ::testing::Values(Family::ipv4, Family::ipv6),
                         [](const auto& p) {
                             return std::string{p.param == Family::ipv4 ? "ipv4" : "ipv6"};
                         });

LinkFaults narrow(double loss) {
    return {.delay = 2_ms, .jitter = 1_ms, .loss = loss, .largest_packet = 1300};
}

TEST_P(BlackHole, Rfc8899_1_ConnectionsOfAllKindsGetThrough) {
    WorldOfTwo w{1, narrow(0), host_config(1, GetParam()), host_config(2, GetParam())};
    w.open_many(100, 100'000, 2_s);
    w.run_to_the_end();
    EXPECT_EQ(w.refused, 0u);
    EXPECT_GT(w.link.counters().too_large, 0u);
}

TEST_P(BlackHole, LossOnTheWayDoesNotHideIt) {
    for (uint64_t seed = 1; seed <= 3; ++seed) {
        WorldOfTwo w{seed, narrow(0.02), host_config(1, GetParam()), host_config(2, GetParam())};
        w.open_many(50, 100'000, 2_s);
        w.run_to_the_end();
    }
}

TEST_P(BlackHole, FewLargeSegmentsAreLostOnceItIsKnown) {
    WorldOfTwo w{2, narrow(0), host_config(1, GetParam()), host_config(2, GetParam())};
    w.open({.client_bytes = 500'000, .server_bytes = 500'000, .closing = Closing::both});
    w.run_to_the_end();
    const uint64_t until_known = w.link.counters().too_large;
    w.open({.client_bytes = 5'000'000, .server_bytes = 5'000'000, .closing = Closing::both});
    w.run_to_the_end();
    EXPECT_LT(w.link.counters().too_large, until_known + 40);
}

TEST_P(BlackHole, PathThatNarrowsUnderWayIsFollowed) {
    WorldOfTwo w{3, {.delay = 2_ms}, host_config(1, GetParam()), host_config(2, GetParam())};
    w.world.schedule(20_ms, [&w] { w.link.set_faults(narrow(0)); });
    w.open({.client_bytes = 5'000'000, .server_bytes = 5'000'000, .closing = Closing::both});
    w.run_to_the_end();
    EXPECT_GT(w.link.counters().too_large, 0u);
}

}  // namespace
}  // namespace synfin::sim
