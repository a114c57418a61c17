// The IPv6 header and the extension headers that a host may skip (RFC 8200).
#pragma once

#include <cstdint>
#include <span>

#include <tl/expected.hpp>

#include <synfin/wire/address.hpp>
#include <synfin/wire/bytes.hpp>
#include <synfin/wire/drop.hpp>
#include <synfin/wire/ipv4.hpp>

namespace synfin::wire {

namespace ipv6_extension {
inline constexpr uint8_t hop_by_hop = 0;
inline constexpr uint8_t routing = 43;
inline constexpr uint8_t fragment = 44;
inline constexpr uint8_t no_next_header = 59;
inline constexpr uint8_t destination_options = 60;
}  // namespace ipv6_extension

/// Nobody needs more of them; a chain is walked no further (INFRA:HALT, NUCLEUS:13).
inline constexpr unsigned ipv6_extensions_max = 8;

/// What the sender of a refused packet is to be told: a parameter problem (RFC 4443 section 3.4).
struct Ipv6Problem {
    bool is_to_be_told = false;
    uint8_t code = 0;
    uint32_t pointer = 0;  ///< the octet of the packet that is wrong
};

constexpr bool is_ipv6_multicast(const IpAddress& address) {
    return (address.high() >> 56) == 0xff;
}

/// fe80::/10 (RFC 4291 section 2.5.6).
constexpr bool is_ipv6_link_local(const IpAddress& address) {
    return address.is_v6() && address.high() >> 54 == 0xfe80 >> 6;
}

/// A packet whose lengths, extension headers included, fit into the bytes that it came in.
class Ipv6View {
  public:
    static constexpr size_t header_bytes = 40;
    static constexpr size_t addresses_at = 8;
    static constexpr size_t fragment_header_bytes = 8;

    /// Walks over hop-by-hop options, routing without segments left, destination options and the
    /// fragment header of an atomic fragment (RFC 6946). At any other fragment's header the walk
    /// ends: what follows belongs to a whole that is not here. Refused is an option that says of
    /// itself that who does not know it must discard the packet (RFC 8200 section 4.2); `problem`
    /// is then what its sender is to be told. Bytes after the packet (Ethernet padding) are left
    /// out. Jumbograms (payload length 0, RFC 2675) do not exist here.
    static tl::expected<Ipv6View, Drop> checked(std::span<const uint8_t> bytes,
                                                Ipv6Problem* problem = nullptr) {
        if (bytes.size() < header_bytes) [[unlikely]]
            return tl::unexpected{Drop::ip_too_short};
        const uint8_t* at = bytes.data();
        if ((at[0] >> 4) != 6) [[unlikely]]
            return tl::unexpected{Drop::ip_bad_version};
        const size_t total = header_bytes + load_be16(at + 4);
        if (total > bytes.size()) [[unlikely]]
            return tl::unexpected{Drop::ip_bad_total_length};
        Ipv6View view{at, total, at[6]};
        if (is_extension(at[6])) [[unlikely]] {
            Ipv6Problem found;
            if (const Drop drop = view.walk_extensions(found); drop != Drop::none) {
                if (problem != nullptr) *problem = found;
                return tl::unexpected{drop};
            }
        }
        return view;
    }

    static bool is_extension(uint8_t header) {
        return header == ipv6_extension::hop_by_hop || header == ipv6_extension::routing ||
               header == ipv6_extension::fragment || header == ipv6_extension::no_next_header ||
               header == ipv6_extension::destination_options;
    }

    size_t total_length() const { return total_; }
    /// The fixed header and all extension headers.
    size_t header_length() const { return header_; }
    uint8_t traffic_class() const { return static_cast<uint8_t>(load_be16(at_) >> 4 & 0xff); }
    uint8_t hop_limit() const { return at_[7]; }
    /// What follows the last extension header.
    uint8_t protocol() const { return protocol_; }
    /// Whether a fragment header was among them.
    bool has_fragment_header() const { return fragment_header_; }
    /// A part of a larger packet: `payload` follows the fragment header.
    bool is_fragment() const { return fragment_; }
    /// Where the octet stands that names the protocol, or the fragment header of a fragment.
    size_t named_at() const { return named_at_; }
    IpAddress source() const { return load_ipv6(at_ + 8); }
    IpAddress destination() const { return load_ipv6(at_ + 24); }
    std::span<const uint8_t> datagram() const { return {at_, total_}; }
    std::span<const uint8_t> payload() const { return {at_ + header_, total_ - header_}; }

  private:
    Ipv6View(const uint8_t* at, size_t total, uint8_t protocol)
        : at_{at}, total_{total}, protocol_{protocol} {}
    Drop walk_extensions(Ipv6Problem& problem);

    const uint8_t* at_;
    size_t total_;
    size_t header_ = header_bytes;
    uint8_t protocol_;
    bool fragment_header_ = false;
    bool fragment_ = false;
    size_t named_at_ = 6;
};

/// Whether the packet, whose fixed header fits, carries an ICMPv6 error, behind whatever headers:
/// about such a one no error may be sent (RFC 4443 section 2.4).
bool carries_icmp6_error(std::span<const uint8_t> packet);

/// Writes the fixed header for `payload_bytes` of payload, flow label 0. Returns 40.
inline size_t write_ipv6_header(uint8_t* out, const IpFields& fields, size_t payload_bytes) {
    store_be32(out, 0x60000000u | static_cast<uint32_t>(fields.traffic_class) << 20);
    store_be16(out + 4, static_cast<uint16_t>(payload_bytes));
    out[6] = fields.protocol;
    out[7] = fields.hop_limit;
    store_ipv6(out + 8, fields.source);
    store_ipv6(out + 24, fields.destination);
    return Ipv6View::header_bytes;
}

}  // namespace synfin::wire
