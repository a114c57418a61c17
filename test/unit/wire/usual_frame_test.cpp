// The fast path of the parse, against the slow one: what it accepts is read in the same way.
#include <random>

#include <gtest/gtest.h>

#include <synfin/wire/usual_frame.hpp>

#include "frames.hpp"

namespace synfin::wire {
namespace {

using namespace test;

const Bytes syn_options = from_hex("020405b40402080a00564a2a0000000001030307");
const Bytes timestamps = from_hex("0101080a0000000100000002");
const Bytes text{'G', 'E', 'T', ' ', '/'};

void expect_same_options(const TcpOptions& fast, const TcpOptions& slow) {
    ASSERT_EQ(fast.has_mss, slow.has_mss);
    ASSERT_EQ(fast.has_window_scale, slow.has_window_scale);
    ASSERT_EQ(fast.has_timestamps, slow.has_timestamps);
    ASSERT_EQ(fast.sack_permitted, slow.sack_permitted);
    ASSERT_EQ(fast.sack_count, slow.sack_count);
    ASSERT_TRUE(!slow.has_mss || fast.mss == slow.mss);
    ASSERT_TRUE(!slow.has_window_scale || fast.window_scale == slow.window_scale);
    ASSERT_TRUE(!slow.has_timestamps || fast.ts_value == slow.ts_value);
    ASSERT_TRUE(!slow.has_timestamps || fast.ts_echo == slow.ts_echo);
}

bool same_bytes(std::span<const uint8_t> a, std::span<const uint8_t> b) {
    return a.data() == b.data() && a.size() == b.size();
}

void expect_same_packet(const Packet& fast, const Packet& slow) {
    ASSERT_EQ(slow.kind, PacketKind::tcp);
    ASSERT_EQ(fast.kind, slow.kind);
    ASSERT_EQ(fast.drop, slow.drop);
    ASSERT_EQ(fast.has_vlan_tag, slow.has_vlan_tag);
    ASSERT_EQ(fast.link_group, slow.link_group);
    ASSERT_EQ(fast.ethernet, slow.ethernet);
    ASSERT_EQ(fast.protocol, slow.protocol);
    ASSERT_EQ(fast.hop_limit, slow.hop_limit);
    ASSERT_EQ(fast.traffic_class, slow.traffic_class);
    ASSERT_EQ(fast.source, slow.source);
    ASSERT_EQ(fast.destination, slow.destination);
    ASSERT_TRUE(same_bytes(fast.network, slow.network));
    ASSERT_TRUE(same_bytes(fast.payload, slow.payload));
    ASSERT_EQ(fast.flags, slow.flags);
    ASSERT_EQ(fast.source_port, slow.source_port);
    ASSERT_EQ(fast.destination_port, slow.destination_port);
    ASSERT_EQ(fast.window, slow.window);
    ASSERT_EQ(fast.urgent, slow.urgent);
    ASSERT_EQ(fast.seq, slow.seq);
    ASSERT_EQ(fast.ack, slow.ack);
    expect_same_options(fast.options, slow.options);
}

TEST(UsualFrame, SegmentsOfTheUsualLayoutsNeedNoSlowPath) {
    for (const Bytes& frame :
         {ipv4_tcp(), ipv4_tcp(timestamps), ipv4_tcp(syn_options), ipv4_tcp(timestamps, text),
          ipv4_tcp({}, text), ipv4_tcp(timestamps) + Bytes(9)}) {
        Packet packet;
        EXPECT_TRUE(parse_usual_frame(frame, {}, packet));
    }
}

TEST(UsualFrame, OtherFramesAreLeftToTheSlowPath) {
    const Bytes sack_options = from_hex("0101080a00000001000000020101050a0000000100000009");
    Bytes tagged = ipv4_tcp();
    tagged.insert(tagged.begin() + 12, {0x81, 0x00, 0x20, 0x05});
    Bytes to_group = ipv4_tcp();
    to_group[0] |= 1;
    Bytes wrong = ipv4_tcp(timestamps, text);
    wrong.back() ^= 1;
    Bytes fragment = ipv4_tcp();
    fragment[ip_at + 6] = 0x20;
    for (const Bytes& frame :
         {tagged, to_group, wrong, sealed_ipv4(fragment), ipv4_tcp(sack_options),
          ipv4_frame(6, tcp_segment({}, text), Bytes(12, 1)), ipv6_tcp(syn_options),
          ipv4_frame(17, Bytes(40))}) {
        Packet packet;
        EXPECT_FALSE(parse_usual_frame(frame, {}, packet));
    }
}

// Seeded: usual frames with some bytes changed, cut or grown, with checksums right or wrong.
TEST(UsualFrame, WhatItAcceptsIsReadInTheSameWayBySlowPath) {
    const std::vector<Bytes> frames = {ipv4_tcp(), ipv4_tcp(timestamps), ipv4_tcp(syn_options),
                                       ipv4_tcp(timestamps, text)};
    std::mt19937_64 random{7};
    unsigned accepted = 0;
    for (int round = 0; round < 200'000; ++round) {
        Bytes frame = frames[random() % frames.size()];
        for (uint64_t n = random() % 3; n > 0; --n) {
            frame[random() % frame.size()] = static_cast<uint8_t>(random());
        }
        if (random() % 8 == 0) frame.resize(frame.size() + random() % 8);
        if (random() % 8 == 0) frame.resize(random() % frame.size() + 1);
        const bool sealable = frame.size() >= ip_at + 40 && frame[ip_at] == 0x45;
        if (sealable && random() % 4 != 0) frame = sealed_ipv4(frame);
        const VerifiedChecksums verified{random() % 4 == 0, random() % 4 == 0};
        Packet fast;
        if (!parse_usual_frame(frame, verified, fast)) continue;
        ++accepted;
        Packet slow;
        parse_frame_slowly(frame, verified, slow);
        expect_same_packet(fast, slow);
    }
    EXPECT_GT(accepted, 20'000u);
}

}  // namespace
}  // namespace synfin::wire
