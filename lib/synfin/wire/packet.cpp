#include <synfin/wire/arp.hpp>
#include <synfin/wire/ethernet.hpp>
#include <synfin/wire/fragment.hpp>
#include <synfin/wire/icmp4.hpp>
#include <synfin/wire/icmp6.hpp>
#include <synfin/wire/ipv4.hpp>
#include <synfin/wire/ipv6.hpp>
#include <synfin/wire/packet.hpp>
#include <synfin/wire/tcp.hpp>
#include <synfin/wire/usual_frame.hpp>

namespace synfin::wire {

namespace {

PacketKind refuse(Packet& packet, Drop reason) {
    packet.drop = reason;
    return packet.kind = PacketKind::drop;
}

PacketKind accept(Packet& packet, PacketKind kind) {
    packet.drop = Drop::none;
    return packet.kind = kind;
}

/// What both families have in common from here on: packet.payload is the segment.
PacketKind parse_tcp(Packet& packet, bool to_group, PartialSum pseudo_header, bool verified) {
    const auto segment = TcpView::checked(packet.payload);
    if (!segment) [[unlikely]]
        return refuse(packet, segment.error());
    if (to_group || packet.link_group) [[unlikely]]
        return refuse(packet, Drop::tcp_to_group);
    if (packet.source == packet.destination) [[unlikely]]
        return refuse(packet, Drop::tcp_land);
    if (!verified && !segment->checksum_is_right(pseudo_header)) [[unlikely]] {
        return refuse(packet, Drop::tcp_bad_checksum);
    }
    if (!parse_tcp_options(segment->options(), packet.options)) [[unlikely]] {
        return refuse(packet, Drop::tcp_bad_options);
    }
    packet.source_port = segment->source_port();
    packet.destination_port = segment->destination_port();
    packet.seq = segment->seq();
    packet.ack = segment->ack();
    packet.control() = segment->control();
    packet.payload = segment->payload();
    return accept(packet, PacketKind::tcp);
}

/// Whether what begins with this header is taken in fragments. In IPv6 other headers may stand
/// between; what comes of them is seen in the whole.
bool is_put_together(uint8_t protocol, bool v4) {
    if (protocol == ip_protocol::tcp) return true;
    return v4 ? protocol == ip_protocol::icmp
              : protocol == ip_protocol::icmp6 || protocol == ipv6_extension::destination_options;
}

/// RFC 8200 section 4.5: the length of the payload is wrong, or the offset of the fragment.
Ipv6Problem problem_of_fragment(const Fragment& fragment, bool between_words) {
    constexpr uint32_t payload_length_at = 4;
    const auto offset_at = static_cast<uint32_t>(fragment.header.size() + 2);
    return {true, icmp6_code::erroneous_field, between_words ? payload_length_at : offset_at};
}

/// What is left of a fragment's checks once its headers are known to fit.
PacketKind parse_fragment(Packet& packet) {
    const Fragment fragment = read_fragment(packet.network);
    const bool between_words = fragment.more && fragment.data.size() % 8 != 0;
    const bool too_long =
        fragment.header.size() + fragment.end() > datagram_bytes_max(packet.source);
    if (fragment.data.empty() || between_words || too_long) {
        if (packet.source.is_v6() && !fragment.data.empty()) {
            packet.problem = problem_of_fragment(fragment, between_words);
        }
        return refuse(packet, Drop::ip_bad_fragment);
    }
    if (!is_put_together(fragment.protocol, packet.source.is_v4())) {
        return refuse(packet, Drop::ip_fragment);
    }
    // RFC 1858: no fragment but the first may touch the header of TCP, and the first has all of it.
    const bool tiny = fragment.protocol == ip_protocol::tcp &&
                      (fragment.offset == 0 ? fragment.data.size() < TcpView::header_bytes_min
                                            : fragment.offset < TcpView::header_bytes_min);
    if (tiny) return refuse(packet, Drop::ip_tiny_fragment);
    return accept(packet, PacketKind::fragment);
}

/// Takes over what the IP headers of both families say.
template <typename View>
void read_ip(const View& ip, Packet& packet) {
    packet.protocol = ip.protocol();
    packet.hop_limit = ip.hop_limit();
    packet.traffic_class = ip.traffic_class();
    packet.source = ip.source();
    packet.destination = ip.destination();
    packet.network = ip.datagram();
    packet.payload = ip.payload();
}

PacketKind parse_ipv4(std::span<const uint8_t> bytes, VerifiedChecksums verified, Packet& packet) {
    const auto ip = Ipv4View::checked(bytes, verified.ip);
    if (!ip) [[unlikely]]
        return refuse(packet, ip.error());
    read_ip(*ip, packet);
    const uint32_t destination = packet.destination.v4();
    if (!is_possible_ipv4_source(packet.source.v4())) [[unlikely]] {
        return refuse(packet, Drop::ip_bad_source);
    }
    if ((destination >> 24) == 0 || (destination >> 24) == 127) [[unlikely]] {
        return refuse(packet, Drop::ip_bad_destination);
    }
    if (ip->is_fragment()) [[unlikely]]
        return parse_fragment(packet);

    if (packet.protocol == ip_protocol::tcp) [[likely]] {
        const bool to_group = destination >= 0xe000'0000;  // multicast, class E, broadcast
        return parse_tcp(packet, to_group,
                         pseudo_header_sum_ipv4(packet.source, packet.destination, ip_protocol::tcp,
                                                static_cast<uint32_t>(packet.payload.size())),
                         verified.tcp);
    }
    if (packet.protocol == ip_protocol::icmp) {
        const auto message = Icmp4View::checked(packet.payload);
        return message ? accept(packet, PacketKind::icmp4) : refuse(packet, message.error());
    }
    return accept(packet, PacketKind::other);
}

/// ::1, and IPv4-mapped addresses, which stand for IPv4 inside a host and never on a wire.
bool is_never_on_a_wire(const IpAddress& address) {
    return address.is_v4() || (address.high() == 0 && address.low() == 1);
}

bool is_possible_ipv6_source(const IpAddress& address) {
    return !is_ipv6_multicast(address) && !is_never_on_a_wire(address);
}

/// Only `checked` has seen the packet, so what the answer needs is read here.
void keep_problem(std::span<const uint8_t> bytes, const Ipv6Problem& problem, Packet& packet) {
    packet.source = load_ipv6(&bytes[8]);
    packet.destination = load_ipv6(&bytes[24]);
    packet.network = bytes.first(Ipv6View::header_bytes + load_be16(&bytes[4]));
    if (is_possible_ipv6_source(packet.source) && !packet.source.is_unspecified()) {
        packet.problem = problem;
    }
}

PacketKind parse_icmp6(const Ipv6View& ip, Packet& packet) {
    const auto message =
        Icmp6View::checked(packet.payload, packet.source, packet.destination, packet.hop_limit);
    if (!message) return refuse(packet, message.error());
    if (packet.source.is_unspecified() && message->type() != Icmp6Type::neighbor_solicitation)
        return refuse(packet, Drop::ip_bad_source);
    const bool was_divided = packet.divided_as || ip.has_fragment_header();
    if (was_divided && message->is_discovery()) return refuse(packet, Drop::ip_fragment);
    return accept(packet, PacketKind::icmp6);
}

PacketKind parse_ipv6(std::span<const uint8_t> bytes, VerifiedChecksums verified, Packet& packet) {
    Ipv6Problem problem;
    const auto ip = Ipv6View::checked(bytes, &problem);
    if (!ip) [[unlikely]] {
        if (problem.is_to_be_told) keep_problem(bytes, problem, packet);
        return refuse(packet, ip.error());
    }
    read_ip(*ip, packet);
    // Only neighbor discovery may come from the unspecified address.
    const bool from_nobody =
        packet.source.is_unspecified() && packet.protocol != ip_protocol::icmp6;
    if (!is_possible_ipv6_source(packet.source) || from_nobody) [[unlikely]] {
        return refuse(packet, Drop::ip_bad_source);
    }
    if (is_never_on_a_wire(packet.destination) || packet.destination.is_unspecified())
        [[unlikely]] {
        return refuse(packet, Drop::ip_bad_destination);
    }

    if (ip->is_fragment()) [[unlikely]]
        return parse_fragment(packet);

    if (packet.protocol == ip_protocol::tcp) [[likely]] {
        return parse_tcp(packet, is_ipv6_multicast(packet.destination),
                         pseudo_header_sum_ipv6(packet.source, packet.destination, ip_protocol::tcp,
                                                static_cast<uint32_t>(packet.payload.size())),
                         verified.tcp);
    }
    if (packet.protocol == ip_protocol::icmp6) return parse_icmp6(*ip, packet);
    return accept(packet, PacketKind::other);
}

PacketKind parse_arp(std::span<const uint8_t> bytes, Packet& packet) {
    const auto arp = ArpView::checked(bytes);
    if (!arp) return refuse(packet, arp.error());
    packet.network = bytes.first(ArpView::packet_bytes);
    return accept(packet, PacketKind::arp);
}

}  // namespace

PacketKind parse_frame(std::span<const uint8_t> frame, VerifiedChecksums verified, Packet& packet) {
    if (parse_usual_frame(frame, verified, packet)) [[likely]]
        return PacketKind::tcp;
    return parse_frame_slowly(frame, verified, packet);
}

PacketKind parse_whole(std::span<const uint8_t> datagram, uint32_t identification, Packet& packet) {
    packet.divided_as = identification;
    return datagram[0] >> 4 == 4 ? parse_ipv4(datagram, {.ip = true}, packet)
                                 : parse_ipv6(datagram, {}, packet);
}

PacketKind parse_frame_slowly(std::span<const uint8_t> frame, VerifiedChecksums verified,
                              Packet& packet) {
    const auto ethernet = EthernetView::checked(frame);
    if (!ethernet) [[unlikely]]
        return refuse(packet, ethernet.error());
    packet.ethernet = frame.data();
    packet.divided_as.reset();
    packet.problem = {};
    packet.link_group = ethernet->destination_is_group();
    packet.has_vlan_tag = ethernet->has_tag();
    packet.vlan_tag = ethernet->tag();
    if (ethernet->source_is_group()) [[unlikely]] {
        return refuse(packet, Drop::ethernet_bad_source);
    }
    switch (ethernet->type()) {
        [[likely]] case ethertype::ipv4:
            return parse_ipv4(ethernet->payload(), verified, packet);
        case ethertype::ipv6: return parse_ipv6(ethernet->payload(), verified, packet);
        case ethertype::arp: return parse_arp(ethernet->payload(), packet);
        default: return refuse(packet, Drop::unknown_ethertype);
    }
}

}  // namespace synfin::wire
