// BBR (draft-cardwell-iccrg-bbr-congestion-control-00), phase by phase. A path of its own, exact in
// virtual time, plays the peer: a bottleneck that carries one segment of 1000 bytes a millisecond,
// a queue without end, and 40 ms of way. So the bandwidth is 1,000,000 bytes a second, and the
// product of bandwidth and round trip 40 segments.
#include <algorithm>
#include <deque>

#include <gtest/gtest.h>

#include "scenes.hpp"

namespace synfin::conformance {
namespace {

using Phase = tcp::Bbr::Phase;

constexpr uint32_t product = 40'000;

class Path {
  public:
    explicit Path(tcp::CongestionAlgorithm algorithm = tcp::CongestionAlgorithm::bbr)
        : s{with_large_queue(algorithm)} {
        s.establish({.mss = 1000,
                     .window_scale = 7,
                     .sack_permitted = true,
                     .active = true,
                     .round_trip = 40_ms});
        s.peer_window(0xffff);
    }

    ~Path() { s.ignore_sent(); }
    Path(const Path&) = delete;
    Path& operator=(const Path&) = delete;

    /// One millisecond: what was sent enters the queue, one segment leaves it, and the ACKs whose
    /// time has come arrive. The user's queue is filled up to `backlog`.
    void step(uint32_t backlog = 500'000) {
        const uint32_t queued = tcp::unacknowledged_bytes(s.connection(), s.environment());
        if (queued < backlog) s.call_send_bytes(backlog - queued);
        for (const Sent& sent : s.take_sent()) {
            if (drops > 0) {
                --drops;
            } else {
                queue_.push_back({sent.seq, sent.end()});
            }
        }
        longest_queue = std::max(longest_queue, queue_.size());
        if (!queue_.empty()) {
            arrive(queue_.front());
            queue_.pop_front();
        }
        s.wait(1_ms);
        ++milliseconds;
        if (clump != 0 && milliseconds % clump != 0) return;
        while (!acks_.empty() && acks_.front().at <= milliseconds) {
            s.inject(acks_.front().packet);
            acks_.pop_front();
        }
    }
    void run(int64_t count, uint32_t backlog = 500'000) {
        for (int64_t i = 0; i < count; ++i) step(backlog);
    }
    bool run_until(Phase phase, int64_t limit) {
        step();
        for (int64_t i = 0; i < limit && bbr().phase != phase; ++i) step();
        return bbr().phase == phase;
    }

    tcp::PathModel& model() {
        auto& transfers = s.environment().transfers;
        return transfers.models[transfers.transfers[s.connection().transfer].model];
    }
    tcp::Bbr& bbr() { return model().bbr; }
    uint32_t in_flight() const {
        return s.connection().snd_nxt.load().distance_from(s.connection().snd_una);
    }

    Script s;
    int64_t milliseconds = 0;
    size_t longest_queue = 0;
    uint32_t drops = 0;  ///< so many of the next segments do not get through
    int64_t clump = 0;   ///< ACKs wait until so many milliseconds are over; 0: they do not

  private:
    struct PendingAck {
        int64_t at;
        Packet packet;
    };
    // The peer: what it has of the stream, and what it says when this comes.
    void arrive(const RelativeBlock& piece) {
        if (piece.left != next_) {
            const bool joins = !held_.empty() && held_.back().right == piece.left;
            joins ? void(held_.back().right = piece.right) : held_.push_back(piece);
        } else {
            next_ = piece.right;
        }
        while (!held_.empty() && held_.front().left <= next_) {
            next_ = std::max(next_, held_.front().right);
            held_.pop_front();
        }
        Packet ack = Ack().seq(1).ack(next_);
        if (!held_.empty()) ack = ack.sack({held_.back()});
        acks_.push_back({milliseconds + 39, ack});
    }

