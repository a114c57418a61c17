// The world itself: time, order, determinism, and that an oracle notices what is wrong.
#include <filesystem>

#include <gtest/gtest.h>
#include <unistd.h>

#include <synfin/sim/oracle.hpp>
#include <synfin/sim/world.hpp>

namespace synfin::sim {
namespace {

using namespace synfin::literals;

TEST(World, TimeJumpsToWhatIsScheduled) {
    World world{1};
    std::vector<int> order;
    world.schedule(3_s, [&] { order.push_back(3); });
    world.schedule(1_s, [&] { order.push_back(1); });
    world.schedule(1_s, [&] { order.push_back(2); });
    world.run_for(2_s);
    EXPECT_EQ(order, (std::vector<int>{1, 2}));
    EXPECT_EQ(world.elapsed(), 2_s);
    world.run_for(2_s);
    EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(World, IdleHostsLetTimeJump) {
    World world{1};
    world.add_host(World::simple_host(1));
    world.run_for(Duration::hours(24));
    EXPECT_LT(world.events(), 10'000u);
}

struct Pair {
    explicit Pair(uint64_t seed, const LinkFaults& faults = {})
        : world{seed},
          a{world.add_host(World::simple_host(1))},
          b{world.add_host(World::simple_host(2))},
          link{world.connect(a, b, faults)},
          oracle{world} {
        oracle.serve(b, 80);
    }
    bool run(Duration limit = Duration::seconds(600)) {
        return world.run_while_busy(limit, [&] {
            return oracle.all_finished() && a.worker().gauges().connections == 0 &&
                   b.worker().gauges().connections == 0 && a.worker().gauges().time_wait == 0 &&
                   b.worker().gauges().time_wait == 0;
        });
    }
    World world;
    Host& a;
    Host& b;
    Link& link;
    Oracle oracle;
};

TEST(World, OneConnectionLivesItsWholeLife) {
    Pair p{1};
    ASSERT_TRUE(
        p.oracle.open(p.a, {p.b.address(), 80}, {.client_bytes = 100, .server_bytes = 10'000}));
    EXPECT_TRUE(p.run());
    p.oracle.judge_end({&p.a, &p.b});
    EXPECT_TRUE(p.oracle.failures().empty()) << p.oracle.failures()[0];
    EXPECT_EQ(p.oracle.bytes_checked(), 10'100u);
    EXPECT_EQ(p.oracle.ended_with(tcp::CloseReason::finished), 1u);
    EXPECT_LT(p.world.elapsed(), 2_s);
}

TEST(World, ConnectionToAClosedPortIsRefused) {
    Pair p{1};
    p.oracle.tolerate_failures();
    ASSERT_TRUE(p.oracle.open(p.a, {p.b.address(), 81}, {}));
    EXPECT_TRUE(p.run());
    EXPECT_EQ(p.oracle.ended_with(tcp::CloseReason::refused), 1u);
}

TEST(World, SameSeedGivesTheSameTrace) {
    const LinkFaults faults{.jitter = 100_us, .loss = 0.05, .duplication = 0.05};
    auto run = [&](uint64_t seed) {
        Pair p{seed, faults};
        for (int i = 0; i < 20; ++i)
            p.oracle.open(p.a, {p.b.address(), 80}, Plan::draw(p.world.random(), 100'000));
        EXPECT_TRUE(p.run());
        return p.world.trace_hash();
    };
    EXPECT_EQ(run(7), run(7));
    EXPECT_NE(run(7), run(8));
}

TEST(World, LinkThatIsCutEndsConnectionsByTimeout) {
    Pair p{1};
    p.oracle.tolerate_failures();
    p.oracle.open(p.a, {p.b.address(), 80}, {.client_bytes = 1'000'000});
    p.world.schedule(300_us, [&] { p.link.set_down(true); });
    EXPECT_TRUE(p.run(Duration::hours(2)));
    EXPECT_EQ(p.oracle.ended_with(tcp::CloseReason::timed_out), 1u);
}

TEST(World, CaptureIsWritten) {
    const auto path = std::filesystem::temp_directory_path() /
                      ("synfin_world_test_" + std::to_string(::getpid()) + ".pcap");
    {
        Pair p{1};
        p.link.capture(path);
        p.oracle.open(p.a, {p.b.address(), 80}, {.client_bytes = 100});
        EXPECT_TRUE(p.run());
    }
    EXPECT_GT(std::filesystem::file_size(path), 24u + 10 * (16 + 54));
    std::filesystem::remove(path);
}

// An oracle that never complains proves nothing.
TEST(Oracle, NoticesWrongBytes) {
    Pair p{1};
    p.oracle.open(p.a, {p.b.address(), 80}, {.client_bytes = 1000, .closing = Closing::both});
    // A second server that answers for the oracle's connections with bytes of its own.
    class Liar : public stack::Application {
        void on_established(stack::Worker& worker, stack::ConnectionId id) override {
            static constexpr uint8_t lie[] = {1, 2, 3};
            worker.send(id, lie);
            worker.close(id);
        }
        size_t on_data(stack::Worker&, stack::ConnectionId, std::span<const uint8_t> d) override {
            return d.size();
        }
        void on_peer_closed(stack::Worker&, stack::ConnectionId) override {}
        void on_writable(stack::Worker&, stack::ConnectionId) override {}
        void on_closed(stack::Worker&, stack::ConnectionId, tcp::CloseReason) override {}
    } liar;
    ASSERT_TRUE(p.b.worker().listen({p.b.address(), 81}, liar));
    p.oracle.open(p.a, {p.b.address(), 81}, {.server_bytes = 3});
    p.run(10_s);
    ASSERT_FALSE(p.oracle.failures().empty());
    EXPECT_NE(p.oracle.failures()[0].find("wrong bytes"), std::string::npos)
        << p.oracle.failures()[0];
}

}  // namespace
}  // namespace synfin::sim
