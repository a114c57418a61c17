// The timing wheel's yardstick: the same operations on rte_timer, in the same process.
//
// rte_timer keeps a skip list ordered by time: arming looks for its place among all that are armed.
// Its clock is the TSC; expiry is measured by handing it deadlines that have passed.
#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>
#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_timer.h>

#include <synfin/base/prng.hpp>
#include <synfin/base/region.hpp>
#include <synfin/timer/wheel.hpp>

#include "eal_without_network.hpp"

namespace {

using namespace synfin;
using timer::TimerWheel;

constexpr uint32_t second_us = 1'000'000;

std::vector<uint32_t> random_indices(uint32_t bound) {
    Prng random{1};
    std::vector<uint32_t> indices(1 << 20);
    for (uint32_t& index : indices) index = static_cast<uint32_t>(random.below(bound));
    return indices;
}

/// A deadline within the second, the same for both.
uint64_t wait_us(uint64_t index) { return 1 + index * 7919 % second_us; }

void arm_again_ours(benchmark::State& state) {
    const auto count = static_cast<uint32_t>(state.range(0));
    TimerWheel wheel{count, Instant{}};
    for (uint32_t i = 0; i < count; ++i)
        wheel.arm(i, Instant::from_us(static_cast<int64_t>(wait_us(i))));
    const std::vector<uint32_t> indices = random_indices(count);
    size_t at = 0;
    for (auto _ : state) {
        const uint32_t index = indices[at++ % indices.size()];
        wheel.cancel(index);
        wheel.arm(index, Instant::from_us(static_cast<int64_t>(wait_us(index + at))));
    }
}

void expire_all_ours(benchmark::State& state) {
    const auto count = static_cast<uint32_t>(state.range(0));
    TimerWheel wheel{count, Instant{}};
    uint64_t expired = 0;
    int64_t now_us = 0;
    for (auto _ : state) {
        state.PauseTiming();
        for (uint32_t i = 0; i < count; ++i) {
            wheel.arm(i, Instant::from_us(now_us + static_cast<int64_t>(wait_us(i))));
        }
        now_us += second_us;
        state.ResumeTiming();
        while (wheel.advance(Instant::from_us(now_us), 1024, [&](uint32_t) { ++expired; })) {
        }
    }
    state.SetItemsProcessed(static_cast<int64_t>(expired));
}

/// rte_timers in an array, as the links of ours are.
struct RteTimers {
    explicit RteTimers(uint32_t count)
        : memory{size_t{count} * sizeof(rte_timer)},
          timers{static_cast<rte_timer*>(memory.data())} {
        for (uint32_t i = 0; i < count; ++i) rte_timer_init(&timers[i]);
    }
    Region memory;
    rte_timer* timers;
};

void count_expiry(rte_timer*, void* counter) { ++*static_cast<uint64_t*>(counter); }

void arm_again_rte_timer(benchmark::State& state) {
    const auto count = static_cast<uint32_t>(state.range(0));
    RteTimers all{count};
    uint64_t expired = 0;
    const uint64_t cycles_per_us = rte_get_timer_hz() / 1'000'000;
    // So far ahead that none expires while this runs.
    const uint64_t hour = rte_get_timer_hz() * 3600;
    const auto arm = [&](uint32_t i, uint64_t n) {
        rte_timer_reset(&all.timers[i], hour + wait_us(n) * cycles_per_us, SINGLE, rte_lcore_id(),
                        count_expiry, &expired);
    };
    for (uint32_t i = 0; i < count; ++i) arm(i, i);
    const std::vector<uint32_t> indices = random_indices(count);
    size_t at = 0;
    for (auto _ : state) {
        const uint32_t index = indices[at++ % indices.size()];
        rte_timer_stop(&all.timers[index]);
        arm(index, index + at);
    }
    for (uint32_t i = 0; i < count; ++i) rte_timer_stop(&all.timers[i]);
}

void expire_all_rte_timer(benchmark::State& state) {
    const auto count = static_cast<uint32_t>(state.range(0));
    RteTimers all{count};
    uint64_t expired = 0;
    const uint64_t cycles_per_us = rte_get_timer_hz() / 1'000'000;
    for (auto _ : state) {
        state.PauseTiming();
        const uint64_t start = rte_get_timer_cycles();
        for (uint32_t i = 0; i < count; ++i) {
            rte_timer_reset(&all.timers[i], wait_us(i) * cycles_per_us, SINGLE, rte_lcore_id(),
                            count_expiry, &expired);
        }
        while (rte_get_timer_cycles() - start < rte_get_timer_hz() * 11 / 10) {
        }
        state.ResumeTiming();
        rte_timer_manage();
    }
    state.SetItemsProcessed(static_cast<int64_t>(expired));
}

// Time goes on among `count` that are armed, over ten seconds; what expires is armed again, at
// random. So there are always as many. An item is one that expires.

constexpr uint32_t span_us = 10 * second_us;

/// Not in the order in which they lie in memory.
uint32_t nth_to_expire(uint64_t n, uint32_t count) {
    return static_cast<uint32_t>(n * 7919 % count);
}

void advance_among_ours(benchmark::State& state) {
    const auto count = static_cast<uint32_t>(state.range(0));
    TimerWheel wheel{count, Instant{}};
    for (uint64_t i = 0; i < count; ++i) {
        wheel.arm(nth_to_expire(i, count),
                  Instant::from_us(static_cast<int64_t>(1 + i * span_us / count)));
    }
    Prng random{1};
    uint64_t expired = 0;
    int64_t now_us = 0;
    for (auto _ : state) {
        now_us += 10;
        wheel.advance(Instant::from_us(now_us), UINT32_MAX, [&](uint32_t index) {
            ++expired;
            const auto wait = static_cast<int64_t>(1 + random.below(span_us));
            wheel.arm(index, Instant::from_us(now_us + wait));
        });
    }
    state.SetItemsProcessed(static_cast<int64_t>(expired));
}

struct ArmingAgain {
    Prng random{1};
    uint64_t cycles_per_us = rte_get_timer_hz() / 1'000'000;
    uint64_t expired = 0;
};

void arm_rte_timer_again(rte_timer* timer, void* context) {
    auto& again = *static_cast<ArmingAgain*>(context);
    ++again.expired;
    rte_timer_reset(timer, (1 + again.random.below(span_us)) * again.cycles_per_us, SINGLE,
                    rte_lcore_id(), arm_rte_timer_again, context);
}

// Its clock does not wait. So the first is to expire when all are armed, and only calls count in
// which some did.
void advance_among_rte_timer(benchmark::State& state) {
    constexpr uint64_t enough = 200'000;
    const auto count = static_cast<uint32_t>(state.range(0));
    RteTimers all{count};
    ArmingAgain again;
    const uint64_t first = rte_get_timer_cycles() + uint64_t{count} * 2 * again.cycles_per_us;
    for (uint64_t i = 0; i < count; ++i) {
        const uint64_t when = first + i * span_us / count * again.cycles_per_us;
        const uint64_t now = rte_get_timer_cycles();
        if (now > first) return state.SkipWithError("arming took too long");
        rte_timer_reset(&all.timers[nth_to_expire(i, count)], when - now, SINGLE, rte_lcore_id(),
                        arm_rte_timer_again, &again);
    }
    uint64_t busy = 0;
    for (auto _ : state) {
        while (again.expired < enough) {
            const uint64_t before = again.expired;
            const uint64_t begin = rte_get_timer_cycles();
            rte_timer_manage();
            if (again.expired != before) busy += rte_get_timer_cycles() - begin;
        }
        state.SetIterationTime(static_cast<double>(busy) / static_cast<double>(rte_get_timer_hz()));
    }
    state.SetItemsProcessed(static_cast<int64_t>(again.expired));
    // All at once: to stop each of ten million takes as long as to arm it.
    rte_timer_subsystem_finalize();
    rte_timer_subsystem_init();
}

BENCHMARK(arm_again_ours)->Arg(1'000)->Arg(100'000)->Arg(1'000'000)->Arg(10'000'000);
BENCHMARK(arm_again_rte_timer)->Arg(1'000)->Arg(100'000)->Arg(1'000'000)->Arg(10'000'000);
BENCHMARK(expire_all_ours)->Arg(100'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond);
BENCHMARK(expire_all_rte_timer)
    ->Arg(100'000)
    ->Arg(1'000'000)
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(advance_among_ours)->Arg(1'000'000)->Arg(10'000'000)->UseRealTime();
BENCHMARK(advance_among_rte_timer)->Arg(1'000'000)->Arg(10'000'000)->Iterations(1)->UseManualTime();

}  // namespace

int main(int argc, char** argv) {
    synfin::bench::start_eal_without_network(argv[0], 256);
    rte_timer_subsystem_init();
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    rte_timer_subsystem_finalize();
    rte_eal_cleanup();
    return 0;
}
