// The scene of an attack by single packets: a host that serves, a client that means it, and a wire
// on which an attacker writes what he likes.
#pragma once

#include <vector>

#include <gtest/gtest.h>

#include <synfin/sim/oracle.hpp>
#include <synfin/sim/world.hpp>

#include "raw_frame.hpp"

namespace synfin::security {

using namespace synfin::literals;

/// A victim 10.0.0.1 that serves port 80, an honest client 10.0.0.2, and the attacker's 10.0.0.9.
struct Scene {
    explicit Scene(const stack::WorkerConfig& victim_config = sim::World::simple_host(1))
        : victim{world.add_host(with_attacker_known(victim_config))},
          client{world.add_host(sim::World::simple_host(2))},
          link{world.connect(victim, client)},
          oracle{world} {
        oracle.serve(victim, 80);
        link.set_tap([this](std::span<const uint8_t> frame) {
            // What the victim says in IPv4; ARP is its own affair.
            if (frame[11] == 1 && frame[6] == 2 && frame[12] == 0x08 && frame[13] == 0x00)
                said.emplace_back(frame.begin(), frame.end());
        });
    }
    static stack::WorkerConfig with_attacker_known(stack::WorkerConfig config) {
        config.interfaces[0].static_neighbors.push_back(
            {wire::IpAddress::v4(10, 0, 0, 9), {{2, 0, 0, 0, 0, 9}}});
        return config;
    }
    void attack(const RawFrame& frame) {
        link.inject(frame.bytes());
        world.run_for(200_us);
    }
    uint64_t connections() const { return victim.worker().gauges().connections; }
    static uint8_t flags_of(const std::vector<uint8_t>& frame) { return frame[14 + 20 + 13]; }
    /// After all of it, an honest client is served, and nothing is left.
    void judge_afterwards() {
        EXPECT_TRUE(oracle.open(client, {victim.address(), 80},
                                {.client_bytes = 5000, .server_bytes = 5000}));
        EXPECT_TRUE(world.run_while_busy(Duration::hours(1), [&] {
            return oracle.all_finished() && connections() == 0 &&
                   victim.worker().gauges().time_wait == 0 &&
                   client.worker().gauges().time_wait == 0;
        }));
        oracle.judge_end({&victim, &client});
        for (const auto& failure : oracle.failures()) ADD_FAILURE() << failure;
    }

    sim::World world{1};
    sim::Host& victim;
    sim::Host& client;
    sim::Link& link;
    sim::Oracle oracle;
    std::vector<std::vector<uint8_t>> said;
};

}  // namespace synfin::security
