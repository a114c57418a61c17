#include <algorithm>
#include <array>
#include <cctype>
#include <tuple>
#include <utility>

#include <synfin/dpdk/device_spec.hpp>

namespace synfin::dpdk {

namespace {

using Result = tl::expected<DeviceSpec, std::string>;

constexpr std::array<std::pair<std::string_view, DeviceKind>, 10> kinds{{
    {"ring", DeviceKind::ring},
    {"tap", DeviceKind::tap},
    {"af_packet", DeviceKind::af_packet},
    {"af_xdp", DeviceKind::af_xdp},
    {"memif", DeviceKind::memif},
    {"vhost", DeviceKind::vhost},
    {"virtio_user", DeviceKind::virtio_user},
    {"pci", DeviceKind::pci},
    {"vdev", DeviceKind::vdev},
    {"pcap", DeviceKind::pcap},
}};

constexpr std::string_view all_forms =
    "ring, tap:NAME, af_packet:IFACE, af_xdp:IFACE, memif:SOCKET[,role=server|client], "
    "vhost:SOCKET, virtio_user:SOCKET, pci:0000:3b:00.0, vdev:NAME,ARGS or pcap:IN,OUT";

// IFNAMSIZ less its terminating zero.
constexpr size_t max_interface_name = 15;
// sizeof(sockaddr_un::sun_path) less its terminating zero.
constexpr size_t max_socket_path = 107;

template <typename... Pieces>
tl::unexpected<std::string> refuse(std::string_view text, const Pieces&... pieces) {
    std::string sentence = "device '" + std::string{text} + "' ";
    ((sentence += pieces), ...);
    return tl::unexpected{std::move(sentence)};
}

std::pair<std::string, std::string> split_at(std::string_view text, char separator) {
    const size_t at = text.find(separator);
    if (at == std::string_view::npos) return {std::string{text}, {}};
    return {std::string{text.substr(0, at)}, std::string{text.substr(at + 1)}};
}

bool is_interface_name(std::string_view name) {
    return !name.empty() && name.size() <= max_interface_name && name != "." && name != ".." &&
           std::all_of(name.begin(), name.end(), [](unsigned char c) {
               return std::isgraph(c) != 0 && c != '/' && c != ':';
           });
}

/// Every piece is `key=value`: otherwise a driver would refuse it in words of its own.
bool are_arguments(std::string_view text) {
    while (!text.empty()) {
        const size_t comma = std::min(text.find(','), text.size());
        const std::string_view piece = text.substr(0, comma);
        const size_t equals = piece.find('=');
        if (equals == std::string_view::npos || equals == 0) return false;
        if (comma + 1 == text.size()) return false;
        text.remove_prefix(std::min(comma + 1, text.size()));
    }
    return true;
}

/// `3b:00.0` or `0000:3b:00.0`, in the long form; empty when it is neither.
std::string pci_address(std::string_view text) {
    std::string full = text.size() == 7 ? "0000:" + std::string{text} : std::string{text};
    constexpr std::string_view shape = "xxxx:xx:xx.x";
    if (full.size() != shape.size()) return {};
    for (size_t i = 0; i < shape.size(); ++i) {
        const auto c = static_cast<unsigned char>(full[i]);
        if (shape[i] == 'x' ? std::isxdigit(c) == 0 : full[i] != shape[i]) return {};
        full[i] = static_cast<char>(std::tolower(c));
    }
    if (full.back() > '7') return {};
    return full;
}

Result parse_interface(DeviceSpec spec, std::string_view rest) {
    std::tie(spec.target, spec.arguments) = split_at(rest, ',');
    if (!is_interface_name(spec.target)) {
        return refuse(spec.text,
                      "has no valid interface name: 1 to 15 characters without '/', ':' "
                      "or blanks belong there, as in '",
                      name(spec.kind), ":eth0'");
    }
    return spec;
}

Result parse_socket(DeviceSpec spec, std::string_view rest) {
    std::tie(spec.target, spec.arguments) = split_at(rest, ',');
    if (spec.target.empty() || spec.target.size() > max_socket_path) {
        return refuse(spec.text,
                      "has no valid socket path: 1 to 107 characters belong there, as in '",
                      name(spec.kind), ":/run/synfin.sock'");
    }
    return spec;
}

/// Takes `role=...` out of a memif's arguments.
Result parse_memif(DeviceSpec spec, std::string_view rest) {
    Result result = parse_socket(std::move(spec), rest);
    if (!result) return result;
    std::string others;
    std::string_view pieces = result->arguments;
    while (!pieces.empty()) {
        const size_t comma = std::min(pieces.find(','), pieces.size());
        const std::string_view piece = pieces.substr(0, comma);
        pieces.remove_prefix(std::min(comma + 1, pieces.size()));
        if (piece == "role=server") {
            result->role = MemifRole::server;
        } else if (piece == "role=client") {
            result->role = MemifRole::client;
        } else if (piece.starts_with("role=")) {
            return refuse(result->text, "has the role '", piece.substr(5),
                          "': a memif is role=server or role=client");
        } else {
            if (!others.empty()) others += ',';
            others += piece;
        }
    }
    result->arguments = std::move(others);
    return result;
}

Result parse_pci(DeviceSpec spec, std::string_view rest) {
    const auto [address, arguments] = split_at(rest, ',');
    spec.target = pci_address(address);
    spec.arguments = arguments;
    if (spec.target.empty()) {
        return refuse(spec.text,
                      "has no valid PCI address: it should look like 'pci:0000:3b:00.0'");
    }
    return spec;
}

Result parse_vdev(DeviceSpec spec, std::string_view rest) {
    std::tie(spec.target, spec.arguments) = split_at(rest, ',');
    if (spec.target.empty()) {
        return refuse(spec.text, "has no name: it should look like 'vdev:net_null0,size=64'");
    }
    return spec;
}

Result parse_pcap(DeviceSpec spec, std::string_view rest) {
    std::string more;
    std::tie(spec.target, more) = split_at(rest, ',');
    std::tie(spec.output, spec.arguments) = split_at(more, ',');
    if (spec.target.empty() || spec.output.empty()) {
        return refuse(spec.text,
                      "needs a file to read and a file to write: it should look like "
                      "'pcap:in.pcap,out.pcap'");
    }
    return spec;
}

std::string with_arguments(std::string argument, const DeviceSpec& spec) {
    if (!spec.arguments.empty()) argument += "," + spec.arguments;
    return argument;
}

/// `,key=value`, unless the user has given the key himself.
std::string unless_given(const DeviceSpec& spec, std::string_view key, const std::string& value) {
    const std::string assignment = std::string{key} + "=";
    if (spec.arguments.starts_with(assignment) ||
        spec.arguments.find("," + assignment) != std::string::npos) {
        return {};
    }
    return "," + assignment + value;
}

}  // namespace

const char* name(DeviceKind kind) {
    for (const auto& [text, value] : kinds) {
        if (value == kind) return text.data();
    }
    return "unknown";
}

Result parse_device(std::string_view text) {
    const size_t colon = text.find(':');
    const std::string_view word = text.substr(0, colon);
    const std::string_view rest =
        colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1);
    const auto* const found = std::find_if(kinds.begin(), kinds.end(),
                                           [&](const auto& kind) { return kind.first == word; });
    if (found == kinds.end()) {
        return refuse(text, "is of no known kind: it should be ", all_forms);
    }
    DeviceSpec spec;
    spec.kind = found->second;
    spec.text = text;
    if (spec.kind == DeviceKind::ring) {
        if (colon != std::string_view::npos) {
            return refuse(text, "is more than 'ring', which takes nothing after it");
        }
        return spec;
    }

