// What a user writes after --dev, and what DPDK has to be told for it. Text in, text out: nothing
// here touches a device, so all of it is tested without one.
//
//     ring                            an in-process link; `synfin pair` only
//     tap:NAME                        a tap interface that is created with this name
//     af_packet:IFACE                 an interface of the kernel, through packet sockets
//     af_xdp:IFACE                    the same through XDP sockets
//     memif:SOCKET[,role=server|client]   shared memory with another process
//     vhost:SOCKET                    the host's end of a virtio link
//     virtio_user:SOCKET              the guest's end of one, without a guest
//     pci:0000:3b:00.0                a NIC that is bound to a DPDK driver
//     vdev:NAME,ARGS                  any virtual device of DPDK, in DPDK's own words
//     pcap:IN,OUT                     packets from a file, packets into a file
//
// All forms but `ring` may be followed by `,key=value` pairs, which go to the driver as they are.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

namespace synfin::dpdk {

enum class DeviceKind : uint8_t {
    ring,
    tap,
    af_packet,
    af_xdp,
    memif,
    vhost,
    virtio_user,
    pci,
    vdev,
    pcap,
};
const char* name(DeviceKind kind);

/// The ring of an af_packet device, unless the user has given another.
inline constexpr uint32_t packet_frames = 4096;
inline constexpr uint32_t packet_frame_bytes = 2048;

enum class MemifRole : uint8_t { automatic, server, client };

struct DeviceSpec {
    DeviceKind kind = DeviceKind::ring;
    std::string text;       ///< as the user wrote it
    std::string target;     ///< interface, socket path, PCI address, name of a vdev, file to read
    std::string output;     ///< pcap: the file to write
    std::string arguments;  ///< further `key=value` pairs for the driver, without a leading comma
    MemifRole role = MemifRole::automatic;
};

/// The device that `text` names, or one sentence that says what is wrong and what would be right.
tl::expected<DeviceSpec, std::string> parse_device(std::string_view text);

/// The name under which DPDK knows the device after EAL's start: `net_tap0`, `0000:3b:00.0`.
/// `index` is the device's place among all that are given. Empty for `ring`.
std::string ethdev_name(const DeviceSpec& spec, unsigned index);

/// EAL arguments that create or allow the device with `queues` queue pairs; none for `ring`. A
/// memif without a role gets `memif_role`.
std::vector<std::string> device_arguments(const DeviceSpec& spec, unsigned index, unsigned queues,
                                          MemifRole memif_role = MemifRole::client);

/// Whether the device reaches memory by its own means or lends it to another process, so that
/// packet buffers must lie in EAL's memory.
bool needs_eal_memory(const DeviceSpec& spec);

}  // namespace synfin::dpdk
