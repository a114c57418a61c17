#include <algorithm>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <synfin/base/prng.hpp>
#include <synfin/flow/port_allocator.hpp>

namespace synfin::flow {
namespace {

constexpr HashKey key{3, 4};
constexpr PortScope scope{0x0a000001, 0x0a000002, 80};

bool any_port(uint16_t) { return true; }

TEST(PortAllocator, HandsOutEachPortOfTheRangeExactlyOnceAndThenNone) {
    PortAllocator ports{32768, 65535, 4, key};
    Prng random{1};
    std::set<uint16_t> seen;
    for (uint32_t i = 0; i < 32768; ++i) {
        const auto port = ports.take(scope, random.next_u32(), any_port);
        ASSERT_TRUE(port.has_value());
        ASSERT_GE(*port, 32768);
        ASSERT_TRUE(seen.insert(*port).second) << *port;
    }
    const auto none = ports.take(scope, random.next_u32(), any_port);
    ASSERT_FALSE(none.has_value());
    EXPECT_EQ(none.error(), PortError::all_taken);
    EXPECT_EQ(ports.taken(), 32768u);
}

TEST(PortAllocator, TakingAgainIsTakingFromTheScopeOfTheLastTime) {
    PortAllocator ports{40'000, 40'002, 2, key};
    const PortScope other{scope.local_address, scope.remote_address, 81};
    EXPECT_EQ(ports.take_again(0, 0, 0), 0) << "no last time";
    EXPECT_EQ(ports.take(other, 0, any_port), 40'000);
    EXPECT_EQ(ports.take(scope, 0, any_port), 40'000);
    EXPECT_EQ(ports.take_again(40'002, 0, 0), 40'002) << "as foreseen";
    EXPECT_EQ(ports.take_again(40'002, 0, 0), 40'001) << "another was quicker";
    EXPECT_EQ(ports.take_again(0, 0, 0), 0) << "none is free";
    EXPECT_EQ(ports.taken(scope), 3u);
    EXPECT_EQ(ports.taken(other), 1u);
}

TEST(PortAllocator, GivingBackAgainIsGivingBackToTheScopeOfTheLastTimeAnyPortButItsLast) {
    PortAllocator ports{40'000, 40'003, 2, key};
    const PortScope other{scope.local_address, scope.remote_address, 81};
    for (const PortScope& each : {scope, other}) {
        for (int n = 0; n < 4; ++n) EXPECT_TRUE(ports.take(each, 0, any_port).has_value());
    }
    EXPECT_FALSE(ports.release_again(scope, 40'000)) << "no last time";
    ports.release(scope, 40'000);
    EXPECT_FALSE(ports.release_again(other, 40'001)) << "another scope";
    EXPECT_FALSE(ports.release_again(scope, 40'000)) << "not taken";
    EXPECT_TRUE(ports.release_again(scope, 40'001));
    EXPECT_TRUE(ports.release_again(scope, 40'002));
    EXPECT_FALSE(ports.release_again(scope, 40'003)) << "the last";
    EXPECT_EQ(ports.taken(scope), 1u);
    EXPECT_EQ(ports.taken(other), 4u);
    EXPECT_EQ(ports.take(scope, 0, any_port), 40'000);
    EXPECT_EQ(ports.take(scope, 0, any_port), 40'001);
    EXPECT_EQ(ports.take(scope, 0, any_port), 40'002);
}

TEST(PortAllocator, TheLastFreePortIsFoundFromAnyStart) {
    PortAllocator ports{1, 65535, 1, key};
    for (uint32_t i = 0; i < 65535; ++i) ASSERT_TRUE(ports.take(scope, 0, any_port).has_value());
    Prng random{2};
    for (int round = 0; round < 1000; ++round) {
        const auto only = static_cast<uint16_t>(1 + random.below(65535));
        ports.release(scope, only);
        ASSERT_EQ(ports.take(scope, random.next_u32(), any_port), only);
    }
}

TEST(PortAllocator, RangeOfOnePortWorks) {
    PortAllocator ports{5000, 5000, 1, key};
    EXPECT_EQ(ports.take(scope, 0xffffffff, any_port), 5000);
    EXPECT_FALSE(ports.take(scope, 0, any_port).has_value());
}

TEST(PortAllocator, RandomZeroAndAllOnesStartAtTheEndsOfTheRange) {
    PortAllocator ports{40'000, 40'999, 1, key};
    EXPECT_EQ(ports.take(scope, 0, any_port), 40'000);
    EXPECT_EQ(ports.take(scope, 0xffffffff, any_port), 40'999);
    EXPECT_EQ(ports.take(scope, 0xffffffff, any_port), 40'001);
}

TEST(PortAllocator, ScopesDoNotShareTheirPorts) {
    PortAllocator ports{1000, 1000, 10, key};
    EXPECT_TRUE(ports.take(scope, 0, any_port).has_value());
    EXPECT_TRUE(ports.take({0x0a000003, 0x0a000002, 80}, 0, any_port).has_value());
    EXPECT_TRUE(ports.take({0x0a000001, 0x0a000003, 80}, 0, any_port).has_value());
    EXPECT_TRUE(ports.take({0x0a000001, 0x0a000002, 81}, 0, any_port).has_value());
    EXPECT_FALSE(ports.take(scope, 0, any_port).has_value());
    EXPECT_EQ(ports.pools(), 4u);
}

TEST(PortAllocator, RefusedPortsAreNeverHandedOut) {
    PortAllocator ports{1024, 65535, 1, key};
    const auto every_eighth = [](uint16_t port) { return port % 8 == 3; };
    Prng random{3};
    for (uint32_t i = 0; i < 64512 / 8; ++i) {
        const auto port = ports.take(scope, random.next_u32(), every_eighth);
        ASSERT_TRUE(port.has_value());
        ASSERT_EQ(*port % 8, 3);
    }
    EXPECT_FALSE(ports.take(scope, 0, every_eighth).has_value());
}

TEST(PortAllocator, WithoutAFilterExactlyTheRangeIsHandedOutWhereverItBegins) {
    const std::pair<uint16_t, uint16_t> ranges[] = {
        {1, 1}, {1, 63}, {63, 64}, {64, 127}, {100, 300}, {127, 128}, {65471, 65535}};
    for (const auto& [first, last] : ranges) {
        PortAllocator ports{first, last, 1, key};
        for (uint32_t port = first; port <= last; ++port) {
            EXPECT_EQ(ports.take(scope, 0, AnyPort{}), static_cast<uint16_t>(port));
        }
        EXPECT_FALSE(ports.take(scope, 0, AnyPort{}).has_value());
    }
}

TEST(PortAllocator, FilterIsAskedOncePerPortAndScope) {
    PortAllocator ports{2000, 2999, 1, key};
    int asked = 0;
    const auto count = [&](uint16_t) {
        ++asked;
        return true;
    };
    for (int i = 0; i < 10; ++i) {
        const auto port = ports.take(scope, 0, count);
        ports.release(scope, *port);
    }
    EXPECT_EQ(asked, 1000);
}

TEST(PortAllocator, WhereNoPortIsAllowedAllAreTaken) {
    PortAllocator ports{2000, 2999, 1, key};
    const auto none = ports.take(scope, 0, [](uint16_t) { return false; });
    ASSERT_FALSE(none.has_value());
    EXPECT_EQ(none.error(), PortError::all_taken);
}

TEST(PortAllocator, ExactPortIsTakenOnce) {
    PortAllocator ports{2000, 2999, 1, key};
    EXPECT_TRUE(ports.take_exact(scope, 2500, any_port).has_value());
    EXPECT_EQ(ports.take_exact(scope, 2500, any_port).error(), PortError::not_free);
    EXPECT_EQ(ports.take_exact(scope, 1999, any_port).error(), PortError::not_free);
    ports.release(scope, 2500);
    EXPECT_TRUE(ports.take_exact(scope, 2500, any_port).has_value());
}

TEST(PortAllocator, IdlePoolMakesRoomForAnotherScope) {
    PortAllocator ports{2000, 2999, 2, key};
    const PortScope second{1, 2, 3};
    const PortScope third{4, 5, 6};
    const uint16_t first_port = *ports.take(scope, 0, any_port);
    const uint16_t second_port = *ports.take(second, 0, any_port);
    ASSERT_EQ(ports.take(third, 0, any_port).error(), PortError::too_many_scopes);
    ports.release(second, second_port);
    EXPECT_TRUE(ports.take(third, 0, any_port).has_value());
    EXPECT_EQ(ports.pools(), 2u);
    EXPECT_EQ(ports.taken(scope), 1u);
    EXPECT_EQ(ports.taken(second), 0u);
    ports.release(scope, first_port);
}

TEST(PortAllocator, LongestIdlePoolGoesFirst) {
    constexpr AddressId net = 0x0a00'0000;
    PortAllocator ports{2000, 2009, 3, key};
    const std::vector<PortScope> scopes{
        {net + 1, net + 1, 1}, {net + 2, net + 2, 2}, {net + 3, net + 3, 3}};
    for (const PortScope& s : scopes) ASSERT_TRUE(ports.take_exact(s, 2000, any_port));
    for (const PortScope& s : {scopes[1], scopes[2], scopes[0]}) ports.release(s, 2000);
    ASSERT_TRUE(ports.take({net + 9, net + 9, 9}, 0, any_port));
    // The filter shows which pools are still there: it is not asked about those.
    std::vector<bool> was_made;
    for (const PortScope& s : {scopes[2], scopes[0]}) {
        bool made = false;
        ASSERT_TRUE(ports.take(s, 0, [&](uint16_t) { return made = true; }));
        was_made.push_back(made);
    }
    EXPECT_EQ(was_made, (std::vector<bool>{false, false}));
}

// The id of an IPv6 address is lent to another as soon as nobody uses it.
TEST(PortAllocator, IdlePoolOfAnInternedAddressIsNotKept) {
    PortAllocator ports{2000, 2009, 3, key};
    const PortScope interned{0x0a00'0001, 7, 80};
    ASSERT_TRUE(ports.take_exact(interned, 2000, any_port));
    EXPECT_EQ(ports.pools(), 1u);
    ports.release(interned, 2000);
    EXPECT_EQ(ports.pools(), 0u);
    EXPECT_FALSE(ports.take(interned, 0, [](uint16_t) { return false; }).has_value());
    EXPECT_FALSE(ports.take_exact(interned, 2000, [](uint16_t) { return false; }).has_value());
    EXPECT_EQ(ports.pools(), 0u);
}

TEST(PortAllocator, AgreesWithASetOverRandomTakesAndReleases) {
    constexpr uint16_t first = 1000;
    constexpr uint16_t last = 9999;
    Prng random{4};
    PortAllocator ports{first, last, 8, key};
    std::vector<PortScope> scopes;
    for (uint16_t i = 0; i < 8; ++i) scopes.push_back({0x0a00'0001, 0x0a00'0100u + i, 80});
    std::vector<std::set<uint16_t>> free_ports(8);
    std::vector<std::set<uint16_t>> resting_ports(8);
    std::vector<std::vector<uint16_t>> taken_ports(8);
    for (auto& set : free_ports) {
        for (uint16_t port = first; port <= last; ++port) set.insert(port);
    }
    for (int i = 0; i < 400'000; ++i) {
        const size_t s = random.below(8);
        auto& free = free_ports[s];
        auto& taken = taken_ports[s];
        // Fills up, then drains, so that both ends are visited.
        const bool filling = (i / 80'000) % 2 == 0;
        if (random.chance(filling ? 9 : 1, 10)) {
            const uint32_t start_random = random.next_u32();
            const auto port = ports.take(scopes[s], start_random, any_port);
            if (free.empty()) free.swap(resting_ports[s]);
            ASSERT_EQ(port.has_value(), !free.empty());
            if (!port) continue;
            const auto start = static_cast<uint16_t>(
                first + ((uint64_t{start_random} * (last - first + 1)) >> 32));
            auto expected = free.lower_bound(start);
            if (expected == free.end()) expected = free.begin();
            ASSERT_EQ(*port, *expected);
            free.erase(expected);
            taken.push_back(*port);
        } else if (!taken.empty()) {
            const size_t pick = random.below(taken.size());
            ports.release(scopes[s], taken[pick]);
            resting_ports[s].insert(taken[pick]);
            std::swap(taken[pick], taken.back());
            taken.pop_back();
        }
        ASSERT_EQ(ports.taken(scopes[s]), taken.size());
    }
}

TEST(PortAllocator, PortThatWasGivenBackRestsUntilAllOthersWereUsed) {
    PortAllocator ports{1024, 65535, 1, key};
    Prng random{6};
    for (int round = 0; round < 3; ++round) {
        std::set<uint16_t> used;
        for (uint32_t i = 1024; i <= 65535; ++i) {
            const auto port = ports.take(scope, random.next_u32(), any_port);
            ASSERT_TRUE(port.has_value());
            ASSERT_TRUE(used.insert(*port).second) << *port << " again in round " << round;
            ports.release(scope, *port);
        }
    }
}

TEST(PortAllocator, PortThatRestsCanBeTakenByName) {
    PortAllocator ports{40'000, 40'001, 1, key};
    ASSERT_EQ(ports.take(scope, 0, any_port), 40'000);
    ports.release(scope, 40'000);
    EXPECT_TRUE(ports.take_exact(scope, 40'000, any_port).has_value());
    EXPECT_FALSE(ports.take_exact(scope, 40'000, any_port).has_value());
    EXPECT_EQ(ports.take(scope, 0, any_port), 40'001);
    EXPECT_FALSE(ports.take(scope, 0, any_port).has_value());
}

TEST(PortAllocator, PortsAreNotHandedOutInSequence) {
    PortAllocator ports{32768, 65535, 1, key};
    Prng random{5};
    int successors = 0;
    std::vector<int> octaves(8);
    uint16_t previous = 0;
    for (int i = 0; i < 8000; ++i) {
        const uint16_t port = *ports.take(scope, random.next_u32(), any_port);
        successors += port == previous + 1 ? 1 : 0;
        previous = port;
        ++octaves[(port - 32768u) / 4096];
    }
    EXPECT_LT(successors, 20);
    for (int n : octaves) EXPECT_NEAR(n, 1000, 180);
}

using PortAllocatorDeathTest = testing::Test;

TEST(PortAllocatorDeathTest, ReleasingAFreePortAborts) {
    PortAllocator ports{2000, 2999, 1, key};
    ASSERT_TRUE(ports.take_exact(scope, 2500, any_port));
    EXPECT_DEATH(ports.release(scope, 2501), "assertion failed");
    EXPECT_DEATH(ports.release({7, 7, 7}, 2500), "assertion failed");
}

}  // namespace
}  // namespace synfin::flow