    uint32_t next_ = 1;
    std::deque<RelativeBlock> held_;
    std::deque<RelativeBlock> queue_;
    std::deque<PendingAck> acks_;
};

TEST(Bbr, StartupGrowsUntilTheBandwidthGrowsNoMore) {
    Path path;
    path.step();
    EXPECT_EQ(path.bbr().phase, Phase::startup);
    ASSERT_TRUE(path.run_until(Phase::drain, 1000));
    EXPECT_TRUE(path.bbr().pipe_filled);
    EXPECT_EQ(path.bbr().rounds_without_growth, 3);
    EXPECT_NEAR(static_cast<double>(path.bbr().bandwidth.largest()), 1e6, 2e4);
    // From 10 segments to 40, and three rounds without growth, the last with a long queue.
    EXPECT_LT(path.milliseconds, 3 * 40 + 3 * 116 + 40);
}

TEST(Bbr, WhatTheApplicationLimitsDoesNotEndStartup) {
    Path path;
    path.run(1000, 2000);
    EXPECT_EQ(path.bbr().phase, Phase::startup);
    EXPECT_FALSE(path.bbr().pipe_filled);
}

TEST(Bbr, TimeoutLetsStartupLookForTheBandwidthAnew) {
    Path path;
    path.run(100);
    ASSERT_EQ(path.bbr().phase, Phase::startup);
    ASSERT_GT(path.bbr().full_bandwidth, 0u);
    path.s.wait(3_s);
    EXPECT_EQ(path.bbr().full_bandwidth, 0u);
}

TEST(Bbr, WindowOfStartupHasNoRoomForClumps) {
    Path path;
    path.clump = 60;
    path.step();
    for (int i = 0; i < 400 && path.bbr().phase == Phase::startup; ++i) {
        path.step();
        const auto& bbr = path.bbr();
        if (bbr.surplus.largest() == 0 || bbr.phase != Phase::startup) continue;
        const double estimate =
            static_cast<double>(bbr.bandwidth.largest()) * bbr.round_trip_us / 1e6;
        const double bursts = 3.0 * path.model().pacer.burst_bytes(1000);
        EXPECT_LE(path.s.connection().cwnd, std::max(2.885 * estimate + bursts, 10'000.0) + 1000);
    }
}

TEST(Bbr, DrainEmptiesTheQueueOfStartup) {
    Path path;
    ASSERT_TRUE(path.run_until(Phase::drain, 1000));
    const uint32_t before = path.in_flight();
    EXPECT_GT(before, product * 3 / 2);
    ASSERT_TRUE(path.run_until(Phase::probe_bandwidth, 1000));
    EXPECT_LE(path.in_flight(), product * 5 / 4);
}

TEST(Bbr, ModelIsThePathsBandwidthAndRoundTrip) {
    Path path;
    path.run(3000);
    EXPECT_NEAR(static_cast<double>(path.bbr().bandwidth.largest()), 1e6, 2e4);
    EXPECT_NEAR(path.bbr().round_trip_us, 40'000, 2000);
}

TEST(Bbr, ProbingOfTheBandwidthKeepsTheQueueShort) {
    Path path;
    path.run(2000);
    path.longest_queue = 0;
    path.run(3000);
    // A quarter of the product, for one round trip in eight, and a burst.
    EXPECT_LE(path.longest_queue, 20u);
    EXPECT_GT(path.in_flight(), product * 3 / 4);
}

TEST(Bbr, CycleHasOneRoundAboveAndOneBelow) {
    Path path;
    ASSERT_TRUE(path.run_until(Phase::probe_bandwidth, 2000));
    std::vector<uint64_t> rates;
    for (int i = 0; i < 1500; ++i) {
        path.step();
        const uint64_t rate = path.model().pacer.bytes_per_second();
        if (rates.empty() || rates.back() != rate) rates.push_back(rate);
    }
    const auto [least, most] = std::minmax_element(rates.begin(), rates.end());
    EXPECT_NEAR(static_cast<double>(*most), 1.25 * 0.99e6, 3e4);
    EXPECT_NEAR(static_cast<double>(*least), 0.75 * 0.99e6, 3e4);
}

/// The cycle has come to the quarter above, with so little to send that the path is not filled.
void probe_in_vain(Path& path) {
    path.run(2000);
    path.run(2000, 20'000);
}

TEST(Bbr, BandwidthIsProbedUntilMoreThanTheProductIsInFlight) {
    Path path;
    probe_in_vain(path);
    for (int i = 0; i < 200; ++i) {
        EXPECT_EQ(path.bbr().cycle_place, 0) << i;
        path.step(20'000);
    }
}

TEST(Bbr, LossEndsTheProbingOfTheBandwidth) {
    Path path;
    probe_in_vain(path);
    path.drops = 1;
    for (int i = 0; i < 200 && path.bbr().cycle_place == 0; ++i) path.step(20'000);
    EXPECT_NE(path.bbr().cycle_place, 0);
}

TEST(Bbr, RoundTripIsProbedEveryTenSecondsWithFourSegments) {
    Path path;
    int probes = 0;
    int64_t probing = 0;
    uint32_t least_in_flight = UINT32_MAX;
    uint32_t window_at_end = 0;
    bool before = false;
    for (int i = 0; i < 12'000; ++i) {
        path.step();
        const bool now = path.bbr().phase == Phase::probe_round_trip;
        if (now && !before) ++probes;
        if (now) ++probing, least_in_flight = std::min(least_in_flight, path.in_flight());
        if (!now && before) window_at_end = path.s.connection().cwnd;
        before = now;
    }
    EXPECT_EQ(probes, 1);
    EXPECT_GT(window_at_end, product);
    EXPECT_LE(least_in_flight, 4000u);
    // Draining, 200 ms, and a round more: about 2 % of the time.
    EXPECT_GE(probing, 200);
    EXPECT_LE(probing, 320);
    // And then everything is as before.
    EXPECT_GT(path.s.connection().cwnd, product);
    EXPECT_NEAR(static_cast<double>(path.bbr().bandwidth.largest()), 1e6, 2e4);
}

TEST(Bbr, WhatTheApplicationLimitsDoesNotLowerTheModel) {
    Path path;
    path.run(2000);
    const uint64_t known = path.bbr().bandwidth.largest();
    // A trickle of two segments each time for many rounds.
    path.run(3000, 2000);
    EXPECT_GE(path.bbr().bandwidth.largest(), known * 9 / 10);
    EXPECT_EQ(path.bbr().phase, Phase::probe_bandwidth);
}

TEST(Bbr, AcksThatComeInClumpsDoNotLetThePathRunDry) {
    Path path;
    path.run(1000);
    path.clump = 150;
    path.run(3000);
    const uint32_t before = path.s.connection().snd_una.load().value();
    path.run(3000);
    // As if they came one by one; twice the product alone would be 80 segments in 150 ms.
    EXPECT_GE(path.s.connection().snd_una.load().value() - before, 2'700'000u);
}

TEST(Bbr, RoomForClumpsIsATenthOfASecondAtMost) {
    Path path;
    path.run(1000);
    path.clump = 150;
    path.run(3000);
    const double bandwidth = static_cast<double>(path.bbr().bandwidth.largest());
    EXPECT_GT(static_cast<double>(path.bbr().surplus.largest()), bandwidth / 10);
    const double target =
        bandwidth * 2 * path.bbr().round_trip_us / 1e6 + 3.0 * path.model().pacer.burst_bytes(1000);
    EXPECT_LE(path.s.connection().cwnd, target + bandwidth / 10 + 1);
}

TEST(Bbr, RoomForClumpsGoesWithThem) {
    Path path;
    path.run(1000);
    const uint32_t usual = path.s.connection().cwnd;
    path.clump = 150;
    path.run(3000);
    EXPECT_GT(path.s.connection().cwnd, usual * 3 / 2);
    path.clump = 0;
    path.run(3000);
    EXPECT_LE(path.s.connection().cwnd, usual * 5 / 4);
}

TEST(Bbr, LossDoesNotLowerTheRate) {
    Path path;
    path.run(2000);
    const uint64_t known = path.bbr().bandwidth.largest();
    const uint32_t window = path.s.connection().cwnd;
    path.drops = 1;
    path.run(200);
    EXPECT_EQ(path.s.counters().fast_retransmits.load(), 1u);
    EXPECT_EQ(path.s.counters().retrans_segs.load(), 1u);
    EXPECT_EQ(path.s.connection().ssthresh, UINT32_MAX);
    EXPECT_GE(path.bbr().bandwidth.largest(), known);
    EXPECT_EQ(path.s.connection().cwnd, window);
    EXPECT_EQ(path.s.counters().timeouts.load(), 0u);
}

/// The first of the segments in flight is lost, and four behind it have arrived.
struct RepairingPath : Path {
    RepairingPath() {
        run(2000);
        s.ignore_sent();
        una = s.connection().snd_una.load().value() - s.local_isn();
        s.inject(Ack().seq(1).ack(una).sack({{una + 1000, una + 5000}}));
    }
    uint32_t una = 0;
};

TEST(Bbr, FirstRoundOfARecoverySendsWhatArrives) {
    RepairingPath path;
    EXPECT_EQ(path.s.counters().fast_retransmits.load(), 1u);
    // Four have arrived and one is lost; that may go again, and as much as has arrived.
    EXPECT_EQ(path.s.connection().cwnd, path.in_flight() - 5000 + 4000);
}

TEST(Bbr, WhatIsLostInTheFirstRoundOfARecoveryIsNotMadeUpFor) {
    RepairingPath path;
    const uint32_t window = path.s.connection().cwnd;
    const uint32_t una = path.una;
    path.s.inject(Ack().seq(1).ack(una).sack({{una + 6000, una + 9000}, {una + 1000, una + 5000}}));
    EXPECT_EQ(path.s.connection().cwnd, window - 1000);
}

TEST(Bbr, SecondRoundOfARecoveryFollowsTheModelAgain) {
    Path path;
    path.run(2000);
    path.drops = 1;
    while (path.s.counters().fast_retransmits.load() == 0) path.step();
    path.drops = 1;  // what is sent again
    ASSERT_TRUE(path.bbr().conserves);
    for (int i = 0; i < 200 && path.bbr().conserves; ++i) path.step();
    EXPECT_TRUE(path.bbr().recovers);
    EXPECT_EQ(path.s.counters().timeouts.load(), 0u);
}

TEST(Bbr, WindowOfBeforeIsThereWhenARecoveryEnds) {
    Path path;
    path.run(2000);
    for (int i = 0; i < 600 && path.in_flight() > product; ++i) path.step(0);
    path.s.wait(40_ms);
    path.s.ignore_sent();
    const uint32_t window = path.s.connection().cwnd;
    const uint32_t una = path.s.connection().snd_una.load().value() - path.s.local_isn();
    const uint32_t point = path.s.sent_end();
    path.s.inject(Ack().seq(1).ack(una).sack({{una + 1000, una + 5000}}));
    ASSERT_LT(path.s.connection().cwnd, window / 2 + 10'000);
    for (uint32_t end = una + 6000; end <= point; end += 1000) {
        path.s.inject(Ack().seq(1).ack(una).sack({{una + 1000, end}}));
    }
    path.s.inject(Ack().seq(1).ack(point));
    EXPECT_GE(path.s.connection().cwnd, window);
    path.s.ignore_sent();
}

TEST(Bbr, TimeoutLeavesOneSegmentAndTheModelBringsTheWindowBack) {
    Path path;
    path.run(2000);
    const uint32_t window = path.s.connection().cwnd;
    path.s.wait(3_s);
    EXPECT_GE(path.s.counters().timeouts.load(), 1u);
    EXPECT_EQ(path.s.connection().cwnd, 1000u);
    path.s.ignore_sent();
    path.s.inject(Ack().seq(1).ack(path.s.sent_end()));
    EXPECT_EQ(path.s.connection().cwnd, window);
}

TEST(Bbr, RestartAfterIdlenessKeepsTheWindowAndPaces) {
    Path path;
    path.run(2000);
    for (int i = 0; i < 600 && path.in_flight() > 0; ++i) path.step(0);
    ASSERT_EQ(path.in_flight(), 0u);
    const uint32_t window = path.s.connection().cwnd;
    EXPECT_GE(window, product);
    path.s.wait(5_s);
    path.s.call_send_bytes(100'000);
    EXPECT_EQ(path.s.connection().cwnd, window);
    // Not the whole window at once.
    EXPECT_LE(path.s.take_sent().size(), 2u);
}

TEST(Bbr, AfterIdlenessTheRoundTripIsNotProbedAtOnce) {
    Path path;
    path.run(2000);
    for (int i = 0; i < 600 && path.in_flight() > 0; ++i) path.step(0);
    path.s.wait(11_s);
    for (int i = 0; i < 100; ++i) {
        path.step();
        EXPECT_NE(path.bbr().phase, Phase::probe_round_trip) << i;
    }
}

TEST(Bbr, EmptyFlightAloneIsNoIdleness) {
    Path path;
    path.s.call_send_bytes(100'000);
    path.s.wait(30_ms);
    path.s.ignore_sent();
    path.s.inject(Ack().seq(1).ack(path.s.sent_end()));
    EXPECT_GT(path.in_flight(), 0u);
    EXPECT_FALSE(path.bbr().restarts_from_idle);
    path.s.ignore_sent();
}

TEST(Bbr, FullWindowIsNotLimitedByTheApplication) {
    Path path;
    path.s.call_send_bytes(10'000);
    path.s.wait(35_ms);
    ASSERT_EQ(path.in_flight(), path.s.connection().cwnd);
    EXPECT_FALSE(path.model().rate.application_limited());
    path.s.ignore_sent();
}

TEST(Bbr, IsTakenUpAndGivenUpInTheMiddleOfAConnection) {
    Path path{tcp::CongestionAlgorithm::new_reno};
    path.run(500);
    auto profile = path.s.setup().profile;
    profile.congestion = tcp::CongestionAlgorithm::bbr;
    path.s.change_profile(profile);
    ASSERT_EQ(path.s.environment().transfers.models.used(), 1u);
    path.run(2000);
    EXPECT_NEAR(static_cast<double>(path.bbr().bandwidth.largest()), 1e6, 2e4);
    profile.congestion = tcp::CongestionAlgorithm::cubic;
    path.s.change_profile(profile);
    EXPECT_EQ(path.s.environment().transfers.models.used(), 0u);
    EXPECT_EQ(path.s.connection().ssthresh, path.s.connection().cwnd);
    path.run(500);
    EXPECT_EQ(path.s.counters().timeouts.load(), 0u);
}

}  // namespace
}  // namespace synfin::conformance
