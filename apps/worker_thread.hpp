// What a worker's thread does all its life: pass after pass of the loop. What the control plane
// wants (stop, stop at once) stands in flags of the applications, which look at them when they are
// polled.
#pragma once

#include <atomic>
#include <span>

#include <synfin/base/relaxed.hpp>
#include <synfin/dpdk/clock.hpp>
#include <synfin/stack/loop.hpp>
#include <synfin/stack/worker.hpp>

namespace synfin::apps {

/// Time spent in passes that moved a packet: what the work has cost. The rest was waiting.
struct BusyTime {
    Relaxed<uint64_t> ticks;
};

/// With a profile, where in these passes.
template <class Device>
void run_worker(stack::Worker& worker, std::span<Device* const> devices, const dpdk::Clock& clock,
                BusyTime& busy, const std::atomic<bool>& stop,
                stack::StageProfile* profile = nullptr) {
    stack::Loop<Device> loop{worker, devices};
    uint64_t tick = dpdk::Clock::ticks();
    while (!stop.load(std::memory_order_relaxed)) {
        const Instant now = clock.at(tick);
        const unsigned moved =
            profile == nullptr ? loop.run_once(now) : loop.run_once(now, *profile);
        const uint64_t next = dpdk::Clock::ticks();
        if (moved != 0) busy.ticks += next - tick;
        tick = next;
    }
}

}  // namespace synfin::apps
