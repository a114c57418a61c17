// When and how we acknowledge: delayed ACKs, aggregation, immediate ACKs.
#include <gtest/gtest.h>

#include "script.hpp"

namespace synfin::conformance {
namespace {

TEST(DelayedAck, Must40_SmallSegmentIsAcknowledgedWithinHalfASecond) {
    for (const bool active : {false, true}) {
        Script s;
        s.establish({.active = active});
        s.inject(Data().seq(1).ack(1).length(1));
        s.expect_between(1_us, 499_ms, Ack().seq(1).ack(2));
    }
}

TEST(DelayedAck, Shld18_SmallSegmentIsAcknowledgedAfterTheDelay) {
    Script s;
    s.establish();
    s.inject(Data().seq(1).ack(1).length(100));
    s.expect_after(s.setup().profile.delayed_ack, Ack().seq(1).ack(101));
    EXPECT_EQ(s.counters().delayed_acks.load(), 1u);
}

TEST(DelayedAck, OfWhatItsSenderWaitsWithCanBeShorter) {
    Script s{{.profile = {.prompt_ack = 1_ms}}};
    s.establish();
    s.inject(Data().seq(1).ack(1).length(10).psh());
    s.expect_after(1_ms, Ack().seq(1).ack(11));
    s.inject(Data().seq(11).ack(1).length(10));
    s.expect_after(s.setup().profile.delayed_ack, Ack().seq(1).ack(21));
    s.inject(Data().seq(21).ack(1).length(536));
    s.expect_after(1_ms, Ack().seq(1).ack(557));
}

TEST(DelayedAck, ZeroDelayAcknowledgesAtOnce) {
    tcp::Profile profile;
    profile.delayed_ack = Duration{};
    Script s{{.profile = profile}};
    s.establish();
    s.inject(Data().seq(1).ack(1).length(100));
    s.expect(Ack().seq(1).ack(101));
}

TEST(DelayedAck, Shld19_EachSecondFullSegmentIsAcknowledgedAtOnce) {
    Script s;
    s.establish();
    for (uint32_t i = 0; i < 8; ++i) {
        s.inject(Data().seq(1 + 1460 * i).ack(1).length(1460));
        if (i % 2 == 1) s.expect(Ack().seq(1).ack(1 + 1460 * (i + 1)));
    }
    s.expect_nothing_for(1_s);
}

TEST(DelayedAck, Shld19_EachSecondSegmentIsAcknowledgedAtOnceWhateverItsSize) {
    Script s;
    s.establish();
    s.inject(Data().seq(1).ack(1).length(10));
    s.expect_nothing();
    s.inject(Data().seq(11).ack(1).length(20));
    s.expect(Ack().seq(1).ack(31));
}

TEST(DelayedAck, TwoFullSegmentsWithTimestampsAreAcknowledgedAtOnce) {
    Script s;
    s.establish({.timestamps = true});
    s.inject(Data().seq(1).ack(1).length(1448));
    s.expect_nothing();
    s.inject(Data().seq(1449).ack(1).length(1448));
    s.expect(Ack().seq(1).ack(2897));
}

TEST(DelayedAck, RidesOnDataThatLeavesMeanwhile) {
    Script s;
    s.establish();
    s.inject(Data().seq(1).ack(1).payload("question"));
    s.call_send("answer");
    s.expect(Data().seq(1).ack(9).payload("answer"));
    s.inject(Ack().seq(9).ack(7));
    s.expect_nothing_for(10_s);
}

TEST(Acknowledgment, Must58_Must59_BurstIsAcknowledgedOnce) {
    Script s;
    s.establish();
    std::vector<Packet> burst;
    for (uint32_t i = 0; i < 10; ++i) burst.push_back(Data().seq(1 + 1460 * i).ack(1).length(1460));
    s.inject_burst(burst);
    s.expect(Ack().seq(1).ack(14'601));
    s.expect_nothing();
    s.expect_received_bytes(14'600);
}

TEST(Acknowledgment, PlainAckIsNeverAcknowledged) {
    Script s;
    s.establish();
    for (int i = 0; i < 5; ++i) s.inject(Ack().seq(1).ack(1));
    s.expect_nothing_for(10_s);
}

TEST(Acknowledgment, May13_OutOfOrderSegmentIsAnsweredAtOnce) {
    Script s;
    s.establish();
    s.inject(Data().seq(101).ack(1).length(10));
    s.expect(Ack().seq(1).ack(1));
    s.inject(Data().seq(111).ack(1).length(10));
    s.expect(Ack().seq(1).ack(1));
}

TEST(Acknowledgment, SegmentThatFillsAHoleIsAnsweredAtOnce) {
    Script s;
    s.establish();
    s.inject(Data().seq(11).ack(1).length(10));
    s.expect(Ack().seq(1).ack(1));
    s.inject(Data().seq(1).ack(1).length(10));
    s.expect(Ack().seq(1).ack(21));
    s.expect_received_bytes(20);
}

TEST(Acknowledgment, FillingTheFirstOfTwoHolesIsAnsweredAtOnce) {
    Script s;
    s.establish();
    s.inject(Data().seq(11).ack(1).length(10));
    s.expect(Ack().seq(1).ack(1));
    s.inject(Data().seq(31).ack(1).length(10));
    s.expect(Ack().seq(1).ack(1));
    s.inject(Data().seq(1).ack(1).length(10));
    s.expect(Ack().seq(1).ack(21));
    s.inject(Data().seq(21).ack(1).length(10));
    s.expect(Ack().seq(1).ack(41));
    s.expect_received_bytes(40);
}

TEST(Acknowledgment, RepeatedSegmentIsAnsweredAtOnce) {
    Script s;
    s.establish();
    s.inject(Data().seq(1).ack(1).length(10));
    s.wait(1_s);
    s.expect(Ack().ack(11));
    s.inject(Data().seq(1).ack(1).length(10));
    s.expect(Ack().ack(11));
    s.expect_received_bytes(10);
}

TEST(Acknowledgment, FinIsAnsweredAtOnce) {
    Script s;
    s.establish();
    s.inject(FinAck().seq(1).ack(1));
    s.expect(Ack().seq(1).ack(2));
}

}  // namespace
}  // namespace synfin::conformance
