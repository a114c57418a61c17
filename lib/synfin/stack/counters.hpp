// What a worker counts below and around TCP, one set per worker: frames, neighbors, ICMP, and each
// reason to drop what was well-formed. What was malformed is counted by wire::DropCounters, what
// the protocol decides by tcp::Counters.
#pragma once

#include <cstdint>

#include <synfin/base/relaxed.hpp>

namespace synfin::stack {

// One line per counter: identifier, the name it is shown under, what it counts.
#define SYNFIN_STACK_COUNTERS(X)                                                                   \
    X(frames_in, "FramesIn", "frames received, all of them")                                       \
    X(frames_out, "FramesOut", "frames written to be sent")                                        \
    X(octets_in, "OctetsIn", "bytes of the frames received")                                       \
    X(octets_out, "OctetsOut", "bytes of the frames written")                                      \
    X(drop_other_mac, "DropOtherMac", "frames to another Ethernet address")                        \
    X(drop_vlan, "DropVlan", "frames of a VLAN that we are not in")                                \
    X(drop_link_group, "DropLinkGroup", "IP packets sent to a group Ethernet address")             \
    X(drop_other_address, "DropOtherAddress", "IP packets to an address that is not ours")         \
    X(drop_from_ourselves, "DropFromOurselves", "IP packets that claim to come from us")           \
    X(drop_from_broadcast, "DropFromBroadcast", "IP packets from a subnet's broadcast address")    \
    X(drop_protocol, "DropProtocol", "IP packets of a protocol that nobody here speaks")           \
    X(fragments_in, "FragmentsIn", "fragments of segments and ICMP messages received")             \
    X(fragments_repeated, "FragmentsRepeated", "fragments that were here already")                 \
    X(fragments_refused, "FragmentsRefused",                                                       \
      "fragments that contradict others of their datagram, or of a datagram that was refused")     \
    X(datagrams_reassembled, "DatagramsReassembled", "datagrams put together from fragments")      \
    X(segments_to_colleagues, "SegmentsToColleagues",                                              \
      "segments that came in fragments and were left to other workers")                            \
    X(reassembly_timeouts, "ReassemblyTimeouts", "datagrams that were not whole after a minute")   \
    X(reassembly_evictions, "ReassemblyEvictions",                                                 \
      "datagrams given up for newer ones: max_reassembly_bytes was reached")                       \
    X(arp_requests_in, "ArpRequestsIn", "ARP requests received")                                   \
    X(arp_replies_in, "ArpRepliesIn", "ARP replies received")                                      \
    X(arp_unsolicited, "ArpUnsolicited", "ARP packets that taught nothing: nobody had asked")      \
    X(arp_requests_out, "ArpRequestsOut", "ARP requests sent")                                     \
    X(arp_replies_out, "ArpRepliesOut", "ARP replies sent")                                        \
    X(neighbor_waits, "NeighborWaits", "times a connection waited for its next hop's address")     \
    X(neighbor_failures, "NeighborFailures", "next hops that did not answer")                      \
    X(neighbor_evictions, "NeighborEvictions", "neighbors forgotten because the cache was full")   \
    X(neighbor_unreachable, "NeighborUnreachable", "segments lost because the next hop is silent") \
    X(solicitations_in, "NeighborSolicitationsIn", "IPv6 neighbor solicitations received")         \
    X(solicitations_out, "NeighborSolicitationsOut", "IPv6 neighbor solicitations sent")           \
    X(advertisements_in, "NeighborAdvertisementsIn", "IPv6 neighbor advertisements received")      \
    X(advertisements_out, "NeighborAdvertisementsOut", "IPv6 neighbor advertisements sent")        \
    X(advertisements_unsolicited, "NeighborAdvertisementsUnsolicited",                             \
      "IPv6 neighbor advertisements that taught nothing")                                          \
    X(duplicate_addresses, "DuplicateAddresses",                                                   \
      "ARP and neighbor advertisements of other hosts that claim an address of ours")              \
    X(listener_queries_in, "ListenerQueriesIn", "IPv6 multicast listener queries received")        \
    X(listener_reports_out, "ListenerReportsOut", "IPv6 multicast listener reports sent")          \
    X(echo_requests_in, "EchoRequestsIn", "ICMP echo requests received")                           \
    X(echo_replies_out, "EchoRepliesOut", "ICMP echo replies sent")                                \
    X(echo_limited, "EchoLimited", "ICMP echo requests left unanswered by the rate limit")         \
    X(icmp_errors_in, "IcmpErrorsIn", "ICMP errors received")                                      \
    X(icmp_errors_ignored, "IcmpErrorsIgnored", "ICMP errors about no connection of ours")         \
    X(too_big_ignored, "TooBigIgnored",                                                            \
      "ICMP messages about the size of a packet that were not believed (RFC 5927)")                \
    X(path_evictions, "PathEvictions", "path MTUs forgotten because their table was full")         \
    X(icmp_errors_out, "IcmpErrorsOut", "ICMP errors sent")                                        \
    X(icmp_errors_limited, "IcmpErrorsLimited", "ICMP errors not sent, by the rate limit")         \
    X(icmp_other, "IcmpOther", "ICMP messages of other kinds")                                     \
    X(resets_limited, "ResetsLimited", "segments left unanswered by the limit on RST")             \
    X(replies_dropped, "RepliesDropped", "replies dropped because their queue was full")           \
    X(connections_exhausted, "ConnectionsExhausted", "SYNs dropped: max_connections was reached")  \
    X(addresses_exhausted, "AddressesExhausted",                                                   \
      "connections refused: max_ipv6_addresses was reached")                                       \
    X(no_route, "NoRoute", "SYNs dropped: no way back to their sender")

struct Counters {
#define SYNFIN_DECLARE(identifier, shown, text) Relaxed<uint64_t> identifier;
    SYNFIN_STACK_COUNTERS(SYNFIN_DECLARE)
#undef SYNFIN_DECLARE
};

/// Calls `visit(name, text, value)` for each counter, in the order above.
template <typename Visitor>
void for_each_counter(const Counters& counters, Visitor&& visit) {
#define SYNFIN_VISIT(identifier, shown, text) visit(shown, text, counters.identifier.load());
    SYNFIN_STACK_COUNTERS(SYNFIN_VISIT)
#undef SYNFIN_VISIT
}

}  // namespace synfin::stack
