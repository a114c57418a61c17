// The IPv4 header (RFC 791, RFC 1122 section 3.2.1).
#pragma once

#include <cstdint>
#include <span>

#include <tl/expected.hpp>

#include <synfin/wire/address.hpp>
#include <synfin/wire/bytes.hpp>
#include <synfin/wire/checksum.hpp>
#include <synfin/wire/drop.hpp>

namespace synfin::wire {

namespace ip_protocol {
inline constexpr uint8_t icmp = 1;
inline constexpr uint8_t tcp = 6;
inline constexpr uint8_t udp = 17;
inline constexpr uint8_t icmp6 = 58;
}  // namespace ip_protocol

/// Whether a datagram may come from `address` (RFC 1122 section 3.2.1.3): not from 0.0.0.0/8,
/// 127.0.0.0/8, a multicast address, class E or the limited broadcast address. A directed broadcast
/// looks like any other address; only who knows the prefix can tell.
constexpr bool is_possible_ipv4_source(uint32_t address) {
    const uint32_t top = address >> 24;
    return top != 0 && top != 127 && top < 224;
}

/// What is wrong with the addresses of a TCP segment, as far as anyone can tell.
constexpr Drop problem_of_ipv4_ends(uint32_t source, uint32_t destination) {
    if (!is_possible_ipv4_source(source)) return Drop::ip_bad_source;
    if (destination >> 24 >= 224) return Drop::tcp_to_group;
    if (!is_possible_ipv4_source(destination)) return Drop::ip_bad_destination;
    return source == destination ? Drop::tcp_land : Drop::none;
}

/// A datagram whose lengths fit into the bytes that it came in.
class Ipv4View {
  public:
    static constexpr size_t header_bytes_min = 20;

    /// Checks version and lengths, and the header checksum unless `checksum_verified`. Bytes after
    /// the datagram (Ethernet padding) are left out; IP options are allowed and skipped.
    static tl::expected<Ipv4View, Drop> checked(std::span<const uint8_t> bytes,
                                                bool checksum_verified = false) {
        if (bytes.size() < header_bytes_min) [[unlikely]]
            return tl::unexpected{Drop::ip_too_short};
        const uint8_t* at = bytes.data();
        if ((at[0] >> 4) != 4) [[unlikely]]
            return tl::unexpected{Drop::ip_bad_version};
        const size_t header = size_t{4} * (at[0] & 0xfu);
        const size_t total = load_be16(at + 2);
        if (header < header_bytes_min) [[unlikely]]
            return tl::unexpected{Drop::ip_bad_header_length};
        if (total > bytes.size() || total < header_bytes_min) [[unlikely]] {
            return tl::unexpected{Drop::ip_bad_total_length};
        }
        if (header > total) [[unlikely]]
            return tl::unexpected{Drop::ip_bad_header_length};
        if (!checksum_verified && !is_complete(sum_words(at, header))) [[unlikely]] {
            return tl::unexpected{Drop::ip_bad_checksum};
        }
        return Ipv4View{at, header, total};
    }

    size_t header_length() const { return header_; }
    size_t total_length() const { return total_; }
    uint8_t traffic_class() const { return at_[1]; }
    /// MF, or an offset.
    bool is_fragment() const { return (load_be16(at_ + 6) & 0x3fffu) != 0; }
    uint8_t hop_limit() const { return at_[8]; }
    uint8_t protocol() const { return at_[9]; }
    IpAddress source() const { return load_ipv4(at_ + 12); }
    IpAddress destination() const { return load_ipv4(at_ + 16); }
    std::span<const uint8_t> datagram() const { return {at_, total_}; }
    std::span<const uint8_t> payload() const { return {at_ + header_, total_ - header_}; }

  private:
    Ipv4View(const uint8_t* at, size_t header, size_t total)
        : at_{at}, header_{header}, total_{total} {}
    const uint8_t* at_;
    size_t header_;
    size_t total_;
};

/// What the headers of many packets have in common, ready to be written: an IPv4 header's first
/// word without the length, and its third with a checksum of all ones, which counts as nothing in a
/// sum, in host order.
struct IpWords {
    uint32_t first = 0;
    uint32_t third = 0;
    static constexpr IpWords of(uint8_t traffic_class, uint8_t hop_limit, uint8_t protocol) {
        return {0x45000000u | uint32_t{traffic_class} << 16,
                uint32_t{hop_limit} << 24 | uint32_t{protocol} << 16 | 0xffff};
    }
    constexpr uint8_t traffic_class() const { return static_cast<uint8_t>(first >> 16); }
    constexpr uint8_t hop_limit() const { return static_cast<uint8_t>(third >> 24); }
};

/// What differs from one IP header to the next, for either family's writer.
struct IpFields {
    IpAddress source;
    IpAddress destination;
    uint8_t protocol = ip_protocol::tcp;
    uint8_t hop_limit = 64;
    uint8_t traffic_class = 0;
};

/// Writes a header of 20 bytes for `payload_bytes` of payload: DF set, identification 0 (an atomic
/// datagram, RFC 6864). The checksum is filled in unless `device_checksum`; then it is 0.
/// Returns 20.
inline size_t write_ipv4_header(uint8_t* out, const IpFields& fields, size_t payload_bytes,
                                bool device_checksum = false) {
    const auto total = static_cast<uint32_t>(Ipv4View::header_bytes_min + payload_bytes);
    const uint32_t version_to_length =
        network_order(0x45000000u | static_cast<uint32_t>(fields.traffic_class) << 16 | total);
    const uint32_t identification_to_offset = network_order(0x00004000u);
    const uint32_t hop_limit_and_protocol =
        network_order(static_cast<uint32_t>(fields.hop_limit) << 24 |
                      static_cast<uint32_t>(fields.protocol) << 16);
    const uint32_t source = network_order(fields.source.v4());
    const uint32_t destination = network_order(fields.destination.v4());
    store_native(out, version_to_length);
    store_native(out + 4, identification_to_offset);
    store_native(out + 8, hop_limit_and_protocol);
    store_native(out + 12, source);
    store_native(out + 16, destination);
    if (!device_checksum) {
        store_checksum(out + 10, PartialSum{uint64_t{version_to_length} + identification_to_offset +
                                            hop_limit_and_protocol + source + destination});
    }
    return Ipv4View::header_bytes_min;
}

/// Lets routers divide the datagram whose header write_ipv4_header has written at `header`: DF
/// clear, and an identification, which its fragments will bear.
inline void make_divisible(uint8_t* header, uint16_t identification, bool device_checksum = false) {
    store_be32(header + 4, uint32_t{identification} << 16);
    if (device_checksum) return;
    store_be16(header + 10, 0);
    store_checksum(header + 10, sum_words(header, Ipv4View::header_bytes_min));
}

}  // namespace synfin::wire
