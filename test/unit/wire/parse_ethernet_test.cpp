#include <gtest/gtest.h>

#include <synfin/wire/arp.hpp>
#include <synfin/wire/ethernet.hpp>

#include "frames.hpp"

namespace synfin::wire {
namespace {

using namespace test;

Bytes with_tag(const Bytes& frame, uint16_t tag) {
    Bytes tagged(frame.begin(), frame.begin() + 12);
    tagged = tagged + Bytes{0x81, 0x00, static_cast<uint8_t>(tag >> 8), static_cast<uint8_t>(tag)};
    tagged.insert(tagged.end(), frame.begin() + 12, frame.end());
    return tagged;
}

Bytes arp_frame() {
    return ethernet(0x0806) + Bytes{0, 1, 8, 0, 6, 4, 0, 1} + peer_mac + Bytes{198, 18, 0, 2} +
           Bytes{0, 0, 0, 0, 0, 0} + Bytes{198, 18, 0, 1};
}

TEST(ParseEthernet, FrameShorterThanItsHeaderIsDropped) {
    const Bytes frame = ipv4_tcp();
    for (long length = 0; length < 14; ++length) {
        EXPECT_EQ(drop_of(Bytes(frame.begin(), frame.begin() + length)), Drop::frame_too_short);
    }
}

TEST(ParseEthernet, FrameThatEndsWithinItsTagIsDropped) {
    const Bytes frame = with_tag(ipv4_tcp(), 5);
    for (long length = 14; length < 18; ++length) {
        EXPECT_EQ(drop_of(Bytes(frame.begin(), frame.begin() + length)), Drop::frame_too_short);
    }
}

TEST(ParseEthernet, TagIsReadAndThePacketBehindIt) {
    const Parsed parsed{with_tag(ipv4_tcp(), 0xa123)};
    ASSERT_EQ(parsed.returned, PacketKind::tcp);
    EXPECT_TRUE(parsed.packet.has_vlan_tag);
    EXPECT_EQ(parsed.packet.vlan_tag, 0xa123);
    EXPECT_EQ(parsed.packet.destination_port, 80);
    EXPECT_FALSE(Parsed{ipv4_tcp()}.packet.has_vlan_tag);
}

TEST(ParseEthernet, SecondTagIsNotLookedBehind) {
    EXPECT_EQ(drop_of(with_tag(with_tag(ipv4_tcp(), 1), 2)), Drop::unknown_ethertype);
}

TEST(ParseEthernet, UnknownEtherTypeAndLengthFieldAreDropped) {
    for (const uint16_t type : std::vector<uint16_t>{0x88cc, 0x88a8, 0x002e, 0x0801}) {
        EXPECT_EQ(drop_of(ethernet(type) + Bytes(46)), Drop::unknown_ethertype);
    }
}

TEST(ParseEthernet, GroupAddressAsSourceIsDropped) {
    Bytes frame = ipv4_tcp();
    frame[6] |= 1;
    EXPECT_EQ(drop_of(frame), Drop::ethernet_bad_source);
}

TEST(ParseEthernet, AddressesAreThoseOfTheFrame) {
    const Parsed parsed{ipv4_tcp()};
    EXPECT_EQ(to_string(parsed.packet.source_mac()), "02:00:00:00:00:02");
    EXPECT_EQ(to_string(parsed.packet.destination_mac()), "02:00:00:00:00:01");
    EXPECT_FALSE(parsed.packet.link_group);
}

TEST(ParseArp, RequestIsRead) {
    const Parsed parsed{arp_frame() + Bytes(18)};  // padded to Ethernet's minimum
    ASSERT_EQ(parsed.returned, PacketKind::arp);
    EXPECT_EQ(parsed.packet.network.size(), 28u);
    const auto arp = ArpView::checked(parsed.packet.network);
    ASSERT_TRUE(arp);
    EXPECT_EQ(arp->operation(), ArpOperation::request);
    EXPECT_EQ(to_string(arp->sender_mac()), "02:00:00:00:00:02");
    EXPECT_EQ(arp->sender(), IpAddress::v4(198, 18, 0, 2));
    EXPECT_EQ(arp->target_mac(), MacAddress{});
    EXPECT_EQ(arp->target(), IpAddress::v4(198, 18, 0, 1));
    EXPECT_FALSE(arp->is_probe());
}

TEST(ParseArp, PacketShorterThan28BytesIsDropped) {
    const Bytes frame = arp_frame();
    for (long length = 14; length < 42; ++length) {
        EXPECT_EQ(drop_of(Bytes(frame.begin(), frame.begin() + length)), Drop::arp_too_short);
    }
}

TEST(ParseArp, OtherHardwareProtocolLengthsAndOperationsAreDropped) {
    for (const size_t at : {14u, 15u, 16u, 17u, 18u, 19u, 20u}) {
        Bytes frame = arp_frame();
        frame[at] ^= 0x40;
        EXPECT_EQ(drop_of(frame), Drop::arp_bad_format) << at;
    }
    for (const uint8_t operation : Bytes{0, 3, 255}) {
        Bytes frame = arp_frame();
        frame[21] = operation;
        EXPECT_EQ(drop_of(frame), Drop::arp_bad_format) << int{operation};
    }
}

TEST(ParseArp, SenderThatCannotExistIsDropped) {
    Bytes group = arp_frame();
    group[22] |= 1;
    EXPECT_EQ(drop_of(group), Drop::arp_bad_sender);
    Bytes zero = arp_frame();
    std::fill(zero.begin() + 22, zero.begin() + 28, uint8_t{0});
    EXPECT_EQ(drop_of(zero), Drop::arp_bad_sender);
    for (const uint8_t top : Bytes{127, 224, 255}) {
        Bytes frame = arp_frame();
        frame[28] = top;
        EXPECT_EQ(drop_of(frame), Drop::arp_bad_sender) << int{top};
    }
}

TEST(ParseArp, ProbeIsLetThroughAndSaysThatItIsOne) {
    Bytes frame = arp_frame();
    std::fill(frame.begin() + 28, frame.begin() + 32, uint8_t{0});
    const Parsed parsed{frame};
    ASSERT_EQ(parsed.returned, PacketKind::arp);
    EXPECT_TRUE(ArpView::checked(parsed.packet.network)->is_probe());
}

TEST(WriteArp, WhatIsWrittenIsRead) {
    const Arp arp{ArpOperation::reply, *parse_mac_address("02:01:02:03:04:05"),
                  IpAddress::v4(10, 0, 0, 1), *parse_mac_address("02:06:07:08:09:0a"),
                  IpAddress::v4(10, 0, 0, 2)};
    Bytes out(28);
    ASSERT_EQ(write_arp(out.data(), arp), 28u);
    const auto view = ArpView::checked(out);
    ASSERT_TRUE(view);
    EXPECT_EQ(view->operation(), arp.operation);
    EXPECT_EQ(view->sender_mac(), arp.sender_mac);
    EXPECT_EQ(view->sender(), arp.sender);
    EXPECT_EQ(view->target_mac(), arp.target_mac);
    EXPECT_EQ(view->target(), arp.target);
}

TEST(WriteEthernet, HeaderIsThatOfTheFramesMadeByHand) {
    const L2Header plain = make_l2_header(*parse_mac_address("02:00:00:00:00:01"),
                                          *parse_mac_address("02:00:00:00:00:02"), 0x0800);
    Bytes out(18);
    ASSERT_EQ(write_l2_header(out.data(), plain), 14u);
    EXPECT_EQ(Bytes(out.begin(), out.begin() + 14), ethernet(0x0800));

    const L2Header tagged = make_l2_header(*parse_mac_address("02:00:00:00:00:01"),
                                           *parse_mac_address("02:00:00:00:00:02"), 0x86dd, 0x2064);
    ASSERT_EQ(write_l2_header(out.data(), tagged), 18u);
    EXPECT_EQ(out, with_tag(ethernet(0x86dd), 0x2064));
}

TEST(Drop, EachReasonHasANameOfItsOwnAndADescription) {
    std::vector<std::string> names;
    for (size_t i = 0; i < drop_count; ++i) {
        const Drop reason = static_cast<Drop>(i);
        EXPECT_GT(std::string{description(reason)}.size(), 5u);
        names.emplace_back(name(reason));
    }
    std::sort(names.begin(), names.end());
    EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

TEST(DropCounters, CountEachReasonSeparately) {
    DropCounters counters;
    counters.add(Drop::tcp_land);
    counters.add(Drop::tcp_land);
    counters.add(Drop::ip_fragment);
    EXPECT_EQ(counters.of(Drop::tcp_land), 2u);
    EXPECT_EQ(counters.of(Drop::ip_fragment), 1u);
    EXPECT_EQ(counters.total(), 3u);
    size_t visited = 0;
    counters.for_each([&](const char*, const char*, uint64_t) { ++visited; });
    EXPECT_EQ(visited, drop_count - 1);
}

}  // namespace
}  // namespace synfin::wire
