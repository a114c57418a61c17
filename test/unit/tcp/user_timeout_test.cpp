// The user timeout option (RFC 5482): when it is sent, and what a peer's advice does.
#include <gtest/gtest.h>

#include <synfin/tcp/user_timeout.hpp>

#include "script.hpp"

namespace synfin::conformance {
namespace {

using tcp::adopted_user_timeout;
using tcp::decode_user_timeout;
using tcp::encode_user_timeout;

Setup enabled() {
    Setup setup;
    setup.profile.user_timeout_option = true;
    setup.profile.advertised_user_timeout = Duration::seconds(300);
    setup.profile.timestamps = false;
    return setup;
}

/// How often the option stands in what was sent.
unsigned count_options(Script& s) {
    unsigned count = 0;
    for (const Sent& sent : s.take_sent()) count += sent.options.has_user_timeout ? 1 : 0;
    return count;
}

TEST(UserTimeoutOption, Rfc5482_HoldsSecondsOrMinutes) {
    EXPECT_EQ(encode_user_timeout(Duration::seconds(300)), 300);
    EXPECT_EQ(encode_user_timeout(Duration::seconds(32767)), 32767);
    EXPECT_EQ(encode_user_timeout(Duration::seconds(32768)), 0x8000 | 546);
    EXPECT_EQ(encode_user_timeout(Duration::forever()), 0xffff);
    EXPECT_EQ(encode_user_timeout(Duration::milliseconds(1)), 1);
    EXPECT_EQ(decode_user_timeout(300), Duration::seconds(300));
    EXPECT_EQ(decode_user_timeout(0x8000 | 10), Duration::minutes(10));
    EXPECT_EQ(decode_user_timeout(0), Duration{});
    EXPECT_EQ(decode_user_timeout(0x8000), Duration{});
}

TEST(UserTimeoutOption, Rfc5482_TheLongerOfBothCountsWithinTheLimits) {
    tcp::Profile p;
    p.advertised_user_timeout = Duration::seconds(200);
    p.least_user_timeout = Duration::seconds(100);
    p.most_user_timeout = Duration::seconds(1000);
    EXPECT_EQ(adopted_user_timeout(p, Duration::seconds(150)), Duration::seconds(200));
    EXPECT_EQ(adopted_user_timeout(p, Duration::seconds(500)), Duration::seconds(500));
    EXPECT_EQ(adopted_user_timeout(p, Duration::seconds(5000)), Duration::seconds(1000));
    p.advertised_user_timeout = Duration::seconds(10);
    EXPECT_EQ(adopted_user_timeout(p, Duration::seconds(20)), Duration::seconds(100));
}

TEST(UserTimeoutOption, Rfc5482_StandsOnTheSynAndOnTheSegmentAfterIt) {
    Script s{enabled()};
    s.call_open();
    s.expect(Syn().user_timeout(300));
    s.inject(SynAck().mss(1460));
    s.expect(Ack().user_timeout(300));
    s.call_send_bytes(1460);
    EXPECT_EQ(count_options(s), 0u);
}

TEST(UserTimeoutOption, Rfc5482_StandsOnTheSynAckAndOnTheSegmentAfterTheHandshake) {
    Script s{enabled()};
    s.listen();
    s.inject(Syn().mss(1460));
    s.expect(SynAck().user_timeout(300));
    s.inject(Ack());
    s.expect_nothing();
    s.call_send_bytes(3000);
    s.expect(Data().length(1456).user_timeout(300));
    EXPECT_EQ(count_options(s), 0u);
}

TEST(UserTimeoutOption, IsSentAgainWhenTheProfileChanges) {
    Script s{enabled()};
    s.establish();
    s.call_send("x");
    s.ignore_sent();
    s.inject(Ack());
    tcp::Profile changed = enabled().profile;
    changed.advertised_user_timeout = Duration::seconds(400);
    s.change_profile(changed);
    s.call_send("y");
    s.expect(Data().user_timeout(400));
}

TEST(UserTimeoutOption, IsNeitherSentNorHeardUnlessEnabled) {
    Script s;
    s.call_open();
    EXPECT_EQ(count_options(s), 0u);
    s.inject(SynAck().mss(1460).user_timeout(500));
    s.inject(Ack().user_timeout(500));
    EXPECT_EQ(count_options(s), 0u);
    EXPECT_EQ(s.counters().user_timeouts_heard, 0u);
}

TEST(UserTimeoutOption, IsNotHeardWhenTheUserHasSetItsOwn) {
    conformance::Setup setup = enabled();
    setup.profile.user_timeout_changeable = false;
    Script s{setup};
    s.establish();
    s.inject(Ack().user_timeout(500));
    EXPECT_EQ(s.counters().user_timeouts_heard, 0u);
}

TEST(UserTimeoutOption, IsNotHeardFromASegmentOutsideOfTheWindow) {
    Script s{enabled()};
    s.establish();
    s.inject(Ack().seq(500'000).user_timeout(500));
    EXPECT_EQ(s.counters().user_timeouts_heard, 0u);
    s.ignore_sent();
    s.inject(Ack().seq(1).user_timeout(500));
    EXPECT_EQ(s.counters().user_timeouts_heard, 1u);
}

}  // namespace
}  // namespace synfin::conformance
