// Losses that were none: the retransmission timer or a recovery came too early, and what was done
// for it is undone (RFC 3522, RFC 4015, RFC 5682, RFC 2883).
#include <gtest/gtest.h>

#include "scenes.hpp"

namespace synfin::conformance {
namespace {

constexpr uint32_t untouched = UINT32_MAX;

constexpr Script::Handshake with_timestamps{
    .mss = 1000, .timestamps = true, .active = true, .round_trip = Duration::milliseconds(100)};
constexpr Script::Handshake with_neither{
    .mss = 1000, .active = true, .round_trip = Duration::milliseconds(100)};
constexpr Script::Handshake with_sack{
    .mss = 1000, .sack_permitted = true, .active = true, .round_trip = Duration::milliseconds(100)};

/// Of a flight of forty segments of which ten have left, the first was held for lost.
struct FirstHeldForLost : InFlight {
    explicit FirstHeldForLost(const conformance::Setup& setup = {})
        : InFlight{with_sack, 40'000, setup} {
        wait(100_ms);
        inject(Ack().seq(1).ack(1).sack({{1001, 4001}}));
        EXPECT_EQ(take_sent().at(0).seq, 1u);
        EXPECT_EQ(connection().ssthresh, 7000u);
        inject(Ack().seq(1).ack(4001));
        ignore_sent();
    }
};

TEST(Undo, Rfc3522_TimestampOfTheFirstTransmissionUndoesATimeout) {
    InFlight s{with_timestamps, 9 * 988};
    const uint32_t original = s.last_ts_value();
    s.expect_after(300_ms, Data().seq(1).length(988));
    s.inject(Ack().seq(1).ack(1 + 988).timestamps(s.milliseconds_of_peer(), original));
    EXPECT_EQ(s.counters().spurious_timeouts.load(), 1u);
    EXPECT_EQ(s.connection().ssthresh, untouched);
    s.expect_nothing();
    s.inject(Ack().seq(1).ack(1 + 9 * 988));
    s.expect_nothing_for(5_s);
}

TEST(Undo, Rfc3522_TimestampOfTheRetransmissionUndoesNothing) {
    InFlight s{with_timestamps, 9 * 988};
    s.expect_after(300_ms, Data().seq(1).length(988));
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(1 + 988));
    EXPECT_EQ(s.counters().spurious_timeouts.load(), 0u);
    EXPECT_LT(s.connection().ssthresh, 10'000u);
    EXPECT_EQ(s.take_sent().at(0).seq, 1u + 988);
}

TEST(Undo, Rfc3522_OnlyTheFirstAckAfterTheRetransmissionTells) {
    InFlight s{with_timestamps, 9 * 988};
    const uint32_t original = s.last_ts_value();
    s.expect_after(300_ms, Data().seq(1).length(988));
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(1 + 988));
    s.inject(Ack().seq(1).ack(1 + 2 * 988).timestamps(s.milliseconds_of_peer(), original));
    EXPECT_EQ(s.counters().spurious_timeouts.load(), 0u);
    s.ignore_sent();
}

TEST(Undo, Rfc3522_SecondTimeoutInARowIsUndoneWithTheFirst) {
    InFlight s{with_timestamps, 9 * 988};
    const uint32_t original = s.last_ts_value();
    s.wait(1_s);
    EXPECT_EQ(s.counters().timeouts.load(), 2u);
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(1 + 988).timestamps(s.milliseconds_of_peer(), original));
    EXPECT_EQ(s.connection().ssthresh, untouched);
    EXPECT_EQ(s.connection().cwnd, 9u * 988);
    s.ignore_sent();
}

// The peer acknowledges what was sent again once more, and that is no loss (RFC 6582).
TEST(Undo, DuplicatesOfWhatWasSentAgainForNothingAreNoLoss) {
    InFlight s{with_timestamps, 9 * 988};
    const uint32_t original = s.last_ts_value();
    s.wait(100_ms);
    for (int i = 0; i < 3; ++i) s.inject(Ack().seq(1).ack(1));
    s.expect(Data().seq(1).length(988));
    s.inject(Ack().seq(1).ack(1 + 4 * 988).timestamps(s.milliseconds_of_peer(), original));
    EXPECT_EQ(s.counters().spurious_recoveries.load(), 1u);
    for (int i = 0; i < 3; ++i) s.inject(Ack().seq(1).ack(1 + 4 * 988));
    EXPECT_EQ(s.counters().fast_retransmits.load(), 1u);
    s.ignore_sent();
}

