// CUBIC (RFC 9438), seen from the windows that it sets in virtual time, against the RFC's formulas.
#include <cmath>

#include <gtest/gtest.h>

#include "scenes.hpp"

namespace synfin::conformance {
namespace {

constexpr double c_cubic = 0.4;

Setup hundred_segments() {
    Setup setup;
    setup.profile.initial_window_segments = 100;
    setup.profile.rto_initial = 10_s;
    return setup;
}

double window_segments(const Script& s) { return s.connection().cwnd / 100.0; }

tcp::Cubic& state_of(Script& s) {
    return s.environment().transfers.transfers[s.connection().transfer].cubic;
}

/// A hundred segments of 100 bytes in flight, the first lost, a round trip of one second.
void lose_one_of_hundred(Script& s) {
    s.establish({.mss = 100, .sack_permitted = true, .active = true, .round_trip = 1_s});
    s.call_send_bytes(200'000);
    ASSERT_EQ(s.take_sent().size(), 100u);
    s.wait(1_s);
    s.inject(Ack().seq(1).ack(1).sack({{101, 401}}));
    ASSERT_EQ(s.take_sent().at(0).seq, 1u);
}

void acknowledge_everything(Script& s) {
    s.wait(1_s);
    s.inject(Ack().seq(1).ack(s.sent_end()));
    s.ignore_sent();
}

TEST(Cubic, May18_IsTheDefault) {
    EXPECT_EQ(tcp::Profile{}.congestion, tcp::CongestionAlgorithm::cubic);
}

TEST(Cubic, Section4_6_LossLeavesSevenTenthsOfTheWindow) {
    Script s{hundred_segments()};
    lose_one_of_hundred(s);
    EXPECT_EQ(s.connection().ssthresh, 7000u);
    acknowledge_everything(s);
    EXPECT_EQ(s.connection().cwnd, 7000u);
}

TEST(Cubic, Section4_2_WindowFollowsTheCubicBackToWhereItWasAndBeyond) {
    Script s{hundred_segments()};
    lose_one_of_hundred(s);
    acknowledge_everything(s);
    const double k = std::cbrt((100 - 70) / c_cubic);
    // The first ACK begins the epoch. Each of a whole window makes the window what the cubic says
    // for one round trip later.
    acknowledge_everything(s);
    for (int second = 1; second < 9; ++second) {
        acknowledge_everything(s);
        const double expected = c_cubic * std::pow(second + 1 - k, 3) + 100;
        EXPECT_NEAR(window_segments(s), expected, 1.5) << "after " << second << " s";
    }
    EXPECT_GT(window_segments(s), 110);
}

TEST(Cubic, Section4_3_GrowsNoSlowerThanReno) {
    Script s;
    s.establish({.mss = 1000, .sack_permitted = true, .active = true, .round_trip = 10_ms});
    s.call_send_bytes(250'000);
    s.ignore_sent();
    s.wait(10_ms);
    s.inject(Ack().seq(1).ack(1).sack({{1001, 4001}}));
    s.wait(10_ms);
    s.inject(Ack().seq(1).ack(s.sent_end()));
    s.ignore_sent();
    EXPECT_EQ(s.connection().cwnd, 7000u);
    for (int i = 0; i < 10; ++i) {
        s.wait(10_ms);
        s.inject(Ack().seq(1).ack(s.sent_end()));
        s.ignore_sent();
    }
    // In a tenth of a second the cubic alone would have got from 7 to 7.4.
    EXPECT_GE(s.connection().cwnd, 11'000u);
    EXPECT_LE(s.connection().cwnd, 17'000u);
}

TEST(Cubic, Section4_7_LossBelowTheLastOneReleasesBandwidth) {
    Script s{hundred_segments()};
    lose_one_of_hundred(s);
    EXPECT_DOUBLE_EQ(state_of(s).w_max, 100);
    acknowledge_everything(s);
    ASSERT_EQ(s.connection().cwnd, 7000u);
    s.wait(1_s);
    const uint32_t first = s.connection().snd_una.load().value() - s.local_isn();
    s.inject(Ack().seq(1).ack(first).sack({{first + 100, first + 400}}));
    s.ignore_sent();
    EXPECT_DOUBLE_EQ(state_of(s).w_max, 70 * 1.7 / 2);
    EXPECT_EQ(s.connection().ssthresh, 4900u);
}

TEST(Cubic, Section4_8_TimeoutReducesByTheSameFactor) {
    Script s{hundred_segments()};
    s.establish({.mss = 100, .active = true, .round_trip = 1_s});
    s.call_send_bytes(20'000);
    s.ignore_sent();
    s.wait(3_s);
    s.ignore_sent();
    EXPECT_EQ(s.counters().timeouts.load(), 1u);
    EXPECT_EQ(s.connection().ssthresh, 7000u);
    EXPECT_EQ(s.connection().cwnd, 100u);
}

TEST(Cubic, Section4_8_CubicAfterATimeoutBeginsOnItsPlateau) {
    Script s{hundred_segments()};
    s.establish({.mss = 100, .active = true, .round_trip = 1_s});
    s.call_send_bytes(200'000);
    s.wait(9_s);
    s.ignore_sent();
    ASSERT_EQ(s.counters().timeouts.load(), 2u);
    while (s.connection().cwnd < s.connection().ssthresh) acknowledge_everything(s);
    acknowledge_everything(s);
    ASSERT_TRUE(state_of(s).in_epoch);
    EXPECT_EQ(state_of(s).k, 0);
    EXPECT_NEAR(state_of(s).w_max, 70, 2);
}

TEST(Cubic, Section4_8_SecondTimeoutInARowIsNoLossOfItsOwn) {
    Script s{hundred_segments()};
    s.establish({.mss = 100, .active = true, .round_trip = 1_s});
    s.call_send_bytes(20'000);
    s.wait(3_s);
    s.wait(6_s);
    ASSERT_EQ(s.counters().timeouts.load(), 2u);
    EXPECT_EQ(state_of(s).window_before, 100);
    s.ignore_sent();
}

TEST(Cubic, Section4_2_TimeInWhichTheWindowIsNotUsedDoesNotCount) {
    Script s{hundred_segments()};
    s.establish({.mss = 100, .sack_permitted = true, .active = true, .round_trip = 1_s});
    s.call_send_bytes(17'000);
    s.ignore_sent();
    s.wait(1_s);
    s.inject(Ack().seq(1).ack(1).sack({{101, 401}}));
    s.ignore_sent();
    s.wait(1_s);
    s.inject(Ack().seq(1).ack(s.sent_end()));
    s.wait(1_s);
    s.inject(Ack().seq(1).ack(s.sent_end() - 100));
    ASSERT_TRUE(state_of(s).in_epoch);
    const uint32_t window = s.connection().cwnd;
    // A trickle keeps the transfer alive for a minute.
    for (int i = 0; i < 60; ++i) {
        s.call_send_bytes(200);
        s.wait(1_s);
        s.inject(Ack().seq(1).ack(s.sent_end() - 100));
        s.ignore_sent();
    }
    EXPECT_EQ(s.connection().cwnd, window);
    s.call_send_bytes(7000);
    acknowledge_everything(s);
    EXPECT_LE(s.connection().cwnd, window * 7 / 5);
}

TEST(Cubic, Section4_2_WindowGrowsByHalfInARoundTripAtMost) {
    Script s{hundred_segments()};
    lose_one_of_hundred(s);
    acknowledge_everything(s);
    acknowledge_everything(s);
    const double before = window_segments(s);
    state_of(s).epoch_us -= 20'000'000;  // the epoch began so much earlier
    acknowledge_everything(s);
    EXPECT_NEAR(window_segments(s), 1.5 * before, 0.5);
}

TEST(Cubic, Section4_3_GrowsAsRenoBeyondTheWindowOfTheLoss) {
    Script s{with_large_queue(tcp::CongestionAlgorithm::cubic)};
    s.establish({.mss = 1000, .sack_permitted = true, .active = true, .round_trip = 10_ms});
    s.call_send_bytes(1'000'000);
    s.ignore_sent();
    s.wait(10_ms);
    s.inject(Ack().seq(1).ack(1).sack({{1001, 4001}}));
    for (int i = 0; i < 31; ++i) {
        s.wait(10_ms);
        s.inject(Ack().seq(1).ack(s.sent_end()));
        s.ignore_sent();
    }
    // From 7 to 10 in six round trips, and one segment in each of the others.
    EXPECT_NEAR(s.connection().cwnd / 1000.0, 10 + 24, 2);
}

/// The second loss of a connection, ten round trips after the first.
void lose_once_more(Script& s) {
    lose_one_of_hundred(s);
    acknowledge_everything(s);
    for (int second = 0; second < 10; ++second) acknowledge_everything(s);
    s.wait(1_s);
}

TEST(Cubic, Section4_9_EpochOfBeforeGoesOnWhenTheLossWasNone) {
    Script s{hundred_segments()};
    lose_once_more(s);
    const tcp::Cubic before = state_of(s);
    ASSERT_TRUE(before.in_epoch);
    const uint32_t first = s.connection().snd_una.load().value() - s.local_isn();
    s.inject(Ack().seq(1).ack(first).sack({{first + 100, first + 400}}));
    ASSERT_EQ(s.counters().fast_retransmits.load(), 2u);
    s.inject(Ack().seq(1).ack(first + 400));
    s.inject(Ack().seq(1).ack(first + 400).sack({{first, first + 100}}));
    ASSERT_EQ(s.counters().spurious_recoveries.load(), 1u);
    EXPECT_EQ(state_of(s).w_max, before.w_max);
    EXPECT_EQ(state_of(s).window_before, before.window_before);
    EXPECT_EQ(state_of(s).k, before.k);
    EXPECT_EQ(state_of(s).epoch_us, before.epoch_us);
    EXPECT_TRUE(state_of(s).in_epoch);
    s.ignore_sent();
}

TEST(Cubic, Section4_9_EpochThatHasBegunSinceEndsWhenTheLossWasNone) {
    Script s{hundred_segments()};
    lose_once_more(s);
    const float w_max = state_of(s).w_max;
    const uint32_t first = s.connection().snd_una.load().value() - s.local_isn();
    const uint32_t point = s.sent_end();
    s.inject(Ack().seq(1).ack(first).sack({{first + 100, point - 2000}}));
    const uint32_t end = s.sent_end();
    ASSERT_GT(end, point + 100);
    s.inject(Ack().seq(1).ack(point));
    s.inject(Ack().seq(1).ack(end - 100));
    ASSERT_TRUE(state_of(s).in_epoch);
    s.inject(Ack().seq(1).ack(end - 100).sack({{first, first + 100}}));
    ASSERT_EQ(s.counters().spurious_recoveries.load(), 1u);
    EXPECT_EQ(state_of(s).w_max, w_max);
    EXPECT_FALSE(state_of(s).in_epoch);
    s.ignore_sent();
}

}  // namespace
}  // namespace synfin::conformance
