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
    uint64_t requests = 0;  ///< on each connection; 0: not given
    std::string close = "fin";
    std::string first = "client";
    double rate = 0;
    uint64_t concurrency = 0;  ///< 0: not given
    bool hold = false;
    uint64_t held = 0;
    Duration duration;
    uint64_t connections = 0;
    Duration grace = Duration::seconds(5);
    std::string host = "synfin";
    std::string path = "/";
    bool early_data = false;

    void attach(OptionTable& table);
    /// Refuses what contradicts itself or would be without effect (UsageError), and more
    /// connections at once than `memory_bytes` hold (RunError). `hosts`: how many ends of each
    /// connection are ours.
    void check(const OptionTable& table, uint64_t workers, uint64_t max_connections, unsigned hosts,
               uint64_t memory_bytes) const;
    /// Sets `max_connections` of each worker, unless the user has given it: a table that is hardly
    /// larger than what is in it stays in the cache. An open loop without a bound may need any
    /// number.
    void fit_tables(const OptionTable& table, uint64_t workers, uint64_t& max_connections) const;
    /// For one of `workers` clients: its share of rate, concurrency and connections.
    load::ClientConfig client_config(unsigned worker, unsigned workers,
                                     uint32_t max_connections) const;
    /// `connect`, `request` or `requests=N`, as the report names it.
    std::string mode_name() const;
    /// How many connections are held until the end.
    uint64_t held_connections() const { return hold ? concurrency : held; }
    bool asks() const { return mode == "request" || requests > 0; }
};

/// What a connection takes of memory at one end, its share of all tables included.
inline constexpr uint64_t bytes_per_connection = 256;

/// The memory that the system could still give us.
uint64_t available_memory_bytes();

/// The services by name, for `serve --mode`.
load::Service service_named(const std::string& name);
std::vector<std::string> service_names();

}  // namespace synfin::apps
