#include <gtest/gtest.h>

#include "frames.hpp"

namespace synfin::wire {
namespace {

using namespace test;

constexpr size_t tcp_at = ip_at + 20;

TEST(ParseTcp, HeaderFieldsAreRead) {
    const Parsed parsed{ipv4_tcp({}, {'h', 'e', 'l', 'l', 'o'})};
    ASSERT_EQ(parsed.returned, PacketKind::tcp);
    const Packet& p = parsed.packet;
    EXPECT_EQ(p.source_port, 40000);
    EXPECT_EQ(p.destination_port, 80);
    EXPECT_EQ(p.seq, 0x11223344u);
    EXPECT_EQ(p.ack, 0x55667788u);
    EXPECT_EQ(p.window, 0x1234);
    EXPECT_EQ(p.urgent, 0xabcd);
    EXPECT_EQ(p.flags, flag::psh | flag::ack);
    EXPECT_EQ(Bytes(p.payload.begin(), p.payload.end()), (Bytes{'h', 'e', 'l', 'l', 'o'}));
    EXPECT_EQ(p.drop, Drop::none);
}

TEST(ParseTcp, EachFlagIsReportedAsItStands) {
    for (unsigned bits = 0; bits < 256; ++bits) {
        Bytes frame = ipv4_tcp();
        frame[tcp_at + 13] = static_cast<uint8_t>(bits);
        EXPECT_EQ(Parsed{sealed_ipv4(frame)}.packet.flags.bits(), bits);
    }
}

TEST(ParseTcp, ReservedBitsAreIgnored) {
    Bytes frame = ipv4_tcp();
    frame[tcp_at + 12] |= 0x0f;
    EXPECT_EQ(Parsed{sealed_ipv4(frame)}.packet.seq, 0x11223344u);
}

TEST(ParseTcp, SegmentShorterThan20BytesIsDropped) {
    for (size_t length = 0; length < 20; ++length) {
        const Bytes segment = tcp_segment();
        const Bytes cut(segment.begin(), segment.begin() + static_cast<long>(length));
        EXPECT_EQ(drop_of(ipv4_frame(6, cut) + Bytes(20)), Drop::tcp_too_short) << length;
    }
}

TEST(ParseTcp, DataOffsetBelowFiveIsDropped) {
    for (unsigned words = 0; words < 5; ++words) {
        Bytes frame = ipv4_tcp();
        frame[tcp_at + 12] = static_cast<uint8_t>(words << 4);
        EXPECT_EQ(drop_of(sealed_ipv4(frame)), Drop::tcp_bad_offset);
    }
}

TEST(ParseTcp, DataOffsetBeyondTheSegmentIsDroppedAlsoWhenPaddingFollows) {
    Bytes frame = ipv4_tcp({}, {1, 2, 3});
    frame[tcp_at + 12] = 6 << 4;
    EXPECT_EQ(drop_of(sealed_ipv4(frame)), Drop::tcp_bad_offset);
    EXPECT_EQ(drop_of(sealed_ipv4(frame) + Bytes(20)), Drop::tcp_bad_offset);
}

TEST(ParseTcp, FlippingAnyBitOfTheSegmentOrItsAddressesIsNoticed) {
    const Bytes good = ipv4_tcp({1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}, {1, 2, 3, 4, 5});
    ASSERT_EQ(drop_of(good), Drop::none);
    for (size_t at = tcp_at; at < good.size(); ++at) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            Bytes frame = good;
            frame[at] ^= static_cast<uint8_t>(1u << bit);
            const bool offset_changed = at == tcp_at + 12 && bit >= 4;
            const Drop drop = drop_of(frame);
            EXPECT_TRUE(drop == Drop::tcp_bad_checksum ||
                        (offset_changed && drop == Drop::tcp_bad_offset))
                << at << ": " << name(drop);
        }
    }
}

TEST(ParseTcp, ChecksumThatTheDeviceHasVerifiedIsNotLookedAt) {
    Bytes frame = ipv4_tcp();
    frame[tcp_at + 16] ^= 1;
    EXPECT_EQ(drop_of(frame), Drop::tcp_bad_checksum);
    EXPECT_EQ(drop_of(frame, {.ip = true}), Drop::tcp_bad_checksum);
    EXPECT_EQ(drop_of(frame, {.tcp = true}), Drop::none);
}

TEST(ParseTcp, FromAnAddressToItselfIsDropped) {
    Bytes frame = ipv4_tcp();
    std::copy_n(frame.begin() + ip_at + 16, 4, frame.begin() + ip_at + 12);
    EXPECT_EQ(drop_of(sealed_ipv4(frame)), Drop::tcp_land);
}

TEST(ParseTcp, IllegalOptionIsDropped) {
    EXPECT_EQ(drop_of(ipv4_tcp({2, 3, 5, 0})), Drop::tcp_bad_options);
}

TEST(ParseTcp, OptionsOfAnEarlierPacketAreForgotten) {
    Packet packet;
    const Bytes with_options = ipv4_tcp({2, 4, 5, 0xb4, 4, 2, 1, 1, 3, 3, 7, 0});
    ASSERT_EQ(parse_frame(with_options, {}, packet), PacketKind::tcp);
    EXPECT_TRUE(packet.options.has_mss && packet.options.has_window_scale);
    const Bytes without = ipv4_tcp();
    ASSERT_EQ(parse_frame(without, {}, packet), PacketKind::tcp);
    EXPECT_FALSE(packet.options.has_mss || packet.options.has_window_scale ||
                 packet.options.has_timestamps || packet.options.sack_permitted);
    EXPECT_EQ(packet.options.sack_count, 0);
}

TEST(ParseTcp, ReasonOfAnEarlierDropIsForgotten) {
    Packet packet;
    ASSERT_EQ(parse_frame(Bytes(3), {}, packet), PacketKind::drop);
    EXPECT_EQ(packet.drop, Drop::frame_too_short);
    const Bytes good = ipv4_tcp();
    ASSERT_EQ(parse_frame(good, {}, packet), PacketKind::tcp);
    EXPECT_EQ(packet.drop, Drop::none);
}

}  // namespace
}  // namespace synfin::wire
