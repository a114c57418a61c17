// Frames cut into fragments, as a router or a host would have done it, or an attacker; and what a
// router says of those that it may not cut.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "stack_world.hpp"

namespace synfin::stack::test {

constexpr size_t link_bytes = 14;

inline bool is_ipv4_frame(const Bytes& frame) { return frame[12] == 0x08; }
inline size_t ip_header_bytes(const Bytes& frame) { return is_ipv4_frame(frame) ? 20 : 40; }
inline size_t divisible_bytes(const Bytes& frame) {
    return frame.size() - link_bytes - ip_header_bytes(frame);
}

/// A fragment with these bytes in front of `rest`, the IP header of `frame` before it.
inline Bytes fragment_with(const Bytes& frame, uint32_t offset, const Bytes& data, bool more,
                           uint32_t id) {
    const size_t header = ip_header_bytes(frame);
    Bytes out(frame.begin(), frame.begin() + static_cast<ptrdiff_t>(link_bytes + header));
    uint8_t* ip = &out[link_bytes];
    if (is_ipv4_frame(frame)) {
        wire::store_be16(ip + 2, static_cast<uint16_t>(header + data.size()));
        wire::store_be16(ip + 4, static_cast<uint16_t>(id));
        wire::store_be16(ip + 6, static_cast<uint16_t>((more ? 0x2000u : 0u) | offset / 8));
        wire::store_be16(ip + 10, 0);
        wire::store_checksum(ip + 10, wire::sum_words(ip, header));
    } else {
        wire::store_be16(ip + 4, static_cast<uint16_t>(8 + data.size()));
        const uint8_t next = std::exchange(ip[6], wire::ipv6_extension::fragment);
        Bytes extension(8);
        extension[0] = next;
        wire::store_be16(&extension[2], static_cast<uint16_t>(offset | (more ? 1u : 0u)));
        wire::store_be32(&extension[4], id);
        out.insert(out.end(), extension.begin(), extension.end());
    }
    out.insert(out.end(), data.begin(), data.end());
    return out;
}

/// The bytes [from, to) of what may be divided of `frame`.
inline Bytes fragment_of(const Bytes& frame, uint32_t from, uint32_t to, uint32_t id = 7) {
    const auto data = frame.begin() + static_cast<ptrdiff_t>(link_bytes + ip_header_bytes(frame));
    return fragment_with(frame, from, Bytes(data + from, data + to), to != divisible_bytes(frame),
                         id);
}

/// What a router says of a frame that it neither passes on nor divides.
inline Bytes too_big(const Bytes& frame, uint32_t mtu) {
    const std::span<const uint8_t> packet = std::span{frame}.subspan(link_bytes);
    if (is_ipv4_frame(frame)) {
        return icmp_frame(9, address_of(1), [&](uint8_t* out) {
            return wire::write_icmp4_error(out, wire::Icmp4Type::destination_unreachable,
                                           wire::icmp4_code::fragmentation_needed, mtu, packet);
        });
    }
    return icmp6_frame({}, [&](uint8_t* out, const IpAddress& from, const IpAddress& to) {
        return wire::write_icmp6_error(out, wire::Icmp6Type::packet_too_big, 0, mtu, packet, from,
                                       to);
    });
}

inline Bytes with_ecn(Bytes frame, wire::Ecn ecn) {
    uint8_t* ip = &frame[link_bytes];
    if (is_ipv4_frame(frame)) {
        ip[1] = static_cast<uint8_t>(ecn);
        wire::store_be16(ip + 10, 0);
        wire::store_checksum(ip + 10, wire::sum_words(ip, ip_header_bytes(frame)));
    } else {
        ip[1] = static_cast<uint8_t>(static_cast<unsigned>(ecn) << 4);
    }
    return frame;
}

}  // namespace synfin::stack::test
