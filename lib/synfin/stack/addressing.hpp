// Which addresses are ours, and where the others are reached: the host's side of IP.
//
// We answer for every address of the configured blocks, so that a load generator can be a whole
// subnet of clients; only a subnet's broadcast address is nobody's. The subnet of an address is the
// widest configured prefix that contains it: a source range of a /24 within an on-link /15 has its
// .255 as an ordinary host, a /24 that stands alone has not.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <synfin/wire/address.hpp>

namespace synfin::stack {

/// A prefix as two masks, so that a match is four instructions.
class Subnet {
  public:
    explicit Subnet(const wire::IpPrefix& prefix);
    bool contains(const wire::IpAddress& a) const {
        return ((a.high() & mask_high_) == base_high_) && ((a.low() & mask_low_) == base_low_);
    }
    bool contains(const Subnet& other) const {
        return bits_ <= other.bits_ && (other.base_high_ & mask_high_) == base_high_ &&
               (other.base_low_ & mask_low_) == base_low_;
    }
    /// The directed broadcast address of an IPv4 subnet; /31 and /32 have none (RFC 3021), nor has
    /// IPv6.
    bool is_broadcast(const wire::IpAddress& a) const {
        return has_broadcast_ && contains(a) && (a.low() | mask_low_) == UINT64_MAX;
    }

  private:
    unsigned bits_;
    bool has_broadcast_;
    uint64_t mask_high_, mask_low_;
    uint64_t base_high_, base_low_;
};

struct InterfaceConfig;

class Addressing {
  public:
    explicit Addressing(std::span<const InterfaceConfig> interfaces);

    /// Whether we answer for this address on any interface: RFC 1122's weak host.
    bool owns(const wire::IpAddress& a) const { return owner(a).has_value(); }
    /// The interface in one of whose blocks the address is.
    std::optional<uint8_t> owner(const wire::IpAddress& a) const {
        for (const Block& block : blocks_) {
            if (block.subnet.contains(a)) {
                if (is_broadcast(a)) return std::nullopt;
                return block.port;
            }
        }
        return std::nullopt;
    }
    /// Whether the address is in a block of this interface: ARP answers on no other.
    bool owns(const wire::IpAddress& a, uint8_t port) const {
        for (const Block& block : blocks_) {
            if (block.port == port && block.subnet.contains(a)) return !is_broadcast(a);
        }
        return false;
    }
    bool is_broadcast(const wire::IpAddress& a) const {
        for (const Block& subnet : subnets_) {
            if (subnet.subnet.is_broadcast(a)) return true;
        }
        return false;
    }
    /// Whether a connection to this address makes sense (MUST-46): one host, and not ourselves.
    bool is_possible_peer(const wire::IpAddress& a) const;

    struct Route {
        uint8_t port;
        bool through_router;  ///< else the destination itself is the next hop
    };
    /// How `destination` is reached; `preferred` wins where several interfaces lead there.
    std::optional<Route> route(const wire::IpAddress& destination, uint8_t preferred) const;

    /// The address for connections that leave by this interface (MUST-44); nothing if it has none
    /// of the destination's family.
    std::optional<wire::IpAddress> source_for(uint8_t port,
                                              const wire::IpAddress& destination) const;

  private:
    struct Block {
        Subnet subnet;
        uint8_t port;
    };
    struct Gateway {
        bool v4 = false;
        bool v6 = false;
    };
    bool has_gateway(uint8_t port, const wire::IpAddress& destination) const;

    std::vector<Block> blocks_;   ///< what we answer for
    std::vector<Block> subnets_;  ///< the widest prefixes: where broadcasts are
    std::vector<Block> on_link_;  ///< reached without a gateway, blocks included
    std::vector<Gateway> gateways_;
    std::vector<std::vector<wire::IpAddress>> first_addresses_;
};

}  // namespace synfin::stack
