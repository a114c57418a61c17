// DPDK as serve and load use it: EAL, packet buffers, ports, steering, and for each worker its
// devices and its thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <synfin/base/apart.hpp>
#include <synfin/dpdk/clock.hpp>
#include <synfin/dpdk/eal.hpp>
#include <synfin/dpdk/handoff_mesh.hpp>
#include <synfin/dpdk/packet_pool.hpp>
#include <synfin/dpdk/port.hpp>
#include <synfin/dpdk/queue_device.hpp>
#include <synfin/dpdk/steering.hpp>
#include <synfin/dpdk/worker_launch.hpp>
#include <synfin/load/report.hpp>
#include <synfin/stack/loop.hpp>
#include <synfin/stack/worker.hpp>

#include "common_options.hpp"
#include "worker_thread.hpp"

namespace synfin::apps {

class Machine {
  public:
    enum class Role : uint8_t { server, client };

    /// Brings the devices up. Throws SetupError, UsageError.
    Machine(const MachineOptions& machine, const LinkOptions& link, Role role);
    ~Machine();
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    unsigned workers() const { return workers_; }
    /// Interfaces and port filter of a worker; interface i answers for addresses[i].
    void configure(stack::WorkerConfig& config, unsigned worker,
                   const std::vector<std::vector<wire::IpPrefix>>& addresses) const;
    /// Starts the worker's thread. The worker must outlive stop().
    void start(unsigned index, stack::Worker& worker);
    void stop();  ///< joins the threads
    const load::WorkerTime& time(unsigned worker) const { return seats_[worker]->time; }
    /// What a report says of devices, steering and memory.
    load::RunInfo run_info(const std::string& tool, const std::string& mode) const;

    bool wait_for_links(Duration patience, const dpdk::Shutdown& shutdown) const;
    const dpdk::Clock& clock() const { return clock_; }
    /// Lines for the user: memory, ports, steering.
    std::vector<std::string> description() const;
    /// Closes devices and ports; the buffers that have not come back. 0 when a driver is in use
    /// that never gives all back, so that ours cannot be told from its own.
    uint32_t leaked_buffers();

  private:
    bool counts_buffers() const;
    /// Who has moved its frames.
    std::string memif_note(size_t port) const;

    struct alignas(apart) Seat {
        std::vector<std::unique_ptr<dpdk::QueueDevice>> queues;
        std::vector<std::unique_ptr<dpdk::HandoffDevice>> handoffs;
        std::unique_ptr<stack::Colleagues> colleagues;  ///< if there are other workers
        std::unique_ptr<dpdk::Steering::View> view;
        load::WorkerTime time;
    };

    const LinkOptions& link_;
    Role role_;
    dpdk::Eal eal_;
    dpdk::Clock clock_;
    dpdk::PacketPool pool_;
    std::vector<std::unique_ptr<dpdk::Port>> ports_;
    unsigned workers_;
    dpdk::Steering steering_;
    dpdk::Steering owners_;  ///< whose a segment is that came in parts
    std::vector<std::unique_ptr<dpdk::HandoffMesh>> meshes_;  ///< one per port, if several workers
    std::vector<std::unique_ptr<Seat>> seats_;
    std::vector<unsigned> cores_;
    dpdk::WorkerThreads threads_;
};

}  // namespace synfin::apps
