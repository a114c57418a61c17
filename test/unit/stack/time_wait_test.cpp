// TIME_WAIT: what the compact record answers, and when it gives way.
#include <gtest/gtest.h>

#include "stack_world.hpp"

namespace synfin::stack::test {
namespace {

using tcp::State;
namespace flag = wire::flag;

/// Host 1 listens on port 80 and closes first; the peer is played by hand from 10.0.0.9:4000.
class TimeWait : public ::testing::Test {
  protected:
    TimeWait() {
        EXPECT_TRUE(host.worker.listen({{}, 80}, service).has_value());
        service.when_established = [](Worker& worker, ConnectionId c) { worker.close(c); };
        host.run(segment_frame({.seq = 1000, .flags = flag::syn}));
        const Read syn_ack{host.take_one()};
        iss = syn_ack.packet.seq;
        host.run(segment_frame({.seq = 1001, .ack = iss + 1, .flags = flag::ack}));
        host.take_sent();
        host.run(segment_frame({.seq = 1001, .ack = iss + 2, .flags = flag::fin | flag::ack}));
        host.take_sent();
        EXPECT_EQ(host.worker.gauges().time_wait, 1u);
        EXPECT_EQ(host.worker.gauges().connections, 0u);
        EXPECT_EQ(service.closed, 1u);
    }
    Host host{config_of(1, 9)};
    Recorder service;
    uint32_t iss = 0;
};

TEST_F(TimeWait, RetransmittedFinIsAcknowledgedAndStartsOver) {
    host.now = host.now + Duration::seconds(30);
    host.run(segment_frame({.seq = 1001, .ack = iss + 2, .flags = flag::fin | flag::ack}));
    const Read ack{host.take_one()};
    EXPECT_EQ(ack.packet.flags, flag::ack);
    EXPECT_EQ(ack.packet.seq, iss + 2);
    EXPECT_EQ(ack.packet.ack, 1002u);
    EXPECT_EQ(ack.packet.window, 0xffff);
    host.now = host.now + Duration::seconds(59);
    host.run();
    EXPECT_EQ(host.worker.gauges().time_wait, 1u);
    host.now = host.now + Duration::seconds(1);
    host.run();
    EXPECT_EQ(host.worker.gauges().time_wait, 0u);
    EXPECT_TRUE(host.holds_nothing());
}

TEST_F(TimeWait, ResetIsIgnored) {  // RFC 1337
    host.run(segment_frame({.seq = 1002, .flags = flag::rst}));
    EXPECT_EQ(host.worker.gauges().time_wait, 1u);
    EXPECT_TRUE(host.take_sent().empty());
}

TEST_F(TimeWait, NewerSynReopensThroughTheListener) {  // RFC 6191, MAY-2
    service.when_established = {};
    host.run(segment_frame({.seq = 2000, .flags = flag::syn}));
    const Read syn_ack{host.take_one()};
    EXPECT_TRUE(syn_ack.packet.flags.has_all(flag::syn | flag::ack));
    EXPECT_EQ(syn_ack.packet.ack, 2001u);
    EXPECT_GT(static_cast<int32_t>(syn_ack.packet.seq - iss), 0);
    EXPECT_EQ(host.worker.gauges().time_wait, 0u);
    EXPECT_EQ(host.worker.tcp_counters().time_wait_reused, 1u);
    host.run(segment_frame({.seq = 2001, .ack = syn_ack.packet.seq + 1, .flags = flag::ack}));
    EXPECT_EQ(host.worker.state(service.ids.back()), State::established);
}

TEST_F(TimeWait, OldSynIsAnsweredWithAnAck) {
    host.run(segment_frame({.seq = 900, .flags = flag::syn}));
    EXPECT_EQ(Read{host.take_one()}.packet.flags, flag::ack);
    EXPECT_EQ(host.worker.gauges().time_wait, 1u);
}

TEST_F(TimeWait, NewerSynWithoutAListenerLeavesTheRecord) {
    host.worker.close_listener({{}, 80});
    host.run(segment_frame({.seq = 2000, .flags = flag::syn}));
    EXPECT_EQ(Read{host.take_one()}.packet.flags, flag::ack);
    EXPECT_EQ(host.worker.gauges().time_wait, 1u);
}

// What SO_REUSEADDR is for elsewhere: old tuples keep nobody from listening again.
TEST_F(TimeWait, ListenerThatStartsAgainTakesNewerSynsOfOldTuples) {
    service.when_established = {};
    host.worker.close_listener({{}, 80});
    ASSERT_TRUE(host.worker.listen({{}, 80}, service));
    EXPECT_EQ(host.worker.gauges().time_wait, 1u);
    host.run(segment_frame({.seq = 900, .flags = flag::syn}));
    EXPECT_EQ(Read{host.take_one()}.packet.flags, flag::ack) << "an old duplicate";
    host.run(segment_frame({.seq = 2000, .flags = flag::syn}));
    const Read syn_ack{host.take_one()};
    EXPECT_EQ(syn_ack.packet.flags, flag::syn | flag::ack);
    host.run(segment_frame({.seq = 2001, .ack = syn_ack.packet.seq + 1, .flags = flag::ack}));
    EXPECT_EQ(host.worker.state(service.ids.back()), State::established);
}

TEST_F(TimeWait, CanBeClearedAtOnce) {
    host.worker.clear_time_wait();
    EXPECT_EQ(host.worker.gauges().time_wait, 0u);
}

TEST(TimeWaitLimit, OldestRecordGivesWayAndItsPortIsFree) {
    WorkerConfig config = config_of(1);
    config.max_time_wait = 2;
    config.first_port = 50000;
    config.last_port = 50002;
    Host client{config};
    Host server{config_of(2)};
    Cable cable{client, server};
    Recorder user;
    Recorder service;
    service.when_peer_closed = [](Worker& worker, ConnectionId c) { worker.close(c); };
    ASSERT_TRUE(server.worker.listen({{}, 80}, service).has_value());
    for (int i = 0; i < 10; ++i) {
        const auto id = client.worker.connect({address_of(2), 80}, user);
        ASSERT_TRUE(id.has_value()) << i;
        cable.settle();
        client.worker.close(*id);
        cable.settle();
        client.now = server.now = client.now + Duration::milliseconds(5);
    }
    EXPECT_EQ(user.closed, 10u);
    EXPECT_EQ(client.worker.gauges().time_wait, 2u);
    EXPECT_EQ(client.worker.tcp_counters().time_wait_overflow, 8u);
}

/// A client that has two ports, both of which wait after two connections that it closed.
class TimeWaitReuse : public ::testing::Test {
  protected:
    explicit TimeWaitReuse(Duration reuse = Duration::seconds(1))
        : client{config_with(reuse)}, server{config_of(2)}, cable{client, server} {
        service.when_peer_closed = [](Worker& worker, ConnectionId c) { worker.close(c); };
        EXPECT_TRUE(server.worker.listen({{}, 80}, service).has_value());
        open_and_close();
        wait(Duration::milliseconds(5));
        open_and_close();
        EXPECT_EQ(client.worker.gauges().time_wait, 2u);
    }
    static WorkerConfig config_with(Duration reuse) {
        WorkerConfig config = config_of(1);
        config.first_port = 50000;
        config.last_port = 50001;
        config.time_wait_reuse = reuse;
        return config;
    }
    void wait(Duration time) {
        client.now = server.now = client.now + time;
        cable.settle();
    }
    void open_and_close() {
        const auto id = client.worker.connect({address_of(2), 80}, user);
        ASSERT_TRUE(id.has_value());
        cable.settle();
        client.worker.close(*id);
        cable.settle();
    }
    Host client;
    Host server;
    Cable cable;
    Recorder user;
    Recorder service;
};

TEST_F(TimeWaitReuse, YoungRecordKeepsItsTuple) {
    wait(Duration::milliseconds(990));
    EXPECT_EQ(client.worker.connect({address_of(2), 80}, user).error(),
              Error::address_not_available);
    EXPECT_EQ(client.worker.gauges().time_wait, 2u);
}

TEST_F(TimeWaitReuse, Rfc6191_OldestGivesItsTupleToWhoFindsNoPort) {
    wait(Duration::milliseconds(996));
    const auto id = client.worker.connect({address_of(2), 80}, user);
    ASSERT_TRUE(id.has_value());
    EXPECT_EQ(client.worker.gauges().time_wait, 1u);
    EXPECT_EQ(client.worker.tcp_counters().time_wait_reused, 1u);
    // The second record is younger.
    EXPECT_FALSE(client.worker.connect({address_of(2), 80}, user).has_value());
    cable.settle();
    EXPECT_EQ(client.worker.state(*id), State::established);
    client.worker.close(*id);
    cable.settle();
    EXPECT_EQ(client.worker.gauges().time_wait, 2u);
    wait(Duration::seconds(60));
    EXPECT_TRUE(client.holds_nothing());
}

TEST_F(TimeWaitReuse, Rfc6191_TupleThatIsAskedForByItsPortIsGiven) {
    const ConnectOptions options{.source = {}, .source_port = 50001};
    EXPECT_EQ(client.worker.connect({address_of(2), 80}, user, options).error(),
              Error::address_in_use);
    wait(Duration::seconds(1));
    const auto id = client.worker.connect({address_of(2), 80}, user, options);
    ASSERT_TRUE(id.has_value());
    cable.settle();
    EXPECT_EQ(client.worker.state(*id), State::established);
}

// The port of a record that a listener has left was never the allocator's.
TEST_F(TimeWaitReuse, TupleOfAPassiveConnectionIsGivenWithoutItsPort) {
    Recorder listener;
    listener.when_established = [](Worker& worker, ConnectionId c) { worker.close(c); };
    ASSERT_TRUE(client.worker.listen({{}, 50000}, listener).has_value());
    Recorder caller;
    caller.when_peer_closed = [](Worker& worker, ConnectionId c) { worker.close(c); };
    ASSERT_TRUE(
        server.worker.connect({address_of(1), 50000}, caller, {.source = {}, .source_port = 81}));
    cable.settle();
    ASSERT_EQ(client.worker.gauges().time_wait, 3u);
    wait(Duration::seconds(1));

    ASSERT_TRUE(server.worker.listen({{}, 81}, service).has_value());
    const auto id =
        client.worker.connect({address_of(2), 81}, user, {.source = {}, .source_port = 50000});
    ASSERT_TRUE(id.has_value());
    cable.settle();
    EXPECT_EQ(client.worker.state(*id), State::established);
    client.worker.abort(*id);
    cable.settle();
    wait(Duration::seconds(60));
    EXPECT_TRUE(client.holds_nothing());
}

TEST_F(TimeWaitReuse, RecordOfAnotherDestinationIsLeftAlone) {
    wait(Duration::seconds(30));
    ASSERT_TRUE(client.worker.connect({address_of(2), 81}, user).has_value());
    EXPECT_EQ(client.worker.gauges().time_wait, 2u);
}

class TimeWaitWithoutReuse : public TimeWaitReuse {
  protected:
    TimeWaitWithoutReuse() : TimeWaitReuse{Duration::forever()} {}
};

TEST_F(TimeWaitWithoutReuse, WholeTimeIsWaited) {
    wait(Duration::seconds(59));
    EXPECT_EQ(client.worker.connect({address_of(2), 80}, user).error(),
              Error::address_not_available);
}

}  // namespace
}  // namespace synfin::stack::test
