// What all peers share, a rate, a quota, a table, tells none of them of another, and none can use
// it up for another.
#include <array>

#include <gtest/gtest.h>

#include <synfin/flow/tuple_hash.hpp>

#include "scene.hpp"

namespace synfin::security {
namespace {

namespace flag = wire::flag;

constexpr uint32_t victim_address = 0x0a00'0001;
constexpr uint32_t other_address = 0x0a00'0008;  // in whose name the attacker writes
constexpr uint32_t own_address = 0x0a00'0009;

size_t said_to_port(const Scene& s, uint16_t port) {
    size_t count = 0;
    for (const auto& frame : s.said) count += (frame[36] << 8 | frame[37]) == port;
    return count;
}

// ---- the limit on resets: does a packet that was sent in another's name get one, or not?

/// How many of the attacker's own probes of a closed port are answered in one moment, after
/// `spoofed` others of them.
size_t own_resets(Scene& s, unsigned spoofed) {
    s.said.clear();
    for (unsigned i = 0; i < spoofed; ++i) {
        s.link.inject(RawFrame{.source = other_address, .destination_port = 81}.bytes());
    }
    for (uint16_t i = 0; i < 100; ++i) {
        const auto port = static_cast<uint16_t>(1000 + i);
        s.link.inject(
            RawFrame{.source = own_address, .source_port = port, .destination_port = 81}.bytes());
    }
    s.world.run_for(1_s);
    size_t answered = 0;
    for (const auto& frame : s.said) answered += frame[33] == (own_address & 0xff);
    return answered;
}

TEST(SideChannels, CountingOnesOwnResetsDoesNotTellWhetherAnotherGotOne) {
    auto config = sim::World::simple_host(1);
    config.resets_per_second = 500;  // fifty at once
    Scene s{config};
    std::vector<size_t> without;
    std::vector<size_t> with_one;
    for (int round = 0; round < 50; ++round) {
        without.push_back(own_resets(s, 0));
        with_one.push_back(own_resets(s, 1));
    }
    size_t misleading = 0;
    for (const size_t a : without) {
        for (const size_t b : with_one) misleading += b >= a;
    }
    EXPECT_GE(misleading, without.size() * with_one.size() / 4);
    EXPECT_EQ(own_resets(s, 1000), 0u) << "the limit is one for all";
}

// ---- challenge ACKs (CVE-2016-5696)

/// Opens a connection from the attacker's address and port.
void open(Scene& s, uint16_t port) {
    s.said.clear();
    s.attack({.source_port = port});
    ASSERT_EQ(s.said.size(), 1u);
    const uint8_t* seq = &s.said[0][14 + 20 + 4];
    const uint32_t isn = static_cast<uint32_t>(seq[0]) << 24 | static_cast<uint32_t>(seq[1]) << 16 |
                         static_cast<uint32_t>(seq[2]) << 8 | seq[3];
    s.attack({.source_port = port, .seq = 1001, .ack = isn + 1, .flags = 0x10});
}

void challenge(Scene& s, uint16_t port) {
    s.attack({.source_port = port, .seq = 1001 + 100, .flags = 0x04});
}

TEST(SideChannels, ChallengesOfOneConnectionAreNotMissedInAnother) {
    Scene s;
    open(s, 4001);
    open(s, 4002);
    for (int round = 0; round < 10; ++round) {
        s.world.run_for(1_s);
        s.said.clear();
        for (int i = 0; i < 20 * (round % 2); ++i) challenge(s, 4001);
        challenge(s, 4002);
        EXPECT_EQ(said_to_port(s, 4001), round % 2) << "its own limit holds";
        EXPECT_EQ(said_to_port(s, 4002), 1u);
    }
}

// ---- the table of connections: SYNs whose tuples have been chosen to meet in one bucket

/// Ports and addresses whose tuples begin with the same ten bits under `key`: in one of a thousand
/// parts of the table.
std::vector<RawFrame> colliding_syns(const flow::HashKey& key, size_t count) {
    std::vector<RawFrame> syns;
    for (uint32_t n = 0; syns.size() < count; ++n) {
        const uint32_t source = 0x0a00'0010 + (n >> 16) % 200;
        const auto port = static_cast<uint16_t>(n);
        const flow::FourTuple tuple{.local_address = victim_address,
                                    .remote_address = source,
                                    .local_port = 80,
                                    .remote_port = port};
        if (port == 0 || flow::tuple_hash(tuple, key) >> 22 != 0) continue;
        syns.push_back({.source = source, .source_port = port});
    }
    return syns;
}

uint64_t refused(const flow::HashKey& key) {
    auto config = sim::World::simple_host(1);
    config.max_connections = 8192;
    config.secret = {0x5eed'5eed, 0x1234'5678};
    Scene s{config};
    for (const RawFrame& syn : colliding_syns(key, 1000)) s.link.inject(syn.bytes());
    s.world.run_for(1_ms);
    return 1000 - s.connections();
}

TEST(HashFlooding, TuplesChosenWithoutTheKeyMeetNowhere) {
    EXPECT_EQ(refused({1, 2}), 0u);
    EXPECT_EQ(refused({0x5eed'5eed, 0x1234'5678}), 0u) << "the secret itself is no key";
}

}  // namespace
}  // namespace synfin::security
