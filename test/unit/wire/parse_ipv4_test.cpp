#include <gtest/gtest.h>

#include <synfin/wire/fragment.hpp>

#include "frames.hpp"

namespace synfin::wire {
namespace {

using namespace test;

/// A frame with TCP in which one byte of the IPv4 header is another, checksums right.
Bytes with_byte(size_t offset, uint8_t value) {
    Bytes frame = ipv4_tcp();
    frame[ip_at + offset] = value;
    return sealed_ipv4(frame);
}

Bytes with_source(uint32_t address) {
    Bytes frame = ipv4_tcp();
    store_be32(&frame[ip_at + 12], address);
    return sealed_ipv4(frame);
}

Bytes with_destination(uint32_t address, Bytes frame = ipv4_tcp()) {
    store_be32(&frame[ip_at + 16], address);
    return sealed_ipv4(frame);
}

TEST(ParseIpv4, HeaderFieldsAreRead) {
    const Parsed parsed{ipv4_frame(17, Bytes(11, 0x55))};
    ASSERT_EQ(parsed.returned, PacketKind::other);
    EXPECT_EQ(parsed.packet.kind, PacketKind::other);
    EXPECT_EQ(parsed.packet.protocol, 17);
    EXPECT_EQ(parsed.packet.hop_limit, 64);
    EXPECT_EQ(parsed.packet.traffic_class, 0x10);
    EXPECT_EQ(parsed.packet.source, IpAddress::v4(198, 18, 0, 2));
    EXPECT_EQ(parsed.packet.destination, IpAddress::v4(198, 18, 0, 1));
    EXPECT_EQ(parsed.packet.network.size(), 31u);
    EXPECT_EQ(parsed.packet.payload.size(), 11u);
}

TEST(ParseIpv4, FrameThatEndsWithinTheHeaderIsDropped) {
    const Bytes frame = ipv4_tcp();
    for (long length = 14; length < 34; ++length) {
        EXPECT_EQ(drop_of(Bytes(frame.begin(), frame.begin() + length)), Drop::ip_too_short);
    }
}

TEST(ParseIpv4, OtherVersionIsDropped) {
    for (const uint8_t version : Bytes{0, 5, 6, 15}) {
        EXPECT_EQ(drop_of(with_byte(0, static_cast<uint8_t>(version << 4 | 5))),
                  Drop::ip_bad_version);
    }
}

TEST(ParseIpv4, HeaderLengthBelow20IsDropped) {
    for (uint8_t words = 0; words < 5; ++words) {
        Bytes frame = ipv4_tcp();
        frame[ip_at] = static_cast<uint8_t>(0x40 | words);
        EXPECT_EQ(drop_of(frame), Drop::ip_bad_header_length) << int{words};
    }
}

TEST(ParseIpv4, HeaderLongerThanItsDatagramIsDropped) {
    Bytes frame = ipv4_tcp();
    frame[ip_at] = 0x4f;  // 60 bytes of header in 40 bytes
    EXPECT_EQ(drop_of(frame + Bytes(40)), Drop::ip_bad_header_length);
}

TEST(ParseIpv4, TotalLengthBeyondTheFrameIsDropped) {
    Bytes frame = ipv4_tcp();
    put16(frame, ip_at + 2, 41);
    EXPECT_EQ(drop_of(sealed_ipv4(frame)), Drop::ip_bad_total_length);
    put16(frame, ip_at + 2, 65535);
    EXPECT_EQ(drop_of(sealed_ipv4(frame)), Drop::ip_bad_total_length);
}

TEST(ParseIpv4, TotalLengthBelowTheHeaderIsDropped) {
    for (const uint8_t length : Bytes{0, 1, 19}) {
        EXPECT_EQ(drop_of(with_byte(3, length)), Drop::ip_bad_total_length) << int{length};
    }
}

TEST(ParseIpv4, PaddingBehindTheDatagramIsNotPayload) {
    const Parsed parsed{ipv4_tcp({}, {'h', 'i'}) + Bytes(20, 0xff)};
    ASSERT_EQ(parsed.returned, PacketKind::tcp);
    EXPECT_EQ(parsed.packet.payload.size(), 2u);
    EXPECT_EQ(parsed.packet.network.size(), 42u);
}

TEST(ParseIpv4, WrongHeaderChecksumIsDroppedForEachBit) {
    for (size_t bit = 0; bit < 16; ++bit) {
        Bytes frame = ipv4_tcp();
        frame[ip_at + 10 + bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
        EXPECT_EQ(drop_of(frame), Drop::ip_bad_checksum);
    }
}

TEST(ParseIpv4, ChecksumThatTheDeviceHasVerifiedIsNotLookedAt) {
    Bytes frame = ipv4_tcp();
    frame[ip_at + 10] ^= 1;
    EXPECT_EQ(drop_of(frame, {.ip = true}), Drop::none);
    EXPECT_EQ(drop_of(frame, {.tcp = true}), Drop::ip_bad_checksum);
}

TEST(ParseIpv4, Must50_OptionsAreSkipped) {
    const Parsed parsed{ipv4_frame(6, tcp_segment({}, {1, 2, 3}), Bytes(40, 1))};
    ASSERT_EQ(parsed.returned, PacketKind::tcp);
    EXPECT_EQ(parsed.packet.source_port, 40000);
    EXPECT_EQ(parsed.packet.payload.size(), 3u);
}

TEST(ParseIpv4, WrongChecksumOverOptionsIsDropped) {
    Bytes frame = ipv4_frame(6, tcp_segment(), Bytes(8, 1));
    frame[ip_at + 27] = 0;
    EXPECT_EQ(drop_of(frame), Drop::ip_bad_checksum);
}

TEST(ParseIpv4, SourceThatNoHostMayHaveIsDropped) {
    for (const uint32_t address : {0u, 0x00ffffffu, 0x7f000001u, 0x7fffffffu, 0xe0000001u,
                                   0xefffffffu, 0xf0000000u, 0xffffffffu}) {
        EXPECT_EQ(drop_of(with_source(address)), Drop::ip_bad_source) << std::hex << address;
    }
    for (const uint32_t address : {0x01000000u, 0x7effffffu, 0x80000000u, 0xdfffffffu}) {
        EXPECT_EQ(drop_of(with_source(address)), Drop::none) << std::hex << address;
    }
}

TEST(ParseIpv4, DestinationThatMustNotBeOnAWireIsDropped) {
    for (const uint32_t address : {0u, 0x00000001u, 0x7f000001u}) {
        EXPECT_EQ(drop_of(with_destination(address)), Drop::ip_bad_destination);
    }
}

TEST(ParseIpv4, TcpToAGroupIsDropped) {
    for (const uint32_t address : {0xe0000001u, 0xf0000001u, 0xffffffffu}) {
        EXPECT_EQ(drop_of(with_destination(address)), Drop::tcp_to_group) << std::hex << address;
    }
}

TEST(ParseIpv4, OtherProtocolsMayGoToAGroup) {
    EXPECT_EQ(drop_of(with_destination(0xe00000fb, ipv4_frame(17, Bytes(8)))), Drop::none);
}

TEST(ParseIpv4, TcpInABroadcastFrameIsDropped) {
    Bytes frame = ipv4_tcp();
    std::fill(frame.begin(), frame.begin() + 6, uint8_t{0xff});
    EXPECT_EQ(drop_of(frame), Drop::tcp_to_group);
}

/// A frame that says of itself that it is a fragment.
Bytes ipv4_fragment(uint16_t flags_and_offset, size_t data_bytes, uint8_t protocol = 6) {
    Bytes frame = ipv4_frame(protocol, Bytes(data_bytes));
    put16(frame, ip_at + 6, flags_and_offset);
    return sealed_ipv4(frame);
}

TEST(ParseIpv4, FragmentOfASegmentIsLeftToReassembly) {
    Bytes frame = ipv4_fragment(0x2000 | 5, 64);
    put16(frame, ip_at + 4, 0xabcd);
    const Parsed parsed{sealed_ipv4(frame)};
    ASSERT_EQ(parsed.returned, PacketKind::fragment);
    const Fragment fragment = read_fragment(parsed.packet.network);
    EXPECT_EQ(fragment.identification, 0xabcdu);
    EXPECT_EQ(fragment.offset, 40u);
    EXPECT_TRUE(fragment.more);
    EXPECT_EQ(fragment.protocol, 6);
    EXPECT_EQ(fragment.header.size(), 20u);
    EXPECT_EQ(fragment.data.size(), 64u);
    EXPECT_EQ(fragment.source, parsed.packet.source);
}

TEST(ParseIpv4, FragmentThatNoDatagramCanBeMadeOfIsDropped) {
    EXPECT_EQ(drop_of(ipv4_fragment(0x2000, 27)), Drop::ip_bad_fragment);  // part of a word
    EXPECT_EQ(drop_of(ipv4_fragment(0x0005, 27)), Drop::none);             // the last may be so
    EXPECT_EQ(drop_of(ipv4_fragment(0x0005, 0)), Drop::ip_bad_fragment);
    EXPECT_EQ(drop_of(ipv4_fragment(0x1fff, 8)), Drop::ip_bad_fragment);  // the ping of death
    EXPECT_EQ(drop_of(ipv4_fragment(0x1ffc, 11)), Drop::none);            // to 65515, and a header
    EXPECT_EQ(drop_of(ipv4_fragment(0x1ffc, 12)), Drop::ip_bad_fragment);
}

TEST(ParseIpv4, Rfc1858_FragmentThatDividesTheTcpHeaderIsDropped) {
    EXPECT_EQ(drop_of(ipv4_fragment(0x2000, 16)), Drop::ip_tiny_fragment);
    EXPECT_EQ(drop_of(ipv4_fragment(0x2000, 24)), Drop::none);
    EXPECT_EQ(drop_of(ipv4_fragment(0x0001, 40)), Drop::ip_tiny_fragment);
    EXPECT_EQ(drop_of(ipv4_fragment(0x2002, 40)), Drop::ip_tiny_fragment);
    EXPECT_EQ(drop_of(ipv4_fragment(0x0003, 40)), Drop::none);
}

TEST(ParseIpv4, FragmentOfAnotherProtocolIsDropped) {
    EXPECT_EQ(drop_of(ipv4_fragment(0x2000, 64, 17)), Drop::ip_fragment);
    EXPECT_EQ(drop_of(ipv4_fragment(0x2000, 64, 58)), Drop::ip_fragment);
    EXPECT_EQ(drop_of(ipv4_fragment(0x2000, 64, 1)), Drop::none);
}

TEST(ParseIpv4, DontFragmentAndTheReservedFlagAreNoFragments) {
    EXPECT_EQ(drop_of(with_byte(6, 0x00)), Drop::none);
    EXPECT_EQ(drop_of(with_byte(6, 0x40)), Drop::none);
    EXPECT_EQ(drop_of(with_byte(6, 0x80)), Drop::none);
}

TEST(ParseIpv4, LowTimeToLiveIsNoReasonToDrop) {
    EXPECT_EQ(drop_of(with_byte(8, 1)), Drop::none);  // RFC 1122 section 3.2.1.7
}

TEST(ParseIpv4, IpInIpIsNotLookedInto) {
    const Bytes inner = ipv4_tcp();
    const Parsed parsed{ipv4_frame(4, Bytes(inner.begin() + 14, inner.end()))};
    EXPECT_EQ(parsed.returned, PacketKind::other);
    EXPECT_EQ(parsed.packet.protocol, 4);
}

TEST(ParseIpv4, Ipv6UnderTheEtherTypeOfIpv4IsDropped) {
    Bytes frame = ipv6_tcp();
    put16(frame, 12, 0x0800);
    EXPECT_EQ(drop_of(frame), Drop::ip_bad_version);
}

}  // namespace
}  // namespace synfin::wire
