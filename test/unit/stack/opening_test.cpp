// Opening connections: what is refused and why, ports, limits, and waiting for a neighbor.
#include <array>
#include <set>

#include <gtest/gtest.h>

#include "stack_world.hpp"

namespace synfin::stack::test {
namespace {

using tcp::CloseReason;
using tcp::State;

class Opening : public ::testing::Test {
  protected:
    tl::expected<ConnectionId, Error> connect(Host& host, ConnectOptions options = {}) {
        return host.worker.connect({address_of(2), 80}, user, options);
    }
    Recorder user;
};

// ---- what is refused (MUST-46 and others)

TEST_F(Opening, Must46_InvalidRemoteAddressesAreRefused) {
    Host host{config_of(1)};
    const auto error = [&](const IpAddress& address, uint16_t port = 80) {
        const auto result = host.worker.connect({address, port}, user);
        return result ? std::string{"none"} : name(result.error());
    };
    const std::string invalid = name(Error::invalid);
    EXPECT_EQ(error(IpAddress::v4(255, 255, 255, 255)), invalid);
    EXPECT_EQ(error(IpAddress::v4(224, 0, 0, 1)), invalid);
    EXPECT_EQ(error(IpAddress::v4(127, 0, 0, 1)), invalid);
    EXPECT_EQ(error(IpAddress::v4(0, 0, 0, 0)), invalid);
    EXPECT_EQ(error(address_of(255)), invalid) << "the subnet's broadcast";
    EXPECT_EQ(error(address_of(1)), invalid) << "ourselves";
    EXPECT_EQ(error(address_of(2), 0), invalid) << "port 0";
    EXPECT_TRUE(host.holds_nothing());
}

TEST_F(Opening, Must46_InvalidRemoteIpv6AddressesAreRefused) {
    Host host{config_of(1, Family::ipv6)};
    const IpAddress invalid[] = {
        IpAddress::v6(0, 0), IpAddress::v6(0, 1), IpAddress::v6(0xff02'0000'0000'0000, 1),
        IpAddress::v6(0xff0e'0000'0000'0000, 0x101), address_of(1, Family::ipv6)};
    for (const IpAddress& address : invalid) {
        const auto result = host.worker.connect({address, 80}, user);
        ASSERT_FALSE(result.has_value()) << wire::to_string(address);
        EXPECT_EQ(result.error(), Error::invalid) << wire::to_string(address);
    }
    EXPECT_TRUE(host.holds_nothing());
}

TEST_F(Opening, DestinationWithoutARouteIsUnreachable) {
    Host host{config_of(1)};
    const auto result = host.worker.connect({IpAddress::v4(10, 9, 9, 9), 80}, user);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error(), Error::unreachable);
}

TEST_F(Opening, Must43_ForeignSourceAddressIsRefused) {
    Host host{config_of(1)};
    ConnectOptions options;
    options.source = address_of(3);
    const auto result = connect(host, options);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error(), Error::address_not_available);
}

TEST_F(Opening, SourceMayBeAnyAddressOfABlock) {
    WorkerConfig config = config_of(1, 2);
    config.interfaces[0].addresses = {{IpAddress::v4(10, 0, 0, 64), 26}};
    Host host{config};
    ConnectOptions options;
    options.source = address_of(99);
    ASSERT_TRUE(connect(host, options).has_value());
    host.run();
    EXPECT_EQ(Read{host.take_one()}.packet.source, address_of(99));
}

// ---- ports

TEST_F(Opening, PortsRunOutExactlyWhenNoneIsLeft) {
    WorkerConfig config = config_of(1, 2);
    config.first_port = 50000;
    config.last_port = 50099;
    Host host{config};
    std::set<uint16_t> ports;
    std::vector<ConnectionId> ids;
    for (int i = 0; i < 100; ++i) {
        const auto id = connect(host);
        ASSERT_TRUE(id.has_value()) << i;
        ids.push_back(*id);
        ports.insert(host.worker.local(*id).port);
    }
    EXPECT_EQ(ports.size(), 100u);
    EXPECT_EQ(*ports.begin(), 50000u);
    const auto refused = connect(host);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error(), Error::address_not_available);
    // Ports are scarce per destination, not globally.
    EXPECT_TRUE(host.worker.connect({address_of(2), 81}, user).has_value());

    const uint16_t freed = host.worker.local(ids[42]).port;
    host.worker.abort(ids[42]);
    host.run();
    const auto again = connect(host);
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(host.worker.local(*again).port, freed);
}

TEST_F(Opening, ExplicitPortIsInUseUntilItsConnectionEnds) {
    Host host{config_of(1, 2)};
    for (const uint16_t port : {uint16_t{1234}, uint16_t{40000}}) {
        ConnectOptions options;
        options.source_port = port;
        const auto id = connect(host, options);
        ASSERT_TRUE(id.has_value());
        EXPECT_EQ(host.worker.local(*id).port, port);
        const auto again = connect(host, options);
        ASSERT_FALSE(again.has_value());
        EXPECT_EQ(again.error(), Error::address_in_use);
        host.worker.abort(*id);
        host.run();
        EXPECT_TRUE(connect(host, options).has_value());
    }
}

TEST_F(Opening, OnlyPortsThatTheFilterAllowsAreUsed) {
    WorkerConfig config = config_of(1, 2);
    config.first_port = 50000;
    config.last_port = 50099;
    config.port_filter = [](const void*, const wire::SocketAddress& local,
                            const wire::SocketAddress&) { return local.port % 10 == 3; };
    Host host{config};
    for (int i = 0; i < 10; ++i) {
        const auto id = connect(host);
        ASSERT_TRUE(id.has_value());
        EXPECT_EQ(host.worker.local(*id).port % 10, 3);
    }
    EXPECT_FALSE(connect(host).has_value());
}

TEST_F(Opening, PortOfAPeersConnectionIsPassedOver) {
    WorkerConfig config = config_of(1, 2);
    config.first_port = config.last_port = 50000;
    Host host{config};
    Recorder service;
    ASSERT_TRUE(host.worker.listen({{}, 50000}, service).has_value());
    host.run(segment_frame(
        {.from_mac = mac_of(2), .from = address_of(2), .from_port = 80, .to_port = 50000}));
    const auto refused = connect(host);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error(), Error::address_not_available);
    EXPECT_TRUE(host.worker.connect({address_of(2), 81}, user).has_value());
}

/// A host with one port to open connections from, and a server that closes after it.
class OnePort : public Opening {
  protected:
    OnePort() {
        service.when_peer_closed = [](Worker& worker, ConnectionId c) { worker.close(c); };
        EXPECT_TRUE(peer.worker.listen({{}, 80}, service).has_value());
    }
    static WorkerConfig config(Duration time_wait) {
        WorkerConfig config = config_of(1);
        config.first_port = config.last_port = 50000;
        config.time_wait = time_wait;
        return config;
    }
    ConnectionId open_and_close(Host& host, Cable& cable) {
        const auto id = connect(host);
        cable.settle();
        host.worker.close(*id);
        cable.settle();
        return *id;
    }
    Host peer{config_of(2)};
    Recorder service;
};

TEST_F(OnePort, Must13_WaitsInTimeWaitForTwoMaximumSegmentLifetimes) {
    Host host{config(WorkerConfig{}.time_wait)};
    Cable cable{host, peer};
    open_and_close(host, cable);
    EXPECT_EQ(host.worker.gauges().time_wait, 1u);
    EXPECT_FALSE(connect(host).has_value());
    cable.pass(Duration::milliseconds(59'999));
    EXPECT_FALSE(connect(host).has_value());
    cable.pass(Duration::milliseconds(101));  // the record's clock ticks more coarsely
    EXPECT_TRUE(connect(host).has_value());
}

TEST_F(OnePort, IsFreeAtOnceWithoutTimeWait) {
    Host host{config(Duration{})};
    Cable cable{host, peer};
    const ConnectionId id = open_and_close(host, cable);
    EXPECT_EQ(user.life(id).reason, CloseReason::finished);
    EXPECT_EQ(host.worker.gauges().time_wait, 0u);
    EXPECT_TRUE(connect(host).has_value());
}

// ---- limits

TEST_F(Opening, ConnectFailsAtTheLimitOfConnections) {
    WorkerConfig config = config_of(1, 2);
    config.max_connections = 3;
    Host host{config};
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(connect(host).has_value());
    const auto refused = connect(host);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error(), Error::no_resources);
}

TEST_F(Opening, OfManyAtOnceThoseAreOpenedForWhichThereIsRoom) {
    WorkerConfig config = config_of(1, 2);
    config.max_connections = 5;
    Host host{config};
    EXPECT_TRUE(connect(host).has_value());
    std::array<ConnectionId, 9> ids;
    const auto opened = host.worker.connect({address_of(2), 80}, user, {}, ids);
    ASSERT_TRUE(opened.has_value());
    EXPECT_EQ(*opened, 4u);
    std::set<uint16_t> ports;
    for (uint32_t n = 0; n < *opened; ++n) ports.insert(host.worker.local(ids[n]).port);
    EXPECT_EQ(ports.size(), 4u);
    const auto refused = host.worker.connect({address_of(2), 80}, user, {}, ids);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error(), Error::no_resources);
}

TEST_F(Opening, OfManyAtOnceThoseAreOpenedForWhichThereIsAPort) {
    WorkerConfig config = config_of(1, 2);
    config.first_port = 50000;
    config.last_port = 50009;
    Host host{config};
    EXPECT_TRUE(connect(host).has_value());
    std::array<ConnectionId, 32> ids;
    const auto opened = host.worker.connect({address_of(2), 80}, user, {}, ids);
    ASSERT_TRUE(opened.has_value());
    EXPECT_EQ(*opened, 9u);
    const auto refused = host.worker.connect({address_of(2), 80}, user, {}, ids);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error(), Error::address_not_available);
    for (uint32_t n = 0; n < *opened; ++n) host.worker.abort(ids[n]);
    host.run();
    EXPECT_TRUE(host.worker.connect({address_of(2), 80}, user, {}, ids).has_value());
}

