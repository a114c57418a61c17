// Keep-alive, user timeout, FIN_WAIT_2's timeout, and what ICMP errors do (RFC 9293 section 3.8.4
// and 3.9.2.2, RFC 5927).
#include <gtest/gtest.h>

#include "scenes.hpp"

namespace synfin::conformance {
namespace {

tcp::Profile with_keep_alive(Duration idle = Duration::hours(2)) {
    tcp::Profile profile;
    profile.keep_alive = true;
    profile.keep_alive_idle = idle;
    return profile;
}

tcp::Profile with_user_timeout(Duration timeout) {
    tcp::Profile profile;
    profile.user_timeout = timeout;
    return profile;
}

constexpr Script::Handshake hundred_ms{.active = true, .round_trip = Duration::milliseconds(100)};

// ---- keep-alive

TEST(KeepAlive, Must25_IsOffByDefault) {
    Established s;
    s.expect_nothing_for(Duration::hours(24 * 7));
    EXPECT_FALSE(s.next_deadline());
}

TEST(KeepAlive, Must28_DefaultsToTwoHours) {
    EXPECT_GE(tcp::Profile{}.keep_alive_idle, Duration::hours(2));
}

TEST(KeepAlive, Shld12_May5_ProbeHasNoDataAndAnOldSequenceNumber) {
    Established s{with_keep_alive()};
    s.expect_after(Duration::hours(2), Ack().seq(0).ack(1));
    EXPECT_EQ(s.counters().keep_alives.load(), 1u);
}

TEST(KeepAlive, Must27_IntervalIsConfigurable) {
    auto profile = with_keep_alive(30_s);
    profile.keep_alive_interval = 5_s;
    profile.keep_alive_probes = 3;
    Established s{profile};
    s.expect_after(30_s, Ack().seq(0).ack(1));
    s.expect_after(5_s, Ack().seq(0).ack(1));
    s.expect_after(5_s, Ack().seq(0).ack(1));
    EXPECT_EQ(s.drain(100_s), 5_s);
    s.expect_closed(CloseReason::timed_out);
    s.ignore_sent();
}

TEST(KeepAlive, Must29_OneLostAnswerEndsNothing) {
    Established s{with_keep_alive()};
    s.expect_after(Duration::hours(2), Ack().seq(0).ack(1));
    s.expect_after(75_s, Ack().seq(0).ack(1));
    s.inject(Ack().seq(1).ack(1));
    s.expect_open();
    s.expect_after(Duration::hours(2), Ack().seq(0).ack(1));
}

TEST(KeepAlive, AnsweredProbesGoOnForEver) {
    Established s{with_keep_alive()};
    for (int i = 0; i < 100; ++i) {
        s.expect_after(Duration::hours(2), Ack().seq(0).ack(1));
        s.inject(Ack().seq(1).ack(1));
    }
    s.expect_open();
}

TEST(KeepAlive, Must26_AnythingFromThePeerStartsTheIdleTimeAnew) {
    Established s{with_keep_alive()};
    s.wait(Duration::hours(1));
    s.inject(Data().seq(1).ack(1).length(10));
    s.wait(1_s);
    s.expect(Ack().seq(1).ack(11));
    s.wait(Duration::hours(1));
    s.inject(Ack().seq(11).ack(1));
    s.expect_after(Duration::hours(2), Ack().seq(0).ack(11));
}

TEST(KeepAlive, Must26_NoProbeWhileDataIsOutstanding) {
    Established s{with_keep_alive(1_s)};
    s.call_send("x");
    s.expect(Data().seq(1).payload("x"));
    s.wait(30_s);
    for (const auto& sent : s.take_sent()) EXPECT_EQ(sent.payload, "x") << to_text(sent);
    EXPECT_EQ(s.counters().keep_alives.load(), 0u);
}

TEST(KeepAlive, ComesBackAfterDataHasBeenAcknowledged) {
    Established s{with_keep_alive(10_s)};
    s.call_send("x");
    s.expect(Data().seq(1).payload("x"));
    s.inject(Ack().seq(1).ack(2));
    s.expect_after(10_s, Ack().seq(1).ack(1));
}

TEST(KeepAlive, AnswersCountInAHalfClosedConnectionToo) {
    auto profile = with_keep_alive(10_s);
    profile.keep_alive_interval = 5_s;
    profile.keep_alive_probes = 3;
    Script s{{.profile = profile}};
    enter(s, State::fin_wait_2);
    for (int i = 0; i < 10; ++i) {
        s.expect_after(10_s, Ack().seq(1).ack(1));
        s.inject(Ack().seq(1).ack(2));
    }
    s.expect_open();
    s.wait(30_s);
    s.ignore_sent();
    s.expect_closed(CloseReason::timed_out);
}

TEST(KeepAlive, SegmentThatThePeerSendsAgainIsASignOfLife) {
    Established s{with_keep_alive(10_s)};
    s.inject(Data().seq(1).ack(1).length(10));
    s.wait(9_s);
    s.ignore_sent();
    s.inject(Data().seq(1).ack(1).length(10));
    s.expect(Ack().seq(1).ack(11));
    s.expect_after(10_s, Ack().seq(0).ack(11));
}

TEST(KeepAlive, WeAnswerThePeersProbe) {
    Established s;
    s.inject(Ack().seq(0).ack(1));
    s.expect(Ack().seq(1).ack(1));
    s.wait(1_s);
    s.inject(Data().seq(0).ack(1).payload("?"));  // the old form, with a garbage octet
    s.expect(Ack().seq(1).ack(1));
    s.expect_received("");
}

TEST(KeepAlive, UnansweredProbesDoNotSlowTheNextData) {
    auto profile = with_keep_alive(10_s);
    profile.keep_alive_interval = 10_s;
    Established s{profile, hundred_ms};
    s.wait(45_s);
    s.ignore_sent();
    s.call_send("x");
    s.expect(Data().seq(1).payload("x"));
    s.expect_after(300_ms, Data().seq(1).payload("x"));
}

// ---- user timeout

TEST(UserTimeout, EndsAConnectionWhoseDataIsNotAcknowledged) {
    Established s{with_user_timeout(30_s), hundred_ms};
    s.call_send("x");
    EXPECT_EQ(s.drain(200_s), 30_s) << "at its own moment, not at the next retransmission";
    s.expect_closed(CloseReason::timed_out);
    s.ignore_sent();
}

TEST(UserTimeout, BeginsAnewWithEachProgressAndEndsWithTheLast) {
    Established s{with_user_timeout(30_s), hundred_ms};
    s.call_send_bytes(4 * 1460);
    for (uint32_t i = 1; i <= 3; ++i) {
        s.wait(29_s);
        s.expect_open();
        s.inject(Ack().seq(1).ack(1 + 1460 * i));
    }
    s.wait(30_s - 1_us);
    s.expect_open();
    s.inject(Ack().seq(1).ack(s.sent_end()));
    s.ignore_sent();
    s.expect_nothing_for(1000_s);
    s.expect_open();
    s.call_close();
    EXPECT_EQ(s.drain(200_s), 30_s) << "a FIN is waited for as data is";
    s.ignore_sent();
}

TEST(UserTimeout, EndsAConnectionWhoseWindowStaysClosedAndSilent) {
    Established s{with_user_timeout(30_s), hundred_ms};
    s.inject(Ack().seq(1).ack(1).window(0));
    s.call_send("x");
    EXPECT_EQ(s.drain(200_s), 30_s);
    s.expect_closed(CloseReason::timed_out);
    s.ignore_sent();
}

TEST(UserTimeout, EndsAConnectionWhoseWindowStaysClosedAndIsAnswered) {
    Established s{with_user_timeout(30_s), hundred_ms};
    s.inject(Ack().seq(1).ack(1).window(0));
    s.call_send("x");
    for (int i = 0; i < 29; ++i) {
        s.wait(1_s);
        s.inject(Ack().seq(1).ack(1).window(0));
        s.expect_open();
    }
    s.wait(1_s);
    s.expect_closed(CloseReason::timed_out);
    s.ignore_sent();
}

TEST(UserTimeout, DoesNotKeepKeepAlivesFromTheirWork) {
    auto profile = with_keep_alive(10_s);
    profile.user_timeout = 30_s;
    Established s{profile, hundred_ms};
    s.call_send("x");
    s.expect(Data().seq(1).payload("x"));
    s.inject(Ack().seq(1).ack(2));
    s.expect_after(10_s, Ack().seq(1).ack(1));
}

TEST(UserTimeout, TakesThePlaceOfTheNumberOfKeepAliveProbes) {
    tcp::Profile profile;
    profile.user_timeout = 12_s;
    profile.keep_alive = true;
    profile.keep_alive_idle = 10_s;
    profile.keep_alive_interval = 1_s;
    profile.keep_alive_probes = 1;
    Script s{{.profile = profile}};
    s.establish({.active = true});
    s.expect_after(10_s, Ack().seq(0).ack(1));
    s.expect_after(1_s, Ack().seq(0).ack(1));
    s.expect_after(1_s, RstAck().seq(1).ack(1));
    s.expect_closed(CloseReason::timed_out);
}

TEST(UserTimeout, EndsAHandshakeToo) {
    Script s{{.profile = with_user_timeout(5_s)}};
    s.call_open();
    EXPECT_EQ(s.drain(200_s), 5_s);
    s.expect_closed(CloseReason::timed_out);
    s.ignore_sent();
}

TEST(UserTimeout, DoesNotEndAnIdleConnection) {
    Established s{with_user_timeout(5_s)};
    s.expect_nothing_for(1000_s);
    s.expect_open();
}

// ---- FIN_WAIT_2

TEST(FinWait2, EndsAfterItsTimeoutWhenNobodyReadsAnyMore) {
    Established s;
    s.call_close();
    s.expect(FinAck().seq(1));
    s.wait(10_s);
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(2));
    s.expect_state(State::fin_wait_2);
    EXPECT_EQ(s.drain(1000_s), s.setup().profile.fin_wait_2_timeout);
    EXPECT_NE(s.close_reason(), CloseReason::none);
    s.ignore_sent();
}

TEST(FinWait2, IsAResetForWhoWaitsForNothing) {
    Script s{{.profile = {.fin_wait_2_timeout = Duration{}}}};
    s.establish();
    s.call_close();
    s.expect(FinAck().seq(1));
    s.inject(Ack().seq(1).ack(2));
    s.expect_reset(2);
    s.expect_closed(CloseReason::aborted);
}

TEST(FinWait2, IsLeftByAResetWhenWhoWaitsForNothingCloses) {
    Script s{{.profile = {.fin_wait_2_timeout = Duration{}}}};
    enter(s, State::fin_wait_2);
    s.call_close();
    s.expect_reset(2);
    s.expect_closed(CloseReason::aborted);
}

TEST(FinWait2, EndsAfterItsTimeoutWhenTheUserClosesLater) {
    Script s;
    enter(s, State::fin_wait_2);
    s.wait(1000_s);
    s.expect_state(State::fin_wait_2);
    s.call_close();
    EXPECT_EQ(s.drain(1000_s), s.setup().profile.fin_wait_2_timeout);
    s.ignore_sent();
}

TEST(FinWait2, HalfClosedConnectionWaitsForEver) {
    Script s;
    enter(s, State::fin_wait_2);
    s.expect_nothing_for(Duration::hours(24));
    s.expect_state(State::fin_wait_2);
}

// ---- ICMP

TEST(Icmp, HardErrorInSynSentEndsTheAttempt) {
    Script s;
    enter(s, State::syn_sent);
    s.inject_icmp(0, true);
    s.expect_state(State::closed);
    s.expect_closed(CloseReason::unreachable);
    s.expect_nothing();
}

TEST(Icmp, Must56_SoftErrorEndsNothing) {
    for (State state : {State::syn_sent, State::established}) {
        Script s;
        enter(s, state);
        if (state == State::established) {
            s.call_send("x");
            s.expect(Data().seq(1));
        }
        s.inject_icmp(state == State::established ? 1 : 0, false);
        s.expect_state(state);
    }
}

TEST(Icmp, Shld26_Rfc5927_HardErrorIsSoftOnceSynchronized) {
    Established s;
    s.call_send("x");
    s.expect(Data().seq(1));
    s.inject_icmp(1, true);
    s.expect_state(State::established);
    s.inject(Ack().seq(1).ack(2));
    s.expect_open();
}

TEST(Icmp, Rfc5927_QuotedSequenceOutsideOfWhatIsInFlightIsIgnored) {
    for (uint32_t quoted : {0xffff'ffffu, 1u, 2u, 0x8000'0000u}) {
        Script s;
        enter(s, State::syn_sent);
        s.inject_icmp(quoted, true);
        s.expect_state(State::syn_sent);
    }
}

// ---- reports (section 3.9.1.8)

TEST(Reports, Must47_Must56_Shld25_UserLearnsOfEachSoftErrorAndNoneEndsAConnection) {
    using tcp::Report;
    for (State state : {State::syn_sent, State::established}) {
        Script s;
        enter(s, state);
        if (state == State::established) {
            s.call_send("x");
            s.expect(Data().seq(1));
        }
        const std::vector<Report> errors{Report::network_unreachable, Report::host_unreachable,
                                         Report::source_route_failed, Report::time_exceeded,
                                         Report::parameter_problem};
        for (const Report error : errors) {
            s.inject_icmp(state == State::established ? 1 : 0, error);
            s.expect_state(state);
        }
        EXPECT_EQ(s.reports(), errors);
    }
}

TEST(Reports, Rfc5927_ErrorAboutNothingInFlightIsNotTold) {
    Established s;
    for (const uint32_t quoted : {0u, 1u, 1000u}) {
        s.inject_icmp(quoted, tcp::Report::host_unreachable);
    }
    EXPECT_TRUE(s.reports().empty());
}

TEST(Reports, Must22_UserLearnsOfASynThatIsNotAnswered) {
    Script s;
    s.call_open();
    s.wait(1_s + 2_s);
    EXPECT_EQ(s.retrying_count(), 0u);
    s.wait(4_s);
    EXPECT_EQ(s.retrying_count(), 1u) << "R1: at the third retransmission";
    s.wait(60_s);
    EXPECT_EQ(s.retrying_count(), 1u) << "once";
    s.expect_open();
    s.ignore_sent();
}

TEST(Reports, Must22_R1IsSetForSynsAndForDataApart) {
    tcp::Profile profile;
    profile.report_retries = 5;
    profile.syn_report_retries = 1;
    Script s{{.profile = profile}};
    s.call_open();
    s.wait(1_s);
    EXPECT_EQ(s.retrying_count(), 1u);
    s.ignore_sent();
    s.inject(SynAck().seq(0).ack(1));
    s.ignore_sent();
    s.call_send("x");
    for (unsigned retransmissions = 0; retransmissions < 5; ++retransmissions) {
        EXPECT_EQ(s.retrying_count(), 1u) << retransmissions;
        s.wait(*s.next_deadline());
    }
    EXPECT_EQ(s.retrying_count(), 2u);
    s.ignore_sent();
}

}  // namespace
}  // namespace synfin::conformance
