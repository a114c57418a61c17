// Urgent data, out and in (RFC 9293 section 3.8.5).
#include <gtest/gtest.h>

#include "script.hpp"

namespace synfin::conformance {
namespace {

Packet urgent_data(uint16_t pointer) { return Data().urgent(pointer); }

// ---- out

TEST(UrgentOut, Must30_Must62_PointerNamesTheOctetBehindTheUrgentData) {
    Script s;
    s.establish();
    s.call_send_urgent("stop");
    s.expect(urgent_data(4).seq(1).payload("stop"));
    s.inject(Ack().seq(1).ack(5));
    s.call_send("and on");
    s.expect(Data().seq(5).payload("and on"));
}

TEST(UrgentOut, EverythingQueuedBeforeIsUrgentToo) {
    Script s;
    s.establish({.window = 4});
    s.call_send("abcdef");
    s.expect(Data().seq(1).payload("abcd"));
    s.call_send_urgent("!");
    s.expect(Ack().urgent(3).seq(5).ack(1));
    s.inject(Ack().seq(1).ack(5).window(100));
    s.expect(urgent_data(3).seq(5).payload("ef!"));
}

TEST(UrgentOut, PointerLeavesAtOnceWhereTheWindowIsClosed) {
    Script s;
    s.establish();
    s.inject(Ack().seq(1).ack(1).window(0));
    s.call_send_urgent("x");
    s.expect(Ack().urgent(1).seq(1).ack(1));
    s.wait(3_s);
    for (const auto& probe : s.take_sent()) EXPECT_TRUE(probe.flags.urg()) << to_text(probe);
}

TEST(UrgentOut, Must31_LongerThanThePointerReachesIsAnnouncedStepByStep) {
    Script s;
    s.establish({.window = 65535, .mss = 1000, .window_scale = 4});
    s.call_send_bytes(100'000);
    s.ignore_sent();
    s.call_send_urgent("!");
    uint32_t edge = 0;
    for (uint32_t acked = 1; acked < 100'002;) {
        acked = std::min(s.sent_end(), acked + 2000);
        s.inject(Ack().seq(1).ack(acked));
        for (const auto& sent : s.take_sent()) {
            ASSERT_TRUE(sent.flags.urg()) << to_text(sent);
            ASSERT_EQ(sent.urgent, std::min(100'002 - sent.seq, 65535u)) << to_text(sent);
            edge = sent.seq + sent.urgent;
        }
    }
    EXPECT_EQ(edge, 100'002u);
}

TEST(UrgentOut, RetransmissionSaysItAgain) {
    Script s;
    s.establish();
    s.call_send_urgent("stop");
    s.expect(urgent_data(4).seq(1));
    s.expect_between(1_ms, 3_s, urgent_data(4).seq(1).payload("stop"));
}

TEST(UrgentOut, NagleDoesNotHoldIt) {
    Script s;
    s.establish();
    s.call_send("a");
    s.expect(Data().seq(1).payload("a"));
    s.call_send_urgent("b");
    s.expect(urgent_data(1).seq(2).payload("b"));
}

TEST(UrgentOut, BeforeTheHandshakeItWaitsForIt) {
    Script s;
    s.call_open();
    s.expect(Syn().seq(0));
    s.call_send_urgent("x");
    s.expect_nothing();
    s.inject(SynAck().seq(0).ack(1));
    s.expect(urgent_data(1).seq(1).payload("x"));
}

TEST(UrgentOut, Shld13_NothingIsUrgentThatNobodyCalledSo) {
    Script s;
    s.establish();
    s.call_send("x");
    s.expect(Data().seq(1).payload("x"));
    EXPECT_EQ(tcp::urgent_bytes(s.connection(), s.environment()), 0u);
}

// ---- in

TEST(UrgentIn, Must30_Must32_UserIsToldAndReadsItInItsPlace) {
    Script s;
    s.establish();
    s.inject(urgent_data(3).seq(1).ack(1).payload("abcdef"));
    EXPECT_EQ(s.urgent_told(), std::vector<uint32_t>{3});
    s.expect_received("abcdef");
    s.inject(Data().seq(7).ack(1).payload("g"));
    EXPECT_EQ(s.urgent_told().size(), 1u);
    s.expect_received("g");
    s.ignore_sent();
}

TEST(UrgentIn, Must32_UserIsToldAheadOfTheDataAndWheneverThePointerAdvances) {
    Script s;
    s.establish();
    s.inject(Ack().urgent(100).seq(1).ack(1));
    EXPECT_EQ(s.urgent_told(), std::vector<uint32_t>{100});
    s.inject(Ack().urgent(100).seq(1).ack(1));
    s.inject(urgent_data(90).seq(1).ack(1).length(10));
    EXPECT_EQ(s.urgent_told().size(), 1u) << "neither for the same pointer nor for an older one";
    s.inject(urgent_data(100).seq(11).ack(1).length(10));
    EXPECT_EQ(s.urgent_told(), (std::vector<uint32_t>{100, 100})) << "it reaches ten bytes further";
    s.ignore_sent();
}

TEST(UrgentIn, Must32_NewUrgentDataAfterTheOldWasReadIsTold) {
    Script s;
    s.establish();
    s.inject(urgent_data(1).seq(1).ack(1).payload("a"));
    s.inject(Data().seq(2).ack(1).payload("b"));
    s.inject(urgent_data(1).seq(3).ack(1).payload("c"));
    EXPECT_EQ(s.urgent_told(), (std::vector<uint32_t>{1, 1}));
    s.expect_received("abc");
    s.ignore_sent();
}

TEST(UrgentIn, Must33_UserLearnsHowMuchRemains) {
    Script s;
    s.establish();
    s.stop_reading();
    const auto remaining = [&] { return tcp::urgent_bytes(s.connection(), s.environment()); };
    s.inject(urgent_data(8).seq(1).ack(1).payload("abcdef"));
    EXPECT_EQ(remaining(), 8u) << "two of them have not arrived";
    s.call_read(4);
    EXPECT_EQ(remaining(), 4u);
    s.inject(Data().seq(7).ack(1).payload("ghij"));
    s.call_read(4);
    EXPECT_EQ(remaining(), 0u);
    s.resume_reading();
    s.expect_received("abcdefghij");
    s.ignore_sent();
}

TEST(UrgentIn, Must31_AnyLengthIsTaken) {
    Script s;
    s.establish();
    uint32_t seq = 1;
    for (int i = 0; i < 200; ++i, seq += 1000) {
        s.inject(urgent_data(65535).seq(seq).ack(1).length(1000));
    }
    EXPECT_EQ(s.urgent_told().size(), 200u);
    s.expect_received_bytes(200'000);
    s.ignore_sent();
}

TEST(UrgentIn, Must66_PointerIsTakenWithAClosedWindow) {
    Script s{{.profile = {.receive_buffer_bytes = 2000}}};
    s.establish();
    s.stop_reading();
    s.inject(Data().seq(1).ack(1).length(1000));
    s.inject(Data().seq(1001).ack(1).length(1000));
    s.ignore_sent();
    s.inject(Ack().urgent(5).seq(2001).ack(1));
    EXPECT_EQ(s.urgent_told(), std::vector<uint32_t>{2005});
    s.resume_reading();
    s.ignore_sent();
}

TEST(UrgentIn, PointerThatLiesBehindChangesNothing) {
    Script s;
    s.establish();
    s.inject(Data().seq(1).ack(1).payload("abcdef"));
    s.inject(urgent_data(0).seq(7).ack(1).payload("g"));
    s.inject(urgent_data(3).seq(1).ack(1).payload("abcdef"));
    EXPECT_TRUE(s.urgent_told().empty());
    s.expect_received("abcdefg");
    s.ignore_sent();
}

TEST(UrgentIn, FinEndsItWhereverThePointerWas) {
    Script s;
    s.establish();
    s.inject(Packet{wire::flag::fin | wire::flag::ack}.urgent(1000).seq(1).ack(1));
    EXPECT_EQ(s.urgent_told(), std::vector<uint32_t>{1000});
    EXPECT_EQ(tcp::urgent_bytes(s.connection(), s.environment()), 0u);
    s.expect_state(State::close_wait);
    s.ignore_sent();
}

TEST(UrgentIn, MemoryThatIsNotThereCostsOnlyTheNews) {
    Script s{{.transfers = 0}};
    s.establish();
    s.inject(urgent_data(1).seq(1).ack(1).payload("abc"));
    EXPECT_TRUE(s.urgent_told().empty());
    s.expect_received("abc");
    s.ignore_sent();
}

TEST(UrgentIn, IdleConnectionKeepsNoMemoryForWhatWasRead) {
    Script s;
    s.establish();
    s.inject(urgent_data(3).seq(1).ack(1).payload("abc"));
    s.ignore_sent();
    EXPECT_EQ(s.connection().transfer.load(), no_index);
}

}  // namespace
}  // namespace synfin::conformance
