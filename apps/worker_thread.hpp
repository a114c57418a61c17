// What a worker's thread does all its life: pass after pass of the loop, and now and then a look at
// the control plane's queue.
#pragma once

#include <atomic>
#include <functional>
#include <span>

#include <synfin/dpdk/clock.hpp>
#include <synfin/dpdk/control.hpp>
#include <synfin/stack/loop.hpp>
#include <synfin/stack/worker.hpp>

namespace synfin::apps {

/// Called on the worker's thread, between two passes.
using CommandHandler = std::function<void(const dpdk::Command&)>;

template <class Device>
void run_worker(stack::Worker& worker, std::span<Device* const> devices, const dpdk::Clock& clock,
                dpdk::Channel<dpdk::Command>& commands, const CommandHandler& on_command,
                const std::atomic<bool>& stop) {
    // A look at the queue costs a cache line of another core; a pass takes microseconds at most.
    constexpr unsigned passes_between_looks = 64;
    stack::Loop<Device> loop{worker, devices};
    while (!stop.load(std::memory_order_relaxed)) {
        for (unsigned pass = 0; pass < passes_between_looks; ++pass) loop.run_once(clock.now());
        while (const auto command = commands.receive()) on_command(*command);
    }
}

}  // namespace synfin::apps
