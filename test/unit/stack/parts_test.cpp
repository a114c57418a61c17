// The small parts: token bucket, listener table, addressing, reply queue.
#include <set>

#include <gtest/gtest.h>

#include <synfin/stack/addressing.hpp>
#include <synfin/stack/listener_table.hpp>
#include <synfin/stack/reply_queue.hpp>
#include <synfin/stack/token_bucket.hpp>

#include "stack_world.hpp"

namespace synfin::stack::test {
namespace {

constexpr SipKey key{1, 2};

unsigned taken_at_once(TokenBucket& bucket, Instant now) {
    unsigned taken = 0;
    for (int i = 0; i < 1000; ++i) taken += bucket.take(now);
    return taken;
}

TEST(TokenBucket, GivesABurstAndThenTheRate) {
    TokenBucket bucket{1000, key};  // a hundred at once, each at half to one and a half its cost
    Instant now = Instant::from_us(5'000'000);
    EXPECT_NEAR(taken_at_once(bucket, now), 100, 20);
    EXPECT_FALSE(bucket.take(now));
    now = now + Duration::milliseconds(20);
    EXPECT_NEAR(taken_at_once(bucket, now), 20, 8);
}

TEST(TokenBucket, WhatItGivesAtOnceCannotBeForeseen) {
    TokenBucket bucket{1000, key};
    std::set<unsigned> counts;
    for (int second = 1; second <= 30; ++second) {
        counts.insert(taken_at_once(bucket, Instant::from_us(second * 1'000'000)));
    }
    EXPECT_GE(counts.size(), 5u);
}

TEST(TokenBucket, GivesTheRateOverALongTime) {
    TokenBucket bucket{1000, key};
    unsigned taken = 0;
    for (int ms = 0; ms < 10'000; ++ms) {
        for (int i = 0; i < 5; ++i) taken += bucket.take(Instant::from_us(1'000'000 + ms * 1000));
    }
    EXPECT_NEAR(taken, 10'100, 200);
}

TEST(TokenBucket, RateOfZeroGivesNothing) {
    TokenBucket bucket{0, key};
    EXPECT_FALSE(bucket.take(Instant::from_us(1)));
}

class Listeners : public ::testing::Test {
  protected:
    ListenerTable table;
    Recorder application;
};

TEST_F(Listeners, ExactAddressWinsOverAny) {
    const OwnerNumber any = table.listen({{}, 80}, application, {.backlog = 1});
    const OwnerNumber exact = table.listen({address_of(1), 80}, application, {.backlog = 1});
    EXPECT_EQ(table.find({address_of(1), 80}), exact);
    EXPECT_EQ(table.find({address_of(2), 80}), any);
    EXPECT_EQ(table.find({address_of(1), 81}), no_owner);
    EXPECT_EQ(table.find_exact({{}, 80}), any);
}

TEST_F(Listeners, ClosedListenerIsNotFoundAndItsPlaceIsUsedAgainWhenNobodyNamesIt) {
    const OwnerNumber first = table.listen({{}, 80}, application, {.backlog = 1});
    table[first].connections = 1;
    table.close(first);
    EXPECT_EQ(table.find({address_of(1), 80}), no_owner);
    EXPECT_NE(table.listen({{}, 81}, application, {.backlog = 1}), first);
    table[first].connections = 0;
    EXPECT_EQ(table.listen({{}, 82}, application, {.backlog = 1}), first);
}

TEST_F(Listeners, ActiveOpensOfOneApplicationShareAnOwner) {
    Recorder other;
    const OwnerNumber mine = table.active(application);
    table[mine].connections = 1;
    EXPECT_EQ(table.active(application), mine);
    EXPECT_NE(table.active(other), mine);
    EXPECT_EQ(table.active(application), mine);
}

Addressing addressing_of(std::vector<wire::IpPrefix> addresses,
                         std::vector<wire::IpPrefix> on_link) {
    InterfaceConfig interface;
    interface.addresses = std::move(addresses);
    interface.on_link = std::move(on_link);
    return Addressing{std::span<const InterfaceConfig>{&interface, 1}};
}

TEST(Addressing, BlockWithinALargerSubnetHasNoBroadcastOfItsOwn) {
    const Addressing a =
        addressing_of({{IpAddress::v4(198, 18, 1, 0), 24}}, {{IpAddress::v4(198, 18, 0, 0), 15}});
    EXPECT_TRUE(a.owns(IpAddress::v4(198, 18, 1, 255)));
    EXPECT_FALSE(a.is_broadcast(IpAddress::v4(198, 18, 1, 255)));
    EXPECT_TRUE(a.is_broadcast(IpAddress::v4(198, 19, 255, 255)));
    EXPECT_FALSE(a.owns(IpAddress::v4(198, 18, 2, 0)));
}

TEST(Addressing, PointToPointPrefixesHaveNoBroadcast) {  // RFC 3021
    const Addressing a =
        addressing_of({{IpAddress::v4(10, 0, 0, 6), 31}, {IpAddress::v4(10, 0, 0, 9), 32}}, {});
    EXPECT_TRUE(a.owns(IpAddress::v4(10, 0, 0, 6)));
    EXPECT_TRUE(a.owns(IpAddress::v4(10, 0, 0, 7)));
    EXPECT_TRUE(a.owns(IpAddress::v4(10, 0, 0, 9)));
    EXPECT_FALSE(a.owns(IpAddress::v4(10, 0, 0, 8)));
}

TEST(Addressing, AddressOfTwoInterfacesBelongsToBothAndToNoOther) {
    const wire::IpPrefix shared{IpAddress::v4(10, 0, 0, 9), 32};
    std::vector<InterfaceConfig> interfaces(3);
    interfaces[0].addresses = {shared};
    interfaces[1].addresses = {{IpAddress::v4(10, 0, 1, 0), 24}, shared};
    const Addressing a{interfaces};
    EXPECT_TRUE(a.owns(shared.address, 0));
    EXPECT_TRUE(a.owns(shared.address, 1));
    EXPECT_FALSE(a.owns(shared.address, 2));
    EXPECT_TRUE(a.owns(IpAddress::v4(10, 0, 1, 7), 1));
    EXPECT_FALSE(a.owns(IpAddress::v4(10, 0, 1, 7), 0));
    EXPECT_FALSE(a.owns(IpAddress::v4(10, 0, 1, 255), 1));
}

TEST(Addressing, Ipv6BlocksMatchByTheirPrefix) {
    const Addressing a = addressing_of({{IpAddress::v6(0x2001'0db8'0000'0001, 0), 64}}, {});
    EXPECT_TRUE(a.owns(IpAddress::v6(0x2001'0db8'0000'0001, UINT64_MAX)));
    EXPECT_FALSE(a.owns(IpAddress::v6(0x2001'0db8'0000'0002, 1)));
    EXPECT_FALSE(a.owns(IpAddress::v4(10, 0, 0, 1)));
}

TEST(ReplyQueue, RefusesBeyondItsCapacityAndKeepsTheOrder) {
    ReplyQueue queue{1500};
    for (uint32_t i = 0; i < ReplyQueue::capacity; ++i) {
        SegmentReply reply;
        reply.seq = tcp::Seq{i};
        EXPECT_TRUE(queue.push(reply));
    }
    EXPECT_FALSE(queue.push(SegmentReply{}));
    for (uint32_t i = 0; i < ReplyQueue::capacity; ++i) {
        EXPECT_EQ(std::get<SegmentReply>(queue.front()).seq, tcp::Seq{i});
        queue.pop();
    }
    EXPECT_TRUE(queue.empty());
}

TEST(ReplyQueue, KeepsTheDataOfEchoesUntilTheyLeave) {
    ReplyQueue queue{1500};
    unsigned kept = 0;
    for (unsigned i = 0; i < 2 * ReplyQueue::data_capacity; ++i) {
        EchoReply echo;
        const std::string data = "data of " + std::to_string(i);
        echo.data = bytes_of(data);
        kept += queue.push_with_data(echo);
    }
    EXPECT_EQ(kept, ReplyQueue::data_capacity);
    for (unsigned i = 0; i < kept; ++i) {
        const auto data = std::get<EchoReply>(queue.front()).data;
        EXPECT_EQ(std::string(data.begin(), data.end()), "data of " + std::to_string(i));
        queue.pop();
    }
    const std::string too_long(1501, 'x');
    EchoReply echo;
    echo.data = bytes_of(too_long);
    EXPECT_FALSE(queue.push_with_data(echo));
}

}  // namespace
}  // namespace synfin::stack::test
