// Explicit congestion notification between whole stacks, over a link that marks instead of
// dropping: nothing is ever sent again, and yet the windows give way (RFC 3168, RFC 8257).
#include <ostream>

#include "world_of_two.hpp"

namespace synfin::sim {
namespace {

using tcp::CongestionAlgorithm;

struct Case {
    const char* name;
    CongestionAlgorithm algorithm;
    Family family;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

struct Outcome {
    Duration elapsed;
    uint64_t reductions = 0, retransmissions = 0, marks = 0;
};

Outcome transfer(CongestionAlgorithm algorithm, Family family, const LinkFaults& faults) {
    auto client = host_config(1, family);
    auto server = host_config(2, family);
    for (auto* config : {&client, &server}) {
        config->profiles[0].congestion = algorithm;
        config->profiles[0].ecn = tcp::EcnUse::ask;
        config->time_wait = 1_s;
    }
    WorldOfTwo w{11, faults, client, server};
    w.open({.client_bytes = 3'000'000, .server_bytes = 3'000'000, .closing = Closing::both});
    w.scheduled = 1;
    w.run_to_the_end();
    Outcome outcome;
    outcome.elapsed = w.world.elapsed();
    outcome.marks = w.link.counters().marked;
    for (Host* host : {&w.client, &w.server}) {
        outcome.reductions += host->worker().tcp_counters().ecn_reductions.load();
        outcome.retransmissions += host->worker().tcp_counters().retrans_segs.load();
    }
    EXPECT_EQ(w.oracle.bytes_checked(), 6'000'000u);
    return outcome;
}

class EveryAlgorithm : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(
    Ecn, EveryAlgorithm,
    ::testing::Values(Case{"cubic", CongestionAlgorithm::cubic, Family::ipv4},
                      Case{"new_reno", CongestionAlgorithm::new_reno, Family::ipv4},
                      Case{"dctcp", CongestionAlgorithm::dctcp, Family::ipv4},
                      Case{"cubic_ipv6", CongestionAlgorithm::cubic, Family::ipv6}),
    [](const auto& param) { return std::string{param.param.name}; });

TEST_P(EveryAlgorithm, MarksReduceWindowsAndNothingIsSentAgain) {
    const auto [name, algorithm, family] = GetParam();
    const Outcome clear = transfer(algorithm, family, {.delay = 5_ms});
    const Outcome marked = transfer(algorithm, family, {.delay = 5_ms, .marking = 0.05});
    EXPECT_EQ(clear.reductions, 0u);
    EXPECT_GT(marked.marks, 50u);
    EXPECT_GT(marked.reductions, 10u);
    EXPECT_LE(marked.reductions, marked.marks);
    EXPECT_EQ(marked.retransmissions, 0u);
    EXPECT_GT(marked.elapsed, clear.elapsed);
}

TEST_P(EveryAlgorithm, MarksAndLossesTogetherLoseNoByte) {
    const auto [name, algorithm, family] = GetParam();
    transfer(algorithm, family, {.delay = 5_ms, .jitter = 2_ms, .loss = 0.02, .marking = 0.1});
}

TEST(Ecn, Rfc8257_RareMarksCostDctcpLessThanHalving) {
    const LinkFaults faults{.delay = 5_ms, .marking = 0.01};
    const Outcome dctcp = transfer(CongestionAlgorithm::dctcp, Family::ipv4, faults);
    const Outcome new_reno = transfer(CongestionAlgorithm::new_reno, Family::ipv4, faults);
    EXPECT_LT(dctcp.elapsed, new_reno.elapsed);
}

}  // namespace
}  // namespace synfin::sim
