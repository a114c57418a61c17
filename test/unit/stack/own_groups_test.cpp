// What is said to switches that watch multicast about our IPv6 addresses, and that it is enough for
// neighbors to find us (RFC 3810, RFC 2710).
#include <gtest/gtest.h>

#include <synfin/wire/multicast_listener.hpp>

#include "stack_world.hpp"

namespace synfin::stack::test {
namespace {

const IpAddress all_nodes = IpAddress::v6(0xff02'0000'0000'0000, 1);
const IpAddress router = IpAddress::v6(0xfe80'0000'0000'0000, 9);
constexpr size_t type_offset = wire::Ipv6View::header_bytes + 8;

IpAddress own_group() { return wire::solicited_node_address(address_of(1, Family::ipv6)); }

/// A report that has been sent: its header, its type, and the records with their groups.
struct Reported {
    explicit Reported(Bytes bytes) : read{std::move(bytes)}, message{read.packet.payload} {}
    uint8_t type() const { return message[0]; }
    /// Of version 1.
    IpAddress group() const { return wire::load_ipv6(&message[8]); }
    /// Of version 2.
    uint16_t records() const { return wire::load_be16(&message[6]); }
    uint8_t record(size_t i) const { return message[8 + 20 * i]; }
    IpAddress group(size_t i) const { return wire::load_ipv6(&message[12 + 20 * i]); }
    Read read;
    std::span<const uint8_t> message;
};

class Groups : public ::testing::Test {
  protected:
    static WorkerConfig config() {
        WorkerConfig config = config_of(1, Family::ipv6);
        config.interfaces[0].introduce_addresses = true;
        return config;
    }
    /// What has been sent and is no question about duplicates.
    static std::vector<Reported> reports_of(Host& host) {
        std::vector<Reported> reports;
        for (Bytes& frame : host.take_sent()) {
            Reported reported{std::move(frame)};
            if (!reported.message.empty() && (reported.type() == 143 || reported.type() == 131))
                reports.push_back(std::move(reported));
        }
        return reports;
    }
    std::vector<Reported> reports() { return reports_of(host); }
    void pass(Duration time) {
        host.now = host.now + time;
        host.run();
    }
    void introduce() {
        host.run();
        pass(Duration::seconds(1));
        reports();
    }
    /// Of `bytes`: 24 are version 1, 28 version 2.
    static Bytes query(size_t bytes, uint16_t within_ms, uint8_t hop_limit = 1,
                       const IpAddress& from = router) {
        return icmp6_frame({.from_host = 9,
                            .from = from,
                            .to = all_nodes,
                            .to_mac = wire::multicast_mac(all_nodes),
                            .hop_limit = hop_limit},
                           [&](uint8_t* out, const IpAddress& source, const IpAddress& to) {
                               std::fill(out + 8, out + bytes, uint8_t{0});
                               return wire::complete_icmp6(out, wire::Icmp6Type::listener_query, 0,
                                                           uint32_t{within_ms} << 16, bytes - 8,
                                                           source, to);
                           });
    }
    Host host{config()};
};

TEST_F(Groups, Rfc3810_OwnGroupIsReportedTwiceAtTheStart) {
    host.run();
    pass(Duration::seconds(1));
    const auto said = reports();
    ASSERT_EQ(said.size(), 2u);
    for (const Reported& report : said) {
        const wire::Packet& p = report.read.packet;
        EXPECT_EQ(p.destination, wire::all_listener_routers);
        EXPECT_EQ(p.destination_mac(), wire::multicast_mac(wire::all_listener_routers));
        EXPECT_TRUE(p.source.is_unspecified());
        EXPECT_EQ(p.hop_limit, 1);
        EXPECT_TRUE(wire::Icmp6View::checked(p.payload, p.source, p.destination, p.hop_limit));
        EXPECT_EQ(report.type(), 143);
        ASSERT_EQ(report.records(), 1);
        EXPECT_EQ(report.record(0), 4) << "changes to exclude nobody";
        EXPECT_EQ(report.group(0), own_group());
    }
    pass(Duration::seconds(600));
    EXPECT_TRUE(reports().empty());
    EXPECT_EQ(host.worker.stack_counters().listener_reports_out, 2u);
}

TEST_F(Groups, Rfc2711_ReportCarriesARouterAlert) {
    host.run();
    const auto said = reports();
    ASSERT_EQ(said.size(), 1u);
    const std::span<const uint8_t> packet = said[0].read.packet.network;
    EXPECT_EQ(packet[6], 0) << "hop-by-hop options";
    const Bytes options{packet.begin() + 40, packet.begin() + type_offset};
    EXPECT_EQ(options, (Bytes{58, 0, 5, 2, 0, 0, 1, 0}));
}

TEST_F(Groups, Rfc4862_GroupIsReportedBeforeItIsAskedForDuplicates) {
    host.run();
    const auto sent = host.take_sent();
    ASSERT_EQ(sent.size(), 2u);
    EXPECT_EQ(Reported{sent[0]}.type(), 143);
    EXPECT_EQ(Reported{sent[1]}.type(), 135);
}

TEST_F(Groups, Rfc3810_QueryIsAnsweredWithinItsTime) {
    introduce();
    host.run(query(28, 10'000));
    pass(Duration::seconds(10));
    const auto said = reports();
    ASSERT_EQ(said.size(), 1u);
    EXPECT_EQ(said[0].type(), 143);
    ASSERT_EQ(said[0].records(), 1);
    EXPECT_EQ(said[0].record(0), 2) << "excludes nobody";
    EXPECT_EQ(said[0].group(0), own_group());
    EXPECT_EQ(host.worker.stack_counters().listener_queries_in, 1u);
}

TEST_F(Groups, Rfc3810_HostsShareTheTimeByTheirEthernetAddresses) {
    const auto answered_after = [](uint8_t last_octet) {
        WorkerConfig config = Groups::config();
        config.interfaces[0].mac.bytes[4] = last_octet;
        Host answering{config};
        for (int step = 0; answering.worker.next_deadline() && step < 10; ++step) {
            answering.now = *answering.worker.next_deadline();
            answering.run();
        }
        answering.run(query(28, 10'000));
        return *answering.worker.next_deadline() - answering.now;
    };
    EXPECT_GE(answered_after(0x80), Duration::seconds(5));
    EXPECT_LT(answered_after(0x01), Duration::milliseconds(80));
}

TEST_F(Groups, Rfc2710_QueryOfVersionOneIsAnsweredInIt) {
    introduce();
    host.run(query(24, 1000));
    pass(Duration::seconds(1));
    const auto said = reports();
    ASSERT_EQ(said.size(), 1u);
    EXPECT_EQ(said[0].type(), 131);
    EXPECT_EQ(said[0].group(), own_group());
    EXPECT_EQ(said[0].read.packet.destination, own_group());
    EXPECT_EQ(said[0].read.packet.destination_mac(), wire::multicast_mac(own_group()));
}

TEST_F(Groups, Rfc3810_QueryThatMayHaveComeThroughARouterIsNotAnswered) {
    introduce();
    host.run(query(28, 0, 255));
    host.run(query(28, 0, 1, address_of(9, Family::ipv6)));
    host.run(query(26, 0));
    pass(Duration::seconds(60));
    EXPECT_TRUE(reports().empty());
    EXPECT_EQ(host.worker.stack_counters().drop_link_group, 3u);
}

TEST_F(Groups, Rfc3590_LinkLocalAddressIsTheSourceOfReports) {
    WorkerConfig with_link_local = config();
    const IpAddress own = IpAddress::v6(0xfe80'0000'0000'0000, 1);
    with_link_local.interfaces[0].addresses.push_back({own, 128});
    Host both{with_link_local};
    both.run();
    const auto said = reports_of(both);
    ASSERT_EQ(said.size(), 2u);
    EXPECT_EQ(said[0].read.packet.source, own);
}

TEST_F(Groups, SmallBlocksAreReportedAndLargeOnesAreNot) {
    WorkerConfig with_blocks = config();
    with_blocks.interfaces[0].addresses = {
        {IpAddress::v6(0xfd00'0002'0000'0000, 0x100), 120},
        {IpAddress::v6(0xfd00'0003'0000'0000, 0x1000), 119},
    };
    Host generator{with_blocks};
    generator.run();
    const auto said = reports_of(generator);
    ASSERT_EQ(said.size(), 8u);
    uint64_t expected = 0x1'ff00'0100;
    for (const Reported& report : said) {
        ASSERT_EQ(report.records(), 32);
        for (size_t i = 0; i < 32; ++i) {
            EXPECT_EQ(report.group(i), IpAddress::v6(0xff02'0000'0000'0000, expected++));
        }
    }
}

TEST_F(Groups, NothingIsReportedWithoutBeingTold) {
    Host silent{config_of(1, Family::ipv6)};
    silent.run(query(28, 0));
    EXPECT_TRUE(silent.take_sent().empty());
}

}  // namespace
}  // namespace synfin::stack::test