TEST(Undo, Rfc4015_WindowLetsOutAsMuchAsWasAcknowledged) {
    InFlight s{with_sack, 9000};
    s.wait(500_ms);
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(2001));
    ASSERT_EQ(s.counters().spurious_timeouts.load(), 1u);
    EXPECT_EQ(s.connection().cwnd, 7000u + 2000u);
}

TEST(Undo, Rfc5682_TimeoutInTheMiddleOfARecoveryIsNotJudgedByWhatArrives) {
    InFlight s{with_sack, 10'000};
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(1).sack({{1001, 4001}}));
    s.wait(300_ms);
    ASSERT_EQ(s.counters().timeouts.load(), 1u);
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(1).sack({{1001, 6001}}));
    EXPECT_EQ(s.counters().spurious_timeouts.load(), 0u);
    EXPECT_LT(s.connection().ssthresh, 10'000u);
    s.ignore_sent();
}

TEST(Undo, Rfc5682_ArrivalOfWhatWasNotSentAgainUndoesATimeout) {
    InFlight s{with_sack, 9000};
    s.wait(500_ms);  // the tail probe, then the timer
    EXPECT_EQ(s.counters().timeouts.load(), 1u);
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(2001));
    EXPECT_EQ(s.counters().spurious_timeouts.load(), 1u);
    EXPECT_EQ(s.connection().ssthresh, untouched);
    s.expect_nothing();
    s.inject(Ack().seq(1).ack(9001));
    s.expect_nothing_for(5_s);
}

TEST(Undo, Rfc5682_ArrivalOfTheRetransmissionAloneUndoesNothing) {
    InFlight s{with_sack, 9000};
    s.wait(500_ms);
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(1001));
    EXPECT_EQ(s.counters().spurious_timeouts.load(), 0u);
    EXPECT_EQ(s.take_sent().at(0).seq, 1001u);
}

TEST(Undo, Rfc5682_RepeatedReportOfWhatHadArrivedBeforeUndoesNothing) {
    InFlight s{with_sack, 9000};
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(1).sack({{3001, 5001}}));
    s.wait(2_s);
    EXPECT_GE(s.counters().timeouts.load(), 1u);
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(1).sack({{3001, 5001}}));
    EXPECT_EQ(s.counters().spurious_timeouts.load(), 0u);
    s.ignore_sent();
}

/// Ten segments are in flight without SACK and timestamps, and the timer has expired.
struct TimedOutWithoutOptions : InFlight {
    explicit TimedOutWithoutOptions(uint32_t bytes = 20'000) : InFlight{with_neither, bytes} {
        expect_after(300_ms, Data().seq(1).length(1000));
        expect_nothing();
    }
};

