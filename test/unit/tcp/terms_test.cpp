// What a profile comes to for its connections.
#include <gtest/gtest.h>

#include <synfin/tcp/connection.hpp>
#include <synfin/tcp/terms.hpp>

namespace synfin::tcp {
namespace {

using namespace literals;

constexpr uint16_t mtu = 1500;

TEST(Terms, TimersAreThoseOfTheProfile) {
    Profile profile;
    profile.rto_initial = 2_s;
    profile.rto_margin_min = 300_us;
    profile.rto_min = 7_ms;
    profile.rto_max = 90_s;
    profile.delayed_ack = 25_ms;
    const Terms terms = terms_of(profile, mtu);
    EXPECT_EQ(terms.rto_initial_us, 2'000'000u);
    EXPECT_EQ(terms.rto_margin_us, 300u);
    EXPECT_EQ(terms.rto_min_us, 7'000u);
    EXPECT_EQ(terms.rto_max_us, 90'000'000u);
    EXPECT_EQ(terms.delayed_ack_us, 25'000u);
}

TEST(Terms, PromptAckIsNeverLaterThanAnother) {
    Profile profile;
    EXPECT_EQ(terms_of(profile, mtu).prompt_ack_us, terms_of(profile, mtu).delayed_ack_us);
    profile.prompt_ack = 1_ms;
    EXPECT_EQ(terms_of(profile, mtu).prompt_ack_us, 1'000u);
    profile.delayed_ack = Duration{};
    EXPECT_EQ(terms_of(profile, mtu).prompt_ack_us, 0u);
}

TEST(Terms, PartOfAMicrosecondIsOne) {
    Profile profile;
    profile.delayed_ack = 1_ns;
    profile.rto_min = 1'001_ns;
    const Terms terms = terms_of(profile, mtu);
    EXPECT_EQ(terms.delayed_ack_us, 1u) << "not at once";
    EXPECT_EQ(terms.rto_min_us, 2u);
}

TEST(Terms, NoTimerIsLongerThanADeadlineReaches) {
    Profile profile;
    profile.rto_max = Duration::hours(1);
    EXPECT_EQ(terms_of(profile, mtu).rto_max_us, static_cast<uint32_t>(INT32_MAX));
    profile.rto_max = Duration::forever();
    EXPECT_EQ(terms_of(profile, mtu).rto_max_us, static_cast<uint32_t>(INT32_MAX));
}

TEST(Terms, WindowIsTheBufferUnlessItIsClamped) {
    Profile profile;
    profile.receive_buffer_bytes = 100'000;
    Terms terms = terms_of(profile, mtu);
    EXPECT_EQ(terms.whole_window, 100'000u);
    EXPECT_EQ(terms.whole_window_field, 50'000);
    EXPECT_EQ(terms.whole_window_shift, 1);
    EXPECT_EQ(terms.syn_window, 0xffff);
    EXPECT_EQ(terms.window_shift, 1);
    profile.window_clamp = 3'000;
    terms = terms_of(profile, mtu);
    EXPECT_EQ(terms.whole_window_shift, UINT8_MAX) << "of no connection";
    EXPECT_EQ(terms.syn_window, 3'000);
}

TEST(Terms, UserTimeoutIsKnownWithoutALookAtTheProfile) {
    Profile profile;
    EXPECT_FALSE(terms_of(profile, mtu).user_timeout);
    profile.user_timeout = 30_s;
    EXPECT_TRUE(terms_of(profile, mtu).user_timeout);
}

TEST(Terms, FieldsOfEveryHeader) {
    Profile profile;
    profile.time_to_live = 5;
    profile.diffserv = 46;
    const Terms terms = terms_of(profile, mtu);
    EXPECT_EQ(terms.time_to_live, 5);
    EXPECT_EQ(terms.traffic_class, 46 << 2);
    EXPECT_EQ(terms.ip.hop_limit(), 5);
    EXPECT_EQ(terms.ip.traffic_class(), 46 << 2);
}

}  // namespace
}  // namespace synfin::tcp
