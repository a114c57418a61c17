// What an ICMP error says about a packet of ours: of a segment enough is quoted to find the
// connection and to tell a guess from the truth (RFC 5927).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <synfin/wire/address.hpp>

namespace synfin::wire {

/// As the quoted segment stood on the wire: `source` is our own side.
struct QuotedTcp {
    IpAddress source;
    IpAddress destination;
    uint16_t source_port = 0;
    uint16_t destination_port = 0;
    uint32_t seq = 0;
    uint32_t packet_bytes = 0;  ///< IP header included
};

/// Reads a quotation of an IPv4 or IPv6 packet. Nothing if it is not TCP, is a fragment other than
/// the first, or ends before the first 8 bytes of the TCP header (RFC 792 promises no more).
/// Lengths and checksums inside a quotation are not checked: it is cut short.
std::optional<QuotedTcp> read_quoted_tcp(std::span<const uint8_t> quoted);

/// An echo reply, of ICMP or of ICMPv6.
struct QuotedEchoReply {
    IpAddress source;
    IpAddress destination;
    uint32_t packet_bytes = 0;  ///< IP header included
};

/// The same for a quotation of an echo reply.
std::optional<QuotedEchoReply> read_quoted_echo_reply(std::span<const uint8_t> quoted);

}  // namespace synfin::wire
