// ARP for IPv4 over Ethernet (RFC 826).
#pragma once

#include <cstdint>
#include <span>

#include <tl/expected.hpp>

#include <synfin/wire/address.hpp>
#include <synfin/wire/bytes.hpp>
#include <synfin/wire/drop.hpp>

namespace synfin::wire {

enum class ArpOperation : uint16_t { request = 1, reply = 2 };

/// The meaning of an ARP packet, for the writer.
struct Arp {
    ArpOperation operation = ArpOperation::request;
    MacAddress sender_mac;
    IpAddress sender;
    MacAddress target_mac;  ///< zero in a request
    IpAddress target;
};

/// An ARP packet that is a request or a reply for IPv4 over Ethernet, from a sender that can exist.
/// A sender address of 0.0.0.0 is a probe (RFC 5227) and is let through: whoever learns must not
/// learn from it (`is_probe`).
class ArpView {
  public:
    static constexpr size_t packet_bytes = 28;

    static tl::expected<ArpView, Drop> checked(std::span<const uint8_t> packet);

    ArpOperation operation() const { return static_cast<ArpOperation>(load_be16(at_ + 6)); }
    MacAddress sender_mac() const { return load_mac(at_ + 8); }
    IpAddress sender() const { return load_ipv4(at_ + 14); }
    MacAddress target_mac() const { return load_mac(at_ + 18); }
    IpAddress target() const { return load_ipv4(at_ + 24); }
    bool is_probe() const { return sender().is_unspecified(); }
    Arp read() const { return {operation(), sender_mac(), sender(), target_mac(), target()}; }

  private:
    explicit ArpView(const uint8_t* at) : at_{at} {}
    const uint8_t* at_;
};

/// Writes the 28 bytes at `out`; returns 28. The addresses must be IPv4.
size_t write_arp(uint8_t* out, const Arp& arp);

}  // namespace synfin::wire
