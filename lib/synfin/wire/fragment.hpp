// A fragment of a datagram, as its headers say (RFC 791 section 3.2, RFC 8200 section 4.5), and the
// header of the whole that fragments make.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <synfin/wire/address.hpp>

namespace synfin::wire {

struct Fragment {
    IpAddress source;
    IpAddress destination;
    uint32_t identification = 0;
    uint8_t protocol = 0;  ///< of what was divided; in IPv6 the first fragment's is the right one
    bool more = false;
    uint32_t offset = 0;  ///< bytes
    /// All that each fragment repeats: the IPv4 header, or IPv6's up to the fragment header.
    std::span<const uint8_t> header;
    size_t protocol_at = 0;  ///< the octet of `header` that names what follows it
    std::span<const uint8_t> data;

    uint32_t end() const { return offset + static_cast<uint32_t>(data.size()); }
};

/// Reads Packet::network of a PacketKind::fragment.
Fragment read_fragment(std::span<const uint8_t> datagram);

/// Turns the header of a first fragment into that of the whole: `data_bytes` follow, and nothing
/// says any more that it was divided. An IPv4 header checksum is not kept.
void make_header_whole(std::span<uint8_t> header, size_t protocol_at, uint8_t protocol,
                       size_t data_bytes);

}  // namespace synfin::wire
