// HyStart++ (RFC 9406): the first slow start and the length of its round trips, one ACK after the
// other in virtual time.
#include <gtest/gtest.h>

#include "scenes.hpp"

namespace synfin::conformance {
namespace {

constexpr Script::Handshake of_100_ms{
    .mss = 1000, .window_scale = 7, .sack_permitted = true, .active = true, .round_trip = 100_ms};

class SlowStart {
  public:
    explicit SlowStart(tcp::CongestionAlgorithm algorithm)
        : SlowStart{with_large_queue(algorithm)} {}
    explicit SlowStart(const Setup& setup) : s{setup} {
        s.establish(of_100_ms);
        s.call_send_bytes(900'000);
    }
    ~SlowStart() { s.ignore_sent(); }
    SlowStart(const SlowStart&) = delete;
    SlowStart& operator=(const SlowStart&) = delete;
    /// What is in flight now is acknowledged, segment by segment, this long after it left. Returns
    /// by how much the window grew with the last one.
    uint32_t round(Duration round_trip) {
        const auto flight = s.take_sent();
        s.wait(round_trip);
        uint32_t growth = 0;
        for (const Sent& sent : flight) {
            const uint32_t before = s.connection().cwnd;
            s.inject(Ack().seq(1).ack(sent.end()));
            growth = s.connection().cwnd - before;
        }
        return growth;
    }
    Script s;
};

class HyStart : public ::testing::TestWithParam<tcp::CongestionAlgorithm> {};
INSTANTIATE_TEST_SUITE_P(Both, HyStart,
                         ::testing::Values(tcp::CongestionAlgorithm::cubic,
                                           tcp::CongestionAlgorithm::new_reno),
                         [](const auto& param) { return std::string{tcp::name(param.param)}; });

TEST_P(HyStart, Rfc9406_RoundTripsThatStayTheSameLetTheWindowDouble) {
    SlowStart slow{GetParam()};
    for (uint32_t window = 10'000; window < 160'000; window *= 2) {
        EXPECT_EQ(slow.s.connection().cwnd, window);
        EXPECT_EQ(slow.round(100_ms), 1000u);
    }
    EXPECT_EQ(slow.s.connection().ssthresh, UINT32_MAX);
}

TEST_P(HyStart, Rfc9406_LongerRoundTripsMakeTheGrowthFourTimesSlower) {
    SlowStart slow{GetParam()};
    slow.round(100_ms);
    EXPECT_EQ(slow.round(113_ms), 250u);
    // Eight samples are needed: those before grew as usual.
    EXPECT_EQ(slow.s.connection().cwnd, 20'000u + 7 * 1000 + 13 * 250);
    EXPECT_EQ(slow.s.connection().ssthresh, UINT32_MAX);
}

TEST_P(HyStart, Rfc9406_SlightlyLongerOnesAreNoQueue) {
    SlowStart slow{GetParam()};
    slow.round(100_ms);
    EXPECT_EQ(slow.round(112_ms), 1000u);  // less than an eighth
}

TEST_P(HyStart, Rfc9406_ThresholdIsAtLeastFourMilliseconds) {
    for (const auto& [longer, growth] : {std::pair{13_ms, 1000u}, std::pair{14_ms, 250u}}) {
        SlowStart slow{GetParam()};
        slow.round(10_ms);
        EXPECT_EQ(slow.round(longer), growth);
    }
}

TEST_P(HyStart, Rfc9406_ThresholdIsAtMostSixteenMilliseconds) {
    for (const auto& [longer, growth] : {std::pair{215_ms, 1000u}, std::pair{216_ms, 250u}}) {
        SlowStart slow{GetParam()};
        slow.round(200_ms);
        EXPECT_EQ(slow.round(longer), growth);
    }
}

TEST_P(HyStart, Rfc9406_FewerThanEightSamplesSayNothing) {
    conformance::Setup setup = with_large_queue(GetParam());
    setup.profile.initial_window_segments = 3;
    SlowStart slow{setup};
    slow.round(100_ms);
    EXPECT_EQ(slow.round(200_ms), 1000u);
}

TEST_P(HyStart, Rfc9406_OneAckOpensAtMostEightSegments) {
    SlowStart slow{GetParam()};
    slow.s.wait(100_ms);
    slow.s.inject(Ack().seq(1).ack(9'501));
    EXPECT_EQ(slow.s.connection().cwnd, 18'000u);
}

TEST_P(HyStart, Rfc9406_SlowStartAfterALossDoesNotLookAtRoundTrips) {
    SlowStart slow{GetParam()};
    slow.s.wait(600_ms);  // the probe, then the timer
    slow.s.ignore_sent();
    slow.s.inject(Ack().seq(1).ack(1001));
    slow.s.ignore_sent();
    EXPECT_FALSE(
        slow.s.environment().transfers.transfers[slow.s.connection().transfer].hystart.running);
}

TEST_P(HyStart, Rfc9406_ShorterRoundTripsBringTheGrowthBack) {
    SlowStart slow{GetParam()};
    slow.round(100_ms);
    slow.round(120_ms);
    EXPECT_EQ(slow.round(120_ms), 250u);
    EXPECT_EQ(slow.round(100_ms), 1000u);
    EXPECT_EQ(slow.s.connection().ssthresh, UINT32_MAX);
}

TEST_P(HyStart, Rfc9406_FiveSlowRoundsEndTheSlowStart) {
    SlowStart slow{GetParam()};
    slow.round(100_ms);
    for (int i = 0; i < 4; ++i) {
        slow.round(120_ms);
        EXPECT_EQ(slow.s.connection().ssthresh, UINT32_MAX) << i;
    }
    slow.round(120_ms);
    EXPECT_NE(slow.s.connection().ssthresh, UINT32_MAX);
    EXPECT_EQ(slow.s.counters().retrans_segs.load(), 0u);
}

}  // namespace
}  // namespace synfin::conformance
