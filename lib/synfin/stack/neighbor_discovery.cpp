// Neighbor discovery (RFC 4861): for IPv6 what ARP is for IPv4, with the same rules against
// poisoning: only what we have asked for, or know already, is changed by a packet. What is
// malformed or came through a router (hop limit below 255) has been refused in wire/.
//
// Routers are configured, not discovered: router advertisements and redirects are counted with the
// other ICMPv6 messages and change nothing, because whoever is on the link could send them.
#include <synfin/stack/worker_impl.hpp>

namespace synfin::stack {

namespace {

/// ff02::1, to which whoever has no address yet is answered.
constexpr auto all_nodes = wire::IpAddress::v6(0xff02'0000'0000'0000, 1);

}  // namespace

void Worker::Impl::take_group_message(const wire::Packet& packet, uint8_t port) {
    if (packet.kind == wire::PacketKind::icmp6) {
        const auto view = wire::Icmp6View::checked(packet.payload, packet.source,
                                                   packet.destination, packet.hop_limit);
        if (view && view->type() == wire::Icmp6Type::neighbor_solicitation)
            return take_solicitation(packet, *view, port);
        if (view && view->type() == wire::Icmp6Type::neighbor_advertisement)
            return take_advertisement(packet, *view, port);
        if (view && view->type() == wire::Icmp6Type::listener_query) {
            const auto query = wire::read_listener_query(*view, packet.source, packet.hop_limit);
            if (query) return take_listener_query(*query, port);
        }
    }
    ++counters.drop_link_group;
}

void Worker::Impl::take_solicitation(const wire::Packet& packet, const wire::Icmp6View& message,
                                     uint8_t port) {
    ++counters.solicitations_in;
    const bool has_sender = !packet.source.is_unspecified();
    // A device may hand back what was sent to a group (RFC 4862 appendix A). The Ethernet address
    // alone does not tell: the other end of a tap has ours, too.
    if (has_sender ? addressing.owns(packet.source) : is_own(packet.source_mac())) {
        ++counters.drop_from_ourselves;
        return;
    }
    const auto sender_mac = message.link_layer_address();
    if (has_sender && sender_mac) {
        const NeighborIndex learned = neighbors.learn(port, packet.source, *sender_mac, now);
        if (learned != no_neighbor) wake_waiting(learned);
    }
    if (!addressing.owns(message.target(), port)) return;
    // Duplicate address detection asks from nobody; everybody is told.
    push_reply(port, NeighborMessage{.destination = has_sender ? packet.source_mac()
                                                               : wire::multicast_mac(all_nodes),
                                     .local = message.target(),
                                     .remote = has_sender ? packet.source : all_nodes,
                                     .target = message.target(),
                                     .solicited = has_sender});
}

// RFC 4861 section 7.2.5: without the override flag an address that is known is not changed.
void Worker::Impl::take_advertisement(const wire::Packet& packet, const wire::Icmp6View& message,
                                      uint8_t port) {
    ++counters.advertisements_in;
    if (addressing.owns(message.target(), port)) {
        if (is_own(packet.source_mac())) {
            ++counters.drop_from_ourselves;
        } else {
            note_conflict(message.target(), packet.source_mac());
        }
        return;
    }
    const NeighborIndex index = neighbors.find(port, message.target());
    const auto mac = message.link_layer_address();
    NeighborIndex learned = no_neighbor;
    if (index != no_neighbor) {
        const Neighbor& n = neighbors[index];
        const wire::MacAddress known = wire::load_mac(n.header.bytes.data());
        const bool changes = n.usable() && mac && *mac != known;
        if (mac && (!changes || message.overriding())) {
            learned = neighbors.learn(port, message.target(), *mac, now);
        } else if (!mac && n.usable() && message.solicited()) {
            learned = neighbors.learn(port, message.target(), known, now);
        }
    }
    if (learned == no_neighbor) {
        ++counters.advertisements_unsolicited;
        return;
    }
    wake_waiting(learned);
}

void Worker::Impl::solicit_neighbor(const Neighbor& n, const wire::IpAddress& source,
                                    bool directly) {
    const wire::IpAddress group = wire::solicited_node_address(n.address);
    push_reply(n.port,
               NeighborMessage{.destination = directly ? wire::load_mac(n.header.bytes.data())
                                                       : wire::multicast_mac(group),
                               .local = source,
                               .remote = directly ? n.address : group,
                               .target = n.address,
                               .is_solicitation = true});
}

}  // namespace synfin::stack
