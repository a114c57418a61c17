// One run of clients and servers: who takes part, the live line, the end in order, the report.
//
//     add_client, add_server ... threads start ... watch ... threads end ... finish
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <synfin/dpdk/clock.hpp>
#include <synfin/dpdk/worker_launch.hpp>
#include <synfin/load/client.hpp>
#include <synfin/load/report.hpp>
#include <synfin/load/server.hpp>
#include <synfin/stack/worker.hpp>

#include "control_socket.hpp"
#include "inspect.hpp"
#include "worker_thread.hpp"

namespace synfin::apps {

class Run {
  public:
    Run(const dpdk::Clock& clock, const dpdk::Shutdown& shutdown, Duration grace);

    /// Before the worker's thread starts. `time` is what its thread counts. Both throw RunError.
    void add_client(stack::Worker& worker, const load::WorkerTime& time,
                    const load::ClientConfig& config, load::AddressPlan plan);
    void add_server(stack::Worker& worker, const load::WorkerTime& time,
                    const load::ServerConfig& config, const load::ServerContent& content,
                    bool closes_first);

    /// Opens the control socket and prints a line per second until the clients have finished, or,
    /// where there are none, until `duration` is over or an end is requested; then ends the
    /// servers.
    void watch(Duration duration);

    /// After the threads have ended: throws RunError if another host on the link had one of our
    /// addresses when the run began; watch() has ended then.
    void expect_own_addresses() const;

    /// After the threads have ended: the result without leaked packet buffers. Ends TIME_WAIT.
    load::Result finish(load::RunInfo info);

  private:
    template <class Application>
    struct Member {
        stack::Worker* worker;
        const load::WorkerTime* time;
        std::unique_ptr<Application> application;
    };

    bool clients_finished() const;
    bool servers_finished() const;
    bool is_over(Duration duration) const;
    load::Sample sample() const;
    void print_line();
    void look_for_conflicts();
    void wait_for_end(bool (Run::*finished)() const);

    const dpdk::Clock& clock_;
    const dpdk::Shutdown& shutdown_;
    Duration grace_;
    Instant begin_;
    Instant end_;
    Instant next_line_;
    uint64_t conflicts_ = 0;
    std::string conflict_at_begin_;
    std::unique_ptr<load::Sample> last_sample_;
    std::vector<Member<load::Client>> clients_;
    std::vector<Member<load::Server>> servers_;
    Inspected inspected_;
    std::unique_ptr<ControlServer> control_;
};

/// Prints the report, writes the JSON file if one is named, says what went wrong. The exit code.
int report(const load::Result& result, const std::string& json_file);

}  // namespace synfin::apps
