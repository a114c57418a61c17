// A whole frame with a TCP segment, written in one go: the hot path of transmission.
//
// Headers are composed in registers and summed on their way out, the payload is summed while it is
// copied; no byte is read back.
#pragma once

#include <cstdint>
#include <span>

#include <synfin/wire/address.hpp>
#include <synfin/wire/ethernet.hpp>
#include <synfin/wire/tcp_fields.hpp>

namespace synfin::wire {

/// All that goes into one segment's frame. Source and destination are of one family, which is the
/// family of the EtherType in `l2`.
struct SegmentFrame {
    const L2Header* l2 = nullptr;
    IpAddress source;
    IpAddress destination;
    uint16_t source_port = 0;
    uint16_t destination_port = 0;
    uint8_t hop_limit = 64;
    uint8_t traffic_class = 0;
    TcpFlags flags;
    // None beside its neighbor in tcp::OutSegment: two that were written one by one a moment ago
    // and are copied as one have to wait for both to reach the cache.
    uint16_t window = 0;
    uint32_t seq = 0;
    uint16_t urgent = 0;
    uint32_t ack = 0;
    const TcpOptions* options = nullptr;               ///< nullptr: none
    std::span<const std::span<const uint8_t>> pieces;  ///< the payload, in order
};

/// Which checksums the device completes.
struct DeviceChecksums {
    bool ip = false;   ///< the IPv4 header checksum is left 0
    bool tcp = false;  ///< the TCP checksum holds the sum of the pseudo header only
};

/// Headers never take more than this.
inline constexpr size_t segment_headers_bytes_max = 18 + 40 + 60;

/// Writes the frame at the beginning of `buffer` and returns its length, without padding to
/// Ethernet's minimum. `buffer` must have room for segment_headers_bytes_max and for the frame,
/// which must be a datagram of at most 65535 bytes (both asserted).
///
/// IPv4: DF set, identification 0 (an atomic datagram, RFC 6864). SACK blocks that do not fit
/// beside the other options are left out.
size_t write_segment(std::span<uint8_t> buffer, const SegmentFrame& segment,
                     DeviceChecksums device);

}  // namespace synfin::wire
