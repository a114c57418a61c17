// Closing a connection: the arrows of figure 5 from ESTABLISHED on, figures 12 and 13 of RFC 9293,
// and what becomes of data around a close.
#include <gtest/gtest.h>

#include "script.hpp"

namespace synfin::conformance {
namespace {

// ---- figure 5

TEST(Transition, EstablishedToFinWait1ByClose) {
    Script s;
    s.establish();
    s.call_close();
    s.expect(FinAck().seq(1).ack(1));
    s.expect_state(State::fin_wait_1);
}

TEST(Transition, EstablishedToCloseWaitByFin) {
    Script s;
    s.establish();
    s.inject(FinAck().seq(1).ack(1));
    s.expect(Ack().seq(1).ack(2));
    s.expect_state(State::close_wait);
    EXPECT_EQ(s.peer_closed_count(), 1u);
    s.expect_open();
}

TEST(Transition, FinWait1ToFinWait2ByAckOfFin) {
    Script s;
    enter(s, State::fin_wait_1);
    s.inject(Ack().seq(1).ack(2));
    s.expect_state(State::fin_wait_2);
    s.expect_nothing();
}

TEST(Transition, FinWait1ToClosingByFin) {
    Script s;
    enter(s, State::fin_wait_1);
    s.inject(FinAck().seq(1).ack(1));
    s.expect_state(State::closing);
    s.expect(Ack().seq(2).ack(2));
}

TEST(Transition, FinWait1ToTimeWaitByFinThatAcknowledgesOurs) {
    Script s;
    enter(s, State::fin_wait_1);
    s.inject(FinAck().seq(1).ack(2));
    s.expect_state(State::time_wait);
    s.expect(Ack().seq(2).ack(2));
    s.expect_closed(CloseReason::finished);
}

TEST(Transition, FinWait2ToTimeWaitByFin) {
    Script s;
    enter(s, State::fin_wait_2);
    s.inject(FinAck().seq(1).ack(2));
    s.expect_state(State::time_wait);
    s.expect(Ack().seq(2).ack(2));
    s.expect_closed(CloseReason::finished);
}

TEST(Transition, ClosingToTimeWaitByAckOfFin) {
    Script s;
    enter(s, State::closing);
    s.inject(Ack().seq(2).ack(2));
    s.expect_state(State::time_wait);
    s.expect_nothing();
    s.expect_closed(CloseReason::finished);
}

TEST(Transition, CloseWaitToLastAckByClose) {
    Script s;
    enter(s, State::close_wait);
    s.call_close();
    s.expect(FinAck().seq(1).ack(2));
    s.expect_state(State::last_ack);
}

TEST(Transition, LastAckToClosedByAckOfFin) {
    Script s;
    enter(s, State::last_ack);
    s.inject(Ack().seq(2).ack(2));
    s.expect_state(State::closed);
    s.expect_nothing();
    s.expect_closed(CloseReason::finished);
}

TEST(Transition, Must13_TimeWaitToClosedAfterTwoMaximumSegmentLifetimes) {
    Script s;
    enter(s, State::time_wait);
    s.wait(s.setup().time_wait - 1_us);
    s.expect_state(State::time_wait);
    s.wait(1_us);
    s.expect_state(State::closed);
    s.expect_nothing();
}

// ---- figures 12 and 13

TEST(Figure12, NormalCloseAsSeenByTheOneWhoClosesFirst) {
    Script s;
    s.establish({.active = true});
    s.call_close();
    s.expect(FinAck().seq(1).ack(1));
    s.inject(Ack().seq(1).ack(2));
    s.expect_state(State::fin_wait_2);
    s.inject(FinAck().seq(1).ack(2));
    s.expect(Ack().seq(2).ack(2));
    s.expect_state(State::time_wait);
    EXPECT_EQ(s.drain(61_s), s.setup().time_wait);
}

TEST(Figure12, NormalCloseAsSeenByTheOther) {
    Script s;
    s.establish();
    s.inject(FinAck().seq(1).ack(1));
    s.expect(Ack().seq(1).ack(2));
    s.expect_state(State::close_wait);
    s.call_close();
    s.expect(FinAck().seq(1).ack(2));
    s.inject(Ack().seq(2).ack(2));
    s.expect_state(State::closed);
    s.expect_closed(CloseReason::finished);
}

TEST(Figure13, SimultaneousClosePassesThroughClosing) {
    Script s;
    s.establish();
    s.call_close();
    s.expect(FinAck().seq(1).ack(1));
    s.inject(FinAck().seq(1).ack(1));
    s.expect(Ack().seq(2).ack(2));
    s.expect_state(State::closing);
    s.inject(Ack().seq(2).ack(2));
    s.expect_state(State::time_wait);
    s.expect_nothing();
}

TEST(Figure13, TheFinIsRepeatedInClosingUntilItIsAcknowledged) {
    Script s;
    enter(s, State::closing);
    s.expect_between(200_ms, 3_s, FinAck().seq(1).ack(2));
    s.expect_between(400_ms, 6_s, FinAck().seq(1).ack(2));
    s.inject(Ack().seq(2).ack(2));
    s.expect_state(State::time_wait);
}

// ---- three segments and four

TEST(Teardown, AnswerInTheSameLoopMergesAckAndFinIntoOneSegment) {
    Script s;
    s.when_peer_closed = [&] { s.call_close(); };
    s.establish();
    s.inject(FinAck().seq(1).ack(1));
    s.expect(FinAck().seq(1).ack(2));
    s.expect_nothing();
    s.expect_state(State::last_ack);
    s.inject(Ack().seq(2).ack(2));
    s.expect_state(State::closed);
}

TEST(Teardown, AnswerInALaterLoopTakesFourSegments) {
    Script s;
    s.establish();
    s.inject(FinAck().seq(1).ack(1));
    s.expect(Ack().seq(1).ack(2));
    s.wait(5_ms);
    s.call_close();
    s.expect(FinAck().seq(1).ack(2));
    s.inject(Ack().seq(2).ack(2));
    s.expect_state(State::closed);
}

TEST(Teardown, AnswerWithDataAndFinIsOneSegment) {
    Script s;
    s.when_peer_closed = [&] {
        s.call_send("bye");
        s.call_close();
    };
    s.establish();
    s.inject(FinAck().seq(1).ack(1));
    s.expect(Data().fin().seq(1).ack(2).payload("bye"));
    s.inject(Ack().seq(2).ack(5));
    s.expect_state(State::closed);
}

// ---- data around the FIN

TEST(Close, DataQueuedIsSentBeforeTheFin) {
    Script s;
    s.establish({.window = 1000, .mss = 500});
    s.call_send_bytes(2000);
    s.expect(Data().seq(1).length(500));
    s.expect(Data().seq(501).length(500));
    s.call_close();
    s.expect_nothing();
    s.inject(Ack().seq(1).ack(1001));
    s.expect(Data().seq(1001).length(500));
    s.expect(Data().fin().seq(1501).length(500));
    s.expect_state(State::fin_wait_1);
    s.inject(Ack().seq(1).ack(2001));
    s.expect_state(State::fin_wait_1);
    s.inject(Ack().seq(1).ack(2002));
    s.expect_state(State::fin_wait_2);
}

TEST(Close, LastDataAndFinLeaveTogether) {
    Script s;
    s.establish();
    s.when_peer_closed = [] {};
    s.call_send("a");
    s.expect(Data().seq(1).payload("a"));
    s.call_send("b");
    s.expect_nothing();
    s.call_close();
    s.expect(Data().fin().seq(2).payload("b"));
}

TEST(Close, FinWithDataIsTakenAsBoth) {
    Script s;
    s.establish();
    s.inject(Data().fin().seq(1).ack(1).payload("last words"));
    s.expect_received("last words");
    s.expect(Ack().seq(1).ack(12));
    s.expect_state(State::close_wait);
}

TEST(Close, HalfClosedConnectionGoesOnReceiving) {
    Script s;
    enter(s, State::fin_wait_2);
    for (uint32_t i = 0; i < 10; ++i) s.inject(Data().seq(1 + 1000 * i).ack(2).length(1000));
    s.wait(1_s);
    s.ignore_sent();
    s.expect_received_bytes(10'000);
    s.inject(FinAck().seq(10'001).ack(2));
    s.expect(Ack().seq(2).ack(10'002));
    s.expect_state(State::time_wait);
}

TEST(Close, HalfClosedPeerIsStillSentTo) {
    Script s;
    enter(s, State::close_wait);
    s.call_send("more");
    s.expect(Data().seq(1).ack(2).payload("more"));
    s.inject(Ack().seq(2).ack(5));
    s.call_close();
    s.expect(FinAck().seq(5).ack(2));
}

TEST(Close, DataInFinWait1IsDelivered) {
    Script s;
    enter(s, State::fin_wait_1);
    s.inject(Data().seq(1).ack(1).payload("late"));
    s.expect_received("late");
    s.wait(100_ms);
    s.expect(Ack().seq(2).ack(5));
    s.expect_state(State::fin_wait_1);
}

TEST(Close, AckOfDataAndFinTogetherLeadsToTimeWait) {
    Script s;
    enter(s, State::fin_wait_1);
    s.inject(Data().fin().seq(1).ack(2).payload("late"));
    s.expect_received("late");
    s.expect(Ack().seq(2).ack(6));
    s.expect_state(State::time_wait);
}

TEST(Close, SendingAfterShutdownTakesNothing) {
    Script s;
    enter(s, State::fin_wait_2);
    EXPECT_EQ(s.call_send("more"), 0u);
    s.expect_nothing();
}

TEST(Close, ShutdownTwiceSendsOneFin) {
    Script s;
    s.establish();
    s.call_shutdown();
    s.expect(FinAck().seq(1));
    s.call_shutdown();
    s.expect_nothing();
}

TEST(Close, CloseAfterShutdownSendsNothingMore) {
    Script s;
    enter(s, State::fin_wait_2);
    s.call_close();
    s.expect_nothing();
    s.expect_state(State::fin_wait_2);
    s.inject(FinAck().seq(1).ack(2));
    s.expect(Ack().seq(2).ack(2));
    s.expect_closed(CloseReason::finished);
}

TEST(Close, ShutdownBeforeTheHandshakeEndsSendsTheFinAfterIt) {
    Script s;
    s.call_open();
    s.expect(Syn().seq(0));
    s.call_send("all");
    s.call_shutdown();
    s.expect_nothing();
    s.inject(SynAck().seq(0).ack(1));
    s.expect(Data().fin().seq(1).ack(1).payload("all"));
    s.expect_state(State::fin_wait_1);
}

TEST(Close, Shld3_UnreadDataAtCloseMakesItAReset) {
    Script s;
    s.establish();
    s.stop_reading();
    s.inject(Data().seq(1).ack(1).payload("unread"));
    EXPECT_EQ(s.unread(), 6u);
    s.call_close();
    s.expect_reset(1);
    s.expect_state(State::closed);
    s.expect_closed(CloseReason::aborted);
    EXPECT_EQ(s.counters().abort_on_close.load(), 1u);
}

TEST(Close, Shld3_UnreadDataInCloseWaitMakesItAReset) {
    Script s;
    s.establish();
    s.stop_reading();
    s.inject(Data().fin().seq(1).ack(1).payload("unread"));
    s.expect(Ack().seq(1).ack(8));
    s.call_close();
    s.expect_reset(1);
    s.expect_state(State::closed);
}

TEST(Close, Shld3_DataAfterCloseMakesItAReset) {
    for (bool acknowledged : {false, true}) {
        Script s;
        s.establish();
        s.call_close();
        s.expect(FinAck().seq(1));
        if (acknowledged) s.inject(Ack().seq(1).ack(2));
        s.inject(Data().seq(1).ack(acknowledged ? 2u : 1u).payload("late"));
        s.expect_reset(acknowledged ? 2 : 1);
        s.expect_state(State::closed);
        EXPECT_EQ(s.counters().abort_on_data.load(), 1u);
        s.expect_received("");
    }
}

TEST(Close, DataThatWasReceivedBeforeIsNotLateWhenItComesAgain) {
    Script s;
    s.establish();
    s.inject(Data().seq(1).ack(1).payload("early"));
    s.expect_received("early");
    s.call_close();
    s.expect(FinAck().seq(1).ack(6));
    s.inject(Data().seq(1).ack(1).payload("early"));
    s.expect(Ack().seq(2).ack(6));
    s.expect_state(State::fin_wait_1);
}

TEST(Close, ReadingAfterThePeersFinDeliversWhatWasUnread) {
    Script s;
    s.establish();
    s.stop_reading();
    s.inject(Data().fin().seq(1).ack(1).payload("unread"));
    s.expect(Ack().seq(1).ack(8));
    s.call_read(100);
    s.expect_received("unread");
    s.ignore_sent();
    s.call_close();
    s.expect(FinAck().seq(1).ack(8));
}

TEST(Close, RepeatedFinIsAcknowledgedAgainInCloseWait) {
    Script s;
    enter(s, State::close_wait);
    s.wait(1_s);
    s.inject(FinAck().seq(1).ack(1));
    s.expect(Ack().seq(1).ack(2));
    s.expect_state(State::close_wait);
    EXPECT_EQ(s.peer_closed_count(), 1u);
}

TEST(Close, RepeatedFinIsAcknowledgedAgainInClosingAndLastAck) {
    for (State state : {State::closing, State::last_ack}) {
        Script s;
        enter(s, state);
        s.wait(10_ms);
        s.inject(FinAck().seq(1).ack(1));
        s.expect(Ack().seq(2).ack(2));
        s.expect_state(state);
        s.ignore_sent();
    }
}

TEST(Close, DataBehindThePeersFinIsNeverDelivered) {
    Script s;
    enter(s, State::close_wait);
    s.inject(Data().seq(2).ack(1).payload("ghost"));
    s.ignore_sent();
    s.expect_received("");
    s.expect_state(State::close_wait);
}

// ---- abort

TEST(Abort, SendsAResetWhereThePeerKnowsOfUs) {
    for (State state : {State::syn_received, State::established, State::fin_wait_1,
                        State::fin_wait_2, State::close_wait}) {
        Script s;
        enter(s, state);
        s.call_abort();
        const bool fin_sent = state == State::fin_wait_1 || state == State::fin_wait_2;
        s.expect_reset(fin_sent ? 2 : 1);
        s.expect_nothing();
        s.expect_state(State::closed);
        s.expect_closed(CloseReason::aborted);
    }
}

TEST(Abort, SaysNothingInSynSent) {
    Script s;
    enter(s, State::syn_sent);
    s.call_abort();
    s.expect_nothing();
    s.expect_state(State::closed);
    s.expect_closed(CloseReason::aborted);
}

TEST(Abort, EndsClosingAndLastAckAtOnce) {
    for (State state : {State::closing, State::last_ack}) {
        Script s;
        enter(s, state);
        s.call_abort();
        s.ignore_sent();
        s.expect_state(State::closed);
    }
}

TEST(Abort, ThrowsQueuedDataAway) {
    Script s;
    s.establish({.window = 100});
    s.call_send_bytes(10'000);
    s.ignore_sent();
    s.call_abort();
    s.expect_reset(s.sent_end());
    EXPECT_EQ(s.buffer_nodes(), 0u);
}

TEST(Abort, ResetsAreCounted) {
    Script s;
    s.establish();
    s.call_abort();
    s.expect_reset(1);
    EXPECT_EQ(s.counters().out_rsts.load(), 1u);
}

// ---- what the user learns

TEST(Close, Must12_UserLearnsWhetherThePeerClosedOrReset) {
    Script closed;
    enter(closed, State::close_wait);
    EXPECT_EQ(closed.peer_closed_count(), 1u);
    EXPECT_EQ(closed.close_reason(), CloseReason::none);
    Script reset;
    enter(reset, State::established);
    reset.inject(Rst().seq(1));
    EXPECT_EQ(reset.peer_closed_count(), 0u);
    reset.expect_closed(CloseReason::reset);
}

TEST(Close, ResetEndsEachSynchronizedState) {
    for (State state : {State::established, State::fin_wait_1, State::fin_wait_2, State::close_wait,
                        State::closing, State::last_ack}) {
        Script s;
        enter(s, state);
        s.inject(Rst().seq(s.peer_next()));
        s.expect_nothing();
        s.expect_state(State::closed);
        EXPECT_NE(s.close_reason(), CloseReason::none) << tcp::name(state);
    }
}

TEST(Close, Shld2_ResetMayCarryData) {
    Script s;
    s.establish();
    s.inject(Rst().seq(1).payload("go away"));
    s.expect_state(State::closed);
    s.expect_received("");
}

TEST(Close, EveryStateThatWaitsForThePeerEndsWhenThePeerIsSilent) {
    for (State state : {State::fin_wait_1, State::closing, State::last_ack}) {
        Script s;
        enter(s, state);
        s.drain(1200_s);
        s.ignore_sent();
        EXPECT_NE(s.close_reason(), CloseReason::none) << tcp::name(state);
    }
}

}  // namespace
}  // namespace synfin::conformance
