#include <algorithm>
#include <cerrno>
#include <cstring>
#include <future>
#include <memory>
#include <sstream>
#include <string>
#include <thread>

#include <rte_alarm.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <synfin/dpdk/port.hpp>

namespace synfin::dpdk {

namespace {

/// The indices of a redirection table that the ports-only key spreads over: enough for any number
/// of queues that we use.
constexpr unsigned ports_key_bits = 7;
constexpr size_t shortest_key = 40;

/// What TCP's segments can be spread by.
constexpr uint64_t useful_hashes = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP |
                                   RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_NONFRAG_IPV6_TCP;

std::string device(const DeviceSpec& spec) { return "device '" + spec.text + "' "; }

std::string error_text(int result) { return std::strerror(result < 0 ? -result : result); }

/// What the log has to say about a device that did not appear.
std::string first_complaint(const std::string& complaints) {
    std::istringstream stream{complaints};
    std::string line;
    std::getline(stream, line);
    return line.empty() ? "the driver gives no reason" : line;
}

unsigned within(unsigned wanted, const rte_eth_desc_lim& limits) {
    unsigned count = wanted;
    if (limits.nb_max != 0) count = std::min(count, unsigned{limits.nb_max});
    if (limits.nb_min != 0) count = std::max(count, unsigned{limits.nb_min});
    if (limits.nb_align > 1) count -= count % limits.nb_align;
    return count;
}

rte_ether_addr to_ether(const wire::MacAddress& mac) {
    rte_ether_addr address{};
    std::copy(mac.bytes.begin(), mac.bytes.end(), address.addr_bytes);
    return address;
}

/// Runs `work` on DPDK's interrupt thread. Drivers whose other side is a process (memif, vhost)
/// take their connection down on that thread when the other side leaves; doing the same here at the
/// same moment would free things twice.
template <typename Work>
void between_interrupts(Work work) {
    struct Call {
        Work& work;
        std::promise<void> done;
    } call{work, {}};
    const int result = rte_eal_alarm_set(
        1,
        [](void* argument) {
            auto& self = *static_cast<Call*>(argument);
            self.work();
            self.done.set_value();
        },
        &call);
    if (result != 0) {
        work();
        return;
    }
    call.done.get_future().wait();
}

/// Nothing tells whose the memory is that a driver shares with its peer, so there must be one memif
/// only.
std::optional<MemifEnd> memif_end(const EalOptions& options, const DeviceSpec& spec,
                                  unsigned queues) {
    const auto memifs =
        std::count_if(options.devices.begin(), options.devices.end(),
                      [](const DeviceSpec& device) { return device.kind == DeviceKind::memif; });
    if (spec.kind != DeviceKind::memif || memifs != 1) return std::nullopt;
    const MemifRole role = spec.role == MemifRole::automatic ? options.memif_role : spec.role;
    return MemifEnd{.server = role == MemifRole::server, .queues = queues};
}

}  // namespace

struct Port::Offloads {
    uint64_t receive = 0;
    uint64_t transmit = 0;
};

Port::Offloads Port::checksum_offloads(const rte_eth_dev_info& info) {
    return {.receive = info.rx_offload_capa &
                       (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM),
            .transmit = info.tx_offload_capa &
                        (RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM)};
}

Port::Port(const Eal& eal, unsigned index, PacketPool& pool, const PortOptions& options)
    : spec_{eal.options().devices.at(index)} {
    const std::string name = ethdev_name(spec_, index);
    if (spec_.kind == DeviceKind::ring) {
        throw SetupError{device(spec_) +
                         "connects two workers of one process and is for `synfin pair` only"};
    }
    if (rte_eth_dev_get_port_by_name(name.c_str(), &id_) != 0) {
        throw SetupError{device(spec_) + "could not be opened (" +
                         first_complaint(eal.complaints()) + ")"};
    }
    configure(options, pool);
    memif_ = memif_end(eal.options(), spec_, queues_);
    const int result = rte_eth_dev_start(id_);
    if (result != 0) {
        rte_eth_dev_close(id_);
        if (spec_.kind == DeviceKind::memif) {
            throw SetupError{device(spec_) + "finds nobody at the socket '" + spec_.target +
                             "': start the side with role=server first"};
        }
        throw SetupError{device(spec_) + "does not start (" + error_text(result) + ")"};
    }
    running_ = true;
    set_up_receive_hash(options);
}

Port::~Port() {
    stop();
    between_interrupts([this] { rte_eth_dev_close(id_); });
}

void Port::stop() {
    if (!running_) return;
    running_ = false;
    between_interrupts([this] { rte_eth_dev_stop(id_); });
}

void Port::require(int result, const std::string& complaint) {
    if (result != 0) refuse(complaint + " (" + error_text(result) + ")");
}

void Port::refuse(const std::string& complaint) {
    rte_eth_dev_close(id_);
    throw SetupError{device(spec_) + complaint};
}

void Port::configure(const PortOptions& options, PacketPool& pool) {
    rte_eth_dev_info info{};
    require(rte_eth_dev_info_get(id_, &info), "does not describe itself");
    driver_ = info.driver_name;

    queues_ =
        std::min({options.queues, unsigned{info.max_rx_queues}, unsigned{info.max_tx_queues}});
    if (queues_ < options.queues) {
        const std::string count = std::to_string(queues_);
        refuse("has " + count + (queues_ == 1 ? " queue pair" : " queue pairs") +
               ": use --workers " + count + " or fewer");
    }

    const Offloads offloads = options.checksum_offload ? checksum_offloads(info) : Offloads{};
    properties_.mtu = options.mtu;
    properties_.transmit_ip_checksum = (offloads.transmit & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) != 0;
    properties_.transmit_tcp_checksum = (offloads.transmit & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) != 0;
    configure_device(options, info, offloads);
    set_up_queues(options, info, offloads, pool);
    set_mtu(options.mtu);
    set_address(options);
}

void Port::configure_device(const PortOptions& options, const rte_eth_dev_info& info,
                            const Offloads& offloads) {
    rte_eth_conf conf{};
    conf.rxmode.offloads = offloads.receive;
    conf.txmode.offloads = offloads.transmit;
    conf.rxmode.mtu = options.mtu;

    std::vector<uint8_t> key;
    const uint64_t hashes = info.flow_type_rss_offloads & useful_hashes;
    if (queues_ > 1 && hashes != 0) {
        conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf.rss_hf = hashes;
        if (options.ports_only_rss && info.hash_key_size >= shortest_key) {
            key = ports_only_key(ports_key_bits, info.hash_key_size);
            conf.rx_adv_conf.rss_conf.rss_key = key.data();
            conf.rx_adv_conf.rss_conf.rss_key_len = info.hash_key_size;
        }
    }

    const auto count = static_cast<uint16_t>(queues_);
    int result = rte_eth_dev_configure(id_, count, count, &conf);
    if (result != 0 && !key.empty()) {
        // The device wants its own key.
        conf.rx_adv_conf.rss_conf.rss_key = nullptr;
        conf.rx_adv_conf.rss_conf.rss_key_len = 0;
        result = rte_eth_dev_configure(id_, count, count, &conf);
    }
    require(result, "cannot have " + std::to_string(queues_) + " queue pairs and an MTU of " +
                        std::to_string(options.mtu));
}

void Port::set_up_queues(const PortOptions& options, const rte_eth_dev_info& info,
                         const Offloads& offloads, PacketPool& pool) {
    auto receive_descriptors =
        static_cast<uint16_t>(within(options.receive_descriptors, info.rx_desc_lim));
    auto transmit_descriptors =
        static_cast<uint16_t>(within(options.transmit_descriptors, info.tx_desc_lim));
    rte_eth_dev_adjust_nb_rx_tx_desc(id_, &receive_descriptors, &transmit_descriptors);
    rte_eth_rxconf receive_conf = info.default_rxconf;
    receive_conf.offloads = offloads.receive;
    rte_eth_txconf transmit_conf = info.default_txconf;
    transmit_conf.offloads = offloads.transmit;
    const auto socket = static_cast<unsigned>(std::max(0, rte_eth_dev_socket_id(id_)));
    for (uint16_t queue = 0; queue < queues_; ++queue) {
        require(rte_eth_rx_queue_setup(id_, queue, receive_descriptors, socket, &receive_conf,
                                       pool.get()),
                "does not set up a receive queue");
        require(rte_eth_tx_queue_setup(id_, queue, transmit_descriptors, socket, &transmit_conf),
                "does not set up a transmit queue");
    }
}

// Devices that know no MTU pass whatever fits into a buffer.
void Port::set_mtu(uint32_t wanted) {
    uint16_t mtu = 0;
    if (rte_eth_dev_get_mtu(id_, &mtu) != 0 || mtu == wanted) return;
    const int result = rte_eth_dev_set_mtu(id_, static_cast<uint16_t>(wanted));
    if (result != -ENOTSUP) require(result, "refuses an MTU of " + std::to_string(wanted));
}

void Port::set_address(const PortOptions& options) {
    // Neighbor solicitations come to a group for each address of ours, and there may be a whole
    // subnet of them. A device that cannot be asked delivers all, or cannot be used over IPv6.
    static_cast<void>(rte_eth_allmulticast_enable(id_));

    bool promiscuous = options.promiscuous;
    if (options.mac) {
        rte_ether_addr address = to_ether(*options.mac);
        // What is not filtered out is received all the same.
        if (rte_eth_dev_default_mac_addr_set(id_, &address) != 0) promiscuous = true;
        mac_ = *options.mac;
    } else {
        rte_ether_addr address{};
        require(rte_eth_macaddr_get(id_, &address), "does not tell its MAC address");
        std::copy(std::begin(address.addr_bytes), std::end(address.addr_bytes), mac_.bytes.begin());
    }
    if (!promiscuous) return;
    const int result = rte_eth_promiscuous_enable(id_);
    if (result != -ENOTSUP) require(result, "does not receive frames for another MAC address");
}

void Port::set_up_receive_hash(const PortOptions& options) {
    if (queues_ == 1) return;
    rte_eth_dev_info info{};
    if (rte_eth_dev_info_get(id_, &info) != 0) return;

    std::vector<uint8_t> key(std::max<size_t>(info.hash_key_size, shortest_key));
    rte_eth_rss_conf conf{};
    conf.rss_key = key.data();
    conf.rss_key_len = static_cast<uint8_t>(key.size());
    if (rte_eth_dev_rss_hash_conf_get(id_, &conf) != 0) return;
    receive_hash_.tcp_over_ipv4 = (conf.rss_hf & RTE_ETH_RSS_NONFRAG_IPV4_TCP) != 0;
    if (options.ports_only_rss) {
        const std::vector<uint8_t> wanted = ports_only_key(ports_key_bits, key.size());
        // Some devices take a key only now that they are configured.
        if (key != wanted) {
            rte_eth_rss_conf change = conf;
            std::vector<uint8_t> ours = wanted;
            change.rss_key = ours.data();
            if (rte_eth_dev_rss_hash_update(id_, &change) == 0) {
                rte_eth_dev_rss_hash_conf_get(id_, &conf);
            }
        }
        receive_hash_.key_is_ours = key == wanted;
    }
    receive_hash_.tcp_over_ipv6 = (conf.rss_hf & RTE_ETH_RSS_NONFRAG_IPV6_TCP) != 0;
    // A device that cannot tell its key leaves the buffer as it was.
    if (std::any_of(key.begin(), key.end(), [](uint8_t byte) { return byte != 0; })) {
        receive_hash_.key = key;
    }

    if (info.reta_size == 0) return;
    constexpr unsigned group = RTE_ETH_RETA_GROUP_SIZE;
    std::vector<rte_eth_rss_reta_entry64> table((info.reta_size + group - 1u) / group);
    for (auto& entries : table) entries.mask = UINT64_MAX;
    if (rte_eth_dev_rss_reta_query(id_, table.data(), info.reta_size) != 0) return;
    for (unsigned i = 0; i < info.reta_size; ++i) {
        receive_hash_.queue_of.push_back(table[i / group].reta[i % group]);
    }
}

Lane Port::lane(unsigned queue) const {
    Lane lane;
    lane.port_id = id_;
    lane.queue_id = static_cast<uint16_t>(queue);
    lane.properties = properties_;
    lane.memif = memif_;
    return lane;
}

bool Port::link_up() const {
    rte_eth_link link{};
    return rte_eth_link_get_nowait(id_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

bool Port::wait_for_link(Duration patience) const {
    constexpr auto step = std::chrono::milliseconds{5};
    for (int64_t waited_ms = 0; !link_up(); waited_ms += step.count()) {
        if (waited_ms >= patience.count_ms()) return false;
        std::this_thread::sleep_for(step);
    }
    return true;
}

PortStatistics Port::statistics() const {
    rte_eth_stats stats{};
    if (rte_eth_stats_get(id_, &stats) != 0) return {};
    return {.received_packets = stats.ipackets,
            .received_bytes = stats.ibytes,
            .transmitted_packets = stats.opackets,
            .transmitted_bytes = stats.obytes,
            .missed = stats.imissed,
            .receive_errors = stats.ierrors,
            .transmit_errors = stats.oerrors,
            .no_buffer = stats.rx_nombuf};
}

std::string Port::description() const {
    std::string text = spec_.text + " (" + driver_ + "), " + wire::to_string(mac_) + ", MTU " +
                       std::to_string(properties_.mtu) + ", " + std::to_string(queues_) +
                       (queues_ == 1 ? " queue" : " queues") + ", checksums in ";
    const bool ip = properties_.transmit_ip_checksum;
    const bool tcp = properties_.transmit_tcp_checksum;
    text += ip && tcp ? "the device"
            : ip      ? "the device (IP) and software (TCP)"
            : tcp     ? "software (IP) and the device (TCP)"
                      : "software";
    return text;
}

}  // namespace synfin::dpdk
