// What a run has come to: collected from the workers, printed as text and as JSON, and judged.
//
// Everything is read from counters that the workers own, while they run or afterwards; nobody waits
// for anybody. A live line is the difference of two samples, its percentiles included: it tells of
// the last second, not of the whole run.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <synfin/base/histogram.hpp>
#include <synfin/base/instant.hpp>
#include <synfin/load/statistics.hpp>
#include <synfin/stack/worker.hpp>

namespace synfin::load {

/// What was run, for whoever reads the result later.
struct RunInfo {
    std::string tool;  ///< `synfin pair`
    std::string version;
    std::string mode;      ///< `connect`, `request`, `requests=10`
    std::string link;      ///< `ring`, `af_packet:eth0`
    std::string steering;  ///< by what means replies find their worker; empty: one worker
    /// What else decides what the numbers mean, a line each: 2MSL, cores, huge pages, offloads,
    /// timers.
    std::vector<std::string> notes;
    double seconds = 0;  ///< how long was measured, or served
};

/// All workers of one side.
struct SideTotals {
    uint64_t transmitted = 0;  ///< frames
    uint64_t received = 0;
    uint64_t time_wait = 0;  ///< records that were still held at the end
    WorkerTime time;
    std::map<std::string, uint64_t> tcp;  ///< by the names of RFC 4022 and nstat

    void add(const stack::Worker& worker, const WorkerTime& worker_time);
};

struct Leaks {
    uint64_t connections = 0;
    uint64_t buffers = 0;  ///< of the stack and of the packet pool
    uint64_t timers = 0;

    void add(const stack::Worker::Leaks& of_worker);
    bool none() const { return connections + buffers + timers == 0; }
};

/// A load generator has a client, a server has a server, `pair` has both.
struct Result {
    RunInfo run;
    std::optional<ClientStatistics> client;
    std::optional<ServerStatistics> server;
    std::optional<SideTotals> client_side;
    std::optional<SideTotals> server_side;
    Leaks leaks;
    /// The client ends its connections with RST, so the server is to see resets.
    bool client_resets = false;
};

/// Sums up several workers of one kind; of stalls, the longest of all stays the longest.
void add(WorkerTime& sum, const WorkerTime& part);
void add(ClientStatistics& sum, const ClientStatistics& part);
void add(ServerStatistics& sum, const ServerStatistics& part);

/// Names are added, never changed: others read them. A side that did not take part is null.
nlohmann::json to_json(const Result& result);
std::string to_text(const Result& result);

/// Why the run is not clean, a sentence each: connections that did not go through their whole life
/// in order, sides that contradict each other, leaks.
std::vector<std::string> problems(const Result& result);
inline bool clean(const Result& result) { return problems(result).empty(); }

/// All that a live line tells of, at one moment.
struct Sample {
    uint64_t opened = 0;  ///< or accepted
    uint64_t closed = 0;
    uint64_t concurrent = 0;
    uint64_t failures = 0;  ///< everything but closed
    uint64_t missed = 0;
    uint64_t packets = 0;  ///< sent and received
    uint64_t retransmissions = 0;
    Histogram handshake;

    void add(const ClientStatistics& statistics);
    void add(const ServerStatistics& statistics);
    void add_packets(const stack::Worker& worker);
    void add_retransmissions(const stack::Worker& worker);
};

/// One line, without a line feed. `elapsed` since the run began, `interval` between the samples.
std::string live_line(const Sample& before, const Sample& now, Duration elapsed, Duration interval);

/// Histogram::percentile of what was recorded between two states of the same histogram.
uint64_t percentile_between(const Histogram& before, const Histogram& after, double fraction);

}  // namespace synfin::load
