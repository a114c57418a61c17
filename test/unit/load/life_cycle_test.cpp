// Every kind of life that a synthetic user can lead, between two workers: exact counts on both
// sides, and nothing left behind.
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "two_hosts.hpp"

namespace synfin::load::test {
namespace {

struct Life {
    uint32_t requests;
    CloseBy close;
    First first;
    bool open_loop;
};

std::string name_of(const testing::TestParamInfo<Life>& info) {
    const Life& life = info.param;
    std::string text = life.requests == 0   ? "Connect"
                       : life.requests == 1 ? "Request"
                                            : "Requests" + std::to_string(life.requests);
    text += life.first == First::client ? "ClientFirst" : "ServerFirst";
    text += life.close == CloseBy::fin ? "Fin" : "Rst";
    return text + (life.open_loop ? "OpenLoop" : "ClosedLoop");
}

class EachLife : public testing::TestWithParam<Life> {};

TEST_P(EachLife, IsLedInOrderByEveryConnectionAndLeavesNothing) {
    constexpr uint64_t connections = 500;
    const Life& life = GetParam();
    ClientConfig client;
    client.requests = life.requests;
    client.close = life.close;
    client.first = life.first;
    client.connections = connections;
    client.concurrency = life.open_loop ? 4096 : 50;
    client.rate = life.open_loop ? 100'000 : 0;
    ServerConfig server;
    server.service =
        life.requests == 0 && life.first == First::server ? Service::close : Service::http;
    server.close = life.close;
    LoadRun run{client, server};
    ASSERT_TRUE(run.listening);

    ASSERT_TRUE(run.to_the_end());

    const ClientStatistics& c = run.client->statistics();
    EXPECT_EQ(c.opened, connections);
    EXPECT_EQ(c.established, connections);
    EXPECT_EQ(c.closed, connections);
    EXPECT_EQ(c.failed + c.reset + c.timed_out + c.abandoned + c.violations + c.missed, 0u);
    EXPECT_EQ(c.responses, connections * life.requests);
    EXPECT_EQ(c.body_bytes, connections * life.requests * 100);
    EXPECT_EQ(c.handshake.count(), connections);
    EXPECT_EQ(c.first_byte.count(), connections * life.requests);
    const ServerStatistics& s = run.server->statistics();
    const bool reset_by_client = life.close == CloseBy::rst && life.first == First::client;
    EXPECT_EQ(s.accepted, connections);
    EXPECT_EQ(s.closed, reset_by_client ? 0 : connections);
    EXPECT_EQ(s.reset, reset_by_client ? connections : 0);
    EXPECT_EQ(s.failed + s.timed_out + s.abandoned, 0u);
    EXPECT_EQ(s.requests, connections * life.requests);
    EXPECT_TRUE(run.hosts.holds_nothing());
}

INSTANTIATE_TEST_SUITE_P(
    Life, EachLife,
    testing::Values(
        Life{0, CloseBy::fin, First::client, false}, Life{0, CloseBy::fin, First::server, false},
        Life{0, CloseBy::rst, First::client, false}, Life{0, CloseBy::rst, First::server, false},
        Life{1, CloseBy::fin, First::client, false}, Life{1, CloseBy::fin, First::server, false},
        Life{1, CloseBy::rst, First::client, false}, Life{7, CloseBy::fin, First::client, false},
        Life{7, CloseBy::fin, First::server, false}, Life{7, CloseBy::rst, First::client, false},
        Life{0, CloseBy::fin, First::client, true}, Life{0, CloseBy::fin, First::server, true},
        Life{0, CloseBy::rst, First::client, true}, Life{1, CloseBy::fin, First::client, true},
        Life{1, CloseBy::fin, First::server, true}, Life{7, CloseBy::fin, First::client, true}),
    name_of);

LoadRun run_closed_first_by(First first, uint64_t connections) {
    ClientConfig client;
    client.first = first;
    client.connections = connections;
    client.concurrency = 10;
    ServerConfig server;
    server.service = first == First::server ? Service::close : Service::http;
    return LoadRun{client, server};
}

TEST(Life, WhoClosesFirstKeepsTimeWait) {
    for (const First first : {First::client, First::server}) {
        LoadRun run = run_closed_first_by(first, 10);
        ASSERT_TRUE(run.to_the_end());
        const bool at_client = first == First::client;
        EXPECT_EQ(run.hosts.client_worker->gauges().time_wait, at_client ? 10u : 0u);
        EXPECT_EQ(run.hosts.server_worker->gauges().time_wait, at_client ? 0u : 10u);
    }
}

TEST(Life, NoTupleComesAgainWhileTheServerKeepsItInTimeWait) {
    LoadRun run = run_closed_first_by(First::server, 3000);
    ASSERT_TRUE(run.to_the_end());
    EXPECT_EQ(run.hosts.server_worker->gauges().time_wait, 3000u);
    EXPECT_EQ(run.hosts.server_worker->tcp_counters().time_wait_reused, 0u);
}

TEST(Life, ResetWaitsUntilTheThirdAckIsOutAlsoWhenTheDeviceIsCongested) {
    ClientConfig client;
    client.close = CloseBy::rst;
    client.connections = 200;
    client.concurrency = 50;
    LoadRun run{client, {}};
    for (int n = 0; !run.client->finished() && n < 100'000; ++n) {
        run.hosts.client_end.is_congested = n % 7 != 0;
        run.hosts.pass();
    }
    run.hosts.client_end.is_congested = false;
    ASSERT_TRUE(run.to_the_end());
    EXPECT_EQ(run.client->statistics().closed, 200u);
    EXPECT_EQ(run.server->statistics().accepted, 200u);
    EXPECT_EQ(run.server->statistics().reset, 200u);
}

TEST(Life, LargeBodyArrivesWholeThroughItsBackpressure) {
    ClientConfig client;
    client.requests = 2;
    client.connections = 3;
    client.concurrency = 3;
    constexpr size_t body_bytes = 3'000'000;
    LoadRun run{client, {}, body_bytes};
    ASSERT_TRUE(run.to_the_end());
    EXPECT_EQ(run.client->statistics().closed, 3u);
    EXPECT_EQ(run.client->statistics().body_bytes, 6 * body_bytes);
    EXPECT_TRUE(run.hosts.holds_nothing());
}

// Requests and responses wait for each other's memory, and all are asked and answered in the end.
TEST(Life, RequestsOfMoreConnectionsThanThereIsMemoryForWait) {
    for (const bool early : {false, true}) {
        ClientConfig client;
        client.requests = 3;
        client.connections = 500;
        client.concurrency = 200;
        client.early_data = early;
        LoadRun run{client, {}, 100, false, [](stack::WorkerConfig& config) {
                        config.max_transfers = config.max_buffer_chunks = 8;
                    }};
        if (early) run.hosts.server_worker->set_fast_open({server_address, server_port}, 1000);
        ASSERT_TRUE(run.to_the_end());
        const ClientStatistics& c = run.client->statistics();
        EXPECT_EQ(c.closed, 500u);
        EXPECT_EQ(c.violations + c.failed, 0u);
        EXPECT_EQ(c.responses, 1500u);
        EXPECT_EQ(c.first_byte.count(), 1500u);
        EXPECT_TRUE(run.hosts.holds_nothing());
    }
}

TEST(Life, ServerThatClosesAfterEachResponseBreaksARowOfRequests) {
    ClientConfig client;
    client.requests = 2;
    client.connections = 5;
    client.concurrency = 5;
    LoadRun run{client, {}, 100, true};
    ASSERT_TRUE(run.to_the_end());
    EXPECT_EQ(run.client->statistics().violations, 5u);
    EXPECT_EQ(run.client->statistics().failed, 5u);
    EXPECT_EQ(run.client->statistics().closed, 0u);
}

TEST(Life, ResponseWithAnotherBodyIsAViolation) {
    ClientConfig client;
    client.requests = 1;
    client.connections = 5;
    client.concurrency = 5;
    LoadRun run{client, {}};
    const std::vector<uint8_t> other(100, 'x');
    client.max_connections = 4096;
    client.expected_body = other;
    Client suspicious{client, plan()};
    run.hosts.client_worker->set_poller(&suspicious);
    ASSERT_TRUE(run.hosts.run_until([&] { return suspicious.finished(); }));
    EXPECT_EQ(suspicious.statistics().violations, 5u);
    EXPECT_EQ(suspicious.statistics().responses, 0u);
}

TEST(Life, ConnectionsToAClosedPortFail) {
    ClientConfig client;
    client.connections = 20;
    client.concurrency = 5;
    LoadRun run{client, {}};
    run.hosts.server_worker->close_listener({server_address, server_port});
    ASSERT_TRUE(run.to_the_end());
    EXPECT_EQ(run.client->statistics().failed, 20u);
    EXPECT_EQ(run.client->statistics().established, 0u);
    EXPECT_TRUE(run.hosts.holds_nothing());
}

TEST(Life, WhatIsOpenAfterTheGracePeriodIsAbandoned) {
    ClientConfig client;
    client.first = First::server;  // and a server that never closes
    client.connections = 20;
    client.concurrency = 20;
    client.grace = Duration::seconds(2);
    ServerConfig server;
    server.service = Service::discard;
    LoadRun run{client, server};
    const Instant begin = run.hosts.now;
    ASSERT_TRUE(run.to_the_end());
    EXPECT_GE(run.hosts.now - begin, Duration::seconds(2));
    EXPECT_EQ(run.client->statistics().abandoned, 20u);
    EXPECT_EQ(run.server->statistics().reset, 20u);
    EXPECT_TRUE(run.hosts.holds_nothing());
}

TEST(Life, ConnectionsThatEndAfterTheMeasuredTimeAreNoPartOfTheRates) {
    ClientConfig config;
    config.requests = 1000;
    config.concurrency = 10;
    config.duration = Duration::milliseconds(10);
    LoadRun run{config, ServerConfig{}};
    ASSERT_TRUE(run.to_the_end());
    const ClientStatistics& c = run.client->statistics();
    EXPECT_EQ(c.closed, c.opened);
    EXPECT_GE(c.measured.ns, 10'000'000u);
    EXPECT_LT(c.measured.ns, 11'000'000u);
    EXPECT_EQ(c.closed - c.measured.closed, 10u);
    EXPECT_GT(c.measured.responses, 0u);
    EXPECT_LT(c.measured.responses, c.responses);
    EXPECT_EQ(c.measured.body_bytes, c.measured.responses * 100);
}

TEST(Life, NumberOfConnectionsIsMeasuredUpToTheLast) {
    ClientConfig config;
    config.requests = 5;
    config.concurrency = 10;
    config.connections = 10;
    LoadRun run{config, ServerConfig{}};
    ASSERT_TRUE(run.to_the_end());
    const ClientStatistics& c = run.client->statistics();
    EXPECT_EQ(c.measured.closed, 10u);
    EXPECT_EQ(c.measured.responses, 50u);
    EXPECT_GT(c.measured.ns, 0u);
}

TEST(Life, ImmediateStopResetsWhatIsOpenWithoutWaiting) {
    ClientConfig client;
    client.first = First::server;
    client.concurrency = 20;
    ServerConfig server;
    server.service = Service::discard;
    LoadRun run{client, server};
    run.hosts.run_for(Duration::milliseconds(1));
    run.client->stop_at_once();
    ASSERT_TRUE(run.to_the_end(Duration::milliseconds(10)));
    EXPECT_EQ(run.client->statistics().abandoned, 20u);
}

TEST(Life, StoppedServerClosesWhatIsOpenAndAcceptsNoMore) {
    ClientConfig client;
    client.first = First::server;
    client.connections = 20;
    client.concurrency = 20;
    ServerConfig server;
    server.service = Service::discard;
    LoadRun run{client, server};
    run.hosts.run_for(Duration::milliseconds(1));
    ASSERT_EQ(run.server->statistics().concurrent, 20u);
    run.server->stop();
    ASSERT_TRUE(run.hosts.run_until([&] { return run.server->finished(); }));
    EXPECT_EQ(run.server->statistics().closed, 20u);
    ASSERT_TRUE(run.to_the_end());
    EXPECT_EQ(run.client->statistics().closed, 20u);
    EXPECT_TRUE(run.hosts.holds_nothing());
}

}  // namespace
}  // namespace synfin::load::test
