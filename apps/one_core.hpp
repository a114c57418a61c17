// The frame around an embedded application, as the examples use it: one device, one worker, one
// core.
//
//     PROGRAM DEVICE NETWORK/LENGTH ADDRESS:PORT
//
// This is all that it takes. With several cores each has its own worker, application and queue
// pair.
#pragma once

#include <exception>
#include <iostream>
#include <stdexcept>

#include <synfin/base/system_random.hpp>
#include <synfin/dpdk/clock.hpp>
#include <synfin/dpdk/eal.hpp>
#include <synfin/dpdk/packet_pool.hpp>
#include <synfin/dpdk/port.hpp>
#include <synfin/dpdk/worker_launch.hpp>
#include <synfin/stack/loop.hpp>

namespace synfin::examples {

/// Serves `local` on the device until SIGINT or SIGTERM. `config` brings the limits.
inline void serve(const dpdk::DeviceSpec& spec, const wire::IpPrefix& network,
                  const wire::SocketAddress& local, stack::Application& application,
                  stack::WorkerConfig config) {
    dpdk::EalOptions options;
    options.devices = {spec};
    const dpdk::Eal eal{options};
    dpdk::PacketPool pool{eal, dpdk::pool_size(1, 1, 1024, 1024)};
    const dpdk::Port port{eal, 0, pool, {}};
    dpdk::QueueDevice device{pool.get(), port.lane(0)};

    stack::InterfaceConfig interface;
    interface.mac = port.mac();
    interface.addresses = {{local.address, static_cast<uint8_t>(local.address.is_v4() ? 32 : 128)}};
    interface.on_link = {network};
    interface.device = port.properties();
    config.interfaces = {interface};
    config.secret = system_random_key();
    stack::Worker worker{config};
    if (const auto listening = worker.listen(local, application); !listening) {
        throw std::runtime_error{stack::name(listening.error())};
    }

    const dpdk::Clock clock{eal};
    const dpdk::Shutdown shutdown;
    stack::Loop<dpdk::QueueDevice> loop{worker, device};
    while (!shutdown.requested()) loop.run_once(clock.now());
}

inline int run(int argc, char** argv, stack::Application& application,
               const stack::WorkerConfig& config = {}) try {
    if (argc != 4) throw std::runtime_error{"expected DEVICE NETWORK/LENGTH ADDRESS:PORT"};
    const auto spec = dpdk::parse_device(argv[1]);
    if (!spec) throw std::runtime_error{spec.error()};
    const auto network = wire::parse_ip_prefix(argv[2]);
    if (!network) throw std::runtime_error{"the network must be one such as 198.18.0.0/15"};
    const auto local = wire::parse_socket_address(argv[3]);
    if (!local) throw std::runtime_error{"the address must be one such as 198.18.0.1:80"};
    serve(*spec, *network, *local, application, config);
    return 0;
} catch (const std::exception& error) {
    std::cerr << argv[0] << ": " << error.what() << "\n";
    return 1;
}

}  // namespace synfin::examples
