// What arrives and belongs to no connection: ARP, ICMP, stray segments, and all that is refused.
#include <gtest/gtest.h>

#include "stack_world.hpp"

namespace synfin::stack::test {
namespace {

class Datagrams : public ::testing::Test {
  protected:
    uint64_t dropped(wire::Drop reason) const { return host.worker.drop_counters().of(reason); }
    const Counters& counters() const { return host.worker.stack_counters(); }
    void expect_silence() {
        EXPECT_TRUE(host.take_sent().empty());
        EXPECT_EQ(host.worker.gauges().connections, 0u);
        EXPECT_TRUE(host.holds_nothing());
    }
    Host host{config_of(1)};
};

// ---- ARP

TEST_F(Datagrams, ArpRequestForOurAddressIsAnsweredToItsSender) {
    host.run(arp_frame(wire::ArpOperation::request, 9, address_of(1)));
    const Read reply{host.take_one()};
    ASSERT_TRUE(reply.arp);
    EXPECT_EQ(reply.arp->operation, wire::ArpOperation::reply);
    EXPECT_EQ(reply.arp->sender, address_of(1));
    EXPECT_EQ(reply.arp->sender_mac, mac_of(1));
    EXPECT_EQ(reply.arp->target, address_of(9));
    EXPECT_EQ(reply.packet.destination_mac(), mac_of(9));
}

TEST_F(Datagrams, ArpRequestForAnotherAddressIsNotAnswered) {
    host.run(arp_frame(wire::ArpOperation::request, 9, address_of(2)));
    expect_silence();
}

TEST(ArpForBlocks, EveryAddressOfABlockIsAnsweredButTheBroadcast) {
    WorkerConfig config = config_of(1);
    config.interfaces[0].addresses = {{IpAddress::v4(10, 1, 0, 0), 24}};
    Host host{config};
    for (const uint8_t last : std::array<uint8_t, 4>{0, 1, 77, 254}) {
        host.run(arp_frame(wire::ArpOperation::request, 9, IpAddress::v4(10, 1, 0, last)));
        EXPECT_EQ(host.take_sent().size(), 1u) << unsigned{last};
    }
    host.run(arp_frame(wire::ArpOperation::request, 9, IpAddress::v4(10, 1, 0, 255)));
    host.run(arp_frame(wire::ArpOperation::request, 9, IpAddress::v4(10, 1, 1, 0)));
    EXPECT_TRUE(host.take_sent().empty());
}

TEST_F(Datagrams, UnsolicitedArpReplyTeachesNothing) {
    host.run(arp_frame(wire::ArpOperation::reply, 2, address_of(1), mac_of(1)));
    EXPECT_EQ(counters().arp_unsolicited, 1u);
    Recorder user;
    ASSERT_TRUE(host.worker.connect({address_of(2), 80}, user).has_value());
    host.run();
    EXPECT_TRUE(Read{host.take_one()}.is_arp_request()) << "the address was learned unasked";
}

TEST_F(Datagrams, ArpClaimingOurOwnAddressTeachesNothingAndIsNamed) {
    EXPECT_FALSE(host.worker.last_address_conflict().has_value());
    host.run(arp_frame(wire::ArpOperation::request, 1, address_of(7), MacAddress::broadcast(),
                       mac_of(66)));
    expect_silence();
    EXPECT_EQ(counters().duplicate_addresses, 1u);
    const auto conflict = host.worker.last_address_conflict();
    ASSERT_TRUE(conflict.has_value());
    EXPECT_EQ(conflict->address, address_of(1));
    EXPECT_EQ(conflict->other, mac_of(66));
}

TEST_F(Datagrams, EchoOfOurOwnArpIsNoConflict) {
    host.run(arp_frame(wire::ArpOperation::request, 1, address_of(7)));
    EXPECT_EQ(counters().duplicate_addresses, 0u);
}

TEST(Conflicts, TwoInterfacesOfOursOnOneLinkHaveNone) {
    TwoLinkedHost ours;
    ours.right.arriving.push_back(arp_frame(wire::ArpOperation::request, 1, address_of(7)));
    ours.loop.run_once(Instant::from_us(1));
    EXPECT_EQ(ours.worker.stack_counters().arp_requests_in, 1u);
    EXPECT_EQ(ours.worker.stack_counters().duplicate_addresses, 0u);
}

// ---- ICMP

TEST_F(Datagrams, EchoRequestIsAnsweredWithItsData) {
    host.run(icmp_frame(9, address_of(1), [](uint8_t* out) {
        return wire::write_icmp4_echo(out, wire::Icmp4Type::echo_request, 5, 6, bytes_of("ping!"));
    }));
    const Read reply{host.take_one()};
    ASSERT_EQ(reply.packet.kind, wire::PacketKind::icmp4);
    const auto view = wire::Icmp4View::checked(reply.packet.payload);
    ASSERT_TRUE(view.has_value());
    EXPECT_EQ(view->type(), wire::Icmp4Type::echo_reply);
    EXPECT_EQ(view->identifier(), 5u);
    EXPECT_EQ(view->sequence(), 6u);
    EXPECT_EQ(std::string(view->echo_data().begin(), view->echo_data().end()), "ping!");
    EXPECT_EQ(reply.packet.destination, address_of(9));
    EXPECT_EQ(reply.packet.source, address_of(1));
}

class EchoLimit : public ::testing::TestWithParam<Family> {};
INSTANTIATE_TEST_SUITE_P(Families, EchoLimit, ::testing::Values(Family::ipv4, Family::ipv6),
                         [](const auto& p) { return name_of(p.param); });

TEST_P(EchoLimit, EchoRepliesStopAtTheRateAndGoOnLater) {
    WorkerConfig config = config_of(1, GetParam());
    config.echo_replies_per_second = 20;  // a burst of two, or four
    Host host{config};
    const Bytes request =
        GetParam() == Family::ipv4
            ? icmp_frame(9, address_of(1),
                         [](uint8_t* out) {
                             return wire::write_icmp4_echo(out, wire::Icmp4Type::echo_request, 5, 6,
                                                           {});
                         })
            : icmp6_frame({}, [](uint8_t* out, const IpAddress& from, const IpAddress& to) {
                  return wire::write_icmp6_echo(out, wire::Icmp6Type::echo_request, 5, 6, {}, from,
                                                to);
              });
    const auto ping = [&] {
        host.run(request);
        return host.take_sent().size();
    };
    size_t answered = 0;
    for (int i = 0; i < 8; ++i) answered += ping();
    EXPECT_GE(answered, 2u);
    EXPECT_LE(answered, 4u);
    EXPECT_EQ(host.worker.stack_counters().echo_limited, 8 - answered);
    host.now = host.now + Duration::milliseconds(100);
    EXPECT_EQ(ping(), 1u);
}

class IcmpErrors : public ::testing::Test {
  protected:
    /// An error about the last frame that `host` has sent.
    Bytes error_about(const Bytes& frame, uint8_t code) {
        const std::span<const uint8_t> datagram = std::span{frame}.subspan(14);
        return icmp_frame(9, address_of(1), [&](uint8_t* out) {
            return wire::write_icmp4_error(out, wire::Icmp4Type::destination_unreachable, code, 0,
                                           datagram);
        });
    }
    Host host{config_of(1, 2)};
    Recorder user;
};

TEST_F(IcmpErrors, Must54_PortUnreachableEndsAnAttempt) {
    const auto id = host.worker.connect({address_of(2), 80}, user);
    host.run();
    host.run(error_about(host.take_one(), wire::icmp4_code::port_unreachable));
    EXPECT_EQ(user.life(*id).reason, tcp::CloseReason::unreachable);
    EXPECT_TRUE(host.holds_nothing());
}

TEST_F(IcmpErrors, SoftErrorLeavesAnAttemptAlone) {
    const auto id = host.worker.connect({address_of(2), 80}, user);
    host.run();
    host.run(error_about(host.take_one(), wire::icmp4_code::host_unreachable));
    EXPECT_EQ(host.worker.state(*id), tcp::State::syn_sent);
}

TEST_F(IcmpErrors, QuotedSequenceThatIsNotInFlightIsIgnored) {
    const auto id = host.worker.connect({address_of(2), 80}, user);
    host.run();
    Bytes guessed = host.take_one();
    guessed[14 + 20 + 4] ^= 0x80;  // the first byte of the sequence number
    host.run(error_about(guessed, wire::icmp4_code::port_unreachable));
    EXPECT_EQ(host.worker.state(*id), tcp::State::syn_sent);
}

TEST_F(IcmpErrors, Shld26_HardErrorLeavesAnEstablishedConnectionAlone) {
    Host peer{config_of(2)};
    Recorder service;
    ASSERT_TRUE(peer.worker.listen({{}, 80}, service).has_value());
    Cable cable{host, peer};
    const auto id = host.worker.connect({address_of(2), 80}, user);
    cable.settle();
    host.worker.send(*id, bytes_of("data"));
    host.run();
    host.run(error_about(host.take_one(), wire::icmp4_code::port_unreachable));
    EXPECT_EQ(host.worker.state(*id), tcp::State::established);
    EXPECT_EQ(user.closed, 0u);
}

TEST_F(IcmpErrors, ErrorAboutNoConnectionIsCounted) {
    const Bytes foreign = segment_frame({.from = address_of(1), .to = address_of(2)});
    host.run(error_about(foreign, wire::icmp4_code::port_unreachable));
    EXPECT_EQ(host.worker.stack_counters().icmp_errors_ignored, 1u);
}

// ---- stray segments

TEST_F(Datagrams, SynToAClosedPortIsResetToTheAddressItCameFrom) {
    host.run(segment_frame({.from_mac = mac_of(44), .seq = 1000}));
    const Read reply{host.take_one()};
    ASSERT_TRUE(reply.is_tcp());
    EXPECT_TRUE(reply.packet.flags.has_all(wire::flag::rst | wire::flag::ack));
    EXPECT_EQ(reply.packet.ack, 1001u);
    EXPECT_EQ(reply.packet.destination_mac(), mac_of(44));
    EXPECT_EQ(host.worker.tcp_counters().out_rsts, 1u);
    EXPECT_TRUE(host.holds_nothing());
}

TEST_F(Datagrams, ResetIsNeverAnswered) {
    host.run(segment_frame({.flags = wire::flag::rst}));
    host.run(segment_frame({.flags = wire::flag::rst | wire::flag::ack}));
    expect_silence();
}

TEST(ResetLimit, ResetsStopAtTheRateAndGoOnLater) {
    WorkerConfig config = config_of(1);
    config.resets_per_second = 50;  // a burst of five, or a few more
    Host host{config};
    for (int i = 0; i < 20; ++i)
        host.run(segment_frame({.from_port = static_cast<uint16_t>(5000 + i)}));
    const size_t answered = host.take_sent().size();
    EXPECT_GE(answered, 4u);
    EXPECT_LE(answered, 10u);
    EXPECT_EQ(host.worker.stack_counters().resets_limited, 20 - answered);
    host.now = host.now + Duration::milliseconds(40);
    host.run(segment_frame({}));
    EXPECT_EQ(host.take_sent().size(), 1u);
}

// ---- what is refused, each under its own reason and without any state

TEST_F(Datagrams, FrameToAnotherEthernetAddressIsDropped) {
    host.run(segment_frame({.to_mac = mac_of(3)}));
    EXPECT_EQ(counters().drop_other_mac, 1u);
    expect_silence();
}

TEST_F(Datagrams, SegmentInABroadcastFrameIsDropped) {
    host.run(segment_frame({.to_mac = MacAddress::broadcast()}));
    EXPECT_EQ(dropped(wire::Drop::tcp_to_group), 1u);
    expect_silence();
}

TEST_F(Datagrams, EchoRequestInABroadcastFrameIsDropped) {
    Bytes frame = icmp_frame(9, address_of(1), [](uint8_t* out) {
        return wire::write_icmp4_echo(out, wire::Icmp4Type::echo_request, 5, 6, {});
    });
    std::fill_n(frame.begin(), 6, uint8_t{0xff});
    host.run(frame);
    EXPECT_EQ(counters().drop_link_group, 1u);
    expect_silence();
}

TEST_F(Datagrams, SegmentToAnotherAddressIsDropped) {
    host.run(segment_frame({.to = address_of(3)}));
    EXPECT_EQ(counters().drop_other_address, 1u);
    expect_silence();
}

TEST_F(Datagrams, SegmentThatClaimsToComeFromUsIsDropped) {
    Recorder service;
    WorkerConfig config = config_of(1);
    config.interfaces[0].addresses = {{IpAddress::v4(10, 0, 0, 0), 28}};
    Host block{config};
    ASSERT_TRUE(block.worker.listen({{}, 80}, service).has_value());
    block.run(segment_frame({.from = address_of(2), .to = address_of(1)}));
    EXPECT_EQ(block.worker.stack_counters().drop_from_ourselves, 1u);
    EXPECT_TRUE(block.take_sent().empty());
}

TEST_F(Datagrams, SegmentFromADirectedBroadcastIsDropped) {
    host.run(segment_frame({.from = address_of(255)}));
    EXPECT_EQ(counters().drop_from_broadcast, 1u);
    expect_silence();
}

TEST_F(Datagrams, SynToADirectedBroadcastIsDropped) {
    WorkerConfig config = config_of(1);
    config.interfaces[0].addresses = {{IpAddress::v4(10, 0, 0, 0), 24}};
    Host block{config};
    Recorder service;
    ASSERT_TRUE(block.worker.listen({{}, 80}, service).has_value());
    block.run(segment_frame({.from = IpAddress::v4(10, 9, 9, 9), .to = address_of(255)}));
    EXPECT_EQ(block.worker.stack_counters().drop_other_address, 1u);
    EXPECT_TRUE(block.take_sent().empty());
    EXPECT_EQ(block.worker.gauges().connections, 0u);
}

TEST_F(Datagrams, SegmentsBetweenWhatCannotBeTwoHostsAreDroppedUnderTheirNames) {
    host.run(segment_frame({.from = IpAddress::v4(127, 0, 0, 9)}));
    host.run(segment_frame({.from = IpAddress::v4(224, 0, 0, 9)}));
    host.run(segment_frame({.from = IpAddress::v4(0, 0, 0, 9)}));
    EXPECT_EQ(dropped(wire::Drop::ip_bad_source), 3u);
    host.run(segment_frame({.to = IpAddress::v4(127, 0, 0, 1)}));
    host.run(segment_frame({.to = IpAddress::v4(0, 0, 0, 1)}));
    EXPECT_EQ(dropped(wire::Drop::ip_bad_destination), 2u);
    host.run(segment_frame({.to = IpAddress::v4(224, 0, 0, 1)}));
    EXPECT_EQ(dropped(wire::Drop::tcp_to_group), 1u);
    host.run(segment_frame({.from = address_of(1), .to = address_of(1)}));
    EXPECT_EQ(dropped(wire::Drop::tcp_land), 1u);
    EXPECT_EQ(host.worker.tcp_counters().in_segs, 0u);
    expect_silence();
}

TEST_F(Datagrams, FrameOfAVlanIsDropped) {
    Bytes frame = segment_frame({});
    const std::array<uint8_t, 4> tag{0x81, 0x00, 0x00, 0x07};
    frame.insert(frame.begin() + 12, tag.begin(), tag.end());
    host.run(frame);
    EXPECT_EQ(counters().drop_vlan, 1u);
    expect_silence();
}

struct Malformed {
    const char* name;
    wire::Drop reason;
    bool is_tcp_error;
    std::function<void(Bytes&)> breaks;
};

class MalformedFrames : public ::testing::TestWithParam<Malformed> {};

TEST_P(MalformedFrames, IsCountedUnderItsReasonAndCreatesNoState) {
    Host host{config_of(1)};
    Recorder service;
    ASSERT_TRUE(host.worker.listen({{}, 80}, service).has_value());
    Bytes frame = segment_frame({});
    GetParam().breaks(frame);
    host.run(frame);
    EXPECT_EQ(host.worker.drop_counters().of(GetParam().reason), 1u);
    EXPECT_EQ(host.worker.drop_counters().total(), 1u);
    EXPECT_EQ(host.worker.tcp_counters().in_errs, GetParam().is_tcp_error ? 1u : 0u);
    EXPECT_TRUE(host.take_sent().empty());
    EXPECT_EQ(host.worker.gauges().connections, 0u);
}

INSTANTIATE_TEST_SUITE_P(
    Reasons, MalformedFrames,
    ::testing::Values(Malformed{"EndsWithinEthernet", wire::Drop::frame_too_short, false,
                                [](Bytes& f) { f.resize(13); }},
                      Malformed{"UnknownEthertype", wire::Drop::unknown_ethertype, false,
                                [](Bytes& f) { f[12] = 0x12; }},
                      Malformed{"EndsWithinIp", wire::Drop::ip_too_short, false,
                                [](Bytes& f) { f.resize(30); }},
                      Malformed{"IpChecksum", wire::Drop::ip_bad_checksum, false,
                                [](Bytes& f) { f[14 + 8] ^= 1; }},
                      Malformed{"IpLengthBeyondTheFrame", wire::Drop::ip_bad_total_length, false,
                                [](Bytes& f) { f[14 + 2] = 0x40; }},
                      Malformed{"TcpChecksum", wire::Drop::tcp_bad_checksum, true,
                                [](Bytes& f) { f[14 + 20 + 4] ^= 1; }}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace synfin::stack::test
