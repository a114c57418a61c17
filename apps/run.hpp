// One run of clients and servers: who takes part, the live line, the end in order.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <synfin/dpdk/clock.hpp>
#include <synfin/dpdk/worker_launch.hpp>
#include <synfin/load/client.hpp>
#include <synfin/load/server.hpp>
#include <synfin/stack/worker.hpp>

#include "worker_thread.hpp"

namespace synfin::apps {

class Run {
  public:
    explicit Run(Duration grace) : grace_{grace} {}

    /// Before the worker's thread starts. Both throw RunError.
    void add_client(stack::Worker& worker, const load::ClientConfig& config, load::AddressPlan plan);
    void add_server(stack::Worker& worker, const load::ServerConfig& config,
                    const load::ServerContent& content);

    /// Prints a line per second until the clients have finished (or, without clients, until the
    /// shutdown is requested) and the servers after them.
    void watch(const dpdk::Clock& clock, const dpdk::Shutdown& shutdown);

    std::string quick_summary() const;
    void end();

  private:
    template <class Application>
    struct Member {
        stack::Worker* worker;
        std::unique_ptr<Application> application;
    };
    bool clients_finished() const;
    bool servers_finished() const;

    Duration grace_;
    std::vector<Member<load::Client>> clients_;
    std::vector<Member<load::Server>> servers_;
};

}  // namespace synfin::apps
