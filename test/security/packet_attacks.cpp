// Attack families that are decided by the whole stack: each packet is put on the wire of a host
// that listens, and what the host says is seen on the same wire.
#include <vector>

#include <gtest/gtest.h>

#include "scene.hpp"

namespace synfin::security {
namespace {

using namespace synfin::literals;

// The attack's tools work: a plain SYN is answered. Without this, silence would prove nothing.
TEST(Packets, HonestSynIsAnswered) {
    Scene s;
    s.attack({});
    ASSERT_EQ(s.said.size(), 1u);
    EXPECT_EQ(Scene::flags_of(s.said[0]), 0x12);
    EXPECT_EQ(s.connections(), 1u);
    s.attack({.seq = 1001, .flags = 0x04});
    EXPECT_EQ(s.connections(), 0u);
    s.judge_afterwards();
}

TEST(Packets, Land_SynFromOurselvesIsDropped) {
    Scene s;
    s.attack({.source = 0x0a00'0001, .source_port = 80});
    s.attack({.source = 0x0a00'0001, .source_port = 1234});
    EXPECT_TRUE(s.said.empty());
    EXPECT_EQ(s.victim.worker().drop_counters().of(wire::Drop::tcp_land), 2u);
    EXPECT_EQ(s.connections(), 0u);
    s.judge_afterwards();
}

TEST(Packets, Land_SynFromAnotherAddressOfOursIsDropped) {
    auto config = sim::World::simple_host(1);
    config.interfaces[0].addresses.push_back({wire::IpAddress::v4(10, 0, 0, 3), 32});
    config.interfaces[0].static_neighbors = {
        {wire::IpAddress::v4(10, 0, 0, 3), {{2, 0, 0, 0, 0, 3}}}};
    Scene s{config};
    s.attack({.source = 0x0a00'0003});
    EXPECT_TRUE(s.said.empty());
    EXPECT_EQ(s.connections(), 0u);
    EXPECT_EQ(s.victim.worker().stack_counters().drop_from_ourselves.load(), 1u);
    s.judge_afterwards();
}

TEST(Packets, Must63_InvalidSourceAddressesAreDropped) {
    Scene s;
    for (uint32_t source : {0x0000'0000u, 0x0000'0001u, 0x7f00'0001u, 0xffff'ffffu, 0xe000'0001u,
                            0xefff'ffffu, 0x0a00'00ffu, 0xf000'0001u}) {
        s.attack({.source = source});
        EXPECT_EQ(s.connections(), 0u) << std::hex << source;
    }
    EXPECT_TRUE(s.said.empty());
    s.judge_afterwards();
}

TEST(Packets, Must57_SegmentsToGroupsAreDropped) {
    Scene s;
    const std::vector<uint8_t> everyone(6, 0xff);
    for (uint32_t destination : {0xffff'ffffu, 0x0a00'00ffu, 0xe000'0001u, 0x0a00'0000u}) {
        for (bool broadcast_frame : {false, true}) {
            for (uint8_t flags : {uint8_t{0x02}, uint8_t{0x10}, uint8_t{0x11}}) {
                RawFrame frame{.destination = destination, .flags = flags};
                if (broadcast_frame) frame.to_mac = everyone;
                s.attack(frame);
            }
        }
    }
    RawFrame to_us_by_broadcast;
    to_us_by_broadcast.to_mac = everyone;
    s.attack(to_us_by_broadcast);
    EXPECT_GE(s.victim.worker().drop_counters().of(wire::Drop::tcp_to_group), 1u);
    EXPECT_TRUE(s.said.empty());
    EXPECT_EQ(s.connections(), 0u);
    s.judge_afterwards();
}

TEST(Packets, Reflection_NothingIsSaidToAReset) {
    Scene s;
    for (uint16_t port : {uint16_t{80}, uint16_t{81}})
        for (uint8_t flags :
             {uint8_t{0x04}, uint8_t{0x14}, uint8_t{0x06}, uint8_t{0x05}, uint8_t{0x3f}}) {
            s.attack({.destination_port = port, .flags = flags});
        }
    EXPECT_TRUE(s.said.empty());
    s.judge_afterwards();
}

TEST(Packets, ClosedPortAnswersWithAResetAndNoState) {
    Scene s;
    s.attack({.destination_port = 81});
    s.attack({.destination_port = 81, .ack = 77, .flags = 0x10});
    ASSERT_EQ(s.said.size(), 2u);
    EXPECT_EQ(Scene::flags_of(s.said[0]), 0x14);
    EXPECT_EQ(Scene::flags_of(s.said[1]), 0x04);
    EXPECT_EQ(s.connections(), 0u);
    s.judge_afterwards();
}

TEST(Packets, ResetsAreLimitedPerSecond) {
    auto config = sim::World::simple_host(1);
    config.resets_per_second = 10;
    Scene s{config};
    for (uint16_t i = 0; i < 500; ++i)
        s.attack({.source_port = static_cast<uint16_t>(1000 + i), .ack = 5, .flags = 0x10});
    EXPECT_GE(s.said.size(), 1u);
    EXPECT_LE(s.said.size(), 20u);
    s.judge_afterwards();
}

TEST(Packets, Must7_MalformedOptionsNeitherLoopNorCrashNorStopTheListener) {
    const std::vector<std::vector<uint8_t>> lies = {
        {2, 0},            // length 0
        {2, 1},            // length 1
        {2, 40, 5, 0xb4},  // past the header
        {2, 3, 5},         // MSS of the wrong length
        {2, 4, 0, 0},      // MSS 0
        {2, 4, 0, 1},      // MSS 1
        {3, 3, 15},
        {3, 3, 255},
        {3, 2},  // window scale
        {5, 3, 1},
        {5, 9, 1, 2, 3, 4, 5, 6, 7},      // SACK not of 8n+2
        {5, 10, 0, 0, 0, 9, 0, 0, 0, 1},  // SACK reversed
        {8, 2},
        {8, 10, 1, 2},
        {8, 11, 1, 2, 3, 4, 5, 6},  // timestamps
        {1, 1, 1, 1, 1, 1, 1, 1},   // without an end
        {0xfe, 0},
        {0xfe, 255},
        {0xfd},  // unknown, lying
        {2},
        {3},
        {8},  // kind and nothing else
        std::vector<uint8_t>(40, 1),
        std::vector<uint8_t>(40, 0xff),
        std::vector<uint8_t>(40, 2),
    };
    Scene s;
    uint16_t port = 2000;
    for (const auto& options : lies) {
        // On a SYN, and on a segment of the connection if the SYN made one.
        s.attack({.source_port = ++port, .options = options});
        s.attack({.source_port = port, .seq = 1001, .flags = 0x04});
        EXPECT_EQ(s.connections(), 0u);
        s.attack({.source_port = ++port, .ack = 9, .flags = 0x10, .options = options});
    }
    s.judge_afterwards();
}

TEST(Packets, LyingLengthsAreDropped) {
    Scene s;
    for (int offset : {0, 1, 4, 14, 15}) s.attack({.data_offset = offset});
    for (int length : {0, 19, 20, 39, 1500, 65535}) s.attack({.ip_total_length = length});
    EXPECT_TRUE(s.said.empty());
    EXPECT_EQ(s.connections(), 0u);
    s.judge_afterwards();
}

TEST(Packets, Must3_WrongChecksumIsDropped) {
    Scene s;
    s.attack({.bad_tcp_checksum = true});
    EXPECT_TRUE(s.said.empty());
    EXPECT_EQ(s.connections(), 0u);
    s.judge_afterwards();
}

TEST(Packets, TunnelledAndFragmentedPacketsAreDropped) {
    Scene s;
    s.attack({.protocol = 4});       // IP in IP
    s.attack({.protocol = 47});      // GRE
    s.attack({.fragment = 0x2000});  // the first of more
    s.attack({.fragment = 0x0001});  // a later one that would overlap the header
    s.attack({.fragment = 0x1fff});  // the last beyond 65535
    EXPECT_EQ(s.connections(), 0u);
    for (const auto& frame : s.said) EXPECT_NE(frame[23], 6) << "TCP answered a fragment";
    s.judge_afterwards();
}

TEST(Packets, SpoofedSynsCostAFewAnswersEachAndDrain) {
    Scene s;
    for (uint16_t i = 0; i < 200; ++i) s.attack({.source_port = static_cast<uint16_t>(3000 + i)});
    EXPECT_EQ(s.connections(), 200u);
    s.judge_afterwards();
    EXPECT_LE(s.said.size(), 200u * 6 + 100);
}

TEST(Packets, SynsBeyondTheBacklogAreNotAnswered) {
    sim::World world{1};
    sim::Host& victim = world.add_host(Scene::with_attacker_known(sim::World::simple_host(1)));
    sim::Host& client = world.add_host(sim::World::simple_host(2));
    sim::Link& link = world.connect(victim, client);
    sim::Oracle oracle{world};
    oracle.serve(victim, 80, {.backlog = 10, .syn_cookies = stack::SynCookies::never});
    for (uint16_t i = 0; i < 100; ++i) {
        link.inject(RawFrame{.source_port = static_cast<uint16_t>(3000 + i)}.bytes());
        world.run_for(100_us);
    }
    EXPECT_LE(victim.worker().gauges().half_open, 10u);
    EXPECT_GE(victim.worker().tcp_counters().half_open_drops.load(), 90u);
}

TEST(Packets, RandomFramesDoNoHarm) {
    Scene s;
    Prng random{99};
    for (int i = 0; i < 5000; ++i) {
        RawFrame frame{.source_port = static_cast<uint16_t>(random.below(4) + 5000),
                       .destination_port = static_cast<uint16_t>(79 + random.below(3)),
                       .seq = random.next_u32(),
                       .ack = random.next_u32(),
                       .flags = static_cast<uint8_t>(random.below(64)),
                       .window = static_cast<uint16_t>(random())};
        frame.payload.resize(random.below(50), 7);
        auto bytes = frame.bytes();
        if (random.chance(1, 2)) bytes[12 + random.below(bytes.size() - 12)] ^= 0x10;
        s.link.inject(bytes);
        if (i % 16 == 0) s.world.run_for(100_us);
    }
    s.judge_afterwards();
}

}  // namespace
}  // namespace synfin::security
