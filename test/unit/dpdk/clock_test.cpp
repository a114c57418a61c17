#include <gtest/gtest.h>

#include <synfin/dpdk/clock.hpp>

namespace synfin::dpdk {
namespace {

using namespace synfin::literals;

constexpr double three_ghz = 3e9;
constexpr uint64_t origin = 1'000'000'000'000;

TEST(Clock, OneSecondOfTicksIsOneSecond) {
    const Clock clock{three_ghz, origin};
    const Duration elapsed = clock.at(origin + 3'000'000'000) - clock.at(origin);
    EXPECT_LE(elapsed, 1_s);
    EXPECT_GT(elapsed, 1_s - 2_ns);
}

TEST(Clock, AYearOfTicksDoesNotOverflow) {
    const Clock clock{three_ghz, origin};
    constexpr uint64_t seconds = 365ull * 24 * 3600;
    const Duration elapsed = clock.at(origin + seconds * 3'000'000'000) - clock.at(origin);
    EXPECT_NEAR(elapsed.count_seconds(), static_cast<double>(seconds), 1.0);
}

TEST(Clock, ATickBeforeTheOriginIsEarlierAndStillPositive) {
    const Clock clock{three_ghz, origin};
    EXPECT_LT(clock.at(origin - 3'000), clock.at(origin));
    EXPECT_GT((clock.at(origin - 3'000) - 120_s).ns(), 0);
}

TEST(Clock, NowNeverGoesBack) {
    const Clock clock{three_ghz, Clock::ticks()};
    const Instant first = clock.now();
    EXPECT_GE(clock.now(), first);
}

}  // namespace
}  // namespace synfin::dpdk