TEST_F(Opening, SynAtTheLimitOfConnectionsIsDroppedAndCounted) {
    WorkerConfig config = config_of(1);
    config.max_connections = 2;
    config.max_half_open = 10;
    Host host{config};
    ASSERT_TRUE(host.worker.listen({{}, 80}, user).has_value());
    for (uint16_t port = 1; port <= 5; ++port) host.run(segment_frame({.from_port = port}));
    EXPECT_EQ(host.worker.gauges().connections, 2u);
    EXPECT_EQ(host.worker.stack_counters().connections_exhausted, 3u);
}

TEST_F(Opening, BacklogLimitsHalfOpenConnections) {
    Host host{config_of(1)};
    ASSERT_TRUE(
        host.worker.listen({{}, 80}, user, {.backlog = 3, .syn_cookies = SynCookies::never}));
    for (uint16_t port = 1; port <= 5; ++port) host.run(segment_frame({.from_port = port}));
    EXPECT_EQ(host.worker.gauges().half_open, 3u);
    EXPECT_EQ(host.worker.tcp_counters().half_open_drops, 2u);
    // A reset of the peer makes room.
    host.run(segment_frame({.from_port = 1, .seq = 1001, .flags = wire::flag::rst}));
    EXPECT_EQ(host.worker.gauges().half_open, 2u);
    host.run(segment_frame({.from_port = 6}));
    EXPECT_EQ(host.worker.gauges().half_open, 3u);
    EXPECT_EQ(user.closed, 0u) << "the application was told of what it never knew";
}

