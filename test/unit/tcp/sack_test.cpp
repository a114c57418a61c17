// Selective acknowledgment: the blocks that we send (RFC 2018, RFC 2883), what we make of the
// peer's, and how much leaves during a recovery (RFC 6675, RFC 6937, RFC 3042).
#include <gtest/gtest.h>

#include "scenes.hpp"

namespace synfin::conformance {
namespace {

constexpr Script::Handshake with_sack{
    .mss = 1000, .sack_permitted = true, .active = true, .round_trip = Duration::milliseconds(100)};

/// Ten segments of 1000 bytes in flight, one round trip ago; ten more queued.
void fill_the_initial_window(Script& s, uint32_t bytes = 20'000) {
    s.establish(with_sack);
    s.call_send_bytes(bytes);
    ASSERT_EQ(s.take_sent().size(), std::min<size_t>(bytes / 1000, 10));
    s.wait(100_ms);
}

// ---- what we report

TEST(SackReport, Rfc2018_BlockOfTheSegmentThatCausedTheAckIsFirst) {
    Script s{new_reno()};
    s.establish({.sack_permitted = true});
    s.inject(Data().seq(401).ack(1).length(100));
    s.expect(Ack().ack(1).sack({{401, 501}}));
    s.inject(Data().seq(201).ack(1).length(100));
    s.expect(Ack().ack(1).sack({{201, 301}, {401, 501}}));
    s.inject(Data().seq(501).ack(1).length(100));
    s.expect(Ack().ack(1).sack({{401, 601}, {201, 301}}));
}

TEST(SackReport, Rfc2018_OthersFollowByWhenTheyWereReportedLast) {
    Script s{new_reno()};
    s.establish({.sack_permitted = true});
    for (uint32_t at : {201u, 801u, 401u, 601u}) {
        s.inject(Data().seq(at).ack(1).length(100));
    }
    const auto sent = s.take_sent();
    ASSERT_EQ(sent.size(), 4u);
    const std::vector<RelativeBlock> blocks{{601, 701}, {401, 501}, {801, 901}, {201, 301}};
    EXPECT_EQ(sent[3].sack_blocks, blocks);
}

TEST(SackReport, Rfc2018_ThreeBlocksFitBesideTimestamps) {
    Script s{new_reno()};
    s.establish({.timestamps = true, .sack_permitted = true});
    for (uint32_t at : {201u, 801u, 401u, 601u}) {
        s.inject(Data().seq(at).ack(1).length(100));
    }
    EXPECT_EQ(s.take_sent().back().sack_blocks.size(), 3u);
}

TEST(SackReport, Rfc2883_DuplicateOfWhatWasDeliveredIsTheFirstBlock) {
    Script s{new_reno()};
    s.establish({.sack_permitted = true});
    s.inject(Data().seq(1).ack(1).length(100));
    s.inject(Data().seq(1).ack(1).length(100));
    s.expect(Ack().ack(101).sack({{1, 101}}));
    s.inject(Data().seq(301).ack(1).length(100));
    s.expect(Ack().ack(101).sack({{301, 401}}));
    s.inject(Data().seq(51).ack(1).length(50));
    s.expect(Ack().ack(101).sack({{51, 101}, {301, 401}}));
    EXPECT_EQ(s.counters().dsacks_sent.load(), 2u);
}

TEST(SackReport, Rfc2883_DuplicateOfWhatIsHeldIsFollowedByTheBlockAroundIt) {
    Script s{new_reno()};
    s.establish({.sack_permitted = true});
    s.inject(Data().seq(201).ack(1).length(300));
    s.expect(Ack().ack(1).sack({{201, 501}}));
    s.inject(Data().seq(301).ack(1).length(100));
    s.expect(Ack().ack(1).sack({{301, 401}, {201, 501}}));
}

TEST(SackReport, Rfc2883_PartlyOldSegmentReportsItsOldPart) {
    Script s{new_reno()};
    s.establish({.sack_permitted = true});
    s.inject(Data().seq(1).ack(1).length(100));
    s.inject(Data().seq(51).ack(1).length(100));
    s.expect(Ack().ack(151).sack({{51, 101}}));
    s.expect_received_bytes(150);
}

TEST(SackReport, Rfc2883_HeldPartOfWhatFillsAHoleIsReported) {
    Script s{new_reno()};
    s.establish({.sack_permitted = true});
    s.inject(Data().seq(101).ack(1).length(100));
    s.inject(Data().seq(301).ack(1).length(100));
    s.ignore_sent();
    s.inject(Data().seq(1).ack(1).length(175));
    s.expect(Ack().ack(201).sack({{101, 176}, {301, 401}}));
    s.inject(Data().seq(201).ack(1).length(200));
    s.expect(Ack().ack(401).sack({{301, 401}}));
    s.expect_received_bytes(400);
}

TEST(SackReport, Rfc2883_HeldPartOfWhatMakesAHoleSmallerIsReported) {
    Script s{new_reno()};
    s.establish({.sack_permitted = true});
    s.inject(Data().seq(101).ack(1).length(100));
    s.inject(Data().seq(301).ack(1).length(100));
    s.ignore_sent();
    s.inject(Data().seq(51).ack(1).length(75));
    s.expect(Ack().ack(1).sack({{101, 126}, {51, 201}, {301, 401}}));
    s.inject(Data().seq(351).ack(1).length(100));
    s.expect(Ack().ack(1).sack({{351, 401}, {301, 451}, {51, 201}}));
}

TEST(SackReport, Rfc2883_OfSeveralHeldPartsTheFirstIsReported) {
    Script s{new_reno()};
    s.establish({.sack_permitted = true});
    for (const uint32_t at : {101u, 301u, 501u}) s.inject(Data().seq(at).ack(1).length(100));
    s.ignore_sent();
    s.inject(Data().seq(51).ack(1).length(300));
    s.expect(Ack().ack(1).sack({{101, 201}, {51, 401}, {501, 601}}));
    s.inject(Data().seq(1).ack(1).length(600));
    s.expect(Ack().ack(601).sack({{51, 401}}));
}

// RFC 2018 section 3 speaks of blocks of data. Linux counts the FIN, FreeBSD does not.
TEST(SackReport, Rfc2018_FinThatWaitsBehindAHoleIsNoPartOfABlock) {
    Script s;
    s.establish({.sack_permitted = true});
    s.inject(Data().seq(201).ack(1).length(100).fin());
    s.expect(Ack().ack(1).sack({{201, 301}}));
    s.inject(Data().seq(1).ack(1).length(200));
    s.expect(Ack().ack(302));
}

TEST(SackReport, Rfc2883_PartsBelowAndBehindTheHoleAreOneReportOfTheFirst) {
    Script s{new_reno()};
    s.establish({.sack_permitted = true});
    s.inject(Data().seq(1).ack(1).length(100));
    s.inject(Data().seq(201).ack(1).length(100));
    s.ignore_sent();
    s.inject(Data().seq(51).ack(1).length(200));
    s.expect(Ack().ack(301).sack({{51, 101}}));
}

TEST(SackReport, Rfc2018_OrderOfTheOthersOutlivesTheEndOfAHole) {
    Script s{new_reno()};
    s.establish({.sack_permitted = true});
    for (const uint32_t at : {101u, 701u, 301u, 501u}) {
        s.inject(Data().seq(at).ack(1).length(100));
    }
    s.ignore_sent();
    s.inject(Data().seq(1).ack(1).length(100));
    s.expect(Ack().ack(201).sack({{501, 601}, {301, 401}, {701, 801}}));
}

TEST(SackReport, WithoutSackNothingHeldIsReportedTwice) {
    Script s{new_reno()};
    s.establish();
    s.inject(Data().seq(101).ack(1).length(100));
    s.inject(Data().seq(101).ack(1).length(100));
    s.ignore_sent();
    EXPECT_EQ(s.counters().dsacks_sent.load(), 0u);
}

TEST(SackReport, Rfc2883_DuplicateIsReportedOnce) {
    Script s{new_reno()};
    s.establish({.sack_permitted = true});
    s.inject(Data().seq(1).ack(1).length(100));
    s.inject(Data().seq(1).ack(1).length(100));
    s.expect(Ack().ack(101).sack({{1, 101}}));
    s.inject(Data().seq(201).ack(1).length(100));
    s.expect(Ack().ack(101).sack({{201, 301}}));
}

TEST(SackReport, WithoutSackNoDuplicateIsReported) {
    Script s{new_reno()};
    s.establish();
    s.inject(Data().seq(1).ack(1).length(100));
    s.inject(Data().seq(1).ack(1).length(100));
    s.expect(Ack().ack(101).sack({}));
    EXPECT_EQ(s.counters().dsacks_sent.load(), 0u);
}

// ---- what the peer reports

TEST(SackRecovery, Rfc6675_OnlyTheHolesAreSentAgain) {
    Script s{new_reno()};
    fill_the_initial_window(s, 10'000);
    // Segments 1 and 4 are missing.
    s.inject(Ack().seq(1).ack(1).sack({{1001, 3001}}));
    s.inject(Ack().seq(1).ack(1).sack({{4001, 8001}, {1001, 3001}}));
    s.inject(Ack().seq(1).ack(1).sack({{4001, 10'001}, {1001, 3001}}));
    EXPECT_EQ(sequences(s.take_sent()), (Numbers{1, 3001}));
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(10'001));
    s.expect_nothing_for(10_s);
    EXPECT_EQ(s.counters().retrans_segs.load(), 2u);
    EXPECT_EQ(s.counters().timeouts.load(), 0u);
}

TEST(SackRecovery, Rfc3042_EachReportedSegmentLetsANewOneOut) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    s.inject(Ack().seq(1).ack(1).sack({{1001, 2001}}));
    EXPECT_EQ(sequences(s.take_sent()), Numbers{10'001});
    s.inject(Ack().seq(1).ack(1).sack({{1001, 3001}}));
    EXPECT_EQ(sequences(s.take_sent()), Numbers{11'001});
}

// RecoverFS is 10,000 and ssthresh 5000.
TEST(SackRecovery, Rfc6937_HalfOfWhatArrivesLeavesUntilTheFlightIsHalf) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    s.inject(Ack().seq(1).ack(1).sack({{1001, 4001}}));
    EXPECT_EQ(s.connection().ssthresh, 5000u);
    // 3000 have arrived: 1500 may leave, and there is no half a segment.
    EXPECT_EQ(sequences(s.take_sent()), Numbers{1});
    std::vector<size_t> sent;
    for (uint32_t end = 5001; end <= 8001; end += 1000) {
        s.inject(Ack().seq(1).ack(1).sack({{1001, end}}));
        sent.push_back(s.take_sent().size());
    }
    // 4000: 2000, of which 1000 have left; 5000: 2500, of which 2000 have; then the flight is half,
    // and what leaves is what arrives.
    EXPECT_EQ(sent, (std::vector<size_t>{1, 0, 0, 1}));
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(s.sent_end()));
    EXPECT_EQ(s.connection().cwnd, 5000u);
    s.ignore_sent();
}

TEST(SackRecovery, Rfc6937_WhatLeavesGrowsBackToTheThresholdWhenMoreWasLost) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    // Seven of ten are lost: 3000 have arrived, nothing is in flight.
    s.inject(Ack().seq(1).ack(1).sack({{7001, 10'001}}));
    // As much as has arrived and a segment more (the slow start reduction bound).
    EXPECT_EQ(sequences(s.take_sent()), (Numbers{1, 1001, 2001, 3001}));
    s.inject(Ack().seq(1).ack(1001).sack({{7001, 10'001}}));
    EXPECT_EQ(sequences(s.take_sent()), (Numbers{4001, 5001}));
    s.ignore_sent();
}

TEST(SackRecovery, Rfc6937_EachRecoveryCountsFromItsOwnBeginning) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    s.inject(Ack().seq(1).ack(1).sack({{1001, 4001}}));
    s.ignore_sent();
    s.inject(Ack().seq(1).ack(s.sent_end()));
    const uint32_t first = s.take_sent().at(0).seq;
    s.wait(100_ms);
    s.inject(Ack().seq(1).ack(first).sack({{first + 1000, first + 4000}}));
    const auto& recovery = s.environment().transfers.transfers[s.connection().transfer].recovery;
    EXPECT_EQ(s.counters().fast_retransmits.load(), 2u);
    EXPECT_EQ(recovery.delivered, 3000u);
    EXPECT_EQ(recovery.sent, 1000u);
    s.ignore_sent();
}

TEST(SackRecovery, Rfc6675_LossesOfOneFlightHalveTheWindowOnce) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    s.inject(Ack().seq(1).ack(1).sack({{1001, 4001}}));
    s.inject(Ack().seq(1).ack(1).sack({{5001, 9001}, {1001, 4001}}));
    s.inject(Ack().seq(1).ack(4001).sack({{5001, 9001}}));
    EXPECT_EQ(s.connection().ssthresh, 5000u);
    EXPECT_EQ(s.counters().fast_retransmits.load(), 1u);
    s.ignore_sent();
}

TEST(SackRecovery, Rfc6675_WhatWasReportedDoesNotGoAgainAfterATimeout) {
    Script s{new_reno()};
    fill_the_initial_window(s, 10'000);
    s.inject(Ack().seq(1).ack(1).sack({{3001, 9001}}));
    s.ignore_sent();
    s.expect_between(100_ms, 2_s, Data().seq(1).length(1000));
    s.inject(Ack().seq(1).ack(1001).sack({{3001, 9001}}));
    EXPECT_EQ(sequences(s.take_sent()), (Numbers{1001, 2001}));
    s.inject(Ack().seq(1).ack(9001));
    EXPECT_EQ(sequences(s.take_sent()), Numbers{9001});
    s.inject(Ack().seq(1).ack(10'001));
    s.expect_nothing_for(10_s);
    EXPECT_EQ(s.counters().sack_reneging.load(), 0u);
}

TEST(SackRecovery, Rfc2018_PeerThatForgetsAfterATimeoutGetsEverythingAtTheNext) {
    Script s{new_reno()};
    fill_the_initial_window(s, 10'000);
    s.inject(Ack().seq(1).ack(1).sack({{1001, 10'001}}));
    s.expect(Data().seq(1).length(1000));
    s.expect_between(100_ms, 2_s, Data().seq(1).length(1000));
    s.inject(Ack().seq(1).ack(1001));
    s.expect_between(100_ms, 2_s, Data().seq(1001).length(1000));
    EXPECT_EQ(s.counters().sack_reneging.load(), 1u);
    s.inject(Ack().seq(1).ack(2001));
    EXPECT_EQ(sequences(s.take_sent()), (Numbers{2001, 3001}));
}

TEST(SackRecovery, Rfc2018_PeerThatRenegesGetsEverythingAgain) {
    Script s{new_reno()};
    fill_the_initial_window(s, 3000);
    s.inject(Ack().seq(1).ack(1001).sack({{1001, 3001}}));
    s.expect_nothing();
    s.expect_between(200_ms, 2_s, Data().seq(1001).length(1000));
    EXPECT_EQ(s.counters().sack_reneging.load(), 1u);
    s.inject(Ack().seq(1).ack(2001));
    s.expect(Data().seq(2001).length(1000));
    s.inject(Ack().seq(1).ack(3001));
    s.expect_nothing_for(10_s);
}

TEST(SackRecovery, Rfc2018_ReportOfTheFirstOctetAloneIsWorthNothingAfterATimeout) {
    Script s{new_reno()};
    fill_the_initial_window(s, 10'000);
    s.inject(Ack().seq(1).ack(1).sack({{1, 1001}}));
    s.expect_between(100_ms, 2_s, Data().seq(1).length(1000));
    EXPECT_EQ(s.counters().sack_reneging.load(), 1u);
}

TEST(SackRecovery, ForgedBlocksAreIgnoredAndCounted) {
    Script s{new_reno()};
    fill_the_initial_window(s);
    const std::vector<std::vector<RelativeBlock>> forged{
        {{20'001, 30'001}},            // never sent
        {{5001, 30'001}},              // its end was never sent
        {{3001, 2001}},                // inverted
        {{2001, 2001}},                // empty
        {{1 - 5000u, 2001}},           // begins before what is in flight
        {{0x8000'0001u, 0x9000'0001}}  // far away
    };
    for (const auto& blocks : forged) s.inject(Ack().seq(1).ack(1).sack(blocks));
    EXPECT_EQ(s.counters().sack_blocks_ignored.load(), forged.size());
    for (const auto& sent : s.take_sent()) EXPECT_GE(sent.seq, 10'001u) << to_text(sent);
    EXPECT_EQ(s.counters().fast_retransmits.load(), 0u);
    EXPECT_EQ(s.connection().cwnd, 10'000u);
}

TEST(SackRecovery, ReportOfEverythingFreesNothing) {
    Script s{new_reno()};
    fill_the_initial_window(s, 10'000);
    s.inject(Ack().seq(1).ack(1).sack({{1, 10'001}}));
    s.expect_nothing();
    // The bytes are still there when the peer turns out not to have them.
    s.expect_between(200_ms, 2_s, Data().seq(1).length(1000));
    s.inject(Ack().seq(1).ack(10'001));
    s.expect_nothing_for(5_s);
}

TEST(SackRecovery, ManyHolesStayWithinTheBoundAndEverythingArrives) {
    tcp::Profile profile;
    profile.initial_window_segments = 100;
    Script s{{.profile = profile, .ranges = 8}};
    s.establish({.window = 65535, .mss = 100, .sack_permitted = true, .active = true});
    s.call_send_bytes(10'000);
    s.ignore_sent();
    s.wait(10_ms);
    for (uint32_t at = 101; at < 10'001; at += 200)
        s.inject(Ack().seq(1).ack(1).sack({{at, at + 100}}));
    EXPECT_GT(s.counters().flight_coarse.load(), 0u);
    s.ignore_sent();
    for (uint32_t acked = 101; acked <= 10'001; acked += 100) s.inject(Ack().seq(1).ack(acked));
    s.ignore_sent();
    s.expect_nothing_for(10_s);
}

}  // namespace
}  // namespace synfin::conformance