    Result result;
    switch (spec.kind) {
        case DeviceKind::tap:
        case DeviceKind::af_packet:
        case DeviceKind::af_xdp: result = parse_interface(std::move(spec), rest); break;
        case DeviceKind::vhost:
        case DeviceKind::virtio_user: result = parse_socket(std::move(spec), rest); break;
        case DeviceKind::memif: result = parse_memif(std::move(spec), rest); break;
        case DeviceKind::pci: result = parse_pci(std::move(spec), rest); break;
        case DeviceKind::vdev: result = parse_vdev(std::move(spec), rest); break;
        case DeviceKind::pcap: result = parse_pcap(std::move(spec), rest); break;
        case DeviceKind::ring: break;
    }
    if (result && !are_arguments(result->arguments)) {
        return refuse(text, "has driver arguments '", result->arguments,
                      "' that are not all of the form key=value");
    }
    return result;
}

std::string ethdev_name(const DeviceSpec& spec, unsigned index) {
    const std::string number = std::to_string(index);
    switch (spec.kind) {
        case DeviceKind::ring: return {};
        case DeviceKind::tap: return "net_tap" + number;
        case DeviceKind::af_packet: return "net_af_packet" + number;
        case DeviceKind::af_xdp: return "net_af_xdp" + number;
        case DeviceKind::memif: return "net_memif" + number;
        case DeviceKind::vhost: return "net_vhost" + number;
        case DeviceKind::virtio_user: return "net_virtio_user" + number;
        case DeviceKind::pcap: return "net_pcap" + number;
        case DeviceKind::pci:
        case DeviceKind::vdev: return spec.target;
    }
    return {};
}

