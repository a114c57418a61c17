// Opening a connection: the arrows of figure 5 that lead to ESTABLISHED, and figures 6 to 11 of
// RFC 9293.
#include <gtest/gtest.h>

#include "script.hpp"

namespace synfin::conformance {
namespace {

// ---- figure 5

TEST(Transition, ClosedToListenByPassiveOpen) {
    Script s;
    s.listen();
    s.expect_state(State::listen);
    s.expect_nothing();
}

TEST(Transition, ListenToClosedByClose) {
    Script s;
    s.listen();
    s.close_listener();
    s.inject(Syn().seq(0));
    s.expect(RstAck().ack(1));
    s.expect_state(State::closed);
}

TEST(Transition, ClosedToSynSentByActiveOpen) {
    Script s;
    s.call_open();
    s.expect_state(State::syn_sent);
    s.expect(Syn().seq(0));
}

TEST(Transition, ListenToSynReceivedBySyn) {
    Script s;
    s.listen();
    s.inject(Syn().seq(0));
    s.expect_state(State::syn_received);
    s.expect(SynAck().seq(0).ack(1));
}

TEST(Transition, SynSentToSynReceivedBySyn) {
    Script s;
    enter(s, State::syn_sent);
    s.inject(Syn().seq(0));
    s.expect_state(State::syn_received);
    s.expect(SynAck().seq(0).ack(1));
}

TEST(Transition, SynSentToEstablishedBySynAck) {
    Script s;
    enter(s, State::syn_sent);
    s.inject(SynAck().seq(0).ack(1));
    s.expect_state(State::established);
    s.expect(Ack().seq(1).ack(1));
    EXPECT_EQ(s.established_count(), 1u);
}

TEST(Transition, SynSentToClosedByClose) {
    Script s;
    enter(s, State::syn_sent);
    s.call_close();
    s.expect_nothing();
    s.expect_state(State::closed);
    // A late SYN,ACK finds no connection.
    s.inject(SynAck().seq(0).ack(1));
    s.expect(Rst().seq(1));
}

TEST(Transition, SynReceivedToEstablishedByAck) {
    Script s;
    enter(s, State::syn_received);
    s.inject(Ack().seq(1).ack(1));
    s.expect_state(State::established);
    s.expect_nothing();
    EXPECT_EQ(s.established_count(), 1u);
}

TEST(Transition, SynReceivedToFinWait1ByClose) {
    Script s;
    enter(s, State::syn_sent);
    s.inject(Syn().seq(0));
    s.expect(SynAck().seq(0).ack(1));
    s.call_close();
    s.expect(FinAck().seq(1).ack(1));
    s.expect_state(State::fin_wait_1);
    s.inject(Ack().seq(1).ack(2));
    s.expect_state(State::fin_wait_2);
}

// What RFC 5961 lets an old acknowledgment be begins behind our SYN.
TEST(Transition, SynClosedEarlyIsAcknowledgedByNothingOlder) {
    for (const uint32_t old : {0u, 0u - 1u, 0u - 500u}) {
        Script s;
        enter(s, State::syn_sent);
        s.inject(Syn().seq(0));
        s.expect(SynAck().seq(0).ack(1));
        s.call_close();
        s.expect(FinAck().seq(1).ack(1));
        s.inject(Ack().seq(1).ack(old));
        EXPECT_EQ(s.established_count(), 0u) << old;
        EXPECT_EQ(s.counters().drop_bad_ack.load(), 1u) << old;
        s.ignore_sent();
        s.inject(Ack().seq(1).ack(2));
        s.expect_state(State::fin_wait_2);
        EXPECT_EQ(s.established_count(), 1u) << old;
    }
}

TEST(Transition, SynReceivedToCloseWaitByFin) {
    Script s;
    enter(s, State::syn_received);
    s.inject(FinAck().seq(1).ack(1));
    s.expect_state(State::close_wait);
    s.expect(Ack().seq(1).ack(2));
    EXPECT_EQ(s.established_count(), 1u);
    EXPECT_EQ(s.peer_closed_count(), 1u);
}

TEST(Transition, Must11_SynReceivedToListenByReset) {
    Script s;
    enter(s, State::syn_received);
    s.inject(Rst().seq(1));
    s.expect_nothing();
    s.expect_state(State::listen);
    EXPECT_EQ(s.established_count(), 0u);
}

TEST(Transition, Must11_SynReceivedOfActiveOpenToClosedByReset) {
    Script s;
    enter(s, State::syn_sent);
    s.inject(Syn().seq(0));
    s.expect(SynAck().seq(0).ack(1));
    s.inject(Rst().seq(1));
    s.expect_nothing();
    s.expect_state(State::closed);
    s.expect_closed(CloseReason::refused);
}

TEST(Transition, SynSentToClosedByReset) {
    Script s;
    enter(s, State::syn_sent);
    s.inject(RstAck().seq(0).ack(1));
    s.expect_nothing();
    s.expect_state(State::closed);
    s.expect_closed(CloseReason::refused);
    EXPECT_EQ(s.counters().attempt_fails.load(), 1u);
}

// ---- figure 6: basic three-way handshake

TEST(Figure6, BasicHandshakeAsSeenByTheClient) {
    Script s;
    s.call_open();
    s.expect(Syn().seq(0).mss(1460));
    s.inject(SynAck().seq(0).ack(1));
    s.expect(Ack().seq(1).ack(1).no_mss());
    s.expect_state(State::established);
    s.call_send("data");
    s.expect(Data().seq(1).ack(1).payload("data"));
}

TEST(Figure6, BasicHandshakeAsSeenByTheServer) {
    Script s;
    s.listen();
    s.inject(Syn().seq(0).mss(1460));
    s.expect(SynAck().seq(0).ack(1).mss(1460));
    s.inject(Ack().seq(1).ack(1));
    s.expect_state(State::established);
    s.inject(Data().seq(1).ack(1).payload("data"));
    s.expect_received("data");
    s.expect_after(s.setup().profile.delayed_ack, Ack().seq(1).ack(5));
}

// ---- figure 7: simultaneous open

/// Both ends have sent a SYN, the peer this one, and we have answered it.
void cross_syns(Script& s, const Packet& theirs = Syn().seq(0)) {
    s.call_open();
    s.expect(Syn().seq(0));
    s.inject(theirs);
    s.expect(SynAck().seq(0).ack(1));
}

TEST(Figure7, Must10_SimultaneousOpenEndsEstablished) {
    Script s;
    cross_syns(s);
    s.expect_state(State::syn_received);
    s.inject(SynAck().seq(0).ack(1));
    s.expect_state(State::established);
    EXPECT_EQ(s.established_count(), 1u);
    for (const auto& sent : s.take_sent())
        EXPECT_FALSE(difference(Ack().seq(1).ack(1), sent) != "") << to_text(sent);
    s.call_send("x");
    s.expect(Data().seq(1).ack(1).payload("x"));
    s.inject(Data().seq(1).ack(2).payload("y"));
    s.expect_received("y");
    s.wait(1_s);
    s.ignore_sent();
}

TEST(Figure7, SimultaneousOpenIsCompletedByAPlainAckToo) {
    Script s;
    cross_syns(s);
    s.inject(Ack().seq(1).ack(1));
    s.expect_state(State::established);
    s.expect_nothing();
}

TEST(Figure7, TextOfACrossingSynWaitsForTheEndOfTheHandshake) {
    Script s;
    cross_syns(s, Syn().seq(0).payload("abc"));
    s.expect_received("");
    s.inject(Ack().seq(4).ack(1));
    s.expect_state(State::established);
    s.expect_received("abc");
    s.expect_after(s.setup().profile.delayed_ack, Ack().seq(1).ack(4));
}

TEST(Figure7, TextOfACrossingSynIsTakenOnceWhenItComesAgain) {
    Script s;
    cross_syns(s, Syn().seq(0).payload("abc"));
    s.inject(Data().seq(1).ack(1).payload("abcdef"));
    s.expect_received("abcdef");
    s.wait(1_s);
    s.expect(Ack().seq(1).ack(7));
}

TEST(Figure7, TextOfACrossingSynIsRefusedWhenTheUserHasClosedMeanwhile) {
    Script s;
    cross_syns(s, Syn().seq(0).payload("abc"));
    s.call_close();
    s.expect(FinAck().seq(1).ack(1));
    s.inject(Ack().seq(4).ack(2));
    s.expect_reset(2);
    s.expect_closed(CloseReason::aborted);
}

TEST(Figure7, FinOfACrossingSynIsNotBelieved) {
    Script s;
    cross_syns(s, Syn().seq(0).fin());
    s.inject(Ack().seq(1).ack(1));
    s.expect_state(State::established);
    s.inject(FinAck().seq(1).ack(1));
    s.expect(Ack().seq(1).ack(2));
    s.expect_state(State::close_wait);
}

TEST(Figure7, SynThatComesAgainIsUnacceptableAndGetsAnAck) {
    Script s;
    cross_syns(s);
    s.inject(Syn().seq(0));
    s.expect(Ack().seq(1).ack(1));
    s.expect_state(State::syn_received);
}

TEST(Figure7, TheSynAckOfASimultaneousOpenIsRepeatedWhenLost) {
    Script s;
    cross_syns(s);
    s.expect_between(900_ms, 3_s, SynAck().seq(0).ack(1));
}

// ---- figure 8: an old duplicate SYN

TEST(Figure8, OldDuplicateSynIsUndoneByTheReset) {
    constexpr uint32_t old = static_cast<uint32_t>(-10);
    Script s;
    s.listen();
    s.inject(Syn().seq(old));
    s.expect(SynAck().seq(0).ack(old + 1));
    s.inject(Rst().seq(old + 1));
    s.expect_state(State::listen);
    s.expect_nothing();
    s.inject(Syn().seq(0));
    s.expect(SynAck().seq(0).ack(1));
    s.inject(Ack().seq(1).ack(1));
    s.expect_state(State::established);
}

TEST(Figure8, SynAckForAnOldSynIsResetAndTheOpenGoesOn) {
    Script s;
    enter(s, State::syn_sent);
    s.inject(SynAck().seq(0).ack(static_cast<uint32_t>(-9)));
    s.expect(Rst().seq(static_cast<uint32_t>(-9)));
    s.expect_state(State::syn_sent);
    s.inject(SynAck().seq(0).ack(1));
    s.expect_state(State::established);
    s.expect(Ack().seq(1).ack(1));
}

TEST(Figure8, SynIsRepeatedAfterAWrongSynAck) {
    Script s;
    enter(s, State::syn_sent);
    s.inject(SynAck().seq(0).ack(2));
    s.expect(Rst().seq(2));
    s.expect_after(1_s, Syn().seq(0));
}

// ---- figures 9 to 11: half-open connections

TEST(Figure9, SynOnAnEstablishedConnectionIsAnsweredByAnAckAndTheResetEndsIt) {
    for (uint32_t seq : {0u, 1u, 400u, 1'000'000u}) {
        Script s;
        s.establish();
        s.inject(Syn().seq(seq));
        s.expect(Ack().seq(1).ack(1));
        s.expect_state(State::established);
        s.inject(Rst().seq(1));
        s.expect_state(State::closed);
        s.expect_closed(CloseReason::reset);
        s.expect_nothing();
    }
}

TEST(Figure9, AckOfAForgottenConnectionIsResetInSynSent) {
    Script s;
    enter(s, State::syn_sent);
    s.inject(Ack().seq(300).ack(100));
    s.expect(Rst().seq(100));
    s.expect_state(State::syn_sent);
    s.expect_after(1_s, Syn().seq(0));
    s.inject(SynAck().seq(0).ack(1));
    s.expect(Ack().seq(1).ack(1));
    s.expect_state(State::established);
}

TEST(Figure10, DataForAForgottenConnectionIsReset) {
    Script s;
    s.inject(Data().seq(300).ack(100).payload("hello"));
    s.expect(Rst().seq(100));
}

TEST(Figure10, TheResetEndsTheActiveSide) {
    Script s;
    s.establish();
    s.call_send("hello");
    s.expect(Data().seq(1).ack(1).payload("hello"));
    s.inject(Rst().seq(1));
    s.expect_state(State::closed);
    s.expect_closed(CloseReason::reset);
    EXPECT_EQ(s.counters().estab_resets.load(), 1u);
}

TEST(Figure11, OldSynAtAListenerIsResetByTheOtherAndLeavesTheListenerAsItWas) {
    Script s;
    s.listen();
    s.inject(Syn().seq(0));
    s.expect(SynAck().seq(0).ack(1));
    s.inject(Rst().seq(1));
    s.expect_state(State::listen);
}

TEST(Figure11, SynAckAtAListenerIsReset) {
    Script s;
    s.listen();
    s.inject(SynAck().seq(0).ack(1));
    s.expect(Rst().seq(1));
    s.expect_state(State::listen);
}

// ---- LISTEN and CLOSED

TEST(Listen, AckIsResetWithItsOwnNumber) {
    Script s;
    s.listen();
    s.inject(Ack().seq(5).ack(7));
    s.expect(Rst().seq(7));
    s.inject(FinAck().seq(5).ack(8));
    s.expect(Rst().seq(8));
}

TEST(Listen, ResetIsIgnored) {
    Script s;
    s.listen();
    s.inject(Rst().seq(0));
    s.inject(RstAck().seq(0).ack(1));
    s.expect_nothing();
}

TEST(Listen, SegmentWithoutSynAckOrRstIsIgnored) {
    Script s;
    s.listen();
    s.inject(Packet{wire::flag::none}.seq(0));
    s.inject(Packet{wire::flag::fin}.seq(0));
    s.inject(Packet{wire::flag::none}.seq(0).payload("data"));
    s.expect_nothing();
    s.expect_state(State::listen);
}

TEST(Listen, DataOnTheSynIsNotAcknowledgedBeforeTheHandshakeEnds) {
    Script s;
    s.listen();
    s.inject(Syn().seq(0).payload("early"));
    s.expect(SynAck().seq(0).ack(1));
    s.expect_received("");
    s.inject(Data().seq(1).ack(1).payload("early"));
    s.expect_received("early");
    s.wait(1_s);
    s.expect(Ack().seq(1).ack(6));
}

TEST(Closed, SynGetsResetWithSequenceZero) {
    Script s;
    s.inject(Syn().seq(100));
    s.expect(RstAck().seq(0).ack(101));
    s.inject(Syn().seq(100).payload("12345"));
    s.expect(RstAck().seq(0).ack(106));
    s.inject(Syn().fin().seq(100));
    s.expect(RstAck().seq(0).ack(102));
    s.inject(Packet{wire::flag::none}.seq(100).payload("1"));
    s.expect(RstAck().seq(0).ack(101));
}

TEST(Closed, ResetIsNeverAnswered) {
    Script s;
    s.inject(Rst().seq(0));
    s.inject(RstAck().seq(0).ack(1));
    s.inject(Packet{wire::flag::syn | wire::flag::rst}.seq(0));
    s.expect_nothing();
}

// ---- SYN_SENT

TEST(SynSent, ResetWithoutAckIsIgnored) {
    Script s;
    enter(s, State::syn_sent);
    s.inject(Rst().seq(0));
    s.expect_nothing();
    s.expect_state(State::syn_sent);
}

TEST(SynSent, ResetWithAWrongAckIsIgnored) {
    for (uint32_t ack : {0u, 2u, 0x8000'0000u}) {
        Script s;
        enter(s, State::syn_sent);
        s.inject(RstAck().seq(0).ack(ack));
        s.expect_nothing();
        s.expect_state(State::syn_sent);
        EXPECT_EQ(s.counters().drop_rst_bad_ack.load(), 1u);
    }
}

TEST(SynSent, FinIsIgnored) {
    Script s;
    enter(s, State::syn_sent);
    s.inject(Packet{wire::flag::fin}.seq(0));
    s.inject(FinAck().seq(0).ack(1));
    s.expect_nothing();
    s.expect_state(State::syn_sent);
}

TEST(SynSent, DataQueuedBeforeTheHandshakeLeavesWithTheThirdAck) {
    Script s;
    s.call_open();
    s.expect(Syn().seq(0));
    EXPECT_EQ(s.call_send("request"), 7u);
    s.expect_nothing();
    s.inject(SynAck().seq(0).ack(1));
    s.expect(Data().seq(1).ack(1).payload("request"));
}

TEST(SynSent, DataSentOnEstablishmentMergesWithTheThirdAck) {
    Script s;
    s.when_established = [&] { s.call_send("GET"); };
    s.call_open();
    s.expect(Syn().seq(0));
    s.inject(SynAck().seq(0).ack(1));
    s.expect(Data().seq(1).ack(1).payload("GET"));
    s.expect_nothing();
}

TEST(SynSent, CloseAfterDataWasQueuedStillEndsAtOnce) {
    Script s;
    s.call_open();
    s.expect(Syn().seq(0));
    s.call_send("request");
    s.call_close();
    s.expect_state(State::closed);
    s.expect_nothing();
}

TEST(SynSent, DataOnTheSynAckIsDelivered) {
    Script s;
    enter(s, State::syn_sent);
    s.inject(SynAck().seq(0).ack(1).payload("banner"));
    s.expect_state(State::established);
    // It may be taken at once or left to a retransmission; what is acknowledged must be delivered.
    const auto sent = s.take_sent();
    ASSERT_FALSE(sent.empty());
    s.expect_received(sent.back().ack == 7 ? "banner" : "");
}

// ---- SYN_RECEIVED

TEST(SynReceived, AckOfTheWrongNumberIsReset) {
    for (uint32_t ack : {0u, 2u}) {
        Script s;
        enter(s, State::syn_received);
        s.inject(Ack().seq(1).ack(ack));
        s.expect(Rst().seq(ack));
        s.expect_state(State::syn_received);
        s.inject(Ack().seq(1).ack(1));
        s.expect_state(State::established);
    }
}

TEST(SynReceived, InWindowResetThatIsNotExactGetsAChallengeAck) {
    Script s;
    enter(s, State::syn_received);
    s.inject(Rst().seq(2));
    s.expect(Ack().seq(1).ack(1));
    s.expect_state(State::syn_received);
}

TEST(SynReceived, DataWithTheThirdAckIsDelivered) {
    Script s;
    enter(s, State::syn_received);
    s.inject(Data().seq(1).ack(1).payload("request"));
    s.expect_state(State::established);
    s.expect_received("request");
    EXPECT_EQ(s.established_count(), 1u);
    s.wait(1_s);
    s.expect(Ack().seq(1).ack(8));
}

TEST(SynReceived, DataAndFinWithTheThirdAckAreTaken) {
    Script s;
    enter(s, State::syn_received);
    s.inject(Data().fin().seq(1).ack(1).payload("request"));
    s.expect_state(State::close_wait);
    s.expect_received("request");
    s.expect(Ack().seq(1).ack(9));
    EXPECT_EQ(s.peer_closed_count(), 1u);
}

TEST(SynReceived, RepeatedSynIsAnswered) {
    Script s;
    enter(s, State::syn_received);
    s.wait(100_ms);
    s.inject(Syn().seq(0).mss(1460));
    const auto sent = s.take_sent();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_TRUE(difference(SynAck().seq(0).ack(1), sent[0]).empty() ||
                difference(Ack().seq(1).ack(1), sent[0]).empty())
        << to_text(sent[0]);
    s.expect_state(State::syn_received);
}

TEST(SynReceived, DataBehindALostAckEstablishesToo) {
    Script s;
    enter(s, State::syn_received);
    s.inject(Data().seq(101).ack(1).length(100));
    s.expect_state(State::established);
    s.expect(Ack().seq(1).ack(1));
    s.inject(Data().seq(1).ack(1).length(100));
    s.expect(Ack().seq(1).ack(201));
    s.expect_received_bytes(200);
}

TEST(SynReceived, TheServersFirstWordMayLeaveOnEstablishment) {
    Script s;
    s.when_established = [&] { s.call_send("220 ready"); };
    enter(s, State::syn_received);
    s.inject(Ack().seq(1).ack(1));
    s.expect(Data().seq(1).ack(1).payload("220 ready"));
}

TEST(Counters, OpeningsAreCountedByTheirSide) {
    Script active;
    active.establish({.active = true});
    EXPECT_EQ(active.counters().active_opens.load(), 1u);
    EXPECT_EQ(active.counters().passive_opens.load(), 0u);
    EXPECT_EQ(active.counters().curr_estab.load(), 1u);
    Script passive;
    passive.establish();
    EXPECT_EQ(passive.counters().active_opens.load(), 0u);
    EXPECT_EQ(passive.counters().passive_opens.load(), 1u);
    EXPECT_EQ(passive.counters().curr_estab.load(), 1u);
}

}  // namespace
}  // namespace synfin::conformance
