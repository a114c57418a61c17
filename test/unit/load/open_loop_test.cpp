#include <array>

#include <gtest/gtest.h>

#include <synfin/load/pacer.hpp>

#include "two_hosts.hpp"

namespace synfin::load::test {
namespace {

constexpr Instant begin = Instant::from_us(5'000'000);

uint64_t take_all(Pacer& pacer, Instant now) {
    std::array<Instant, 7> intended;
    uint64_t count = 0;
    for (uint32_t taken = 1; taken != 0; count += taken) taken = pacer.take_due(now, intended);
    return count;
}

TEST(Pacer, StartsAreMeantForExactlyTheirTimes) {
    Pacer pacer{1000, Duration::seconds(1), begin};
    for (int n = 0; n < 100; ++n) {
        std::array<Instant, 3> intended;
        ASSERT_EQ(pacer.take_due(begin + Duration::milliseconds(n), intended), 1u);
        EXPECT_EQ(intended[0], begin + Duration::milliseconds(n));
        EXPECT_EQ(pacer.take_due(begin + Duration::milliseconds(n), intended), 0u);
    }
}

TEST(Pacer, NoMoreAreTakenThanThereIsRoomFor) {
    Pacer pacer{1000, Duration::seconds(1), begin};
    const Instant now = begin + Duration::milliseconds(4);
    std::array<Instant, 3> intended;
    ASSERT_EQ(pacer.take_due(now, intended), 3u);
    EXPECT_EQ(intended[2], begin + Duration::milliseconds(2));
    ASSERT_EQ(pacer.take_due(now, intended), 2u);
    EXPECT_EQ(intended[0], begin + Duration::milliseconds(3));
    EXPECT_EQ(intended[1], now);
}

TEST(Pacer, RateThatDividesNoSecondIsKeptOverTime) {
    Pacer pacer{300'007, Duration::hours(1), begin};
    const uint64_t count = take_all(pacer, begin + Duration::seconds(10));
    EXPECT_NEAR(static_cast<double>(count), 3'000'070, 1);
}

TEST(Pacer, RateBelowOnePerSecondIsKept) {
    Pacer pacer{0.5, Duration::seconds(10), begin};
    EXPECT_EQ(take_all(pacer, begin), 1u);
    EXPECT_EQ(take_all(pacer, begin + Duration::milliseconds(1999)), 0u);
    EXPECT_EQ(take_all(pacer, begin + Duration::seconds(2)), 1u);
}

TEST(Pacer, WithinTheDebtNothingIsForgiven) {
    Pacer pacer{1'000'000, Duration::milliseconds(10), begin};
    EXPECT_EQ(pacer.forgive(begin + Duration::milliseconds(10)), 0u);
    EXPECT_EQ(take_all(pacer, begin + Duration::milliseconds(10)), 10'001u);
}

TEST(Pacer, AfterAStallTheDebtIsCaughtUpAndTheRestCountedAsMissed) {
    Pacer pacer{1'000'000, Duration::milliseconds(10), begin};
    const Instant late = begin + Duration::seconds(1);
    const uint64_t missed = pacer.forgive(late);
    const uint64_t caught_up = take_all(pacer, late);
    EXPECT_EQ(missed, 990'000u);
    EXPECT_EQ(caught_up, 10'001u);
}

TEST(OpenLoop, OpensAtItsRateAndStopsAfterItsDuration) {
    ClientConfig client;
    client.rate = 20'000;
    client.concurrency = 4096;
    client.duration = Duration::milliseconds(500);
    LoadRun run{client, {}};
    ASSERT_TRUE(run.to_the_end());
    EXPECT_NEAR(static_cast<double>(run.client->statistics().opened), 10'000, 1);
    EXPECT_EQ(run.client->statistics().missed, 0u);
    EXPECT_EQ(run.client->statistics().closed, run.client->statistics().opened);
}

TEST(OpenLoop, StartsBeyondTheConcurrencyAreMissedNotQueued) {
    ClientConfig client;
    client.rate = 10'000;
    client.concurrency = 10;
    client.first = First::server;  // and a server that never closes
    client.duration = Duration::milliseconds(100);
    client.grace = Duration::milliseconds(100);
    ServerConfig server;
    server.service = Service::discard;
    LoadRun run{client, server};
    ASSERT_TRUE(run.to_the_end());
    EXPECT_EQ(run.client->statistics().opened, 10u);
    EXPECT_NEAR(static_cast<double>(run.client->statistics().missed), 990, 2);
}

TEST(OpenLoop, HandshakeCountsFromTheIntendedStart) {
    ClientConfig client;
    client.rate = 1000;
    client.concurrency = 100;
    client.connections = 50;
    client.max_debt = Duration::seconds(1);
    LoadRun run{client, {}};
    run.hosts.pass();
    run.hosts.now = run.hosts.now + Duration::milliseconds(20);  // the generator was held up
    ASSERT_TRUE(run.to_the_end());
    EXPECT_GE(run.client->statistics().handshake.max(), 18'000'000u);
    EXPECT_LT(run.client->statistics().handshake.percentile(0.5), 1'000'000u);
    // Of those that were opened together afterwards, each was meant for its own millisecond.
    EXPECT_NEAR(static_cast<double>(run.client->statistics().handshake.percentile(0.8)), 10e6, 2e6);
}

TEST(OpenLoop, ConnectionsWithoutAFreePortAreMissedAndCounted) {
    ClientConfig client;
    client.rate = 100'000;
    client.concurrency = 4096;
    client.duration = Duration::milliseconds(100);
    TwoHosts hosts{[](stack::WorkerConfig& config) { config.first_port = 65'535; }};
    ServerContent content{100, false};
    ServerConfig server_config;
    server_config.listen = {{server_address, server_port}};
    server_config.max_connections = 4096;
    Server server{server_config, content};
    ASSERT_TRUE(server.listen(*hosts.server_worker).has_value());
    client.max_connections = 4096;
    Client starved{client, plan()};
    hosts.client_worker->set_poller(&starved);
    hosts.server_worker->set_poller(&server);
    ASSERT_TRUE(hosts.run_until([&] { return starved.finished(); }));
    // One port for each of the 254 source addresses, and TIME_WAIT keeps it.
    EXPECT_EQ(starved.statistics().opened, 254u);
    EXPECT_EQ(starved.statistics().no_port, starved.statistics().missed);
    EXPECT_GT(starved.statistics().no_port, 9'000u);
}

TEST(ClosedLoop, KeepsItsConcurrency) {
    ClientConfig client;
    client.first = First::server;
    client.concurrency = 100;
    ServerConfig server;
    server.service = Service::discard;
    LoadRun run{client, server};
    run.hosts.run_for(Duration::milliseconds(10));
    EXPECT_EQ(run.client->statistics().concurrent, 100u);
    EXPECT_EQ(run.client->statistics().opened, 100u);
}

}  // namespace
}  // namespace synfin::load::test
