// The fast path of the parse: a frame as nearly all are, read in one go.
//
// Usual is an untagged IPv4 packet to one station, without IP options, whole, with a TCP segment
// that carries no options, timestamps alone, or what the SYNs of most hosts carry, in their order;
// and with nothing in it that would have to be refused. Whatever differs in any way is left to
// parse_frame_slowly, which looks at it from the beginning and knows the names of all reasons. So
// this file decides nothing: what it accepts, parse_frame_slowly would read in the same way.
#pragma once

#include <cstdint>
#include <span>

#include <synfin/wire/bytes.hpp>
#include <synfin/wire/checksum.hpp>
#include <synfin/wire/ethernet.hpp>
#include <synfin/wire/ipv4.hpp>
#include <synfin/wire/packet.hpp>
#include <synfin/wire/tcp.hpp>

namespace synfin::wire {

namespace usual {

inline constexpr size_t link_bytes = EthernetView::header_bytes;
inline constexpr size_t ip_bytes = Ipv4View::header_bytes_min;
inline constexpr size_t tcp_bytes = TcpView::header_bytes_min;
/// With NOP NOP timestamps, and with all that the SYNs of most hosts carry.
inline constexpr size_t timestamps_header_bytes = tcp_bytes + 12;
inline constexpr size_t syn_header_bytes = tcp_bytes + 20;

// The words that options of the usual layouts begin with.
inline constexpr uint32_t nop_nop_timestamps = 0x0101080a;
inline constexpr uint32_t mss_option = 0x02040000;
inline constexpr uint32_t sack_permitted_timestamps = 0x0402080a;
inline constexpr uint32_t nop_window_scale = 0x01030300;

/// The options after a header of `header` bytes, if they are of one of the usual layouts.
template <size_t header>
inline bool read_options(const uint8_t* tcp, TcpOptions& options) {
    const uint8_t* const at = tcp + tcp_bytes;
    options.has_mss = header == syn_header_bytes;
    options.has_window_scale = header == syn_header_bytes;
    options.has_timestamps = header != tcp_bytes;
    options.sack_permitted = header == syn_header_bytes;
    options.has_user_timeout = false;
    options.has_fast_open = false;
    options.sack_count = 0;
    if constexpr (header == timestamps_header_bytes) {
        if (load_be32(at) != nop_nop_timestamps) return false;
        options.ts_value = load_be32(at + 4);
        options.ts_echo = load_be32(at + 8);
    } else if constexpr (header == syn_header_bytes) {
        if ((load_be32(at) & 0xffff'0000) != mss_option) return false;
        if (load_be32(at + 4) != sack_permitted_timestamps) return false;
        if ((load_be32(at + 16) & 0xffff'ff00) != nop_window_scale) return false;
        options.mss = load_be16(at + 2);
        options.ts_value = load_be32(at + 8);
        options.ts_echo = load_be32(at + 12);
        options.window_scale = at[19];
    }
    return true;
}

/// The segment of `segment` bytes behind the IPv4 header at `ip`, with a TCP header of `header`.
template <size_t header>
inline bool read_segment(const uint8_t* ip, size_t segment, bool verified, Packet& packet) {
    const uint8_t* const tcp = ip + ip_bytes;
    if (header > segment) return false;
    if (!verified) {
        PartialSum sum =
            sum_of<8>(ip + 12) +
            PartialSum::of32(uint32_t{ip_protocol::tcp} << 16 | static_cast<uint32_t>(segment)) +
            sum_of<header>(tcp);
        if (segment > header) sum += sum_bytes(tcp + header, segment - header);
        if (!is_complete(sum)) return false;
    }
    if (!read_options<header>(tcp, packet.options)) return false;
    packet.payload = {tcp + header, segment - header};
    packet.flags = TcpFlags{tcp[13]};
    packet.source_port = load_be16(tcp);
    packet.destination_port = load_be16(tcp + 2);
    packet.window = load_be16(tcp + 14);
    packet.urgent = load_be16(tcp + 18);
    packet.seq = load_be32(tcp + 4);
    packet.ack = load_be32(tcp + 8);
    return true;
}

}  // namespace usual

/// True: `packet` is a TCP segment and all is read. False: nothing is said; ask
/// parse_frame_slowly.
inline bool parse_usual_frame(std::span<const uint8_t> frame, VerifiedChecksums verified,
                              Packet& packet) {
    using namespace usual;
    if (frame.size() < link_bytes + ip_bytes + tcp_bytes) return false;
    const uint8_t* const link = frame.data();
    const uint8_t* const ip = link + link_bytes;

    // EtherType, version and header length in one word; then the two group bits.
    constexpr uint32_t ipv4_without_options = 0x080045;
    if (load_be32(link + 12) >> 8 != ipv4_without_options) return false;
    if (((link[0] | link[6]) & 1) != 0) return false;

    const size_t total = load_be16(ip + 2);
    if (total > frame.size() - link_bytes || total < ip_bytes + tcp_bytes) return false;
    // Neither MF nor an offset, and the protocol, in one word.
    constexpr uint32_t fragment_and_protocol = 0x3fff'00ff;
    if ((load_be32(ip + 6) & fragment_and_protocol) != ip_protocol::tcp) return false;
    const uint32_t source = load_be32(ip + 12);
    const uint32_t destination = load_be32(ip + 16);
    // What no source may be, no single station's address is.
    if (!is_possible_ipv4_source(source) || !is_possible_ipv4_source(destination)) return false;
    if (source == destination) return false;
    if (!verified.ip && !is_complete(sum_of<ip_bytes>(ip))) return false;

    const size_t segment = total - ip_bytes;
    bool read = false;
    switch (size_t{4} * (ip[ip_bytes + 12] >> 4)) {
        case timestamps_header_bytes:
            read = read_segment<timestamps_header_bytes>(ip, segment, verified.tcp, packet);
            break;
        case tcp_bytes: read = read_segment<tcp_bytes>(ip, segment, verified.tcp, packet); break;
        case syn_header_bytes:
            read = read_segment<syn_header_bytes>(ip, segment, verified.tcp, packet);
            break;
        default: break;
    }
    if (!read) return false;

    packet.kind = PacketKind::tcp;
    packet.drop = Drop::none;
    packet.has_vlan_tag = false;
    packet.link_group = false;
    packet.vlan_tag = 0;
    packet.ethernet = link;
    packet.protocol = ip_protocol::tcp;
    packet.hop_limit = ip[8];
    packet.traffic_class = ip[1];
    packet.source = IpAddress::v4(source);
    packet.destination = IpAddress::v4(destination);
    packet.network = {ip, total};
    return true;
}

}  // namespace synfin::wire
