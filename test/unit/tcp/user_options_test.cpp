// What a user may change on a connection that stands, and what such options do.
#include <gtest/gtest.h>

#include "scenes.hpp"

namespace synfin::conformance {
namespace {

tcp::Profile with_cork() {
    tcp::Profile profile;
    profile.cork = true;
    return profile;
}

TEST(Cork, HoldsBackASegmentThatIsNotFull) {
    Established s{with_cork(), {.mss = 1000}};
    s.call_send_bytes(1500);
    s.expect(Ack().seq(1).ack(1).length(1000));
    s.expect_nothing();
    s.inject(Ack().seq(1).ack(1001));
    s.expect_nothing();
    s.ignore_sent();
}

TEST(Cork, LetsTheLastSegmentGoWithTheFin) {
    Established s{with_cork()};
    s.call_send_bytes(100);
    s.expect_nothing();
    s.call_shutdown();
    s.expect(FinAck().seq(1).ack(1).length(100));
}

TEST(Cork, IsOverriddenByAPush) {
    Established s{with_cork()};
    s.call_send_bytes(100);
    s.expect_nothing();
    s.call_set_pushing(tcp::Pushing::now);
    s.expect(Ack().seq(1).ack(1).length(100));
    s.inject(Ack().seq(1).ack(101));
    s.call_send_bytes(100);
    s.expect_nothing();
    s.ignore_sent();
}

TEST(MoreFollows, HoldsBackASegmentThatIsNotFullUntilThePersistTimer) {
    Established s{{.mss = 1000, .round_trip = 10_ms}};
    s.call_send_more(500);
    s.expect_nothing();
    s.expect_after(210_ms, Ack().seq(1).ack(1).length(500));
    s.inject(Ack().seq(1).ack(501));
}

TEST(MoreFollows, HoldsBackNothingLongerThanUntilTheNextAck) {
    Established s{{.mss = 1000}};
    s.call_send_more(1500);
    s.expect(Ack().seq(1).ack(1).length(1000));
    s.expect_nothing();
    s.inject(Ack().seq(1).ack(1001));
    s.expect(Ack().seq(1001).ack(1).length(500));
    s.inject(Ack().seq(1).ack(1501));
    s.call_send_more(10);
    s.expect_nothing();
    s.ignore_sent();
}

TEST(MoreFollows, EndsWithASendThatDoesNotSaySo) {
    Established s{{.mss = 1000}};
    s.call_send_more(100);
    s.expect_nothing();
    s.call_send_bytes(100);
    s.call_set_pushing(tcp::Pushing::usual);
    s.expect(Ack().seq(1).ack(1).length(200));
}

/// Three records of a user whose window is closed, and then opened for all of them.
struct ThreeRecords : Established {
    explicit ThreeRecords(uint32_t first, uint32_t second, uint32_t third)
        : Established{with_no_nagle(), {.window = 0, .mss = 1000}} {
        call_send_record(first);
        call_send_record(second);
        call_send_record(third);
        expect_nothing();
        inject(Ack().seq(1).ack(1).window(10'000));
    }
    static tcp::Profile with_no_nagle() {
        tcp::Profile profile;
        profile.nagle = false;
        return profile;
    }
};

TEST(Record, SharesNoSegmentWithTheNext) {
    ThreeRecords s{400, 500, 100};
    s.expect(Data().seq(1).ack(1).length(400));
    s.expect(Data().seq(401).ack(1).length(500));
    s.expect(Data().seq(901).ack(1).length(100));
    s.inject(Ack().seq(1).ack(1001).window(10'000));
    s.expect_nothing();
}

TEST(Record, OfSeveralSegmentsEndsWithASmallOne) {
    ThreeRecords s{1000, 2500, 600};
    s.expect(Data().seq(1).ack(1).length(1000));
    s.expect(Ack().seq(1001).ack(1).length(1000));
    s.expect(Ack().seq(2001).ack(1).length(1000));
    s.expect(Data().seq(3001).ack(1).length(500));
    s.expect(Data().seq(3501).ack(1).length(600));
    s.inject(Ack().seq(1).ack(4101).window(10'000));
    s.expect_nothing();
}

TEST(Record, StaysApartWhenItIsSentAgain) {
    ThreeRecords s{400, 500, 100};
    s.ignore_sent();
    s.expect_after(210_ms, Data().seq(1).ack(1).length(400));
    s.expect(Data().seq(401).ack(1).length(500));
    s.expect(Data().seq(901).ack(1).length(100));
    s.inject(Ack().seq(1).ack(1001).window(10'000));
    s.expect_nothing();
}

TEST(WindowClamp, BoundsTheWindowThatIsAnnounced) {
    tcp::Profile profile;
    profile.window_clamp = 5000;
    Script s{{.profile = profile}};
    s.listen();
    s.inject(Syn().seq(0).mss(1000));
    s.expect(SynAck().seq(0).ack(1).window(5000));
}

TEST(SynRetries, GiveUpAfterSoManyRetransmissions) {
    tcp::Profile profile;
    profile.syn_retries = 2;
    Script s{{.profile = profile}};
    s.call_open();
    s.expect(Syn().seq(0));
    s.expect_after(1_s, Syn().seq(0));
    s.expect_after(2_s, Syn().seq(0));
    EXPECT_EQ(s.drain(100_s), 4_s);
    s.expect_closed(CloseReason::timed_out);
}

TEST(ChangeProfile, SwitchesKeepAliveOnWhileTheConnectionStands) {
    tcp::Profile profile;
    Established s{profile};
    profile.keep_alive = true;
    profile.keep_alive_idle = 30_s;
    s.change_profile(profile);
    s.expect_after(30_s, Ack().seq(0).ack(1));
    profile.keep_alive = false;
    s.change_profile(profile);
    EXPECT_FALSE(s.next_deadline());
}

}  // namespace
}  // namespace synfin::conformance
