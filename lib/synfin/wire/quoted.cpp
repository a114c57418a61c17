#include <synfin/wire/icmp4.hpp>
#include <synfin/wire/icmp6.hpp>
#include <synfin/wire/ipv6.hpp>
#include <synfin/wire/quoted.hpp>

namespace synfin::wire {

namespace {

/// All that RFC 792 promises of what follows the quoted IP header: in TCP ports and sequence
/// number.
constexpr size_t payload_bytes_min = 8;

struct QuotedPacket {
    IpAddress source;
    IpAddress destination;
    uint8_t protocol = 0;
    uint32_t packet_bytes = 0;
    const uint8_t* payload = nullptr;
};

std::optional<QuotedPacket> read_ipv4(std::span<const uint8_t> quoted) {
    if (quoted.size() < Ipv4View::header_bytes_min) return std::nullopt;
    const uint8_t* at = quoted.data();
    const size_t header = size_t{4} * (at[0] & 0xfu);
    const bool later_fragment = (load_be16(at + 6) & 0x1fffu) != 0;
    if (header < Ipv4View::header_bytes_min || quoted.size() < header + payload_bytes_min ||
        later_fragment) {
        return std::nullopt;
    }
    return QuotedPacket{load_ipv4(at + 12), load_ipv4(at + 16), at[9], load_be16(at + 2),
                        at + header};
}

/// Nothing that we might be told of has extension headers, so a quotation that has some is of
/// another protocol.
std::optional<QuotedPacket> read_ipv6(std::span<const uint8_t> quoted) {
    if (quoted.size() < Ipv6View::header_bytes + payload_bytes_min) return std::nullopt;
    const uint8_t* at = quoted.data();
    return QuotedPacket{load_ipv6(at + 8), load_ipv6(at + 24), at[6],
                        static_cast<uint32_t>(Ipv6View::header_bytes) + load_be16(at + 4),
                        at + Ipv6View::header_bytes};
}

std::optional<QuotedPacket> read_quoted(std::span<const uint8_t> quoted) {
    if (quoted.empty()) return std::nullopt;
    switch (quoted[0] >> 4) {
        case 4: return read_ipv4(quoted);
        case 6: return read_ipv6(quoted);
        default: return std::nullopt;
    }
}

}  // namespace

std::optional<QuotedTcp> read_quoted_tcp(std::span<const uint8_t> quoted) {
    const auto packet = read_quoted(quoted);
    if (!packet || packet->protocol != ip_protocol::tcp) return std::nullopt;
    const uint8_t* tcp = packet->payload;
    return QuotedTcp{packet->source,     packet->destination, load_be16(tcp),
                     load_be16(tcp + 2), load_be32(tcp + 4),  packet->packet_bytes};
}

std::optional<QuotedEchoReply> read_quoted_echo_reply(std::span<const uint8_t> quoted) {
    const auto packet = read_quoted(quoted);
    if (!packet) return std::nullopt;
    const bool v4 = packet->source.is_v4();
    const uint8_t protocol = v4 ? ip_protocol::icmp : ip_protocol::icmp6;
    const uint8_t type = v4 ? static_cast<uint8_t>(Icmp4Type::echo_reply)
                            : static_cast<uint8_t>(Icmp6Type::echo_reply);
    if (packet->protocol != protocol || packet->payload[0] != type) return std::nullopt;
    return QuotedEchoReply{packet->source, packet->destination, packet->packet_bytes};
}

}  // namespace synfin::wire
