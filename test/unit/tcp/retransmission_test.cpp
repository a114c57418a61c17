// The retransmission timer, rule by rule (RFC 6298), and the moments at which we give up
// (RFC 9293 section 3.8.3).
#include <gtest/gtest.h>

#include "scenes.hpp"

namespace synfin::conformance {
namespace {

constexpr Script::Handshake hundred_ms{.active = true, .round_trip = Duration::milliseconds(100)};

/// Its only sample is of 100 ms, so that its RTO is 300 ms; a byte has left just now.
struct ByteInFlight : Established {
    explicit ByteInFlight(const tcp::Profile& profile = {}) : Established{profile, hundred_ms} {
        call_send("x");
        expect(Data().seq(1).ack(1).payload("x"));
    }
};

/// As the RFC has it: nothing is added to four times RTTVAR.
tcp::Profile without_margin() {
    tcp::Profile profile;
    profile.rto_margin_min = Duration{};
    return profile;
}

// ---- section 2: what the RTO is

TEST(Rfc6298, Rule2_1_InitialRtoIsOneSecond) {
    Script s;
    s.call_open();
    s.expect(Syn().seq(0));
    s.expect_after(1_s, Syn().seq(0));
}

TEST(Rfc6298, Must18_Rule2_2_FirstSampleSetsRtoToThreeTimesIt) {
    ByteInFlight s;
    s.expect_after(300_ms, Data().seq(1).payload("x"));
}

TEST(Rfc6298, Rule2_2_HoldsForThePassiveSideToo) {
    Established s{{.round_trip = 100_ms}};
    s.call_send("x");
    s.expect(Data().seq(1));
    s.expect_after(300_ms, Data().seq(1).payload("x"));
}

TEST(Rfc6298, Must18_Rule2_3_FurtherSamplesAreSmoothed) {
    ByteInFlight s{without_margin()};
    s.wait(60_ms);
    s.inject(Ack().seq(1).ack(2));
    // RTTVAR = 3/4 * 50 + 1/4 * |100 - 60| = 47.5; SRTT = 7/8 * 100 + 1/8 * 60 = 95
    s.call_send("y");
    s.expect(Data().seq(2));
    s.expect_between(284'900_us, 285'100_us, Data().seq(2).payload("y"));
}

TEST(Rfc6298, Rule2_4_RtoHasTheConfiguredMinimum) {
    for (Duration minimum : {200_ms, 1000_ms}) {
        tcp::Profile profile = without_margin();
        profile.rto_min = minimum;
        Established s{profile, {.active = true, .round_trip = 1_ms}};
        s.call_send("x");
        s.expect(Data().seq(1));
        s.expect_after(minimum, Data().seq(1).payload("x"));
    }
}

// A peer may delay its ACK by 200 ms (RFC 9293 section 3.8.6.3 allows more), though every sample so
// far was short and like the one before.
TEST(Rfc6298, RtoLeavesRoomForADelayedAckHoweverSteadyTheRoundTripsAre) {
    Script s;
    s.establish({.active = true, .round_trip = 50_ms});
    uint32_t next = 1;
    for (int sample = 0; sample < 10; ++sample) {
        s.call_send("x");
        s.expect(Data().seq(next++));
        s.wait(50_ms);
        s.inject(Ack().seq(1).ack(next));
    }
    s.call_send("y");
    s.expect(Data().seq(next));
    s.expect_between(249'900_us, 250'100_us, Data().seq(next).payload("y"));
}

TEST(Rfc6298, Rule2_5_BackOffStopsAtTheConfiguredMaximum) {
    tcp::Profile profile;
    profile.rto_max = 60_s;
    ByteInFlight s{profile};
    Duration longest;
    for (int i = 0; i < 12; ++i)
        longest = std::max(longest, s.expect_between(300_ms, 60_s, Data().seq(1).payload("x")));
    EXPECT_EQ(longest, 60_s);
}

// ---- section 3: which samples count

TEST(Rfc6298, Must18_Karn_AckOfARetransmittedSegmentIsNoSample) {
    ByteInFlight s;
    s.expect_after(300_ms, Data().seq(1));
    s.wait(5_ms);
    s.inject(Ack().seq(1).ack(2));
    const uint32_t srtt = s.connection().srtt_us;
    EXPECT_NEAR(srtt, 100'000, 2) << "305 ms and 5 ms are both wrong";
}

TEST(Rfc6298, Must18_Karn_BackedOffRtoHoldsUntilANewSample) {
    ByteInFlight s;
    s.expect_after(300_ms, Data().seq(1));
    s.inject(Ack().seq(1).ack(2));
    s.call_send("y");
    s.expect(Data().seq(2));
    s.expect_after(600_ms, Data().seq(2).payload("y"));
}

TEST(Rfc6298, Karn_NewSampleEndsTheBackOff) {
    ByteInFlight s{without_margin()};
    s.expect_after(300_ms, Data().seq(1));
    s.inject(Ack().seq(1).ack(2));
    s.call_send("y");
    s.expect(Data().seq(2));
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(3));
    // RTTVAR = 3/4 * 50 = 37.5; SRTT = 100
    s.call_send("z");
    s.expect(Data().seq(3));
    s.expect_between(249'900_us, 250'100_us, Data().seq(3).payload("z"));
}

TEST(Rfc6298, Karn_TimestampTellsWhichTransmissionWasAcknowledged) {
    Established s{without_margin(), {.timestamps = true, .active = true, .round_trip = 100_ms}};
    s.call_send("x");
    s.expect(Data().seq(1));
    s.expect_after(300_ms, Data().seq(1));
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(2));
    // A second sample of 100 ms, from the second transmission: RTTVAR = 37.5, no back-off.
    s.call_send("y");
    s.expect(Data().seq(2));
    s.expect_between(245_ms, 255_ms, Data().seq(2).payload("y"));
}

// ---- section 5: when the timer runs

TEST(Rfc6298, Rule5_1_TimerStartsWithTheFirstSegmentAndIsNotRestartedByTheNext) {
    Established s{hundred_ms};
    s.call_send_bytes(1460);
    s.expect(Data().seq(1).length(1460));
    s.wait(200_ms);
    s.call_send_bytes(1460);
    s.expect(Data().seq(1461).length(1460));
    s.expect_after(100_ms, Data().seq(1).length(1460));
}

TEST(Rfc6298, Rule5_2_TimerStopsWhenEverythingIsAcknowledged) {
    ByteInFlight s;
    s.inject(Ack().seq(1).ack(2));
    s.expect_nothing_for(3600_s);
    EXPECT_EQ(s.counters().timeouts.load(), 0u);
}

TEST(Rfc6298, Rule5_3_AckOfNewDataRestartsTheTimer) {
    tcp::Profile profile;
    profile.rto_min = 1_s;
    Established s{profile, hundred_ms};
    s.call_send_bytes(2920);
    s.expect(Data().seq(1).length(1460));
    s.expect(Data().seq(1461).length(1460));
    s.wait(150_ms);
    s.inject(Ack().seq(1).ack(1461));
    s.expect_after(1_s, Data().seq(1461).length(1460));
}

TEST(Rfc6298, Rule5_3_DuplicateAckDoesNotRestartTheTimer) {
    ByteInFlight s;
    s.wait(150_ms);
    s.inject(Ack().seq(1).ack(1));
    s.expect_after(150_ms, Data().seq(1).payload("x"));
}

TEST(Rfc6298, Rule5_4_OnlyTheEarliestSegmentIsSentAgain) {
    Established s{hundred_ms};
    s.call_send_bytes(5 * 1460);
    EXPECT_EQ(s.take_sent().size(), 5u);
    s.expect_after(300_ms, Data().seq(1).length(1460));
    s.expect_nothing();
    EXPECT_EQ(s.counters().retrans_segs.load(), 1u);
    EXPECT_EQ(s.counters().timeouts.load(), 1u);
}

TEST(Rfc6298, Must19_Rule5_5_RtoDoublesWithEachExpiry) {
    ByteInFlight s;
    for (int64_t factor = 1; factor <= 64; factor *= 2)
        s.expect_after(300_ms * factor, Data().seq(1).payload("x"));
}

TEST(Rfc6298, Rule5_5_HoldsForTheSyn) {
    Script s;
    s.call_open();
    s.expect(Syn().seq(0));
    for (int64_t factor = 1; factor <= 32; factor *= 2) s.expect_after(1_s * factor, Syn().seq(0));
    EXPECT_EQ(s.counters().syn_retransmits.load(), 6u);
}

TEST(Rfc6298, Rule5_5_HoldsForTheSynAck) {
    Script s;
    enter(s, State::syn_received);
    for (int64_t factor = 1; factor <= 16; factor *= 2)
        s.expect_after(1_s * factor, SynAck().seq(0).ack(1).mss(1460));
}

TEST(Rfc6298, Rule5_5_HoldsForTheFin) {
    Established s{hundred_ms};
    s.call_close();
    s.expect(FinAck().seq(1));
    for (int64_t factor = 1; factor <= 16; factor *= 2)
        s.expect_after(300_ms * factor, FinAck().seq(1).ack(1));
}

TEST(Rfc6298, Rule5_6_TimerIsStartedAnewForTheRetransmission) {
    ByteInFlight s;
    s.expect_after(300_ms, Data().seq(1));
    EXPECT_EQ(s.next_deadline(), 600_ms);
}

TEST(Rfc6298, Rule5_7_AfterALostSynDataBeginsWithThreeSeconds) {
    Script s;
    s.call_open();
    s.expect(Syn().seq(0));
    s.expect_after(1_s, Syn().seq(0));
    s.wait(50_ms);
    s.inject(SynAck().seq(0).ack(1));
    s.expect(Ack().seq(1).ack(1));
    s.call_send("x");
    s.expect(Data().seq(1));
    s.expect_after(3_s, Data().seq(1).payload("x"));
}

// ---- what a retransmission looks like

TEST(Retransmission, RepeatsDataAndFinTogether) {
    Established s{hundred_ms};
    s.call_send("x");
    s.expect(Data().seq(1).payload("x"));
    s.call_close();
    s.expect(FinAck().seq(2));
    // Either the byte alone, or the byte with the FIN behind it: RFC 9293 section 3.8.1 lets the
    // sender repackage.
    s.wait(300_ms);
    const auto again = s.take_sent();
    ASSERT_EQ(again.size(), 1u);
    EXPECT_EQ(again[0].seq, 1u);
    EXPECT_EQ(again[0].payload, "x");
}

TEST(Retransmission, LoneFinIsRepeatedWhileSegmentsOfThePeerAreHeld) {
    Established s{hundred_ms};
    s.call_shutdown();
    s.expect(FinAck().seq(1));
    s.inject(Data().seq(101).ack(1).length(100));
    s.expect(Ack().seq(2).ack(1));
    s.expect_between(290_ms, 310_ms, FinAck().seq(1).ack(1));
    s.inject(Data().seq(1).ack(1).length(100));
    s.expect(Ack().seq(2).ack(201));
    s.expect_between(590_ms, 610_ms, FinAck().seq(1).ack(201));
}

TEST(Retransmission, LoneFinIsRepeatedWhileBytesAreUnread) {
    Established s{hundred_ms};
    s.stop_reading();
    s.inject(Data().seq(1).ack(1).length(100));
    s.call_shutdown();
    s.expect(FinAck().seq(1).ack(101));
    s.expect_after(300_ms, FinAck().seq(1).ack(101));
    s.call_read(100);
    s.ignore_sent();
}

TEST(Retransmission, LoneFinIsRepeatedAfterThePeersFinCameTwice) {
    Established s{hundred_ms};
    s.inject(FinAck().seq(101).ack(1));
    s.expect(Ack().seq(1).ack(1));
    s.inject(Data().fin().seq(1).ack(1).length(100));
    s.expect(Ack().seq(1).ack(102));
    s.call_close();
    s.expect(FinAck().seq(1).ack(102));
    s.expect_after(300_ms, FinAck().seq(1).ack(102));
    s.inject(Ack().seq(102).ack(2));
    s.expect_closed(CloseReason::finished);
}

TEST(Retransmission, CarriesTheCurrentAcknowledgment) {
    ByteInFlight s;
    s.inject(Data().seq(1).ack(1).length(100));
    s.wait(100_ms);
    s.expect(Ack().seq(2).ack(101));
    s.expect_after(200_ms, Data().seq(1).ack(101).payload("x"));
}

TEST(Retransmission, OfStaticMemoryIsTheSameAsOfACopy) {
    Established s{hundred_ms};
    s.call_send_static_bytes(2920);
    EXPECT_EQ(s.take_sent().size(), 2u);
    s.expect_after(300_ms, Data().seq(1).length(1460));
    s.inject(Ack().seq(1).ack(2921));
    s.call_send_static_bytes(100);
    s.expect(Data().seq(2921).length(100));
}

TEST(Retransmission, PartlyAcknowledgedSegmentIsRepeatedFromTheFirstMissingByte) {
    Established s{hundred_ms};
    s.call_send_bytes(1000);
    s.expect(Data().seq(1).length(1000));
    s.inject(Ack().seq(1).ack(301));
    s.expect_between(200_ms, 1_s, Data().seq(301).length(700));
}

TEST(Retransmission, SynIsRepeatedUnchanged) {
    Script s;
    s.call_open();
    const auto first = s.take_sent().at(0);
    s.wait(1_s);
    const auto again = s.take_sent().at(0);
    EXPECT_EQ(first.seq, again.seq);
    EXPECT_EQ(first.window, again.window);
    EXPECT_EQ(first.options.mss, again.options.mss);
    EXPECT_EQ(first.options.window_scale, again.options.window_scale);
    EXPECT_EQ(first.options.sack_permitted, again.options.sack_permitted);
}

// ---- giving up

TEST(GiveUp, Must23_SynIsRepeatedForAtLeastThreeMinutes) {
    Script s;
    s.call_open();
    const Duration took = s.drain(600_s);
    EXPECT_GE(took, 180_s);
    EXPECT_LE(took, 180_s + s.setup().profile.rto_max);
    s.expect_closed(CloseReason::timed_out);
    const auto syns = s.take_sent();
    EXPECT_GE(syns.size(), 7u);
    for (const auto& syn : syns) EXPECT_TRUE(syn.flags == wire::flag::syn) << to_text(syn);
    EXPECT_EQ(s.counters().attempt_fails.load(), 1u);
}

TEST(GiveUp, SynAckIsRepeatedAsOftenAsConfiguredThenForgotten) {
    Script s;
    enter(s, State::syn_received);
    const Duration took = s.drain(200_s);
    EXPECT_EQ(s.take_sent().size(), s.setup().profile.syn_received_retries);
    EXPECT_GE(took, 31_s);
    EXPECT_LE(took, 64_s);
    EXPECT_EQ(s.established_count(), 0u);
    s.expect_state(State::listen);
}

TEST(GiveUp, Must20_Shld11_DataIsRepeatedForAtLeastHundredSecondsAndThenGivenUp) {
    Established s{hundred_ms};
    s.call_send("x");
    const Duration took = s.drain(2000_s);
    EXPECT_GE(took, s.setup().profile.retransmission_timeout);
    EXPECT_GE(took, 100_s);
    EXPECT_LE(took, s.setup().profile.retransmission_timeout + s.setup().profile.rto_max);
    s.expect_closed(CloseReason::timed_out);
    EXPECT_EQ(s.counters().abort_on_timeout.load(), 1u);
    s.ignore_sent();
}

TEST(GiveUp, Must21_UserSetsR2) {
    tcp::Profile profile;
    profile.retransmission_timeout = 10_s;
    Established s{profile, hundred_ms};
    s.call_send("x");
    const Duration took = s.drain(100_s);
    EXPECT_GE(took, 10_s);
    EXPECT_LE(took, 20_s);
    s.expect_closed(CloseReason::timed_out);
    s.ignore_sent();
}

TEST(GiveUp, FinIsRepeatedLikeDataAndThenGivenUp) {
    Established s{hundred_ms};
    s.call_close();
    const Duration took = s.drain(2000_s);
    EXPECT_GE(took, 100_s);
    s.expect_closed(CloseReason::timed_out);
    EXPECT_GE(s.take_sent().size(), 6u);
}

TEST(GiveUp, Shld9_Shld10_Must20_UserLearnsOfTheTroubleBetweenR1AndR2) {
    Established s{hundred_ms};
    s.call_send("x");
    s.wait(300_ms + 600_ms);
    EXPECT_EQ(s.retrying_count(), 0u) << "SHLD-10: R1 is at least three retransmissions";
    s.wait(60_s);
    EXPECT_EQ(s.retrying_count(), 1u);
    s.expect_open();
    s.ignore_sent();
}

TEST(GiveUp, ProgressResetsTheClock) {
    tcp::Profile profile;
    profile.retransmission_timeout = 10_s;
    Established s{profile, hundred_ms};
    s.call_send_bytes(20 * 1460);
    for (uint32_t i = 1; i <= 10; ++i) {
        s.wait(8_s);
        s.inject(Ack().seq(1).ack(1 + 1460 * i));
        s.expect_open();
    }
    s.ignore_sent();
}

}  // namespace
}  // namespace synfin::conformance
