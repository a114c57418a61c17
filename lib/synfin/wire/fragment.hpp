// A fragment of a datagram, as its headers say (RFC 791 section 3.2, RFC 8200 section 4.5), the
// header of the whole that fragments make, and those of our own fragments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <synfin/wire/address.hpp>
#include <synfin/wire/ipv4.hpp>
#include <synfin/wire/tcp_fields.hpp>

namespace synfin::wire {

struct Fragment {
    IpAddress source;
    IpAddress destination;
    uint32_t identification = 0;
    uint8_t protocol = 0;  ///< of what was divided; in IPv6 the first fragment's is the right one
    Ecn ecn = Ecn::not_capable;
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

/// Sets the mark of congestion in a header of either family. An IPv4 header checksum is not kept.
void mark_congestion(std::span<uint8_t> header);

/// What the length fields can say: IPv6 does not count its fixed header.
inline constexpr uint32_t ipv4_datagram_bytes_max = 65535;
inline constexpr uint32_t ipv6_datagram_bytes_max = 40 + 65535;
constexpr uint32_t datagram_bytes_max(const IpAddress& address) {
    return address.is_v4() ? ipv4_datagram_bytes_max : ipv6_datagram_bytes_max;
}

/// Which part of a datagram a fragment of ours is.
struct FragmentPlace {
    uint32_t identification = 0;
    uint32_t offset = 0;  ///< bytes, a multiple of 8
    bool more = false;
};

/// The length of a fragment's headers, as write_fragment_headers writes them.
constexpr size_t fragment_headers_bytes(const IpAddress& address) {
    return address.is_v4() ? 20 : 40 + 8;
}

/// Writes the headers of a fragment of `data_bytes` bytes and returns their length. An IPv4 header
/// checksum is filled in unless `device_checksum`; then it is 0.
size_t write_fragment_headers(uint8_t* out, const IpFields& fields, const FragmentPlace& place,
                              size_t data_bytes, bool device_checksum);

}  // namespace synfin::wire
