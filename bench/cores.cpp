// What two cores give right now, which on a shared host changes by itself, and with it every
// figure:
//
//   distance  the time that a cache line takes from one to the other and back, in nanoseconds.
//             Whoever places the virtual cores may move them under one level-3 cache, or apart.
//   width     how many independent additions each core does in the time of a dependent one, while
//             the other works, too. A core alone does three or four; with someone else's thread on
//             its second hyperthread about two, though its clock is as fast and nothing is taken
//             away from it that the system could tell of.
//
// A host that sees a virtual core idle may put it anywhere when it wakes, and moves it to a better
// place a second later. So `cores SECONDS WIDTH` works until each has that width, at most so long,
// before it tells.
#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

#include <sched.h>

namespace {

using Clock = std::chrono::steady_clock;

void stay_on(size_t core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof set, &set);
}

double median(std::vector<double>& samples) {
    const auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
    std::nth_element(samples.begin(), middle, samples.end());
    return *middle;
}

// ---- distance

struct alignas(128) Line {
    std::atomic<uint32_t> turn{0};
};

void wait_for(const Line& line, uint32_t turn) {
    while (line.turn.load(std::memory_order_acquire) != turn) {
    }
}

double distance_ns(size_t first, size_t last) {
    constexpr size_t samples = 400;
    constexpr uint32_t trips_per_sample = 100;
    Line line;
    std::thread other{[&] {
        stay_on(last);
        for (uint32_t trip = 0; trip < samples * trips_per_sample; ++trip) {
            wait_for(line, 2 * trip + 1);
            line.turn.store(2 * trip + 2, std::memory_order_release);
        }
    }};
    stay_on(first);
    std::vector<double> nanoseconds(samples);
    uint32_t trip = 0;
    for (double& sample : nanoseconds) {
        const auto begin = Clock::now();
        for (uint32_t i = 0; i < trips_per_sample; ++i, ++trip) {
            line.turn.store(2 * trip + 1, std::memory_order_release);
            wait_for(line, 2 * trip + 2);
        }
        const std::chrono::duration<double, std::nano> took = Clock::now() - begin;
        sample = took.count() / trips_per_sample;
    }
    other.join();
    return median(nanoseconds);
}

// ---- width

constexpr uint32_t rounds = 4000;
constexpr auto window = std::chrono::milliseconds{20};

[[gnu::noinline]] void add_independently() {
    uint64_t a = 0, b = 0, c = 0, d = 0;
    for (uint32_t i = 0; i < rounds; ++i) {
        for (uint32_t k = 0; k < 4; ++k) {
            ++a, ++b, ++c, ++d;
            asm volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d));
        }
    }
}

[[gnu::noinline]] void add_dependently() {
    uint64_t a = 0;
    for (uint32_t i = 0; i < rounds; ++i) {
        for (uint32_t k = 0; k < 16; ++k) {
            ++a;
            asm volatile("" : "+r"(a));
        }
    }
}

/// Of this core in the next moments: the median, so what takes the core away does not show.
double width() {
    std::vector<double> samples;
    for (const auto end = Clock::now() + window; Clock::now() < end;) {
        const auto begin = Clock::now();
        add_dependently();
        const auto middle = Clock::now();
        add_independently();
        const std::chrono::duration<double> dependent = middle - begin;
        const std::chrono::duration<double> independent = Clock::now() - middle;
        samples.push_back(dependent / independent);
    }
    return median(samples);
}

/// Of each core while all work, as soon as all have `least`, or after `patience`.
std::vector<double> widths(const std::vector<size_t>& cores, std::chrono::duration<double> patience,
                           double least) {
    const auto end = Clock::now() + patience;
    std::vector<double> found(cores.size());
    do {
        std::vector<std::thread> others;
        for (size_t i = 1; i < cores.size(); ++i) {
            others.emplace_back([&, i] {
                stay_on(cores[i]);
                found[i] = width();
            });
        }
        stay_on(cores[0]);
        found[0] = width();
        for (std::thread& other : others) other.join();
    } while (*std::min_element(found.begin(), found.end()) < least && Clock::now() < end);
    return found;
}

// ---- program

/// The first and the last of those that this process may use.
std::vector<size_t> cores_at_the_ends() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return {};
    std::vector<size_t> all;
    for (size_t core = 0; core < CPU_SETSIZE; ++core) {
        if (CPU_ISSET(core, &set)) all.push_back(core);
    }
    return all.size() < 2 ? all : std::vector<size_t>{all.front(), all.back()};
}

std::optional<double> as_number(std::string_view text) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || !(number >= 0)) return {};
    return number;
}

}  // namespace

int main(int argc, char** argv) {
    const auto seconds = argc == 3 ? as_number(argv[1]) : 0;
    const auto least = argc == 3 ? as_number(argv[2]) : 0;
    if ((argc != 1 && argc != 3) || !seconds || !least || *seconds > 60) {
        std::fputs("cores [SECONDS WIDTH]: at most 60 seconds, until each core has this width\n",
                   stderr);
        return 2;
    }
    const std::vector<size_t> cores = cores_at_the_ends();
    if (cores.empty()) {
        std::perror("cores: which may be used");
        return 1;
    }
    const std::vector<double> found =
        widths(cores, std::chrono::duration<double>{*seconds}, *least);
    std::printf("{\"widths\": [%.2f", found[0]);
    for (size_t i = 1; i < found.size(); ++i) std::printf(", %.2f", found[i]);
    std::fputs("]", stdout);
    if (cores.size() > 1) {
        std::printf(", \"distance_ns\": %.0f", distance_ns(cores.front(), cores.back()));
    }
    std::puts("}");
    return 0;
}
