// Connections that are held until the end, alone and while others come and go.
#include <gtest/gtest.h>

#include "two_hosts.hpp"

namespace synfin::load::test {
namespace {

ClientConfig holding(uint32_t held) {
    ClientConfig client;
    client.held = held;
    client.concurrency = 0;
    client.duration = Duration::milliseconds(50);
    client.requests = 1;
    return client;
}

TEST(Held, ConnectionsStayIdleUntilTheEndAndThenAskOnceEach) {
    LoadRun run{holding(2000), {}};
    ASSERT_TRUE(run.hosts.run_until([&] { return run.client->statistics().held == 2000u; }));
    run.hosts.run_for(Duration::milliseconds(20));
    EXPECT_EQ(run.client->statistics().requests, 0u);
    EXPECT_EQ(run.hosts.server_worker->tcp_counters().curr_estab, 2000u);

    ASSERT_TRUE(run.to_the_end());
    const ClientStatistics& c = run.client->statistics();
    EXPECT_EQ(c.opened, 2000u);
    EXPECT_EQ(c.were_held, 2000u);
    EXPECT_EQ(c.held, 0u);
    EXPECT_EQ(c.responses, 2000u);
    EXPECT_EQ(c.closed, 2000u);
    EXPECT_EQ(c.violations, 0u);
    EXPECT_TRUE(run.hosts.holds_nothing());
}

TEST(Held, ConnectionsAreNoPartOfThoseThatComeAndGo) {
    ClientConfig client = holding(100);
    client.concurrency = 20;
    client.connections = 500;
    client.duration = {};
    LoadRun run{client, {}};
    ASSERT_TRUE(run.hosts.run_until([&] { return run.client->statistics().closed >= 250u; }));
    EXPECT_EQ(run.client->statistics().held, 100u);
    EXPECT_EQ(run.client->statistics().concurrent, 120u);

    ASSERT_TRUE(run.to_the_end());
    const ClientStatistics& c = run.client->statistics();
    EXPECT_EQ(c.opened, 600u);
    EXPECT_EQ(c.closed, 600u);
    EXPECT_EQ(c.responses, 600u);
    EXPECT_TRUE(run.hosts.holds_nothing());
}

TEST(Held, RunGoesOnWithoutThoseThatFail) {
    LoadRun run{holding(100), {}};
    run.hosts.server_worker->close_listener({server_address, server_port});
    ASSERT_TRUE(run.to_the_end());
    EXPECT_EQ(run.client->statistics().opened, 100u);
    EXPECT_EQ(run.client->statistics().failed, 100u);
}

TEST(Held, StopWhileTheyAreOpenedEndsThemInOrder) {
    LoadRun run{holding(3000), {}};
    ASSERT_TRUE(run.hosts.run_until([&] { return run.client->statistics().held > 500u; }));
    run.client->stop();
    ASSERT_TRUE(run.to_the_end());
    const ClientStatistics& c = run.client->statistics();
    EXPECT_LT(c.opened, 3000u);
    EXPECT_EQ(c.closed, c.opened);
    EXPECT_TRUE(run.hosts.holds_nothing());
}

TEST(Held, StopAtOnceResetsThem) {
    LoadRun run{holding(1000), {}};
    ASSERT_TRUE(run.hosts.run_until([&] { return run.client->statistics().held == 1000u; }));
    run.client->stop_at_once();
    ASSERT_TRUE(run.to_the_end());
    EXPECT_EQ(run.client->statistics().abandoned, 1000u);
    EXPECT_EQ(run.client->statistics().held, 0u);
}

}  // namespace
}  // namespace synfin::load::test
