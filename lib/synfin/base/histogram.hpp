// How long things took: a histogram whose relative error is bounded over the whole range.
//
//   value        0 .. 63 | 64 .. 127 | 128 .. 255 | 256 .. 511 | ...  up to 2^64 - 1
//   bucket width    1    |     1     |     2      |     4      | ...  64 buckets per power of two
//
// A bucket is never wider than 1/64 of its smallest value, so a percentile is at most 1/64 above
// the true one, and never below it. The bucket comes from the position of the highest bit:
// recording is a few instructions, whatever the value. All memory (30 KB) is part of the object;
// what is not recorded is not touched.
//
// One thread records, any thread may read. A reader sees counters that are each whole, but not of
// one moment: while recording goes on, percentiles may be off by what was recorded meanwhile.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include <synfin/base/relaxed.hpp>

namespace synfin {

class Histogram {
  public:
    /// Counts one value; by convention nanoseconds. O(1).
    void record(uint64_t value) {
        ++counts_[bucket_of(value)];
        sum_ += value;
        if (value > max_) max_ = value;
        if (value < min_) min_ = value;
    }

    /// By a look at all buckets.
    uint64_t count() const {
        uint64_t n = 0;
        for (const Relaxed<uint64_t>& in_bucket : counts_) n += in_bucket;
        return n;
    }
    /// Exact. 0 if nothing was recorded.
    uint64_t max() const { return max_.seen(); }
    uint64_t min() const { return count() == 0 ? 0 : min_.seen(); }
    /// Exact as long as the sum of all values fits into 64 bits. 0 if nothing was recorded.
    double mean() const {
        const uint64_t n = count();
        return n == 0 ? 0.0 : static_cast<double>(sum_.load()) / static_cast<double>(n);
    }

    /// The smallest recorded value that at least `fraction` of all are not above (0.99: p99;
    /// nearest rank), rounded up by at most 1/64, and never above max(). 0 if nothing was recorded.
    uint64_t percentile(double fraction) const {
        const uint64_t n = count();
        if (n == 0) return 0;
        const double exact_rank =
            std::ceil(std::clamp(fraction, 0.0, 1.0) * static_cast<double>(n));
        const uint64_t rank = std::clamp<uint64_t>(static_cast<uint64_t>(exact_rank), 1, n);
        uint64_t seen = 0;
        for (size_t bucket = 0; bucket < bucket_count; ++bucket) {
            seen += counts_[bucket];
            if (seen >= rank) return std::min(largest_in(bucket), max());
        }
        return max();
    }

    /// Adds all that `other` has recorded. Called by the thread that records here.
    void merge(const Histogram& other) {
        for (size_t bucket = 0; bucket < bucket_count; ++bucket) {
            if (const uint64_t n = other.counts_[bucket]; n != 0) counts_[bucket] += n;
        }
        sum_ += other.sum_;
        max_ = std::max(max_.load(), other.max_.load());
        min_ = std::min(min_.load(), other.min_.load());
    }

    void clear() {
        for (Relaxed<uint64_t>& n : counts_) {
            if (n != 0) n = 0;
        }
        sum_ = 0;
        max_ = 0;
        min_ = UINT64_MAX;
    }

    // ---- the shape, for reports that draw it

    static constexpr unsigned sub_bucket_bits = 6;
    static constexpr size_t sub_buckets = size_t{1} << sub_bucket_bits;
    static constexpr size_t bucket_count = (64 - sub_bucket_bits + 1) * sub_buckets;

    /// Monotonic: a larger value is never in an earlier bucket.
    static constexpr size_t bucket_of(uint64_t value) {
        constexpr uint64_t exact = 2 * sub_buckets - 1;  // the largest that has its own bucket
        const unsigned shift =
            static_cast<unsigned>(std::bit_width(value | exact) - std::bit_width(exact));
        // The leading bit of value >> shift carries into the power of two.
        return shift * sub_buckets + static_cast<size_t>(value >> shift);
    }
    static constexpr uint64_t smallest_in(size_t bucket) {
        if (bucket < 2 * sub_buckets) return bucket;
        const size_t shift = bucket / sub_buckets - 1;
        return static_cast<uint64_t>(bucket - shift * sub_buckets) << shift;
    }
    static constexpr uint64_t largest_in(size_t bucket) {
        return bucket + 1 == bucket_count ? UINT64_MAX : smallest_in(bucket + 1) - 1;
    }
    uint64_t count_in(size_t bucket) const { return counts_[bucket]; }

  private:
    Relaxed<uint64_t> sum_;
    Shown<uint64_t> max_;
    Shown<uint64_t> min_{UINT64_MAX};
    std::array<Relaxed<uint64_t>, bucket_count> counts_{};
};

}  // namespace synfin
