// `synfin pair`: the load generator against the server, each on cores of its own, over an
// in-process link. No device, no privileges: the whole of synfin, and what this machine makes of
// it.
#include <algorithm>
#include <bit>
#include <memory>
#include <thread>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <synfin/base/apart.hpp>
#include <synfin/base/system_random.hpp>
#include <synfin/dpdk/packet_pool.hpp>
#include <synfin/dpdk/ring_link.hpp>
#include <synfin/dpdk/worker_launch.hpp>

#include "common_options.hpp"
#include "load_options.hpp"
#include "run.hpp"
#include "subcommands.hpp"

namespace synfin::apps {

namespace {

using dpdk::RingLink;

constexpr uint64_t sources_of_pair = 1022;

struct PairOptions {
    MachineOptions machine;
    TcpOptions tcp;
    ListenerOptions listener;
    LoadOptions load;
    OptionTable table;
    uint64_t body_bytes = 64;
    uint64_t ring_entries = 0;  ///< 0: by the MTU
    uint64_t sources = sources_of_pair;
    double seconds = 0;
    bool profile = false;
    bool ipv6 = false;

    PairOptions() {
        // 2MSL is real by default, so there must be tuples for all that wait: 1,022 source
        // addresses have 66 million of them for one target.
        tcp.max_time_wait = uint64_t{1} << 25;
        tcp.max_connections = uint64_t{1} << 17;
        load.duration = Duration::seconds(5);
        load.concurrency = 512;
        machine.attach(table);
        tcp.attach(table);
        listener.attach(table);
        load.attach(table);
        table.number("seconds", "the same as --duration, in seconds", seconds, 0.001, 1e6);
        table.flag("ipv6", "speak IPv6 instead of IPv4", ipv6);
        table.bytes("body", "bytes of each response's body", body_bytes, 0, uint64_t{1} << 30);
        table.count("ring-entries",
                    "frames that the link holds per direction, a power of two (default: 1024, "
                    "or as many as 4 MB hold)",
                    ring_entries, 64, 65536);
        table.count("sources", "source addresses of each client, up to 1022", sources, 1,
                    sources_of_pair);
        table.flag("profile", "print how many cycles each stage of the workers takes per packet",
                   profile);
    }
};

constexpr uint16_t server_port = 80;

wire::IpAddress server_address(const PairOptions& options, unsigned pair) {
    if (options.ipv6) return wire::IpAddress::v6(0xfd00'0000'0000'0001 + (uint64_t{pair} << 16), 1);
    return wire::IpAddress::v4(0xc613'0001 + (pair << 8));
}
// 198.18.0.0/22 or fd00::/118 for the first pair, the next block for the next.
wire::IpPrefix client_block(const PairOptions& options, unsigned pair) {
    if (options.ipv6)
        return {wire::IpAddress::v6(0xfd00'0000'0000'0000 + (uint64_t{pair} << 16), 0), 118};
    return {wire::IpAddress::v4(0xc612'0000 + (pair << 10)), 22};
}

// Both sides answer for addresses of their own and reach the other's without a gateway.
stack::InterfaceConfig interface_of(const PairOptions& options, const RingLink& link,
                                    RingLink::Side side, unsigned pair) {
    stack::InterfaceConfig interface;
    interface.mac = link.mac(side, pair);
    interface.device = link.properties();
    const wire::IpPrefix server{server_address(options, pair),
                                static_cast<uint8_t>(options.ipv6 ? 128 : 32)};
    const wire::IpPrefix clients = client_block(options, pair);
    const bool is_client = side == RingLink::Side::client;
    interface.addresses = {is_client ? clients : server};
    interface.on_link = {is_client ? server : clients};
    return interface;
}

stack::WorkerConfig worker_config(const PairOptions& options, const RingLink& link,
                                  RingLink::Side side, unsigned pair) {
    stack::WorkerConfig config;
    config.interfaces = {interface_of(options, link, side, pair)};
    config.secret = system_random_key();
    options.tcp.apply_to(config);
    options.listener.apply_to(config);
    return config;
}

// What answers the clients so that each connection ends as --first says.
load::Service service_for(const LoadOptions& load) {
    if (load.asks()) return load::Service::http;
    return load.first == "server" ? load::Service::close : load::Service::discard;
}

struct alignas(apart) Place {
    Place(const PairOptions& options, const RingLink& link, RingLink::Side side, unsigned pair,
          rte_mempool* pool)
        : worker{worker_config(options, link, side, pair)}, device{pool, link.lane(side, pair)} {}
    stack::Worker worker;
    dpdk::QueueDevice device;
    load::WorkerTime time;
    stack::StageProfile profile{&dpdk::Clock::ticks};
};

load::RunInfo run_info(const PairOptions& options, const dpdk::Eal& eal) {
    load::RunInfo info;
    info.tool = "synfin pair";
    info.version = SYNFIN_VERSION;
    info.mode = options.load.mode_name();
    info.link = "ring";
    info.notes = tcp_notes(options.tcp);
    info.notes.push_back(eal.description());
    info.notes.push_back(fmt::format("{} client and {} server cores, software checksums, MTU {}",
                                     options.machine.workers, options.machine.workers,
                                     options.machine.mtu));
    return info;
}

std::unique_ptr<Place> make_server(const PairOptions& options, const RingLink& link, unsigned pair,
                                   const dpdk::PacketPool& pool, const load::ServerContent& content,
                                   Run& run) {
    auto place = std::make_unique<Place>(options, link, RingLink::Side::server, pair, pool.get());
    load::ServerConfig config;
    config.service = service_for(options.load);
    config.close = options.load.close == "rst" ? load::CloseBy::rst : load::CloseBy::fin;
    config.listen = {{server_address(options, pair), server_port}};
    config.listen_options = options.listener.listen_options();
    config.grace = options.load.grace;
    config.max_connections = static_cast<uint32_t>(options.tcp.max_connections);
    run.add_server(place->worker, place->time, config, content, options.load.first == "server");
    return place;
}

std::unique_ptr<Place> make_client(const PairOptions& options, const RingLink& link, unsigned pair,
                                   const dpdk::PacketPool& pool, const load::ServerContent& content,
                                   Run& run) {
    auto place = std::make_unique<Place>(options, link, RingLink::Side::client, pair, pool.get());
    const auto pairs = static_cast<unsigned>(options.machine.workers);
    load::ClientConfig config =
        options.load.client_config(pair, pairs, static_cast<uint32_t>(options.tcp.max_connections));
    if (options.load.asks()) config.expected_body = content.body();
    std::vector<wire::IpPrefix> sources;
    const wire::IpPrefix block = client_block(options, pair);
    for (uint32_t n = 1; n <= options.sources; ++n) {
        // IPv4 is held in its mapped form.
        sources.push_back({wire::IpAddress::v6(block.address.high(), block.address.low() + n),
                           static_cast<uint8_t>(options.ipv6 ? 128 : 32)});
    }
    auto plan =
        load::AddressPlan::make(sources, {{server_address(options, pair), server_port}}, {});
    run.add_client(place->worker, place->time, config, std::move(plan.value()));
    return place;
}

void print_profile(const char* side, const stack::StageProfile& profile) {
    const auto packets = static_cast<double>(profile.received() + profile.transmitted());
    if (packets == 0) return;
    fmt::print("{}: {:.1f} packets in and {:.1f} out per pass, cycles per packet of either way:\n",
               side,
               static_cast<double>(profile.received()) / static_cast<double>(profile.passes()),
               static_cast<double>(profile.transmitted()) / static_cast<double>(profile.passes()));
    double sum = 0;
    for (size_t i = 0; i < stack::stage_count; ++i) {
        const auto stage = static_cast<stack::Stage>(i);
        const double cycles = static_cast<double>(profile.ticks_in(stage)) / packets;
        sum += cycles;
        fmt::print("  {:<12}{:8.1f}\n", stack::name(stage), cycles);
    }
    fmt::print("  {:<12}{:8.1f}\n", "all", sum);
}

/// What one option means for the others that were not given.
void settle_defaults(PairOptions& options) {
    if (options.table.given("seconds")) {
        options.load.duration = Duration::nanoseconds(static_cast<int64_t>(options.seconds * 1e9));
    }
    if (options.table.given("connections") && !options.table.given("seconds") &&
        !options.table.given("duration")) {
        options.load.duration = Duration{};
    }
    options.load.fit_tables(options.table, options.machine.workers, options.tcp.max_connections);
    // What waits in the link should still be in a cache when its turn comes.
    if (!options.table.given("ring-entries")) {
        options.ring_entries =
            std::min<uint64_t>(1024, std::bit_floor((uint64_t{4} << 20) / options.machine.mtu));
    }
    // The default is for the closed loop; in the open one it would only make starts be missed.
    if (options.table.given("rate") && !options.table.given("concurrency")) {
        options.load.concurrency = 0;
    }
}

int run_pair(PairOptions& options) {
    options.table.apply();
    settle_defaults(options);
    if (!std::has_single_bit(options.ring_entries)) {
        throw UsageError{fmt::format("--ring-entries is '{}', but must be a power of two",
                                     options.ring_entries)};
    }
    options.load.check(options.table, options.machine.workers, options.tcp.max_connections, 2,
                       available_memory_bytes());
    const auto pairs = static_cast<unsigned>(options.machine.workers);
    const auto entries = static_cast<unsigned>(options.ring_entries);
    const auto mtu = static_cast<uint32_t>(options.machine.mtu);
    dpdk::Eal eal{options.machine.eal_options({}, 1)};
    const dpdk::Clock clock{eal};
    const dpdk::PacketPool pool{eal, dpdk::pool_size(1, 2 * pairs, entries, entries), mtu};
    RingLink link{eal, {pairs, entries, mtu, false}};
    const dpdk::Shutdown shutdown;
    const load::ServerContent content{options.body_bytes, options.load.first == "server"};

    Run run{clock, shutdown, options.load.grace};
    std::vector<std::unique_ptr<Place>> places;
    for (unsigned pair = 0; pair < pairs; ++pair) {
        places.push_back(make_server(options, link, pair, pool, content, run));
        places.push_back(make_client(options, link, pair, pool, content, run));
    }
    const std::vector<unsigned> cores = dpdk::assign_cores(2 * pairs, options.machine.cores);
    dpdk::WorkerThreads threads;
    for (size_t i = 0; i < places.size(); ++i) {
        Place& place = *places[i];
        threads.start(
            cores[i], i % 2 == 0 ? "server" : "client", [&](const std::atomic<bool>& stop) {
                const std::array<dpdk::QueueDevice*, 1> devices{&place.device};
                run_worker<dpdk::QueueDevice>(place.worker, devices, clock, place.time, stop,
                                              options.profile ? &place.profile : nullptr);
            });
    }
    run.watch(Duration{});
    threads.stop();
    threads.join();
    load::Result result = run.finish(run_info(options, eal));
    if (options.profile) {
        for (size_t i = 0; i < places.size(); ++i) {
            print_profile(i % 2 == 0 ? "server" : "client", places[i]->profile);
        }
    }
    for (auto& place : places) place->device.close();
    link.drain();
    result.leaks.buffers += pool.in_use();
    result.client_resets = options.load.close == "rst" && options.load.first == "client";
    return report(result, options.machine.json_file);
}

}  // namespace

void add_pair(CLI::App& app, std::function<int()>& run) {
    const auto options = std::make_shared<PairOptions>();
    CLI::App* command = app.add_subcommand(
        "pair", "generate load against a server of our own, inside this process");
    options->table.attach(*command);
    command->callback([options, &run] { run = [options] { return run_pair(*options); }; });
}

}  // namespace synfin::apps
