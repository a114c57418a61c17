// Slow start, congestion avoidance, fast retransmit, limited transmit and NewReno (RFC 5681, 3042,
// 6582, 6928), seen from the segments that leave.
#include <gtest/gtest.h>

#include "scenes.hpp"

namespace synfin::conformance {
namespace {

constexpr Script::Handshake thousand{
    .mss = 1000, .active = true, .round_trip = Duration::milliseconds(100)};

/// Ten segments of 1000 bytes in flight, ten more queued.
void fill_the_initial_window(Script& s) {
    s.establish(thousand);
    s.call_send_bytes(20'000);
    ASSERT_EQ(s.take_sent().size(), 10u);
    s.wait(100_ms);
}

TEST(Congestion, Rfc6928_InitialWindowIsTenSegmentsOrTwoThatAreLarge) {
    for (const auto& [mss, window] : {std::pair<uint16_t, uint32_t>{536, 5360},
                                      {1460, 14'600},
                                      {3000, 14'600},
                                      {8960, 17'920}}) {
        for (const bool active : {false, true}) {
            auto setup = new_reno();
            setup.mtu = 9000;
            Script s{setup};
            s.establish({.mss = mss, .active = active});
            s.call_send_bytes(60'000);
            s.ignore_sent();
            EXPECT_LE(s.sent_end() - 1, window) << mss;
            EXPECT_GT(s.sent_end() - 1 + mss, window) << mss;
        }
    }
}

TEST(Congestion, Rfc6928_InitialWindowIsOneSegmentAfterLostSyns) {
    Script s{new_reno()};
    s.call_open();
    s.wait(3_s);
    EXPECT_EQ(s.take_sent().size(), 3u);
    s.inject(SynAck().seq(0).ack(1).mss(1000));
    s.expect(Ack().seq(1));
    s.call_send_bytes(20'000);
    s.expect(Data().seq(1).length(1000));
    s.expect_nothing();
}

TEST(Congestion, Rfc6928_OneLostSynLeavesTheInitialWindow) {
    Script s{new_reno()};
    s.call_open();
    s.wait(1_s);
    EXPECT_EQ(s.take_sent().size(), 2u);
    s.inject(SynAck().seq(0).ack(1).mss(1000));
    s.ignore_sent();
    EXPECT_EQ(s.connection().cwnd, 10'000u);
}

TEST(Congestion, Must19_SlowStartSendsTwoSegmentsForEachAcknowledged) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    s.inject(Ack().seq(1).ack(1001));
    EXPECT_EQ(sequences(s.take_sent()), (Numbers{10'001, 11'001}));
    s.inject(Ack().seq(1).ack(2001));
    EXPECT_EQ(sequences(s.take_sent()), (Numbers{12'001, 13'001}));
}

TEST(Congestion, SlowStartGrowsByBytesNotByAcknowledgments) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    // ACK division: a thousand acknowledgments of one byte each open no more than one would.
    for (uint32_t i = 1; i <= 1000; ++i) s.inject(Ack().seq(1).ack(1 + i));
    EXPECT_LE(s.sent_end(), 1u + 12'000u);
    s.ignore_sent();
}

TEST(Congestion, TimeoutBeginsAgainWithOneSegment) {
    Script s{new_reno()};
    s.establish(thousand);
    s.call_send_bytes(10'000);
    EXPECT_EQ(s.take_sent().size(), 10u);
    s.expect_after(300_ms, Data().seq(1).length(1000));
    s.expect_nothing();
    s.inject(Ack().seq(1).ack(1001));
    // Two segments now: the next ones that were sent before the timeout.
    EXPECT_EQ(sequences(s.take_sent()), (Numbers{1001, 2001}));
}

// ---- appropriate byte counting

/// Ten segments are in flight when the timer expires.
struct TimedOut : InFlight {
    TimedOut() : InFlight{thousand, 10'000, new_reno()} { wait(300_ms); }
    void expect_window_after_ack(uint32_t ack, uint32_t window) {
        inject(Ack().seq(1).ack(ack));
        EXPECT_EQ(connection().cwnd, window);
        ignore_sent();
    }
};

TEST(Congestion, Rfc3465_1_AfterATimeoutAnAckOpensOneSegment) {
    TimedOut s;
    s.expect_window_after_ack(1001, 2000);
    s.expect_window_after_ack(3001, 3000);
}

TEST(Congestion, Rfc3465_1_InLaterSlowStartsAnAckOpensTwoSegments) {
    TimedOut s;
    s.expect_window_after_ack(10'001, 3000);  // ends the recovery, below the threshold of five
}

/// A loss has been repaired, and five segments are let out in congestion avoidance.
struct Avoiding : Script {
    Avoiding() : Script{new_reno()} {
        establish(thousand);
        call_send_bytes(40'000);
        wait(100_ms);
        for (int i = 0; i < 3; ++i) inject(Ack().seq(1).ack(1));
        point = sent_end();
        inject(Ack().seq(1).ack(point));
        EXPECT_EQ(connection().cwnd, 5000u);
    }
    uint32_t point = 0;  ///< what is acknowledged
};

TEST(Congestion, Rfc3465_1_AvoidanceCountsBytesOfSmallAcksTogether) {
    Avoiding s;
    const uint32_t point = s.point;
    for (uint32_t i = 1; i < 50; ++i) s.inject(Ack().seq(1).ack(point + 100 * i));
    EXPECT_EQ(s.connection().cwnd, 5000u);
    s.inject(Ack().seq(1).ack(point + 5000));
    EXPECT_EQ(s.connection().cwnd, 6000u);
    s.ignore_sent();
}

TEST(Congestion, Rfc3465_1_WhatExceedsTheWindowCountsForTheNextSegment) {
    Avoiding s;
    const uint32_t point = s.point;
    s.inject(Ack().seq(1).ack(point + 3000));
    s.inject(Ack().seq(1).ack(point + 6000));
    EXPECT_EQ(s.connection().cwnd, 6000u);
    s.inject(Ack().seq(1).ack(point + 9000));
    s.inject(Ack().seq(1).ack(point + 11'000));
    EXPECT_EQ(s.connection().cwnd, 7000u);
    s.ignore_sent();
}

TEST(Congestion, TimeoutHalvesTheThresholdOnce) {
    Script s{new_reno()};
    s.establish(thousand);
    s.call_send_bytes(20'000);
    s.wait(300_ms);
    EXPECT_EQ(s.connection().ssthresh, 5000u);
    s.wait(600_ms);
    EXPECT_EQ(s.connection().ssthresh, 5000u)
        << "RFC 5681: a segment that is lost again does not lower it again";
    s.ignore_sent();
}

TEST(Congestion, Must19_AvoidanceGrowsByOneSegmentPerRoundTrip) {
    Script s{new_reno()};
    s.establish(thousand);
    s.call_send_bytes(100'000);
    s.wait(300_ms);                 // cwnd 1000, ssthresh 5000
    s.inject(Ack().seq(1).ack(1));  // nothing that follows says that the timer was too early
    s.ignore_sent();
    uint32_t acked = 1;
    while (s.connection().cwnd < 5000) {
        acked += 1000;
        s.inject(Ack().seq(1).ack(acked));
    }
    const uint32_t before = s.connection().cwnd;
    const uint32_t round = before / 1000;
    for (uint32_t i = 0; i < round; ++i) {
        acked += 1000;
        s.inject(Ack().seq(1).ack(acked));
    }
    EXPECT_GE(s.connection().cwnd, before + 800);
    EXPECT_LE(s.connection().cwnd, before + 1200);
    s.ignore_sent();
}

TEST(FastRetransmit, ComesWithTheThirdDuplicate) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    s.inject(Ack().seq(1).ack(1));
    s.inject(Ack().seq(1).ack(1));
    for (const auto& sent : s.take_sent()) EXPECT_GT(sent.seq, 1u) << "too early";
    s.inject(Ack().seq(1).ack(1));
    const auto third = s.take_sent();
    ASSERT_FALSE(third.empty());
    EXPECT_EQ(third[0].seq, 1u);
    EXPECT_EQ(third[0].payload.size(), 1000u);
    EXPECT_EQ(s.counters().fast_retransmits.load(), 1u);
    EXPECT_EQ(s.counters().timeouts.load(), 0u);
}

TEST(FastRetransmit, HasTheRetransmissionTimerForItself) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    s.wait(190_ms);
    for (int i = 0; i < 3; ++i) s.inject(Ack().seq(1).ack(1));
    EXPECT_EQ(s.counters().fast_retransmits.load(), 1u);
    s.ignore_sent();
    s.expect_after(300_ms, Data().seq(1).length(1000));
}

TEST(FastRetransmit, Rfc3042_FirstTwoDuplicatesLetNewSegmentsOut) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    s.inject(Ack().seq(1).ack(1));
    EXPECT_EQ(sequences(s.take_sent()), Numbers{10'001});
    s.inject(Ack().seq(1).ack(1));
    EXPECT_EQ(sequences(s.take_sent()), Numbers{11'001});
}

TEST(FastRetransmit, HalvesTheWindow) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    for (int i = 0; i < 3; ++i) s.inject(Ack().seq(1).ack(1));
    // The flight of 10 segments, without what limited transmit added (RFC 5681 section 3.2).
    EXPECT_EQ(s.connection().ssthresh, 5000u);
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(s.sent_end()));
    EXPECT_LE(s.connection().cwnd, 5000u + 1000u);
    s.ignore_sent();
}

TEST(FastRetransmit, AckWithDataOrWithAnotherWindowIsNoDuplicate) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    for (uint32_t i = 0; i < 5; ++i) s.inject(Data().seq(1 + i).ack(1).length(1));
    for (uint16_t i = 0; i < 5; ++i)
        s.inject(Ack().seq(6).ack(1).window(static_cast<uint16_t>(60'000 + i)));
    for (const auto& sent : s.take_sent()) EXPECT_NE(sent.seq, 1u) << to_text(sent);
    EXPECT_EQ(s.counters().fast_retransmits.load(), 0u);
}

TEST(FastRetransmit, FinIsNoDuplicate) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    s.inject(Ack().seq(1).ack(1));
    s.inject(Ack().seq(1).ack(1));
    s.inject(FinAck().seq(1).ack(1));
    for (const auto& sent : s.take_sent()) EXPECT_NE(sent.seq, 1u) << to_text(sent);
    s.inject(Ack().seq(2).ack(1));
    EXPECT_EQ(s.counters().fast_retransmits.load(), 1u);
    s.ignore_sent();
}

TEST(FastRetransmit, AckOfWhatWasAcknowledgedBeforeIsNoDuplicate) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    s.inject(Ack().seq(1).ack(1001));
    for (int i = 0; i < 5; ++i) s.inject(Ack().seq(1).ack(1));
    for (const auto& sent : s.take_sent()) EXPECT_GT(sent.seq, 1001u) << to_text(sent);
    EXPECT_EQ(s.counters().fast_retransmits.load(), 0u);
}

TEST(FastRetransmit, DuplicatesWithoutAnythingInFlightMeanNothing) {
    Script s{new_reno()};
    s.establish(thousand);
    for (int i = 0; i < 10; ++i) s.inject(Ack().seq(1).ack(1));
    s.expect_nothing();
    s.call_send_bytes(1000);
    s.expect(Data().seq(1).length(1000));
    s.inject(Ack().seq(1).ack(1));
    s.inject(Ack().seq(1).ack(1));
    s.expect_nothing();
    s.inject(Ack().seq(1).ack(1));
    s.expect(Data().seq(1).length(1000));
}

TEST(NewReno, Rfc5681_ThresholdIsNoLessThanTwoSegments) {
    Script s{new_reno()};
    s.establish(thousand);
    s.call_send_bytes(1000);
    s.expect(Data().seq(1).length(1000));
    s.expect_after(300_ms, Data().seq(1).length(1000));
    EXPECT_EQ(s.connection().ssthresh, 2000u);
}

TEST(NewReno, PartialAckSendsTheNextHoleAtOnce) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    for (int i = 0; i < 3; ++i) s.inject(Ack().seq(1).ack(1));
    s.ignore_sent();
    // Segments 1 and 5 of the flight were lost.
    s.inject(Ack().seq(1).ack(4001));
    const auto sent = s.take_sent();
    ASSERT_FALSE(sent.empty());
    EXPECT_EQ(sent[0].seq, 4001u);
    EXPECT_EQ(sent[0].payload.size(), 1000u);
    EXPECT_EQ(s.counters().timeouts.load(), 0u);
}

TEST(NewReno, FullAckEndsTheRecovery) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    for (int i = 0; i < 3; ++i) s.inject(Ack().seq(1).ack(1));
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(12'001));
    EXPECT_EQ(s.connection().cwnd, s.connection().ssthresh);  // and it is no reason to grow
    for (const auto& sent : s.take_sent()) EXPECT_GE(sent.seq, 12'001u) << to_text(sent);
    for (int i = 0; i < 10; ++i) s.inject(Ack().seq(1).ack(s.sent_end()));
    s.ignore_sent();
    EXPECT_EQ(s.counters().fast_retransmits.load(), 1u);
    s.expect_nothing_for(10_s);
}

tcp::Recovery& recovery_of(Script& s) {
    return s.environment().transfers.transfers[s.connection().transfer].recovery;
}

TEST(NewReno, EachPartialAckStartsTheTimerAnew) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    for (int i = 0; i < 3; ++i) s.inject(Ack().seq(1).ack(1));
    s.ignore_sent();
    for (uint32_t acked = 1001; acked <= 6001; acked += 1000) {
        s.wait(150_ms);  // less than the RTO, and all of them more
        s.inject(Ack().seq(1).ack(acked));
        s.ignore_sent();
    }
    EXPECT_EQ(s.counters().timeouts.load(), 0u);
    s.expect_after(300_ms, Data().seq(6001).length(1000));
    EXPECT_EQ(s.counters().timeouts.load(), 1u);
}

TEST(NewReno, Rfc6582_DuplicatesOfTheFullAckAreNoLoss) {
    Script s{new_reno()};
    s.establish(thousand);
    s.call_send_bytes(40'000);
    s.ignore_sent();
    s.wait(100_ms);
    for (int i = 0; i < 3; ++i) s.inject(Ack().seq(1).ack(1));
    const uint32_t point = s.sent_end();
    s.inject(Ack().seq(1).ack(point));
    s.ignore_sent();
    ASSERT_GT(s.sent_end(), point);
    for (int i = 0; i < 4; ++i) s.inject(Ack().seq(1).ack(point));
    for (const auto& sent : s.take_sent()) EXPECT_GT(sent.seq, point) << to_text(sent);
    EXPECT_EQ(s.counters().fast_retransmits.load(), 1u);
    s.inject(Ack().seq(1).ack(point + 1000));
    for (int i = 0; i < 3; ++i) s.inject(Ack().seq(1).ack(point + 1000));
    EXPECT_EQ(s.counters().fast_retransmits.load(), 2u) << "one segment further, they are";
    s.ignore_sent();
}

// The point of the last recovery, left behind by more than half of the sequence space, seems to lie
// ahead.
TEST(NewReno, PointThatIsLongPassedHidesNoLoss) {
    for (const bool in_one_piece : {true, false}) {
        Script s{new_reno()};
        s.establish(thousand);
        s.call_send_bytes(60'000);
        s.ignore_sent();
        s.wait(100_ms);
        for (int i = 0; i < 3; ++i) s.inject(Ack().seq(1).ack(1));
        s.inject(Ack().seq(1).ack(s.sent_end()));
        s.ignore_sent();
        s.inject(Ack().seq(1).ack(s.sent_end() - (in_one_piece ? 0 : 1000)));
        s.ignore_sent();
        recovery_of(s).point = s.connection().snd_una.load() + 0x7000'0000u;
        for (int i = 0; i < 3; ++i) {
            s.inject(Ack().seq(1).ack(s.connection().snd_una.load().value() - s.local_isn()));
        }
        EXPECT_EQ(s.counters().fast_retransmits.load(), 2u) << in_one_piece;
        s.ignore_sent();
    }
}

// Section 3.2, step 3: what the duplicates had reported is acknowledged now, and no longer counts.
TEST(NewReno, Rfc6582_PartialAckTakesBackWhatTheDuplicatesReported) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    // Segments 1 and 6 of the flight were lost.
    for (int i = 0; i < 8; ++i) s.inject(Ack().seq(1).ack(1));
    EXPECT_EQ(recovery_of(s).duplicate_bytes, 8000u);
    s.inject(Ack().seq(1).ack(5001));
    EXPECT_EQ(recovery_of(s).duplicate_bytes, 4000u);
    s.ignore_sent();
}

TEST(NewReno, SecondLossInTheSameWindowDoesNotHalveAgain) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    for (int i = 0; i < 3; ++i) s.inject(Ack().seq(1).ack(1));
    const uint32_t threshold = s.connection().ssthresh;
    for (int i = 0; i < 8; ++i) s.inject(Ack().seq(1).ack(1));
    s.inject(Ack().seq(1).ack(4001));
    for (int i = 0; i < 5; ++i) s.inject(Ack().seq(1).ack(4001));
    EXPECT_EQ(s.connection().ssthresh, threshold);
    s.ignore_sent();
}

TEST(NewReno, EverythingArrivesWhenEachSecondSegmentOfAFlightIsLost) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    for (int i = 0; i < 5; ++i) s.inject(Ack().seq(1).ack(1));
    // The peer has 2, 4, 6, 8, 10 and what follows; each repeated segment fills one hole.
    for (uint32_t hole = 1; hole <= 9; hole += 2) {
        bool repeated = false;
        for (const auto& sent : s.take_sent()) repeated |= sent.seq == 1 + 1000 * (hole - 1);
        EXPECT_TRUE(repeated) << hole;
        s.inject(Ack().seq(1).ack(hole == 9 ? s.sent_end() : 1 + 1000 * (hole + 1)));
    }
    EXPECT_EQ(s.counters().timeouts.load(), 0u);
    s.ignore_sent();
}

TEST(FastRetransmit, SpoofedDuplicatesInflateWithinTheWindowOnly) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    for (int i = 0; i < 10'000; ++i) s.inject(Ack().seq(1).ack(1));
    EXPECT_LE(s.sent_end(), 20'001u);
    EXPECT_LE(s.connection().cwnd, 1u << 20);
    s.ignore_sent();
}

/// All acknowledged, 100 ms after it has left.
void transfer_fifty_thousand(Script& s) {
    s.call_send_bytes(50'000);
    while (s.sent_end() < 50'001) {
        s.wait(100_ms);
        s.inject(Ack().seq(1).ack(s.sent_end()));
    }
    s.inject(Ack().seq(1).ack(s.sent_end()));
    s.ignore_sent();
}

TEST(Congestion, IdleConnectionRestartsWithTheInitialWindow) {
    Script s{new_reno()};
    s.establish(thousand);
    transfer_fifty_thousand(s);
    s.wait(60_s);
    s.call_send_bytes(50'000);
    EXPECT_LE(s.take_sent().size(), 10u) << "RFC 5681 section 4.1";
}

TEST(Congestion, PauseWithinTheRtoLeavesTheWindowAsItIs) {
    Script s{new_reno()};
    s.establish(thousand);
    transfer_fifty_thousand(s);
    const uint32_t window = s.connection().cwnd;
    ASSERT_GT(window, 20'000u);
    s.wait(100_ms);
    s.call_send_bytes(50'000);
    EXPECT_EQ(s.take_sent().size(), std::min(window, 50'000u) / 1000);
}

TEST(Congestion, RestartMakesASmallWindowNoLarger) {
    Script s{new_reno()};
    s.establish(thousand);
    s.call_send_bytes(1000);
    s.expect(Data().seq(1).length(1000));
    s.expect_after(300_ms, Data().seq(1).length(1000));
    s.inject(Ack().seq(1).ack(1001));
    const uint32_t window = s.connection().cwnd;
    ASSERT_LE(window, 2000u);
    s.wait(60_s);
    s.call_send_bytes(50'000);
    EXPECT_EQ(s.take_sent().size(), window / 1000);
}

TEST(Congestion, RecoveryIsFinishedByTheTimerWhenTheRepetitionIsLostToo) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    for (int i = 0; i < 3; ++i) s.inject(Ack().seq(1).ack(1));
    s.ignore_sent();
    s.expect_between(100_ms, 1_s, Data().seq(1).length(1000));
    s.inject(Ack().seq(1).ack(s.sent_end()));
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(s.sent_end()));
    s.ignore_sent();
    for (int i = 0; i < 20 && s.sent_end() < 20'001; ++i) s.inject(Ack().seq(1).ack(s.sent_end()));
    s.ignore_sent();
    EXPECT_EQ(s.sent_end(), 20'001u);
}

}  // namespace
}  // namespace synfin::conformance
