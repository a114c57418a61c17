// RACK-TLP (RFC 8985): time tells a loss from lateness, and a probe tells of a lost tail.
#include <gtest/gtest.h>

#include "scenes.hpp"

namespace synfin::conformance {
namespace {

constexpr Script::Handshake with_sack{
    .mss = 1000, .sack_permitted = true, .active = true, .round_trip = Duration::milliseconds(100)};

void send_and_wait_a_round_trip(Script& s, uint32_t segments) {
    s.establish(with_sack);
    s.call_send_bytes(segments * 1000);
    ASSERT_EQ(s.take_sent().size(), segments);
    s.wait(100_ms);
}

// ---- section 6: reordering and loss

TEST(Rack, Section6_2_ThreeSegmentsArrivedBehindAHoleMakeItLostAtOnce) {
    Script s;
    send_and_wait_a_round_trip(s, 5);
    s.inject(Ack().seq(1).ack(1).sack({{1001, 2001}}));
    s.inject(Ack().seq(1).ack(1).sack({{1001, 3001}}));
    s.expect_nothing();
    s.inject(Ack().seq(1).ack(1).sack({{1001, 4001}}));
    s.expect(Data().seq(1).length(1000));
    EXPECT_EQ(s.counters().fast_retransmits.load(), 1u);
}

TEST(Rack, Section6_2_FewerAreWaitedForAQuarterOfTheRoundTrip) {
    Script s;
    send_and_wait_a_round_trip(s, 2);
    s.inject(Ack().seq(1).ack(1).sack({{1001, 2001}}));
    s.expect_after(25_ms, Data().seq(1).length(1000));
    EXPECT_EQ(s.counters().timeouts.load(), 0u);
    EXPECT_EQ(s.counters().fast_retransmits.load(), 1u);
}

TEST(Rack, Section6_2_LateArrivalWithinTheWindowIsNoLoss) {
    Script s;
    send_and_wait_a_round_trip(s, 2);
    s.inject(Ack().seq(1).ack(1).sack({{1001, 2001}}));
    s.wait(20_ms);
    s.inject(Ack().seq(1).ack(2001));
    s.expect_nothing_for(10_s);
    EXPECT_EQ(s.counters().retrans_segs.load(), 0u);
    EXPECT_EQ(s.connection().ssthresh, UINT32_MAX);
}

TEST(Rack, Section6_2_OnceReorderingWasSeenManyArrivalsAreNoProof) {
    Script s;
    send_and_wait_a_round_trip(s, 10);
    s.inject(Ack().seq(1).ack(1).sack({{1001, 2001}}));
    s.inject(Ack().seq(1).ack(2001));  // reordered
    s.wait(1_ms);
    s.inject(Ack().seq(1).ack(2001).sack({{3001, 8001}}));
    s.expect_nothing();
    s.expect_between(20_ms, 26_ms, Data().seq(2001).length(1000));
}

// The ACKs before it may have been lost, and what came last is named first (RFC 2018 section 4).
TEST(Rack, Section6_2_BlocksOfOneAckAreTakenInTheOrderOfTheStream) {
    Script s;
    send_and_wait_a_round_trip(s, 10);
    s.inject(Ack().seq(1).ack(1).sack({{8001, 10'001}, {5001, 7001}, {1001, 4001}}));
    EXPECT_FALSE(s.environment().transfers.transfers[s.connection().transfer].rack.reordering_seen);
    EXPECT_EQ(sequences(s.take_sent()), (Numbers{1, 4001, 7001}));
}

TEST(Rack, Section6_2_EachRoundWithDuplicateReportsWidensTheWindow) {
    Script s;
    send_and_wait_a_round_trip(s, 10);
    s.call_send_bytes(40'000);
    s.inject(Ack().seq(1).ack(1001).sack({{2001, 3001}}));
    s.ignore_sent();
    s.expect_after(25_ms, Data().seq(1001).length(1000));
    s.inject(Ack().seq(1).ack(3001));
    s.inject(Ack().seq(1).ack(3001).sack({{1001, 2001}}));  // it was late only
    s.wait(75_ms);
    s.inject(Ack().seq(1).ack(s.sent_end()));
    const auto flight = s.take_sent();
    ASSERT_GE(flight.size(), 2u);
    s.wait(100_ms);
    const uint32_t second = flight[flight.size() - 1].seq;
    const uint32_t first = flight[flight.size() - 2].seq;
    s.inject(Ack().seq(1).ack(first).sack({{second, second + 1000}}));
    s.ignore_sent();
    s.expect_after(50_ms, Data().seq(first).length(1000));
    EXPECT_EQ(s.counters().dsacks_received.load(), 1u);
}

/// A segment is sent again that had only come late, and the peer reports it as a duplicate.
void send_again_what_came_late(Script& s, uint32_t queued) {
    send_and_wait_a_round_trip(s, 10);
    s.call_send_bytes(queued);
    s.inject(Ack().seq(1).ack(1001).sack({{2001, 3001}}));
    s.ignore_sent();
    s.expect_after(25_ms, Data().seq(1001).length(1000));
    s.inject(Ack().seq(1).ack(3001));
    s.inject(Ack().seq(1).ack(3001).sack({{1001, 2001}}));
}

TEST(Rack, Section6_2_RoundOfDuplicateReportsIsOverWhenItsEndIsAcknowledged) {
    Script s;
    send_again_what_came_late(s, 40'000);
    const auto rack = [&]() -> const tcp::Rack& {
        return s.environment().transfers.transfers[s.connection().transfer].rack;
    };
    EXPECT_TRUE(rack().in_dsack_round);
    const uint32_t end = s.sent_end();
    s.inject(Ack().seq(1).ack(end));
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(end + 1000));
    s.ignore_sent();
    EXPECT_FALSE(rack().in_dsack_round);
}

TEST(Rack, Section6_2_OneRoundOfDuplicateReportsWidensTheWindowOnceForSixteenRecoveries) {
    Script s;
    send_again_what_came_late(s, 200'000);
    s.inject(Ack().seq(1).ack(3001).sack({{1001, 2001}}));
    const auto rack = [&]() -> const tcp::Rack& {
        return s.environment().transfers.transfers[s.connection().transfer].rack;
    };
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(s.sent_end()));
    for (int i = 0; i < 16; ++i) {
        EXPECT_EQ(rack().window_factor, 2) << i;
        const auto flight = s.take_sent();
        ASSERT_GE(flight.size(), 2u) << i;
        const uint32_t second = flight.back().seq;
        s.inject(Ack().seq(1).ack(second - 1000).sack({{second, second + 1000}}));
        s.wait(60_ms);
        s.ignore_sent();
        s.inject(Ack().seq(1).ack(s.sent_end()));
    }
    EXPECT_EQ(rack().window_factor, 1);
    s.ignore_sent();
}

tcp::Rack& rack_of(Script& s) {
    return s.environment().transfers.transfers[s.connection().transfer].rack;
}

TEST(Rack, Section6_2_ReportOfADuplicateKeepsTheWindowForSixteenMoreRecoveries) {
    Script s;
    send_again_what_came_late(s, 200'000);
    rack_of(s).window_persists = 3;
    s.inject(Ack().seq(1).ack(s.sent_end()));
    s.inject(Ack().seq(1).ack(s.sent_end()).sack({{3001, 4001}}));
    EXPECT_EQ(rack_of(s).window_persists, 16);
    s.ignore_sent();
}

TEST(Rack, Section6_2_WindowIsNoWiderThanARoundTrip) {
    Script s;
    send_and_wait_a_round_trip(s, 2);
    rack_of(s).window_factor = 40;
    s.inject(Ack().seq(1).ack(1).sack({{1001, 2001}}));
    s.expect_after(100_ms, Data().seq(1).length(1000));
    EXPECT_EQ(s.counters().timeouts.load(), 0u);
}

TEST(Rack, Section6_2_WindowFollowsTheLeastRoundTrip) {
    Script s;
    send_and_wait_a_round_trip(s, 4);
    s.inject(Ack().seq(1).ack(1001));
    EXPECT_EQ(rack_of(s).min_rtt_us, 100'000u);
    s.call_send_bytes(2000);
    s.ignore_sent();
    s.wait(40_ms);
    s.inject(Ack().seq(1).ack(5001));
    EXPECT_EQ(rack_of(s).min_rtt_us, 40'000u);
    s.call_send_bytes(2000);
    s.ignore_sent();
    s.wait(70_ms);
    s.inject(Ack().seq(1).ack(6001).sack({{7001, 8001}}));
    EXPECT_EQ(rack_of(s).min_rtt_us, 40'000u);
    s.expect_after(10_ms, Data().seq(6001).length(1000));
}

TEST(Rack, Section6_2_RetransmissionThatIsLostIsFoundWithoutTheTimer) {
    Script s;
    send_and_wait_a_round_trip(s, 10);
    s.call_send_bytes(10'000);
    s.inject(Ack().seq(1).ack(1).sack({{1001, 4001}}));
    s.expect(Data().seq(1).length(1000));
    s.ignore_sent();
    for (uint32_t end = 5001; end <= 10'001; end += 1000) {
        s.wait(1_ms);
        s.inject(Ack().seq(1).ack(1).sack({{1001, end}}));
    }
    bool new_data = false;
    for (const auto& sent : s.take_sent()) new_data |= sent.seq > 10'000;
    ASSERT_TRUE(new_data);
    // A round trip later what was sent after the retransmission has arrived; that has not.
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(1).sack({{1001, 11'001}}));
    const auto again = s.take_sent();
    ASSERT_FALSE(again.empty());
    EXPECT_EQ(again[0].seq, 1u);
    EXPECT_EQ(s.counters().lost_retransmits.load(), 1u);
    EXPECT_EQ(s.counters().timeouts.load(), 0u);
}

// A peer that reports what lies behind a hole echoes the timestamp of what came before it, which is
// older than all that was sent again. That says nothing of what it reports.
TEST(Rack, Section6_2_LostRetransmissionIsFoundThoughTheHoleKeepsTheEchoOld) {
    auto handshake = with_sack;
    handshake.timestamps = true;
    handshake.mss = 1012;
    InFlight s{handshake, 10'000};
    const uint32_t old_echo = s.last_ts_value();
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(1).sack({{3001, 10'001}, {1001, 2001}}).echoing(old_echo));
    s.expect(Data().seq(1).length(1000));
    s.expect(Data().seq(2001).length(1000));
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(1).sack({{1001, 10'001}}).echoing(old_echo));
    s.expect(Data().seq(1).length(1000));
    EXPECT_EQ(s.counters().lost_retransmits.load(), 1u);
    EXPECT_EQ(s.counters().timeouts.load(), 0u);
}

// Steps 2 and 3: a retransmission counts when the timestamp says that it was the one that arrived.
TEST(Rack, Section6_2_RetransmissionWhoseOwnTimestampComesBackTellsOfTheRoundTrip) {
    auto handshake = with_sack;
    handshake.timestamps = true;
    handshake.mss = 1012;
    InFlight s{handshake, 10'000};
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(1).sack({{1001, 4001}}));
    s.expect(Data().seq(1).length(1000));
    const uint32_t echo = s.last_ts_value();
    s.wait(120_ms);
    s.inject(Ack().seq(1).ack(4001).echoing(echo));
    EXPECT_EQ(rack_of(s).rtt_us, 120'000u);
    s.ignore_sent();
}

TEST(Rack, Section6_2_InARecoveryNothingIsWaitedFor) {
    InFlight s{with_sack, 10'000};
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(1).sack({{1001, 4001}}));
    s.expect(Data().seq(1).length(1000));
    s.wait(50_ms);
    s.inject(Ack().seq(1).ack(4001));
    s.expect_nothing();
    s.inject(Ack().seq(1).ack(4001).sack({{5001, 6001}}));
    s.expect(Data().seq(4001).length(1000));
}

/// In a recovery, on a path that reorders, the first segment has been sent again after the fifth
/// was sent, and both are late.
struct TwoThatAreLate : InFlight {
    TwoThatAreLate() : InFlight{with_sack, 4000} {
        wait(90_ms);
        call_send_bytes(1000);
        ignore_sent();
        wait(10_ms);
        inject(Ack().seq(1).ack(1).sack({{1001, 4001}}));
        expect(Data().seq(1).length(1000));
        rack_of(*this).reordering_seen = true;
        wait(1_ms);
        call_send_bytes(1000);
        expect(Data().seq(5001).length(1000));
        wait(100_ms);
        inject(Ack().seq(1).ack(1).sack({{1001, 4001}, {5001, 6001}}));
    }
};

TEST(Rack, Section6_2_TimerWaitsForTheLastOfThoseThatAreLate) {
    TwoThatAreLate s;
    s.expect_after(24_ms, Data().seq(1).length(1000));
    s.expect(Data().seq(4001).length(1000));
    EXPECT_EQ(s.counters().timeouts.load(), 0u);
}

TEST(Rack, Section6_2_WhatIsSentAfterTheWaitHasTheRetransmissionTimer) {
    TwoThatAreLate s;
    s.wait(24_ms);
    s.ignore_sent();
    s.expect_between(200_ms, 500_ms, Data().seq(1).length(1000));
    EXPECT_EQ(s.counters().timeouts.load(), 1u);
}

TEST(Rack, Section6_3_TimeoutHoldsWhatWasSentShortlyBeforeForUnderWay) {
    InFlight s{with_sack, 3000};
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(1001));
    s.expect_after(200_ms, Data().seq(2001).length(1000));  // the tail probe
    s.wait(250_ms);
    s.call_send_bytes(2000);
    s.ignore_sent();
    s.expect_after(50_ms, Data().seq(1001).length(1000));
    s.expect_nothing();
    s.wait(50_ms);
    s.inject(Ack().seq(1).ack(1001).sack({{3001, 5001}}));
    EXPECT_EQ(s.counters().spurious_timeouts.load(), 0u);
    s.inject(Ack().seq(1).ack(2001).sack({{3001, 5001}}));
    s.expect(Data().seq(2001).length(1000));
    s.expect_nothing();
}

TEST(Rack, Section6_3_TimeoutHoldsTheFirstSegmentForLostHoweverShortlyItWasSent) {
    InFlight s{with_sack, 20'000};
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(1).sack({{1001, 10'001}}));
    EXPECT_EQ(s.take_sent().at(0).seq, 1u);
    s.wait(250_ms);
    s.inject(Ack().seq(1).ack(1).sack({{1001, 11'001}}));
    EXPECT_EQ(s.take_sent().at(0).seq, 1u);
    EXPECT_EQ(s.counters().lost_retransmits.load(), 1u);
    s.expect_after(50_ms, Data().seq(1).length(1000));
    EXPECT_EQ(s.counters().timeouts.load(), 1u);
    s.ignore_sent();
}

// ---- section 7: the tail

TEST(TailLossProbe, Section7_2_LostTailIsProbedAfterTwoRoundTrips) {
    InFlight s{with_sack, 3000};
    s.expect_after(200_ms, Data().seq(2001).length(1000));
    EXPECT_EQ(s.counters().tail_probes.load(), 1u);
    EXPECT_EQ(s.counters().timeouts.load(), 0u);
}

// The ACK has begun the retransmission timer anew, so that the probe comes before it.
TEST(TailLossProbe, Section7_2_ProbeComesTwoRoundTripsAfterAnAckThatTookLong) {
    InFlight s{with_sack, 3000};
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(1001));
    s.expect_after(200_ms, Data().seq(2001).length(1000));
    EXPECT_EQ(s.counters().tail_probes.load(), 1u);
}

TEST(TailLossProbe, Section7_2_NewDataPutsTheProbeOffNoFurtherThanTheRetransmissionTimer) {
    InFlight s{with_sack, 1000};
    for (int i = 0; i < 30 && s.counters().tail_probes.load() == 0; ++i) {
        s.wait(20_ms);
        s.call_send_bytes(1000);
    }
    EXPECT_EQ(s.counters().tail_probes.load(), 1u);
    EXPECT_LE(s.now(), 100_ms + 300_ms + 20_ms);
    s.ignore_sent();
}

TEST(TailLossProbe, Section7_2_NothingIsProbedWhileSomethingIsReported) {
    InFlight s{with_sack, 3000};
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(1).sack({{1, 1001}}));
    s.expect_between(250_ms, 1_s, Data().seq(1).length(1000));
    EXPECT_EQ(s.counters().tail_probes.load(), 0u);
}

TEST(TailLossProbe, Section7_3_NewDataIsTheProbeIfThereIsAny) {
    InFlight s{with_sack, 15'000};
    s.expect_after(200_ms, Data().seq(10'001).length(1000));
    s.expect_nothing();
    EXPECT_EQ(s.counters().retrans_segs.load(), 0u);
}

TEST(TailLossProbe, Section7_3_OneProbeThenTheRetransmissionTimer) {
    InFlight s{with_sack, 3000};
    s.expect_after(200_ms, Data().seq(2001).length(1000));
    s.expect_after(300_ms, Data().seq(1).length(1000));
    EXPECT_EQ(s.counters().timeouts.load(), 1u);
    EXPECT_EQ(s.counters().tail_probes.load(), 1u);
}

TEST(TailLossProbe, ReportOfTheProbeRepairsTheRestOfTheTail) {
    InFlight s{with_sack, 3000};
    s.expect_after(200_ms, Data().seq(2001).length(1000));
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(1).sack({{2001, 3001}}));
    s.expect(Data().seq(1).length(1000));
    s.expect(Data().seq(1001).length(1000));
    s.inject(Ack().seq(1).ack(3001));
    s.expect_nothing_for(5_s);
    EXPECT_EQ(s.counters().timeouts.load(), 0u);
}

TEST(TailLossProbe, Section7_4_LossThatTheProbeRepairedShrinksTheWindow) {
    InFlight s{with_sack, 3000};
    s.expect_after(200_ms, Data().seq(2001).length(1000));
    s.call_send_bytes(1000);
    s.expect(Data().seq(3001).length(1000));
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(4001));
    EXPECT_EQ(s.counters().tail_probe_repairs.load(), 1u);
    EXPECT_LT(s.connection().ssthresh, 10'000u);
    EXPECT_LT(s.connection().cwnd, 10'000u);
    s.expect_nothing_for(5_s);
}

TEST(TailLossProbe, Section7_4_LossThatARecoveryAnswersIsNotAnsweredTwice) {
    InFlight s{with_sack, 3000};
    s.expect_after(200_ms, Data().seq(2001).length(1000));
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(1).sack({{2001, 3001}}));
    EXPECT_EQ(s.counters().fast_retransmits.load(), 1u);
    const uint32_t threshold = s.connection().ssthresh;
    s.inject(Ack().seq(1).ack(2001).sack({{2001, 3001}}));
    s.call_send_bytes(1000);
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(4001));
    EXPECT_EQ(s.counters().tail_probe_repairs.load(), 0u);
    EXPECT_EQ(s.connection().ssthresh, threshold);
}

TEST(TailLossProbe, Section7_4_LossThatATimeoutAnswersIsNotAnsweredTwice) {
    InFlight s{with_sack, 3000};
    s.expect_after(200_ms, Data().seq(2001).length(1000));
    s.expect_after(300_ms, Data().seq(1).length(1000));
    const uint32_t threshold = s.connection().ssthresh;
    s.inject(Ack().seq(1).ack(1001));
    s.call_send_bytes(1000);
    s.inject(Ack().seq(1).ack(3001));
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(4001));
    EXPECT_EQ(s.counters().tail_probe_repairs.load(), 0u);
    EXPECT_EQ(s.connection().ssthresh, threshold);
}

TEST(TailLossProbe, Section7_4_ReportOfAnotherDuplicateHidesNoLoss) {
    InFlight s{with_sack, 3000};
    s.expect_after(200_ms, Data().seq(2001).length(1000));
    s.call_send_bytes(1000);
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(4001).sack({{1, 1001}}));
    EXPECT_EQ(s.counters().tail_probe_repairs.load(), 1u);
    EXPECT_LT(s.connection().ssthresh, 10'000u);
}

TEST(TailLossProbe, Section7_4_DuplicateAckOfTheProbeShrinksNothing) {
    InFlight s{with_sack, 3000};
    s.expect_after(200_ms, Data().seq(2001).length(1000));
    s.call_send_bytes(1000);
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(3001));
    s.inject(Ack().seq(1).ack(3001));
    s.inject(Ack().seq(1).ack(4001));
    EXPECT_EQ(s.counters().tail_probe_repairs.load(), 0u);
    EXPECT_EQ(s.connection().ssthresh, UINT32_MAX);
}

TEST(TailLossProbe, Section7_4_ProbeThatCameTwiceShrinksNothing) {
    InFlight s{with_sack, 3000};
    s.expect_after(200_ms, Data().seq(2001).length(1000));
    s.call_send_bytes(1000);
    s.expect(Data().seq(3001).length(1000));
    s.inject(Ack().seq(1).ack(3001));
    s.inject(Ack().seq(1).ack(3001).sack({{2001, 3001}}));
    s.inject(Ack().seq(1).ack(4001));
    EXPECT_EQ(s.counters().tail_probe_repairs.load(), 0u);
    EXPECT_EQ(s.connection().ssthresh, UINT32_MAX);
    s.expect_nothing_for(5_s);
}

TEST(TailLossProbe, Section7_2_SingleSegmentIsLeftToTheRetransmissionTimer) {
    Established s{with_sack};
    s.call_send_bytes(1000);
    s.expect(Data().seq(1).length(1000));
    s.expect_after(300_ms, Data().seq(1).length(1000));
    EXPECT_EQ(s.counters().tail_probes.load(), 0u);
    EXPECT_EQ(s.counters().timeouts.load(), 1u);
}

TEST(TailLossProbe, NeedsSack) {
    Script s;
    auto handshake = with_sack;
    handshake.sack_permitted = false;
    s.establish(handshake);
    s.call_send_bytes(3000);
    s.ignore_sent();
    s.expect_after(300_ms, Data().seq(1).length(1000));
    EXPECT_EQ(s.counters().tail_probes.load(), 0u);
}

TEST(TailLossProbe, FinAtTheEndOfTheTailIsProbedWithItsData) {
    Established s{with_sack};
    s.call_send_bytes(3000);
    s.call_close();
    s.ignore_sent();
    s.expect_after(200_ms, Data().fin().seq(2001).length(1000));
    s.inject(Ack().seq(1).ack(3002));
    s.expect_nothing_for(5_s);
}

}  // namespace
}  // namespace synfin::conformance
