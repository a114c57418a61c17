#include <set>

#include <gtest/gtest.h>

#include <synfin/dpdk/handoff_mesh.hpp>
#include <synfin/dpdk/steering.hpp>

namespace synfin::dpdk {
namespace {

/// The key and the tuples of the verification suite that the designers of RSS have published.
const std::vector<uint8_t> published_key{
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

constexpr wire::IpAddress address(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
    return wire::IpAddress::v4(a, b, c, d);
}
wire::IpAddress address(const char* text) { return *wire::parse_ip_address(text); }

ReceiveHash known_hash(std::vector<uint8_t> key, bool ours, uint16_t queues) {
    ReceiveHash hash;
    hash.tcp_over_ipv4 = hash.tcp_over_ipv6 = true;
    hash.key_is_ours = ours;
    hash.key = std::move(key);
    for (uint16_t i = 0; i < 128; ++i) hash.queue_of.push_back(i % queues);
    return hash;
}

const auto rules_work = [] { return true; };
const auto rules_fail = [] { return false; };
const auto rules_unwanted = []() -> bool {
    ADD_FAILURE() << "flow rules would overrule the hash";
    return true;
};

struct Ends {
    wire::SocketAddress local;
    wire::SocketAddress remote;
};
Ends ends_with(uint16_t local_port) {
    return {{address(198, 18, 1, 1), local_port}, {address(198, 18, 0, 1), 80}};
}
Ends ipv6_ends_with(uint16_t local_port) {
    return {{address("2001:db8:1:2::3"), local_port}, {address("fd00::ffff:1"), 80}};
}

void expect_each_port_reaches_exactly_one(const Steering& steering, unsigned workers) {
    for (const auto ends_of : {ends_with, ipv6_ends_with}) {
        std::vector<unsigned> share(workers);
        for (unsigned port = 32768; port < 65536; ++port) {
            const Ends ends = ends_of(static_cast<uint16_t>(port));
            unsigned reached = 0;
            for (unsigned worker = 0; worker < workers; ++worker) {
                if (!steering.reaches(worker, ends.local, ends.remote)) continue;
                ++reached;
                ++share[worker];
                EXPECT_EQ(steering.owner(ends.local, ends.remote), worker);
            }
            ASSERT_EQ(reached, 1u) << "port " << port;
        }
        for (const unsigned ports : share) EXPECT_GT(ports, 32768 / workers / 2);
    }
}

TEST(ReceiveHash, AgreesWithThePublishedVectors) {
    EXPECT_EQ(receive_hash(published_key, {address(161, 142, 100, 80), 1766},
                           {address(66, 9, 149, 187), 2794}),
              0x51ccc178u);
    EXPECT_EQ(receive_hash(published_key, {address(65, 69, 140, 83), 4739},
                           {address(199, 92, 111, 2), 14230}),
              0xc626b0eau);
    EXPECT_EQ(receive_hash(published_key, {address("3ffe:2501:200:3::1"), 1766},
                           {address("3ffe:2501:200:1fff::7"), 2794}),
              0x40207d3du);
}

TEST(PortsOnlyKey, LowBitsOfTheHashAreTheReversedLowBitsOfThePorts) {
    constexpr unsigned bits = 7;
    const auto key = ports_only_key(bits, 40);
    for (const auto& remote :
         {address(198, 18, 0, 1), address(255, 255, 255, 255), address(0, 0, 0, 0)}) {
        for (unsigned port = 0; port < 65536; port += 37) {
            constexpr uint16_t other = 0x5a5a;
            const unsigned both = (port ^ other) & ((1u << bits) - 1);
            unsigned reversed = 0;
            for (unsigned bit = 0; bit < bits; ++bit)
                reversed |= (both >> bit & 1) << (bits - 1 - bit);
            const uint32_t hash = receive_hash(
                key, {address(10, 1, 2, 3), static_cast<uint16_t>(port)}, {remote, other});
            ASSERT_EQ(hash & ((1u << bits) - 1), reversed) << "port " << port;
        }
    }
}

TEST(Steering, OneWorkerNeedsNone) {
    const Steering steering;
    EXPECT_EQ(steering.description(), "single queue, no steering needed");
    const Ends ends = ends_with(40000);
    EXPECT_TRUE(steering.reaches(0, ends.local, ends.remote));
}

TEST(Steering, OurOwnKeyIsBest) {
    const ReceiveHash hash = known_hash(ports_only_key(7, 40), true, 4);
    const Steering steering{4, {&hash}, rules_unwanted};
    EXPECT_EQ(steering.means(), Steering::Means::ports_key);
    expect_each_port_reaches_exactly_one(steering, 4);
}

TEST(Steering, TheDevicesKeyIsSecond) {
    const ReceiveHash hash = known_hash(published_key, false, 3);
    const Steering steering{3, {&hash}, rules_unwanted};
    EXPECT_EQ(steering.means(), Steering::Means::device_key);
    expect_each_port_reaches_exactly_one(steering, 3);
}

TEST(Steering, FlowRulesAreThird) {
    ReceiveHash hash = known_hash(published_key, false, 3);
    hash.key.clear();
    const Steering steering{3, {&hash}, rules_work};
    EXPECT_EQ(steering.means(), Steering::Means::flow_rules);
    expect_each_port_reaches_exactly_one(steering, 3);
}

TEST(Steering, HandingOverIsLast) {
    const ReceiveHash unknown;
    const Steering steering{5, {&unknown}, rules_fail};
    EXPECT_EQ(steering.means(), Steering::Means::handoff);
    EXPECT_TRUE(steering.hands_off_connections());
    expect_each_port_reaches_exactly_one(steering, 5);
}

TEST(Steering, AHashThatLeavesThePortsOutIsNotTrusted) {
    ReceiveHash hash = known_hash(published_key, false, 2);
    hash.tcp_over_ipv4 = false;
    EXPECT_EQ((Steering{2, {&hash}, rules_fail}.means()), Steering::Means::handoff);
}

TEST(Steering, OnePortThatCannotBringsAllDownToHandingOver) {
    const ReceiveHash good = known_hash(published_key, false, 2);
    const ReceiveHash bad;
    EXPECT_EQ((Steering{2, {&good, &bad}, rules_fail}.means()), Steering::Means::handoff);
}

TEST(Steering, ThePortFilterSpeaksForItsWorker) {
    const Steering steering{2, {}, rules_fail};
    const Steering::View first{&steering, 0};
    const Steering::View second{&steering, 1};
    const Ends ends = ends_with(40000);
    EXPECT_NE(Steering::port_filter(&first, ends.local, ends.remote),
              Steering::port_filter(&second, ends.local, ends.remote));
}

TEST(Steering, EachMeansHasADescriptionOfItsOwn) {
    const ReceiveHash ours = known_hash(ports_only_key(7, 40), true, 2);
    const ReceiveHash theirs = known_hash(published_key, false, 2);
    const std::set<std::string> descriptions{
        Steering{}.description(), Steering{2, {&ours}, rules_fail}.description(),
        Steering{2, {&theirs}, rules_fail}.description(), Steering{2, {}, rules_work}.description(),
        Steering{2, {}, rules_fail}.description()};
    EXPECT_EQ(descriptions.size(), 5u);
}

}  // namespace
}  // namespace synfin::dpdk