TEST(Undo, Rfc5682_1_FirstAnswerLetsTwoNewSegmentsOut) {
    TimedOutWithoutOptions s;
    s.inject(Ack().seq(1).ack(1001));
    s.expect(Data().seq(10'001).length(1000));
    s.expect(Data().seq(11'001).length(1000));
    s.expect_nothing();
    EXPECT_EQ(s.connection().cwnd, 11'000u);
}

TEST(Undo, Rfc5682_1_SegmentThatAnswersNothingIsNoFirstAnswer) {
    TimedOutWithoutOptions s;
    s.inject(Data().seq(1).ack(1).length(1));
    s.ignore_sent();
    s.inject(Ack().seq(2).ack(1001));
    s.expect(Data().seq(10'001).length(1000));
    s.ignore_sent();
}

TEST(Undo, Rfc5682_1_TimeoutInTheMiddleOfARecoveryTriesNothing) {
    InFlight s{with_neither, 20'000};
    s.wait(100_ms);
    for (int i = 0; i < 3; ++i) s.inject(Ack().seq(1).ack(1));
    s.ignore_sent();
    s.wait(300_ms);
    ASSERT_EQ(s.counters().timeouts.load(), 1u);
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(1001));
    EXPECT_EQ(s.take_sent().at(0).seq, 1001u);
}

TEST(Undo, Rfc5682_1_SecondAnswerToWhatWasSentOnceUndoesATimeout) {
    TimedOutWithoutOptions s;
    s.inject(Ack().seq(1).ack(1001));
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(2001));
    EXPECT_EQ(s.counters().spurious_timeouts.load(), 1u);
    EXPECT_EQ(s.connection().ssthresh, untouched);
    EXPECT_EQ(s.counters().retrans_segs.load(), 1u);
    for (const auto& sent : s.take_sent()) EXPECT_GT(sent.seq, 11'001u) << to_text(sent);
}

TEST(Undo, Rfc5682_1_DuplicateAsSecondAnswerGoesOnWithTheRecovery) {
    TimedOutWithoutOptions s;
    s.inject(Ack().seq(1).ack(1001));
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(1001));
    EXPECT_EQ(s.counters().spurious_timeouts.load(), 0u);
    EXPECT_EQ(s.connection().cwnd, 3000u);
    EXPECT_EQ(s.connection().ssthresh, 7000u);
    s.expect(Data().seq(1001).length(1000));
    s.expect(Data().seq(2001).length(1000));
    s.expect_nothing();
}

TEST(Undo, Rfc5682_1_DuplicateAsFirstAnswerTriesNothing) {
    TimedOutWithoutOptions s;
    s.inject(Ack().seq(1).ack(1));
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(1001));
    for (const auto& sent : s.take_sent()) EXPECT_LT(sent.seq, 10'001u) << to_text(sent);
}

TEST(Undo, Rfc5682_1_WithoutNewDataNothingIsTried) {
    TimedOutWithoutOptions s{10'999};
    s.inject(Ack().seq(1).ack(1001));
    EXPECT_EQ(s.take_sent().at(0).seq, 1001u);
    s.inject(Ack().seq(1).ack(2001));
    EXPECT_EQ(s.counters().spurious_timeouts.load(), 0u);
    s.ignore_sent();
}

TEST(Undo, Rfc5682_1_WithoutRoomInThePeersWindowNothingIsTried) {
    TimedOutWithoutOptions s;
    s.inject(Ack().seq(1).ack(1001).window(9'000));
    EXPECT_EQ(s.take_sent().at(0).seq, 1001u);
}

TEST(Undo, Rfc5682_1_AnswerToAPartOfTheRepetitionTriesNothing) {
    TimedOutWithoutOptions s;
    s.inject(Ack().seq(1).ack(501));
    EXPECT_EQ(s.take_sent().at(0).seq, 1001u);
}

TEST(Undo, Rfc5682_1_SecondTimeoutInARowTriesNothing) {
    TimedOutWithoutOptions s;
    s.expect_after(600_ms, Data().seq(1).length(1000));
    s.inject(Ack().seq(1).ack(2001));
    EXPECT_EQ(s.take_sent().at(0).seq, 2001u);
}

TEST(Undo, Rfc2883_DuplicateReportOfAllThatWasSentAgainUndoesARecovery) {
    FirstHeldForLost s;
    s.inject(Ack().seq(1).ack(4001).sack({{1, 1001}}));
    EXPECT_EQ(s.counters().spurious_recoveries.load(), 1u);
    EXPECT_EQ(s.connection().ssthresh, untouched);
    s.ignore_sent();
}

TEST(Undo, Rfc2883_DuplicateReportAfterTheEndOfTheRecoveryUndoesIt) {
    for (const uint32_t isn : corner_isns) {
        conformance::Setup setup;
        setup.local_isn = isn;
        FirstHeldForLost s{setup};
        const uint32_t end = s.sent_end();
        s.inject(Ack().seq(1).ack(end));
        s.inject(Ack().seq(1).ack(end).sack({{1, 1001}}));
        EXPECT_EQ(s.counters().spurious_recoveries.load(), 1u) << isn;
        s.ignore_sent();
    }
}

TEST(Undo, Rfc2883_DuplicateReportOfWhatWasSentAfterTheLossUndoesNothing) {
    FirstHeldForLost s;
    s.inject(Ack().seq(1).ack(11'001));
    s.inject(Ack().seq(1).ack(11'001).sack({{10'001, 11'001}}));
    EXPECT_EQ(s.counters().dsacks_received.load(), 1u);
    EXPECT_EQ(s.counters().spurious_recoveries.load(), 0u);
    s.ignore_sent();
}

TEST(Undo, Rfc2883_DuplicateReportLongAfterTheRecoveryUndoesNothing) {
    FirstHeldForLost s;
    s.inject(Ack().seq(1).ack(s.sent_end()));
    for (int round = 0; round < 2; ++round) {
        s.ignore_sent();
        s.inject(Ack().seq(1).ack(s.sent_end() - 1000));
    }
    s.inject(Ack().seq(1).ack(s.sent_end() - 1000).sack({{1, 1001}}));
    EXPECT_EQ(s.counters().spurious_recoveries.load(), 0u);
    s.ignore_sent();
}

TEST(Undo, Rfc2883_DuplicateReportOfAPartUndoesNothing) {
    FirstHeldForLost s;
    s.inject(Ack().seq(1).ack(4001).sack({{1, 501}}));
    EXPECT_EQ(s.counters().spurious_recoveries.load(), 0u);
    EXPECT_EQ(s.connection().ssthresh, 7000u);
    s.ignore_sent();
}

}  // namespace
}  // namespace synfin::conformance
