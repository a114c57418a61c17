// Two workers talk to each other: handshake, data, the ends of a connection, and that nothing
// remains.
#include <algorithm>

#include <gtest/gtest.h>

#include "stack_world.hpp"

namespace synfin::stack::test {
namespace {

using tcp::CloseReason;
using tcp::State;

class Conversation : public ::testing::TestWithParam<Family> {
  protected:
    Conversation() { EXPECT_TRUE(server.worker.listen({{}, 80}, service).has_value()); }

    ConnectionId connect() {
        const auto id = client.worker.connect({address_of(2, GetParam()), 80}, user);
        EXPECT_TRUE(id.has_value());
        return id.value_or(ConnectionId{});
    }
    /// A connection that is established on both sides.
    std::pair<ConnectionId, ConnectionId> establish() {
        const ConnectionId id = connect();
        cable.settle();
        EXPECT_EQ(client.worker.state(id), State::established);
        return {id, service.ids.empty() ? ConnectionId{} : service.ids.back()};
    }
    void expect_nothing_held() {
        EXPECT_TRUE(client.holds_nothing());
        EXPECT_TRUE(server.holds_nothing());
    }

    Host client{config_of(1, GetParam())};
    Host server{config_of(2, GetParam())};
    Cable cable{client, server};
    Recorder user;
    Recorder service;
};
INSTANTIATE_TEST_SUITE_P(Families, Conversation, ::testing::Values(Family::ipv4, Family::ipv6),
                         [](const auto& p) { return name_of(p.param); });

TEST_P(Conversation, HandshakeIsToldOnceOnEachSide) {
    const auto [id, accepted] = establish();
    EXPECT_EQ(user.life(id).events, "e");
    EXPECT_EQ(service.life(accepted).events, "e");
    EXPECT_EQ(server.worker.state(accepted), State::established);
    EXPECT_EQ(server.worker.remote(accepted), client.worker.local(id));
    EXPECT_EQ(server.worker.local(accepted), (wire::SocketAddress{address_of(2, GetParam()), 80}));
}

TEST_P(Conversation, DataGoesBothWays) {
    const auto [id, accepted] = establish();
    client.worker.send(id, bytes_of("question"));
    cable.settle();
    EXPECT_EQ(service.life(accepted).data, "question");
    static const std::string answer = "answer";  // as send_static asks for: it outlives all
    server.worker.send_static(accepted, bytes_of(answer));
    cable.settle();
    EXPECT_EQ(user.life(id).data, "answer");
}

TEST_P(Conversation, StaticBytesWithTheirSumArriveInOneSegmentOrInMany) {
    const auto [id, accepted] = establish();
    static const std::string text(10'001, 'x');
    const std::span<const uint8_t> all = bytes_of(text);
    size_t sent = 0;
    for (const size_t length : {size_t{99}, size_t{100}, all.size()}) {
        const auto message = wire::SummedBytes::of(all.first(length));
        EXPECT_EQ(client.worker.send_static(id, message), length);
        cable.pass(Duration::milliseconds(100));
        sent += length;
        EXPECT_EQ(service.life(accepted).data, std::string(sent, 'x'));
    }
    EXPECT_EQ(server.worker.tcp_counters().in_errs, 0u);
}

TEST_P(Conversation, LargeTransferArrivesWholeThroughASmallSendBuffer) {
    const auto [id, accepted] = establish();
    std::string text(3'000'000, ' ');
    for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i % 23);
    size_t sent = 0;
    const auto push = [&](Worker& worker, ConnectionId c) {
        sent += worker.send(c, bytes_of(text).subspan(sent));
        if (sent == text.size()) worker.close(c);
    };
    user.when_writable = push;
    push(client.worker, id);
    service.when_peer_closed = [](Worker& worker, ConnectionId c) { worker.close(c); };
    cable.pass(Duration::seconds(90));
    EXPECT_EQ(service.life(accepted).data.size(), text.size());
    EXPECT_TRUE(service.life(accepted).data == text);
    EXPECT_EQ(service.life(accepted).reason, CloseReason::finished);
    expect_nothing_held();
}

TEST_P(Conversation, OrderlyCloseIsToldOnceOnEachSideAndLeavesNothing) {
    const auto [id, accepted] = establish();
    service.when_peer_closed = [](Worker& worker, ConnectionId c) { worker.close(c); };
    client.worker.close(id);
    cable.settle();
    EXPECT_EQ(service.life(accepted).events, "efc");
    EXPECT_EQ(service.life(accepted).reason, CloseReason::finished);
    EXPECT_EQ(user.life(id).events, "ec");
    EXPECT_EQ(user.life(id).reason, CloseReason::finished);
    EXPECT_EQ(client.worker.gauges().time_wait, 1u);
    EXPECT_EQ(server.worker.gauges().time_wait, 0u);
    cable.pass(Duration::seconds(61));
    EXPECT_EQ(client.worker.gauges().time_wait, 0u);
    expect_nothing_held();
}

TEST_P(Conversation, ThousandConnectionsEachEndOnceAndLeaveNothing) {
    say_hello_once(user, service);
    for (int i = 0; i < 1000; ++i) connect();
    cable.pass(Duration::seconds(70));
    EXPECT_EQ(user.closed, 1000u);
    EXPECT_EQ(service.closed, 1000u);
    for (const auto& [key, life] : user.lives) {
        EXPECT_EQ(life.data, "hello");
        EXPECT_EQ(std::count(life.events.begin(), life.events.end(), 'c'), 1);
        EXPECT_EQ(life.reason, CloseReason::finished);
    }
    expect_nothing_held();
}

TEST_P(Conversation, AbortIsAResetForThePeer) {
    const auto [id, accepted] = establish();
    client.worker.abort(id);
    EXPECT_EQ(user.closed, 0u) << "a handler was called from within a call";
    cable.settle();
    EXPECT_EQ(user.life(id).reason, CloseReason::aborted);
    EXPECT_EQ(service.life(accepted).reason, CloseReason::reset);
    EXPECT_EQ(user.life(id).events, "ec");
    EXPECT_EQ(service.life(accepted).events, "ec");
    expect_nothing_held();
}

TEST_P(Conversation, AbortWithinOnEstablishedLeavesNothing) {
    user.when_established = [](Worker& worker, ConnectionId c) { worker.abort(c); };
    const ConnectionId id = connect();
    cable.pass(Duration::seconds(1));
    EXPECT_EQ(user.life(id).events, "ec");
    expect_nothing_held();
}

TEST_P(Conversation, HalfCloseLeavesTheOtherDirectionOpen) {
    const auto [id, accepted] = establish();
    client.worker.send(id, bytes_of("last words"));
    client.worker.shutdown_send(id);
    cable.settle();
    EXPECT_EQ(service.life(accepted).events, "edf");
    server.worker.send(accepted, bytes_of("still here"));
    cable.settle();
    EXPECT_EQ(user.life(id).data, "still here");
    server.worker.close(accepted);
    cable.settle();
    EXPECT_EQ(user.life(id).events, "edfc");
    EXPECT_EQ(user.life(id).reason, CloseReason::finished);
    EXPECT_EQ(service.life(accepted).reason, CloseReason::finished);
}

TEST_P(Conversation, DataNotTakenIsKeptAndReadLater) {
    const auto [id, accepted] = establish();
    service.when_data = [](Worker&, ConnectionId, std::span<const uint8_t>) { return size_t{2}; };
    client.worker.send(id, bytes_of("abcdef"));
    cable.settle();
    const auto rest = server.worker.unread(accepted);
    EXPECT_EQ(std::string(rest.begin(), rest.end()), "cdef");
    server.worker.consume(accepted, 4);
    EXPECT_TRUE(server.worker.unread(accepted).empty());
}

TEST_P(Conversation, EndComesOnlyAfterUnreadDataWasTaken) {
    const auto [id, accepted] = establish();
    service.when_data = [](Worker&, ConnectionId, std::span<const uint8_t>) { return size_t{0}; };
    client.worker.send(id, bytes_of("abc"));
    client.worker.close(id);
    cable.settle();
    EXPECT_EQ(service.life(accepted).events, "ed");
    server.worker.shutdown_send(accepted);
    cable.settle();
    EXPECT_EQ(service.life(accepted).events, "ed") << "told of the end before all was read";
    server.worker.consume(accepted, 3);
    cable.settle();
    EXPECT_EQ(service.life(accepted).events, "edfc");
    EXPECT_EQ(service.life(accepted).reason, CloseReason::finished);
    EXPECT_TRUE(server.holds_nothing());
}

TEST_P(Conversation, CloseWithUnreadDataResets) {
    const auto [id, accepted] = establish();
    service.when_data = [](Worker& worker, ConnectionId c, std::span<const uint8_t>) {
        worker.close(c);
        return size_t{0};
    };
    client.worker.send(id, bytes_of("abc"));
    cable.settle();
    EXPECT_EQ(user.life(id).reason, CloseReason::reset);
    EXPECT_EQ(service.life(accepted).reason, CloseReason::aborted);
    EXPECT_EQ(server.worker.tcp_counters().abort_on_close.load(), 1u);
    expect_nothing_held();
}

TEST(WithoutMemory, SenderIsToldWhenThereIsSomeAgainAndNobodySpinsMeanwhile) {
    WorkerConfig config = config_of(1);
    config.max_buffer_chunks = 16;  // far below the send buffer of a connection
    Host client{config};
    Host server{config_of(2)};
    Cable cable{client, server};
    Recorder user;
    Recorder service;
    ASSERT_TRUE(server.worker.listen({{}, 80}, service).has_value());
    const auto first = client.worker.connect({address_of(2), 80}, user);
    const auto second = client.worker.connect({address_of(2), 80}, user);
    cable.settle();
    ASSERT_EQ(user.ids.size(), 2u);

    const std::string much(100'000, 'x');
    EXPECT_EQ(client.worker.send(*first, bytes_of(much)), 16u * 2048);
    EXPECT_EQ(client.worker.send(*second, bytes_of("more")), 0u);
    client.run();
    client.run();
    EXPECT_EQ(user.life(*second).events, "e");
    ASSERT_TRUE(client.worker.next_deadline().has_value());
    EXPECT_GT(*client.worker.next_deadline(), client.now);

    client.worker.abort(*first);
    client.run();
    client.run();
    EXPECT_EQ(user.life(*second).events, "ew");
    EXPECT_EQ(client.worker.send(*second, bytes_of("more")), 4u);
}

TEST(ManyTimers, ThoseThatAreDueAndWaitForThePassAfterThisOneAreNotLeaks) {
    constexpr uint32_t more_than_a_pass_deals_with = 6000;
    WorkerConfig config = config_of(1, 2);
    config.max_connections = more_than_a_pass_deals_with;
    Host client{config};
    Recorder user;
    std::vector<ConnectionId> ids;
    for (uint32_t i = 0; i < more_than_a_pass_deals_with; ++i) {
        ids.push_back(client.worker.connect({address_of(2), 80}, user).value());
    }
    client.run();
    for (const ConnectionId id : ids) client.worker.abort(id);
    client.run();
    EXPECT_EQ(client.worker.leaks().connections, 0u);
    client.now = client.now + Duration::seconds(2);
    client.loop.run_once(client.now);
    ASSERT_LE(client.worker.next_deadline(), client.now) << "nothing was left to be done";
    EXPECT_EQ(client.worker.leaks().timers, 0u);
}

TEST_P(Conversation, SimultaneousCloseFinishesOnBothSides) {
    const auto [id, accepted] = establish();
    client.worker.close(id);
    server.worker.close(accepted);
    cable.settle();
    EXPECT_EQ(user.life(id).reason, CloseReason::finished);
    EXPECT_EQ(service.life(accepted).reason, CloseReason::finished);
    EXPECT_EQ(client.worker.gauges().time_wait, 1u);
    EXPECT_EQ(server.worker.gauges().time_wait, 1u);
    cable.pass(Duration::seconds(61));
    expect_nothing_held();
}

TEST_P(Conversation, StaleIdsAreDetected) {
    const auto [id, accepted] = establish();
    EXPECT_TRUE(client.worker.is_open(id));
    client.worker.abort(id);
    cable.settle();
    EXPECT_FALSE(client.worker.is_open(id));
    EXPECT_FALSE(server.worker.is_open(accepted));
    const auto [next, next_accepted] = establish();
    EXPECT_EQ(next.index, id.index) << "the place is used again, so the generation must tell";
    EXPECT_EQ(client.worker.state(id), State::closed);
    EXPECT_EQ(client.worker.send(id, bytes_of("x")), 0u);
    client.worker.abort(id);
    client.worker.close(id);
    client.worker.consume(id, 1);
    cable.settle();
    EXPECT_EQ(client.worker.state(next), State::established);
    EXPECT_FALSE(client.worker.is_open(ConnectionId{}));
}

TEST_P(Conversation, UserDataStaysWithItsConnectionUntilItsEnd) {
    ConnectOptions options;
    options.user_data = 77;
    const auto id = client.worker.connect({address_of(2, GetParam()), 80}, user, options);
    cable.settle();
    EXPECT_EQ(client.worker.user_data(*id), 77u);
    client.worker.set_user_data(*id, 78);
    uint64_t at_the_end = 0;
    user.when_closed = [&](Worker& worker, ConnectionId c) { at_the_end = worker.user_data(c); };
    client.worker.abort(*id);
    cable.settle();
    EXPECT_EQ(at_the_end, 78u);
}

TEST_P(Conversation, ClosedPortRefuses) {
    const auto id = client.worker.connect({address_of(2, GetParam()), 81}, user);
    cable.settle();
    EXPECT_EQ(user.life(*id).events, "c");
    EXPECT_EQ(user.life(*id).reason, CloseReason::refused);
    expect_nothing_held();
}

TEST_P(Conversation, ConnectionOpenedFromWithinOnClosedLives) {
    user.when_closed = [&](Worker& worker, ConnectionId) {
        EXPECT_TRUE(worker.connect({address_of(2, GetParam()), 80}, user).has_value());
    };
    const auto first = client.worker.connect({address_of(2, GetParam()), 81}, user);
    cable.settle();
    EXPECT_EQ(user.life(*first).reason, CloseReason::refused);
    ASSERT_EQ(user.ids.size(), 1u);
    EXPECT_EQ(client.worker.state(user.ids[0]), State::established);
}

TEST_P(Conversation, ClosedListenerForgetsHalfOpenConnectionsOnly) {
    const auto [id, accepted] = establish();
    // A SYN whose sender never completes the handshake.
    server.device.arriving.push_back(segment_frame({.to_mac = mac_of(2),
                                                    .from = address_of(9, GetParam()),
                                                    .to = address_of(2, GetParam()),
                                                    .to_port = 80}));
    server.loop.run_once(server.now);
    EXPECT_EQ(server.worker.gauges().half_open, 1u);
    server.worker.close_listener({{}, 80});
    EXPECT_EQ(server.worker.gauges().half_open, 0u);
    EXPECT_EQ(server.worker.tcp_counters().out_rsts.load(), 0u);
    EXPECT_EQ(server.worker.state(accepted), State::established);
    cable.settle();
    EXPECT_EQ(service.closed, 0u);
    const auto refused = client.worker.connect({address_of(2, GetParam()), 80}, user);
    cable.settle();
    EXPECT_EQ(user.life(*refused).reason, CloseReason::refused);
}

// A peer may answer each frame.
TEST_P(Conversation, PassReceivesAsManyBurstsAsTheLastOneSentBatches) {
    const auto [id, accepted] = establish();
    const std::string bytes(200'000, 'x');
    for (int i = 0; i < 8; ++i) {
        EXPECT_EQ(client.worker.send(id, bytes_of(bytes)), bytes.size());
        cable.settle();
    }
    const auto frames_left_of = [this](size_t arriving) {
        client.device.arriving.assign(arriving, Bytes(60));
        client.loop.run_once(client.now);
        return client.device.arriving.size();
    };
    constexpr size_t burst = Worker::receive_burst_max;
    EXPECT_EQ(frames_left_of(8 * burst), 7 * burst);
    client.device.arriving.clear();
    client.worker.send(id, bytes_of(bytes));
    client.loop.run_once(client.now);
    // One frame, as one connection was ready; and as that had more to say, three full batches.
    EXPECT_GT(client.device.sent.size(), 1 + 2 * burst);
    EXPECT_EQ(frames_left_of(8 * burst), 4 * burst);
}

TEST_P(Conversation, PollerRunsOncePerLoop) {
    struct Poller : Recorder {
        unsigned polls = 0;
        void on_poll(Worker&, Instant) override { ++polls; }
    } poller;
    client.worker.set_poller(&poller);
    client.loop.run_once(client.now);
    client.loop.run_once(client.now);
    EXPECT_EQ(poller.polls, 2u);
}

}  // namespace
}  // namespace synfin::stack::test
