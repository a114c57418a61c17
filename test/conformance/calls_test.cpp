// What RFC 9293 section 3.9.1 requires of the user's calls, over whole workers: which addresses and
// ports an OPEN takes, what it leaves alone, what is reported and what is not.
#include <gtest/gtest.h>

#include "../unit/stack/stack_world.hpp"

namespace synfin::stack::test {
namespace {

namespace flag = wire::flag;

class Calls : public ::testing::Test {
  protected:
    static Read only(Host& host) { return Read{host.take_one()}; }
    /// A segment of 10.0.0.9, port 4000.
    static Bytes from_peer(uint16_t to_port, uint32_t seq, uint32_t ack, wire::TcpFlags flags) {
        return segment_frame({.to_port = to_port, .seq = seq, .ack = ack, .flags = flags});
    }
    /// An active open from a port of our choice to 10.0.0.9, port 4000; its SYN is taken.
    Read open_from(Host& host, uint16_t port) {
        ConnectOptions options;
        options.source_port = port;
        const auto id = host.worker.connect({address_of(9), 4000}, user, options);
        EXPECT_TRUE(id.has_value());
        host.run();
        return only(host);
    }
    Recorder user;
};

TEST_F(Calls, Must42_ListenIsPossibleOnThePortOfAConnectionInSynSent) {
    Host host{config_of(1, 9)};
    const Read syn = open_from(host, 5000);
    ASSERT_TRUE(syn.is_tcp());
    Recorder server;
    ASSERT_TRUE(host.worker.listen({{}, 5000}, server).has_value());
    // The open goes on, and others reach the listener.
    host.run(from_peer(5000, 700, syn.packet.seq + 1, flag::syn | flag::ack));
    EXPECT_EQ(only(host).packet.ack, 701u);
    EXPECT_EQ(user.ids.size(), 1u);
    host.run(segment_frame({.from_port = 4001, .to_port = 5000}));
    EXPECT_EQ(only(host).packet.flags, flag::syn | flag::ack);
    EXPECT_TRUE(server.ids.empty());
}

TEST_F(Calls, Must42_ListenIsPossibleOnThePortOfAConnectionInSynReceived) {
    Host host{config_of(1, 9)};
    const Read syn = open_from(host, 5000);
    host.run(from_peer(5000, 700, 0, flag::syn));  // both opened
    EXPECT_EQ(only(host).packet.flags, flag::syn | flag::ack);
    Recorder server;
    ASSERT_TRUE(host.worker.listen({{}, 5000}, server).has_value());
    host.run(from_peer(5000, 701, syn.packet.seq + 1, flag::ack));
    EXPECT_EQ(user.ids.size(), 1u);
    host.run(segment_frame({.from_port = 4001, .to_port = 5000}));
    EXPECT_EQ(only(host).packet.flags, flag::syn | flag::ack);
    EXPECT_TRUE(server.ids.empty());
}

TEST_F(Calls, Must41_PassiveOpenTouchesNoConnectionOfItsPort) {
    Host host{config_of(1, 9)};
    ASSERT_TRUE(host.worker.listen({{}, 80}, user).has_value());
    host.run(from_peer(80, 1000, 0, flag::syn));
    const Read answer = only(host);
    // Another listener on the same port, for one address.
    Recorder other;
    ASSERT_TRUE(host.worker.listen({address_of(1), 80}, other).has_value());
    EXPECT_FALSE(host.worker.listen({address_of(1), 80}, other).has_value());
    host.run();
    EXPECT_TRUE(host.take_sent().empty());
    host.run(from_peer(80, 1001, answer.packet.seq + 1, flag::ack));
    EXPECT_EQ(user.ids.size(), 1u);
    EXPECT_TRUE(other.ids.empty());
    EXPECT_EQ(host.worker.state(user.ids[0]), tcp::State::established);
}

TEST_F(Calls, Must43_ConnectionIsOpenedFromTheAddressThatTheUserNames) {
    WorkerConfig config = config_of(1, 9);
    config.interfaces[0].addresses.push_back({address_of(5), 32});
    Host host{config};
    ASSERT_TRUE(
        host.worker.connect({address_of(9), 80}, user, {.source = address_of(5)}).has_value());
    host.run();
    EXPECT_EQ(only(host).packet.source, address_of(5));
}

TEST_F(Calls, Must44_WithoutALocalAddressTheOneOfTheRouteIsTaken) {
    WorkerConfig config = config_of(1, 9);
    config.interfaces.push_back(config.interfaces[0]);
    config.interfaces[1].mac = mac_of(2);
    config.interfaces[1].addresses = {{IpAddress::v4(172, 16, 0, 1), 32}};
    config.interfaces[1].on_link = {{IpAddress::v4(172, 16, 0, 0), 24}};
    config.interfaces[1].static_neighbors = {{IpAddress::v4(172, 16, 0, 9), mac_of(9)}};
    Worker worker{config};
    const auto near = worker.connect({address_of(9), 80}, user);
    const auto far = worker.connect({IpAddress::v4(172, 16, 0, 9), 80}, user);
    ASSERT_TRUE(near.has_value() && far.has_value());
    EXPECT_EQ(worker.local(*near).address, address_of(1));
    EXPECT_EQ(worker.local(*far).address, IpAddress::v4(172, 16, 0, 1));
}

TEST_F(Calls, Must45_ConnectionKeepsTheAddressThatItsFirstSegmentWasSentTo) {
    WorkerConfig config = config_of(1, 9);
    config.interfaces[0].addresses.push_back({address_of(5), 32});
    Host host{config};
    ASSERT_TRUE(host.worker.listen({{}, 80}, user).has_value());
    host.run(segment_frame({.to = address_of(5)}));
    const Read answer = only(host);
    EXPECT_EQ(answer.packet.source, address_of(5));
    host.run(segment_frame(
        {.to = address_of(5), .seq = 1001, .ack = answer.packet.seq + 1, .flags = flag::ack}));
    ASSERT_EQ(user.ids.size(), 1u);
    host.worker.send(user.ids[0], bytes_of("hello"));
    host.worker.close(user.ids[0]);
    host.run();
    EXPECT_EQ(only(host).packet.source, address_of(5));
}

TEST_F(Calls, Must24_KeepAlivesAreSwitchedForEachConnection) {
    WorkerConfig config = config_of(1, 9);
    config.profiles.resize(2);
    config.profiles[1].keep_alive = true;
    Host host{config};
    ASSERT_TRUE(host.worker.listen({{}, 80}, user, {.profile = 0}).has_value());
    ASSERT_TRUE(host.worker.listen({{}, 81}, user, {.profile = 1}).has_value());
    for (const uint16_t port : {uint16_t{80}, uint16_t{81}}) {
        host.run(from_peer(port, 1000, 0, flag::syn));
        const uint32_t iss = only(host).packet.seq;
        host.run(from_peer(port, 1001, iss + 1, flag::ack));
    }
    ASSERT_EQ(user.ids.size(), 2u);
    while (const auto deadline = host.worker.next_deadline()) {
        if (*deadline > Instant::from_us(1'000'000) + Duration::hours(2)) break;
        host.now = *deadline;
        host.run();
    }
    const Read probe = only(host);
    ASSERT_TRUE(probe.is_tcp());
    EXPECT_EQ(probe.packet.source_port, 81);
}

TEST_F(Calls, May1_CloseEndsReadingToo) {
    Host host{config_of(1, 9)};
    ASSERT_TRUE(host.worker.listen({{}, 80}, user).has_value());
    host.run(from_peer(80, 1000, 0, flag::syn));
    const uint32_t iss = only(host).packet.seq;
    host.run(from_peer(80, 1001, iss + 1, flag::ack));
    ASSERT_EQ(user.ids.size(), 1u);
    host.worker.close(user.ids[0]);
    host.run();
    EXPECT_EQ(only(host).packet.flags, flag::fin | flag::ack);
    host.run(
        segment_frame({.seq = 1001, .ack = iss + 1, .flags = flag::ack, .payload = "for nobody"}));
    EXPECT_TRUE(only(host).packet.flags.rst());
    EXPECT_EQ(user.life(user.ids[0]).data, "");
}

}  // namespace
}  // namespace synfin::stack::test
