#include <gtest/gtest.h>

#include <synfin/wire/fragment.hpp>
#include <synfin/wire/ipv6.hpp>

#include "frames.hpp"

namespace synfin::wire {
namespace {

using namespace test;

constexpr uint8_t hop_by_hop = 0;
constexpr uint8_t routing = 43;
constexpr uint8_t fragment = 44;
constexpr uint8_t destination_options = 60;

/// An extension header of 8 bytes with PadN in it.
Bytes padded_options(uint8_t next) { return {next, 0, 1, 4, 0, 0, 0, 0}; }

Bytes with_address(size_t offset, std::string_view text) {
    Bytes frame = ipv6_tcp();
    store_ipv6(&frame[ip_at + offset], *parse_ip_address(text));
    put16(frame, ip_at + 40 + 16, 0);
    put16(frame, ip_at + 40 + 16, transport_checksum(frame, ip_at, 40, frame.size()));
    return frame;
}
Bytes with_source(std::string_view text) { return with_address(8, text); }
Bytes with_destination(std::string_view text) { return with_address(24, text); }

TEST(ParseIpv6, SegmentIsRead) {
    const Parsed parsed{ipv6_tcp({}, {'a', 'b', 'c'})};
    ASSERT_EQ(parsed.returned, PacketKind::tcp);
    EXPECT_EQ(parsed.packet.source, *parse_ip_address("2001:db8::2"));
    EXPECT_EQ(parsed.packet.destination, *parse_ip_address("2001:db8::1"));
    EXPECT_EQ(parsed.packet.hop_limit, 64);
    EXPECT_EQ(parsed.packet.traffic_class, 0x12);
    EXPECT_EQ(parsed.packet.source_port, 40000);
    EXPECT_EQ(parsed.packet.payload.size(), 3u);
}

TEST(ParseIpv6, FrameThatEndsWithinTheHeaderIsDropped) {
    const Bytes frame = ipv6_tcp();
    for (long length = 14; length < 54; ++length) {
        EXPECT_EQ(drop_of(Bytes(frame.begin(), frame.begin() + length)), Drop::ip_too_short);
    }
}

TEST(ParseIpv6, OtherVersionIsDropped) {
    Bytes frame = ipv6_tcp();
    frame[ip_at] = 0x45;
    EXPECT_EQ(drop_of(frame), Drop::ip_bad_version);
}

TEST(ParseIpv6, PayloadLengthBeyondTheFrameIsDropped) {
    Bytes frame = ipv6_tcp();
    put16(frame, ip_at + 4, 21);
    EXPECT_EQ(drop_of(frame), Drop::ip_bad_total_length);
}

TEST(ParseIpv6, PayloadLengthBelowTcpIsDropped) {
    Bytes frame = ipv6_tcp();
    put16(frame, ip_at + 4, 19);
    EXPECT_EQ(drop_of(frame), Drop::tcp_too_short);
    put16(frame, ip_at + 4, 0);
    EXPECT_EQ(drop_of(frame), Drop::tcp_too_short);
}

TEST(ParseIpv6, PaddingBehindThePacketIsNotPayload) {
    EXPECT_EQ(Parsed{ipv6_tcp({}, {1, 2}) + Bytes(9, 0xff)}.packet.payload.size(), 2u);
}

TEST(ParseIpv6, Must3_WrongTcpChecksumIsDroppedUnlessTheDeviceVerifiedIt) {
    Bytes frame = ipv6_tcp();
    frame[ip_at + 23] ^= 1;  // the source address, which only the pseudo header protects
    EXPECT_EQ(drop_of(frame), Drop::tcp_bad_checksum);
    EXPECT_EQ(drop_of(frame, {.tcp = true}), Drop::none);
}

TEST(ParseIpv6, SourceThatNoHostMayHaveIsDropped) {
    for (const char* text : {"::", "::1", "ff02::1", "::ffff:10.0.0.1"}) {
        EXPECT_EQ(drop_of(with_source(text)), Drop::ip_bad_source) << text;
    }
    EXPECT_EQ(drop_of(with_source("fe80::1")), Drop::none);
}

TEST(ParseIpv6, DestinationThatMustNotBeOnAWireIsDropped) {
    for (const char* text : {"::", "::1", "::ffff:10.0.0.1"}) {
        EXPECT_EQ(drop_of(with_destination(text)), Drop::ip_bad_destination) << text;
    }
}

TEST(ParseIpv6, TcpToAGroupIsDropped) {
    EXPECT_EQ(drop_of(with_destination("ff02::1")), Drop::tcp_to_group);
}

TEST(ParseIpv6, TcpFromAnAddressToItselfIsDropped) {
    EXPECT_EQ(drop_of(with_source("2001:db8::1")), Drop::tcp_land);
}

TEST(ParseIpv6, ExtensionHeadersAreSkipped) {
    const Bytes chain = padded_options(destination_options) + padded_options(routing) +
                        Bytes{6, 0, 4, 0, 0, 0, 0, 0};  // routing, no segments left
    const Parsed parsed{ipv6_tcp({}, {7}, chain, hop_by_hop)};
    ASSERT_EQ(parsed.returned, PacketKind::tcp);
    EXPECT_EQ(parsed.packet.protocol, 6);
    EXPECT_EQ(parsed.packet.source_port, 40000);
    EXPECT_EQ(parsed.packet.payload.size(), 1u);
    EXPECT_EQ(parsed.packet.network.size(), 40u + 24 + 20 + 1);
}

TEST(ParseIpv6, AsManyExtensionHeadersAsTheLimitAreSkippedAndNoMore) {
    Bytes chain;
    for (unsigned i = 1; i < ipv6_extensions_max; ++i) chain = chain + padded_options(60);
    EXPECT_EQ(drop_of(ipv6_tcp({}, {}, chain + padded_options(6), 60)), Drop::none);
    chain = chain + padded_options(60);
    EXPECT_EQ(drop_of(ipv6_tcp({}, {}, chain + padded_options(6), 60)), Drop::ip_bad_extension);
}

TEST(ParseIpv6, ExtensionHeaderBeyondThePacketIsDropped) {
    for (const uint8_t first : {hop_by_hop, routing, destination_options}) {
        Bytes extension = padded_options(6);
        extension[1] = 200;
        EXPECT_EQ(drop_of(ipv6_tcp({}, {}, extension, first)), Drop::ip_bad_extension);
    }
    for (const uint8_t first : {hop_by_hop, routing, fragment, destination_options}) {
        EXPECT_EQ(drop_of(ipv6_frame(first, Bytes(7))), Drop::ip_bad_extension);
        EXPECT_EQ(drop_of(ipv6_frame(first, {})), Drop::ip_bad_extension);
    }
}

TEST(ParseIpv6, HopByHopOptionsElsewhereThanFirstAreDropped) {
    EXPECT_EQ(drop_of(ipv6_tcp({}, {}, padded_options(hop_by_hop) + padded_options(6), 60)),
              Drop::ip_bad_extension);
}

TEST(ParseIpv6, OptionBeyondItsHeaderIsDropped) {
    EXPECT_EQ(drop_of(ipv6_tcp({}, {}, {6, 0, 1, 5, 0, 0, 0, 0}, 60)), Drop::ip_bad_extension);
    EXPECT_EQ(drop_of(ipv6_tcp({}, {}, {6, 0, 0, 0, 0, 0, 0, 1}, 60)), Drop::ip_bad_extension);
}

TEST(ParseIpv6, UnknownOptionIsSkippedOrDroppedAsItsTypeSays) {
    EXPECT_EQ(drop_of(ipv6_tcp({}, {}, {6, 0, 0x1e, 4, 0, 0, 0, 0}, 60)), Drop::none);
    for (const uint8_t type : Bytes{0x5e, 0x9e, 0xde, 0xc2}) {
        EXPECT_EQ(drop_of(ipv6_tcp({}, {}, {6, 0, type, 4, 0, 0, 0, 0}, 60)),
                  Drop::ip_unknown_option);
    }
}

TEST(ParseIpv6, RoutingHeaderWithSegmentsLeftIsDropped) {
    EXPECT_EQ(drop_of(ipv6_tcp({}, {}, {6, 0, 0, 1, 0, 0, 0, 0}, routing)), Drop::ip_source_routed);
}

TEST(ParseIpv6, FragmentOfASegmentIsLeftToReassembly) {
    const Parsed parsed{ipv6_tcp({}, Bytes(44), {6, 0, 0, 0x29, 0x12, 0x34, 0x56, 0x78}, fragment)};
    ASSERT_EQ(parsed.returned, PacketKind::fragment);
    const Fragment read = read_fragment(parsed.packet.network);
    EXPECT_EQ(read.identification, 0x12345678u);
    EXPECT_EQ(read.offset, 40u);
    EXPECT_TRUE(read.more);
    EXPECT_EQ(read.protocol, 6);
    EXPECT_EQ(read.header.size(), 40u);
    EXPECT_EQ(read.protocol_at, 6u);
    EXPECT_EQ(read.data.size(), 64u);
}

TEST(ParseIpv6, FragmentHeaderIsFoundBehindOthers) {
    Bytes extensions = padded_options(fragment);
    const Bytes more{6, 0, 0, 1, 0, 0, 0, 9};
    extensions.insert(extensions.end(), more.begin(), more.end());
    const Parsed parsed{ipv6_tcp({}, Bytes(44), extensions, destination_options)};
    ASSERT_EQ(parsed.returned, PacketKind::fragment);
    const Fragment read = read_fragment(parsed.packet.network);
    EXPECT_EQ(read.header.size(), 48u);
    EXPECT_EQ(read.protocol_at, 40u);
    EXPECT_EQ(read.offset, 0u);
}

TEST(ParseIpv6, FragmentThatNoPacketCanBeMadeOfIsDropped) {
    EXPECT_EQ(drop_of(ipv6_tcp({}, {}, {6, 0, 0, 1, 0, 0, 0, 9}, fragment)),
              Drop::ip_bad_fragment);  // part of a word
    EXPECT_EQ(drop_of(ipv6_tcp({}, Bytes(44), {6, 0, 0xff, 0xf8, 0, 0, 0, 9}, fragment)),
              Drop::ip_bad_fragment);  // beyond 65535
}

TEST(ParseIpv6, Rfc1858_FragmentThatDividesTheTcpHeaderIsDropped) {
    EXPECT_EQ(drop_of(ipv6_tcp({}, Bytes(44), {6, 0, 0, 8, 0, 0, 0, 9}, fragment)),
              Drop::ip_tiny_fragment);
}

TEST(ParseIpv6, FragmentOfAnotherProtocolIsDropped) {
    EXPECT_EQ(drop_of(ipv6_tcp({}, Bytes(44), {17, 0, 0, 1, 0, 0, 0, 9}, fragment)),
              Drop::ip_fragment);
    EXPECT_EQ(drop_of(ipv6_tcp({}, Bytes(44), {1, 0, 0, 1, 0, 0, 0, 9}, fragment)),
              Drop::ip_fragment);
    EXPECT_EQ(drop_of(ipv6_tcp({}, Bytes(44), {58, 0, 0, 1, 0, 0, 0, 9}, fragment)), Drop::none);
    EXPECT_EQ(drop_of(ipv6_tcp({}, Bytes(44), {60, 0, 0, 1, 0, 0, 0, 9}, fragment)), Drop::none);
}

TEST(ParseIpv6, AtomicFragmentIsAWholePacket) {
    EXPECT_EQ(drop_of(ipv6_tcp({}, {}, {6, 0, 0, 0, 0, 0, 0, 9}, fragment)), Drop::none);
}

TEST(ParseIpv6, NestedFragmentHeadersAreDropped) {
    const Bytes nested{fragment, 0, 0, 0, 0, 0, 0, 9, 6, 0, 0, 0, 0, 0, 0, 9};
    EXPECT_EQ(drop_of(ipv6_tcp({}, {}, nested, fragment)), Drop::ip_bad_extension);
}

TEST(ParseIpv6, PacketThatSaysNothingFollowsIsDropped) {
    EXPECT_EQ(drop_of(ipv6_frame(59, Bytes(8))), Drop::ip_no_payload);
    EXPECT_EQ(drop_of(ipv6_frame(60, padded_options(59))), Drop::ip_no_payload);
}

TEST(ParseIpv6, OtherProtocolIsNamed) {
    const Parsed parsed{ipv6_frame(60, padded_options(17) + Bytes(8))};
    EXPECT_EQ(parsed.returned, PacketKind::other);
    EXPECT_EQ(parsed.packet.protocol, 17);
    EXPECT_EQ(parsed.packet.payload.size(), 8u);
}

}  // namespace
}  // namespace synfin::wire
