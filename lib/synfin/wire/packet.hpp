// From a frame to what it says, in one pass: the one place of all length checks, from Ethernet over
// IP to TCP. What comes out of here is well-formed; nobody above looks at a length again.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <synfin/wire/address.hpp>
#include <synfin/wire/bytes.hpp>
#include <synfin/wire/drop.hpp>
#include <synfin/wire/ipv6.hpp>
#include <synfin/wire/tcp_fields.hpp>

namespace synfin::wire {

inline constexpr uint16_t vlan_identifier_mask = 0x0fff;

enum class PacketKind : uint8_t {
    drop,      ///< refused for the reason in Packet::drop
    tcp,       ///< all fields are valid
    arp,       ///< `network` passes ArpView::checked
    icmp4,     ///< `payload` passes Icmp4View::checked
    icmp6,     ///< `payload` passes Icmp6View::checked
    fragment,  ///< of what may be TCP or ICMP: `network` can be read by read_fragment
    other,     ///< IP with a protocol that is not ours: `protocol`
};

/// What one frame says. Pointers and spans point into the frame.
struct Packet : TcpControl {
    PacketKind kind = PacketKind::drop;
    Drop drop = Drop::none;

    // Link: valid for each kind, and for a drop unless the frame was too short for Ethernet
    bool has_vlan_tag = false;
    bool link_group = false;            ///< sent to a broadcast or multicast Ethernet address
    uint16_t vlan_tag = 0;              ///< valid if has_vlan_tag: priority, DEI and identifier
    const uint8_t* ethernet = nullptr;  ///< the Ethernet header

    /// drop only. If there is something to be told, source, destination and network are valid.
    Ipv6Problem problem;

    // IP: valid for tcp, icmp4, icmp6 and other
    uint8_t protocol = 0;  ///< of the payload, after IPv6 extension headers
    uint8_t hop_limit = 0;
    uint8_t traffic_class = 0;
    IpAddress source;
    IpAddress destination;
    std::span<const uint8_t> network;  ///< the whole datagram or ARP packet, without padding
    std::span<const uint8_t> payload;  ///< tcp: the payload of the segment; else what follows IP
    /// icmp4 and icmp6 only: the identification of the fragments that it was put together from.
    std::optional<uint32_t> divided_as;

    // TCP: valid for tcp, as is TcpControl
    uint16_t source_port = 0;
    uint16_t destination_port = 0;
    uint32_t seq = 0;
    uint32_t ack = 0;
    TcpOptions options;

    /// 0 without a tag.
    uint16_t vlan() const { return has_vlan_tag ? vlan_tag & vlan_identifier_mask : 0; }
    MacAddress source_mac() const { return load_mac(ethernet + 6); }
    MacAddress destination_mac() const { return load_mac(ethernet); }
    bool is_to(const MacAddress& address) const {
        return std::memcmp(ethernet, address.bytes.data(), address.bytes.size()) == 0;
    }
};

/// What the device has verified and found right. A checksum that it found wrong is to be passed as
/// not verified: it is then computed here, and a wrong one dropped under its own name.
struct VerifiedChecksums {
    bool ip = false;
    bool tcp = false;
};

/// Reads `frame` into `packet` and returns its kind. Of `packet`, only what its kind makes valid is
/// written; it may be used again and again without being cleared.
///
/// Refused here, besides all that is malformed: sources that no host may have, TCP to or through a
/// group address, TCP from an address to itself, and fragments of which no segment can come. Left
/// to the caller, who knows the addresses of the interface: whether the destination is ours, and
/// directed broadcasts.
PacketKind parse_frame(std::span<const uint8_t> frame, VerifiedChecksums verified, Packet& packet);
/// Reads a datagram that was put together from fragments of this identification, the last of which
/// has left its link header in `packet`. The header checksum counts as verified.
PacketKind parse_whole(std::span<const uint8_t> datagram, uint32_t identification, Packet& packet);
/// The same as parse_frame without the fast path of usual_frame.hpp.
PacketKind parse_frame_slowly(std::span<const uint8_t> frame, VerifiedChecksums verified,
                              Packet& packet);

}  // namespace synfin::wire
