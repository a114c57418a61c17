// Loss recovery as a whole: transfers through links that lose and reorder arrive intact, and with
// SACK, RACK and tail probes they wait for the retransmission timer less often than without. Both
// sides of each comparison run in the same virtual time, so it is exact.
#include <ostream>

#include "world_of_two.hpp"

namespace synfin::sim {
namespace {

struct Outcome {
    uint64_t timeouts = 0;
    uint64_t bytes = 0;
};

Outcome transfer(uint64_t seed, const LinkFaults& faults, bool sack) {
    auto client = host_config(1);
    auto server = host_config(2);
    client.profiles[0].sack = server.profiles[0].sack = sack;
    WorldOfTwo w{seed, faults, client, server};
    for (int i = 0; i < 4; ++i) {
        w.open({.client_bytes = 300'000, .server_bytes = 300'000, .closing = Closing::both});
    }
    w.scheduled = 4;
    w.run_to_the_end();
    Outcome outcome;
    for (Host* host : {&w.client, &w.server}) {
        outcome.timeouts += host->worker().tcp_counters().timeouts.load();
    }
    outcome.bytes = w.oracle.bytes_checked();
    return outcome;
}

struct Loss {
    const char* name;
    double rate;
};
void PrintTo(const Loss& loss, std::ostream* out) { *out << loss.name; }

class EveryLoss : public ::testing::TestWithParam<Loss> {};
INSTANTIATE_TEST_SUITE_P(Recovery, EveryLoss,
                         ::testing::Values(Loss{"one_percent", 0.01}, Loss{"five_percent", 0.05},
                                           Loss{"ten_percent", 0.10}),
                         [](const auto& param) { return std::string{param.param.name}; });

TEST_P(EveryLoss, SackAndRackWaitForTheTimerLessOften) {
    const LinkFaults faults{.delay = 10_ms, .loss = GetParam().rate};
    Outcome with, without;
    for (uint64_t seed = 1; seed <= 5; ++seed) {
        const Outcome a = transfer(seed, faults, true);
        const Outcome b = transfer(seed, faults, false);
        EXPECT_EQ(a.bytes, 2'400'000u);
        EXPECT_EQ(b.bytes, 2'400'000u);
        with.timeouts += a.timeouts;
        without.timeouts += b.timeouts;
    }
    EXPECT_LT(2 * with.timeouts, without.timeouts)
        << with.timeouts << " with, " << without.timeouts << " without";
}

TEST_P(EveryLoss, EverythingArrivesUnderEachCongestionControl) {
    const LinkFaults faults{.delay = 5_ms,
                            .jitter = 1_ms,
                            .loss = GetParam().rate,
                            .reordering = 0.02,
                            .reordering_delay = 3_ms};
    for (const auto algorithm :
         {tcp::CongestionAlgorithm::cubic, tcp::CongestionAlgorithm::new_reno,
          tcp::CongestionAlgorithm::bbr}) {
        auto client = host_config(1);
        auto server = host_config(2);
        client.profiles[0].congestion = server.profiles[0].congestion = algorithm;
        WorldOfTwo w{7, faults, client, server};
        for (int i = 0; i < 4; ++i) {
            w.open({.client_bytes = 200'000, .server_bytes = 200'000, .closing = Closing::both});
        }
        w.scheduled = 4;
        w.run_to_the_end();
        EXPECT_EQ(w.oracle.bytes_checked(), 1'600'000u);
    }
}

}  // namespace
}  // namespace synfin::sim
