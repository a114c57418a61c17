// Attack families against one connection: flags, windows, acknowledgments, stuck states.
#include <random>

#include <gtest/gtest.h>

#include "script.hpp"

namespace synfin::conformance {
namespace {

using enum State;
constexpr State all_states[] = {closed,      listen,     syn_sent,   syn_received,
                                established, fin_wait_1, fin_wait_2, close_wait,
                                closing,     last_ack,   time_wait};

// All 64 combinations of the six old control bits, in all 11 states, at the numbers that matter.
TEST(IllegalFlags, NoCombinationInAnyStateDoesWhatItsFlagsDoNotAllow) {
    for (State state : all_states) {
        for (uint8_t bits = 0; bits < 64; ++bits) {
            for (uint32_t offset : {0u, 0xffff'ffffu, 1u, 1000u, 0x7fff'0000u}) {
                Script s;
                enter(s, state);
                const wire::TcpFlags flags{bits};
                const bool was_established = s.established_count() > 0;
                s.inject(Packet{flags}.seq(s.peer_next() + offset).ack(s.sent_end()).payload("x"));
                // Nothing is believed without ACK but a SYN where there is no connection, and RST.
                if (!flags.ack() && !flags.rst() && !flags.syn()) {
                    s.expect_state(state);
                    s.expect_received("");
                }
                if (flags.rst() && flags.syn() && state <= syn_sent) {
                    EXPECT_NE(s.state(), established) << int{bits};
                    EXPECT_NE(s.state(), syn_received) << int{bits};
                }
                // But to the right ACK of our SYN, which nobody guesses.
                if (flags.syn() && flags.fin() && !(flags.ack() && state == syn_sent)) {
                    EXPECT_EQ(s.peer_closed_count(),
                              state >= close_wait ? s.peer_closed_count() : 0u)
                        << int{bits};
                    if (!was_established) {
                        EXPECT_EQ(s.established_count(), 0u) << int{bits};
                    }
                }
                // A RST is never answered by a RST.
                if (flags.rst()) {
                    for (const auto& sent : s.take_sent())
                        EXPECT_FALSE(sent.flags.rst()) << to_text(sent);
                }
                s.ignore_sent();
                if (HasFailure()) {
                    ADD_FAILURE() << tcp::name(state) << " flags " << int{bits};
                    return;
                }
            }
        }
    }
}

TEST(WindowShrink, RandomWindowsNeverMakeUsSendBeyondThemOrAbort) {
    for (uint32_t seed = 0; seed < 50; ++seed) {
        std::mt19937 engine{seed};
        const auto random = [&](uint32_t bound) { return static_cast<uint32_t>(engine()) % bound; };
        Script s;
        s.establish({.mss = 1000, .active = true, .round_trip = 20_ms});
        uint32_t acked = 1;
        uint32_t edge = 1 + 65535;
        uint32_t end = 1;
        // Nothing new beyond the edge that stands now, but for the one byte of a probe.
        const auto judge = [&] {
            for (const auto& sent : s.take_sent()) {
                EXPECT_TRUE(sent.end() <= end || sent.end() <= edge || sent.payload.size() <= 1)
                    << to_text(sent) << " with the edge at " << edge;
                end = std::max(end, sent.end());
            }
        };
        for (int step = 0; step < 200; ++step) {
            if (random(4) == 0) s.call_send_bytes(random(5000));
            judge();
            acked += random(s.sent_end() - acked + 1);
            const auto window = static_cast<uint16_t>(random(20'000));
            edge = acked + window;
            s.inject(Ack().seq(1).ack(acked).window(window));
            judge();
            s.wait(Duration::milliseconds(random(500)));
            judge();
            s.expect_open();
        }
        s.ignore_sent();
        for (int i = 0; i < 2000 && tcp::unacknowledged_bytes(s.connection(), s.environment()) > 0;
             ++i) {
            s.inject(Ack().seq(1).ack(s.sent_end()).window(65535));
            s.wait(10_ms);
        }
        EXPECT_EQ(tcp::unacknowledged_bytes(s.connection(), s.environment()), 0u) << seed;
        s.ignore_sent();
        if (HasFailure()) return;
    }
}

TEST(OptimisticAck, AcknowledgmentOfTheFutureOpensNothing) {
    Script s;
    s.establish({.mss = 1000, .active = true});
    s.call_send_bytes(60'000);
    const uint32_t before = s.sent_end();
    const uint32_t window = s.connection().cwnd;
    s.ignore_sent();
    for (uint32_t i = 1; i <= 100; ++i) s.inject(Ack().seq(1).ack(before + i * 1000));
    EXPECT_EQ(s.sent_end(), before);
    EXPECT_EQ(s.connection().cwnd, window);
    EXPECT_EQ(s.counters().drop_bad_ack.load(), 100u);
    EXPECT_LE(s.take_sent().size(), 1u) << "the answers are limited";
}

TEST(AckDivision, BytesCountNotAcknowledgments) {
    Script s;
    s.establish({.mss = 1000, .active = true});
    s.call_send_bytes(60'000);
    const uint32_t window = s.connection().cwnd;
    for (uint32_t i = 1; i <= 1000; ++i) s.inject(Ack().seq(1).ack(1 + i));
    EXPECT_LE(s.connection().cwnd, window + 1000u);
    s.ignore_sent();
}

TEST(AckStorm, TwoEndsOutOfStepFallSilent) {
    Script s;
    s.establish();
    // The other end answers each of our ACKs with one that is out of step, for ten seconds.
    uint32_t answers = 0;
    s.inject(Ack().seq(5'000'000).ack(1));
    for (int i = 0; i < 10'000; ++i) {
        const auto sent = s.take_sent();
        answers += static_cast<uint32_t>(sent.size());
        s.wait(1_ms);
        s.inject(Ack().seq(5'000'000).ack(1));
    }
    EXPECT_LE(answers, 21u) << "at most one in half a second";
    s.ignore_sent();
}

TEST(SplitHandshake, SynInsteadOfSynAckIsASimultaneousOpenWithRolesIntact) {
    Script s;
    enter(s, syn_sent);
    s.inject(Syn().seq(0));
    s.expect(SynAck().seq(0).ack(1));
    s.inject(Ack().seq(1).ack(1));
    s.expect_state(established);
    s.call_send("x");
    s.expect(Data().seq(1).ack(1).payload("x"));
}

TEST(SplitHandshake, AckAndThenSynDoesNotSkipTheHandshake) {
    Script s;
    enter(s, syn_sent);
    s.inject(Ack().seq(0).ack(1));
    s.expect_state(syn_sent);
    s.inject(Syn().seq(0));
    s.expect_state(syn_received);
    s.ignore_sent();
    EXPECT_EQ(s.established_count(), 0u);
}

TEST(SegmentSmack, TinySegmentsOutOfOrderAreCapped) {
    Script s{{.ranges = 5000, .nodes = 10'000, .chunks = 5000}};
    s.establish();
    for (uint32_t i = 0; i < 20'000; ++i)
        s.inject_burst({Data().seq(3 + 2 * i % 60'000).ack(1).length(1)});
    EXPECT_LE(s.held_ranges(), 256u);
    EXPECT_GT(s.counters().out_of_order_dropped.load(), 1000u);
    s.ignore_sent();
}

TEST(TimeWaitAssassination, NothingThatAnOutsiderCanSendEndsIt) {
    Script s;
    enter(s, time_wait);
    for (uint8_t bits = 0; bits < 64; ++bits) {
        const wire::TcpFlags flags{bits};
        for (uint32_t seq : {0u, 1u, 2u, 0x9000'0000u}) s.inject(Packet{flags}.seq(seq).ack(2));
        s.expect_state(time_wait);
    }
    for (const auto& sent : s.take_sent())
        EXPECT_TRUE(sent.flags == wire::flag::ack) << to_text(sent);
}

TEST(StuckStates, EachStateInWhichThePeerCanLeaveUsEnds) {
    for (State state : {syn_sent, syn_received, fin_wait_1, closing, last_ack, time_wait}) {
        Script s;
        enter(s, state);
        s.drain(Duration::hours(1));
        s.ignore_sent();
    }
    // FIN_WAIT_2 of a user who is gone; ESTABLISHED and CLOSE_WAIT by keep-alive.
    Script gone;
    enter(gone, fin_wait_2);
    gone.call_close();
    gone.drain(Duration::hours(1));
    gone.ignore_sent();
    tcp::Profile profile;
    profile.keep_alive = true;
    for (State state : {established, close_wait}) {
        Script s{{.profile = profile}};
        enter(s, state);
        s.drain(Duration::hours(3));
        s.ignore_sent();
        s.expect_closed(CloseReason::timed_out);
    }
}

TEST(SynAckAmplification, SpoofedSynGetsAFewAnswersAndIsForgotten) {
    Script s;
    enter(s, syn_received);
    s.drain(Duration::hours(1));
    EXPECT_LE(s.take_sent().size(), 5u);
    s.expect_state(listen);
}

TEST(UrgentPointer, IsNeverUsedAsALength) {
    for (uint16_t pointer : {uint16_t{0}, uint16_t{1}, uint16_t{5}, uint16_t{6}, uint16_t{65535}}) {
        Script s;
        s.establish();
        s.inject(Data().seq(1).ack(1).payload("hello").urgent(pointer));
        s.inject(Data().seq(6).ack(1).payload(" world"));
        s.expect_received("hello world");
        s.wait(1_s);
        s.ignore_sent();
    }
    for (State state : all_states) {
        Script s;
        enter(s, state);
        s.inject(Syn().seq(s.peer_next()).urgent(0));
        s.inject(Ack().seq(s.peer_next()).ack(s.sent_end()).urgent(0));
        s.ignore_sent();
    }
}

}  // namespace
}  // namespace synfin::conformance
