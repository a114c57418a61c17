// What a worker's thread does all its life: pass after pass of the loop. What the control plane wants
// (stop, stop at once) stands in flags of the applications, which look at them when they are polled.
#pragma once

#include <atomic>
#include <span>

#include <synfin/dpdk/clock.hpp>
#include <synfin/stack/loop.hpp>
#include <synfin/stack/worker.hpp>

namespace synfin::apps {

template <class Device>
void run_worker(stack::Worker& worker, std::span<Device* const> devices, const dpdk::Clock& clock,
                const std::atomic<bool>& stop) {
    stack::Loop<Device> loop{worker, devices};
    while (!stop.load(std::memory_order_relaxed)) loop.run_once(clock.now());
}

}  // namespace synfin::apps
