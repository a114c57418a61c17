// ICMPv6 (RFC 4443) and the part of neighbor discovery that a host needs (RFC 4861): solicitation
// and advertisement.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <tl/expected.hpp>

#include <synfin/wire/address.hpp>
#include <synfin/wire/bytes.hpp>
#include <synfin/wire/drop.hpp>

namespace synfin::wire {

enum class Icmp6Type : uint8_t {
    destination_unreachable = 1,
    packet_too_big = 2,
    time_exceeded = 3,
    parameter_problem = 4,
    echo_request = 128,
    echo_reply = 129,
    listener_query = 130,
    listener_report = 131,  // of version 1; see multicast_listener.hpp
    neighbor_solicitation = 135,
    neighbor_advertisement = 136,
    redirect = 137,
    listener_report_v2 = 143,
};

namespace icmp6_code {
inline constexpr uint8_t no_route = 0;
inline constexpr uint8_t prohibited = 1;
inline constexpr uint8_t port_unreachable = 4;
// Of a parameter problem.
inline constexpr uint8_t erroneous_field = 0;
inline constexpr uint8_t unrecognized_next_header = 1;
inline constexpr uint8_t unrecognized_option = 2;
}  // namespace icmp6_code

/// A message of at least 8 bytes with a right checksum. A neighbor solicitation or advertisement
/// has also passed the rules of RFC 4861 section 7.1: hop limit 255, code 0, 24 bytes, a unicast
/// target, options of the right lengths.
class Icmp6View {
  public:
    static constexpr size_t header_bytes = 8;

    /// The addresses are those of the IPv6 header, which the checksum covers.
    static tl::expected<Icmp6View, Drop> checked(std::span<const uint8_t> message,
                                                 const IpAddress& source,
                                                 const IpAddress& destination, uint8_t hop_limit);

    Icmp6Type type() const { return static_cast<Icmp6Type>(message_[0]); }
    uint8_t code() const { return message_[1]; }
    bool is_error() const { return message_[0] < 128; }
    /// Neighbor discovery, with what routers say in it: nothing that comes in fragments (RFC 6980).
    bool is_discovery() const { return message_[0] >= 133 && message_[0] <= 137; }
    /// Echo only.
    uint16_t identifier() const { return load_be16(&message_[4]); }
    uint16_t sequence() const { return load_be16(&message_[6]); }
    std::span<const uint8_t> echo_data() const { return message_.subspan(header_bytes); }
    /// Packet too big only.
    uint32_t mtu() const { return load_be32(&message_[4]); }
    /// Parameter problem only.
    uint32_t pointer() const { return load_be32(&message_[4]); }
    /// Errors only: the beginning of the packet that caused it; see read_quoted_tcp.
    std::span<const uint8_t> quoted() const { return message_.subspan(header_bytes); }
    /// All of it, from the type on.
    std::span<const uint8_t> message() const { return message_; }

    /// Neighbor solicitation and advertisement only.
    IpAddress target() const { return load_ipv6(&message_[8]); }
    /// The source (solicitation) or target (advertisement) link-layer address option, if any.
    std::optional<MacAddress> link_layer_address() const;
    /// Neighbor advertisement only.
    bool router() const { return (message_[4] & 0x80) != 0; }
    bool solicited() const { return (message_[4] & 0x40) != 0; }
    bool overriding() const { return (message_[4] & 0x20) != 0; }

  private:
    explicit Icmp6View(std::span<const uint8_t> message) : message_{message} {}
    std::span<const uint8_t> message_;
};

/// All writers write at `out`, checksum included, and return the length of the message. The
/// addresses are those that the IPv6 header will carry.
size_t write_icmp6_echo(uint8_t* out, Icmp6Type type, uint16_t identifier, uint16_t sequence,
                        std::span<const uint8_t> data, const IpAddress& source,
                        const IpAddress& destination);

/// How much of a packet our errors quote: all of it must fit into 1280 bytes (RFC 4443
/// section 2.4).
inline constexpr size_t icmp6_quote_bytes_max = 1280 - 40 - 8;

/// Fills in what stands around `body_bytes` that are at `out` + 8 already.
size_t complete_icmp6(uint8_t* out, Icmp6Type type, uint8_t code, uint32_t second_word,
                      size_t body_bytes, const IpAddress& source, const IpAddress& destination);

size_t write_icmp6_error(uint8_t* out, Icmp6Type type, uint8_t code, uint32_t rest,
                         std::span<const uint8_t> packet, const IpAddress& source,
                         const IpAddress& destination);

/// With a source link-layer address option, as a solicitation from a specified address must have
/// and one from the unspecified address must not (RFC 4861 section 4.3).
size_t write_neighbor_solicitation(uint8_t* out, const IpAddress& target, const MacAddress& our_mac,
                                   const IpAddress& source, const IpAddress& destination);

/// With a target link-layer address option; `override` flag set, as an answer for an own address.
size_t write_neighbor_advertisement(uint8_t* out, const IpAddress& target,
                                    const MacAddress& our_mac, bool solicited,
                                    const IpAddress& source, const IpAddress& destination);

/// The multicast address that a solicitation for `target` goes to (RFC 4291 section 2.7.1), and the
/// Ethernet address of an IPv6 multicast address (RFC 2464 section 7).
IpAddress solicited_node_address(const IpAddress& target);
MacAddress multicast_mac(const IpAddress& group);

}  // namespace synfin::wire
