#include <cstdint>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include <synfin/timer/wheel.hpp>

namespace synfin::timer {
namespace {

using namespace synfin::literals;

constexpr uint32_t unlimited = UINT32_MAX;

Instant at_us(int64_t us) { return Instant::from_us(us); }

/// What expires up to `now`, in order.
std::vector<uint32_t> expired_by(TimerWheel& wheel, Instant now) {
    std::vector<uint32_t> indices;
    const bool more = wheel.advance(now, unlimited, [&](uint32_t i) { indices.push_back(i); });
    EXPECT_FALSE(more);
    return indices;
}

using Indices = std::vector<uint32_t>;

TEST(TimerWheel, ExpiresExactlyAtItsMicrosecond) {
    for (int64_t start : {int64_t{0}, int64_t{255}, int64_t{4'294'967'290}, int64_t{1} << 50}) {
        for (int64_t wait :
             {1, 2, 255, 256, 257, 65'535, 65'536, 1'000'000, 16'777'216, 2'000'000'000}) {
            TimerWheel wheel{4, at_us(start)};
            wheel.arm(2, at_us(start + wait));
            EXPECT_EQ(expired_by(wheel, at_us(start + wait - 1)), Indices{})
                << start << '+' << wait;
            EXPECT_EQ(expired_by(wheel, at_us(start + wait)), Indices{2}) << start << '+' << wait;
            EXPECT_EQ(wheel.size(), 0u);
        }
    }
}

TEST(TimerWheel, DeadlineInsideAMicrosecondIsRoundedUp) {
    TimerWheel wheel{1, Instant{}};
    wheel.arm(0, Instant::from_ns(5'001));
    EXPECT_EQ(wheel.when(0), at_us(6));
    EXPECT_EQ(expired_by(wheel, Instant::from_ns(5'999)), Indices{});
    EXPECT_EQ(expired_by(wheel, Instant::from_ns(6'000)), Indices{0});
}

TEST(TimerWheel, DeadlineInThePastIsDueAtOnce) {
    TimerWheel wheel{1, at_us(1000)};
    wheel.arm(0, at_us(3));
    EXPECT_EQ(wheel.next_due(), at_us(1000));
    EXPECT_EQ(expired_by(wheel, at_us(1000)), Indices{0});
}

TEST(TimerWheel, ExpiresInOrderOfTimeWhateverTheOrderOfArming) {
    TimerWheel wheel{6, Instant{}};
    wheel.arm(0, at_us(70'000'000));
    wheel.arm(1, at_us(300));
    wheel.arm(2, at_us(70'000));
    wheel.arm(3, at_us(3));
    wheel.arm(4, at_us(299));
    wheel.arm(5, at_us(4'000'000'000));
    EXPECT_EQ(expired_by(wheel, at_us(4'000'000'000)), (Indices{3, 4, 1, 2, 0, 5}));
}

TEST(TimerWheel, SameTickExpiresInOrderOfArming) {
    TimerWheel wheel{4, Instant{}};
    for (uint32_t index : {2u, 0u, 3u, 1u}) wheel.arm(index, at_us(100'000));
    EXPECT_EQ(expired_by(wheel, at_us(100'000)), (Indices{2, 0, 3, 1}));
}

TEST(TimerWheel, ArmingAgainReplacesTheDeadline) {
    TimerWheel wheel{1, Instant{}};
    wheel.arm(0, at_us(100));
    wheel.arm(0, at_us(50'000));
    EXPECT_EQ(wheel.size(), 1u);
    EXPECT_EQ(expired_by(wheel, at_us(49'999)), Indices{});
    wheel.arm(0, at_us(50'001));
    EXPECT_EQ(expired_by(wheel, at_us(50'001)), Indices{0});
}

TEST(TimerWheel, CancelledEntryNeverExpires) {
    TimerWheel wheel{2, Instant{}};
    wheel.arm(0, at_us(100));
    wheel.arm(1, at_us(100));
    wheel.cancel(0);
    EXPECT_FALSE(wheel.armed(0));
    EXPECT_TRUE(wheel.armed(1));
    EXPECT_EQ(expired_by(wheel, at_us(1'000'000)), Indices{1});
}

TEST(TimerWheel, CancellingWhatIsNotArmedDoesNothing) {
    TimerWheel wheel{2, Instant{}};
    wheel.cancel(1);
    EXPECT_EQ(wheel.size(), 0u);
}

TEST(TimerWheel, EntryIsNoLongerArmedInItsOwnCallback) {
    TimerWheel wheel{1, Instant{}};
    wheel.arm(0, at_us(10));
    bool armed = true;
    wheel.advance(at_us(10), unlimited, [&](uint32_t i) { armed = wheel.armed(i); });
    EXPECT_FALSE(armed);
}

TEST(TimerWheel, CallbackMayArmItsOwnIndexAgain) {
    TimerWheel wheel{1, Instant{}};
    wheel.arm(0, at_us(10));
    std::vector<int64_t> times;
    wheel.advance(at_us(1'000), unlimited, [&](uint32_t i) {
        times.push_back(10 * (static_cast<int64_t>(times.size()) + 1));
        wheel.arm(i, at_us(times.back() + 10));
    });
    EXPECT_EQ(times.size(), 100u);
    EXPECT_EQ(wheel.when(0), at_us(1'010));
}

TEST(TimerWheel, CallbackMayCancelOthersOfTheSameTick) {
    TimerWheel wheel{3, Instant{}};
    for (uint32_t index : {0u, 1u, 2u}) wheel.arm(index, at_us(10));
    Indices seen;
    wheel.advance(at_us(10), unlimited, [&](uint32_t i) {
        seen.push_back(i);
        wheel.cancel(1);
    });
    EXPECT_EQ(seen, (Indices{0, 2}));
}

TEST(TimerWheel, BudgetBoundsTheCallsAndTellsThatMoreIsDue) {
    TimerWheel wheel{10, Instant{}};
    for (uint32_t index = 0; index < 10; ++index) wheel.arm(index, at_us(7));
    uint32_t calls = 0;
    const auto count = [&](uint32_t) { ++calls; };
    EXPECT_TRUE(wheel.advance(at_us(9), 4, count));
    EXPECT_EQ(calls, 4u);
    EXPECT_TRUE(wheel.advance(at_us(9), 4, count));
    EXPECT_EQ(calls, 8u);
    EXPECT_FALSE(wheel.advance(at_us(9), 4, count));
    EXPECT_EQ(calls, 10u);
}

TEST(TimerWheel, BudgetBoundsTheMovesBetweenLevelsToo) {
    TimerWheel wheel{1000, Instant{}};
    for (uint32_t index = 0; index < 1000; ++index) wheel.arm(index, at_us(100'000 + index));
    uint32_t calls = 0;
    uint32_t advances = 1;
    while (wheel.advance(at_us(100'500), 100, [&](uint32_t) { ++calls; })) ++advances;
    EXPECT_EQ(calls, 501u);
    EXPECT_GE(advances, 10u);
}

TEST(TimerWheel, HalfMovedSlotStillExpiresInOrder) {
    TimerWheel wheel{3, Instant{}};
    wheel.arm(0, at_us(300));
    wheel.arm(1, at_us(260));
    wheel.arm(2, at_us(258));
    Indices seen;
    const auto note = [&](uint32_t i) { seen.push_back(i); };
    while (wheel.advance(at_us(300), 1, note)) {
    }
    EXPECT_EQ(seen, (Indices{2, 1, 0}));
}

TEST(TimerWheel, TimeThatGoesBackwardsExpiresNothing) {
    TimerWheel wheel{1, at_us(1000)};
    wheel.arm(0, at_us(1000));
    EXPECT_EQ(expired_by(wheel, at_us(999)), Indices{});
    EXPECT_TRUE(wheel.armed(0));
}

TEST(TimerWheel, DeadlineBeyondTheSpanExpiresEarlyForItsOwnerToArmAgain) {
    TimerWheel wheel{1, at_us(500)};
    wheel.arm(0, at_us(500) + Duration::hours(24));
    const Instant expected = at_us(500 + static_cast<int64_t>(TimerWheel::span_us));
    EXPECT_EQ(wheel.when(0), expected);
    EXPECT_EQ(expired_by(wheel, expected - 1_us), Indices{});
    EXPECT_EQ(expired_by(wheel, expected), Indices{0});
}

TEST(TimerWheel, JumpFarBeyondTheSpanExpiresAllInOrder) {
    TimerWheel wheel{3, at_us(77)};
    wheel.arm(0, at_us(4'000'000'000));
    wheel.arm(1, at_us(100));
    wheel.arm(2, at_us(5'000'000));
    EXPECT_EQ(expired_by(wheel, at_us(int64_t{1} << 45)), (Indices{1, 2, 0}));
    wheel.arm(1, at_us((int64_t{1} << 45) + 3));
    EXPECT_EQ(expired_by(wheel, at_us((int64_t{1} << 45) + 3)), Indices{1});
}

TEST(TimerWheel, NothingIsDueWhenNothingIsArmed) {
    TimerWheel wheel{1, Instant{}};
    EXPECT_EQ(wheel.next_due(), std::nullopt);
    wheel.arm(0, at_us(1));
    wheel.cancel(0);
    EXPECT_EQ(wheel.next_due(), std::nullopt);
}

TEST(TimerWheel, NextDueOfALonelyEntryIsExactAtAnyDistance) {
    for (int64_t wait :
         {int64_t{1}, int64_t{300}, int64_t{70'000}, int64_t{20'000'000}, int64_t{2'000'000'000}}) {
        TimerWheel wheel{1, at_us(123)};
        wheel.arm(0, at_us(123 + wait));
        EXPECT_EQ(wheel.next_due(), at_us(123 + wait));
    }
}

TEST(TimerWheel, JumpingFromNextDueToNextDueMeetsEachDeadlineExactly) {
    TimerWheel wheel{100, Instant{}};
    for (uint32_t index = 0; index < 100; ++index) {
        wheel.arm(index, at_us(int64_t{index} * index * index * 977 + 1));
    }
    uint32_t seen = 0;
    uint32_t jumps = 0;
    while (const auto due = wheel.next_due()) {
        ++jumps;
        wheel.advance(*due, unlimited, [&](uint32_t index) {
            EXPECT_EQ(*due, at_us(int64_t{index} * index * index * 977 + 1));
            ++seen;
        });
    }
    EXPECT_EQ(seen, 100u);
    EXPECT_LE(jumps, 400u);
}

TEST(TimerWheel, LowBitsOfAMomentTellWhetherItExpiresByThen) {
    constexpr int64_t half_turn = int64_t{1} << 31;
    constexpr auto furthest = static_cast<int64_t>(TimerWheel::span_us);
    for (const int64_t start : {int64_t{0}, int64_t{4'294'967'290}, int64_t{1} << 50}) {
        TimerWheel wheel{2, at_us(start)};
        EXPECT_FALSE(wheel.expires_by_low(0, static_cast<uint32_t>(start + 5))) << "not armed";
        for (const int64_t wait : {int64_t{1}, int64_t{1'000'000}, furthest}) {
            wheel.arm(0, at_us(start + wait));
            for (const int64_t asked : {int64_t{0}, wait - 1, wait, wait + 1, half_turn - 1}) {
                EXPECT_EQ(wheel.expires_by_low(0, static_cast<uint32_t>(start + asked)),
                          asked >= wait)
                    << start << ' ' << wait << ' ' << asked;
            }
            EXPECT_FALSE(wheel.expires_by_low(0, static_cast<uint32_t>(start - 1))) << "passed";
        }
        // One beyond the span expires at its end.
        wheel.arm(1, at_us(start + half_turn + 1000));
        EXPECT_FALSE(wheel.expires_by_low(1, static_cast<uint32_t>(start + furthest - 1)));
        EXPECT_TRUE(wheel.expires_by_low(1, static_cast<uint32_t>(start + half_turn - 1)));
    }
}

using TimerWheelDeathTest = testing::Test;

TEST(TimerWheelDeathTest, IndexBeyondTheCapacityAborts) {
    TimerWheel wheel{8, Instant{}};
    EXPECT_DEATH(wheel.arm(8, at_us(1)), "assertion failed");
}

}  // namespace
}  // namespace synfin::timer
