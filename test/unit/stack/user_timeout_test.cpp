// The user timeout option (RFC 5482) between two workers: advice changes how long data is tried.
#include <gtest/gtest.h>

#include "stack_world.hpp"

namespace synfin::stack::test {
namespace {

WorkerConfig advising(uint8_t host, uint8_t neighbor, Duration advised) {
    WorkerConfig config = config_of(host, neighbor);
    config.profiles[0].user_timeout_option = true;
    config.profiles[0].advertised_user_timeout = advised;
    return config;
}

class UserTimeoutAdvice : public ::testing::Test {
  protected:
    UserTimeoutAdvice() { EXPECT_TRUE(server.worker.listen({{}, 80}, service)); }
    ConnectionId connect() {
        const auto id = client.worker.connect({address_of(2), 80}, user);
        EXPECT_TRUE(id.has_value());
        cable.settle();
        client.worker.send(*id, bytes_of("x"));
        cable.settle();
        return *id;
    }

    Host client{advising(1, 2, Duration::seconds(120))};
    Host server{advising(2, 1, Duration::seconds(200))};
    Cable cable{client, server};
    Recorder user, service;
};

TEST_F(UserTimeoutAdvice, Rfc5482_BothEndsAdoptTheLongerAdvice) {
    const ConnectionId id = connect();
    EXPECT_EQ(client.worker.profile(id).user_timeout, Duration::seconds(200));
    EXPECT_EQ(server.worker.profile(service.ids.at(0)).user_timeout, Duration::seconds(200));
    EXPECT_EQ(client.worker.tcp_counters().user_timeouts_heard, 1u);
}

TEST_F(UserTimeoutAdvice, Rfc5482_DataThatIsNotAcknowledgedIsGivenUpAtThatMoment) {
    const ConnectionId id = connect();
    client.worker.send(id, bytes_of("y"));
    client.run();
    const Instant sent = client.now;
    while (user.life(id).reason == tcp::CloseReason::none &&
           client.now < sent + Duration::seconds(300)) {
        client.now = client.now + Duration::seconds(1);
        client.run();
    }
    EXPECT_EQ(user.life(id).reason, tcp::CloseReason::timed_out);
    EXPECT_GE(client.now - sent, Duration::seconds(200));
    EXPECT_LE(client.now - sent, Duration::seconds(201));
}

TEST(UserTimeoutAdviceRoom, SynWithTheLongestFastOpenCookieLeavesTheAdviceToTheNextSegment) {
    Host client{advising(1, 2, Duration::seconds(120))};
    Recorder user;
    wire::TcpOptions answer;
    answer.has_mss = answer.has_window_scale = answer.has_timestamps = answer.sack_permitted = true;
    answer.mss = 1460;
    answer.has_fast_open = true;
    answer.fast_open_bytes = wire::TcpOptions::fast_open_bytes_max;
    const auto open = [&] {
        ConnectOptions options;
        options.fast_open = true;
        const auto id = client.worker.connect({address_of(2), 80}, user, options);
        EXPECT_TRUE(id.has_value());
        client.run();
        return Read{client.take_one()};
    };
    const Read first = open();
    EXPECT_TRUE(first.packet.options.has_user_timeout);
    client.run(segment_frame({.from = address_of(2),
                              .to = address_of(1),
                              .from_port = 80,
                              .to_port = first.packet.source_port,
                              .seq = 5000,
                              .ack = first.packet.seq + 1,
                              .flags = wire::flag::syn | wire::flag::ack,
                              .options = answer}));
    EXPECT_TRUE(Read{client.take_one()}.packet.options.has_user_timeout);
    const Read second = open();
    EXPECT_EQ(second.packet.options.fast_open_bytes, wire::TcpOptions::fast_open_bytes_max);
    EXPECT_FALSE(second.packet.options.has_user_timeout);
}

TEST(UserTimeoutAdvicePool, AdviceIsIgnoredAndCountedWhenNoProfileIsFree) {
    WorkerConfig config = advising(1, 9, Duration::seconds(120));
    config.max_own_profiles = 0;
    Host host{config};
    Recorder service;
    ASSERT_TRUE(host.worker.listen({{}, 80}, service));
    host.run(segment_frame({}));
    const Read syn_ack{host.take_one()};
    wire::TcpOptions options;
    options.has_user_timeout = true;
    options.user_timeout = 500;
    host.run(segment_frame({.seq = 1001,
                            .ack = syn_ack.packet.seq + 1,
                            .flags = wire::flag::ack,
                            .options = options}));
    EXPECT_EQ(service.ids.size(), 1u);
    EXPECT_EQ(host.worker.tcp_counters().user_timeouts_ignored, 1u);
}

}  // namespace
}  // namespace synfin::stack::test
