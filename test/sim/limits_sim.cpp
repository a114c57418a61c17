// Worlds in which something runs out: ports, connections, memory, TIME_WAIT, the backlog, windows.
#include "world_of_two.hpp"

namespace synfin::sim {
namespace {

TEST(Limits, PortsRunOutPerDestinationAndComeBackAfterTimeWait) {
    auto config = host_config(1);
    config.first_port = 50'000;
    config.last_port = 50'099;
    WorldOfTwo w{1, {}, config};
    for (int i = 0; i < 150; ++i) w.open({.client_bytes = 10});
    EXPECT_EQ(w.oracle.opened(), 100u);
    EXPECT_EQ(w.oracle.refused(), 50u);
    // Another destination has ports of its own.
    w.oracle.serve(w.server, 81);
    EXPECT_TRUE(w.oracle.open(w.client, {w.server.address(), 81}, {.client_bytes = 10}));
    w.run_to_the_end();
    EXPECT_TRUE(w.open({.client_bytes = 10}));
    w.run_to_the_end();
}

TEST(Limits, PortsAreReusedThousandsOfTimes) {
    auto config = host_config(1);
    config.first_port = 50'000;
    config.last_port = 50'019;
    config.time_wait = Duration::milliseconds(10);
    WorldOfTwo w{2, {}, config};
    w.open_many(2000, 100, 10_s);
    w.run_to_the_end();
    EXPECT_GT(w.oracle.opened(), 1500u);
}

// The server closes first and holds TIME_WAIT; the client comes back from the same port.
TEST(Limits, ServerInTimeWaitIsReopenedByANewerSyn) {
    auto client = host_config(1);
    client.first_port = client.last_port = 50'000;
    auto server = host_config(2);
    server.time_wait = 60_s;
    WorldOfTwo w{3, {}, client, server};
    uint64_t opened = 0;
    for (int i = 0; i < 50; ++i) {
        opened +=
            w.open({.client_bytes = 10, .server_bytes = 10, .closing = Closing::server_first});
        w.world.run_for(100_ms);
        EXPECT_TRUE(w.oracle.all_finished());
    }
    EXPECT_EQ(opened, 50u);
    EXPECT_EQ(w.server.worker().tcp_counters().time_wait_reused.load(), 49u);
    w.scheduled = opened;
    w.run_to_the_end();
}

TEST(Limits, ConnectionsBeyondTheTableAreRefusedAndTheRestLives) {
    auto config = host_config(2);
    config.max_connections = 50;
    WorldOfTwo w{4, {}, host_config(1), config};
    w.open_many(300, 20'000, 100_ms);
    w.run_to_the_end();
}

TEST(Limits, LittleMemoryIsSlowAndRight) {
    for (uint64_t seed = 1; seed <= 3; ++seed) {
        auto config = host_config(2);
        config.max_buffer_chunks = 64;
        WorldOfTwo w{seed, {.delay = 1_ms, .loss = 0.02}, host_config(1), config};
        w.oracle.tolerate_failures();  // unread bytes that find no memory end their connection
        w.open_many(60, 100'000, 1_s);
        w.run_to_the_end();
    }
}

TEST(Limits, TimeWaitTableThatIsFullLetsTheOldestGo) {
    auto config = host_config(1);
    config.max_time_wait = 16;
    config.time_wait = 60_s;
    WorldOfTwo w{5, {}, config};
    for (int i = 0; i < 200; ++i) w.open({.client_bytes = 1});
    w.scheduled = 200;
    w.run_to_the_end();
    EXPECT_GT(w.client.worker().tcp_counters().time_wait_overflow.load(), 100u);
}

TEST(Limits, SlowReadersCloseTheirWindowsAndGetEverything) {
    auto config = host_config(2);
    config.profiles[0].receive_buffer_bytes = 8000;
    WorldOfTwo w{6, {.delay = 1_ms, .loss = 0.01}, host_config(1), config};
    for (int i = 0; i < 20; ++i)
        w.open({.client_bytes = 60'000,
                .server_bytes = 1000,
                .closing = static_cast<Closing>(i % 5),
                .server_reads_slowly = true});
    w.scheduled = 20;
    w.run_to_the_end();
    EXPECT_EQ(w.oracle.bytes_checked(), 20u * 61'000u);
}

TEST(Limits, EveryOptionOffWorksToo) {
    auto config = host_config(1);
    auto& profile = config.profiles[0];
    profile.timestamps = profile.window_scaling = profile.sack = profile.nagle = false;
    profile.delayed_ack = Duration{};
    WorldOfTwo w{7, {.delay = 1_ms, .jitter = 1_ms, .loss = 0.05}, config};
    w.open_many(200, 100'000, 2_s);
    w.run_to_the_end();
}

TEST(Limits, CookiesForEveryConnectionWorkToo) {
    WorldOfTwo w{9, {.delay = 1_ms}};
    w.oracle.serve(w.server, 81, {.syn_cookies = stack::SynCookies::always});
    for (int i = 0; i < 300; ++i) {
        w.oracle.open(w.client, {w.server.address(), 81}, Plan::draw(w.world.random(), 100'000));
    }
    w.scheduled = 300;
    w.run_to_the_end();
    // All but those whose client gave up before the answer.
    EXPECT_GE(w.server.worker().tcp_counters().syn_cookies_received.load(), 250u);
}

TEST(Limits, SmallMtuWorksToo) {
    auto client = host_config(1);
    client.interfaces[0].device.mtu = 576;
    WorldOfTwo w{8, {.loss = 0.02}, client};
    w.open_many(100, 50'000, 2_s);
    w.run_to_the_end();
}

}  // namespace
}  // namespace synfin::sim
