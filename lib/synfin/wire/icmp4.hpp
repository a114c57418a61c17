// ICMP for IPv4 (RFC 792, RFC 1191): the echo, and the errors that TCP listens to.
#pragma once

#include <cstdint>
#include <span>

#include <tl/expected.hpp>

#include <synfin/wire/bytes.hpp>
#include <synfin/wire/drop.hpp>

namespace synfin::wire {

enum class Icmp4Type : uint8_t {
    echo_reply = 0,
    destination_unreachable = 3,
    source_quench = 4,
    redirect = 5,
    echo_request = 8,
    time_exceeded = 11,
    parameter_problem = 12,
};

namespace icmp4_code {
inline constexpr uint8_t network_unreachable = 0;
inline constexpr uint8_t host_unreachable = 1;
inline constexpr uint8_t protocol_unreachable = 2;
inline constexpr uint8_t port_unreachable = 3;
inline constexpr uint8_t fragmentation_needed = 4;
inline constexpr uint8_t source_route_failed = 5;
inline constexpr uint8_t network_unknown = 6;
inline constexpr uint8_t network_prohibited = 9;
inline constexpr uint8_t host_prohibited = 10;
inline constexpr uint8_t network_unreachable_for_tos = 11;
inline constexpr uint8_t communication_prohibited = 13;
}  // namespace icmp4_code

/// A message of at least 8 bytes with a right checksum. Types that are not named above are
/// possible.
class Icmp4View {
  public:
    static constexpr size_t header_bytes = 8;

    static tl::expected<Icmp4View, Drop> checked(std::span<const uint8_t> message);

    Icmp4Type type() const { return static_cast<Icmp4Type>(message_[0]); }
    uint8_t code() const { return message_[1]; }
    /// Whether this is an error message, to which no ICMP error may answer (RFC 1122
    /// section 3.2.2).
    bool is_error() const;
    /// Echo only.
    uint16_t identifier() const { return load_be16(&message_[4]); }
    uint16_t sequence() const { return load_be16(&message_[6]); }
    /// Echo only: the data to be returned as it is.
    std::span<const uint8_t> echo_data() const { return message_.subspan(header_bytes); }
    /// Fragmentation needed only: the next hop's MTU, 0 from a router older than RFC 1191.
    uint16_t next_hop_mtu() const { return load_be16(&message_[6]); }
    /// Parameter problem only: the offset of the octet that was wrong.
    uint8_t pointer() const { return message_[4]; }
    /// Errors only: the beginning of the datagram that caused it; see read_quoted_tcp.
    std::span<const uint8_t> quoted() const { return message_.subspan(header_bytes); }

  private:
    explicit Icmp4View(std::span<const uint8_t> message) : message_{message} {}
    std::span<const uint8_t> message_;
};

/// The next lower of the sizes that links usually take (RFC 1191 section 7.1), for a router that
/// does not name its own.
uint16_t plateau_below(uint32_t packet_bytes);

/// Writes an echo reply or request at `out` and returns its length, 8 + data. `data` may overlap
/// `out` only if it stands where it is to be written.
size_t write_icmp4_echo(uint8_t* out, Icmp4Type type, uint16_t identifier, uint16_t sequence,
                        std::span<const uint8_t> data);

/// How much of a datagram our errors quote: with the two headers around it, below 576 bytes
/// (RFC 1812 section 4.3.2.3).
inline constexpr size_t icmp4_quote_bytes_max = 548;

/// Writes an error about `datagram`, of which at most icmp4_quote_bytes_max are quoted. `rest` is
/// the second word of the header (0, or the MTU, or the pointer). Returns the length.
size_t write_icmp4_error(uint8_t* out, Icmp4Type type, uint8_t code, uint32_t rest,
                         std::span<const uint8_t> datagram);

}  // namespace synfin::wire
