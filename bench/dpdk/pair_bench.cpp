// What a connection costs in the whole of synfin: the load generator's client and its server, each
// with a worker of its own, over an in-process link, in one thread and in virtual time. So the
// figure is the sum of both sides, and the number of instructions is the same in every run. With
// two threads, each has such a pair: half the time, if workers have nothing to wait for from each
// other.
//
// `--connections=N [--request] [--ipv6]` runs exactly so many and prints nothing else, for
// callgrind:
//
//     valgrind --tool=callgrind build/bench/dpdk/pair_bench --connections=100000
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

#include <benchmark/benchmark.h>

#include <synfin/dpdk/packet_pool.hpp>
#include <synfin/dpdk/ring_link.hpp>
#include <synfin/dpdk/worker_launch.hpp>
#include <synfin/load/client.hpp>
#include <synfin/load/server.hpp>
#include <synfin/stack/loop.hpp>

namespace {

using namespace synfin;
using dpdk::RingLink;

constexpr uint32_t max_connections = 1u << 14;
constexpr uint32_t buffers = 8192;
constexpr uint16_t server_port = 80;
struct Addresses {
    wire::IpPrefix server;
    wire::IpPrefix clients;
};
const Addresses ipv4{{wire::IpAddress::v4(0xc613'0001), 32},
                     {wire::IpAddress::v4(0xc612'0000), 28}};
const Addresses ipv6{{wire::IpAddress::v6(0x2001'0002'0000'0001, 1), 128},
                     {wire::IpAddress::v6(0x2001'0002'0000'0000, 0), 124}};
// What a pass takes on a core that is busy, roughly; and a 2MSL that ends while the run goes on.
constexpr Duration pass_time = Duration::microseconds(5);
constexpr Duration time_wait = Duration::milliseconds(10);

const dpdk::Eal& eal() {
    // valgrind has no huge pages to give.
    static const dpdk::Eal running = [] {
        dpdk::EalOptions options;
        options.huge = dpdk::HugePages::off;
        return dpdk::Eal{options};
    }();
    return running;
}

struct Place {
    Place(const RingLink& link, RingLink::Side side, const dpdk::PacketPool& pool,
          const wire::IpPrefix& own, const wire::IpPrefix& peers)
        : worker{config(link, side, own, peers)},
          device{pool.get(), link.lane(side, 0)},
          loop{worker, device} {}

    static stack::WorkerConfig config(const RingLink& link, RingLink::Side side,
                                      const wire::IpPrefix& own, const wire::IpPrefix& peers) {
        stack::InterfaceConfig interface;
        interface.mac = link.mac(side, 0);
        interface.device = link.properties();
        interface.addresses = {own};
        interface.on_link = {peers};
        stack::WorkerConfig config;
        config.interfaces = {interface};
        config.max_connections = max_connections;
        config.time_wait = time_wait;
        config.secret = {1, 2};
        return config;
    }

    stack::Worker worker;
    dpdk::QueueDevice device;
    stack::Loop<dpdk::QueueDevice> loop;
};

class Pair {
  public:
    /// `connections` of them, each with `requests` requests.
    Pair(uint64_t connections, uint32_t requests, uint32_t concurrency,
         const Addresses& addresses = ipv4)
        : content_{64, false},
          pool_{eal(), buffers},
          link_{eal(), {}},
          server_place_{link_, RingLink::Side::server, pool_, addresses.server, addresses.clients},
          client_place_{link_, RingLink::Side::client, pool_, addresses.clients, addresses.server},
          server_{server_config(requests, addresses), content_},
          client_{client_config(connections, requests, concurrency), plan(addresses)} {
        SYNFIN_ASSERT(server_.listen(server_place_.worker).has_value());
        server_place_.worker.set_poller(&server_);
        client_place_.worker.set_poller(&client_);
    }

    void run() {
        while (!client_.finished()) {
            let_client_work();
            let_server_work();
            now_ = now_ + pass_time;
        }
        SYNFIN_ASSERT(client_.statistics().closed == client_.statistics().opened);
    }

  private:
    // Functions of their own, so that callgrind can count one side:
    // --toggle-collect='*client_work*'.
    [[gnu::noinline]] void let_client_work() { client_place_.loop.run_once(now_); }
    [[gnu::noinline]] void let_server_work() { server_place_.loop.run_once(now_); }
    static load::ServerConfig server_config(uint32_t requests, const Addresses& addresses) {
        load::ServerConfig config;
        config.service = requests > 0 ? load::Service::http : load::Service::discard;
        config.listen = {{addresses.server.address, server_port}};
        config.max_connections = max_connections;
        return config;
    }
    load::ClientConfig client_config(uint64_t connections, uint32_t requests,
                                     uint32_t concurrency) const {
        load::ClientConfig config;
        config.requests = requests;
        // With requests, the response carries the server's FIN: six segments in all.
        config.first = requests > 0 ? load::First::server : load::First::client;
        config.connections = connections;
        config.concurrency = concurrency;
        config.max_connections = max_connections;
        config.expected_body = content_.body();
        return config;
    }
    static load::AddressPlan plan(const Addresses& addresses) {
        return load::AddressPlan::make({addresses.clients},
                                       {{addresses.server.address, server_port}}, {})
            .value();
    }

    load::ServerContent content_;
    dpdk::PacketPool pool_;
    dpdk::RingLink link_;
    Place server_place_;
    Place client_place_;
    load::Server server_;
    load::Client client_;
    Instant now_ = Instant::from_us(3'600'000'000);
};

constexpr uint32_t usual_concurrency = 512;

void run(benchmark::State& state, uint32_t requests) {
    constexpr uint64_t connections = 500'000;
    const dpdk::ThreadRegistration registration;
    for (auto _ : state) {
        state.PauseTiming();
        Pair pair{connections, requests, usual_concurrency};
        state.ResumeTiming();
        pair.run();
    }
    state.counters["connection"] = benchmark::Counter(
        static_cast<double>(connections) * static_cast<double>(state.iterations()),
        benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
void connect_mode(benchmark::State& state) { run(state, 0); }
BENCHMARK(connect_mode)->Unit(benchmark::kMillisecond)->ThreadRange(1, 2)->UseRealTime();
void request_mode(benchmark::State& state) { run(state, 1); }
BENCHMARK(request_mode)->Unit(benchmark::kMillisecond)->ThreadRange(1, 2)->UseRealTime();

}  // namespace

int main(int argc, char** argv) {
    eal();
    constexpr std::string_view option = "--connections=";
    if (argc >= 2 && std::string_view{argv[1]}.starts_with(option)) {
        const auto is_given = [&](std::string_view name) {
            return std::any_of(argv + 2, argv + argc, [&](const char* a) { return name == a; });
        };
        Pair pair{std::strtoull(argv[1] + option.size(), nullptr, 10),
                  is_given("--request") ? 1u : 0u, usual_concurrency,
                  is_given("--ipv6") ? ipv6 : ipv4};
        pair.run();
        return 0;
    }
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
