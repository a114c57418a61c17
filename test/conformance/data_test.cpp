// What RFC 9293 requires of the data transfer and is no single module's business: options in any
// segment, PUSH, segment sizes, windows that stay closed or shrink.
#include <type_traits>

#include <gtest/gtest.h>

#include "../unit/tcp/scenes.hpp"

namespace synfin::conformance {
namespace {

// Segments with every option that may not stand there, in each of the states in which data comes.
TEST(Options, Must5_AnyOptionInAnySegmentIsRead) {
    for (const State state : {State::established, State::fin_wait_1, State::fin_wait_2}) {
        Script s;
        enter(s, state);
        const uint32_t acknowledged = s.sent_end();
        s.inject(Ack()
                     .seq(1)
                     .ack(acknowledged)
                     .mss(100)
                     .window_scale(3)
                     .sack_permitted()
                     .payload("abc"));
        s.expect_received("abc");
        s.inject(FinAck().seq(4).ack(acknowledged).timestamps(1, 1).mss(1));
        s.expect(Ack().ack(5).no_timestamps());
        s.ignore_sent();
    }
}

TEST(Options, Must5_MssBehindTheHandshakeChangesNothing) {
    Script s;
    s.establish({.mss = 1000});
    s.inject(Ack().seq(1).ack(1).mss(100));
    s.call_send_bytes(1000);
    s.expect(Data().seq(1).length(1000));
}

TEST(Push, Must60_NoByteWaitsForAPush) {
    Script s;
    s.establish({.mss = 1000});
    s.call_send_bytes(1);
    s.expect(Data().seq(1).length(1).psh());
    s.inject(Ack().ack(2));
    // More than a segment: the rest leaves as soon as the first part has been acknowledged.
    s.call_send_bytes(1500);
    s.expect(Data().seq(2).length(1000).no_psh());
    s.wait(10_ms);
    s.inject(Ack().ack(1002));
    s.expect(Data().seq(1002).length(500).psh());
}

TEST(Push, BurstThatTheCongestionWindowCutsOffEndsWithAPush) {
    Script s;
    s.establish({.mss = 1000});
    s.call_send_bytes(20'000);
    for (uint32_t i = 0; i < 9; ++i) s.expect(Data().seq(1 + 1000 * i).length(1000).no_psh());
    s.expect(Data().seq(9001).length(1000).psh());
    s.wait(10_ms);
    s.inject(Ack().ack(1001));
    s.expect(Data().seq(10'001).length(1000).no_psh());
    s.expect(Data().seq(11'001).length(1000).psh());
}

TEST(Push, SingleSegmentThatTheCongestionWindowLetsGoIsNoBurst) {
    Script s;
    s.establish({.mss = 1000});
    s.call_send_bytes(20'000);
    s.ignore_sent();
    s.wait(10_ms);
    s.inject(Ack().ack(1));  // limited transmit
    s.expect(Data().seq(10'001).length(1000).no_psh());
}

TEST(Push, BurstThatAWindowCutsOffWhichWasMuchLargerEndsWithAPush) {
    Script s;
    s.establish({.mss = 1000});
    s.peer_window(3000);
    s.inject(Ack().ack(1));
    s.call_send_bytes(5000);
    s.expect(Data().seq(1).length(1000).no_psh());
    s.expect(Data().seq(1001).length(1000).no_psh());
    s.expect(Data().seq(2001).length(1000).psh());
}

TEST(Push, BurstThatFillsTheLargestWindowIsNotPushed) {
    Script s;
    s.establish({.window = 3000, .mss = 1000});
    s.call_send_bytes(5000);
    for (uint32_t i = 0; i < 3; ++i) s.expect(Data().seq(1 + 1000 * i).length(1000).no_psh());
}

TEST(Push, WhatTheUserHasSaidThatMoreFollowsIsNotPushed) {
    Script s;
    s.establish({.mss = 1000});
    s.call_send_more(1500);
    s.expect(Data().seq(1).length(1000).no_psh());
    s.wait(10_ms);
    s.inject(Ack().ack(1001));
    s.expect(Data().seq(1001).length(500).no_psh());
}

TEST(Push, WhatThePersistTimerSendsThoughMoreWasToFollowIsPushed) {
    Script s;
    s.establish({.mss = 1000});
    s.call_send_more(500);
    s.expect_between(200_ms, 1_s, Data().seq(1).length(500).psh());
}

TEST(Push, SegmentThatFillsMoreThanHalfOfThePeersWindowIsPushed) {
    Script s;
    s.establish({.window = 1500, .mss = 1000});
    s.call_send_bytes(3000);
    s.expect(Data().seq(1).length(1000).psh());
}

TEST(Push, May17_ReceivedPushMakesNoDifference) {
    Script s;
    s.establish();
    s.inject(Data().seq(1).ack(1).payload("ab"));
    s.expect_received("ab");
    s.inject(Data().seq(3).ack(1).payload("cd").psh());
    s.expect_received("cd");
    s.wait(1_s);
    s.ignore_sent();
}

TEST(Push, May16_SmallSendsAreAggregatedWhileAnAcknowledgmentIsAwaited) {
    Script s;
    s.establish({.mss = 1000});
    s.call_send("a");
    s.expect(Data().seq(1).length(1));
    for (const char* text : {"b", "c", "d"}) s.call_send(text);
    s.expect_nothing();
    s.inject(Ack().ack(2));
    s.expect(Data().seq(2).payload("bcd"));
}

TEST(SegmentSize, Shld28_EachSegmentIsAsLargeAsThePeerTakes) {
    for (const bool timestamps : {false, true}) {
        Script s;
        s.establish({.mss = 1000, .timestamps = timestamps});
        const uint32_t full = timestamps ? 988 : 1000;
        s.call_send_bytes(5 * full);
        for (uint32_t i = 0; i < 5; ++i) s.expect(Data().seq(1 + i * full).length(full));
    }
}

TEST(Window, Rec1_WindowsAreComputedInThirtyTwoBits) {
    static_assert(std::is_same_v<decltype(tcp::Connection::snd_wnd), uint32_t>);
    Script s{{.profile = {.send_buffer_bytes = 1u << 20, .initial_window_segments = 200}}};
    s.establish({.window = 0xffff, .mss = 1460, .window_scale = 14});
    s.inject(Ack().ack(1).window(0x8000));  // half a gigabyte
    EXPECT_EQ(s.connection().snd_wnd, 0x8000u << 14);
    s.call_send_bytes(146'000);
    EXPECT_EQ(s.sent_end(), 146'001u);
    s.ignore_sent();
}

TEST(ShrinkingWindow, Must35_WindowThatShrinksToZeroOverDataInFlightIsProbed) {
    Script s;
    s.establish({.window = 5000, .mss = 1000});
    s.call_send_bytes(3000);
    s.ignore_sent();
    s.inject(Ack().ack(1).window(0));
    for (int probe = 0; probe < 4; ++probe) {
        s.expect_between(Duration{}, 30_s, Data().seq(1).length(1));
        s.inject(Ack().ack(1).window(0));
    }
    s.expect_open();
}

// The congestion window has room for more, so that it is the edge alone that decides.
TEST(ShrinkingWindow, May7_NothingBeyondTheShrunkEdgeIsRepeated) {
    Script s;
    s.establish({.window = 10'000, .mss = 1000});
    s.call_send_bytes(10'000);
    s.ignore_sent();
    s.expect_between(Duration{}, 10_s, Data().seq(1).length(1000));
    s.inject(Ack().ack(1001).window(1500));
    s.expect(Data().seq(1001).length(1000));
    s.expect(Data().seq(2001).length(500));
    s.inject(Ack().ack(2001).window(500));
    s.expect_nothing();
}

TEST(ReceiveWindow, Shld14_RightEdgeStaysWhereItWasWhileNobodyReads) {
    Script s{{.profile = {.receive_buffer_bytes = 4000}}};
    s.establish({.mss = 1000});
    const uint32_t edge = 4001;
    s.stop_reading();
    for (uint32_t i = 0; i < 4; ++i) {
        s.inject(Data().seq(1 + i * 1000).ack(1).length(1000));
        s.wait(1_s);
        for (const Sent& sent : s.take_sent()) EXPECT_EQ(sent.ack + sent.window, edge);
    }
}

TEST(ReceiveWindow, May8_StaysClosedForAsLongAsNobodyReads) {
    FullBuffer s{1};
    s.ignore_sent();
    for (int minute = 0; minute < 600; ++minute) {
        s.wait(60_s);
        s.inject(Data().seq(1001).ack(1).length(1));
        s.expect(Ack().ack(1001).window(0));
    }
    s.expect_open();
    s.resume_reading();
    s.expect(Ack().ack(1001).window(1000));
}

// Both windows are closed, and the peer's over what we had sent: what we then say has to begin
// where the peer accepts it, or it would never learn that our window has opened.
TEST(ZeroWindow, AcknowledgmentIsAcceptableToAPeerWhoseWindowHasShrunk) {
    Script s{{.profile = {.receive_buffer_bytes = 2000}}};
    s.establish({.window = 1, .mss = 1000});
    s.stop_reading();
    s.call_send("x");
    s.expect(Data().seq(1).length(1));
    s.inject(Ack().seq(1).ack(1).window(0));
    s.inject(Data().seq(1).ack(1).window(0).length(1000));
    s.inject(Data().seq(1001).ack(1).window(0).length(1000));
    for (const Sent& sent : s.take_sent()) EXPECT_EQ(sent.seq, 1u);
    s.resume_reading();
    s.expect(Ack().seq(1).ack(2001).window(2000));
}

TEST(ZeroWindow, ResetIsAcceptableToAPeerWhoseWindowHasShrunk) {
    Script s;
    s.establish({.window = 1, .mss = 1000});
    s.call_send("x");
    s.expect(Data().seq(1).length(1));
    s.inject(Ack().seq(1).ack(1).window(0));
    s.call_abort();
    s.expect_reset(1);
}

TEST(ShrinkingWindow, AcknowledgmentBeginsInsideTheShrunkWindow) {
    Script s;
    s.establish({.window = 3000, .mss = 1000});
    s.call_send_bytes(3000);
    s.ignore_sent();
    s.inject(Ack().ack(1).window(1500));
    s.inject(Data().seq(5).ack(1).window(1500).length(1));
    s.expect(Ack().seq(1501).ack(1));
}

// An edge that seems to have gone back by less than one unit of the scale is only rounded.
TEST(ShrinkingWindow, RoundingOfAScaledWindowIsNoShrinking) {
    Script s{{.profile = {.nagle = false}}};
    s.establish({.window = 100, .mss = 1000, .window_scale = 4});
    s.inject(Ack().ack(1).window(100));
    s.call_send_bytes(1600);
    s.ignore_sent();
    s.inject(Ack().ack(9).window(99));
    s.inject(Data().seq(5).ack(9).window(99).length(1));
    s.expect(Ack().seq(1601).ack(1));
}

TEST(ShrinkingWindow, FinNeedsNoWindow) {
    Script s;
    s.establish({.window = 0, .mss = 1000});
    s.call_shutdown();
    s.expect(FinAck().seq(1).ack(1));
    s.inject(Data().seq(5).ack(1).window(0).length(1));
    s.expect(Ack().seq(2).ack(1));
}

TEST(ReceiveWindow, ClosedWindowAcceptsNothingButItsEdge) {
    Script s{{.profile = {.receive_buffer_bytes = 1000}}};
    s.establish({.mss = 1000});
    s.stop_reading();
    s.inject(Data().seq(1).ack(1).length(1000));
    s.call_send("x");
    s.expect(Data().seq(1).window(0));
    for (const uint32_t seq : {1000u, 1002u}) {
        s.inject(FinAck().seq(seq).ack(2));
        s.expect(Ack().ack(1001).window(0));
        EXPECT_EQ(tcp::unacknowledged_bytes(s.connection(), s.environment()), 1u);
    }
    s.inject(Ack().seq(1001).ack(2));
    EXPECT_EQ(tcp::unacknowledged_bytes(s.connection(), s.environment()), 0u);
    s.expect_state(State::established);
}

TEST(Window, OfASegmentThatWasOvertakenIsNotTaken) {
    Script s;
    s.establish({.window = 9000, .mss = 1000});
    s.inject(Data().seq(101).ack(1).window(500).length(100));
    s.inject(Data().seq(1).ack(1).window(9000).length(100));
    EXPECT_EQ(s.connection().snd_wnd, 500u);
    s.ignore_sent();
}

}  // namespace
}  // namespace synfin::conformance
