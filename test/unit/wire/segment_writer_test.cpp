#include <array>
#include <random>

#include <gtest/gtest.h>

#include <synfin/wire/checksum.hpp>
#include <synfin/wire/segment_writer.hpp>
#include <synfin/wire/tcp_options.hpp>

#include "frames.hpp"

namespace synfin::wire {
namespace {

using namespace test;

const MacAddress ours{{0x02, 0, 0, 0, 0, 1}};
const MacAddress theirs{{0x02, 0, 0, 0, 0, 2}};

/// What a test varies, and the frame that comes of it.
struct Case {
    bool v6 = false;
    std::optional<uint16_t> tag = std::nullopt;
    TcpOptions options{};
    std::vector<Bytes> payload{};
    DeviceChecksums device{};

    L2Header l2() const {
        return make_l2_header(theirs, ours, v6 ? ethertype::ipv6 : ethertype::ipv4, tag);
    }
    size_t ip_offset() const { return tag ? 18 : 14; }
    size_t tcp_offset() const { return ip_offset() + (v6 ? 40u : 20u); }

    SegmentFrame fields() const {
        SegmentFrame segment;
        segment.source = v6 ? *parse_ip_address("2001:db8::1") : IpAddress::v4(198, 18, 0, 1);
        segment.destination = v6 ? *parse_ip_address("2001:db8::2") : IpAddress::v4(198, 19, 1, 2);
        segment.source_port = 50000;
        segment.destination_port = 443;
        segment.hop_limit = 61;
        segment.traffic_class = 0xb8;
        segment.flags = flag::ack | flag::psh | flag::urg;
        segment.window = 0xfedc;
        segment.urgent = 0x0102;
        segment.seq = 0xfffffff0;
        segment.ack = 0x80000001;
        return segment;
    }

