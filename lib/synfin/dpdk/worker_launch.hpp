// Threads of workers, each on a core of its own and known to DPDK, and the way to ask them to end.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <synfin/base/instant.hpp>

namespace synfin::dpdk {

/// The request to end, from a signal or from the program itself. The first SIGINT or SIGTERM asks
/// for a graceful end (stop opening, close what is open), the second for an end at once.
class Shutdown {
  public:
    /// Takes over SIGINT and SIGTERM; the destructor gives them back. At most one exists at a time.
    Shutdown();
    ~Shutdown();
    Shutdown(const Shutdown&) = delete;
    Shutdown& operator=(const Shutdown&) = delete;

    bool requested() const { return level() >= 1; }
    bool immediate() const { return level() >= 2; }
    /// The same as a signal.
    void request();
    void request_immediate();
    /// Sleeps until a request comes that was not there at the call, `patience` at most.
    void wait(Duration patience) const;

  private:
    int level() const;
};

/// Makes the calling thread known to DPDK, unless it is already, as long as this lives: then it has
/// a cache of its own in front of a packet pool.
class ThreadRegistration {
  public:
    ThreadRegistration();
    ~ThreadRegistration();
    ThreadRegistration(const ThreadRegistration&) = delete;
    ThreadRegistration& operator=(const ThreadRegistration&) = delete;
    bool done() const { return done_; }

  private:
    bool is_ours_;
    bool done_;
};

/// Runs one function per worker, each on its own thread and core, registered with DPDK so that it
/// has its own cache of the packet pool.
class WorkerThreads {
  public:
    WorkerThreads() = default;
    /// Sets the stop flag and joins.
    ~WorkerThreads();
    WorkerThreads(const WorkerThreads&) = delete;
    WorkerThreads& operator=(const WorkerThreads&) = delete;

    /// Starts `body(stop)` on `core`; it returns soon after `stop` becomes true. Throws SetupError.
    void start(unsigned core, const std::string& name,
               std::function<void(const std::atomic<bool>& stop)> body);
    void stop() { stop_.store(true, std::memory_order_relaxed); }
    /// How many bodies have not returned yet.
    unsigned running() const { return running_.load(std::memory_order_acquire); }
    /// Waits for all; rethrows the first exception that left a body.
    void join();

  private:
    std::atomic<bool> stop_{false};
    std::atomic<unsigned> running_{0};
    std::vector<std::unique_ptr<std::exception_ptr>> failures_;
    std::vector<std::thread> threads_;
};

/// The core for each of `workers` workers: `wanted` in order, or all that we may use; round and
/// round when there are fewer cores than workers.
std::vector<unsigned> assign_cores(unsigned workers, const std::vector<unsigned>& wanted);

}  // namespace synfin::dpdk
