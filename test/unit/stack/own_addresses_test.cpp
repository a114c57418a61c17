// Whether another host has an address of ours, and what is said to the link about them.
#include <gtest/gtest.h>

#include "stack_world.hpp"

namespace synfin::stack::test {
namespace {

// ---- IPv6 (RFC 4862 section 5.4)

class Duplicates : public ::testing::Test {
  protected:
    static WorkerConfig config() {
        WorkerConfig config = config_of(1, Family::ipv6);
        config.interfaces[0].addresses.push_back({IpAddress::v6(0xfd00'0001'0000'0000, 0), 64});
        config.interfaces[0].introduce_addresses = true;
        return config;
    }
    static Bytes advertisement(uint8_t from_host) {
        return icmp6_frame({.from_host = from_host,
                            .from = address_of(1, Family::ipv6),
                            .to = IpAddress::v6(0xff02'0000'0000'0000, 1),
                            .to_mac = wire::multicast_mac(IpAddress::v6(0xff02'0000'0000'0000, 1))},
                           [&](uint8_t* out, const IpAddress& from, const IpAddress& to) {
                               return wire::write_neighbor_advertisement(
                                   out, address_of(1, Family::ipv6), mac_of(from_host), false, from,
                                   to);
                           });
    }
    uint64_t found() const { return host.worker.stack_counters().duplicate_addresses; }
    Host host{config()};
};

TEST_F(Duplicates, Rfc4861_1_OwnAddressIsAskedForFromNobodyAndBlocksAreNot) {
    host.run();
    const auto sent = host.take_sent();
    ASSERT_EQ(sent.size(), 2u) << "the report of the group, and the question";
    const Read asked{sent.back()};
    const wire::Packet& p = asked.packet;
    const IpAddress own = address_of(1, Family::ipv6);
    EXPECT_TRUE(p.source.is_unspecified());
    EXPECT_EQ(p.destination, wire::solicited_node_address(own));
    const auto message = wire::Icmp6View::checked(p.payload, p.source, p.destination, p.hop_limit);
    ASSERT_TRUE(message.has_value());
    EXPECT_EQ(message->type(), wire::Icmp6Type::neighbor_solicitation);
    EXPECT_EQ(message->target(), own);
    EXPECT_FALSE(message->link_layer_address().has_value());
}

TEST_F(Duplicates, AnotherHostThatHasOurAddressIsCountedAndNamed) {
    host.run(advertisement(9));
    EXPECT_EQ(found(), 1u);
    const auto conflict = host.worker.last_address_conflict();
    ASSERT_TRUE(conflict.has_value());
    EXPECT_EQ(conflict->address, address_of(1, Family::ipv6));
    EXPECT_EQ(conflict->other, mac_of(9));
}

TEST_F(Duplicates, EchoOfOurOwnWordsIsNoDuplicate) {
    host.run(advertisement(1));
    EXPECT_EQ(found(), 0u);
    EXPECT_EQ(host.worker.stack_counters().drop_from_ourselves, 1u);
}

TEST_F(Duplicates, NobodyIsAskedWithoutBeingTold) {
    Host silent{config_of(1, Family::ipv6)};
    silent.run();
    EXPECT_TRUE(silent.take_sent().empty());
}

// ---- IPv4 (RFC 5227)

class DuplicatesByArp : public ::testing::Test {
  protected:
    static WorkerConfig config() {
        WorkerConfig config = config_of(1);
        config.interfaces[0].addresses.push_back({IpAddress::v4(10, 1, 0, 0), 24});
        config.interfaces[0].introduce_addresses = true;
        return config;
    }
    void pass(Duration time) {
        host.now = host.now + time;
        host.run();
    }
    /// The other host says: I have it.
    void claim() { host.run(arp_frame(wire::ArpOperation::reply, 1, {}, mac_of(1), mac_of(9))); }
    bool announces() {
        const Read said{host.take_one()};
        return said.is_arp_request() && said.packet.destination_mac() == MacAddress::broadcast() &&
               said.arp->sender == address_of(1) && said.arp->target == address_of(1) &&
               said.arp->sender_mac == mac_of(1);
    }
    Host host{config()};
};

TEST_F(DuplicatesByArp, Rfc5227_OwnAddressIsAskedForFromNobodyAndBlocksAreNot) {
    host.run();
    const Read asked{host.take_one()};
    ASSERT_TRUE(asked.is_arp_request());
    EXPECT_EQ(asked.packet.destination_mac(), MacAddress::broadcast());
    EXPECT_TRUE(asked.arp->sender.is_unspecified());
    EXPECT_EQ(asked.arp->target, address_of(1));
    EXPECT_EQ(asked.arp->sender_mac, mac_of(1));
}

TEST_F(DuplicatesByArp, Rfc5227_AddressThatNobodyClaimsIsAnnouncedTwice) {
    host.run();
    host.take_sent();
    pass(Duration::milliseconds(1999));
    EXPECT_TRUE(host.take_sent().empty());
    pass(Duration::milliseconds(1));
    EXPECT_TRUE(announces());
    pass(Duration::seconds(2));
    EXPECT_TRUE(announces());
    EXPECT_FALSE(host.worker.next_deadline().has_value());
    pass(Duration::seconds(60));
    EXPECT_TRUE(host.take_sent().empty());
}

TEST_F(DuplicatesByArp, Rfc5227_AddressOfAnotherIsNotAnnounced) {
    host.run();
    host.take_sent();
    claim();
    EXPECT_EQ(host.worker.stack_counters().duplicate_addresses, 1u);
    pass(Duration::seconds(60));
    EXPECT_TRUE(host.take_sent().empty());
}

TEST_F(DuplicatesByArp, Rfc5227_AnnouncedAddressIsDefendedOnceInTenSeconds) {
    host.run();
    pass(Duration::seconds(2));
    pass(Duration::seconds(2));
    host.take_sent();
    claim();
    EXPECT_TRUE(announces());
    claim();
    pass(Duration::milliseconds(9999));
    claim();
    EXPECT_TRUE(host.take_sent().empty());
    pass(Duration::milliseconds(1));
    claim();
    EXPECT_TRUE(announces());
    EXPECT_EQ(host.worker.stack_counters().duplicate_addresses, 4u);
}

TEST_F(DuplicatesByArp, OurOwnQuestionIsNotAnswered) {
    host.run();
    host.run(host.take_one());
    EXPECT_TRUE(host.take_sent().empty());
    EXPECT_EQ(host.worker.stack_counters().duplicate_addresses, 0u);
}

// The two ends of a tap have one Ethernet address.
TEST_F(DuplicatesByArp, QuestionFromOurEthernetAddressForAnotherIsAnswered) {
    host.run();
    host.take_sent();
    host.run(arp_frame(wire::ArpOperation::request, 9, address_of(1), MacAddress::broadcast(),
                       mac_of(1)));
    const Read answer{host.take_one()};
    ASSERT_TRUE(answer.arp.has_value());
    EXPECT_EQ(answer.arp->operation, wire::ArpOperation::reply);
    EXPECT_EQ(answer.arp->target, address_of(9));
}

TEST_F(DuplicatesByArp, Rfc5227_QuestionOfAnotherIsAnswered) {
    host.run();
    host.take_sent();
    host.run(arp_frame(wire::ArpOperation::request, 9, address_of(1), MacAddress::broadcast(),
                       mac_of(9), true));
    const Read answer{host.take_one()};
    ASSERT_TRUE(answer.arp.has_value());
    EXPECT_EQ(answer.arp->operation, wire::ArpOperation::reply);
    EXPECT_EQ(answer.arp->sender, address_of(1));
}

}  // namespace
}  // namespace synfin::stack::test