TEST_F(Opening, HalfOpenConnectionsEndSilentlyAfterTheirRetries) {
    WorkerConfig config = config_of(1, 9);
    config.profiles[0].syn_received_retries = 2;
    Host host{config};
    ASSERT_TRUE(host.worker.listen({{}, 80}, user).has_value());
    host.run(segment_frame({}));
    EXPECT_EQ(host.take_sent().size(), 1u);
    for (int i = 0; i < 20; ++i) {
        host.now = host.now + Duration::seconds(1);
        host.run();
    }
    EXPECT_EQ(host.take_sent().size(), 2u) << "two retransmissions";
    EXPECT_EQ(host.worker.gauges().half_open, 0u);
    EXPECT_TRUE(user.lives.empty());
    EXPECT_TRUE(host.holds_nothing());
}

TEST_F(Opening, Must41_ListenerExistsOnlyOnce) {
    Host host{config_of(1)};
    ASSERT_TRUE(host.worker.listen({{}, 80}, user).has_value());
    const auto again = host.worker.listen({{}, 80}, user);
    ASSERT_FALSE(again.has_value());
    EXPECT_EQ(again.error(), Error::address_in_use);
    EXPECT_TRUE(host.worker.listen({address_of(1), 80}, user).has_value());
    EXPECT_FALSE(host.worker.listen({address_of(3), 80}, user).has_value());
    EXPECT_FALSE(host.worker.listen({{}, 0}, user).has_value());
}

