// `synfin serve`: a server on any device: HTTP/1.1, or the plain services.
#include <algorithm>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <synfin/base/system_random.hpp>

#include "common_options.hpp"
#include "load_options.hpp"
#include "machine.hpp"
#include "run.hpp"
#include "subcommands.hpp"
#include "units.hpp"

namespace synfin::apps {

namespace {

struct ServeOptions {
    MachineOptions machine;
    LinkOptions link;
    TcpOptions tcp;
    ListenerOptions listener;
    OptionTable table;
    std::vector<wire::IpPrefix> addresses;
    std::vector<uint16_t> ports;
    std::string mode = "http";
    std::string close = "fin";
    std::string first = "client";
    uint64_t body_bytes = 1024;
    Duration duration;
    Duration grace = Duration::seconds(5);

    ServeOptions() {
        machine.attach(table);
        link.attach(table);
        tcp.attach(table);
        listener.attach(table);
        table.list("address", "PREFIX",
                   "the server's address with the length of its network, such as 198.18.0.1/15, or "
                   "a block that it answers for as a whole, such as 198.18.0.0/24; with several "
                   "devices the first belongs to the first, and so on in turn",
                   [this](const std::string& text) { return add_address(text); });
        table.list(
            "listen", "PORT", "a port to listen on",
            [this](const std::string& text) -> std::optional<std::string> {
                const auto port = parse_count(text);
                if (!port || *port < 1 || *port > 65535 || *port != static_cast<uint16_t>(*port)) {
                    return "must be a port from 1 to 65535";
                }
                if (std::find(ports.begin(), ports.end(), *port) != ports.end()) {
                    return "is listened on already; each port can be given once";
                }
                ports.push_back(static_cast<uint16_t>(*port));
                return std::nullopt;
            });
        table.choice("mode", "what the server does", service_names(), mode);
        table.choice("close", "how mode close ends a connection", {"fin", "rst"}, close);
        table.choice("first",
                     "server: each HTTP response says Connection: close and carries the FIN",
                     {"client", "server"}, first);
        table.bytes("body", "bytes of each HTTP response's body", body_bytes, 0, uint64_t{1} << 30);
        table.duration("duration", "how long to serve (default: until SIGINT or SIGTERM)", duration,
                       Duration::milliseconds(1), Duration::hours(24 * 365));
        table.duration("grace", "how long what is open may take to end, before it is reset", grace,
                       Duration{}, Duration::hours(1));
    }

    // `198.18.0.1/15`: the server is .1, and the block is what lies on the link.
    std::optional<std::string> add_address(const std::string& text) {
        const size_t slash = text.find('/');
        const auto host = wire::parse_ip_address(text.substr(0, slash));
        const auto block = parse_block(text);
        if (!host || !block)
            return "must be an address with the length of its network, such as 198.18.0.1/15 or "
                   "fd00::1/64";
        const uint8_t host_length = host->is_v4() ? 32 : 128;
        const bool is_network = block->length < host_length;
        const bool is_block = is_network && *host == block->address;
        addresses.push_back(is_block ? *block : wire::IpPrefix{*host, host_length});
        if (is_network && !is_block) link.on_link.push_back(*block);
        return std::nullopt;
    }
};

load::ServerConfig server_config(const ServeOptions& options) {
    load::ServerConfig config;
    config.service = service_named(options.mode);
    config.close = options.close == "rst" ? load::CloseBy::rst : load::CloseBy::fin;
    for (const uint16_t port : options.ports) config.listen.push_back({{}, port});
    config.listen_options = options.listener.listen_options();
    config.grace = options.grace;
    config.max_connections = static_cast<uint32_t>(options.tcp.max_connections);
    return config;
}

int run_serve(ServeOptions& options) {
    options.table.apply();
    if (options.addresses.empty()) {
        throw UsageError{
            "no address is given; name one with --address, such as --address 198.18.0.1/15"};
    }
    if (options.ports.empty()) options.ports = {80};
    Machine machine{options.machine, options.link, Machine::Role::server};
    const dpdk::Shutdown shutdown;
    const load::ServerContent content{options.body_bytes, options.first == "server"};
    Run run{machine.clock(), shutdown, options.grace};
    std::vector<std::unique_ptr<stack::Worker>> workers;
    const auto addresses = options.link.spread(options.addresses);
    for (unsigned w = 0; w < machine.workers(); ++w) {
        stack::WorkerConfig config;
        options.tcp.apply_to(config);
        options.listener.apply_to(config);
        config.secret = system_random_key();
        machine.configure(config, w, addresses);
        workers.push_back(std::make_unique<stack::Worker>(config));
        const load::ServerConfig server = server_config(options);
        // A request may ask for the end behind its response.
        const bool closes_first =
            server.service == load::Service::http || server.service == load::Service::close;
        run.add_server(*workers[w], machine.time(w), server, content, closes_first);
    }
    for (const std::string& line : machine.description()) fmt::print("{}\n", line);
    for (unsigned w = 0; w < machine.workers(); ++w) machine.start(w, *workers[w]);
    fmt::print("serving {} on port {}\n", options.mode, fmt::join(options.ports, ", "));
    std::fflush(stdout);
    run.watch(options.duration);
    machine.stop();
    run.expect_own_addresses();

    load::RunInfo info = machine.run_info("synfin serve", options.mode);
    for (const std::string& line : tcp_notes(options.tcp)) info.notes.push_back(line);
    load::Result result = run.finish(std::move(info));
    result.leaks.buffers += machine.leaked_buffers();
    return report(result, options.machine.json_file);
}

}  // namespace

void add_serve(CLI::App& app, std::function<int()>& run) {
    const auto options = std::make_shared<ServeOptions>();
    CLI::App* command = app.add_subcommand("serve", "serve HTTP or a plain service on a device");
    options->table.attach(*command);
    command->callback([options, &run] { run = [options] { return run_serve(*options); }; });
}

}  // namespace synfin::apps
