#include <map>
#include <set>

#include <gtest/gtest.h>

#include <synfin/load/address_plan.hpp>

namespace synfin::load {
namespace {

using wire::IpAddress;

const wire::SocketAddress target{IpAddress::v4(198, 18, 0, 1), 80};

std::set<IpAddress> sources_of(AddressPlan plan) {
    std::set<IpAddress> sources;
    for (uint64_t n = plan.pair_count() * AddressPlan::rounds_per_source; n > 0; --n) {
        sources.insert(plan.next().source);
    }
    return sources;
}

TEST(AddressPlan, BlockIsUsedWithoutItsNetworkAndBroadcastAddresses) {
    const auto plan = AddressPlan::make({{IpAddress::v4(10, 0, 0, 0), 29}}, {target}, {});
    ASSERT_TRUE(plan.has_value());
    const std::set<IpAddress> sources = sources_of(*plan);
    EXPECT_EQ(sources.size(), 6u);
    EXPECT_EQ(*sources.begin(), IpAddress::v4(10, 0, 0, 1));
    EXPECT_EQ(*sources.rbegin(), IpAddress::v4(10, 0, 0, 6));
}

TEST(AddressPlan, SingleAddressAndPairAreUsedWhole) {
    EXPECT_EQ(AddressPlan::make({{IpAddress::v4(10, 0, 0, 0), 32}}, {target}, {})->source_count(),
              1u);
    EXPECT_EQ(AddressPlan::make({{IpAddress::v4(10, 0, 0, 0), 31}}, {target}, {})->source_count(),
              2u);
}

TEST(AddressPlan, AddressesGivenOneByOneAreEachUsedOnceInARound) {
    std::vector<wire::IpPrefix> sources;
    for (const uint32_t last : {1u, 2u, 3u, 7u, 5u, 6u}) {
        sources.push_back({IpAddress::v4(0x0a00'0000 + last), 32});
    }
    auto plan = AddressPlan::make(sources, {target}, {});
    ASSERT_TRUE(plan.has_value());
    for (int round = 0; round < 2; ++round) {
        std::set<IpAddress> used;
        for (size_t i = 0; i < sources.size(); ++i) {
            used.insert(plan->next().source);
            plan->leave_source();
        }
        for (const wire::IpPrefix& source : sources) EXPECT_TRUE(used.contains(source.address));
    }
}

TEST(AddressPlan, TargetsAndReservedAddressesAreNoSources) {
    const auto plan = AddressPlan::make({{IpAddress::v4(198, 18, 0, 0), 29}}, {target},
                                        {IpAddress::v4(198, 18, 0, 4)});
    ASSERT_TRUE(plan.has_value());
    const std::set<IpAddress> sources = sources_of(*plan);
    EXPECT_EQ(sources,
              (std::set<IpAddress>{IpAddress::v4(198, 18, 0, 2), IpAddress::v4(198, 18, 0, 3),
                                   IpAddress::v4(198, 18, 0, 5), IpAddress::v4(198, 18, 0, 6)}));
}

TEST(AddressPlan, EveryPairComesEquallyOftenBeforeAllBeginAnew) {
    const wire::SocketAddress other{IpAddress::v4(198, 18, 0, 2), 81};
    auto plan = AddressPlan::make(
        {{IpAddress::v4(10, 0, 0, 0), 30}, {IpAddress::v4(10, 1, 0, 0), 30}}, {target, other}, {});
    ASSERT_TRUE(plan.has_value());
    ASSERT_EQ(plan->pair_count(), 8u);
    std::map<std::pair<IpAddress, wire::SocketAddress>, int> seen;
    constexpr int times = AddressPlan::rounds_per_source;
    for (int n = 0; n < 8 * times; ++n) {
        const AddressPlan::Pair pair = plan->next();
        ++seen[{pair.source, pair.target}];
    }
    EXPECT_EQ(seen.size(), 8u);
    for (const auto& [pair, count] : seen) EXPECT_EQ(count, times);
}

TEST(AddressPlan, BlocksTakeTurnsByTheirSize) {
    const wire::IpPrefix large{IpAddress::v4(10, 0, 0, 0), 26};
    const wire::IpPrefix small{IpAddress::v4(10, 1, 0, 0), 28};
    auto plan = AddressPlan::make({large, small}, {target}, {});
    ASSERT_TRUE(plan.has_value());
    int of_small = 0;
    for (int source = 0; source < 38; ++source) {
        of_small += small.contains(plan->next().source);
        plan->leave_source();
    }
    EXPECT_EQ(of_small, 7);  // 14 of all 76 sources; half of them in half of the round
}

TEST(AddressPlan, SourceIsKeptForSomeRoundsOfTheTargets) {
    auto plan = AddressPlan::make({{IpAddress::v4(10, 0, 0, 0), 24}}, {target}, {});
    ASSERT_TRUE(plan.has_value());
    const IpAddress first = plan->next().source;
    for (unsigned n = 1; n < AddressPlan::rounds_per_source; ++n) {
        EXPECT_EQ(plan->next().source, first);
    }
    EXPECT_NE(plan->next().source, first);
}

TEST(AddressPlan, PairIsRepeatedAsOftenAsNextWouldReturnIt) {
    auto plan = AddressPlan::make({{IpAddress::v4(10, 0, 0, 0), 24}}, {target}, {});
    ASSERT_TRUE(plan.has_value());
    const IpAddress first = plan->next().source;
    EXPECT_EQ(plan->repeats(), AddressPlan::rounds_per_source - 1);
    plan->repeat(AddressPlan::rounds_per_source - 2);
    EXPECT_EQ(plan->next().source, first);
    EXPECT_EQ(plan->repeats(), 0u);
    EXPECT_NE(plan->next().source, first);
}

TEST(AddressPlan, NoPairIsRepeatedWhereTargetsTakeTurns) {
    const wire::SocketAddress other{IpAddress::v4(198, 18, 0, 2), 81};
    auto plan = AddressPlan::make({{IpAddress::v4(10, 0, 0, 0), 24}}, {target, other}, {});
    ASSERT_TRUE(plan.has_value());
    plan->next();
    EXPECT_EQ(plan->repeats(), 0u);
}

TEST(AddressPlan, SkippingGoesOnWhereThatManyWouldHaveLed) {
    const auto plan = AddressPlan::make({{IpAddress::v4(10, 0, 0, 0), 24}}, {target}, {});
    AddressPlan walked = *plan;
    AddressPlan skipped = *plan;
    for (unsigned n = 0; n < 300 * AddressPlan::rounds_per_source; ++n) walked.next();
    skipped.skip(300);
    EXPECT_EQ(skipped.next().source, walked.next().source);
}

TEST(AddressPlan, BlockThatHoldsOnlyTheTargetIsRefusedWithASentence) {
    const auto plan = AddressPlan::make({{target.address, 32}}, {target}, {});
    ASSERT_FALSE(plan.has_value());
    EXPECT_NE(plan.error().find("no address"), std::string::npos);
}

TEST(AddressPlan, Ipv6BlockIsUsedWithoutItsRoutersAddress) {
    const wire::SocketAddress v6_target{IpAddress::v6(0xfd00'0000'0000'0000, 2), 80};
    const auto plan =
        AddressPlan::make({{IpAddress::v6(0xfd00'0000'0000'0000, 0), 126}}, {v6_target}, {});
    ASSERT_TRUE(plan.has_value());
    EXPECT_EQ(sources_of(*plan), (std::set<IpAddress>{IpAddress::v6(0xfd00'0000'0000'0000, 1),
                                                      IpAddress::v6(0xfd00'0000'0000'0000, 3)}));
}

TEST(AddressPlan, WideIpv6BlockIsUsedUpToTheNumberOfNames) {
    const wire::SocketAddress v6_target{IpAddress::v6(0xfd01'0000'0000'0000, 2), 80};
    const auto plan =
        AddressPlan::make({{IpAddress::v6(0xfd00'0000'0000'0000, 0), 64}}, {v6_target}, {});
    ASSERT_TRUE(plan.has_value());
    EXPECT_EQ(plan->source_count(), (1u << 24) - 1);
}

TEST(AddressPlan, FamiliesAreNotMixed) {
    const auto plan =
        AddressPlan::make({{IpAddress::v6(0xfd00'0000'0000'0000, 0), 64}}, {target}, {});
    ASSERT_FALSE(plan.has_value());
    EXPECT_NE(plan.error().find("families"), std::string::npos);
}

TEST(AddressPlan, NoTargetIsRefused) {
    EXPECT_FALSE(AddressPlan::make({{IpAddress::v4(10, 0, 0, 0), 24}}, {}, {}).has_value());
}

}  // namespace
}  // namespace synfin::load
