// Losses that were none: the retransmission timer or a recovery came too early, and what was done
// for it is undone (RFC 3522, RFC 4015, RFC 5682, RFC 2883).
#include <gtest/gtest.h>

#include "script.hpp"

namespace synfin::conformance {
namespace {

constexpr uint32_t untouched = UINT32_MAX;

Script::Handshake handshake(bool timestamps, bool sack) {
    return {.mss = 1000,
            .timestamps = timestamps,
            .sack_permitted = sack,
            .active = true,
            .round_trip = Duration::milliseconds(100)};
}

TEST(Undo, Rfc3522_TimestampOfTheFirstTransmissionUndoesATimeout) {
    Script s;
    s.establish(handshake(true, false));
    s.call_send_bytes(9 * 988);
    EXPECT_EQ(s.take_sent().size(), 9u);
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
    Script s;
    s.establish(handshake(true, false));
    s.call_send_bytes(9 * 988);
    s.ignore_sent();
    s.expect_after(300_ms, Data().seq(1).length(988));
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(1 + 988));
    EXPECT_EQ(s.counters().spurious_timeouts.load(), 0u);
    EXPECT_LT(s.connection().ssthresh, 10'000u);
    EXPECT_EQ(s.take_sent().at(0).seq, 1u + 988);
}

TEST(Undo, Rfc5682_ArrivalOfWhatWasNotSentAgainUndoesATimeout) {
    Script s;
    s.establish(handshake(false, true));
    s.call_send_bytes(9000);
    s.ignore_sent();
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
    Script s;
    s.establish(handshake(false, true));
    s.call_send_bytes(9000);
    s.ignore_sent();
    s.wait(500_ms);
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(1001));
    EXPECT_EQ(s.counters().spurious_timeouts.load(), 0u);
    EXPECT_EQ(s.take_sent().at(0).seq, 1001u);
}

TEST(Undo, Rfc5682_RepeatedReportOfWhatHadArrivedBeforeUndoesNothing) {
    Script s;
    s.establish(handshake(false, true));
    s.call_send_bytes(9000);
    s.ignore_sent();
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(1).sack({{3001, 5001}}));
    s.wait(2_s);
    EXPECT_GE(s.counters().timeouts.load(), 1u);
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(1).sack({{3001, 5001}}));
    EXPECT_EQ(s.counters().spurious_timeouts.load(), 0u);
    s.ignore_sent();
}

TEST(Undo, Rfc2883_DuplicateReportOfAllThatWasSentAgainUndoesARecovery) {
    Script s;
    s.establish(handshake(false, true));
    s.call_send_bytes(40'000);
    s.ignore_sent();
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(1).sack({{1001, 4001}}));
    EXPECT_EQ(s.take_sent().at(0).seq, 1u);
    EXPECT_EQ(s.connection().ssthresh, 7000u);
    s.inject(Ack().seq(1).ack(4001));
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(4001).sack({{1, 1001}}));
    EXPECT_EQ(s.counters().spurious_recoveries.load(), 1u);
    EXPECT_EQ(s.connection().ssthresh, untouched);
    s.ignore_sent();
}

TEST(Undo, Rfc2883_DuplicateReportOfAPartUndoesNothing) {
    Script s;
    s.establish(handshake(false, true));
    s.call_send_bytes(40'000);
    s.ignore_sent();
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(1).sack({{1001, 4001}}));
    s.inject(Ack().seq(1).ack(4001));
    s.inject(Ack().seq(1).ack(4001).sack({{1, 501}}));
    EXPECT_EQ(s.counters().spurious_recoveries.load(), 0u);
    EXPECT_EQ(s.connection().ssthresh, 7000u);
    s.ignore_sent();
}

}  // namespace
}  // namespace synfin::conformance
