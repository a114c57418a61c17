// An interface in a VLAN (802.1Q): every frame that it sends bears the tag, and only such frames
// are taken.
#include <gtest/gtest.h>

#include "stack_world.hpp"

namespace synfin::stack::test {
namespace {

constexpr uint16_t our_vlan = 100;

WorkerConfig in_vlan(WorkerConfig config, uint16_t vlan = our_vlan) {
    config.interfaces[0].vlan = vlan;
    return config;
}

Bytes tagged(const Bytes& frame, uint16_t tag) {
    Bytes with_tag{frame.begin(), frame.begin() + 12};
    for (const int byte : {0x81, 0x00, tag >> 8, tag & 0xff})
        with_tag.push_back(static_cast<uint8_t>(byte));
    with_tag.insert(with_tag.end(), frame.begin() + 12, frame.end());
    return with_tag;
}

class Vlan : public ::testing::TestWithParam<Family> {
  protected:
    Bytes syn() const {
        return segment_frame({.from = address_of(9, GetParam()), .to = address_of(1, GetParam())});
    }
    Recorder user;
    Recorder service;
};
INSTANTIATE_TEST_SUITE_P(Families, Vlan, ::testing::Values(Family::ipv4, Family::ipv6),
                         [](const auto& p) { return name_of(p.param); });

TEST_P(Vlan, ConnectionLivesItsWholeLifeWithinIt) {
    Host client{in_vlan(config_of(1, GetParam()))};
    Host server{in_vlan(config_of(2, GetParam()))};
    Cable cable{client, server};
    ASSERT_TRUE(server.worker.listen({{}, 80}, service).has_value());
    service.when_peer_closed = [](Worker& worker, ConnectionId c) { worker.close(c); };
    const auto id = client.worker.connect({address_of(2, GetParam()), 80}, user);
    cable.settle();
    client.worker.send(*id, bytes_of("question"));
    client.worker.close(*id);
    cable.settle();
    EXPECT_EQ(service.life(service.ids.at(0)).data, "question");
    EXPECT_EQ(user.life(*id).reason, tcp::CloseReason::finished);
}

TEST_P(Vlan, WhatIsSaidBearsTheTag) {
    Host host{in_vlan(config_of(1, 9, GetParam()))};
    host.run(tagged(syn(), our_vlan));  // answered by a reset: nobody listens
    ASSERT_TRUE(host.worker.connect({address_of(9, GetParam()), 80}, user).has_value());
    ASSERT_TRUE(host.worker.connect({address_of(2, GetParam()), 80}, user).has_value());
    host.run();
    const std::vector<Bytes> sent = host.take_sent();
    EXPECT_EQ(sent.size(), 3u);
    for (const Bytes& frame : sent) {
        const Read read{frame};
        EXPECT_TRUE(read.packet.has_vlan_tag);
        EXPECT_EQ(read.packet.vlan_tag, our_vlan);
    }
}

TEST_P(Vlan, FramesOfAnotherAndUntaggedOnesAreDropped) {
    Host host{in_vlan(config_of(1, 9, GetParam()))};
    host.run(tagged(syn(), our_vlan + 1));
    host.run(syn());
    EXPECT_TRUE(host.take_sent().empty());
    EXPECT_EQ(host.worker.stack_counters().drop_vlan, 2u);
}

TEST_P(Vlan, InterfaceInNoneTakesWhatBearsAPriorityAlone) {
    Host host{config_of(1, 9, GetParam())};
    host.run(tagged(syn(), 5u << 13));
    EXPECT_EQ(host.take_sent().size(), 1u);
    host.run(tagged(syn(), our_vlan));
    EXPECT_TRUE(host.take_sent().empty());
    EXPECT_EQ(host.worker.stack_counters().drop_vlan, 1u);
}

TEST_P(Vlan, PriorityOfATagDoesNotMatter) {
    Host host{in_vlan(config_of(1, 9, GetParam()))};
    host.run(tagged(syn(), 5u << 13 | our_vlan));
    EXPECT_EQ(host.take_sent().size(), 1u);
}

TEST(VlanConfig, NumberBeyondTheLastIsRefusedWithASentence) {
    EXPECT_THROW(Host{in_vlan(config_of(1), 4095)}, std::invalid_argument);
}

}  // namespace
}  // namespace synfin::stack::test
