// The delivery rate that one ACK after the other tells, on a path of 10 ms and 1000 bytes a
// millisecond, where everything can be computed by hand.
#include <gtest/gtest.h>

#include <synfin/tcp/delivery_rate.hpp>

namespace synfin::tcp {
namespace {

Delivery arrival(uint32_t bytes, uint32_t sent_us, bool again = false) {
    Delivery d;
    d.bytes = bytes;
    (again ? d.again : d.original) = {sent_us, Seq{1}, true};
    return d;
}

TEST(DeliveryRate, IsWhatArrivedOverTheTimeInWhichItWasAcknowledged) {
    DeliveryRate rate;
    // Ten segments leave at once and come out of the bottleneck one a millisecond.
    for (uint32_t i = 0; i < 10; ++i) rate.on_departure(1000, i * 1000, 0);
    RateSample sample;
    for (uint32_t i = 1; i <= 10; ++i) {
        sample = rate.on_delivery(arrival(1000, 1000), 10'000, 1000 + 10'000 + i * 1000);
        EXPECT_EQ(sample.bytes_per_second, uint64_t{i} * 1000 * 1'000'000 / (10'000 + i * 1000));
    }
    EXPECT_EQ(rate.delivered(), 10'000u);
    EXPECT_EQ(sample.rtt_us, 20'000u);
}

TEST(DeliveryRate, IsNotMoreThanTheRateOfSending) {
    DeliveryRate rate;
    // One a millisecond leaves, and all are acknowledged at once.
    for (uint32_t i = 0; i < 20; ++i) rate.on_departure(i * 1000, i * 1000, 0);
    rate.on_delivery(arrival(1000, 0), 0, 10'000);
    rate.on_departure(20'000, 19'000, 0);
    const RateSample sample = rate.on_delivery(arrival(20'000, 20'000), 0, 20'001);
    // Sent within 20 ms; acknowledged within 10.
    EXPECT_EQ(sample.bytes_per_second, uint64_t{20'000} * 1'000'000 / 20'000);
}

TEST(DeliveryRate, OverLessThanARoundTripIsNotBelieved) {
    DeliveryRate rate;
    rate.on_departure(0, 0, 0);
    const RateSample sample = rate.on_delivery(arrival(1000, 0), 10'000, 9'999);
    EXPECT_TRUE(sample.any);
    EXPECT_EQ(sample.bytes_per_second, 0u);
}

TEST(DeliveryRate, RetransmissionTellsARateButNoRoundTrip) {
    DeliveryRate rate;
    rate.on_departure(0, 0, 0);
    const RateSample sample = rate.on_delivery(arrival(1000, 0, true), 0, 10'000);
    EXPECT_EQ(sample.bytes_per_second, 100'000u);
    EXPECT_EQ(sample.rtt_us, 0u);
}

TEST(DeliveryRate, WhatTheApplicationLimitedSaysSoUntilItHasArrived) {
    DeliveryRate rate;
    rate.on_departure(0, 0, 0);
    rate.limit_by_application(1000);
    rate.on_departure(100, 1000, 0);
    EXPECT_FALSE(rate.on_delivery(arrival(1000, 0), 0, 10'000).application_limited);
    EXPECT_TRUE(rate.application_limited());
    EXPECT_TRUE(rate.on_delivery(arrival(1000, 100), 0, 10'100).application_limited);
    EXPECT_FALSE(rate.application_limited());
}

TEST(DeliveryRate, IdleTimeDoesNotCount) {
    DeliveryRate rate;
    rate.on_departure(0, 0, 0);
    rate.on_delivery(arrival(1000, 0), 0, 10'000);
    rate.on_departure(5'000'000, 0, 1'000'000);
    const RateSample sample = rate.on_delivery(arrival(1000, 5'000'000), 0, 5'010'000);
    EXPECT_EQ(sample.bytes_per_second, 100'000u);
    EXPECT_EQ(sample.prior_delivered, 1000u);
}

TEST(DeliveryRate, LogThatIsFullForgetsTheOldest) {
    DeliveryRate rate;
    for (uint32_t i = 0; i < 1000; ++i) rate.on_departure(i * 1000, i * 1000, 0);
    const RateSample sample = rate.on_delivery(arrival(1000, 0), 0, 1'000'000);
    EXPECT_TRUE(sample.any);
    const RateSample later = rate.on_delivery(arrival(1000, 999'000), 0, 1'001'000);
    EXPECT_TRUE(later.any);
}

TEST(DeliveryRate, SurvivesTheWrapOfTheClock) {
    DeliveryRate rate;
    const uint32_t before = UINT32_MAX - 5000;
    rate.on_departure(before, 0, 0);
    const RateSample sample = rate.on_delivery(arrival(1000, before), 0, before + 10'000);
    EXPECT_EQ(sample.bytes_per_second, 100'000u);
}

}  // namespace
}  // namespace synfin::tcp
