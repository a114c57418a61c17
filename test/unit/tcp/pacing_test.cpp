// Pacing: first the pacer alone, then on a connection, exact in virtual time.
#include <gtest/gtest.h>

#include <synfin/tcp/pacer.hpp>

#include "scenes.hpp"

namespace synfin::conformance {
namespace {

constexpr uint32_t segment = 1000;

tcp::Pacer pacer_of(uint64_t rate) {
    tcp::Pacer pacer;
    pacer.set_rate(rate);
    return pacer;
}

TEST(Pacer, SlowOneLetsOutOneSegmentAtATime) {
    tcp::Pacer pacer = pacer_of(100'000);
    const Instant begin = Instant::from_us(1'000'000);
    pacer.restart(segment, begin);
    EXPECT_TRUE(pacer.may_send(begin));
    pacer.on_departure(segment, segment, begin);
    EXPECT_FALSE(pacer.may_send(begin + 9'999_us));
    EXPECT_TRUE(pacer.may_send(begin + 10_ms));
    EXPECT_EQ(pacer.wake_at(segment), begin + 10_ms);
}

TEST(Pacer, FastOneWakesUpForABurst) {
    tcp::Pacer pacer = pacer_of(10'000'000);
    EXPECT_EQ(pacer.burst_bytes(segment), 10'000u);
    const Instant begin = Instant::from_us(1'000'000);
    pacer.restart(segment, begin);
    const auto burst_at = [&pacer](Instant now) {
        unsigned sent = 0;
        for (; pacer.may_send(now); ++sent) pacer.on_departure(segment, segment, now);
        return sent;
    };
    EXPECT_EQ(burst_at(begin), 10u);
    EXPECT_EQ(pacer.wake_at(segment), begin + 1_ms);
    EXPECT_EQ(burst_at(begin + 1_ms), 10u);
}

TEST(Pacer, BurstHasABound) {
    EXPECT_EQ(pacer_of(100'000'000'000).burst_bytes(segment), 64u * 1024);
    EXPECT_EQ(pacer_of(1'000'000).burst_bytes(segment), 2 * segment);
}

TEST(Pacer, IdleTimeGivesNoCredit) {
    tcp::Pacer pacer = pacer_of(100'000);
    pacer.on_departure(segment, segment, Instant::from_us(1'000'000));
    const Instant later = Instant::from_us(60'000'000);
    pacer.restart(segment, later);
    pacer.on_departure(segment, segment, later);
    EXPECT_FALSE(pacer.may_send(later));
}

TEST(Pacer, LateOneCatchesUpByABurstOnly) {
    tcp::Pacer pacer = pacer_of(10'000'000);
    pacer.on_departure(segment, segment, Instant::from_us(1'000'000));
    const Instant late = Instant::from_us(1'500'000);
    unsigned sent = 0;
    for (; pacer.may_send(late); ++sent) pacer.on_departure(segment, segment, late);
    EXPECT_EQ(sent, 21u);  // a burst, a millisecond, and the one that is due
}

Setup with_bbr() { return with(tcp::CongestionAlgorithm::bbr); }
// The first rate is 2.885 * 0.99 of the initial window over the handshake's round trip: 285,615
// bytes a second, in bursts of two segments.
constexpr Script::Handshake of_100_ms{
    .mss = 1000, .sack_permitted = true, .active = true, .round_trip = 100_ms};

/// With so many bytes to send.
struct Paced : Established {
    explicit Paced(uint32_t bytes) : Established{of_100_ms, with_bbr()} { call_send_bytes(bytes); }
};

TEST(Pacing, FirstWindowLeavesAtTheRateOfTheHandshakesRoundTrip) {
    Paced s{5'000};
    s.expect(Data().seq(1).length(1000));
    s.expect(Data().seq(1001).length(1000));
    s.expect_after(7003_us, Data().seq(2001).length(1000));
    s.expect(Data().seq(3001).length(1000));
    s.expect_after(7002_us, Data().seq(4001).length(1000).psh());
    s.expect_nothing_for(50_ms);
}

TEST(Pacing, BurstIsNoSmallerWhenAllBeforeItHasBeenAcknowledged) {
    Paced s{5'000};
    s.expect(Data().seq(1).length(1000));
    s.expect(Data().seq(1001).length(1000));
    s.wait(3_ms);
    s.inject(Ack().seq(1).ack(2001));
    s.expect_after(4003_us, Data().seq(2001).length(1000));
    s.expect(Data().seq(3001).length(1000));
    s.ignore_sent();
}

TEST(Pacing, AckLeavesWithoutWaitingForThePacer) {
    Paced s{4'000};
    s.expect(Data().seq(1).length(1000));
    s.expect(Data().seq(1001).length(1000));
    s.inject_burst({Data().seq(1).ack(1).length(1000), Data().seq(1001).ack(1).length(1000)});
    s.expect(Ack().seq(2001).ack(2001));
    s.expect_after(7003_us, Data().seq(2001).ack(2001).length(1000));
    s.expect(Data().seq(3001).ack(2001).length(1000));
}

TEST(Pacing, DelayedAckLeavesWithWhatThePacerLetsOut) {
    Paced s{4'000};
    s.expect(Data().seq(1).length(1000));
    s.expect(Data().seq(1001).length(1000));
    s.inject(Data().seq(1).ack(1).length(100));
    s.expect_after(7003_us, Data().seq(2001).ack(101).length(1000));
    s.expect(Data().seq(3001).length(1000).psh());
    s.inject(Ack().seq(101).ack(4001));
    s.expect_nothing_for(10_s);
    EXPECT_EQ(s.counters().delayed_acks.load(), 1u);
}

TEST(Pacing, DelayedAckIsNotPutOffByAPacerThatIsSlower) {
    auto setup = with_bbr();
    setup.profile.rto_initial = 10_s;
    Script s{setup};
    Script::Handshake slow = of_100_ms;
    slow.round_trip = 3_s;
    s.establish(slow);
    s.call_send_bytes(3'000);
    s.expect(Data().seq(1).length(1000));
    s.inject(Data().seq(1).ack(1).length(100));
    s.expect_after(40_ms, Ack().seq(1001).ack(101));
    s.expect_between(50_ms, 200_ms, Data().seq(1001).length(1000));
}

TEST(Pacing, FinWaitsItsTurnBehindTheData) {
    Paced s{3'000};
    s.expect(Data().seq(1).length(1000));
    s.expect(Data().seq(1001).length(1000));
    s.call_close();
    s.expect_after(7003_us, Data().seq(2001).length(1000).fin().psh());
}

TEST(Pacing, ConnectionThatIsDoneHasNoDeadline) {
    Paced s{2'000};
    s.wait(10_ms);
    s.ignore_sent();
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(2001));
    s.expect_nothing_for(1_s);
    EXPECT_FALSE(s.next_deadline().has_value());
}

TEST(Pacing, AlgorithmsWithoutARateHaveNoModelAndSendAtOnce) {
    for (const auto algorithm :
         {tcp::CongestionAlgorithm::cubic, tcp::CongestionAlgorithm::new_reno}) {
        Script s{with(algorithm)};
        s.establish(of_100_ms);
        s.call_send_bytes(10'000);
        EXPECT_EQ(s.take_sent().size(), 10u);
        EXPECT_EQ(s.environment().transfers.models.used(), 0u);
        s.inject(Ack().seq(1).ack(10'001));
        EXPECT_EQ(s.connection().transfer.load(), no_index);
    }
}

TEST(Pacing, ModelOutlivesIdlenessAndEndsWithTheConnection) {
    Paced s{1'000};
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(1001));
    EXPECT_EQ(s.environment().transfers.models.used(), 1u);
    s.inject(Rst().seq(1));
    EXPECT_EQ(s.environment().transfers.models.used(), 0u);
    EXPECT_EQ(s.environment().transfers.transfers.used(), 0u);
}

TEST(Pacing, ZeroWindowIsProbedByTheTimerAsEver) {
    Paced s{3'000};
    s.wait(10_ms);
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(3001).window(0));
    s.call_send_bytes(1'000);
    s.expect_between(200_ms, 2_s, Ack().seq(3000).length(0));
}

}  // namespace
}  // namespace synfin::conformance
