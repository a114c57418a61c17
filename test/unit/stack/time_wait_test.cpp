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

}  // namespace
}  // namespace synfin::stack::test
