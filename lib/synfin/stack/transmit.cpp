// Frames: first the replies, then what the ready connections have to say.
//
// A connection that fills its turn goes to the end of the list, so one with a large window does not
// keep a thousand others waiting. One whose segments did not fit into the batch stays at the head.
#include <algorithm>

#include <synfin/stack/worker_impl.hpp>
#include <synfin/tcp/usual_output.hpp>
#include <synfin/wire/icmp4.hpp>
#include <synfin/wire/icmp6.hpp>
#include <synfin/wire/ipv4.hpp>
#include <synfin/wire/ipv6.hpp>
#include <synfin/wire/segment_writer.hpp>
#include <synfin/wire/usual_segment.hpp>

namespace synfin::stack {

using tcp::Connection;
using tcp::State;

namespace {

constexpr unsigned segments_per_turn = 16;
constexpr uint8_t reply_hop_limit = 64;
constexpr uint8_t neighbor_hop_limit = 255;  // RFC 4861: proof that no router has passed it on

uint16_t ethertype_of(const wire::IpAddress& address) {
    return address.is_v4() ? wire::ethertype::ipv4 : wire::ethertype::ipv6;
}

std::span<uint8_t> space_of(const Frame& frame, const Interface& interface) {
    return {frame.data, size_t{interface.device.mtu} + TransmitBatch::slack_bytes};
}

/// What all segments of a connection have in common, for wire's writers.
struct Ipv4Ends {
    using Address = uint32_t;
    const Connection& c;
    const wire::IpWords& ip;
    Address source() const { return c.local_address; }
    Address destination() const { return c.remote_address; }
    uint32_t ports() const { return c.ports(); }
    const wire::IpWords& words() const { return ip; }
};
struct Ipv6Ends {
    using Address = wire::IpAddress;
    const Connection& c;
    const wire::IpWords& ip;
    const flow::AddressBook& names;
    Address source() const { return names.resolve(c.local_address); }
    Address destination() const { return names.resolve(c.remote_address); }
    uint32_t ports() const { return c.ports(); }
    const wire::IpWords& words() const { return ip; }
};

uint8_t traffic_class_of(const tcp::Terms& terms, const tcp::OutSegment& out) {
    return static_cast<uint8_t>(terms.traffic_class | static_cast<uint8_t>(out.ecn));
}

}  // namespace

template <typename Ends>
[[gnu::always_inline]] inline tcp::Usual Worker::Impl::write_usual_segment(
    Connection& c, const tcp::Terms& terms, Frame& frame, const Interface& interface,
    const wire::L2Header& header, const Ends& ends) {
    const auto write = [&](const wire::TcpFields& fields, const auto& options,
                           const wire::SummedBytes& payload) __attribute__((always_inline)) {
        SYNFIN_ASSERT(payload.bytes.size() <= interface.device.mtu);
        frame.length = wire::usual_frame_bytes(header, options, ends, payload);
        wire::write_usual_segment(frame.data, header, fields, options, ends, payload,
                                  interface.checksums);
    };
    return tcp::next_usual_segment(c, terms, env, moment, write);
}

// Everything in them inline: so what a segment says stays in registers. IPv4's is a part of the
// loop over the connections, too; all that is rare there is out of line, to leave the registers to
// it.

[[gnu::always_inline]] inline tcp::Usual Worker::Impl::write_usual_ipv4(
    Connection& c, Frame& frame, const Interface& interface, const wire::L2Header& header) {
    const tcp::Terms& terms = profiles.terms(c.profile);
    return write_usual_segment(c, terms, frame, interface, header, Ipv4Ends{c, terms.ip});
}

[[gnu::noinline]] tcp::Usual Worker::Impl::write_usual_ipv6(Connection& c, Frame& frame,
                                                            const Interface& interface,
                                                            const wire::L2Header& header) {
    const tcp::Terms& terms = profiles.terms(c.profile);
    return write_usual_segment(c, terms, frame, interface, header,
                               Ipv6Ends{c, terms.ip, addresses});
}

[[gnu::always_inline]] inline tcp::Usual Worker::Impl::write_if_usual(
    Connection& c, Frame& frame, const Interface& interface, const wire::L2Header& header) {
    return flow::is_interned(c.remote_address) ? write_usual_ipv6(c, frame, interface, header)
                                               : write_usual_ipv4(c, frame, interface, header);
}

[[gnu::always_inline]] inline void Worker::Impl::write_connection(Connection& c, uint32_t index,
                                                                  TransmitBatch& batch,
                                                                  const Interface& interface,
                                                                  const wire::L2Header& header) {
    const tcp::Usual written = write_if_usual(c, batch.frames[batch.filled], interface, header);
    if (written == tcp::Usual::none) [[unlikely]] {
        write_segments(index, batch, interface, header, segments_per_turn);
        return settle_after_output(index);
    }
    ++batch.filled;
    if (historian != nullptr) [[unlikely]]
        note_last_departure(index, batch);
    if (written == tcp::Usual::more) {
        if (tcp::wants_output(c, env)) write_more(index, batch, interface, header);
        return settle_after_output(index);
    }
    // Of usual segments none is the end of a connection but the last ACK: that would be a RST.
    if (written == tcp::Usual::ack) {
        if (c.state == State::time_wait) return let_go(c, index);
        if (c.long_deadline_us != tcp::never_us) [[unlikely]]
            move_timer(index);
    } else {
        arm_retransmission_timer(c, index);
    }
}

void Worker::Impl::transmit(TransmitBatch& batch) {
    Interface& interface = interfaces[batch.port];
    while (!batch.full() && !interface.replies.empty()) {
        Frame& frame = batch.frames[batch.filled++];
        write_reply(interface.replies.front(), frame, interface);
        interface.replies.pop();
    }
    const unsigned replies = batch.filled;
    segments_in_general = 0;
    while (!batch.full() && interface.ready_head != no_index) {
        const uint32_t index = interface.ready_head;
        Connection& c = connections[index];
        pop_ready(interface, c);
        if (c.state == State::closed) {
            let_go(c, index);
            continue;
        }
        const Neighbor* neighbor = last_usable.neighbor;
        if (!goes_to_last_usable(c)) [[unlikely]] {
            neighbor = find_usable_neighbor(index, batch.port);
            if (neighbor == nullptr) continue;
        }
        write_connection(c, index, batch, interface, neighbor->header);
    }
    tcp_counters.out_segs += batch.filled - replies - segments_in_general;
    count_frames(batch);
    // What has been put aside above may have to be asked for.
    run_neighbors();
}

[[gnu::noinline]] void Worker::Impl::note_departure(uint32_t index,
                                                    const tcp::Departure& departure) {
    if (tcp::History* history = history_of(index)) {
        tcp::note_departure(*history, connections[index], departure, env, now);
    }
}

// What it says is read again from the frame, so that the fast path need not keep it for anyone. A
// frame may lie in memory that the peer can write into; then what is noted is what it has made of
// it.
[[gnu::noinline]] void Worker::Impl::note_last_departure(uint32_t index,
                                                         const TransmitBatch& batch) {
    const Connection& c = connections[index];
    const Frame& frame = batch.frames[batch.filled - 1];
    const size_t headers =
        last_usable.neighbor->header.length +
        (flow::is_interned(c.remote_address) ? wire::usual::ipv6_bytes : wire::usual::ipv4_bytes);
    const auto segment = wire::TcpView::checked({frame.data + headers, frame.length - headers});
    if (!segment) return;
    note_departure(index, {.seq = tcp::Seq{segment->seq()},
                           .flags = segment->flags(),
                           .payload_length = static_cast<uint32_t>(segment->payload().size())});
}

// Behind a usual segment, others like it: the stream of a long transfer.
[[gnu::noinline]] void Worker::Impl::write_more(uint32_t index, TransmitBatch& batch,
                                                const Interface& interface,
                                                const wire::L2Header& header) {
    Connection& c = connections[index];
    for (unsigned written = 1;; ++written) {
        if (batch.full()) return push_ready_front(batch.port, index);
        if (written == segments_per_turn) return push_ready(interfaces[batch.port], c, index);
        const tcp::Usual last = write_if_usual(c, batch.frames[batch.filled], interface, header);
        if (last == tcp::Usual::none) {
            return write_segments(index, batch, interface, header, segments_per_turn - written);
        }
        ++batch.filled;
        if (historian != nullptr) [[unlikely]]
            note_last_departure(index, batch);
        if (last != tcp::Usual::more || !tcp::wants_output(c, env)) return;
    }
}

[[gnu::noinline]] void Worker::Impl::write_segments(uint32_t index, TransmitBatch& batch,
                                                    const Interface& interface,
                                                    const wire::L2Header& header, unsigned most) {
    Connection& c = connections[index];
    // The first is known not to be a usual one.
    bool any = tcp::next_segment_in_general(c, out, env, now);
    for (unsigned written = 1; any; any = tcp::next_segment(c, out, env, moment), ++written) {
        if (historian != nullptr) [[unlikely]]
            note_departure(index, {out.seq, out.flags, out.payload_length});
        Frame& frame = batch.frames[batch.filled++];
        ++segments_in_general;
        frame.length = static_cast<uint32_t>(write_usually(c, frame, interface, header));
        if (frame.length == 0) [[unlikely]]
            frame.length = static_cast<uint32_t>(write_in_general(c, frame, interface, header));
        if (c.has(tcp::Mark::narrow_path)) [[unlikely]]
            let_routers_divide(c, frame, interface, header);
        // Almost always the only one: saves the question.
        if (!tcp::wants_output(c, env)) return;
        if (batch.full()) return push_ready_front(batch.port, index);
        if (written == most) return push_ready(interfaces[batch.port], c, index);
    }
}

void Worker::Impl::let_routers_divide(const Connection& c, const Frame& frame,
                                      const Interface& interface, const wire::L2Header& header) {
    if (!ConnectionPaths::may_be_divided(c, frame.length - header.length)) return;
    wire::make_divisible(frame.data + header.length, paths.next_identification(c, now),
                         interface.device.transmit_ip_checksum);
}

// Writes what `out` says, if its frame is a usual one; else returns 0.
size_t Worker::Impl::write_usually(const Connection& c, const Frame& frame,
                                   const Interface& interface, const wire::L2Header& header) {
    if (out.piece_count > 1) return 0;
    const tcp::Terms& terms = profiles.terms(c.profile);
    const wire::IpWords words =
        wire::IpWords::of(traffic_class_of(terms, out), terms.time_to_live, wire::ip_protocol::tcp);
    const wire::TcpFields fields{.seq = out.seq.value(),
                                 .ack = out.ack.value(),
                                 .flags = out.flags,
                                 .window = out.window,
                                 .urgent = out.urgent};
    const auto payload = out.piece_count == 0 ? std::span<const uint8_t>{} : out.pieces[0];
    SYNFIN_ASSERT(payload.size() <= interface.device.mtu);
    const auto write = [&](const auto& ends) {
        return wire::write_if_usual(frame.data, header, ends, fields, out.options, payload,
                                    interface.checksums);
    };
    return flow::is_interned(c.remote_address) ? write(Ipv6Ends{c, words, addresses})
                                               : write(Ipv4Ends{c, words});
}

size_t Worker::Impl::write_in_general(const Connection& c, const Frame& frame,
                                      const Interface& interface, const wire::L2Header& header) {
    const tcp::Terms& terms = profiles.terms(c.profile);
    wire::SegmentFrame segment;
    segment.l2 = &header;
    segment.source = address_of(c.local_address);
    segment.destination = address_of(c.remote_address);
    segment.source_port = c.local_port;
    segment.destination_port = c.remote_port;
    segment.hop_limit = terms.time_to_live;
    segment.traffic_class = traffic_class_of(terms, out);
    segment.options = &out.options;
    segment.flags = out.flags;
    segment.window = out.window;
    segment.urgent = out.urgent;
    segment.seq = out.seq.value();
    segment.ack = out.ack.value();
    segment.pieces = {out.pieces.data(), out.piece_count};
    return wire::write_segment(space_of(frame, interface), segment, interface.checksums);
}

[[gnu::noinline]] void Worker::Impl::write_reply(const Reply& reply, Frame& frame,
                                                 const Interface& interface) {
    if (const auto* arp = std::get_if<ArpReply>(&reply)) {
        ++(arp->arp.operation == wire::ArpOperation::request ? counters.arp_requests_out
                                                             : counters.arp_replies_out);
        const auto l2 = interface.end.header_to(arp->destination, wire::ethertype::arp);
        const size_t header = wire::write_l2_header(frame.data, l2);
        frame.length =
            static_cast<uint32_t>(header + wire::write_arp(frame.data + header, arp->arp));
        return;
    }
    if (const auto* message = std::get_if<NeighborMessage>(&reply))
        return write_neighbor_message(*message, frame, interface);
    if (const auto* report = std::get_if<ListenerReport>(&reply))
        return write_listener_report(*report, frame, interface);
    if (const auto* s = std::get_if<SegmentReply>(&reply)) {
        const auto l2 = interface.end.header_to(s->destination, ethertype_of(s->local.address));
        wire::SegmentFrame segment;
        segment.l2 = &l2;
        segment.source = s->local.address;
        segment.destination = s->remote.address;
        segment.source_port = s->local.port;
        segment.destination_port = s->remote.port;
        segment.hop_limit = s->hop_limit;
        segment.traffic_class = s->traffic_class;
        segment.flags = s->flags;
        segment.seq = s->seq.value();
        segment.ack = s->ack.value();
        segment.window = s->window;
        segment.options = &s->options;
        frame.length = static_cast<uint32_t>(
            wire::write_segment(space_of(frame, interface), segment, interface.checksums));
        return;
    }
    if (const auto* echo = std::get_if<EchoReply>(&reply))
        return write_echo_reply(*echo, frame, interface);
    if (const auto* part = std::get_if<DatagramPart>(&reply))
        return write_part(*part, frame, interface);
    write_icmp_error(std::get<IcmpError>(reply), frame, interface);
}

// What is around an ICMP or ICMPv6 message; `write(at, is_v4)` writes that.
template <typename Message, typename Write>
void Worker::Impl::write_icmp(const Message& message, Frame& frame, const Interface& interface,
                              Write&& write) {
    const bool v4 = message.local.is_v4();
    const auto l2 = interface.end.header_to(message.destination, ethertype_of(message.local));
    size_t at = wire::write_l2_header(frame.data, l2);
    const wire::IpFields ip{.source = message.local,
                            .destination = message.remote,
                            .protocol = v4 ? wire::ip_protocol::icmp : wire::ip_protocol::icmp6,
                            .hop_limit = reply_hop_limit};
    const size_t message_bytes = wire::Icmp4View::header_bytes + message.data.size();
    at += v4 ? wire::write_ipv4_header(frame.data + at, ip, message_bytes,
                                       interface.device.transmit_ip_checksum)
             : wire::write_ipv6_header(frame.data + at, ip, message_bytes);
    at += write(frame.data + at, v4);
    frame.length = static_cast<uint32_t>(at);
}

void Worker::Impl::write_echo_reply(const EchoReply& echo, Frame& frame,
                                    const Interface& interface) {
    ++counters.echo_replies_out;
    write_icmp(echo, frame, interface, [&echo](uint8_t* at, bool v4) {
        return v4 ? wire::write_icmp4_echo(at, wire::Icmp4Type::echo_reply, echo.identifier,
                                           echo.sequence, echo.data)
                  : wire::write_icmp6_echo(at, wire::Icmp6Type::echo_reply, echo.identifier,
                                           echo.sequence, echo.data, echo.local, echo.remote);
    });
}

// Only echo replies are divided.
void Worker::Impl::write_part(const DatagramPart& part, Frame& frame, const Interface& interface) {
    if (!part.place.more) ++counters.echo_replies_out;
    const auto l2 = interface.end.header_to(part.destination, ethertype_of(part.local));
    size_t at = wire::write_l2_header(frame.data, l2);
    at += wire::write_fragment_headers(frame.data + at,
                                       {.source = part.local,
                                        .destination = part.remote,
                                        .protocol = part.protocol,
                                        .hop_limit = reply_hop_limit},
                                       part.place, part.data.size(),
                                       interface.device.transmit_ip_checksum);
    std::copy(part.data.begin(), part.data.end(), frame.data + at);
    frame.length = static_cast<uint32_t>(at + part.data.size());
}

void Worker::Impl::write_icmp_error(const IcmpError& error, Frame& frame,
                                    const Interface& interface) {
    ++counters.icmp_errors_out;
    const auto type = error.is_parameter_problem ? wire::Icmp6Type::parameter_problem
                                                 : wire::Icmp6Type::destination_unreachable;
    write_icmp(error, frame, interface, [&error, type](uint8_t* at, bool v4) {
        return v4 ? wire::write_icmp4_error(at, wire::Icmp4Type::destination_unreachable,
                                            error.code, 0, error.data)
                  : wire::write_icmp6_error(at, type, error.code, error.pointer, error.data,
                                            error.local, error.remote);
    });
}

void Worker::Impl::write_neighbor_message(const NeighborMessage& message, Frame& frame,
                                          const Interface& interface) {
    ++(message.is_solicitation ? counters.solicitations_out : counters.advertisements_out);
    const auto l2 = interface.end.header_to(message.destination, wire::ethertype::ipv6);
    const size_t header = wire::write_l2_header(frame.data, l2);
    uint8_t* const ip = frame.data + header;
    uint8_t* const body = ip + wire::Ipv6View::header_bytes;
    const size_t length =
        message.is_solicitation
            ? wire::write_neighbor_solicitation(body, message.target, interface.end.mac,
                                                message.local, message.remote)
            : wire::write_neighbor_advertisement(body, message.target, interface.end.mac,
                                                 message.solicited, message.local, message.remote);
    wire::write_ipv6_header(ip,
                            {.source = message.local,
                             .destination = message.remote,
                             .protocol = wire::ip_protocol::icmp6,
                             .hop_limit = neighbor_hop_limit},
                            length);
    frame.length = static_cast<uint32_t>(header + wire::Ipv6View::header_bytes + length);
}

void Worker::Impl::write_listener_report(const ListenerReport& report, Frame& frame,
                                         const Interface& interface) {
    ++counters.listener_reports_out;
    const bool one_group = report.version == 1;
    const wire::IpAddress group = one_group ? report.groups.first : wire::all_listener_routers;
    const auto l2 = interface.end.header_to(wire::multicast_mac(group), wire::ethertype::ipv6);
    const size_t header = wire::write_l2_header(frame.data, l2);
    uint8_t* const ip = frame.data + header;
    size_t length = wire::write_router_alert(ip + wire::Ipv6View::header_bytes);
    uint8_t* const body = ip + wire::Ipv6View::header_bytes + length;
    length += one_group ? wire::write_listener_report(body, group, report.local)
                        : wire::write_listener_report_v2(body, report.groups, report.record,
                                                         report.local);
    wire::write_ipv6_header(ip,
                            {.source = report.local,
                             .destination = group,
                             .protocol = wire::ipv6_extension::hop_by_hop,
                             .hop_limit = wire::listener_hop_limit},
                            length);
    frame.length = static_cast<uint32_t>(header + wire::Ipv6View::header_bytes + length);
}

[[gnu::noinline]] void Worker::Impl::count_frames(const TransmitBatch& batch) {
    uint64_t octets = 0;
    for (unsigned i = 0; i < batch.filled; ++i) octets += batch.frames[i].length;
    counters.frames_out += batch.filled;
    counters.octets_out += octets;
}

}  // namespace synfin::stack
