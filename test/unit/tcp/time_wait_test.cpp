// TIME_WAIT: the record that remains, what it answers, and when it gives way to a new connection
// (RFC 9293 section 3.6.1, RFC 1337, RFC 6191).
#include <gtest/gtest.h>

#include "scenes.hpp"

namespace synfin::conformance {
namespace {

// Both sides stand at 2 in TIME_WAIT (our FIN and the peer's were 1).

TEST(TimeWait, Rfc1337_ResetIsIgnored) {
    Script s;
    enter(s, State::time_wait);
    for (uint32_t seq : {0u, 1u, 2u, 3u, 1000u}) s.inject(Rst().seq(seq));
    s.inject(RstAck().seq(2).ack(2));
    s.expect_nothing();
    s.expect_state(State::time_wait);
}

TEST(TimeWait, AckInOrderIsIgnored) {
    Script s;
    enter(s, State::time_wait);
    s.inject(Ack().seq(2).ack(2));
    s.expect_nothing();
}

TEST(TimeWait, RepeatedFinIsAcknowledgedAndRestartsTheClock) {
    Script s;
    enter(s, State::time_wait);
    s.wait(s.setup().time_wait - 1_s);
    s.inject(FinAck().seq(1).ack(2));
    s.expect(Ack().seq(2).ack(2));
    s.wait(s.setup().time_wait - 1_us);
    s.expect_state(State::time_wait);
    s.wait(1_us);
    s.expect_state(State::closed);
}

TEST(TimeWait, RepeatedFinWithItsDataIsAcknowledgedToo) {
    Script s;
    enter(s, State::fin_wait_2);
    s.inject(Data().fin().seq(1).ack(2).payload("bye"));
    s.expect(Ack().seq(2).ack(5));
    s.inject(Data().fin().seq(1).ack(2).payload("bye"));
    s.expect(Ack().seq(2).ack(5));
    s.expect_received("bye");
}

TEST(TimeWait, OldDataIsAcknowledgedAndDoesNotRestartTheClock) {
    Script s;
    enter(s, State::time_wait);
    s.wait(s.setup().time_wait - 1_s);
    s.inject(Data().seq(1).ack(2).payload("x"));
    s.expect(Ack().seq(2).ack(2));
    s.wait(1_s);
    s.expect_state(State::closed);
}

TEST(TimeWait, SegmentFarOutsideIsAcknowledged) {
    Script s;
    enter(s, State::time_wait);
    s.inject(Data().seq(5000).ack(2).payload("x"));
    s.expect(Ack().seq(2).ack(2));
    s.inject(Ack().seq(1).ack(2));
    s.expect(Ack().seq(2).ack(2));
    s.expect_received("");
}

TEST(TimeWait, OldSynIsAcknowledged) {
    Script s;
    enter(s, State::time_wait);
    for (uint32_t seq : {0u, 1u, 2u}) {
        s.inject(Syn().seq(seq));
        s.expect(Ack().seq(2).ack(2));
        s.expect_state(State::time_wait);
    }
}

TEST(TimeWait, SynAckAndSynFinDoNotReopen) {
    Script s;
    enter(s, State::time_wait);
    s.inject(SynAck().seq(1000).ack(2));
    s.inject(Syn().fin().seq(1000));
    s.ignore_sent();
    s.expect_state(State::time_wait);
}

TEST(TimeWait, May2_SynWithAHigherSequenceNumberReopensWithAHigherIsn) {
    Script s;
    enter(s, State::time_wait);
    const uint32_t old_isn = s.local_isn();
    const uint32_t old_end = old_isn + 2;
    s.inject(Syn().seq(3).mss(1460));
    s.expect(SynAck().ack(4));
    s.expect_state(State::syn_received);
    EXPECT_TRUE(tcp::Seq{s.local_isn()}.at_or_after(tcp::Seq{old_end}));
    EXPECT_NE(s.local_isn(), old_isn);
    s.inject(Ack().seq(4).ack(1));
    s.expect_state(State::established);
}

/// In TIME-WAIT, entered by a FIN whose timestamp was 5000.
struct LastTimestamp5000 : Established {
    LastTimestamp5000() : Established{Handshake{.timestamps = true}} {
        call_shutdown();
        expect(FinAck().seq(1));
        inject(FinAck().seq(1).ack(2).timestamps(5000, last_ts_value()));
        expect(Ack().seq(2).ack(2));
    }
};

TEST(TimeWait, Shld4_Rfc6191_NewerTimestampReopensEvenWithALowerSequenceNumber) {
    LastTimestamp5000 s;
    s.expect_state(State::time_wait);
    // Older or equal, with an old sequence number: an old duplicate.
    s.inject(Syn().seq(static_cast<uint32_t>(-1000)).timestamps(4999, 0));
    s.expect(Ack().seq(2).ack(2));
    s.inject(Syn().seq(static_cast<uint32_t>(-1000)).timestamps(5000, 0));
    s.expect(Ack().seq(2).ack(2));
    s.expect_state(State::time_wait);
    s.inject(Syn().seq(static_cast<uint32_t>(-1000)).timestamps(5001, 0));
    s.expect(SynAck().ack(static_cast<uint32_t>(-999)).echoing(5001));
    s.expect_state(State::syn_received);
}

TEST(TimeWait, Rfc6191_EqualTimestampWithAHigherSequenceNumberReopens) {
    LastTimestamp5000 s;
    s.inject(Syn().seq(100).timestamps(5000, 0));
    s.expect(SynAck().ack(101));
}

TEST(TimeWait, Rfc6191_OlderTimestampDoesNotReopenEvenWithAHigherSequenceNumber) {
    LastTimestamp5000 s;
    s.inject(Syn().seq(100).timestamps(4000, 0));
    s.expect(Ack().seq(2).ack(2));
    s.expect_state(State::time_wait);
}

TEST(TimeWait, SegmentWithoutAckIsIgnored) {
    Script s;
    enter(s, State::time_wait);
    s.inject(Packet{wire::flag::none}.seq(2));
    s.inject(Packet{wire::flag::fin}.seq(2));
    s.expect_nothing();
}

// The first check, of the sequence number, comes before the fifth.
TEST(TimeWait, OldSegmentWithoutAckIsAcknowledged) {
    Script s;
    enter(s, State::time_wait);
    s.inject(Packet{wire::flag::fin}.seq(1));
    s.expect(Ack().seq(2).ack(2));
}

TEST(TimeWait, ZeroLengthEndsItAtOnce) {
    Script s{{.time_wait = Duration{}}};
    enter(s, State::fin_wait_2);
    s.inject(FinAck().seq(1).ack(2));
    s.expect(Ack().seq(2).ack(2));
    s.expect_state(State::closed);
}

TEST(TimeWait, RecordTakesAtMost32Bytes) { EXPECT_LE(sizeof(tcp::TimeWait), 32u); }

TEST(TimeWait, IsCountedAndNotConfusedWithAReset) {
    Script s;
    enter(s, State::time_wait);
    EXPECT_EQ(s.counters().time_waits.load(), 1u);
    EXPECT_EQ(s.counters().estab_resets.load(), 0u);
    EXPECT_EQ(s.counters().curr_estab.load(), 0u);
    s.expect_closed(CloseReason::finished);
}

TEST(TimeWait, UnreadDataIsNotLostWhenThePeersFinEndsTheConnection) {
    Script s;
    enter(s, State::fin_wait_2);
    s.stop_reading();
    s.inject(Data().seq(1).ack(2).payload("precious"));
    s.inject(FinAck().seq(9).ack(2));
    s.ignore_sent();
    EXPECT_EQ(s.close_reason(), CloseReason::none);
    s.call_read(100);
    s.expect_received("precious");
    s.ignore_sent();
    EXPECT_EQ(s.peer_closed_count(), 1u);
    s.expect_closed(CloseReason::finished);
}

}  // namespace
}  // namespace synfin::conformance
