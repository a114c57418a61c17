// The wheel against a sorted map, over millions of random operations.
#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <synfin/base/prng.hpp>
#include <synfin/timer/wheel.hpp>

namespace synfin::timer {
namespace {

/// What the wheel must do, done the slow way. Times are whole microseconds.
class Model {
  public:
    explicit Model(uint32_t capacity) : places_(capacity, deadlines_.end()) {}

    void arm(uint32_t index, int64_t when_us) {
        cancel(index);
        places_[index] = deadlines_.emplace(std::pair{when_us, next_serial_++}, index).first;
    }
    void cancel(uint32_t index) {
        if (places_[index] == deadlines_.end()) return;
        deadlines_.erase(places_[index]);
        places_[index] = deadlines_.end();
    }
    bool armed(uint32_t index) const { return places_[index] != deadlines_.end(); }
    int64_t when_us(uint32_t index) const { return places_[index]->first.first; }
    size_t size() const { return deadlines_.size(); }
    bool empty() const { return deadlines_.empty(); }
    int64_t earliest_us() const { return deadlines_.begin()->first.first; }
    uint32_t earliest_index() const { return deadlines_.begin()->second; }

  private:
    using Deadlines = std::map<std::pair<int64_t, uint64_t>, uint32_t>;
    Deadlines deadlines_;
    std::vector<Deadlines::iterator> places_;
    uint64_t next_serial_ = 0;
};

class Comparison {
  public:
    enum class Budgets : uint8_t { unlimited, any };

    Comparison(uint64_t seed, int64_t start_us, Budgets budgets)
        : random_{seed},
          budgets_{budgets},
          wheel_{capacity, Instant::from_us(start_us)},
          now_us_{start_us},
          present_us_{start_us} {}

    void run(int operations) {
        for (int i = 0; i < operations && !testing::Test::HasFailure(); ++i) {
            switch (random_.below(8)) {
                case 0: cancel(any_index()); break;
                case 1: advance(); break;
                default: arm(any_index()); break;
            }
            compare();
            if (i % 64 == 0) {  // it walks all
                ASSERT_EQ(wheel_.lost(), 0u);
            }
        }
    }

  private:
    static constexpr uint32_t capacity = 300;

    uint32_t any_index() { return static_cast<uint32_t>(random_.below(capacity)); }

    /// Any magnitude is as likely as any other.
    int64_t any_distance_us(unsigned max_bits) {
        return static_cast<int64_t>(random_() >> (64 - 1 - random_.below(max_bits)));
    }

    void arm(uint32_t index) {
        // While a budget has left the wheel behind, what it takes for the present is its own
        // affair: only deadlines that do not depend on it are armed.
        int64_t when_us = now_us_ + any_distance_us(behind_ ? 30 : 34);
        if (!behind_ && random_.chance(1, 20)) when_us = now_us_ - any_distance_us(20);
        const bool last_is_clear =
            !behind_ || (last_us_ >= now_us_ && last_us_ - now_us_ < 1LL << 30);
        if (last_is_clear && random_.chance(1, 4)) when_us = last_us_;
        last_us_ = when_us;
        wheel_.arm(index, Instant::from_us(std::max<int64_t>(when_us, 0)));
        if (!behind_) {
            when_us = std::max(when_us, present_us_);
            when_us = std::min(when_us, present_us_ + static_cast<int64_t>(TimerWheel::span_us));
        }
        model_.arm(index, when_us);
    }

    void cancel(uint32_t index) {
        wheel_.cancel(index);
        model_.cancel(index);
    }

    void advance() {
        const bool bounded = budgets_ == Budgets::any && random_.chance(1, 3);
        const uint32_t budget = bounded ? static_cast<uint32_t>(random_.below(20)) : 1'000'000;
        // A wheel that a budget may leave behind stays within reach of all deadlines that are
        // armed.
        if (!behind_) now_us_ += any_distance_us(bounded ? 29 : 34);
        uint32_t calls = 0;
        int64_t tick_us = INT64_MIN;
        const bool more = wheel_.advance(Instant::from_us(now_us_), budget, [&](uint32_t index) {
            ++calls;
            ASSERT_TRUE(model_.armed(index));
            ASSERT_FALSE(wheel_.armed(index));
            ASSERT_EQ(model_.when_us(index), model_.earliest_us());
            // Arming in the middle of a slot that a budget has cut is the one thing that can change
            // the order within a tick.
            if (budgets_ == Budgets::unlimited) {
                ASSERT_EQ(index, model_.earliest_index());
            }
            tick_us = model_.when_us(index);
            ASSERT_LE(tick_us, now_us_);
            model_.cancel(index);
            present_us_ = tick_us;
            act_in_callback(index, tick_us);
        });
        behind_ = more;
        ASSERT_LE(calls, budget);
        if (more) {
            ASSERT_FALSE(model_.empty());
        } else {
            present_us_ = now_us_;
            ASSERT_TRUE(model_.empty() || model_.earliest_us() > now_us_);
        }
    }

    void act_in_callback(uint32_t index, int64_t tick_us) {
        switch (random_.below(6)) {
            case 0: arm_at(index, tick_us + 1 + any_distance_us(30)); break;
            case 1: arm_at(any_index(), tick_us + any_distance_us(20)); break;
            case 2: cancel(any_index()); break;
            default: break;
        }
    }

    void arm_at(uint32_t index, int64_t when_us) {
        wheel_.arm(index, Instant::from_us(when_us));
        model_.arm(index, when_us);
    }

    void compare() {
        ASSERT_EQ(wheel_.size(), model_.size());
        const uint32_t index = any_index();
        ASSERT_EQ(wheel_.armed(index), model_.armed(index));
        if (model_.armed(index)) {
            ASSERT_EQ(wheel_.when(index).us(), model_.when_us(index));
        }
        const auto due = wheel_.next_due();
        ASSERT_EQ(due.has_value(), !model_.empty());
        if (due) {
            ASSERT_LE(due->us(), model_.earliest_us());
            ASSERT_GE(due->us(), present_us_ - (behind_ ? now_us_ : 0));
            if (model_.size() == 1) {
                ASSERT_EQ(due->us(), model_.earliest_us());
            }
        }
    }

    Prng random_;
    Budgets budgets_;
    TimerWheel wheel_;
    Model model_{capacity};
    int64_t now_us_;
    int64_t present_us_;  ///< what the wheel takes for the present
    int64_t last_us_ = 0;
    bool behind_ = false;
};

TEST(TimerWheelModel, AgreesOverMillionsOfRandomOperations) {
    Comparison{1, 0, Comparison::Budgets::unlimited}.run(1'000'000);
}

TEST(TimerWheelModel, AgreesWhenBudgetsCutTheWork) {
    Comparison{2, 0, Comparison::Budgets::any}.run(1'000'000);
}

TEST(TimerWheelModel, AgreesAroundTheWrapOfTheThirtyTwoBitTick) {
    for (uint64_t seed = 0; seed < 200; ++seed) {
        const int64_t before_us = static_cast<int64_t>(seed * seed * seed);
        Comparison{seed, (int64_t{1} << 32) - before_us, Comparison::Budgets::any}.run(2'000);
    }
}

TEST(TimerWheelModel, AgreesFarFromTheOrigin) {
    Comparison{3, int64_t{1} << 52, Comparison::Budgets::any}.run(300'000);
}

}  // namespace
}  // namespace synfin::timer
