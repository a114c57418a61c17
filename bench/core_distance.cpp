// How far apart two cores are: the time that a cache line takes from one to the other and back.
//
// On a shared host it changes by itself: whoever places the virtual cores may move them under one
// level-3 cache, or apart. What passes between two cores is then slower by a third or more, so a
// comparison of two runs says little without this. Prints nanoseconds, the median of many trips.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <thread>

#include <sched.h>

namespace {

constexpr size_t samples = 400;
constexpr uint32_t trips_per_sample = 100;

struct alignas(128) Line {
    std::atomic<uint32_t> turn{0};
};

void stay_on(size_t core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof set, &set);
}

void wait_for(const Line& line, uint32_t turn) {
    while (line.turn.load(std::memory_order_acquire) != turn) {
    }
}

}  // namespace

int main() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) < 2) {
        std::fputs("core_distance: one core only, but the distance is between two\n", stderr);
        return 1;
    }
    size_t first = 0;
    while (!CPU_ISSET(first, &set)) ++first;
    size_t last = CPU_SETSIZE - 1;
    while (!CPU_ISSET(last, &set)) --last;

    Line line;
    std::thread other{[&] {
        stay_on(last);
        for (uint32_t trip = 0; trip < samples * trips_per_sample; ++trip) {
            wait_for(line, 2 * trip + 1);
            line.turn.store(2 * trip + 2, std::memory_order_release);
        }
    }};
    stay_on(first);
    std::array<double, samples> nanoseconds{};
    uint32_t trip = 0;
    for (double& sample : nanoseconds) {
        const auto begin = std::chrono::steady_clock::now();
        for (uint32_t i = 0; i < trips_per_sample; ++i, ++trip) {
            line.turn.store(2 * trip + 1, std::memory_order_release);
            wait_for(line, 2 * trip + 2);
        }
        const std::chrono::duration<double, std::nano> took =
            std::chrono::steady_clock::now() - begin;
        sample = took.count() / trips_per_sample;
    }
    other.join();
    std::nth_element(nanoseconds.begin(), nanoseconds.begin() + samples / 2, nanoseconds.end());
    std::printf("%.0f\n", nanoseconds[samples / 2]);
    return 0;
}
