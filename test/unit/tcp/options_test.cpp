// MSS, window scale and timestamps: what we offer, what we accept, what holds afterwards.
#include <numeric>

#include <gtest/gtest.h>

#include "script.hpp"

namespace synfin::conformance {
namespace {

uint32_t longest(const std::vector<Sent>& all) {
    uint32_t length = 0;
    for (const auto& sent : all)
        length = std::max(length, static_cast<uint32_t>(sent.payload.size()));
    return length;
}
uint32_t total(const std::vector<Sent>& all) {
    return std::accumulate(all.begin(), all.end(), 0u, [](uint32_t sum, const Sent& sent) {
        return sum + static_cast<uint32_t>(sent.payload.size());
    });
}

// ---- MSS

TEST(Mss, Must14_Must67_Shld5_Shld6_May3_OfferedMssFollowsTheMtu) {
    for (uint16_t mtu :
         {uint16_t{576}, uint16_t{1280}, uint16_t{1500}, uint16_t{9000}, uint16_t{65535}}) {
        Script active{{.mtu = mtu}};
        active.call_open();
        active.expect(Syn().mss(static_cast<uint16_t>(mtu - 40)));
        Script passive{{.mtu = mtu}};
        passive.listen();
        passive.inject(Syn().seq(0));
        passive.expect(SynAck().mss(static_cast<uint16_t>(mtu - 40)));
    }
}

TEST(Mss, Must15_DefaultSendMssIs536) {
    for (const bool active : {false, true}) {
        Script s;
        s.establish({.mss = std::nullopt, .active = active});
        s.call_send_bytes(3000);
        s.expect(Data().seq(1).length(536));
        s.ignore_sent();
    }
}

TEST(Mss, Must14_Must16_EffectiveMssIsTheSmallerOfThePeersAndOurs) {
    for (auto [peer, expected] :
         {std::pair<uint16_t, uint32_t>{1000, 1000}, {9000, 1460}, {1461, 1460}}) {
        for (const bool active : {false, true}) {
            Script s;
            s.establish({.mss = peer, .active = active});
            s.call_send_bytes(4000);
            EXPECT_EQ(longest(s.take_sent()), expected) << peer;
        }
    }
}

TEST(Mss, OptionsTakeTheirRoomFromThePayload) {
    Script s;
    s.establish({.timestamps = true});
    s.call_send_bytes(4000);
    EXPECT_EQ(longest(s.take_sent()), 1448u);
}

TEST(Mss, ClampBoundsBothDirections) {
    tcp::Profile profile;
    profile.mss_clamp = 700;
    Script s{{.profile = profile}};
    s.call_open();
    s.expect(Syn().mss(700));
    s.inject(SynAck().seq(0).ack(1).mss(1460));
    s.expect(Ack().seq(1));
    s.call_send_bytes(3000);
    EXPECT_EQ(longest(s.take_sent()), 700u);
}

TEST(Mss, AbsurdlySmallMssIsRaisedToAFloor) {
    for (uint16_t mss : {uint16_t{0}, uint16_t{1}, uint16_t{12}, uint16_t{40}}) {
        Script s;
        s.establish({.mss = mss, .timestamps = true});
        s.call_send_bytes(2000);
        const auto all = s.take_sent();
        ASSERT_FALSE(all.empty()) << mss;
        EXPECT_GE(longest(all), 24u) << mss;
    }
}

TEST(Mss, Must65_MssStandsOnlyOnSyns) {
    for (const bool active : {false, true}) {
        Script s;
        s.establish({.active = active});
        s.call_send("data");
        s.expect(Data().no_mss());
        s.call_close();
        s.expect(FinAck().no_mss());
    }
}

// ---- window scale

TEST(WindowScale, ActiveOpenOffersWhatItsBufferNeeds) {
    tcp::Profile profile;
    for (auto [bytes, shift] : {std::pair<uint32_t, uint8_t>{65535, 0}, {65536, 1}, {1 << 20, 5}}) {
        profile.receive_buffer_bytes = bytes;
        Script s{{.profile = profile}};
        s.call_open();
        s.expect(Syn().window_scale(shift));
    }
}

TEST(WindowScale, IsAnsweredOnlyWhenOffered) {
    Script with;
    with.listen();
    with.inject(Syn().seq(0).window_scale(0));
    const auto sent = with.take_sent();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_TRUE(sent[0].options.has_window_scale);
    Script without;
    without.listen();
    without.inject(Syn().seq(0));
    without.expect(SynAck().no_window_scale());
}

TEST(WindowScale, SwitchedOffItIsNeitherOfferedNorAccepted) {
    tcp::Profile profile;
    profile.window_scaling = false;
    Script active{{.profile = profile}};
    active.call_open();
    active.expect(Syn().no_window_scale());
    Script passive{{.profile = profile}};
    passive.listen();
    passive.inject(Syn().seq(0).window_scale(7));
    passive.expect(SynAck().no_window_scale());
}

TEST(WindowScale, HoldsInBothDirectionsOrInNone) {
    tcp::Profile profile;
    profile.initial_window_segments = 60;
    Script none{{.profile = profile}};
    none.call_open();
    none.expect(Syn().seq(0));
    none.inject(SynAck().seq(0).ack(1).mss(1460).window(2920));
    const auto ack = none.take_sent();
    ASSERT_EQ(ack.size(), 1u);
    EXPECT_GT(ack[0].window, 60'000) << "unscaled, a 256 KB buffer announces all it can";
    none.call_send_bytes(50'000);
    EXPECT_LE(total(none.take_sent()), 2920u);

    Script both{{.profile = profile}};
    both.call_open();
    both.expect(Syn().seq(0));
    both.inject(SynAck().seq(0).ack(1).mss(1460).window(2920).window_scale(4));
    const auto scaled = both.take_sent();
    ASSERT_EQ(scaled.size(), 1u);
    EXPECT_GT(uint32_t{scaled[0].window} << 3, 100'000u);
    EXPECT_LT(scaled[0].window, 65535 / 2 + 10) << "the window field is scaled now";
    both.inject(Ack().seq(1).ack(1).window(2920));
    both.call_send_bytes(50'000);
    EXPECT_GT(total(both.take_sent()), 2920u * 4);
}

TEST(WindowScale, WindowOfASynIsNeverScaled) {
    tcp::Profile profile;
    profile.initial_window_segments = 60;
    Script s{{.profile = profile}};
    s.call_open();
    s.expect(Syn().seq(0));
    s.call_send_bytes(50'000);
    s.inject(SynAck().seq(0).ack(1).mss(1460).window(2920).window_scale(7));
    EXPECT_EQ(total(s.take_sent()), 2920u);
    s.inject(Ack().seq(1).ack(2921).window(2920));
    EXPECT_GT(total(s.take_sent()), 2920u);
}

TEST(WindowScale, OurOwnSynAndSynAckAnnounceAtMost65535Unscaled) {
    Script active;
    active.call_open();
    auto sent = active.take_sent();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_GE(sent[0].window, 14'600);
    Script passive;
    passive.listen();
    passive.inject(Syn().seq(0).window_scale(7));
    sent = passive.take_sent();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_GE(sent[0].window, 14'600);
}

TEST(WindowScale, ShiftBeyond14CountsAs14) {
    tcp::Profile profile;
    profile.initial_window_segments = 60;
    for (uint8_t shift : {uint8_t{14}, uint8_t{15}, uint8_t{64}, uint8_t{255}}) {
        Script s{{.profile = profile}};
        s.establish({.window = 1, .window_scale = shift});
        s.call_send_bytes(50'000);
        EXPECT_LE(total(s.take_sent()), 1u << 14) << int{shift};
        EXPECT_EQ(s.connection().snd_wnd, 1u << 14) << int{shift};
    }
}

TEST(WindowScale, Must1_WindowsAbove0x8000AreNotNegative) {
    tcp::Profile profile;
    profile.initial_window_segments = 60;
    profile.receive_buffer_bytes = 65'535;
    for (const bool active : {false, true}) {
        Script s{{.profile = profile}};
        s.establish({.window = 0xffff, .active = active});
        // The peer's, by what may be sent into it.
        s.call_send_bytes(65'535);
        EXPECT_EQ(total(s.take_sent()), 65'535u);
        // Ours, by what is taken at its far end.
        s.inject(Data().seq(60'001).ack(1).length(100));
        EXPECT_EQ(s.held_ranges(), 1u);
        s.ignore_sent();
    }
}

// ---- SACK-permitted

TEST(SackPermitted, IsAnsweredOnlyWhenOfferedAndWanted) {
    Script offered;
    offered.listen();
    offered.inject(Syn().seq(0).sack_permitted());
    offered.expect(SynAck().sack_permitted());
    Script not_offered;
    not_offered.listen();
    not_offered.inject(Syn().seq(0));
    not_offered.expect(SynAck().no_sack_permitted());
    tcp::Profile profile;
    profile.sack = false;
    Script unwanted{{.profile = profile}};
    unwanted.listen();
    unwanted.inject(Syn().seq(0).sack_permitted());
    unwanted.expect(SynAck().no_sack_permitted());
}

// ---- timestamps

TEST(Timestamps, AreOfferedOnTheSynWithAnEmptyEcho) {
    Script s;
    s.call_open();
    s.expect(Syn().echoing(0));
}

TEST(Timestamps, AreAnsweredOnlyWhenOfferedAndWanted) {
    Script offered;
    offered.listen();
    offered.inject(Syn().seq(0).timestamps(12345, 0));
    offered.expect(SynAck().echoing(12345));
    Script not_offered;
    not_offered.listen();
    not_offered.inject(Syn().seq(0));
    not_offered.expect(SynAck().no_timestamps());
    tcp::Profile profile;
    profile.timestamps = false;
    Script unwanted{{.profile = profile}};
    unwanted.listen();
    unwanted.inject(Syn().seq(0).timestamps(12345, 0));
    unwanted.expect(SynAck().no_timestamps());
}

TEST(Timestamps, OnceNegotiatedTheyStandOnEachSegment) {
    Script s;
    s.establish({.timestamps = true});
    s.call_send("data");
    s.expect(Data().with_timestamps());
    s.inject(Data().seq(1).ack(5).payload("data"));
    s.wait(100_ms);
    s.expect(Ack().with_timestamps());
    s.call_close();
    s.expect(FinAck().with_timestamps());
}

TEST(Timestamps, WithoutThePeersOptionInTheSynAckTheyStandOnNone) {
    Script s;
    s.call_open();
    s.expect(Syn().with_timestamps());
    s.inject(SynAck().seq(0).ack(1));
    s.expect(Ack().no_timestamps());
    s.call_send("data");
    s.expect(Data().no_timestamps());
}

TEST(Timestamps, ClockTicksBetweenAMillisecondAndASecond) {
    Script s;
    s.establish({.timestamps = true});
    s.call_send("a");
    const uint32_t before = s.take_sent().at(0).options.ts_value;
    s.inject(Ack().seq(1).ack(2));
    s.wait(10_s);
    s.call_send("b");
    const uint32_t ticks = s.take_sent().at(0).options.ts_value - before;
    EXPECT_GE(ticks, 10u);
    EXPECT_LE(ticks, 10'000u);
}

TEST(Timestamps, DelayedAckEchoesTheEarliestSegmentThatItCovers) {
    Script s;
    s.establish({.timestamps = true});
    s.inject(Data().seq(1).ack(1).length(100).timestamps(2000, s.last_ts_value()));
    s.inject(Data().seq(101).ack(1).length(100).timestamps(2005, s.last_ts_value()));
    s.wait(1_s);
    s.expect(Ack().ack(201).echoing(2000));
}

TEST(Timestamps, OutOfOrderSegmentIsNotEchoed) {
    Script s;
    s.establish({.timestamps = true});
    s.inject(Data().seq(1).ack(1).length(100).timestamps(2000, s.last_ts_value()));
    s.wait(1_s);
    s.expect(Ack().ack(101).echoing(2000));
    s.inject(Data().seq(201).ack(1).length(100).timestamps(2010, s.last_ts_value()));
    s.expect(Ack().ack(101).echoing(2000));
    s.inject(Data().seq(101).ack(1).length(100).timestamps(2020, s.last_ts_value()));
    s.expect(Ack().ack(301).echoing(2020));
}

TEST(Timestamps, StandOnOurResetToo) {
    Script s;
    s.establish({.timestamps = true});
    s.inject(Data().seq(1).ack(1).length(100).timestamps(2000, s.last_ts_value()));
    s.call_abort();
    s.expect(RstAck().seq(1).ack(101).echoing(2000));
}

// What is not acknowledged by anything that was sent is forged or old, and so is its stamp.
TEST(Timestamps, StampOfASegmentWhoseAckIsNotBelievedIsNotTaken) {
    Script s;
    s.establish({.timestamps = true});
    s.inject(Data().seq(1).ack(9999).length(10).timestamps(200'000, s.last_ts_value()));
    s.ignore_sent();
    s.inject(Data().seq(1).ack(1).length(100).timestamps(2000, s.last_ts_value()));
    s.expect_received_bytes(100);
    s.wait(1_s);
    s.expect(Ack().ack(101).echoing(2000));
}

// ---- PAWS

TEST(Paws, OlderTimestampIsAcknowledgedAndDropped) {
    Script s;
    s.establish({.timestamps = true});
    s.inject(Data().seq(1).ack(1).length(10).timestamps(5000, s.last_ts_value()));
    s.wait(1_s);
    s.expect(Ack().ack(11).echoing(5000));
    s.inject(Data().seq(11).ack(1).length(10).timestamps(4999, s.last_ts_value()));
    s.expect(Ack().ack(11).echoing(5000));
    s.expect_received_bytes(10);
    EXPECT_EQ(s.counters().drop_paws.load(), 1u);
}

TEST(Paws, ComparisonWrapsAround) {
    Script s;
    s.listen();
    s.inject(Syn().seq(0).timestamps(0xffff'fff0, 0));
    s.expect(SynAck().echoing(0xffff'fff0));
    s.inject(Ack().seq(1).ack(1).timestamps(0xffff'fff8, s.last_ts_value()));
    s.inject(Data().seq(1).ack(1).payload("new").timestamps(5, s.last_ts_value()));
    s.expect_received("new");
    s.wait(1_s);
    s.expect(Ack().ack(4).echoing(5));
    s.inject(Data().seq(4).ack(1).payload("old").timestamps(0xffff'fffa, s.last_ts_value()));
    s.expect(Ack().ack(4).echoing(5));
    s.expect_received("");
}

TEST(Paws, EqualTimestampIsAccepted) {
    Script s;
    s.establish({.timestamps = true});
    s.inject(Data().seq(1).ack(1).payload("a").timestamps(5000, s.last_ts_value()));
    s.inject(Data().seq(2).ack(1).payload("b").timestamps(5000, s.last_ts_value()));
    s.expect_received("ab");
    s.wait(1_s);
    s.ignore_sent();
}

TEST(Paws, ResetIsExempt) {
    Script s;
    s.establish({.timestamps = true});
    s.inject(Rst().seq(1).timestamps(1, 0));
    s.expect_state(State::closed);
    s.expect_closed(CloseReason::reset);
}

TEST(Paws, ResetWithoutTimestampIsAccepted) {
    Script s;
    s.establish({.timestamps = true});
    s.inject(Rst().seq(1).no_timestamps());
    s.expect_state(State::closed);
}

TEST(Paws, SegmentWithoutTheNegotiatedTimestampIsDroppedSilently) {
    Script s;
    s.establish({.timestamps = true});
    s.inject(Data().seq(1).ack(1).payload("x").no_timestamps());
    s.expect_nothing_for(1_s);
    s.expect_received("");
    EXPECT_EQ(s.counters().drop_no_timestamp.load(), 1u);
}

TEST(Paws, AfterTwentyFourDaysOfSilenceAnyTimestampIsAccepted) {
    Script s;
    s.establish({.timestamps = true});
    s.wait(Duration::hours(24 * 25));
    s.inject(Data().seq(1).ack(1).payload("hello again").timestamps(7, s.last_ts_value()));
    s.expect_received("hello again");
    s.wait(1_s);
    s.expect(Ack().ack(12).echoing(7));
}

TEST(Paws, TwentyFourDaysAreCountedFromTheLatestTimestamp) {
    Script s;
    s.establish({.timestamps = true});
    const uint32_t later = 2'000'000'000;
    s.wait(Duration::hours(24 * 20));
    s.inject(Data().seq(1).ack(1).payload("new").timestamps(later, s.last_ts_value()));
    s.wait(Duration::hours(24 * 10));
    s.ignore_sent();
    s.inject(Data().seq(4).ack(1).payload("old").timestamps(later - 1, s.last_ts_value()));
    s.expect(Ack().ack(4).echoing(later));
    s.expect_received("new");
}

TEST(Paws, OldTimestampOfASynAckRepeatedIsHarmless) {
    Script s;
    s.establish({.timestamps = true, .active = true});
    s.inject(SynAck().seq(0).ack(1).timestamps(1, 0));
    s.expect(Ack().seq(1).ack(1));
    s.expect_state(State::established);
}

}  // namespace
}  // namespace synfin::conformance
