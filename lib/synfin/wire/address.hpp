// Addresses as values, in host order. Byte order exists only where bytes are read and written.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace synfin::wire {

/// An Ethernet address, in the order in which it is written and transmitted.
struct MacAddress {
    std::array<uint8_t, 6> bytes{};
    static constexpr MacAddress broadcast() { return {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}; }
    constexpr bool is_multicast() const { return (bytes[0] & 1) != 0; }
    friend constexpr auto operator<=>(const MacAddress&, const MacAddress&) = default;
};

/// An IPv4 or IPv6 address. IPv4 is held as its IPv4-mapped form (RFC 4291 section 2.5.5.2), so
/// that one comparison serves both.
class IpAddress {
  public:
    constexpr IpAddress() = default;
    static constexpr IpAddress v4(uint32_t host_order) {
        return IpAddress{0, mapped_prefix | host_order};
    }
    static constexpr IpAddress v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
        return v4(static_cast<uint32_t>(a) << 24 | static_cast<uint32_t>(b) << 16 |
                  static_cast<uint32_t>(c) << 8 | d);
    }
    static constexpr IpAddress v6(uint64_t high, uint64_t low) { return IpAddress{high, low}; }

    constexpr bool is_v4() const {
        return high_ == 0 && (low_ & ~uint64_t{0xffffffff}) == mapped_prefix;
    }
    constexpr bool is_v6() const { return !is_v4(); }
    /// Host order. Only for an address that is_v4().
    constexpr uint32_t v4() const { return static_cast<uint32_t>(low_); }
    constexpr uint64_t high() const { return high_; }
    constexpr uint64_t low() const { return low_; }
    constexpr bool is_unspecified() const { return is_v4() ? v4() == 0 : high_ == 0 && low_ == 0; }

    friend constexpr auto operator<=>(const IpAddress&, const IpAddress&) = default;

  private:
    static constexpr uint64_t mapped_prefix = 0xffff'0000'0000;
    constexpr IpAddress(uint64_t high, uint64_t low) : high_{high}, low_{low} {}
    uint64_t high_ = 0;
    uint64_t low_ = 0;
};

/// A block of addresses, `198.18.0.0/15`. Bits behind the prefix are zero.
struct IpPrefix {
    IpAddress address;
    uint8_t length = 0;  ///< 0..32 for IPv4, 0..128 for IPv6
    bool contains(const IpAddress& a) const;
    constexpr bool is_one_address() const { return length == (address.is_v4() ? 32 : 128); }
    friend constexpr auto operator<=>(const IpPrefix&, const IpPrefix&) = default;
};

/// An address with a port.
struct SocketAddress {
    IpAddress address;
    uint16_t port = 0;
    friend constexpr auto operator<=>(const SocketAddress&, const SocketAddress&) = default;
};

/// Parsers take exactly the whole text; nothing on any error (RFC 4291, RFC 5952 for IPv6).
std::optional<IpAddress> parse_ip_address(std::string_view text);
/// `198.18.0.0/15`. Bits behind the prefix may be written and are cleared: `198.18.0.1/15` is the
/// block that this address lies in.
std::optional<IpPrefix> parse_ip_prefix(std::string_view text);
std::optional<SocketAddress> parse_socket_address(
    std::string_view text);  ///< `1.2.3.4:80`, `[::1]:80`
std::optional<MacAddress> parse_mac_address(std::string_view text);
std::string to_string(const IpAddress& address);
std::string to_string(const IpPrefix& prefix);
std::string to_string(const SocketAddress& address);
std::string to_string(const MacAddress& address);

}  // namespace synfin::wire
