// Flow control: Nagle, silly windows on both sides, closed and shrinking windows, probes.
#include <algorithm>

#include <gtest/gtest.h>

#include "scenes.hpp"

namespace synfin::conformance {
namespace {

constexpr Script::Handshake hundred_ms{.active = true, .round_trip = Duration::milliseconds(100)};

/// Whether the payloads of `all` cover the relative sequence numbers [from, to).
bool covers(const std::vector<Sent>& all, uint32_t from, uint32_t to) {
    std::vector<bool> seen(to - from);
    for (const auto& sent : all)
        for (uint32_t i = 0; i < sent.payload.size(); ++i)
            if (sent.seq + i >= from && sent.seq + i < to) seen[sent.seq + i - from] = true;
    return std::find(seen.begin(), seen.end(), false) == seen.end();
}

// ---- Nagle

TEST(Nagle, Shld7_SmallSegmentWaitsForTheAcknowledgmentOfTheOneBefore) {
    Established s{hundred_ms};
    s.call_send("a");
    s.expect(Data().seq(1).payload("a"));
    s.call_send("b");
    s.call_send("c");
    s.expect_nothing();
    s.inject(Ack().seq(1).ack(2));
    s.expect(Data().seq(2).payload("bc"));
}

TEST(Nagle, FullSegmentsDoNotWait) {
    Established s{hundred_ms};
    s.call_send("a");
    s.expect(Data().seq(1).payload("a"));
    s.call_send_bytes(1460 + 10);
    s.expect(Data().seq(2).length(1460));
    s.expect_nothing();
    s.inject(Ack().seq(1).ack(1462));
    s.expect(Data().seq(1462).length(10));
}

// Appendix A.3: the peer may delay its ACK of an odd last segment.
TEST(Nagle, Shld7_SmallSegmentBehindFullOnesDoesNotWait) {
    Script s;
    s.establish(hundred_ms);
    s.call_send_bytes(1460 + 10);
    s.expect(Data().seq(1).length(1460));
    s.expect(Data().seq(1461).length(10));
    s.call_send("b");
    s.expect_nothing();
    s.inject(Ack().seq(1).ack(1461));
    s.expect_nothing();
    s.inject(Ack().seq(1).ack(1471));
    s.expect(Data().seq(1471).payload("b"));
}

TEST(Nagle, Must17_SwitchedOffEverySendLeavesAtOnce) {
    tcp::Profile profile;
    profile.nagle = false;
    Established s{profile, hundred_ms};
    s.call_send("a");
    s.expect(Data().seq(1).payload("a"));
    s.call_send("b");
    s.expect(Data().seq(2).payload("b"));
}

TEST(Nagle, Shld27_SmallSendsOfOneLoopLeaveAsOneSegment) {
    Script s;
    s.when_established = [&] {
        s.call_send("GET ");
        s.call_send("/ ");
        s.call_send("HTTP/1.1");
    };
    s.call_open();
    s.expect(Syn().seq(0));
    s.inject(SynAck().seq(0).ack(1));
    s.expect(Data().seq(1).ack(1).payload("GET / HTTP/1.1").psh());
}

TEST(Push, Must61_LastSegmentOfTheQueueIsPushedAndNoOther) {
    Established s{hundred_ms};
    s.call_send_bytes(2920);
    s.expect(Data().seq(1).length(1460).no_psh());
    s.expect(Data().seq(1461).length(1460).psh());
}

// ---- the sender's side of silly windows

TEST(SillyWindow, Must38_SenderDoesNotFillASliverOfTheWindow) {
    Established s{{.window = 3000, .mss = 1000, .active = true}};
    s.call_send_bytes(10'000);
    EXPECT_EQ(s.take_sent().size(), 3u);
    s.inject(Ack().seq(1).ack(1001).window(2010));
    // Ten bytes of window: no segment of ten bytes.
    s.expect_nothing();
    s.inject(Ack().seq(1).ack(2001).window(2000));
    s.expect(Data().seq(3001).length(1000));
}

TEST(SillyWindow, WindowSmallerThanASegmentIsUsedWhenItIsHalfOfTheLargest) {
    Established s{{.window = 1000, .mss = 1460, .active = true}};
    s.call_send_bytes(4000);
    s.expect(Data().seq(1).length(1000));
    s.inject(Ack().seq(1).ack(1001).window(500));
    s.expect(Data().seq(1001).length(500));
}

TEST(SillyWindow, SliverIsUsedByTheOverrideTimeoutAtLast) {
    Established s{{.window = 10'000, .mss = 1000, .active = true}};
    s.call_send_bytes(1000);
    s.expect(Data().seq(1).length(1000));
    s.inject(Ack().seq(1).ack(1001).window(100));
    s.call_send_bytes(5000);
    s.expect_nothing();
    s.expect_between(100_ms, 1_s, Data().seq(1001).length(100).psh());
}

// ---- the receiver's side

TEST(SillyWindow, Must39_ReceiverOpensItsWindowOnlyByAGoodPiece) {
    FullBuffer s{8};
    auto sent = s.take_sent();
    ASSERT_FALSE(sent.empty());
    EXPECT_EQ(sent.back().ack, 8001u);
    EXPECT_EQ(sent.back().window, 0);
    s.call_read(100);
    s.expect_nothing();
    s.inject(Ack().seq(8000).ack(1));  // the peer asks
    s.expect(Ack().ack(8001).window(0));
    s.call_read(7900);
    sent = s.take_sent();
    ASSERT_EQ(sent.size(), 1u) << "the peer waits for this update";
    EXPECT_GE(sent[0].window, 4000);
    s.expect_received_bytes(8000);
}

TEST(SillyWindow, WindowThatIsHalfOfTheBufferStaysAsLargeAsItIs) {
    Established s{with_receive_buffer(10'000), {.mss = 1000}};
    s.inject(Data().seq(1).ack(1).length(99));
    s.wait(1_s);
    s.expect(Ack().ack(100).window(10'000));
    s.inject(FinAck().seq(100).ack(1));
    s.expect(Ack().ack(101).window(10'000));
}

TEST(SillyWindow, WindowOfWhichLessIsLeftStaysWhereItIs) {
    Established s{with_receive_buffer(10'000), {.mss = 1000}};
    s.stop_reading();
    for (uint32_t i = 0; i < 6; ++i) s.inject(Data().seq(1 + 1000 * i).ack(1).length(1000));
    s.wait(1_s);
    s.ignore_sent();
    s.call_read(500);
    s.inject(Ack().seq(6000).ack(1));  // the peer asks
    s.expect(Ack().ack(6001).window(4000));
    s.resume_reading();
    s.ignore_sent();
}

TEST(SillyWindow, UpdateComesBeforeTheBufferIsEmpty) {
    FullBuffer s{8};
    s.ignore_sent();
    for (int i = 0; i < 40; ++i) s.call_read(100);
    EXPECT_FALSE(s.take_sent().empty()) << "half of the buffer is free";
}

TEST(ReceiveWindow, CountsUnreadBytes) {
    Established s;
    s.stop_reading();
    s.inject(Data().seq(1).ack(1).length(1000));
    s.wait(1_s);
    const uint32_t edge = s.announced_edge();
    s.ignore_sent();
    EXPECT_EQ(s.unread(), 1000u);
    for (uint32_t i = 1; i < 200; ++i) {
        s.inject(Data().seq(1 + 1000 * i).ack(1).length(1000));
        ASSERT_GE(s.announced_edge(), edge);
    }
    s.wait(1_s);
    s.ignore_sent();
    EXPECT_LE(s.unread(), s.setup().profile.receive_buffer_bytes);
    s.resume_reading();
    s.ignore_sent();
    s.expect_received_bytes(200'000);
}

TEST(ReceiveWindow, BytesBeyondTheWindowAreCutOff) {
    Established s{with_receive_buffer(5000), {.mss = 1000}};
    s.stop_reading();
    const uint32_t edge = s.announced_edge();
    s.inject(Data().seq(1).ack(1).length(edge - 1 + 500));
    s.wait(1_s);
    s.ignore_sent();
    EXPECT_EQ(s.unread(), edge - 1);
    EXPECT_EQ(s.connection().rcv_nxt.load().value() - s.setup().peer_isn, edge);
}

TEST(ReceiveWindow, Must66_ClosedWindowStillTakesAcknowledgmentsAndResets) {
    FullBuffer s{2};
    s.ignore_sent();
    s.call_send("x");
    s.expect(Data().seq(1).window(0));
    // A probe with an ACK: its byte is refused, its ACK is taken.
    s.inject(Data().seq(2001).ack(2).length(1));
    s.expect(Ack().seq(2).ack(2001).window(0));
    EXPECT_EQ(s.unread(), 2000u);
    EXPECT_EQ(tcp::unacknowledged_bytes(s.connection(), s.environment()), 0u);
    // MUST-66
    s.inject(Rst().seq(2001));
    s.expect_closed(CloseReason::reset);
}

// ---- the peer's window closes

/// What asks a peer for its window: a segment that it must answer, and that carries nothing.
Packet probe_below(uint32_t seq) { return Ack().seq(seq - 1).length(0); }

void close_the_peers_window(Script& s) {
    s.establish(hundred_ms);
    s.inject(Ack().seq(1).ack(1).window(0));
    s.peer_window(0);
    s.call_send_bytes(1000);
    s.expect_nothing();
}

TEST(ZeroWindow, Shld29_Must36_FirstProbeComesAfterTheRetransmissionTimeout) {
    Script s;
    close_the_peers_window(s);
    s.expect_after(300_ms, probe_below(1));
}

TEST(ZeroWindow, Shld30_ProbesBackOff) {
    Script s;
    close_the_peers_window(s);
    for (int64_t factor = 1; factor <= 32; factor *= 2) {
        s.expect_after(300_ms * factor, probe_below(1));
        s.inject(Ack().seq(1).ack(1));
        s.expect_nothing();
    }
    EXPECT_EQ(s.counters().zero_window_probes.load(), 6u);
}

TEST(ZeroWindow, Must37_ConnectionStaysOpenAsLongAsProbesAreAnswered) {
    Script s;
    close_the_peers_window(s);
    while (s.now() < Duration::hours(24)) {
        s.expect_between(300_ms, s.setup().profile.rto_max, probe_below(1));
        s.inject(Ack().seq(1).ack(1));
        if (::testing::Test::HasFailure()) return;
    }
    s.expect_open();
}

TEST(ZeroWindow, UnansweredProbesAreGivenUpLikeData) {
    Script s;
    close_the_peers_window(s);
    const Duration took = s.drain(Duration::hours(3));
    EXPECT_GE(took, 100_s);
    s.expect_closed(CloseReason::timed_out);
    s.ignore_sent();
}

TEST(ZeroWindow, OpenWindowIsUsedAtOnce) {
    Script s;
    close_the_peers_window(s);
    s.inject(Ack().seq(1).ack(1).window(65535));
    s.expect(Data().seq(1).length(1000));
}

TEST(ZeroWindow, OpenWindowAfterProbesBringsEverything) {
    Script s;
    close_the_peers_window(s);
    s.expect_after(300_ms, probe_below(1));
    s.inject(Ack().seq(1).ack(1).window(0));
    s.expect_after(600_ms, probe_below(1));
    s.inject(Ack().seq(1).ack(1).window(65535));
    s.expect(Data().seq(1).length(1000));
    s.inject(Ack().seq(1).ack(1001).window(65535));
    s.expect_nothing_for(60_s);
}

TEST(ZeroWindow, ProbeThatIsDueWhenTheWindowOpensIsNotSent) {
    Script s;
    close_the_peers_window(s);
    s.fire_timer_before_output();
    s.inject(Ack().seq(1).ack(1).window(65535));
    s.expect(Data().seq(1).length(1000));
    s.expect_nothing();
    s.expect_between(200_ms, 2_s, Data().seq(1).length(1000));
}

TEST(ZeroWindow, InTheHandshakeDelaysTheData) {
    Script s;
    s.call_open();
    s.expect(Syn().seq(0));
    s.call_send("x");
    s.wait(100_ms);
    s.inject(SynAck().seq(0).ack(1).window(0));
    s.expect(Ack().seq(1).ack(1));
    s.expect_after(300_ms, probe_below(1));
    s.inject(Ack().seq(1).ack(1).window(100));
    s.expect(Data().seq(1).payload("x"));
    s.inject(Ack().seq(1).ack(2).window(100));
    s.expect_nothing_for(60_s);
}

TEST(ZeroWindow, CloseWithDataQueuedSendsTheFinAfterTheWindowHasOpened) {
    Script s;
    close_the_peers_window(s);
    s.call_close();
    s.expect_nothing();
    s.expect_after(300_ms, probe_below(1));
    s.inject(Ack().seq(1).ack(1).window(65535));
    s.wait(500_ms);
    const auto sent = s.take_sent();
    EXPECT_TRUE(covers(sent, 1, 1001));
    ASSERT_FALSE(sent.empty());
    EXPECT_TRUE(sent.back().flags.fin());
}

// ---- the peer's window shrinks

TEST(ShrinkingWindow, Must34_Shld15_NothingNewIsSentAndNothingBreaks) {
    Established s{{.window = 10'000, .mss = 1000, .active = true, .round_trip = 100_ms}};
    s.call_send_bytes(20'000);
    EXPECT_EQ(s.take_sent().size(), 10u);
    s.inject(Ack().seq(1).ack(1001).window(2000));  // the edge retreats from 10001 to 3001
    s.expect_nothing();
    s.inject(Ack().seq(1).ack(3001).window(0));
    s.expect_nothing();
    s.expect_open();
    s.inject(Ack().seq(1).ack(10'001).window(10'000));
    EXPECT_TRUE(covers(s.take_sent(), 10'001, 11'001));
}

TEST(ShrinkingWindow, Shld17_DataBeyondTheEdgeDoesNotTimeOutTheConnection) {
    Established s{{.window = 10'000, .mss = 1000, .active = true, .round_trip = 100_ms}};
    s.call_send_bytes(10'000);
    EXPECT_EQ(s.take_sent().size(), 10u);
    s.peer_window(0);
    for (int i = 0; i < 60; ++i) {
        s.inject(Ack().seq(1).ack(1).window(0));
        s.wait(60_s);
    }
    s.expect_open();
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(1).window(10'000));
    s.wait(130_s);
    EXPECT_TRUE(covers(s.take_sent(), 1, 1001));
}

TEST(ShrinkingWindow, Must35_ZeroIsProbedWithTheFirstOctetInFlight) {
    Script s;
    s.establish(hundred_ms);
    s.call_send_bytes(1000);
    s.ignore_sent();
    s.peer_window(0);
    s.inject(Ack().seq(1).ack(1).window(0));
    s.expect_between(200_ms, 2_s, Data().seq(1).length(1));
    s.inject(Ack().seq(1).ack(2).window(0));
    s.expect_between(200_ms, 2_s, Data().seq(2).length(1));
    s.inject(Ack().seq(1).ack(2).window(2000));
    s.wait(1_s);
    EXPECT_TRUE(covers(s.take_sent(), 2, 1001));
}

TEST(ShrinkingWindow, Shld16_OldDataInsideTheWindowIsRepeated) {
    Established s{{.window = 10'000, .mss = 1000, .active = true, .round_trip = 100_ms}};
    s.call_send_bytes(10'000);
    EXPECT_EQ(s.take_sent().size(), 10u);
    s.inject(Ack().seq(1).ack(1).window(2000));
    s.expect_between(200_ms, 400_ms, Data().seq(1).length(1000));
    s.inject(Ack().seq(1).ack(1001).window(2000));
    for (const auto& sent : s.take_sent()) EXPECT_LE(sent.end(), 3001u) << to_text(sent);
}

}  // namespace
}  // namespace synfin::conformance
