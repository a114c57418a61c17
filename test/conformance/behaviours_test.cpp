// What suites of other people look at on the wire, where no test beside this one does: mostly the
// crossings of two rules that each have tests of their own.
#include <gtest/gtest.h>

#include "../unit/tcp/scenes.hpp"

namespace synfin::conformance {
namespace {

TEST(SynSent, LateSynAckAfterCloseIsReset) {
    Script s;
    s.call_open();
    s.expect(Syn().seq(0));
    s.call_close();
    s.expect_nothing();
    s.expect_closed(CloseReason::aborted);
    s.inject(SynAck().seq(0).ack(1));
    s.expect(Rst().seq(1));
}

TEST(SynSent, WrongAckLeavesTheTimerOfTheSynAlone) {
    Script s;
    s.call_open();
    s.expect(Syn().seq(0));
    s.wait(900_ms);
    s.inject(SynAck().seq(0).ack(2));
    s.expect(Rst().seq(2));
    s.expect_after(100_ms, Syn().seq(0));
    s.expect_after(2_s, Syn().seq(0));
}

TEST(SynReceived, OfSimultaneousOpenGivesUpLikeASyn) {
    Script s;
    enter(s, State::syn_sent);
    s.inject(Syn().seq(0));
    s.expect(SynAck().seq(0).ack(1));
    EXPECT_GE(s.drain(400_s), 180_s);
    for (const Sent& again : s.take_sent())
        EXPECT_EQ(again.flags, wire::flag::syn | wire::flag::ack);
    s.expect_closed(CloseReason::timed_out);
}

TEST(SynReceived, OfSimultaneousOpenIsRefusedByAReset) {
    Script s;
    enter(s, State::syn_sent);
    s.inject(Syn().seq(0));
    s.expect(SynAck().seq(0).ack(1));
    s.inject(Rst().seq(1));
    s.expect_closed(CloseReason::refused);
}

// The window that a SYN,ACK carries is that of the segment as it stands; the next is scaled.
TEST(Window, OfTheThirdAckIsTheFirstThatIsScaled) {
    Script s{{.profile = {.send_buffer_bytes = 1u << 20, .initial_window_segments = 100}}};
    s.listen();
    s.inject(Syn().seq(0).window(2000).mss(1000).window_scale(4));
    s.expect(SynAck());
    EXPECT_EQ(s.connection().snd_wnd, 2000u);
    s.inject(Ack().seq(1).ack(1).window(2000));
    s.call_send_bytes(40'000);
    EXPECT_EQ(s.sent_end(), 32'001u);
    s.ignore_sent();
}

TEST(ReceiveWindow, FinIsTakenThoughTheWindowIsClosed) {
    FullBuffer s{1};
    s.ignore_sent();
    s.inject(FinAck().seq(1001).ack(1));
    s.expect(Ack().seq(1).ack(1002).window(0));
    s.expect_state(State::close_wait);
    s.resume_reading();
    s.expect_received_bytes(1000);
}

TEST(ReceiveWindow, NothingElseIsTakenBehindAFinInAClosedWindow) {
    Script s{{.profile = {.receive_buffer_bytes = 1000}}};
    s.establish({.mss = 1000});
    s.stop_reading();
    s.inject(Data().seq(1).ack(1).length(1000));
    s.ignore_sent();
    s.inject_burst({FinAck().seq(1001).ack(1), Rst().seq(500'000)});
    s.expect(Ack().seq(1).ack(1002).window(0));
    EXPECT_EQ(s.counters().drop_rst_out_of_window, 1u);
    s.resume_reading();
    s.expect_received_bytes(1000);
}

TEST(Close, WithDataQueuedInSynReceivedWaitsForTheEndOfTheHandshake) {
    Script s;
    s.call_open();
    s.expect(Syn().seq(0));
    s.call_send_bytes(10);
    s.inject(Syn().seq(0));
    s.expect(SynAck().seq(0).ack(1));
    s.call_close();
    s.expect_state(State::syn_received);
    s.inject(Ack().seq(1).ack(1));
    s.expect(FinAck().seq(1).ack(1).length(10));
    s.expect_state(State::fin_wait_1);
    s.ignore_sent();
}

TEST(Reassembly, FinThatComesBehindAHoleAndWithWhatFillsItLeavesNoMemoryInUse) {
    Script s;
    s.establish();
    s.inject(FinAck().seq(11).ack(1));
    s.inject(FinAck().seq(1).ack(1).length(10));
    s.expect_state(State::close_wait);
    s.expect_received_bytes(10);
    s.ignore_sent();
    EXPECT_EQ(s.connection().transfer.load(), no_index);
}

TEST(ReceiveWindow, FinBehindDataThatFillsTheWindowIsTaken) {
    Script s{{.profile = {.receive_buffer_bytes = 1000}}};
    s.establish({.mss = 1000});
    s.stop_reading();
    s.inject(FinAck().seq(1).ack(1).length(1000));
    s.expect(Ack().ack(1002).window(0));
    s.expect_state(State::close_wait);
    s.resume_reading();
    s.expect_received_bytes(1000);
}

// What does not fit is cut off, and a FIN behind it is not where the stream ends yet.
TEST(ReceiveWindow, FinBehindDataThatWasCutOffIsNotTaken) {
    Script s{{.profile = {.receive_buffer_bytes = 1000}}};
    s.establish({.mss = 1400});
    s.stop_reading();
    s.inject(FinAck().seq(1).ack(1).length(1400));
    s.expect_between(Duration{}, 500_ms, Ack().ack(1001).window(0));
    s.expect_state(State::established);
    s.resume_reading();
    s.expect(Ack().ack(1001).window(1000));
    s.inject(FinAck().seq(1001).ack(1).length(400));
    s.expect(Ack().ack(1402));
    s.expect_state(State::close_wait);
    s.expect_received_bytes(1400);
}

class FinAgain : public ::testing::TestWithParam<State> {};
INSTANTIATE_TEST_SUITE_P(States, FinAgain,
                         ::testing::Values(State::fin_wait_1, State::closing, State::last_ack));

TEST_P(FinAgain, IsRepeatedWithBackOffWhereItIsNotAcknowledged) {
    Script s;
    enter(s, GetParam());
    const uint32_t acknowledged = s.peer_next();
    Duration last = s.expect_between(100_ms, 10_s, FinAck().seq(1).ack(acknowledged));
    for (int i = 0; i < 4; ++i) {
        s.expect_after(last + last, FinAck().seq(1).ack(acknowledged));
        last = last + last;
    }
    s.expect_state(GetParam());
    s.inject(Ack().seq(acknowledged).ack(2));
    s.expect_nothing_for(10_s);
}

class Families : public ::testing::TestWithParam<bool> {
  protected:
    static conformance::Setup setup() { return {.mtu = 9000, .ipv6 = GetParam()}; }
    static uint16_t headers() { return GetParam() ? 60 : 40; }
};
INSTANTIATE_TEST_SUITE_P(Both, Families, ::testing::Bool(), [](const auto& family) {
    return std::string{family.param ? "ipv6" : "ipv4"};
});

TEST_P(Families, Must15_WithoutAnMssOptionTheDefaultIsSent) {
    Script s{setup()};
    s.establish({.mss = std::nullopt});
    s.call_send_bytes(3000);
    s.expect(Data().seq(1).length(GetParam() ? 1220 : 536));
    s.ignore_sent();
}

TEST_P(Families, Must14_Must67_OfferedMssLeavesRoomForTheHeadersOfTheFamily) {
    for (const uint16_t mtu : {uint16_t{72}, uint16_t{1280}, uint16_t{1500}, uint16_t{9000}}) {
        Script s{{.mtu = mtu, .ipv6 = GetParam()}};
        s.call_open();
        s.expect(Syn().mss(static_cast<uint16_t>(mtu - headers())));
    }
}

TEST_P(Families, Must16_Shld28_SegmentIsNoLongerThanOurOwnMtuAllows) {
    Script s{setup()};
    s.establish({.mss = 65'000, .timestamps = true});
    s.call_send_bytes(20'000);
    s.expect(Data().seq(1).length(9000u - headers() - 12u));
    s.ignore_sent();
}

}  // namespace
}  // namespace synfin::conformance
