// `synfin load`: the load generator on any device, against what the user names and nothing else.
#include <algorithm>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <synfin/base/system_random.hpp>

#include "common_options.hpp"
#include "load_options.hpp"
#include "machine.hpp"
#include "run.hpp"
#include "subcommands.hpp"
#include "units.hpp"

namespace synfin::apps {

namespace {

struct LoadCommandOptions {
    MachineOptions machine;
    LinkOptions link;
    TcpOptions tcp;
    LoadOptions load;
    OptionTable table;
    std::vector<wire::IpPrefix> sources;
    std::vector<wire::SocketAddress> targets;

    LoadCommandOptions() {
        machine.attach(table);
        link.attach(table);
        tcp.attach(table);
        load.attach(table);
        table.list("source", "PREFIX",
                   "an address or block that connections come from, such as 198.18.1.0/24; with "
                   "several devices the first belongs to the first, and so on in turn",
                   [this](const std::string& text) -> std::optional<std::string> {
                       const auto block = parse_block(text);
                       if (!block)
                           return "must be an address or a block of them, such as 198.18.1.0/24 or "
                                  "fd00:1::/64";
                       sources.push_back(*block);
                       return std::nullopt;
                   });
        table.list("target", "IP:PORT",
                   "address and port that connections go to, such as 198.18.0.1:80",
                   [this](const std::string& text) -> std::optional<std::string> {
                       const auto target = wire::parse_socket_address(text);
                       if (!target || target->port == 0) {
                           return "must be an address and a port, such as 198.18.0.1:80 or "
                                  "[fd00::1]:80";
                       }
                       targets.push_back(*target);
                       return std::nullopt;
                   });
    }
};

void check(const LoadCommandOptions& o) {
    if (o.sources.empty()) {
        throw UsageError{
            "no source is given; name one with --source, such as --source 198.18.1.0/24"};
    }
    if (o.targets.empty()) {
        throw UsageError{
            "no target is given; name one with --target, such as --target 198.18.0.1:80"};
    }
    // A connection leaves where its source is, so a device without one would stand idle.
    if (o.link.devices.size() > o.sources.size()) {
        throw UsageError{
            fmt::format("{} devices, but {} --source; each --dev needs at least one of "
                        "its own, in the same order",
                        o.link.devices.size(), o.sources.size())};
    }
    if (o.load.duration == Duration{} && o.load.connections == 0) {
        throw UsageError{"the load has no end; give --duration, such as 30s, or --connections"};
    }
    if (o.load.rate == 0 && o.load.concurrency == 0) {
        throw UsageError{"no load is asked for; give --rate, such as 100k, or --concurrency"};
    }
    o.load.check(o.table, o.machine.workers, o.tcp.max_connections, 1, available_memory_bytes());
}

// Whether every target can be reached from here: on the link, or through the gateway.
void check_reachability(const LoadCommandOptions& o) {
    const auto is_on_link = [&](const wire::IpAddress& address) {
        const auto contains = [&](const wire::IpPrefix& p) { return p.contains(address); };
        return std::any_of(o.link.on_link.begin(), o.link.on_link.end(), contains) ||
               std::any_of(o.sources.begin(), o.sources.end(), contains);
    };
    for (const wire::SocketAddress& target : o.targets) {
        if (o.link.gateway || is_on_link(target.address)) continue;
        throw UsageError{fmt::format(
            "the target {} is not on the link of the sources and there is no way to "
            "it; name a --gateway, or "
            "say with --on-link, such as --on-link {}/{}, that it is",
            to_string(target), to_string(target.address), target.address.is_v4() ? 24 : 64)};
    }
}

// Benchmark networks are wide: sources and target in 198.18.0.0/15 (RFC 2544) share a link unless a
// gateway is named.
void apply_benchmark_link(LoadCommandOptions& o) {
    const wire::IpPrefix benchmark{wire::IpAddress::v4(198, 18, 0, 0), 15};
    if (o.link.gateway || !o.link.on_link.empty()) return;
    const bool all_inside =
        std::all_of(o.targets.begin(), o.targets.end(),
                    [&](const auto& t) { return benchmark.contains(t.address); }) &&
        std::all_of(o.sources.begin(), o.sources.end(),
                    [&](const auto& s) { return benchmark.contains(s.address); });
    if (all_inside) o.link.on_link.push_back(benchmark);
}

int run_load(LoadCommandOptions& options) {
    options.table.apply();
    options.load.fit_tables(options.table, options.machine.workers, options.tcp.max_connections);
    check(options);
    apply_benchmark_link(options);
    check_reachability(options);
    std::vector<wire::IpAddress> reserved;
    if (options.link.gateway) reserved.push_back(*options.link.gateway);
    for (const auto& target : options.targets) reserved.push_back(target.address);
    const auto plan = load::AddressPlan::make(options.sources, options.targets, reserved);
    if (!plan) throw UsageError{plan.error()};

    Machine machine{options.machine, options.link, Machine::Role::client};
    const dpdk::Shutdown shutdown;
    Run run{machine.clock(), shutdown, options.load.grace};
    std::vector<std::unique_ptr<stack::Worker>> workers;
    const auto max_connections = static_cast<uint32_t>(options.tcp.max_connections);
    const auto sources = options.link.spread(options.sources);
    for (unsigned w = 0; w < machine.workers(); ++w) {
        stack::WorkerConfig config;
        options.tcp.apply_to(config);
        config.secret = system_random_key();
        machine.configure(config, w, sources);
        workers.push_back(std::make_unique<stack::Worker>(config));
        load::AddressPlan own = *plan;
        own.skip(w * own.pair_count() / machine.workers());
        run.add_client(*workers[w], machine.time(w),
                       options.load.client_config(w, machine.workers(), max_connections),
                       std::move(own));
    }
    for (const std::string& line : machine.description()) fmt::print("{}\n", line);
    std::fflush(stdout);
    constexpr Duration patience = Duration::seconds(10);
    if (!machine.wait_for_links(patience, shutdown) && !shutdown.requested()) {
        throw RunError{
            fmt::format("no link after {}: is the other side there?", format_duration(patience))};
    }
    for (unsigned w = 0; w < machine.workers(); ++w) machine.start(w, *workers[w]);
    run.watch(Duration{});
    machine.stop();
    run.expect_own_addresses();

    load::RunInfo info = machine.run_info("synfin load", options.load.mode_name());
    for (const std::string& line : tcp_notes(options.tcp)) info.notes.push_back(line);
    load::Result result = run.finish(std::move(info));
    result.leaks.buffers += machine.leaked_buffers();
    result.client_resets = options.load.close == "rst" && options.load.first == "client";
    return report(result, options.machine.json_file);
}

}  // namespace

void add_load(CLI::App& app, std::function<int()>& run) {
    const auto options = std::make_shared<LoadCommandOptions>();
    CLI::App* command =
        app.add_subcommand("load", "open, use and close connections to a target, and measure it");
    options->table.attach(*command);
    command->callback([options, &run] { run = [options] { return run_load(*options); }; });
}

}  // namespace synfin::apps
