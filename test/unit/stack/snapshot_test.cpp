// What `synfin ss` sees: from the worker's own thread, and from another at full speed.
#include <atomic>
#include <map>
#include <thread>

#include <gtest/gtest.h>

#include "stack_world.hpp"

namespace synfin::stack::test {
namespace {

using tcp::State;

TEST(Snapshot, ShowsStatesAddressesAndQueues) {
    Host client{config_of(1)};
    Host server{config_of(2)};
    Cable cable{client, server};
    Recorder user;
    Recorder service;
    service.when_data = [](Worker&, ConnectionId, std::span<const uint8_t>) { return size_t{0}; };
    ASSERT_TRUE(server.worker.listen({{}, 80}, service).has_value());
    const auto established = client.worker.connect({address_of(2), 80}, user);
    cable.settle();
    client.worker.send(*established, bytes_of("12345"));
    cable.settle();
    const auto closing = client.worker.connect({address_of(2), 80}, user);
    cable.settle();
    client.worker.close(*closing);
    cable.settle();
    ASSERT_TRUE(client.worker.connect({address_of(3), 80}, user).has_value());
    client.run();

    std::map<State, ConnectionInfo> seen;
    client.worker.for_each_connection([&](const ConnectionInfo& i) { seen[i.state] = i; },
                                      client.now);
    EXPECT_EQ(seen.size(), 3u);
    EXPECT_EQ(seen[State::established].remote, (wire::SocketAddress{address_of(2), 80}));
    EXPECT_EQ(seen[State::established].local, client.worker.local(*established));
    EXPECT_TRUE(seen.contains(State::fin_wait_2));
    EXPECT_EQ(seen[State::fin_wait_2].timer, ConnectionInfo::Timer::time_wait);
    EXPECT_TRUE(seen.contains(State::syn_sent));

    seen.clear();
    server.worker.for_each_connection([&](const ConnectionInfo& i) { seen[i.state] = i; },
                                      server.now);
    EXPECT_EQ(seen[State::established].receive_queue_bytes, 5u);
    EXPECT_TRUE(seen.contains(State::close_wait));

    service.when_peer_closed = {};
    server.worker.close(service.ids.back());
    cable.settle();
    seen.clear();
    client.worker.for_each_connection([&](const ConnectionInfo& i) { seen[i.state] = i; },
                                      client.now);
    ASSERT_TRUE(seen.contains(State::time_wait));
    EXPECT_EQ(seen[State::time_wait].timer_left, Duration::seconds(60));
}

TEST(Snapshot, ShowsWhenAClosedWindowIsProbedNext) {
    WorkerConfig small = config_of(2);
    small.profiles[0].receive_buffer_bytes = 2048;
    Host client{config_of(1)};
    Host server{small};
    Cable cable{client, server};
    Recorder user;
    Recorder service;
    service.when_data = [](Worker&, ConnectionId, std::span<const uint8_t>) { return size_t{0}; };
    ASSERT_TRUE(server.worker.listen({{}, 80}, service).has_value());
    const auto id = client.worker.connect({address_of(2), 80}, user);
    cable.settle();
    client.worker.send(*id, bytes_of(std::string(5000, 'x')));
    cable.pass(Duration::seconds(10));

    ConnectionInfo seen;
    client.worker.for_each_connection([&](const ConnectionInfo& i) { seen = i; }, client.now);
    EXPECT_EQ(seen.timer, ConnectionInfo::Timer::persist);
    EXPECT_GT(seen.timer_left, Duration{});
    EXPECT_GT(seen.backoff, 0u);
}

class SnapshotOfFamily : public ::testing::TestWithParam<Family> {};
INSTANTIATE_TEST_SUITE_P(Families, SnapshotOfFamily, ::testing::Values(Family::ipv4, Family::ipv6),
                         [](const auto& p) { return name_of(p.param); });

// Run under ThreadSanitizer, this proves that a reader needs no lock.
TEST_P(SnapshotOfFamily, AnotherThreadReadsWhileConnectionsComeAndGo) {
    Host client{config_of(1, GetParam())};
    WorkerConfig server_config = config_of(2, GetParam());
    Host server{server_config};
    Cable cable{client, server};
    Recorder user;
    Recorder service;
    say_hello_once(user, service);
    ASSERT_TRUE(server.worker.listen({{}, 80}, service).has_value());

    std::atomic<bool> stop{false};
    std::atomic<uint64_t> walks{0};
    uint64_t seen = 0;
    uint64_t torn = 0;
    std::thread reader{[&] {
        while (!stop) {
            for (const Host* host : {&client, &server}) {
                const uint8_t other = host == &client ? 2 : 1;
                const wire::IpAddress own = address_of(host == &client ? 1 : 2, GetParam());
                host->worker.for_each_connection(
                    [&](const ConnectionInfo& info) {
                        ++seen;
                        torn += info.local.address != own;
                        torn += info.remote.address != address_of(other, GetParam());
                    },
                    Instant::from_us(1));
                seen += host->worker.gauges().connections * 0;
                seen += host->worker.tcp_counters().in_segs * 0;
            }
            ++walks;
        }
    }};
    unsigned opened = 0;
    while (walks < 50 || opened < 500) {
        for (int i = 0; i < 20; ++i) {
            opened += client.worker.connect({address_of(2, GetParam()), 80}, user).has_value();
        }
        cable.settle();
        client.now = server.now = client.now + Duration::seconds(3);
    }
    stop = true;
    reader.join();
    EXPECT_GT(seen, 0u);
    EXPECT_EQ(torn, 0u);
    cable.pass(Duration::seconds(70));
    EXPECT_EQ(user.closed, opened);
    EXPECT_TRUE(client.holds_nothing());
    EXPECT_TRUE(server.holds_nothing());
}

}  // namespace
}  // namespace synfin::stack::test
