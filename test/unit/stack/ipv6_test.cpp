// What IPv6 has of its own: names for addresses, neighbor discovery, ICMPv6. That connections live
// the same lives over both families is shown by conversation_test.cpp.
#include <gtest/gtest.h>

#include <synfin/stack/neighbor_cache.hpp>

#include "stack_world.hpp"

namespace synfin::stack::test {
namespace {

constexpr Family v6 = Family::ipv6;
const IpAddress all_nodes = IpAddress::v6(0xff02'0000'0000'0000, 1);

Bytes syn_from(const IpAddress& from, uint16_t from_port = 4000) {
    return segment_frame({.from = from, .to = address_of(1, v6), .from_port = from_port});
}

Bytes reset_from(const IpAddress& from) {
    return segment_frame(
        {.from = from, .to = address_of(1, v6), .seq = 1001, .flags = wire::flag::rst});
}

/// A server whose book of addresses has room for so many.
struct SmallBook : Host {
    SmallBook(uint32_t addresses, Application& service) : Host{config(addresses)} {
        EXPECT_TRUE(worker.listen({{}, 80}, service).has_value());
    }
    static WorkerConfig config(uint32_t addresses) {
        WorkerConfig config = config_of(1, 9, v6);
        config.max_ipv6_addresses = addresses;
        return config;
    }
};

class Ipv6 : public ::testing::Test {
  protected:
    const Counters& counters() const { return host.worker.stack_counters(); }
    uint64_t dropped(wire::Drop reason) const { return host.worker.drop_counters().of(reason); }
    void expect_silence() { EXPECT_TRUE(host.take_sent().empty()); }
    Host host{config_of(1, 9, v6)};
    Recorder service;
};

/// A solicitation for `target` from host 9.
Bytes solicitation(const IpAddress& target, Icmp6Frame made = {}) {
    const IpAddress group = wire::solicited_node_address(target);
    if (made.to == address_of(1, v6)) {
        made.to = group;
        made.to_mac = wire::multicast_mac(group);
    }
    return icmp6_frame(made, [&](uint8_t* out, const IpAddress& from, const IpAddress& to) {
        return wire::write_neighbor_solicitation(out, target, mac_of(made.from_host), from, to);
    });
}

Bytes advertisement(uint8_t of_host, uint8_t at_mac, bool solicited = true, Icmp6Frame made = {}) {
    made.from = address_of(of_host, v6);
    made.from_host = at_mac;
    return icmp6_frame(made, [&](uint8_t* out, const IpAddress& from, const IpAddress& to) {
        return wire::write_neighbor_advertisement(out, from, mac_of(at_mac), solicited, from, to);
    });
}

/// What neighbor discovery says in a frame.
struct Discovery {
    explicit Discovery(const Bytes& bytes) : read{bytes} {
        EXPECT_EQ(read.packet.kind, wire::PacketKind::icmp6);
        if (read.packet.kind != wire::PacketKind::icmp6) return;
        view = *wire::Icmp6View::checked(read.packet.payload, read.packet.source,
                                         read.packet.destination, read.packet.hop_limit);
    }
    bool is(wire::Icmp6Type type) const { return view && view->type() == type; }
    Read read;
    std::optional<wire::Icmp6View> view;
};

// ---- names

TEST_F(Ipv6, SynIsAnsweredFromTheAddressThatItWasSentTo) {
    ASSERT_TRUE(host.worker.listen({address_of(1, v6), 80}, service).has_value());
    host.run(syn_from(address_of(9, v6)));
    const Read answer{host.take_one()};
    ASSERT_TRUE(answer.is_tcp());
    EXPECT_EQ(answer.packet.flags, wire::flag::syn | wire::flag::ack);
    EXPECT_EQ(answer.packet.source, address_of(1, v6));
    EXPECT_EQ(answer.packet.destination, address_of(9, v6));
    EXPECT_EQ(answer.packet.options.mss, 1440);
}

TEST_F(Ipv6, SegmentsOfOneBurstFromANewAddressAreOneConnection) {
    ASSERT_TRUE(host.worker.listen({{}, 80}, service).has_value());
    for (int copy = 0; copy < 3; ++copy)
        host.device.arriving.push_back(syn_from(address_of(9, v6)));
    host.run();
    EXPECT_EQ(host.worker.gauges().connections, 1u);
}

TEST_F(Ipv6, IdGivenUpInABurstIsNotTakenForAnothersInTheSameBurst) {
    SmallBook small{2, service};  // ours and one peer's
    small.run(syn_from(address_of(9, v6)));
    // The first peer resets and speaks again; in between another one takes its place.
    small.device.arriving.push_back(reset_from(address_of(9, v6)));
    small.device.arriving.push_back(syn_from(address_of(8, v6)));
    small.device.arriving.push_back(reset_from(address_of(9, v6)));
    small.run();
    EXPECT_EQ(small.worker.stack_counters().addresses_exhausted, 1u);
    small.run(syn_from(address_of(8, v6)));
    EXPECT_EQ(small.worker.gauges().connections, 1u);
}

TEST_F(Ipv6, AddressesWithoutAConnectionTakeNoPlaceInTheBook) {
    SmallBook small{4, service};
    for (uint16_t i = 0; i < 1000; ++i) {
        small.run(segment_frame({.from = IpAddress::v6(0xfd00'0000'0000'0000, 0x1000u + i),
                                 .to = address_of(1, v6),
                                 .to_port = 81}));
        EXPECT_EQ(small.take_sent().size(), 1u);
    }
    small.run(syn_from(address_of(9, v6)));
    EXPECT_EQ(small.worker.gauges().connections, 1u);
    EXPECT_EQ(small.worker.stack_counters().addresses_exhausted, 0u);
}

TEST_F(Ipv6, FullBookRefusesNewPeersAndHasRoomAgainWhenConnectionsEnd) {
    SmallBook small{3, service};
    for (uint8_t from = 9; from < 14; ++from) small.run(syn_from(address_of(from, v6)));
    EXPECT_EQ(small.worker.gauges().connections, 2u);
    EXPECT_EQ(small.worker.stack_counters().addresses_exhausted, 3u);
    EXPECT_EQ(small.worker.connect({address_of(20, v6), 80}, service).error(), Error::no_resources);
    small.run(reset_from(address_of(9, v6)));
    small.run(syn_from(address_of(13, v6)));
    EXPECT_EQ(small.worker.gauges().connections, 2u);
}

TEST_F(Ipv6, StraySegmentIsAnsweredByAReset) {
    host.run(segment_frame(
        {.from = address_of(9, v6), .to = address_of(1, v6), .ack = 77, .flags = wire::flag::ack}));
    const Read reply{host.take_one()};
    ASSERT_TRUE(reply.is_tcp());
    EXPECT_TRUE(reply.packet.flags.rst());
    EXPECT_EQ(reply.packet.seq, 77u);
    EXPECT_EQ(reply.packet.destination, address_of(9, v6));
}

TEST_F(Ipv6, PeerThatTakesOverAnIdGetsAnotherInitialSequenceNumber) {
    SmallBook small{2, service};
    const auto sequence_for = [&](uint8_t from) {
        small.run(syn_from(address_of(from, v6)));
        const uint32_t seq = Read{small.take_one()}.packet.seq;
        small.run(reset_from(address_of(from, v6)));
        return seq;
    };
    const uint32_t first = sequence_for(9);
    EXPECT_EQ(sequence_for(9), first) << "time stands still";
    small.run(solicitation(address_of(1, v6), {.from_host = 8, .from = address_of(8, v6)}));
    EXPECT_NE(sequence_for(8), first);
}

// ---- listeners

TEST(ListenersOfBothFamilies, TheMoreSpecificWins) {
    WorkerConfig config = config_of(1, 9, v6);
    config.interfaces[0].addresses.push_back({address_of(1), 32});
    config.interfaces[0].on_link.push_back(network_of(Family::ipv4));
    config.interfaces[0].static_neighbors.push_back({address_of(9), mac_of(9)});
    Host host{config};
    Recorder any, any_v4, exact;
    const auto accepted = [&](const Family family) {
        const uint64_t before = host.worker.gauges().half_open;
        host.run(segment_frame({.from = address_of(9, family), .to = address_of(1, family)}));
        const uint32_t seq = Read{host.take_one()}.packet.seq;
        EXPECT_EQ(host.worker.gauges().half_open, before + 1);
        host.run(segment_frame({.from = address_of(9, family),
                                .to = address_of(1, family),
                                .seq = 1001,
                                .ack = seq + 1,
                                .flags = wire::flag::ack}));
        host.run(segment_frame({.from = address_of(9, family),
                                .to = address_of(1, family),
                                .seq = 1001,
                                .flags = wire::flag::rst}));
        host.take_sent();
    };
    ASSERT_TRUE(host.worker.listen({{}, 80}, any).has_value());
    accepted(Family::ipv4);
    accepted(v6);
    EXPECT_EQ(any.closed, 2u);
    ASSERT_TRUE(host.worker.listen({IpAddress::v4(0), 80}, any_v4).has_value());
    accepted(Family::ipv4);
    accepted(v6);
    EXPECT_EQ(any_v4.closed, 1u);
    EXPECT_EQ(any.closed, 3u);
    ASSERT_TRUE(host.worker.listen({address_of(1, v6), 80}, exact).has_value());
    accepted(v6);
    EXPECT_EQ(exact.closed, 1u);
}

TEST(ListenersOfBothFamilies, ConnectDoesNotMixThem) {
    WorkerConfig config = config_of(1, 9, v6);
    config.interfaces[0].addresses.push_back({address_of(1), 32});
    Host host{config};
    Recorder user;
    ConnectOptions options;
    options.source = address_of(1);
    const auto mixed = host.worker.connect({address_of(9, v6), 80}, user, options);
    ASSERT_FALSE(mixed.has_value());
    EXPECT_EQ(mixed.error(), Error::unreachable);
}

// ---- neighbor discovery (RFC 4861)

TEST_F(Ipv6, SolicitationForOurAddressIsAnswered) {
    host.run(solicitation(address_of(1, v6)));
    const Discovery answer{host.take_one()};
    ASSERT_TRUE(answer.is(wire::Icmp6Type::neighbor_advertisement));
    EXPECT_EQ(answer.view->target(), address_of(1, v6));
    EXPECT_EQ(answer.view->link_layer_address(), mac_of(1));
    EXPECT_TRUE(answer.view->solicited());
    EXPECT_EQ(answer.read.packet.hop_limit, 255);
    EXPECT_EQ(answer.read.packet.destination, address_of(9, v6));
    EXPECT_EQ(answer.read.packet.destination_mac(), mac_of(9));
}

TEST_F(Ipv6, EveryAddressOfABlockIsAnsweredFor) {
    WorkerConfig config = config_of(1, v6);
    config.interfaces[0].addresses = {{IpAddress::v6(0xfd01'0000'0000'0000, 0), 64}};
    Host block{config};
    for (const uint64_t low : {uint64_t{0}, uint64_t{1}, uint64_t{0xffff'ffff'ffff'ffff}}) {
        block.run(solicitation(IpAddress::v6(0xfd01'0000'0000'0000, low)));
        EXPECT_EQ(block.take_sent().size(), 1u) << low;
    }
    block.run(solicitation(IpAddress::v6(0xfd01'0000'0000'0001, 0)));
    EXPECT_TRUE(block.take_sent().empty());
}

TEST_F(Ipv6, ProbeForADuplicateOfOurAddressIsToldToAll) {
    const IpAddress target = address_of(1, v6);
    Bytes frame = icmp6_frame(
        {.from = IpAddress{},
         .to = wire::solicited_node_address(target),
         .to_mac = wire::multicast_mac(wire::solicited_node_address(target))},
        [&](uint8_t* out, const IpAddress& from, const IpAddress& to) {
            wire::write_neighbor_solicitation(out, target, mac_of(9), from, to);
            // Without the option, which has no place in such a probe.
            std::fill_n(out + 2, 2, uint8_t{0});
            const auto sum = wire::pseudo_header_sum_ipv6(from, to, wire::ip_protocol::icmp6, 24) +
                             wire::sum_bytes(out, 24);
            wire::store_checksum(out + 2, sum);
            return size_t{24};
        });
    host.run(std::move(frame));
    const Discovery answer{host.take_one()};
    ASSERT_TRUE(answer.is(wire::Icmp6Type::neighbor_advertisement));
    EXPECT_FALSE(answer.view->solicited());
    EXPECT_EQ(answer.read.packet.destination, all_nodes);
    EXPECT_EQ(answer.read.packet.destination_mac(), wire::multicast_mac(all_nodes));
}

TEST_F(Ipv6, SolicitationThatPassedARouterIsDropped) {
    host.run(solicitation(address_of(1, v6), {.hop_limit = 254}));
    expect_silence();
    EXPECT_EQ(dropped(wire::Drop::nd_invalid), 1u);
}

TEST_F(Ipv6, SolicitationThatClaimsToBeOursIsDropped) {
    host.run(solicitation(address_of(1, v6), {.from_host = 66,
                                              .from = address_of(1, v6),
                                              .to = all_nodes,
                                              .to_mac = wire::multicast_mac(all_nodes)}));
    expect_silence();
    EXPECT_EQ(counters().drop_from_ourselves, 1u);
}

TEST_F(Ipv6, OtherMessagesToGroupsAreDropped) {
    host.run(icmp6_frame({.to = all_nodes, .to_mac = wire::multicast_mac(all_nodes)},
                         [](uint8_t* out, const IpAddress& from, const IpAddress& to) {
                             return wire::write_icmp6_echo(out, wire::Icmp6Type::echo_request, 1, 2,
                                                           {}, from, to);
                         }));
    expect_silence();
    EXPECT_EQ(counters().drop_link_group, 1u);
}

TEST_F(Ipv6, UnknownNeighborIsSolicitedAtItsGroupAndThenSpokenTo) {
    ASSERT_TRUE(host.worker.connect({address_of(2, v6), 80}, service).has_value());
    host.run();
    const Discovery question{host.take_one()};
    ASSERT_TRUE(question.is(wire::Icmp6Type::neighbor_solicitation));
    EXPECT_EQ(question.view->target(), address_of(2, v6));
    EXPECT_EQ(question.view->link_layer_address(), mac_of(1));
    EXPECT_EQ(question.read.packet.source, address_of(1, v6));
    EXPECT_EQ(question.read.packet.destination, wire::solicited_node_address(address_of(2, v6)));
    EXPECT_EQ(question.read.packet.destination_mac(),
              wire::multicast_mac(question.read.packet.destination));
    host.run(advertisement(2, 2));
    const Read syn{host.take_one()};
    ASSERT_TRUE(syn.is_tcp());
    EXPECT_EQ(syn.packet.destination_mac(), mac_of(2));
}

// The two ends of a tap have one Ethernet address.
TEST_F(Ipv6, NeighborWithOurEthernetAddressIsAnsweredAndLearned) {
    host.run(solicitation(address_of(1, v6), {.from_host = 1}));
    EXPECT_TRUE(Discovery{host.take_one()}.is(wire::Icmp6Type::neighbor_advertisement));
    ASSERT_TRUE(host.worker.connect({address_of(2, v6), 80}, service).has_value());
    host.run();
    host.take_sent();
    host.run(advertisement(2, 1));
    const Read syn{host.take_one()};
    ASSERT_TRUE(syn.is_tcp());
    EXPECT_EQ(syn.packet.destination_mac(), mac_of(1));
}

TEST_F(Ipv6, NeighborThatDoesNotAnswerIsAskedThreeTimesAndGivenUp) {
    const auto id = host.worker.connect({address_of(2, v6), 80}, service);
    for (int second = 0; second < 4; ++second) {
        host.run();
        host.now = host.now + Duration::seconds(1);
    }
    EXPECT_EQ(host.take_sent().size(), 3u);
    EXPECT_EQ(counters().neighbor_failures, 1u);
    EXPECT_EQ(service.life(*id).reason, tcp::CloseReason::unreachable);
}

TEST_F(Ipv6, UnsolicitedAdvertisementTeachesNothing) {
    host.run(advertisement(2, 66));
    EXPECT_EQ(counters().advertisements_unsolicited, 1u);
    ASSERT_TRUE(host.worker.connect({address_of(2, v6), 80}, service).has_value());
    host.run();
    EXPECT_TRUE(Discovery{host.take_one()}.is(wire::Icmp6Type::neighbor_solicitation));
}

TEST_F(Ipv6, AdvertisementWithoutOverrideDoesNotMoveANeighbor) {
    ASSERT_TRUE(host.worker.connect({address_of(2, v6), 80}, service).has_value());
    host.run();
    host.run(advertisement(2, 2));
    host.take_sent();
    host.now = host.now + Duration::seconds(10);
    Bytes moved = icmp6_frame(
        {.from_host = 66, .from = address_of(2, v6)},
        [](uint8_t* out, const IpAddress& from, const IpAddress& to) {
            const size_t length =
                wire::write_neighbor_advertisement(out, from, mac_of(66), true, from, to);
            out[4] = 0x40;  // solicited, not overriding
            std::fill_n(out + 2, 2, uint8_t{0});
            wire::store_checksum(out + 2,
                                 wire::pseudo_header_sum_ipv6(from, to, wire::ip_protocol::icmp6,
                                                              static_cast<uint32_t>(length)) +
                                     wire::sum_bytes(out, length));
            return length;
        });
    host.run(std::move(moved));
    EXPECT_EQ(counters().advertisements_unsolicited, 1u);
    ASSERT_TRUE(host.worker.connect({address_of(2, v6), 80}, service).has_value());
    host.run();
    for (const Bytes& frame : host.take_sent())
        EXPECT_EQ(Read{frame}.packet.destination_mac(), mac_of(2));
}

TEST_F(Ipv6, NeighborInUseIsProbedDirectlyAfterAWhile) {
    ASSERT_TRUE(host.worker.connect({address_of(2, v6), 80}, service).has_value());
    host.run();
    host.run(advertisement(2, 2));
    host.take_sent();
    host.now = host.now + Duration::seconds(61);
    ASSERT_TRUE(host.worker.connect({address_of(2, v6), 81}, service).has_value());
    host.run();
    host.take_sent();
    host.now = host.now + NeighborCache::delay_time;
    host.run();
    bool probed = false;
    for (const Bytes& frame : host.take_sent()) {
        const Read read{frame};
        if (read.packet.kind != wire::PacketKind::icmp6) continue;
        probed = true;
        EXPECT_EQ(read.packet.destination, address_of(2, v6));
        EXPECT_EQ(read.packet.destination_mac(), mac_of(2));
    }
    EXPECT_TRUE(probed);
}

TEST_F(Ipv6, Rfc4861_1_NeighborWhoAcknowledgesIsNotProbed) {
    Host peer{config_of(2, v6)};
    Cable cable{host, peer};
    Recorder client;
    ASSERT_TRUE(peer.worker.listen({{}, 80}, service).has_value());
    const auto id = host.worker.connect({address_of(2, v6), 80}, client);
    ASSERT_TRUE(id.has_value());
    cable.pass(Duration::seconds(61));
    const uint64_t asked = counters().solicitations_out;
    const uint64_t peer_asked = peer.worker.stack_counters().solicitations_out;
    EXPECT_EQ(host.worker.send(*id, bytes_of("hello")), 5u);
    cable.pass(Duration::seconds(10));
    EXPECT_EQ(counters().solicitations_out, asked);
    EXPECT_EQ(peer.worker.stack_counters().solicitations_out, peer_asked + 1)
        << "whose bytes nobody acknowledges asks";
}

// ---- ICMPv6 (RFC 4443)

TEST_F(Ipv6, EchoRequestIsAnsweredWithItsData) {
    host.run(icmp6_frame({.hop_limit = 64},
                         [](uint8_t* out, const IpAddress& from, const IpAddress& to) {
                             return wire::write_icmp6_echo(out, wire::Icmp6Type::echo_request, 5, 6,
                                                           bytes_of("ping!"), from, to);
                         }));
    const Discovery reply{host.take_one()};
    ASSERT_TRUE(reply.is(wire::Icmp6Type::echo_reply));
    EXPECT_EQ(reply.view->identifier(), 5u);
    EXPECT_EQ(reply.view->sequence(), 6u);
    EXPECT_EQ(std::string(reply.view->echo_data().begin(), reply.view->echo_data().end()), "ping!");
    EXPECT_EQ(reply.read.packet.destination, address_of(9, v6));
}

TEST_F(Ipv6, EchoRequestFromNobodyIsDropped) {
    host.run(icmp6_frame(
        {.from = IpAddress{}}, [](uint8_t* out, const IpAddress& from, const IpAddress& to) {
            return wire::write_icmp6_echo(out, wire::Icmp6Type::echo_request, 5, 6, {}, from, to);
        }));
    expect_silence();
    EXPECT_EQ(dropped(wire::Drop::ip_bad_source), 1u);
}

class Icmp6Errors : public Ipv6 {
  protected:
    Bytes error_about(const Bytes& frame, wire::Icmp6Type type, uint8_t code) {
        return icmp6_frame({.hop_limit = 64},
                           [&](uint8_t* out, const IpAddress& from, const IpAddress& to) {
                               return wire::write_icmp6_error(
                                   out, type, code, 0, std::span{frame}.subspan(14), from, to);
                           });
    }
};

TEST_F(Icmp6Errors, PortUnreachableEndsAnAttempt) {
    const auto id = host.worker.connect({address_of(9, v6), 80}, service);
    host.run();
    host.run(error_about(host.take_one(), wire::Icmp6Type::destination_unreachable,
                         wire::icmp6_code::port_unreachable));
    EXPECT_EQ(service.life(*id).reason, tcp::CloseReason::unreachable);
}

TEST_F(Icmp6Errors, NoRouteIsNoReasonToGiveUp) {
    const auto id = host.worker.connect({address_of(9, v6), 80}, service);
    host.run();
    host.run(error_about(host.take_one(), wire::Icmp6Type::destination_unreachable,
                         wire::icmp6_code::no_route));
    EXPECT_EQ(host.worker.state(*id), tcp::State::syn_sent);
    EXPECT_EQ(counters().icmp_errors_in, 1u);
}

TEST_F(Icmp6Errors, ErrorAboutAStrangersConnectionIsIgnored) {
    Bytes frame = syn_from(address_of(77, v6));
    host.run(error_about(frame, wire::Icmp6Type::destination_unreachable,
                         wire::icmp6_code::port_unreachable));
    EXPECT_EQ(counters().icmp_errors_ignored, 1u);
    expect_silence();
}

}  // namespace
}  // namespace synfin::stack::test
