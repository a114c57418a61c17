#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <synfin/dpdk/device_check.hpp>

namespace synfin::dpdk {

namespace {

using Reason = std::optional<std::string>;

std::string device(const DeviceSpec& spec) { return "device '" + spec.text + "' "; }

Reason check_interface_exists(const DeviceSpec& spec) {
    if (::if_nametoindex(spec.target.c_str()) != 0) return std::nullopt;
    return device(spec) + "names the interface '" + spec.target +
           "', which does not exist here: `ip link` lists those that do";
}

/// Whether a packet socket may be opened (CAP_NET_RAW).
Reason check_packet_socket(const DeviceSpec& spec) {
    const int socket = ::socket(AF_PACKET, SOCK_RAW, 0);
    if (socket >= 0) {
        ::close(socket);
        return std::nullopt;
    }
    if (errno != EPERM && errno != EACCES) return std::nullopt;
    return device(spec) + "needs the right to open packet sockets: run as root or with CAP_NET_RAW";
}

Reason check_root(const DeviceSpec& spec, const char* capabilities) {
    // The capability may come without root; its bit in the effective set is what counts.
    constexpr unsigned net_admin = 12;
    if (::geteuid() == 0) return std::nullopt;
    FILE* const status = std::fopen("/proc/self/status", "re");
    if (status == nullptr) return std::nullopt;
    unsigned long long effective = ~0ull;
    char line[256];
    while (std::fgets(line, sizeof line, status) != nullptr) {
        if (std::sscanf(line, "CapEff: %llx", &effective) == 1) break;
    }
    std::fclose(status);
    if ((effective >> net_admin & 1) != 0) return std::nullopt;
    return device(spec) + "needs the right to configure interfaces: run as root or with " +
           capabilities;
}

/// XDP sockets are bound to the interface's own queues, so there must be as many.
Reason check_channels(const DeviceSpec& spec, unsigned queues) {
    const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket < 0) return std::nullopt;
    ethtool_channels channels{};
    channels.cmd = ETHTOOL_GCHANNELS;
    ifreq request{};
    spec.target.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_data = reinterpret_cast<char*>(&channels);
    const int result = ::ioctl(socket, SIOCETHTOOL, &request);
    ::close(socket);
    // An interface that does not speak of channels has one queue.
    const unsigned available =
        result == 0 && channels.combined_count != 0 ? channels.combined_count : 1;
    if (queues <= available) return std::nullopt;
    return device(spec) + "has " + std::to_string(available) +
           (available == 1 ? " queue" : " queues") + " and " + std::to_string(queues) +
           " are needed: use --workers " + std::to_string(available) +
           ", or give it more with `ethtool -L " + spec.target + " combined " +
           std::to_string(queues) + "`";
}

Reason check_socket_directory(const DeviceSpec& spec) {
    const auto parent = std::filesystem::path{spec.target}.parent_path();
    const std::string directory = parent.empty() ? "." : parent.string();
    if (::access(directory.c_str(), W_OK | X_OK) == 0) return std::nullopt;
    return device(spec) + "needs a socket in '" + directory +
           "', where none can be made: " + std::strerror(errno);
}

Reason check_socket_is_served(const DeviceSpec& spec) {
    struct stat status{};
    if (::stat(spec.target.c_str(), &status) != 0) {
        return device(spec) + "connects to the socket '" + spec.target +
               "', which does not exist: start the other side (" +
               (spec.kind == DeviceKind::memif ? "role=server" : "vhost") + ") first";
    }
    return std::nullopt;
}

Reason check_pcap(const DeviceSpec& spec) {
    if (::access(spec.target.c_str(), R_OK) != 0) {
        return device(spec) + "cannot read '" + spec.target + "': " + std::strerror(errno);
    }
    return std::nullopt;
}

Reason check_pci(const DeviceSpec& spec) {
    const std::filesystem::path place = "/sys/bus/pci/devices/" + spec.target;
    std::error_code error;
    if (!std::filesystem::exists(place, error)) {
        return device(spec) + "is not there: `lspci -D` lists the addresses that are";
    }
    const std::string driver =
        std::filesystem::read_symlink(place / "driver", error).filename().string();
    // Mellanox NICs are driven beside the kernel's own driver.
    if (driver == "vfio-pci" || driver == "igb_uio" || driver == "uio_pci_generic" ||
        driver.starts_with("mlx")) {
        return std::nullopt;
    }
    return device(spec) + "is bound to " + (driver.empty() ? "no driver" : "'" + driver + "'") +
           ": bind it to vfio-pci, for example with `dpdk-devbind.py -b vfio-pci " + spec.target +
           "`";
}

}  // namespace

Reason why_unusable(const DeviceSpec& spec, unsigned queues) {
    switch (spec.kind) {
        case DeviceKind::af_packet: {
            if (Reason reason = check_interface_exists(spec)) return reason;
            return check_packet_socket(spec);
        }
        case DeviceKind::af_xdp: {
            if (Reason reason = check_interface_exists(spec)) return reason;
            if (Reason reason = check_root(spec, "CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF")) {
                return reason;
            }
            return check_channels(spec, queues);
        }
        case DeviceKind::tap: {
            if (Reason reason = check_root(spec, "CAP_NET_ADMIN")) return reason;
            if (::access("/dev/net/tun", F_OK) != 0) {
                return device(spec) +
                       "needs /dev/net/tun, which is missing: load the kernel "
                       "module tun";
            }
            if (::if_nametoindex(spec.target.c_str()) != 0) {
                return device(spec) + "would create the interface '" + spec.target +
                       "', which exists already: choose another name";
            }
            return std::nullopt;
        }
        case DeviceKind::vhost: return check_socket_directory(spec);
        case DeviceKind::memif:
            return spec.role == MemifRole::server ? check_socket_directory(spec)
                                                  : check_socket_is_served(spec);
        case DeviceKind::virtio_user: return check_socket_is_served(spec);
        case DeviceKind::pcap: return check_pcap(spec);
        case DeviceKind::pci: return check_pci(spec);
        case DeviceKind::ring:
        case DeviceKind::vdev: return std::nullopt;
    }
    return std::nullopt;
}

}  // namespace synfin::dpdk
