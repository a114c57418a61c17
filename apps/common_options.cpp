#include "common_options.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "units.hpp"

namespace synfin::apps {

namespace {

using namespace synfin::literals;

// `0,2-5` as numbers.
std::optional<std::vector<unsigned>> parse_core_list(const std::string& text) {
    std::vector<unsigned> cores;
    std::istringstream items{text};
    for (std::string item; std::getline(items, item, ',');) {
        unsigned first = 0;
        unsigned last = 0;
        const char* end = item.data() + item.size();
        auto [rest, error] = std::from_chars(item.data(), end, first);
        if (error != std::errc{}) return std::nullopt;
        last = first;
        if (rest != end) {
            if (*rest != '-') return std::nullopt;
            const auto second = std::from_chars(rest + 1, end, last);
            if (second.ec != std::errc{} || second.ptr != end || last < first) return std::nullopt;
        }
        if (last >= 4096) return std::nullopt;
        for (unsigned core = first; core <= last; ++core) cores.push_back(core);
    }
    if (cores.empty()) return std::nullopt;
    return cores;
}

}  // namespace

std::optional<wire::IpPrefix> parse_block(const std::string& text) {
    if (text.find('/') != std::string::npos) return wire::parse_ip_prefix(text);
    const auto address = wire::parse_ip_address(text);
    if (!address) return std::nullopt;
    return wire::IpPrefix{*address, static_cast<uint8_t>(address->is_v4() ? 32 : 128)};
}

void MachineOptions::attach(OptionTable& table) {
    table.count("workers", "worker threads, each with a queue of its own on each device", workers,
                1, 128);
    table.value("cores", "LIST",
                "the cores that they run on, such as 0,2-5 (default: all that are allowed)",
                [this](const std::string& text) -> std::optional<std::string> {
                    const auto parsed = parse_core_list(text);
                    if (!parsed) return "must be a list of cores, such as 1 or 0,2-5";
                    cores = *parsed;
                    return std::nullopt;
                });
    table.choice("huge", "huge pages: when some are free, never, or not without",
                 {"auto", "off", "on"}, huge);
    table.count("memory", "MB that DPDK itself reserves (default: what the buffers need)",
                memory_mb, 0, 1 << 20);
    table.text("eal", "further arguments for DPDK's EAL, in one string", eal);
    table.count("mtu", "bytes of an IP packet on the device", mtu, 576, 9000);
    table.value("json", "FILE", "file to write the result to, as JSON",
                [this](const std::string& text) -> std::optional<std::string> {
                    // Now, not when the run is over and its result would be lost.
                    if (!std::ofstream{text, std::ios::app}) return "cannot be written";
                    json_file = text;
                    return std::nullopt;
                });
}

dpdk::EalOptions MachineOptions::eal_options(std::vector<dpdk::DeviceSpec> devices,
                                             unsigned queues) const {
    if (huge == "on" && dpdk::free_huge_bytes() == 0) {
        throw RunError{
            "no huge page is free; reserve some with scripts/hugepages, or leave --huge at auto"};
    }
    dpdk::EalOptions options;
    options.devices = std::move(devices);
    options.queues = queues;
    options.cores = cores;
    options.huge = huge == "off" ? dpdk::HugePages::off : dpdk::HugePages::automatic;
    options.memory_mb = static_cast<unsigned>(memory_mb);
    options.extra = eal;
    return options;
}

std::vector<std::vector<wire::IpPrefix>> LinkOptions::spread(
    const std::vector<wire::IpPrefix>& blocks) const {
    if (blocks.size() < devices.size()) return {devices.size(), blocks};
    std::vector<std::vector<wire::IpPrefix>> of_device(devices.size());
    for (size_t i = 0; i < blocks.size(); ++i) of_device[i % devices.size()].push_back(blocks[i]);
    return of_device;
}

void LinkOptions::attach(OptionTable& table) {
    table.list(
        "dev", "DEVICE",
        "device: tap:NAME, af_packet:IFACE, af_xdp:IFACE, memif:SOCKET[,role=server|client], "
        "vhost:SOCKET, virtio_user:SOCKET, pci:ADDRESS, vdev:NAME,ARGS or pcap:IN,OUT",
        [this](const std::string& text) -> std::optional<std::string> {
            auto spec = dpdk::parse_device(text);
            if (!spec) return spec.error();
            if (spec->kind == dpdk::DeviceKind::ring) {
                return "a ring exists only inside one process: use it through `synfin pair`";
            }
            devices.push_back(*spec);
            return std::nullopt;
        });
    table.address("gateway", "the router to what is not on the link", gateway);
    table.count("vlan", "the VLAN (802.1Q) that all frames are in", vlan, 1, 4094);
    table.value(
        "mac", "MAC", "our Ethernet address, instead of the device's",
        [this](const std::string& text) -> std::optional<std::string> {
            mac = wire::parse_mac_address(text);
            if (!mac || mac->is_multicast()) {
                return "must be an Ethernet address of one station, such as 02:00:00:00:00:01";
            }
            return std::nullopt;
        });
    table.list("neighbor", "IP=MAC",
               "IP=MAC of a station that is never asked by ARP or neighbor discovery",
               [this](const std::string& text) -> std::optional<std::string> {
                   const size_t at = text.find('=');
                   const auto address = wire::parse_ip_address(text.substr(0, at));
                   const auto station = wire::parse_mac_address(
                       at == std::string::npos ? std::string{} : text.substr(at + 1));
                   if (!address || !station) {
                       return "must be IP=MAC, such as 198.18.0.1=02:00:00:00:00:01";
                   }
                   neighbors.push_back({*address, *station});
                   return std::nullopt;
               });
    table.list("on-link", "PREFIX", "a block of addresses that is reached without the gateway",
               [this](const std::string& text) -> std::optional<std::string> {
                   const auto prefix = wire::parse_ip_prefix(text);
                   if (!prefix) return "must be a block of addresses, such as 198.18.0.0/15";
                   on_link.push_back(*prefix);
                   return std::nullopt;
               });
}

void TcpOptions::attach(OptionTable& table) {
    table.duration("time-wait", "2MSL; 0 leaves TIME_WAIT out, and the report says so", time_wait,
                   0_s, Duration::minutes(10));
    table.duration("time-wait-reuse",
                   "age at which TIME_WAIT gives its tuple to a connection that finds no port free "
                   "(RFC 6191; default: never)",
                   time_wait_reuse, 1_s, Duration::minutes(10));
    // The tables of connections and of TIME_WAIT end a little above.
    constexpr uint64_t limit = uint64_t{1} << 27;
    table.count("max-connections", "connections per worker at once", max_connections, 1, limit);
    table.count("max-time-wait", "TIME_WAIT records per worker", max_time_wait, 1, limit);
    table.count("first-port", "first local port of connections that we open", first_port, 1, 65535);
    table.count("last-port", "last one", last_port, 1, 65535);
    table.bytes("receive-buffer", "bytes unread per connection, and so the window", receive_buffer_,
                2048, uint64_t{1} << 30);
    table.bytes("send-buffer",
                fmt::format("bytes unacknowledged per connection (default: from {} to {}, as the "
                            "congestion window needs it)",
                            format_bytes(profile.send_buffer_bytes),
                            format_bytes(profile.send_buffer_most_bytes)),
                send_buffer_, 2048, uint64_t{1} << 30);
    table.count("mss", "upper bound of the maximum segment size (default: by the MTU)", mss_, 88,
                65495);
    table.duration("delayed-ack", "how long an ACK may wait; 0: not at all", profile.delayed_ack,
                   0_s, 499_ms);
    table.duration("rto-min", "least retransmission timeout", profile.rto_min, 1_ms, 60_s);
    table.duration("rto-initial", "retransmission timeout before the first measurement",
                   profile.rto_initial, 1_ms, 60_s);
    table.duration("syn-timeout", "how long a SYN is tried", profile.syn_timeout, 1_ms,
                   Duration::hours(1));
    table.duration("retransmission-timeout", "how long data is tried",
                   profile.retransmission_timeout, 1_ms, Duration::hours(24));
    table.duration("advertise-user-timeout",
                   "advise the peer to try for so long, and heed its own advice (RFC 5482); 0: "
                   "neither",
                   advertise_user_timeout_, 0_s, Duration::hours(24));
    table.duration("fin-wait-2-timeout", "how long a peer may leave its FIN out after our close",
                   profile.fin_wait_2_timeout, 1_ms, Duration::hours(24));
    table.choice("congestion", "congestion control", tcp::congestion_algorithm_names(),
                 congestion_);
    table.choice("ecn",
                 "explicit congestion notification (RFC 3168): not at all, where the peer asks for "
                 "it (with dctcp as `ask`), or asked for",
                 {"off", "accept", "ask"}, ecn_);
    table.flag("no-timestamps", "do not offer timestamps (RFC 7323)", no_timestamps);
    table.flag("no-window-scaling", "do not offer window scaling (RFC 7323)", no_window_scaling);
    table.flag("no-sack", "do not offer selective acknowledgments (RFC 2018)", no_sack);
    table.flag("no-nagle", "send small segments at once", no_nagle);
}

void TcpOptions::apply_to(stack::WorkerConfig& config) const {
    if (last_port < first_port) {
        throw UsageError{fmt::format("--last-port is '{}', but must not be below --first-port, {}",
                                     last_port, first_port)};
    }
    config.max_connections = static_cast<uint32_t>(max_connections);
    // All may have something to send at once; of many millions some may have to wait.
    config.max_transfers =
        std::max(config.max_transfers, std::min(config.max_connections, 1u << 20));
    config.max_time_wait = static_cast<uint32_t>(max_time_wait);
    config.time_wait = time_wait;
    if (time_wait_reuse != Duration{}) config.time_wait_reuse = time_wait_reuse;
    config.first_port = static_cast<uint16_t>(first_port);
    config.last_port = static_cast<uint16_t>(last_port);
    tcp::Profile p = profile;
    p.receive_buffer_bytes = static_cast<uint32_t>(receive_buffer_);
    if (send_buffer_ != 0) {
        p.send_buffer_bytes = static_cast<uint32_t>(send_buffer_);
        p.send_buffer_most_bytes = 0;
    }
    p.mss_clamp = static_cast<uint16_t>(mss_);
    p.timestamps = !no_timestamps;
    p.window_scaling = !no_window_scaling;
    p.sack = !no_sack;
    p.nagle = !no_nagle;
    p.user_timeout_option = advertise_user_timeout_ > Duration{};
    if (p.user_timeout_option) p.advertised_user_timeout = advertise_user_timeout_;
    p.congestion = *tcp::congestion_algorithm_named(congestion_);
    p.ecn = ecn_ == "off"   ? tcp::EcnUse::off
            : ecn_ == "ask" ? tcp::EcnUse::ask
                            : tcp::EcnUse::accept;
    config.profiles = {p};
}

void ListenerOptions::attach(OptionTable& table) {
    table.count("backlog", "half-open connections per listener; beyond: see --syn-cookies",
                backlog_, 1, 1 << 24);
    table.count("max-half-open",
                "half-open connections per worker (0: half of --max-connections); beyond: see "
                "--syn-cookies",
                max_half_open_, 0, 1 << 24);
    table.count("fast-open",
                "connections per listener whose SYN's data is taken before the handshake ends "
                "(RFC 7413); 0: none",
                fast_open_, 0, 1 << 20);
    table.choice("syn-cookies",
                 "answer SYNs without keeping anything: automatic at the limits of half-open "
                 "connections, always, or never (SYNs beyond the limits are dropped)",
                 {"automatic", "always", "never"}, syn_cookies_);
}

stack::ListenOptions ListenerOptions::listen_options() const {
    stack::ListenOptions options;
    options.backlog = static_cast<uint32_t>(backlog_);
    options.fast_open = static_cast<uint32_t>(fast_open_);
    if (syn_cookies_ == "always") options.syn_cookies = stack::SynCookies::always;
    if (syn_cookies_ == "never") options.syn_cookies = stack::SynCookies::never;
    return options;
}

void ListenerOptions::apply_to(stack::WorkerConfig& config) const {
    config.max_half_open = static_cast<uint32_t>(max_half_open_);
}

namespace {

std::string time_wait_note(const TcpOptions& options) {
    if (options.time_wait == Duration{}) return "TIME_WAIT is switched off: 2MSL is 0";
    std::string note = fmt::format("2MSL {}", format_duration(options.time_wait));
    if (options.time_wait_reuse == Duration{}) return note;
    return note + fmt::format(", taken over after {} when no port is free",
                              format_duration(options.time_wait_reuse));
}

}  // namespace

std::vector<std::string> tcp_notes(const TcpOptions& options) {
    const tcp::Profile& p = options.profile;
    return {time_wait_note(options),
            fmt::format("RTO from {} (initially {}), delayed ACK {}, SYN tried for {}",
                        format_duration(p.rto_min), format_duration(p.rto_initial),
                        format_duration(p.delayed_ack), format_duration(p.syn_timeout))};
}

}  // namespace synfin::apps
