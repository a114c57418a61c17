// What an application learns of its connections beside data, and what it may set for their packets:
// reports, urgent data, time to live, differentiated services.
#include <gtest/gtest.h>

#include "stack_world.hpp"

namespace synfin::stack::test {
namespace {

using tcp::Report;
using tcp::State;
namespace flag = wire::flag;

class Reports : public ::testing::Test {
  protected:
    ConnectionId connect(Host& from) {
        const auto id = from.worker.connect({address_of(2), 80}, user);
        EXPECT_TRUE(id.has_value());
        return *id;
    }
    /// The ICMP message about `frame`, as a router 10.0.0.9 sends it.
    static Bytes error_about(const Bytes& frame, wire::Icmp4Type type, uint8_t code) {
        const std::span<const uint8_t> datagram = std::span{frame}.subspan(14);
        return icmp_frame(9, address_of(1), [&](uint8_t* out) {
            return wire::write_icmp4_error(out, type, code, 0, datagram);
        });
    }
    Recorder user;
};

TEST_F(Reports, Must47_Shld25_IcmpErrorsReachTheApplicationByTheirMeaning) {
    Host host{config_of(1, 2)};
    const ConnectionId id = connect(host);
    host.run();
    const Bytes syn = host.take_one();
    using enum wire::Icmp4Type;
    for (const uint8_t code : std::initializer_list<uint8_t>{0, 1, 5, 6, 7, 11, 12}) {
        host.run(error_about(syn, destination_unreachable, code));
    }
    host.run(error_about(syn, time_exceeded, 0));
    host.run(error_about(syn, parameter_problem, 0));
    const std::vector<Report> expected{
        Report::network_unreachable, Report::host_unreachable, Report::source_route_failed,
        Report::network_unreachable, Report::host_unreachable, Report::network_unreachable,
        Report::host_unreachable,    Report::time_exceeded,    Report::parameter_problem};
    EXPECT_EQ(user.life(id).reports, expected);
    EXPECT_EQ(host.worker.state(id), State::syn_sent);
    host.run(error_about(syn, destination_unreachable, 3));
    EXPECT_EQ(user.life(id).reports.back(), Report::port_unreachable);
    EXPECT_EQ(user.life(id).reason, tcp::CloseReason::unreachable);
}

// No waiting helps against a rule of a firewall.
TEST_F(Reports, AnAttemptThatAnAdministratorHasProhibitedEnds) {
    for (const uint8_t code : std::initializer_list<uint8_t>{9, 10, 13}) {
        Host host{config_of(1, 2)};
        const ConnectionId id = connect(host);
        host.run();
        const Bytes syn = host.take_one();
        host.run(error_about(syn, wire::Icmp4Type::destination_unreachable, code));
        EXPECT_EQ(user.life(id).reports.back(),
                  code == 9 ? Report::network_prohibited : Report::host_prohibited);
        EXPECT_EQ(user.life(id).reason, tcp::CloseReason::unreachable);
    }
}

TEST_F(Reports, Must55_SourceQuenchIsDiscarded) {
    Host host{config_of(1, 2)};
    const ConnectionId id = connect(host);
    host.run();
    const Bytes syn = host.take_one();
    host.run(error_about(syn, static_cast<wire::Icmp4Type>(4), 0));
    EXPECT_TRUE(user.life(id).reports.empty());
    EXPECT_EQ(host.worker.stack_counters().icmp_other, 1u);
    EXPECT_TRUE(host.take_sent().empty());
}

TEST_F(Reports, Shld20_ApplicationThatDoesNotWantThemIsNotTroubled) {
    class Plain : public Application {
        void on_established(Worker&, ConnectionId) override {}
        size_t on_data(Worker&, ConnectionId, std::span<const uint8_t> data) override {
            return data.size();
        }
        void on_peer_closed(Worker&, ConnectionId) override {}
        void on_writable(Worker&, ConnectionId) override {}
        void on_closed(Worker&, ConnectionId, tcp::CloseReason) override {}
    } plain;
    Host host{config_of(1, 2)};
    const auto id = host.worker.connect({address_of(2), 80}, plain);
    host.run();
    host.run(error_about(host.take_one(), wire::Icmp4Type::destination_unreachable, 1));
    EXPECT_EQ(host.worker.state(*id), State::syn_sent);
}

TEST_F(Reports, ListenerHearsNothingOfHalfOpenConnections) {
    Host host{config_of(1, 9)};
    ASSERT_TRUE(host.worker.listen({{}, 80}, user));
    host.run(segment_frame({}));
    host.run(error_about(host.take_one(), wire::Icmp4Type::destination_unreachable, 1));
    EXPECT_TRUE(user.lives.empty());
}

// What the neighbor table knows was learned by asking, so that there is something to doubt.
TEST_F(Reports, Must20_Shld9_AtR1TheUserIsToldAndTheNextHopIsAskedAgain) {
    WorkerConfig config = config_of(1);
    config.profiles[0].report_retries = 4;
    Host client{config};
    Host server{config_of(2)};
    Cable cable{client, server};
    Recorder service;
    ASSERT_TRUE(server.worker.listen({{}, 80}, service));
    const ConnectionId id = connect(client);
    cable.settle();
    ASSERT_EQ(client.worker.state(id), State::established);
    client.worker.send(id, bytes_of("x"));
    unsigned asked = 0;
    while (user.life(id).reports.empty()) {  // the cable is cut
        EXPECT_EQ(asked, 0u);
        client.run();
        for (Bytes& frame : client.take_sent()) asked += Read{std::move(frame)}.is_arp_request();
        const auto next = client.worker.next_deadline();
        ASSERT_TRUE(next.has_value());
        client.now = std::max(*next, client.now);
        ASSERT_LT(client.now, Instant::from_us(1'000'000) + Duration::seconds(50));
        client.loop.run_once(client.now);
    }
    EXPECT_EQ(user.life(id).reports, std::vector<Report>{Report::retrying});
    client.run();
    for (Bytes& frame : client.take_sent()) asked += Read{std::move(frame)}.is_arp_request();
    EXPECT_EQ(asked, 1u);
    EXPECT_EQ(client.worker.state(id), State::established);
}

TEST_F(Reports, Must30_Must32_Must33_UrgentDataGoesFromUserToUser) {
    Host client{config_of(1, 2)};
    Host server{config_of(2, 1)};
    Cable cable{client, server};
    Recorder service;
    size_t remaining_while_read = 99;
    service.when_data = [&](Worker& worker, ConnectionId c, std::span<const uint8_t> data) {
        remaining_while_read = worker.urgent_bytes(c);
        return data.size();
    };
    ASSERT_TRUE(server.worker.listen({{}, 80}, service));
    const ConnectionId id = connect(client);
    cable.settle();
    EXPECT_EQ(client.worker.send_urgent(id, bytes_of("stop!")), 5u);
    client.worker.send(id, bytes_of("more"));
    cable.settle();
    const auto& life = service.life(service.ids[0]);
    EXPECT_EQ(life.events, "eud");
    EXPECT_EQ(life.urgent, 5u);
    EXPECT_EQ(life.data, "stop!more");
    EXPECT_EQ(remaining_while_read, 0u);
}

// ---- what a profile says of packets

class PacketFields : public ::testing::TestWithParam<Family> {
  protected:
    WorkerConfig config() const {
        WorkerConfig config = config_of(1, 9, GetParam());
        config.profiles[0].time_to_live = 200;
        config.profiles[0].diffserv = 46;
        return config;
    }
    HandMade from_peer(uint32_t seq, uint32_t ack, wire::TcpFlags flags) const {
        return {.from = address_of(9, GetParam()),
                .to = address_of(1, GetParam()),
                .seq = seq,
                .ack = ack,
                .flags = flags};
    }
    /// The only segment that was sent, which bears the fields of the profile.
    Read segment() {
        Read sent{host.take_one()};
        EXPECT_TRUE(sent.is_tcp());
        EXPECT_EQ(sent.packet.hop_limit, 200);
        EXPECT_EQ(sent.packet.traffic_class >> 2, 46);
        return sent;
    }
    Host host{config()};
    Recorder service;
};
INSTANTIATE_TEST_SUITE_P(Families, PacketFields, ::testing::Values(Family::ipv4, Family::ipv6),
                         [](const auto& p) { return name_of(p.param); });

TEST_P(PacketFields, Must48_Must49_Shld22_EachSegmentOfAConnectionBearsThoseOfItsProfile) {
    ASSERT_TRUE(host.worker.listen({{}, 80}, service));
    host.run(segment_frame(from_peer(1000, 0, flag::syn)));
    const uint32_t iss = segment().packet.seq;
    host.run(segment_frame(from_peer(1001, iss + 1, flag::ack)));
    ASSERT_EQ(service.ids.size(), 1u);
    host.worker.send(service.ids[0], bytes_of("hello"));
    host.run();
    EXPECT_EQ(segment().packet.payload.size(), 5u);
    host.worker.close(service.ids[0]);
    host.run();
    EXPECT_TRUE(segment().packet.flags.fin());
    for (int time = 0; time < 2; ++time) {  // the second is answered from TIME_WAIT
        host.run(segment_frame(from_peer(1001, iss + 7, flag::fin | flag::ack)));
        EXPECT_EQ(segment().packet.ack, 1002u) << time;
    }
}

TEST_P(PacketFields, Must48_Must49_ThoseOfAnActiveOpenDoToo) {
    ASSERT_TRUE(host.worker.connect({address_of(9, GetParam()), 80}, service).has_value());
    host.run();
    EXPECT_EQ(segment().packet.flags, flag::syn);
}

TEST_P(PacketFields, Must48_Must49_AnswersWithoutAConnectionDoToo) {
    host.run(segment_frame(from_peer(1000, 0, flag::syn)));
    EXPECT_TRUE(segment().packet.flags.rst());
    ASSERT_TRUE(host.worker.listen({{}, 80}, service, {.syn_cookies = SynCookies::always}));
    host.run(segment_frame(from_peer(1000, 0, flag::syn)));
    EXPECT_EQ(segment().packet.flags, flag::syn | flag::ack);
    host.run(segment_frame(from_peer(1001, 77, flag::ack)));
    EXPECT_TRUE(segment().packet.flags.rst());
}

TEST_P(PacketFields, Must49_ProfilesDiffer) {
    WorkerConfig two = config();
    two.profiles.resize(2);
    two.profiles[1].time_to_live = 3;
    Host client{two};
    for (const uint16_t profile : {uint16_t{0}, uint16_t{1}}) {
        ConnectOptions options;
        options.profile = profile;
        ASSERT_TRUE(client.worker.connect({address_of(9, GetParam()), 80}, service, options));
        client.run();
        EXPECT_EQ(Read{client.take_one()}.packet.hop_limit, profile == 0 ? 200 : 3);
    }
}

}  // namespace
}  // namespace synfin::stack::test
