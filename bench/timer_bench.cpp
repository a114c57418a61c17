// What the timing wheel costs with few and with many deadlines armed. The same operations on
// rte_timer: dpdk/timer_comparison.cpp.
#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

#include <synfin/base/prng.hpp>
#include <synfin/timer/wheel.hpp>

namespace {

using namespace synfin;
using timer::TimerWheel;

constexpr int64_t second_us = 1'000'000;

/// `count` deadlines at random within a second from now.
void arm_all(TimerWheel& wheel, uint32_t count, int64_t now_us, Prng& random) {
    for (uint32_t index = 0; index < count; ++index) {
        wheel.arm(index,
                  Instant::from_us(now_us + 1 + static_cast<int64_t>(random.below(second_us))));
    }
}

std::vector<uint32_t> random_indices(uint32_t bound, Prng& random) {
    std::vector<uint32_t> indices(1 << 20);
    for (uint32_t& index : indices) index = static_cast<uint32_t>(random.below(bound));
    return indices;
}

/// One of many moves its deadline: what a retransmission timer does that is not handled lazily.
void arm_again(benchmark::State& state) {
    const auto count = static_cast<uint32_t>(state.range(0));
    Prng random{1};
    TimerWheel wheel{count, Instant{}};
    arm_all(wheel, count, 0, random);
    const std::vector<uint32_t> indices = random_indices(count, random);
    size_t at = 0;
    for (auto _ : state) {
        const uint32_t index = indices[at++ % indices.size()];
        wheel.cancel(index);
        wheel.arm(index, Instant::from_us(1 + static_cast<int64_t>((index * 977u) % second_us)));
    }
}
BENCHMARK(arm_again)->RangeMultiplier(100)->Range(1'000, 10'000'000);

/// All of them expire within a second of virtual time, in steps of 10 us.
void expire_all(benchmark::State& state) {
    const auto count = static_cast<uint32_t>(state.range(0));
    Prng random{2};
    TimerWheel wheel{count, Instant{}};
    int64_t now_us = 0;
    uint64_t expired = 0;
    for (auto _ : state) {
        state.PauseTiming();
        arm_all(wheel, count, now_us, random);
        state.ResumeTiming();
        for (int64_t end_us = now_us + second_us; now_us < end_us;) {
            now_us += 10;
            while (wheel.advance(Instant::from_us(now_us), 1024, [&](uint32_t) { ++expired; })) {
            }
        }
    }
    state.SetItemsProcessed(static_cast<int64_t>(expired));
}
BENCHMARK(expire_all)->Arg(1'000'000)->Arg(10'000'000)->Unit(benchmark::kMillisecond);

/// A loop that has nothing due: what every loop of a worker pays.
void advance_without_work(benchmark::State& state) {
    TimerWheel wheel{1000, Instant{}};
    int64_t now_us = 0;
    for (auto _ : state) {
        if ((now_us & 0xffff) == 0) wheel.arm(0, Instant::from_us(now_us + second_us));
        now_us += 1;
        benchmark::DoNotOptimize(wheel.advance(Instant::from_us(now_us), 64, [](uint32_t) {}));
    }
}
BENCHMARK(advance_without_work);

/// An idle simulation jumps from deadline to deadline.
void jump_to_next_deadline(benchmark::State& state) {
    TimerWheel wheel{1000, Instant{}};
    Prng random{3};
    int64_t now_us = 0;
    arm_all(wheel, 1000, now_us, random);
    for (auto _ : state) {
        now_us = wheel.next_due()->us();
        wheel.advance(Instant::from_us(now_us), 1, [&](uint32_t index) {
            wheel.arm(index,
                      Instant::from_us(now_us + 1 + static_cast<int64_t>(random.below(second_us))));
        });
    }
}
BENCHMARK(jump_to_next_deadline);

}  // namespace

BENCHMARK_MAIN();
