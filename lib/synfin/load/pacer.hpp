// When connections are to be opened in an open loop: evenly, at times that were fixed before the
// run and do not depend on how the peer fares.
//
// The n-th start is meant for begin + n / rate, exactly: the rest of the division is carried on.
// After a stall the starts that are due are caught up, but only those of the last `max_debt`; older
// ones are given up and counted as missed, so that a stall is not followed by a storm, and
// overload does not grow a queue without end. Latency is measured from the intended start.
#pragma once

#include <cstdint>
#include <span>

#include <synfin/base/assert.hpp>
#include <synfin/base/instant.hpp>

namespace synfin::load {

class Pacer {
  public:
    /// `per_second` above 0; the first start is meant for `begin`.
    Pacer(double per_second, Duration max_debt, Instant begin) : next_{begin}, max_debt_{max_debt} {
        SYNFIN_ASSERT(per_second > 0);
        const double interval_ns = 1e9 / per_second;
        whole_ = static_cast<uint64_t>(interval_ns);
        fraction_ = static_cast<uint64_t>((interval_ns - static_cast<double>(whole_)) * one);
    }

    /// Gives up what is older than the debt that is allowed. Returns how many starts that was.
    uint64_t forgive(Instant now) {
        const Duration late = now - next_;
        if (late <= max_debt_) return 0;
        const double interval_ns =
            static_cast<double>(whole_) + static_cast<double>(fraction_) / one;
        const auto count =
            static_cast<uint64_t>(static_cast<double>((late - max_debt_).count_ns()) / interval_ns);
        advance(count);
        return count;
    }

    /// Takes the next starts that are due, as many as `intended` has room for, and says there what
    /// they were meant for. Returns how many those are.
    uint32_t take_due(Instant now, std::span<Instant> intended) {
        uint32_t count = 0;
        for (; count < intended.size() && next_ <= now; ++count) {
            intended[count] = next_;
            advance(1);
        }
        return count;
    }

  private:
    static constexpr double one = 4294967296.0;

    void advance(uint64_t count) {
        __extension__ using Wide = unsigned __int128;
        const Wide sum = Wide{fraction_} * count + carried_;
        carried_ = static_cast<uint32_t>(sum);
        const auto whole = static_cast<uint64_t>(Wide{whole_} * count + (sum >> 32));
        next_ = next_ + Duration::nanoseconds(static_cast<int64_t>(whole));
    }

    Instant next_;
    Duration max_debt_;
    uint64_t whole_ = 0;     ///< nanoseconds between two starts
    uint64_t fraction_ = 0;  ///< and the rest, in units of 2^-32
    uint64_t carried_ = 0;   ///< what of the rest has been summed up, below 2^32
};

}  // namespace synfin::load
