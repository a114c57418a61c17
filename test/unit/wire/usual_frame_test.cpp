// The fast path of the parse, against the slow one: what it accepts is read in the same way.
#include <algorithm>
#include <map>
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

void expect_same_segment(const Packet& fast, const Packet& slow) {
    ASSERT_EQ(slow.kind, PacketKind::tcp);
    ASSERT_EQ(slow.drop, Drop::none);
    ASSERT_FALSE(slow.link_group);
    ASSERT_EQ(fast.traffic_class, slow.traffic_class);
    ASSERT_EQ(fast.source, slow.source);
    ASSERT_EQ(fast.destination, slow.destination);
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

void expect_same_packet(const Packet& fast, const Packet& slow) {
    expect_same_segment(fast, slow);
    ASSERT_EQ(fast.kind, slow.kind);
    ASSERT_EQ(fast.drop, slow.drop);
    ASSERT_EQ(fast.has_vlan_tag, slow.has_vlan_tag);
    ASSERT_EQ(fast.link_group, slow.link_group);
    ASSERT_EQ(fast.ethernet, slow.ethernet);
    ASSERT_EQ(fast.protocol, slow.protocol);
    ASSERT_EQ(fast.hop_limit, slow.hop_limit);
    ASSERT_TRUE(same_bytes(fast.network, slow.network));
}

TEST(UsualFrame, SegmentsOfTheUsualLayoutsNeedNoSlowPath) {
    for (const Bytes& frame :
         {ipv4_tcp(), ipv4_tcp(timestamps), ipv4_tcp(syn_options), ipv4_tcp(timestamps, text),
          ipv4_tcp({}, text), ipv4_tcp(timestamps) + Bytes(9), ipv6_tcp(), ipv6_tcp(timestamps),
          ipv6_tcp(syn_options), ipv6_tcp(timestamps, text), ipv6_tcp({}, text),
          ipv6_tcp(timestamps) + Bytes(9)}) {
        Packet packet;
        EXPECT_TRUE(parse_usual_frame(frame, {}, packet));
    }
}

constexpr uint16_t our_vlan = 0x105;
const MacAddress our_station = load_mac(ipv4_tcp().data());

Bytes tagged(Bytes frame, uint16_t tag) {
    frame.insert(frame.begin() + 12,
                 {0x81, 0x00, static_cast<uint8_t>(tag >> 8), static_cast<uint8_t>(tag)});
    return frame;
}

/// A frame to our station in our VLAN, as a worker reads it.
bool read_usual_tagged(const Bytes& frame, VerifiedChecksums verified, Packet& packet) {
    const auto tag = UsualBeginning::tag_of(our_vlan).to(our_station);
    const auto bytes = without_tag(frame, tag);
    if (read_usual_ipv4(bytes, verified, UsualBeginning::ipv4().behind_tag(), packet)) {
        const UsualIpv4Ends v4{bytes.data()};
        if (problem_of_ipv4_ends(v4.source(), v4.destination()) != Drop::none) return false;
        packet.source = IpAddress::v4(v4.source());
        packet.destination = IpAddress::v4(v4.destination());
        packet.source_port = v4.source_port();
        packet.destination_port = v4.destination_port();
        packet.traffic_class = v4.traffic_class();
        return true;
    }
    if (!read_usual_ipv6(bytes, verified, UsualBeginning::ipv6().behind_tag(), packet)) {
        return false;
    }
    const UsualIpv6Ends v6{bytes.data()};
    packet.source = v6.source();
    packet.destination = v6.destination();
    packet.source_port = v6.source_port();
    packet.destination_port = v6.destination_port();
    packet.traffic_class = v6.traffic_class();
    return true;
}

TEST(UsualFrame, SegmentsInOurVlanNeedNoSlowPathWhateverTheirPriority) {
    for (const Bytes& frame : {ipv4_tcp(), ipv4_tcp(syn_options), ipv4_tcp(timestamps, text),
                               ipv6_tcp(), ipv6_tcp(syn_options), ipv6_tcp(timestamps, text)}) {
        Packet packet;
        EXPECT_TRUE(read_usual_tagged(tagged(frame, our_vlan), {}, packet));
        EXPECT_TRUE(read_usual_tagged(tagged(frame, 7u << 13 | our_vlan), {}, packet));
    }
}

TEST(UsualFrame, SegmentsInNoneOrInAnotherVlanAreLeftToTheSlowPath) {
    Bytes to_another = tagged(ipv4_tcp(), our_vlan);
    to_another[5] ^= 1;
    for (const Bytes& frame :
         {ipv4_tcp(), ipv6_tcp(), tagged(ipv4_tcp(), our_vlan + 1), tagged(ipv4_tcp(), 5u << 13),
          tagged(tagged(ipv4_tcp(), our_vlan), our_vlan), to_another}) {
        Packet packet;
        EXPECT_FALSE(read_usual_tagged(frame, {}, packet));
    }
}

// An interface in a VLAN has none for frames without a tag, and the other way round.
TEST(UsualFrame, NoFrameBeginsLikeABeginningThatNobodyGave) {
    const VerifiedChecksums verified{.ip = true, .tcp = true};
    for (Bytes frame : {ipv4_tcp(), ipv6_tcp(), tagged(ipv4_tcp(), our_vlan)}) {
        for (int emptied = 0; emptied < 2; ++emptied) {
            Packet packet;
            EXPECT_FALSE(read_usual_ipv4(frame, verified, UsualBeginning{}, packet));
            EXPECT_FALSE(read_usual_ipv6(frame, verified, UsualBeginning{}, packet));
            const auto bytes = without_tag(frame, UsualBeginning{});
            const auto ipv4 = UsualBeginning::ipv4().behind_tag();
            const auto ipv6 = UsualBeginning::ipv6().behind_tag();
            EXPECT_FALSE(read_usual_ipv4(bytes, verified, ipv4, packet));
            EXPECT_FALSE(read_usual_ipv6(bytes, verified, ipv6, packet));
            std::fill_n(frame.begin() + 16, 4, uint8_t{0});
        }
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
    Bytes wrong_v6 = ipv6_tcp(timestamps, text);
    wrong_v6.back() ^= 1;
    const Bytes padding_options{6, 0, 1, 4, 0, 0, 0, 0};
    for (const Bytes& frame :
         {tagged, to_group, wrong, sealed_ipv4(fragment), ipv4_tcp(sack_options),
          ipv4_frame(6, tcp_segment({}, text), Bytes(12, 1)), ipv4_frame(17, Bytes(40)), wrong_v6,
          ipv6_tcp(sack_options), ipv6_tcp({}, text, padding_options, 60),
          ipv6_frame(17, Bytes(40)), Bytes{}}) {
        Packet packet;
        EXPECT_FALSE(parse_usual_frame(frame, {}, packet));
    }
}

// There other things than addresses have their names.
TEST(UsualFrame, SourcesThatNoHostHasWhereIdsAreAreLeftToTheSlowPath) {
    Bytes frame = ipv4_tcp(timestamps);
    Packet packet;
    ASSERT_TRUE(read_usual_ipv4(frame, {}, UsualBeginning::ipv4(), packet));
    frame[ip_at + 12] = 0;
    const Bytes sealed = sealed_ipv4(frame);
    EXPECT_FALSE(read_usual_ipv4(sealed, {}, UsualBeginning::ipv4(), packet));
}

/// Both checksums right, if the frame has room for them.
Bytes sealed(Bytes frame) {
    if (frame.size() >= ip_at + 40 && frame[ip_at] == 0x45) return sealed_ipv4(frame);
    if (frame.size() < ip_at + 60 || frame[ip_at] >> 4 != 6) return frame;
    const size_t end = ip_at + 40 + size_t{256} * frame[ip_at + 4] + frame[ip_at + 5];
    if (end > frame.size() || end < ip_at + 60) return frame;
    put16(frame, ip_at + 40 + 16, 0);
    put16(frame, ip_at + 40 + 16, transport_checksum(frame, ip_at, 40, end));
    return frame;
}

/// From or to an address that no host has on a wire, or to itself.
Bytes with_special_ipv6_address(Bytes frame, std::mt19937_64& random) {
    if (frame[ip_at] >> 4 != 6) return frame;
    const std::vector<Bytes> specials = {
        from_hex("00000000000000000000000000000000"), from_hex("00000000000000000000000000000001"),
        from_hex("00000000000000000000ffff01020304"), from_hex("ff020000000000000000000000000001"),
        from_hex("20010db8000000000000000000000001"), from_hex("20010db8000000000000000000000002")};
    const Bytes& special = specials[random() % specials.size()];
    std::copy(special.begin(), special.end(),
              frame.begin() + static_cast<long>(ip_at + (random() % 2 == 0 ? 8 : 24)));
    return frame;
}

/// Usual frames with some bytes changed, cut or grown, with checksums right or wrong.
class Changed {
  public:
    Bytes frame() {
        Bytes frame = frames_[below(frames_.size())];
        if (below(16) == 0) frame = with_special_ipv6_address(frame, random_);
        for (uint64_t n = below(3); n > 0; --n) change_byte(frame);
        if (below(8) == 0) frame.resize(frame.size() + below(8));
        if (below(8) == 0) frame.resize(below(frame.size()) + 1);
        return below(4) != 0 ? sealed(frame) : frame;
    }
    void change_byte(Bytes& frame) { frame[below(frame.size())] = static_cast<uint8_t>(random_()); }
    VerifiedChecksums verified() { return {below(4) == 0, below(4) == 0}; }
    uint64_t below(uint64_t end) { return random_() % end; }

  private:
    const std::vector<Bytes> frames_ = {
        ipv4_tcp(), ipv4_tcp(timestamps), ipv4_tcp(syn_options), ipv4_tcp(timestamps, text),
        ipv6_tcp(), ipv6_tcp(timestamps), ipv6_tcp(syn_options), ipv6_tcp(timestamps, text)};
    std::mt19937_64 random_{7};
};

TEST(UsualFrame, WhatItAcceptsIsReadInTheSameWayBySlowPath) {
    Changed changed;
    std::map<uint8_t, unsigned> accepted;  // by the byte with the version
    for (int round = 0; round < 300'000; ++round) {
        const Bytes frame = changed.frame();
        const VerifiedChecksums verified = changed.verified();
        Packet fast;
        if (!parse_usual_frame(frame, verified, fast)) continue;
        ++accepted[frame[ip_at] >> 4];
        Packet slow;
        parse_frame_slowly(frame, verified, slow);
        expect_same_packet(fast, slow);
    }
    EXPECT_GT(accepted[4], 20'000u);
    EXPECT_GT(accepted[6], 20'000u);
}

TEST(UsualFrame, WhatItAcceptsInAVlanIsReadInTheSameWayBySlowPath) {
    Changed changed;
    std::map<uint8_t, unsigned> accepted;
    for (int round = 0; round < 300'000; ++round) {
        Bytes frame = changed.frame();
        if (frame.size() < ip_at) continue;
        frame = tagged(frame, static_cast<uint16_t>(changed.below(8) << 13 | our_vlan));
        if (changed.below(8) == 0) changed.change_byte(frame);
        const VerifiedChecksums verified = changed.verified();
        Packet fast;
        if (!read_usual_tagged(frame, verified, fast)) continue;
        ++accepted[frame[ip_at + EthernetView::tag_bytes] >> 4];
        Packet slow;
        parse_frame_slowly(frame, verified, slow);
        ASSERT_EQ(slow.vlan(), our_vlan);
        ASSERT_TRUE(slow.is_to(our_station));
        expect_same_segment(fast, slow);
    }
    EXPECT_GT(accepted[4], 20'000u);
    EXPECT_GT(accepted[6], 20'000u);
}

}  // namespace
}  // namespace synfin::wire