TEST_F(Opening, ContradictoryConfigurationIsRefusedWithASentence) {
    WorkerConfig config = config_of(1);
    config.first_port = 10;
    config.last_port = 9;
    EXPECT_THROW(Worker{config}, std::invalid_argument);
    config = config_of(1);
    config.interfaces[0].gateway = IpAddress::v4(192, 168, 0, 1);
    EXPECT_THROW(Worker{config}, std::invalid_argument);
    config = config_of(1);
    config.interfaces.clear();
    EXPECT_THROW(Worker{config}, std::invalid_argument);
}

TEST_F(Opening, Rfc1122_Ip_3_ProfileThatSaysTimeToLiveZeroIsRefused) {
    WorkerConfig config = config_of(1);
    config.profiles[0].time_to_live = 0;
    EXPECT_THROW(Worker{config}, std::invalid_argument);
}

// ---- the next hop

TEST_F(Opening, SynWaitsForTheNeighborAndNothingIsLost) {
    Host host{config_of(1)};
    for (int i = 0; i < 500; ++i) ASSERT_TRUE(connect(host).has_value());
    host.run();
    const Read request{host.take_one()};
    ASSERT_TRUE(request.is_arp_request());
    EXPECT_EQ(request.arp->target, address_of(2));
    EXPECT_EQ(request.arp->sender, address_of(1));
    EXPECT_EQ(request.packet.destination_mac(), MacAddress::broadcast());
    host.run(arp_frame(wire::ArpOperation::reply, 2, address_of(1), mac_of(1)));
    const auto syns = host.take_sent();
    EXPECT_EQ(syns.size(), 500u);
    for (const Bytes& frame : syns) {
        const Read syn{frame};
        ASSERT_TRUE(syn.is_tcp());
        EXPECT_TRUE(syn.packet.flags.syn());
        EXPECT_EQ(syn.packet.destination_mac(), mac_of(2));
    }
}

TEST_F(Opening, NeighborThatDoesNotAnswerMakesConnectionsUnreachable) {
    Host host{config_of(1)};
    const auto first = connect(host);
    const auto second = connect(host);
    unsigned requests = 0;
    for (int ms = 0; ms < 5000; ms += 10) {
        host.run();
        requests += static_cast<unsigned>(host.take_sent().size());
        if (user.closed > 0) break;
        host.now = host.now + Duration::milliseconds(10);
    }
    EXPECT_EQ(requests, 3u) << "one a second";
    EXPECT_EQ(user.life(*first).reason, CloseReason::unreachable);
    EXPECT_EQ(user.life(*second).reason, CloseReason::unreachable);
    EXPECT_EQ(user.closed, 2u);
    EXPECT_EQ(host.worker.stack_counters().neighbor_failures, 1u);
    EXPECT_EQ(host.worker.tcp_counters().attempt_fails, 2u);
    EXPECT_TRUE(host.holds_nothing());
    // The next attempt asks again.
    ASSERT_TRUE(connect(host).has_value());
    host.run();
    EXPECT_TRUE(Read{host.take_one()}.is_arp_request());
}

