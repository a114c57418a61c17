// `synfin pair`: the load generator against the server, each on cores of its own, over an in-process
// link. No device, no privileges: the whole of synfin, and what this machine makes of it.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <thread>

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

struct PairOptions {
    MachineOptions machine;
    TcpOptions tcp;
    LoadOptions load;
    OptionTable table;
    uint64_t body_bytes = 64;
    uint64_t ring_entries = 1024;
    double seconds = 0;

    PairOptions() {
        // 2MSL is real by default, so there must be tuples for all that wait: 1,022 source addresses
        // have 66 million of them for one target.
        tcp.max_time_wait = uint64_t{1} << 25;
        tcp.max_connections = uint64_t{1} << 17;
        load.duration = Duration::seconds(5);
        load.concurrency = 512;
        machine.attach(table);
        tcp.attach(table);
        load.attach(table);
        table.number("seconds", "the same as --duration, in seconds", seconds, 0.001, 1e6);
        table.bytes("body", "bytes of each response's body", body_bytes, 0, uint64_t{1} << 30);
        table.count("ring-entries", "frames that the link holds per direction, a power of two", ring_entries,
                    64, 65536);
    }
};

constexpr uint16_t server_port = 80;

wire::IpAddress server_address(unsigned pair) { return wire::IpAddress::v4(0xc613'0001 + (pair << 8)); }
// 198.18.0.0/22 for the first pair, the next block for the next.
wire::IpPrefix client_block(unsigned pair) { return {wire::IpAddress::v4(0xc612'0000 + (pair << 10)), 22}; }

// Both sides answer for addresses of their own and reach the other's without a gateway.
stack::InterfaceConfig interface_of(const RingLink& link, RingLink::Side side, unsigned pair) {
    stack::InterfaceConfig interface;
    interface.mac = link.mac(side, pair);
    interface.device = link.properties();
    const wire::IpPrefix server{server_address(pair), 32};
    const bool is_client = side == RingLink::Side::client;
    interface.addresses = {is_client ? client_block(pair) : server};
    interface.on_link = {is_client ? server : client_block(pair)};
    return interface;
}

stack::WorkerConfig worker_config(const PairOptions& options, const RingLink& link, RingLink::Side side,
                                  unsigned pair) {
    stack::WorkerConfig config;
    config.interfaces = {interface_of(link, side, pair)};
    config.secret = system_random_key();
    options.tcp.apply_to(config);
    return config;
}

// What answers the clients so that each connection ends as --first says.
load::Service service_for(const LoadOptions& load) {
    if (load.asks()) return load::Service::http;
    return load.first == "server" ? load::Service::close : load::Service::discard;
}

struct Place {
    Place(const PairOptions& options, const RingLink& link, RingLink::Side side, unsigned pair,
          rte_mempool* pool)
        : worker{worker_config(options, link, side, pair)}, device{pool, link.lane(side, pair)} {}
    stack::Worker worker;
    dpdk::QueueDevice device;
    BusyTime busy;
};

int run_pair(PairOptions& options) {
    options.table.apply();
    if (options.table.given("seconds")) {
        options.load.duration = Duration::nanoseconds(static_cast<int64_t>(options.seconds * 1e9));
    }
    const auto pairs = static_cast<unsigned>(options.machine.workers);
    dpdk::Eal eal{options.machine.eal_options({}, 1)};
    const dpdk::Clock clock{eal};
    dpdk::PacketPool pool{eal, dpdk::pool_size(1, 2 * pairs, 1024, static_cast<unsigned>(options.ring_entries)),
                          static_cast<uint32_t>(options.machine.mtu)};
    RingLink link{eal, {pairs, static_cast<unsigned>(options.ring_entries),
                        static_cast<uint32_t>(options.machine.mtu), false}};
    dpdk::Shutdown shutdown;

    const load::ServerContent content{options.body_bytes, options.load.first == "server"};
    Run run{options.load.grace};
    std::vector<std::unique_ptr<Place>> places;
    dpdk::WorkerThreads threads;
    const std::vector<unsigned> cores = dpdk::assign_cores(2 * pairs, options.machine.cores);
    for (unsigned pair = 0; pair < pairs; ++pair) {
        for (const RingLink::Side side : {RingLink::Side::server, RingLink::Side::client}) {
            auto place = std::make_unique<Place>(options, link, side, pair, pool.get());
            if (side == RingLink::Side::server) {
                load::ServerConfig server;
                server.service = service_for(options.load);
                server.close = options.load.close == "rst" ? load::CloseBy::rst : load::CloseBy::fin;
                server.listen = {{wire::IpAddress{}, server_port}};
                server.listen[0].address = server_address(pair);
                server.max_connections = static_cast<uint32_t>(options.tcp.max_connections);
                run.add_server(place->worker, server, content);
            } else {
                auto config = options.load.client_config(pair, pairs,
                                                         static_cast<uint32_t>(options.tcp.max_connections));
                if (options.load.asks()) config.expected_body = content.body();
                auto plan = load::AddressPlan::make({client_block(pair)}, {{server_address(pair), server_port}}, {});
                run.add_client(place->worker, config, std::move(plan.value()));
            }
            places.push_back(std::move(place));
        }
    }
    for (size_t i = 0; i < places.size(); ++i) {
        Place& place = *places[i];
        threads.start(cores[i], i % 2 == 0 ? "server" : "client", [&](const std::atomic<bool>& stop) {
            const std::array<dpdk::QueueDevice*, 1> devices{&place.device};
            run_worker<dpdk::QueueDevice>(place.worker, devices, clock, place.busy, stop);
        });
    }
    run.watch(clock, shutdown);
    threads.stop();
    threads.join();
    fmt::print("{}", run.quick_summary());
    run.end();
    places.clear();
    link.drain();
    fmt::print("buffers {}\n", pool.in_use());
    return 0;
}

}  // namespace

void add_pair(CLI::App& app, std::function<int()>& run) {
    const auto options = std::make_shared<PairOptions>();
    CLI::App* command = app.add_subcommand("pair", "generate load against a server of our own, inside this process");
    options->table.attach(*command);
    command->callback([options, &run] { run = [options] { return run_pair(*options); }; });
}

}  // namespace synfin::apps
