// What arrives and is not TCP: ARP questions and answers, echoes and errors of ICMP and ICMPv6.
#include <algorithm>

#include <synfin/stack/worker_impl.hpp>
#include <synfin/wire/arp.hpp>
#include <synfin/wire/icmp4.hpp>
#include <synfin/wire/icmp6.hpp>
#include <synfin/wire/ipv6.hpp>
#include <synfin/wire/quoted.hpp>

namespace synfin::stack {

namespace {

// RFC 792 and RFC 1122 section 3.2.2.1. Codes beyond these tell a host nothing else than that there
// is no way.
tcp::Report unreachable_report(uint8_t code) {
    using tcp::Report;
    switch (code) {
        case wire::icmp4_code::network_unreachable:
        case wire::icmp4_code::network_unknown:
        case wire::icmp4_code::network_unreachable_for_tos: return Report::network_unreachable;
        case wire::icmp4_code::protocol_unreachable: return Report::protocol_unreachable;
        case wire::icmp4_code::port_unreachable: return Report::port_unreachable;
        case wire::icmp4_code::source_route_failed: return Report::source_route_failed;
        case wire::icmp4_code::network_prohibited: return Report::network_prohibited;
        case wire::icmp4_code::host_prohibited:
        case wire::icmp4_code::communication_prohibited: return Report::host_prohibited;
        default: return Report::host_unreachable;
    }
}

tcp::Report unreachable_report6(uint8_t code) {
    using tcp::Report;
    switch (code) {
        case wire::icmp6_code::no_route: return Report::network_unreachable;
        case wire::icmp6_code::prohibited: return Report::host_prohibited;
        case wire::icmp6_code::port_unreachable: return Report::port_unreachable;
        default: return Report::host_unreachable;
    }
}

}  // namespace

// RFC 826, but for its invitation to learn from whoever speaks: only what we have asked for, or
// know already, is changed by a packet.
void Worker::Impl::take_arp(const wire::Packet& packet, uint8_t port) {
    const auto view = wire::ArpView::checked(packet.network);
    if (!view) {
        drops.add(view.error());
        return;
    }
    const wire::Arp arp = view->read();
    const bool is_request = arp.operation == wire::ArpOperation::request;
    ++(is_request ? counters.arp_requests_in : counters.arp_replies_in);

    const wire::MacAddress own = interfaces[port].end.mac;
    if (addressing.owns(arp.sender)) {
        note_conflict(arp.sender, arp.sender_mac);
    } else if (!view->is_probe()) {
        const NeighborIndex learned = neighbors.learn(port, arp.sender, arp.sender_mac, now);
        if (learned != no_neighbor) {
            wake_waiting(learned);
        } else if (!is_request) {
            ++counters.arp_unsolicited;
        }
    }
    // The other end of a tap has our Ethernet address, too.
    const bool is_ours =
        is_own(arp.sender_mac) && (view->is_probe() || addressing.owns(arp.sender));
    if (!is_request || is_ours || !addressing.owns(arp.target, port)) return;
    push_reply(port, ArpReply{.destination = arp.sender_mac,
                              .arp = {.operation = wire::ArpOperation::reply,
                                      .sender_mac = own,
                                      .sender = arp.target,
                                      .target_mac = arp.sender_mac,
                                      .target = arp.sender}});
}

void Worker::Impl::ask_for_neighbor(const NeighborCache::Action& action) {
    const Neighbor& n = neighbors[action.index];
    const auto source = addressing.source_for(n.port, n.address);
    if (!source) return;
    const bool directly = action.kind == NeighborCache::Action::Kind::ask_directly;
    if (n.address.is_v6()) return solicit_neighbor(n, *source, directly);
    const wire::MacAddress destination =
        directly ? wire::load_mac(n.header.bytes.data()) : wire::MacAddress::broadcast();
    push_reply(n.port, ArpReply{.destination = destination,
                                .arp = {.operation = wire::ArpOperation::request,
                                        .sender_mac = interfaces[n.port].end.mac,
                                        .sender = *source,
                                        .target_mac = {},
                                        .target = n.address}});
}

void Worker::Impl::take_icmp4(const wire::Packet& packet, uint8_t port) {
    const auto view = wire::Icmp4View::checked(packet.payload);
    if (!view) {
        drops.add(view.error());
        return;
    }
    switch (view->type()) {
        case wire::Icmp4Type::echo_request: return take_echo_request(*view, packet, port);
        case wire::Icmp4Type::destination_unreachable:
            if (view->code() == wire::icmp4_code::fragmentation_needed)
                return take_too_big(view->quoted(), view->next_hop_mtu());
            return take_icmp_error(view->quoted(), unreachable_report(view->code()));
        case wire::Icmp4Type::time_exceeded:
            return take_icmp_error(view->quoted(), tcp::Report::time_exceeded);
        case wire::Icmp4Type::parameter_problem:
            return take_icmp_error(view->quoted(), tcp::Report::parameter_problem);
        default: ++counters.icmp_other; return;  // source quench, too (MUST-55)
    }
}

void Worker::Impl::take_icmp6(const wire::Packet& packet, uint8_t port) {
    const auto view = wire::Icmp6View::checked(packet.payload, packet.source, packet.destination,
                                               packet.hop_limit);
    if (!view) {
        drops.add(view.error());
        return;
    }
    switch (view->type()) {
        case wire::Icmp6Type::echo_request: return take_echo_request(*view, packet, port);
        case wire::Icmp6Type::neighbor_solicitation: return take_solicitation(packet, *view, port);
        case wire::Icmp6Type::neighbor_advertisement:
            return take_advertisement(packet, *view, port);
        case wire::Icmp6Type::packet_too_big: return take_too_big(view->quoted(), view->mtu());
        case wire::Icmp6Type::destination_unreachable:
            return take_icmp_error(view->quoted(), unreachable_report6(view->code()));
        case wire::Icmp6Type::time_exceeded:
            return take_icmp_error(view->quoted(), tcp::Report::time_exceeded);
        case wire::Icmp6Type::parameter_problem:
            return take_icmp_error(view->quoted(),
                                   view->code() == wire::icmp6_code::unrecognized_next_header
                                       ? tcp::Report::protocol_unreachable
                                       : tcp::Report::parameter_problem);
        default: ++counters.icmp_other; return;
    }
}

template <typename View>
void Worker::Impl::take_echo_request(const View& message, const wire::Packet& packet,
                                     uint8_t port) {
    ++counters.echo_requests_in;
    if (!echo_limit.take(now)) {
        ++counters.echo_limited;
        return;
    }
    const EchoReply reply{.destination = packet.source_mac(),
                          .local = packet.destination,
                          .remote = packet.source,
                          .identifier = message.identifier(),
                          .sequence = message.sequence(),
                          .data = message.echo_data()};
    const bool v4 = reply.local.is_v4();
    const size_t headers = v4 ? wire::Ipv4View::header_bytes_min : wire::Ipv6View::header_bytes;
    uint32_t mtu = interfaces[port].device.mtu;
    if (!echo_paths.empty()) mtu = std::min<uint32_t>(mtu, echo_paths.probe(reply.remote, now));
    if (packet.divided_as || headers + View::header_bytes + reply.data.size() > mtu) {
        // As unique as its sender makes it, and a word about nobody else.
        const uint32_t identification =
            packet.divided_as.value_or(v4 ? uint32_t{reply.identifier} + reply.sequence
                                          : uint32_t{reply.identifier} << 16 | reply.sequence);
        return push_in_parts(reply, identification, mtu, port);
    }
    if (!interfaces[port].replies.push_with_data(reply)) ++counters.replies_dropped;
}

// What came divided, or larger than we may send, goes back divided, in IPv6 into parts that any
// path takes, as routers divide nothing there.
void Worker::Impl::push_in_parts(const EchoReply& echo, uint32_t identification, uint32_t mtu,
                                 uint8_t port) {
    constexpr uint32_t ipv6_mtu_min = 1280;
    Interface& interface = interfaces[port];
    const bool v4 = echo.local.is_v4();
    uint8_t* const message = whole_reply.data();
    const size_t length =
        v4 ? wire::write_icmp4_echo(message, wire::Icmp4Type::echo_reply, echo.identifier,
                                    echo.sequence, echo.data)
           : wire::write_icmp6_echo(message, wire::Icmp6Type::echo_reply, echo.identifier,
                                    echo.sequence, echo.data, echo.local, echo.remote);
    const size_t packet_bytes = v4 ? mtu : std::min(mtu, ipv6_mtu_min);
    const size_t part_bytes = (packet_bytes - wire::fragment_headers_bytes(echo.local)) / 8 * 8;
    if (!interface.replies.has_room_for_data((length + part_bytes - 1) / part_bytes)) {
        ++counters.replies_dropped;
        return;
    }
    for (size_t offset = 0; offset < length; offset += part_bytes) {
        const size_t bytes = std::min(part_bytes, length - offset);
        interface.replies.push_with_data(
            DatagramPart{.destination = echo.destination,
                         .local = echo.local,
                         .remote = echo.remote,
                         .protocol = v4 ? wire::ip_protocol::icmp : wire::ip_protocol::icmp6,
                         .place = {.identification = identification,
                                   .offset = static_cast<uint32_t>(offset),
                                   .more = offset + bytes < length},
                         .data = {message + offset, bytes}});
    }
}

uint32_t Worker::Impl::find_quoted(const std::optional<wire::QuotedTcp>& q) {
    ++counters.icmp_errors_in;
    uint32_t index = no_index;
    if (q) {
        const flow::FourTuple tuple{.local_address = known_id(q->source),
                                    .remote_address = known_id(q->destination),
                                    .local_port = q->source_port,
                                    .remote_port = q->destination_port};
        index = look_up(tuple, flow::tuple_hash(tuple, hash_key));
    }
    if (index == no_index) ++counters.icmp_errors_ignored;
    return index;
}

// MUST-54: to the connection that the quoted segment came from.
void Worker::Impl::take_icmp_error(std::span<const uint8_t> quoted, tcp::Report error) {
    const auto q = wire::read_quoted_tcp(quoted);
    const uint32_t index = find_quoted(q);
    if (index == no_index) return;
    tcp::InputResult result;
    result.events = tcp::on_icmp_error(connections[index], tcp::Seq{q->seq}, error, env, now);
    deliver(index, result);
}

namespace {

// Whether a router can mean it: less than the quoted packet, and no less than any real IPv6 path
// takes. One of before RFC 1191 names no size; then `mtu` becomes what is probably meant.
bool is_plausible(uint32_t& mtu, uint32_t packet_bytes, bool v4) {
    if (v4 && mtu == 0) mtu = wire::plateau_below(packet_bytes);
    return mtu < packet_bytes && (v4 || mtu >= PathMtuTable::smallest_v6);
}

}  // namespace

// RFC 1191 and RFC 8201, with what RFC 5927 section 7 asks of a message before it is believed: the
// quoted segment is in flight, and what is said of it can be meant.
void Worker::Impl::take_too_big(std::span<const uint8_t> quoted, uint32_t mtu) {
    if (const auto echo = wire::read_quoted_echo_reply(quoted))
        return take_too_big_echo(*echo, mtu);
    const auto q = wire::read_quoted_tcp(quoted);
    const uint32_t index = find_quoted(q);
    if (index == no_index) return;
    const bool v4 = q->destination.is_v4();
    const bool plausible = is_plausible(mtu, q->packet_bytes, v4);
    const bool in_parts = v4 && mtu < PathMtuTable::smallest_v4;
    if (in_parts) mtu = PathMtuTable::smallest_v4;
    const auto size = static_cast<uint16_t>(mtu - tcp::header_bytes(q->destination.is_v6()));
    auto verdict = tcp::TooBig::not_believed;
    if (plausible) {
        verdict = tcp::on_too_big(connections[index], tcp::Seq{q->seq}, size, in_parts, env, now);
    }
    if (verdict == tcp::TooBig::believed) {
        paths.reduce(q->destination, static_cast<uint16_t>(mtu), now);
    } else if (verdict == tcp::TooBig::not_believed) {
        ++counters.too_big_ignored;
    }
    settle(index);
}

// Whoever can forge this makes us divide echo replies, and nothing else: segments follow only what
// is said about segments.
void Worker::Impl::take_too_big_echo(const wire::QuotedEchoReply& q, uint32_t mtu) {
    ++counters.icmp_errors_in;
    const bool v4 = q.destination.is_v4();
    if (!is_plausible(mtu, q.packet_bytes, v4) || !addressing.owns(q.source)) {
        ++counters.too_big_ignored;
        return;
    }
    mtu = std::max<uint32_t>(mtu, v4 ? PathMtuTable::smallest_v4 : PathMtuTable::smallest_v6);
    if (!echo_paths.reduce(q.destination, static_cast<uint16_t>(mtu), now))
        ++counters.path_evictions;
}

void Worker::Impl::push_icmp_error(IcmpError error, const wire::Packet& packet, uint8_t port) {
    if (!icmp_error_limit.take(now)) {
        ++counters.icmp_errors_limited;
        return;
    }
    error.destination = packet.source_mac();
    error.local = packet.destination;
    error.remote = packet.source;
    const size_t quote_bytes_max =
        packet.source.is_v4() ? wire::icmp4_quote_bytes_max : wire::icmp6_quote_bytes_max;
    error.data = packet.network.first(std::min(packet.network.size(), quote_bytes_max));
    if (!interfaces[port].replies.push_with_data(error)) ++counters.replies_dropped;
}

// RFC 1122 section 3.2.2.1 and RFC 4443 sections 3.1 and 3.4. The caller has made sure that both
// addresses are those of one host each and that it is no later fragment; what is not ICMP is no
// error message.
void Worker::Impl::refuse_protocol(const wire::Packet& packet, uint8_t port) {
    IcmpError error{};
    const bool v4 = packet.source.is_v4();
    if (packet.protocol == wire::ip_protocol::udp) {
        error.code = v4 ? wire::icmp4_code::port_unreachable : wire::icmp6_code::port_unreachable;
    } else if (v4) {
        error.code = wire::icmp4_code::protocol_unreachable;
    } else {
        error.is_parameter_problem = true;
        error.code = wire::icmp6_code::unrecognized_next_header;
        error.pointer = static_cast<uint32_t>(wire::Ipv6View::checked(packet.network)->named_at());
    }
    push_icmp_error(error, packet, port);
}

// Silent, as nothing here may be counted twice: the packet has been dropped already.
void Worker::Impl::tell_problem(const wire::Packet& packet, uint8_t port) {
    const LinkEnd& end = interfaces[port].end;
    const bool is_for_us = end.vlan == packet.vlan() && packet.is_to(end.mac) &&
                           addressing.owns(packet.destination) && !addressing.owns(packet.source);
    if (!is_for_us || wire::carries_icmp6_error(packet.network)) return;
    IcmpError error{};
    error.is_parameter_problem = true;
    error.code = packet.problem.code;
    error.pointer = packet.problem.pointer;
    push_icmp_error(error, packet, port);
}

}  // namespace synfin::stack
