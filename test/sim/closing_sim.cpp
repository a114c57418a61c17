// Every order of closing, each many times, on a clean and on a losing link.
#include "world_of_two.hpp"

namespace synfin::sim {
namespace {

class EveryClosing : public ::testing::TestWithParam<unsigned> {
  public:
    Closing closing() const { return static_cast<Closing>(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Closing, EveryClosing, ::testing::Range(0u, closing_count),
                         [](const auto& param) {
                             std::string text = name(static_cast<Closing>(param.param));
                             for (char& c : text)
                                 if (c == ' ' || c == '-') c = '_';
                             return text;
                         });

TEST_P(EveryClosing, EndsBothSidesOnce) {
    for (double loss : {0.0, 0.1}) {
        WorldOfTwo w{9, {.delay = 500_us, .jitter = 500_us, .loss = loss}};
        for (uint32_t i = 0; i < 300; ++i) {
            w.open({.client_bytes = i % 3 == 0 ? 0 : i * 20,
                    .server_bytes = i % 5 == 0 ? 0 : i * 30,
                    .closing = closing()});
        }
        w.scheduled = 300;
        w.run_to_the_end();
    }
}

TEST_P(EveryClosing, WithoutAByteEndsBothSidesOnce) {
    WorldOfTwo w{10, {.jitter = 100_us}};
    for (int i = 0; i < 500; ++i) w.open({.closing = closing()});
    w.scheduled = 500;
    w.run_to_the_end();
}

// Who closes first waits in TIME_WAIT; the other does not (section 3.6).
TEST(Closing, TimeWaitIsOnTheSideThatClosesFirst) {
    for (bool client_first : {true, false}) {
        WorldOfTwo w{11};
        for (int i = 0; i < 100; ++i)
            w.open({.client_bytes = 10,
                    .server_bytes = 10,
                    .closing = client_first ? Closing::client_first : Closing::server_first});
        w.scheduled = 100;
        w.run_to_the_end();
        EXPECT_EQ(w.client.worker().tcp_counters().time_waits.load(), client_first ? 100u : 0u);
        EXPECT_EQ(w.server.worker().tcp_counters().time_waits.load(), client_first ? 0u : 100u);
    }
}

}  // namespace
}  // namespace synfin::sim