    Bytes write() const {
        const L2Header header = l2();
        std::vector<std::span<const uint8_t>> pieces(payload.begin(), payload.end());
        SegmentFrame segment = fields();
        segment.l2 = &header;
        segment.options = &options;
        segment.pieces = pieces;
        size_t room = segment_headers_bytes_max;
        for (const Bytes& piece : payload) room += piece.size();
        Bytes buffer(room, 0xee);
        const size_t length = write_segment(buffer, segment, device);
        EXPECT_LE(length, buffer.size());
        buffer.resize(length);
        return buffer;
    }
};

Bytes pattern(size_t length) {
    Bytes bytes(length);
    for (size_t i = 0; i < length; ++i) bytes[i] = static_cast<uint8_t>(i * 7 + 13);
    return bytes;
}

void expect_written_is_read(const Case& c) {
    const Parsed parsed{c.write()};
    ASSERT_EQ(parsed.returned, PacketKind::tcp) << name(parsed.packet.drop);
    const Packet& read = parsed.packet;
    const SegmentFrame wrote = c.fields();
    EXPECT_EQ(read.source_mac(), ours);
    EXPECT_EQ(read.destination_mac(), theirs);
    EXPECT_EQ(read.has_vlan_tag, c.tag.has_value());
    EXPECT_EQ(read.vlan_tag, c.tag.value_or(0));
    EXPECT_EQ(read.source, wrote.source);
    EXPECT_EQ(read.destination, wrote.destination);
    EXPECT_EQ(read.source_port, wrote.source_port);
    EXPECT_EQ(read.destination_port, wrote.destination_port);
    EXPECT_EQ(read.hop_limit, wrote.hop_limit);
    EXPECT_EQ(read.traffic_class, wrote.traffic_class);
    EXPECT_EQ(read.flags, wrote.flags);
    EXPECT_EQ(read.window, wrote.window);
    EXPECT_EQ(read.urgent, wrote.urgent);
    EXPECT_EQ(read.seq, wrote.seq);
    EXPECT_EQ(read.ack, wrote.ack);
    EXPECT_EQ(read.options.has_mss, c.options.has_mss);
    EXPECT_EQ(read.options.mss, c.options.mss);
    EXPECT_EQ(read.options.has_window_scale, c.options.has_window_scale);
    EXPECT_EQ(read.options.window_scale, c.options.window_scale);
    EXPECT_EQ(read.options.has_timestamps, c.options.has_timestamps);
    EXPECT_EQ(read.options.ts_value, c.options.ts_value);
    EXPECT_EQ(read.options.ts_echo, c.options.ts_echo);
    EXPECT_EQ(read.options.sack_permitted, c.options.sack_permitted);
    ASSERT_EQ(read.options.sack_count, sack_blocks_that_fit(c.options));
    for (size_t i = 0; i < read.options.sack_count; ++i) {
        EXPECT_EQ(read.options.sack[i], c.options.sack[i]);
    }
    Bytes payload;
    for (const Bytes& piece : c.payload) payload = payload + piece;
    EXPECT_EQ(Bytes(read.payload.begin(), read.payload.end()), payload);
}

TEST(SegmentWriter, Must2_WhatIsWrittenIsReadForAllFamiliesTagsAndOptions) {
    for (const bool v6 : {false, true}) {
        for (const auto tag : {std::optional<uint16_t>{}, std::optional<uint16_t>{0x6042}}) {
            for (unsigned bits = 0; bits < 16; ++bits) {
                for (uint8_t blocks = 0; blocks <= 4; ++blocks) {
                    Case c{.v6 = v6, .tag = tag};
                    if ((bits & 1) != 0) c.options.has_mss = true, c.options.mss = 8960;
                    if ((bits & 2) != 0) {
                        c.options.has_window_scale = true, c.options.window_scale = 14;
                    }
                    if ((bits & 4) != 0) {
                        c.options.has_timestamps = true;
                        c.options.ts_value = 0xfffefdfc, c.options.ts_echo = 7;
                    }
                    c.options.sack_permitted = (bits & 8) != 0;
                    c.options.sack_count = blocks;
                    for (uint32_t i = 0; i < blocks; ++i) c.options.sack[i] = {i * 10, i * 10 + 5};
                    c.payload = {pattern(blocks * 3u)};
                    expect_written_is_read(c);
                }
            }
        }
    }
}

TEST(SegmentWriter, WhatIsWrittenIsReadForAllPayloadLengths) {
    for (const bool v6 : {false, true}) {
        for (size_t length = 0; length <= 300; ++length) {
            expect_written_is_read({.v6 = v6, .payload = {pattern(length)}});
        }
        for (const size_t length : {1460u, 8960u, 65000u}) {
            expect_written_is_read({.v6 = v6, .payload = {pattern(length)}});
        }
    }
}

TEST(SegmentWriter, PiecesOfAnyLengthBecomeOnePayload) {
    std::mt19937_64 random{5};
    for (int i = 0; i < 500; ++i) {
        Case c{.v6 = random() % 2 == 0};
        const size_t pieces = random() % 5;
        for (size_t p = 0; p < pieces; ++p) c.payload.push_back(pattern(random() % 130));
        expect_written_is_read(c);
    }
}

TEST(SegmentWriter, NoOptionsAtAllIsAHeaderOf20Bytes) {
    const L2Header l2 = Case{}.l2();
    SegmentFrame segment = Case{}.fields();
    segment.l2 = &l2;
    Bytes buffer(segment_headers_bytes_max);
    EXPECT_EQ(write_segment(buffer, segment, {}), 54u);
    EXPECT_EQ(buffer[34 + 12], 0x50);
}

TEST(SegmentWriter, Ipv4HeaderIsThatOfAnAtomicDatagram) {
    const Bytes frame = Case{}.write();
    EXPECT_EQ(frame[14], 0x45);
    EXPECT_EQ(load_be16(&frame[18]), 0);       // identification
    EXPECT_EQ(load_be16(&frame[20]), 0x4000);  // DF alone
    EXPECT_EQ(naive_checksum(std::span{frame}.subspan(14, 20)), 0);
}

TEST(SegmentWriter, FrameIsTheOneMadeByHand) {
    const Case c{.payload = {{'a', 'b', 'c'}}};
    Bytes by_hand = Bytes{0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x08, 0x00} +
                    from_hex("45b8002b000040003d060000c6120001c6130102") +
                    from_hex("c35001bbfffffff0800000015038fedc00000102") + Bytes{'a', 'b', 'c'};
    EXPECT_EQ(c.write(), sealed_ipv4(by_hand));
}

TEST(SegmentWriter, BytesBeyondTheFrameAreNotTouched) {
    const L2Header l2 = Case{}.l2();
    SegmentFrame segment = Case{}.fields();
    const Bytes payload = pattern(200);
    const std::array pieces{std::span<const uint8_t>{payload}};
    segment.l2 = &l2;
    segment.pieces = pieces;
    Bytes buffer(400, 0xee);
    const size_t length = write_segment(buffer, segment, {});
    EXPECT_EQ(length, 254u);
    EXPECT_EQ(std::count(buffer.begin() + static_cast<long>(length), buffer.end(), 0xee), 146);
}

TEST(SegmentWriter, IpChecksumIsLeftToADeviceThatFillsItIn) {
    const Bytes frame = Case{.device = {.ip = true}}.write();
    EXPECT_EQ(load_be16(&frame[24]), 0);
    EXPECT_EQ(drop_of(frame), Drop::ip_bad_checksum);
    EXPECT_EQ(drop_of(frame, {.ip = true}), Drop::none);
}

TEST(SegmentWriter, DeviceThatCompletesTheTcpChecksumFindsThePseudoSum) {
    for (const bool v6 : {false, true}) {
        Case c{.v6 = v6, .payload = {pattern(33), pattern(20)}};
        c.device.tcp = true;
        Bytes frame = c.write();
        const size_t tcp = c.tcp_offset();
        EXPECT_EQ(drop_of(frame), Drop::tcp_bad_checksum);
        // What a device does: sum from the TCP header to the end, invert, store.
        put16(frame, tcp + 16, naive_checksum(std::span{frame}.subspan(tcp)));
        EXPECT_EQ(drop_of(frame), Drop::none);
        c.device.tcp = false;
        EXPECT_EQ(frame, c.write());
    }
}

using SegmentWriterDeathTest = testing::Test;

TEST(SegmentWriterDeathTest, BufferTooSmallForTheFrameIsOurOwnMistake) {
    const L2Header l2 = Case{}.l2();
    SegmentFrame segment = Case{}.fields();
    const Bytes payload = pattern(200);
    const std::array pieces{std::span<const uint8_t>{payload}};
    segment.l2 = &l2;
    segment.pieces = pieces;
    Bytes buffer(253);
    EXPECT_DEATH(write_segment(buffer, segment, {}), "");
}

}  // namespace
}  // namespace synfin::wire
