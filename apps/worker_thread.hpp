// What a worker's thread does all its life: pass after pass of the loop. What the control plane
// wants (stop, stop at once) stands in flags of the applications, which look at them when they are
// polled.
#pragma once

#include <atomic>
#include <span>

#include <synfin/dpdk/clock.hpp>
#include <synfin/load/statistics.hpp>
#include <synfin/stack/loop.hpp>
#include <synfin/stack/worker.hpp>

namespace synfin::apps {

/// With a profile, where in the passes the time goes.
template <class Device>
void run_worker(stack::Worker& worker, std::span<Device* const> devices, const dpdk::Clock& clock,
                load::WorkerTime& time, const std::atomic<bool>& stop,
                stack::StageProfile* profile = nullptr) {
    stack::Loop<Device> loop{worker, devices};
    uint64_t tick = dpdk::Clock::ticks();
    const Instant begin = clock.at(tick);
    Instant now = begin;
    while (!stop.load(std::memory_order_relaxed)) {
        const unsigned moved =
            profile == nullptr ? loop.run_once(now) : loop.run_once(now, *profile);
        const uint64_t next = dpdk::Clock::ticks();
        if (moved != 0) time.busy_cycles += next - tick;
        tick = next;
        const Instant began = now;
        now = clock.at(tick);
        time.judge(now - began);
    }
    time.ns = static_cast<uint64_t>((now - begin).count_ns());
}

}  // namespace synfin::apps
