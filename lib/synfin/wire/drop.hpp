// Why a frame was refused before any protocol above saw it: each reason has a name, a text and a
// counter of its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <synfin/base/relaxed.hpp>

namespace synfin::wire {

// One line per reason: identifier, the name it is shown under, what was wrong.
#define SYNFIN_WIRE_DROPS(X)                                                                  \
    X(none, "None", "nothing was wrong")                                                      \
    X(frame_too_short, "EthTooShort", "frame ends within its Ethernet header or VLAN tag")    \
    X(unknown_ethertype, "EthUnknownType", "neither IPv4 nor IPv6 nor ARP")                   \
    X(ethernet_bad_source, "EthBadSource", "Ethernet source is a group address")              \
    X(arp_too_short, "ArpTooShort", "ARP packet shorter than 28 bytes")                       \
    X(arp_bad_format, "ArpBadFormat",                                                         \
      "ARP for something else than IPv4 over Ethernet, or no "                                \
      "request and no reply")                                                                 \
    X(arp_bad_sender, "ArpBadSender", "ARP sender is a group address or no host's address")   \
    X(ip_too_short, "IpTooShort", "frame ends within the IP header")                          \
    X(ip_bad_version, "IpBadVersion", "IP version is not the one that the EtherType says")    \
    X(ip_bad_header_length, "IpBadHeaderLength",                                              \
      "IPv4 header shorter than 20 bytes or longer "                                          \
      "than its datagram")                                                                    \
    X(ip_bad_total_length, "IpBadTotalLength",                                                \
      "datagram longer than the frame, or shorter than "                                      \
      "its header")                                                                           \
    X(ip_bad_checksum, "IpBadChecksum", "IPv4 header checksum is wrong")                      \
    X(ip_bad_source, "IpBadSource", "source address that no host may have (RFC 1122)")        \
    X(ip_bad_destination, "IpBadDestination", "destination that must not be on a wire")       \
    X(ip_fragment, "IpFragment",                                                              \
      "fragment of neither TCP nor ICMP, or neighbor discovery in fragments (RFC 6980)")      \
    X(ip_bad_fragment, "IpBadFragment",                                                       \
      "fragment that no datagram can be made of: empty, of part of a word, or beyond 65535 "  \
      "bytes")                                                                                \
    X(ip_tiny_fragment, "IpTinyFragment", "fragment that divides the TCP header (RFC 1858)")  \
    X(ip_bad_extension, "IpBadExtension",                                                     \
      "IPv6 extension headers too many, too long, or out of "                                 \
      "place")                                                                                \
    X(ip_unknown_option, "IpUnknownOption", "IPv6 option that must be understood and is not") \
    X(ip_source_routed, "IpSourceRouted", "IPv6 routing header with segments left")           \
    X(ip_no_payload, "IpNoPayload", "IPv6 packet that says nothing follows")                  \
    X(icmp_too_short, "IcmpTooShort", "ICMP message shorter than its type needs")             \
    X(icmp_bad_checksum, "IcmpBadChecksum", "ICMP checksum is wrong")                         \
    X(nd_invalid, "NdInvalid",                                                                \
      "neighbor discovery message that must not be believed (RFC 4861 section 7.1)")          \
    X(tcp_too_short, "TcpTooShort", "TCP segment shorter than 20 bytes")                      \
    X(tcp_bad_offset, "TcpBadOffset", "TCP data offset below 5 or beyond the segment")        \
    X(tcp_bad_checksum, "TcpBadChecksum", "TCP checksum is wrong")                            \
    X(tcp_bad_options, "TcpBadOptions", "TCP option with an illegal length (MUST-7)")         \
    X(tcp_to_group, "TcpToGroup", "TCP to a broadcast or multicast address (MUST-57)")        \
    X(tcp_land, "TcpLand", "TCP segment whose source is its destination")

enum class Drop : uint8_t {
#define SYNFIN_ENUMERATE(identifier, shown, text) identifier,
    SYNFIN_WIRE_DROPS(SYNFIN_ENUMERATE)
#undef SYNFIN_ENUMERATE
        count
};

inline constexpr size_t drop_count = static_cast<size_t>(Drop::count);

/// The name a reason is shown under, as `TcpBadChecksum`.
const char* name(Drop reason);
/// What was wrong, for people.
const char* description(Drop reason);

/// How often each reason occurred. One writer, any readers.
class DropCounters {
  public:
    void add(Drop reason) { ++counts_[static_cast<size_t>(reason)]; }
    uint64_t of(Drop reason) const { return counts_[static_cast<size_t>(reason)]; }
    uint64_t total() const {
        uint64_t sum = 0;
        for (const auto& count : counts_) sum += count;
        return sum;
    }
    /// Calls `visit(name, text, value)` for each reason but `none`, in the order above.
    template <typename Visitor>
    void for_each(Visitor&& visit) const {
        for (size_t i = 1; i < drop_count; ++i) {
            visit(name(static_cast<Drop>(i)), description(static_cast<Drop>(i)), counts_[i].load());
        }
    }

  private:
    std::array<Relaxed<uint64_t>, drop_count> counts_;
};

}  // namespace synfin::wire
