// RFC 5961: RST, SYN and ACK from somebody who guesses, at each edge of the window.
#include <gtest/gtest.h>

#include "script.hpp"

namespace synfin::conformance {
namespace {

constexpr State synchronized[] = {State::established, State::fin_wait_1, State::fin_wait_2,
                                  State::close_wait,  State::closing,    State::last_ack};

/// The challenge: an ACK that says where both sides stand.
Packet challenge(const Script& s) { return Ack().seq(s.sent_end()).ack(s.peer_next()); }

// ---- RST

TEST(Rfc5961, Rst1_OutsideTheWindowIsSilentlyDropped) {
    for (State state : synchronized) {
        Script s;
        enter(s, state);
        const uint32_t left = s.peer_next();
        s.inject(Rst().seq(left - 1));
        s.inject(Rst().seq(s.announced_edge()));
        s.inject(Rst().seq(s.announced_edge() + 1));
        s.inject(Rst().seq(left + 0x8000'0000u));
        s.expect_nothing();
        s.expect_state(state);
        EXPECT_EQ(s.counters().drop_rst_out_of_window.load(), 4u);
    }
}

TEST(Rfc5961, Rst2_ExactlyAtTheLeftEdgeResets) {
    for (State state : synchronized) {
        for (bool with_ack : {false, true}) {
            Script s;
            enter(s, state);
            s.inject((with_ack ? RstAck() : Rst()).seq(s.peer_next()));
            s.expect_nothing();
            s.expect_state(State::closed);
        }
    }
}

TEST(Rfc5961, Rst3_InsideTheWindowGetsAChallengeAck) {
    for (State state : synchronized) {
        for (bool right_edge : {false, true}) {
            Script s;
            enter(s, state);
            s.inject(Rst().seq(right_edge ? s.announced_edge() - 1 : s.peer_next() + 1));
            s.expect(challenge(s));
            s.expect_state(state);
            EXPECT_EQ(s.counters().drop_rst_inexact.load(), 1u);
            EXPECT_EQ(s.counters().challenge_acks.load(), 1u);
            s.ignore_sent();
        }
    }
}

TEST(Rfc5961, Rst3_TheRealPeerAnswersTheChallengeWithAnExactReset) {
    Script s;
    s.establish();
    s.inject(Rst().seq(100));
    s.expect(Ack().seq(1).ack(1));
    s.inject(Rst().seq(1));
    s.expect_closed(CloseReason::reset);
}

// ---- SYN

TEST(Rfc5961, Syn1_AnySynGetsAChallengeAckWhereverItLies) {
    for (State state : synchronized) {
        for (uint32_t offset : {0xffff'ffffu, 0u, 1u, 1000u, 0x4000'0000u, 0x8000'0000u}) {
            for (bool with_ack : {false, true}) {
                Script s;
                enter(s, state);
                const uint32_t left = s.peer_next();
                const Packet expected = challenge(s);
                s.inject((with_ack ? SynAck().ack(1) : Syn()).seq(left + offset));
                s.expect(expected);
                s.expect_state(state);
                s.ignore_sent();
            }
        }
    }
}

// ---- ACK

TEST(Rfc5961, May12_Ack1_DataWithAnAcknowledgmentOfTheFutureIsNotTaken) {
    Script s;
    s.establish();
    s.inject(Data().seq(1).ack(2).payload("forged"));
    s.expect(Ack().seq(1).ack(1));
    s.expect_received("");
    EXPECT_EQ(s.counters().drop_bad_ack.load(), 1u);
}

TEST(Rfc5961, May12_Ack1_DataWithAnAcknowledgmentTooOldIsNotTaken) {
    Script s;
    s.establish({.window = 1000});
    s.inject(Data().seq(1).ack(1u - 1001u).payload("forged"));
    s.expect(Ack().seq(1).ack(1));
    s.expect_received("");
    EXPECT_EQ(s.counters().drop_bad_ack.load(), 1u);
}

TEST(Rfc5961, Ack1_BothEdgesOfTheRangeAreAccepted) {
    Script s;
    s.establish({.window = 1000});
    s.inject(Data().seq(1).ack(1u - 1000u).payload("a"));
    s.expect_received("a");
    s.call_send("x");
    s.expect(Data().seq(1).ack(2).payload("x"));
    s.inject(Data().seq(2).ack(2).payload("b"));
    s.expect_received("b");
    s.wait(1_s);
    s.expect(Ack().seq(2).ack(3));
}

TEST(Rfc5961, Ack1_HalfwayRoundTheCircleIsRefusedInEachState) {
    for (State state : synchronized) {
        Script s;
        enter(s, state);
        s.inject(Ack().seq(s.peer_next()).ack(s.sent_end() + 0x7fff'0000u));
        s.expect_state(state);
        EXPECT_EQ(s.counters().drop_bad_ack.load(), 1u) << tcp::name(state);
        s.ignore_sent();
    }
}

TEST(Rfc5961, SegmentWithoutAckIsDropped) {
    for (State state : synchronized) {
        Script s;
        enter(s, state);
        s.inject(Packet{wire::flag::none}.seq(s.peer_next()).payload("x"));
        s.inject(Packet{wire::flag::fin}.seq(s.peer_next()));
        s.expect_nothing();
        s.expect_state(state);
        s.expect_received("");
    }
}

// ---- data outside of the window

TEST(Acceptability, SegmentOutsideTheWindowGetsAnAck) {
    Script s;
    s.establish();
    s.inject(Data().seq(s.announced_edge()).ack(1).payload("x"));
    s.expect(Ack().seq(1).ack(1));
    s.wait(1_s);
    s.inject(Ack().seq(0).ack(1));
    s.expect(Ack().seq(1).ack(1));
    s.expect_received("");
    EXPECT_EQ(s.counters().drop_out_of_window.load(), 2u);
}

TEST(Acceptability, AcknowledgmentOfASegmentOutsideTheWindowCountsForNothing) {
    Script s;
    s.establish();
    s.call_send("x");
    s.expect(Data().seq(1).payload("x"));
    s.inject(Data().seq(s.announced_edge() + 100).ack(2).payload("y"));
    s.expect(Ack().seq(2).ack(1));
    EXPECT_EQ(tcp::unacknowledged_bytes(s.connection(), s.environment()), 1u);
    s.ignore_sent();
}

// ---- the limit

TEST(Rfc5961, Thr1_ChallengesAreLimitedPerConnection) {
    Script s;
    s.establish();
    s.inject(Rst().seq(100));
    s.expect(Ack().seq(1).ack(1));
    for (int i = 0; i < 100; ++i) {
        s.inject(Rst().seq(100));
        s.inject(Syn().seq(100));
    }
    s.expect_nothing();
    EXPECT_EQ(s.counters().challenge_acks_skipped.load(), 200u);
    s.wait(1_s);
    s.inject(Rst().seq(100));
    s.expect(Ack().seq(1).ack(1));
}

TEST(Rfc5961, Thr1_EmptySegmentsOutsideTheWindowShareTheLimit) {
    Script s;
    s.establish();
    for (int i = 0; i < 100; ++i) s.inject(Ack().seq(0).ack(1));
    EXPECT_EQ(s.take_sent().size(), 1u) << "or two stacks out of step storm each other";
}

TEST(Rfc5961, Thr1_OneConnectionsQuotaIsNotAnothers) {
    Script a;
    a.establish();
    Script b;
    b.establish();
    for (int i = 0; i < 100; ++i) a.inject(Rst().seq(100));
    a.ignore_sent();
    b.inject(Rst().seq(100));
    b.expect(Ack().seq(1).ack(1));
}

TEST(Rfc5961, LimitDoesNotHoldTheNormalAcknowledgmentBack) {
    Script s;
    s.establish();
    s.inject(Rst().seq(100));
    s.expect(Ack().seq(1).ack(1));
    s.inject(Data().seq(1).ack(1).length(1460));
    s.inject(Data().seq(1461).ack(1).length(1460));
    s.expect(Ack().seq(1).ack(2921));
    // And something sent again is always answered, or its sender would never stop.
    s.inject(Data().seq(1).ack(1).length(1460));
    s.expect(Ack().seq(1).ack(2921));
}

}  // namespace
}  // namespace synfin::conformance
