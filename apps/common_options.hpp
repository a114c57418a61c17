// The options that `pair`, `serve` and `load` share: devices, cores and memory, and TCP's own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <synfin/dpdk/device_spec.hpp>
#include <synfin/dpdk/eal.hpp>
#include <synfin/stack/worker.hpp>
#include <synfin/tcp/profile.hpp>

#include "option_table.hpp"

namespace synfin::apps {

/// `198.18.1.0/24`, or an address alone: a block of one.
std::optional<wire::IpPrefix> parse_block(const std::string& text);

struct MachineOptions {
    uint64_t workers = 1;
    std::vector<unsigned> cores;
    std::string huge = "auto";
    uint64_t memory_mb = 0;
    std::string eal;
    uint64_t mtu = 1500;
    std::string json_file;

    void attach(OptionTable& table);
    dpdk::EalOptions eal_options(std::vector<dpdk::DeviceSpec> devices, unsigned queues) const;
};

struct LinkOptions {
    std::vector<dpdk::DeviceSpec> devices;
    std::optional<wire::IpAddress> gateway;
    std::optional<wire::MacAddress> mac;
    uint64_t vlan = 0;
    std::vector<stack::InterfaceConfig::StaticNeighbor> neighbors;
    std::vector<wire::IpPrefix> on_link;

    void attach(OptionTable& table);
    /// For each device what belongs to it: in turn, or, where the blocks are fewer than the
    /// devices, all of them to each.
    std::vector<std::vector<wire::IpPrefix>> spread(
        const std::vector<wire::IpPrefix>& blocks) const;
};

struct TcpOptions {
    tcp::Profile profile;
    Duration time_wait = Duration::seconds(60);
    Duration time_wait_reuse;  ///< zero: never
    uint64_t max_connections = uint64_t{1} << 20;
    uint64_t max_time_wait = uint64_t{1} << 22;
    uint64_t first_port = 1024;
    uint64_t last_port = 65535;
    bool no_timestamps = false;
    bool no_window_scaling = false;
    bool no_sack = false;
    bool no_nagle = false;

    void attach(OptionTable& table);
    /// Carries the options over into a worker's configuration: limits, 2MSL, ports, profile 0.
    void apply_to(stack::WorkerConfig& config) const;

  private:
    uint64_t receive_buffer_ = profile.receive_buffer_bytes;
    uint64_t send_buffer_ = 0;  ///< 0: the profile's
    uint64_t mss_ = 0;
    std::string congestion_ = "cubic";
    std::string ecn_ = "accept";
    Duration advertise_user_timeout_;
};

/// What a server's listeners do at their limits.
struct ListenerOptions {
    void attach(OptionTable& table);
    stack::ListenOptions listen_options() const;
    /// Carries the worker's limit over.
    void apply_to(stack::WorkerConfig& config) const;

  private:
    uint64_t backlog_ = stack::ListenOptions{}.backlog;
    uint64_t max_half_open_ = 0;
    uint64_t fast_open_ = 0;
    std::string syn_cookies_ = "automatic";
};

/// What a report says of TCP's settings, a line each.
std::vector<std::string> tcp_notes(const TcpOptions& options);

}  // namespace synfin::apps