TEST_F(Opening, ConnectionClosedWhileItWaitsIsLetGo) {
    Host host{config_of(1)};
    const auto id = connect(host);
    host.run();
    host.worker.close(*id);
    host.run();
    EXPECT_EQ(user.life(*id).reason, CloseReason::aborted);
    host.take_sent();
    host.run(arp_frame(wire::ArpOperation::reply, 2, address_of(1), mac_of(1)));
    EXPECT_TRUE(host.take_sent().empty());
    EXPECT_TRUE(host.holds_nothing());
}

TEST_F(Opening, SynAckWaitsForTheClientsNeighborEntry) {
    Host host{config_of(1)};
    ASSERT_TRUE(host.worker.listen({{}, 80}, user).has_value());
    host.run(segment_frame({}));
    EXPECT_TRUE(Read{host.take_one()}.is_arp_request());
    host.run(arp_frame(wire::ArpOperation::reply, 9, address_of(1), mac_of(1)));
    const Read syn_ack{host.take_one()};
    ASSERT_TRUE(syn_ack.is_tcp());
    EXPECT_TRUE(syn_ack.packet.flags.has_all(wire::flag::syn | wire::flag::ack));
}

TEST_F(Opening, FloodOfOnLinkClientsKeepsTheCacheBounded) {
    WorkerConfig config = config_of(1);
    config.max_neighbors = 8;
    Host host{config};
    ASSERT_TRUE(host.worker.listen({{}, 80}, user).has_value());
    for (uint8_t client = 10; client < 250; ++client) {
        host.run(segment_frame({.from = address_of(client)}));
    }
    EXPECT_EQ(host.worker.gauges().half_open, 240u);
    EXPECT_GT(host.worker.stack_counters().neighbor_evictions, 0u);
}

TEST_F(Opening, DestinationBehindTheGatewayIsReachedThroughIt) {
    WorkerConfig config = config_of(1);
    config.interfaces[0].gateway = address_of(254);
    Host host{config};
    ASSERT_TRUE(host.worker.connect({IpAddress::v4(192, 0, 2, 1), 80}, user).has_value());
    host.run();
    const Read request{host.take_one()};
    ASSERT_TRUE(request.is_arp_request());
    EXPECT_EQ(request.arp->target, address_of(254));
    host.run(arp_frame(wire::ArpOperation::reply, 254, address_of(1), mac_of(1)));
    const Read syn{host.take_one()};
    EXPECT_EQ(syn.packet.destination_mac(), mac_of(254));
    EXPECT_EQ(syn.packet.destination, IpAddress::v4(192, 0, 2, 1));
}

TEST_F(Opening, TwoInterfacesEachCarryTheirOwnConnections) {
    TwoLinkedHost ours;
    ASSERT_TRUE(ours.worker.connect({address_of(2), 80}, user).has_value());
    ASSERT_TRUE(ours.worker.connect({IpAddress::v4(10, 1, 0, 2), 80}, user).has_value());
    ours.loop.run_once(Instant::from_us(1));
    ASSERT_EQ(ours.left.sent.size(), 1u);
    ASSERT_EQ(ours.right.sent.size(), 1u);
    EXPECT_EQ(Read{ours.left.sent[0]}.packet.source, address_of(1));
    const Read syn{ours.right.sent[0]};
    EXPECT_EQ(syn.packet.source, IpAddress::v4(10, 1, 0, 1));
    EXPECT_EQ(syn.packet.source_mac(), mac_of(0x11));
}

TEST_F(Opening, CongestedDeviceIsNotAskedForFrames) {
    Host host{config_of(1, 2)};
    ASSERT_TRUE(connect(host).has_value());
    host.device.is_congested = true;
    host.loop.run_once(host.now);
    EXPECT_TRUE(host.device.sent.empty());
    host.device.is_congested = false;
    host.loop.run_once(host.now);
    EXPECT_EQ(host.device.sent.size(), 1u);
}

}  // namespace
}  // namespace synfin::stack::test
