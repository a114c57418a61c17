#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <synfin/base/histogram.hpp>
#include <synfin/base/prng.hpp>

namespace synfin {
namespace {

/// The definition that the histogram approximates: nearest rank in a sorted list.
uint64_t percentile_of(const std::vector<uint64_t>& sorted, double fraction) {
    const auto rank = static_cast<size_t>(std::ceil(fraction * static_cast<double>(sorted.size())));
    return sorted[std::max<size_t>(rank, 1) - 1];
}

void expect_close(const Histogram& histogram, std::vector<uint64_t> values) {
    std::sort(values.begin(), values.end());
    for (double fraction : {0.0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0}) {
        const uint64_t exact = percentile_of(values, fraction);
        const uint64_t got = histogram.percentile(fraction);
        EXPECT_GE(got, exact) << fraction;
        EXPECT_LE(got - exact, exact / 64) << fraction;
    }
    EXPECT_EQ(histogram.max(), values.back());
    EXPECT_EQ(histogram.min(), values.front());
    EXPECT_EQ(histogram.count(), values.size());
}

TEST(Histogram, EmptyOneReportsZeros) {
    const Histogram histogram;
    EXPECT_EQ(histogram.count(), 0u);
    EXPECT_EQ(histogram.percentile(0.5), 0u);
    EXPECT_EQ(histogram.max(), 0u);
    EXPECT_EQ(histogram.min(), 0u);
    EXPECT_EQ(histogram.mean(), 0.0);
}

TEST(Histogram, SingleValueIsEachPercentileExactly) {
    Histogram histogram;
    histogram.record(123'456'789);
    for (double fraction : {0.0, 0.5, 0.99, 1.0}) {
        EXPECT_EQ(histogram.percentile(fraction), 123'456'789u);
    }
}

TEST(Histogram, SmallValuesAreExact) {
    Histogram histogram;
    for (uint64_t value = 0; value < 128; ++value) histogram.record(value);
    for (uint64_t value = 0; value < 128; ++value) {
        EXPECT_EQ(histogram.percentile(static_cast<double>(value + 1) / 128.0), value);
    }
}

TEST(Histogram, BucketsFollowEachOtherWithoutGapOrOverlap) {
    for (size_t bucket = 0; bucket < Histogram::bucket_count; ++bucket) {
        const uint64_t first = Histogram::smallest_in(bucket);
        const uint64_t last = Histogram::largest_in(bucket);
        ASSERT_EQ(Histogram::bucket_of(first), bucket);
        ASSERT_EQ(Histogram::bucket_of(last), bucket);
        ASSERT_LE(last - first, first / 64);
    }
    EXPECT_EQ(Histogram::bucket_of(UINT64_MAX), Histogram::bucket_count - 1);
}

TEST(Histogram, PercentilesOfUniformValuesAreWithinOneSixtyFourth) {
    Prng random{1};
    Histogram histogram;
    std::vector<uint64_t> values;
    for (int i = 0; i < 100'000; ++i) values.push_back(random.below(50'000'000));
    for (uint64_t value : values) histogram.record(value);
    expect_close(histogram, values);
}

TEST(Histogram, PercentilesOverAllMagnitudesAreWithinOneSixtyFourth) {
    Prng random{2};
    Histogram histogram;
    std::vector<uint64_t> values;
    for (int i = 0; i < 100'000; ++i) values.push_back(random() >> random.below(64));
    for (uint64_t value : values) histogram.record(value);
    expect_close(histogram, values);
}

TEST(Histogram, MergedOneEqualsOneThatRecordedEverything) {
    Prng random{3};
    Histogram first;
    Histogram second;
    std::vector<uint64_t> values;
    for (int i = 0; i < 20'000; ++i) {
        values.push_back(random() >> 30);
        (i % 3 == 0 ? first : second).record(values.back());
    }
    first.merge(second);
    expect_close(first, values);
}

TEST(Histogram, MergingAnEmptyOneChangesNothing) {
    Histogram histogram;
    histogram.record(10);
    histogram.merge(Histogram{});
    EXPECT_EQ(histogram.count(), 1u);
    EXPECT_EQ(histogram.min(), 10u);
    EXPECT_EQ(histogram.max(), 10u);
}

TEST(Histogram, ClearedOneIsEmpty) {
    Histogram histogram;
    histogram.record(1'000'000);
    histogram.clear();
    EXPECT_EQ(histogram.count(), 0u);
    EXPECT_EQ(histogram.percentile(1.0), 0u);
    histogram.record(5);
    EXPECT_EQ(histogram.percentile(1.0), 5u);
    EXPECT_EQ(histogram.min(), 5u);
}

TEST(Histogram, MeanIsExact) {
    Histogram histogram;
    for (uint64_t value : {1'000'001u, 2'000'002u, 3'000'006u}) histogram.record(value);
    EXPECT_DOUBLE_EQ(histogram.mean(), 2'000'003.0);
}

TEST(Histogram, AnotherThreadReadsOnlyValuesThatWereRecorded) {
    auto histogram = std::make_unique<Histogram>();
    std::atomic<bool> stop{false};
    std::thread recorder{[&] {
        Prng random{4};
        while (!stop.load(std::memory_order_relaxed)) histogram->record(1000 + random.below(1000));
    }};
    uint64_t previous = 0;
    for (int i = 0; i < 2000; ++i) {
        const uint64_t count = histogram->count();
        EXPECT_GE(count, previous);
        previous = count;
        const uint64_t median = histogram->percentile(0.5);
        if (median != 0) {
            EXPECT_GE(median, 1000u);
            EXPECT_LT(median, 2000u);
        }
    }
    stop = true;
    recorder.join();
}

}  // namespace
}  // namespace synfin
