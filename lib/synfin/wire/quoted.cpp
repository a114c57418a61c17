#include <synfin/wire/ipv6.hpp>
#include <synfin/wire/quoted.hpp>

namespace synfin::wire {

namespace {

/// All that RFC 792 promises of what follows the quoted IP header: ports and sequence number.
constexpr size_t tcp_bytes_min = 8;

QuotedTcp read_tcp(const uint8_t* at, const IpAddress& source, const IpAddress& destination,
                   uint32_t packet_bytes) {
    return {source, destination, load_be16(at), load_be16(at + 2), load_be32(at + 4), packet_bytes};
}

std::optional<QuotedTcp> read_in_ipv4(std::span<const uint8_t> quoted) {
    if (quoted.size() < Ipv4View::header_bytes_min) return std::nullopt;
    const uint8_t* at = quoted.data();
    const size_t header = size_t{4} * (at[0] & 0xfu);
    const bool later_fragment = (load_be16(at + 6) & 0x1fffu) != 0;
    if (header < Ipv4View::header_bytes_min || quoted.size() < header + tcp_bytes_min ||
        later_fragment || at[9] != ip_protocol::tcp) {
        return std::nullopt;
    }
    return read_tcp(at + header, load_ipv4(at + 12), load_ipv4(at + 16), load_be16(at + 2));
}

/// We send no extension headers, so a quotation that has some is not of ours.
std::optional<QuotedTcp> read_in_ipv6(std::span<const uint8_t> quoted) {
    const uint8_t* at = quoted.data();
    if (quoted.size() < Ipv6View::header_bytes + tcp_bytes_min || at[6] != ip_protocol::tcp) {
        return std::nullopt;
    }
    return read_tcp(at + Ipv6View::header_bytes, load_ipv6(at + 8), load_ipv6(at + 24),
                    static_cast<uint32_t>(Ipv6View::header_bytes) + load_be16(at + 4));
}

}  // namespace

std::optional<QuotedTcp> read_quoted_tcp(std::span<const uint8_t> quoted) {
    if (quoted.empty()) return std::nullopt;
    switch (quoted[0] >> 4) {
        case 4: return read_in_ipv4(quoted);
        case 6: return read_in_ipv6(quoted);
        default: return std::nullopt;
    }
}

}  // namespace synfin::wire
