// Two hosts on one link with an oracle over both: what most simulations begin with.
#pragma once

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include <synfin/sim/oracle.hpp>
#include <synfin/sim/world.hpp>

namespace synfin::sim {

using namespace synfin::literals;

inline constexpr uint16_t server_port = 80;

/// Keep-alives find peers that have vanished behind a lost RST, so that every world drains.
inline stack::WorkerConfig host_config(uint8_t number, Family family = Family::ipv4) {
    auto config = World::simple_host(number, 4096, family);
    // Longer than a lossy link makes the last FIN wait. An ACK that is lost can make the first
    // sample of the round trip one of seconds; from an RTO of 4 s four lost FINs in a row take a
    // minute, and two more reach the limit of two minutes between retransmissions. Virtual time
    // costs nothing.
    config.time_wait = 300_s;
    auto& profile = config.profiles[0];
    profile.fin_wait_2_timeout = 300_s;
    profile.syn_received_retries = 10;  // a client that is established does not let go
    profile.keep_alive = true;
    profile.keep_alive_idle = 30_s;
    profile.keep_alive_interval = 5_s;
    profile.keep_alive_probes = 10;  // so many are not lost in a row by chance
    profile.receive_buffer_bytes = 64 * 1024;
    profile.send_buffer_bytes = 64 * 1024;
    return config;
}

struct WorldOfTwo {
    explicit WorldOfTwo(uint64_t seed, const LinkFaults& faults = {},
                        const stack::WorkerConfig& client_config = host_config(1),
                        const stack::WorkerConfig& server_config = host_config(2))
        : world{seed},
          client{world.add_host(client_config)},
          server{world.add_host(server_config)},
          link{world.connect(client, server, faults)},
          oracle{world} {
        oracle.serve(server, server_port);
    }

    wire::SocketAddress target() const { return {server.address(), server_port}; }
    bool open(const Plan& plan) { return oracle.open(client, target(), plan); }
    /// Opens `count` connections of drawn plans, spread over `spread`.
    void open_many(uint32_t count, uint32_t most_bytes, Duration spread) {
        for (uint32_t i = 0; i < count; ++i) {
            const Duration at = Duration::nanoseconds(
                static_cast<int64_t>(world.random().below(uint64_t(spread.count_ns()) + 1)));
            world.schedule(at, [this, most_bytes] {
                if (!open(Plan::draw(world.random(), most_bytes))) ++refused;
            });
        }
        scheduled += count;
    }
    bool drained() const {
        return oracle.opened() + refused >= scheduled && oracle.all_finished() &&
               is_empty(client) && is_empty(server);
    }
    static bool is_empty(const Host& host) {
        const auto gauges = host.worker().gauges();
        return gauges.connections == 0 && gauges.time_wait == 0;
    }
    /// Runs until everything is over, and judges it. Liveness: that moment must come.
    void run_to_the_end(Duration limit = Duration::hours(2)) {
        EXPECT_TRUE(world.run_while_busy(limit, [this] { return drained(); }))
            << "the world does not drain: " << oracle.opened() - oracle.finished()
            << " connections of " << oracle.opened() << " go on";
        oracle.judge_end({&client, &server});
        for (const auto& failure : oracle.failures()) ADD_FAILURE() << failure;
    }

    World world;
    Host& client;
    Host& server;
    Link& link;
    Oracle oracle;
    uint64_t scheduled = 0, refused = 0;
};

}  // namespace synfin::sim
