// The options that say what load is generated: shared by `load` and `pair`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <synfin/load/client.hpp>
#include <synfin/load/server.hpp>

#include "option_table.hpp"

namespace synfin::apps {

struct LoadOptions {
    std::string mode = "connect";
    uint64_t requests = 1;
    std::string close = "fin";
    std::string first = "client";
    double rate = 0;
    uint64_t concurrency = 0;  ///< 0: not given
    Duration duration;
    uint64_t connections = 0;
    Duration grace = Duration::seconds(5);
    std::string host = "synfin";
    std::string path = "/";

    void attach(OptionTable& table);
    /// For one of `workers` clients: its share of rate, concurrency and connections.
    load::ClientConfig client_config(unsigned worker, unsigned workers,
                                     uint32_t max_connections) const;
    /// `connect`, `request` or `requests=N`, as the report names it.
    std::string mode_name() const;
    bool asks() const { return mode == "request"; }
};

/// The services by name, for `serve --mode`.
load::Service service_named(const std::string& name);
std::vector<std::string> service_names();

}  // namespace synfin::apps