std::vector<std::string> device_arguments(const DeviceSpec& spec, unsigned index, unsigned queues,
                                          MemifRole memif_role) {
    const std::string device = "--vdev=" + ethdev_name(spec, index);
    const std::string count = std::to_string(queues);
    switch (spec.kind) {
        case DeviceKind::ring: return {};
        case DeviceKind::pci: return {with_arguments("--allow=" + spec.target, spec)};
        case DeviceKind::vdev: return {with_arguments(device, spec)};
        case DeviceKind::tap: return {with_arguments(device + ",iface=" + spec.target, spec)};
        case DeviceKind::af_packet:
            // The driver's default of 512 frames overflows within a millisecond of a burst.
            return {with_arguments(
                device + ",iface=" + spec.target + unless_given(spec, "qpairs", count) +
                    unless_given(spec, "blocksz", "65536") +
                    unless_given(spec, "framesz", std::to_string(packet_frame_bytes)) +
                    unless_given(spec, "framecnt", std::to_string(packet_frames)),
                spec)};
        case DeviceKind::af_xdp:
            return {with_arguments(device + ",iface=" + spec.target +
                                       unless_given(spec, "start_queue", "0") +
                                       unless_given(spec, "queue_count", count),
                                   spec)};
        case DeviceKind::memif: {
            const MemifRole role = spec.role == MemifRole::automatic ? memif_role : spec.role;
            // A path, not an abstract name: a path has permissions, and works across network
            // namespaces. 512 frames in each direction, which is as many as both sides' caches
            // hold: of a larger ring each place is cold again when its turn comes.
            return {with_arguments(
                device + ",role=" + (role == MemifRole::server ? "server" : "client") +
                    ",socket=" + spec.target + unless_given(spec, "socket-abstract", "no") +
                    unless_given(spec, "rsize", "9"),
                spec)};
        }
        case DeviceKind::vhost:
            return {with_arguments(
                device + ",iface=" + spec.target + unless_given(spec, "queues", count), spec)};
        case DeviceKind::virtio_user:
            return {with_arguments(device + ",path=" + spec.target +
                                       unless_given(spec, "queues", count) +
                                       unless_given(spec, "queue_size", "1024"),
                                   spec)};
        case DeviceKind::pcap:
            return {with_arguments(device + ",rx_pcap=" + spec.target + ",tx_pcap=" + spec.output,
                                   spec)};
    }
    return {};
}

bool needs_eal_memory(const DeviceSpec& spec) {
    switch (spec.kind) {
        case DeviceKind::virtio_user:
        case DeviceKind::pci:
        case DeviceKind::vdev: return true;
        default: return false;
    }
}

}  // namespace synfin::dpdk
