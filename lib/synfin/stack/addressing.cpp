#include <synfin/stack/addressing.hpp>
#include <synfin/stack/worker.hpp>
#include <synfin/wire/ipv4.hpp>

namespace synfin::stack {

namespace {

/// `count` ones from the top.
constexpr uint64_t high_ones(unsigned count) {
    return count == 0 ? 0 : count >= 64 ? UINT64_MAX : ~(UINT64_MAX >> count);
}

bool is_group_or_reserved(const wire::IpAddress& a) {
    if (a.is_v4()) return !wire::is_possible_ipv4_source(a.v4());
    return (a.high() >> 56) == 0xff || (a.high() == 0 && a.low() <= 1);
}

}  // namespace

// An IPv4 prefix is one of the mapped form, 96 bits longer.
Subnet::Subnet(const wire::IpPrefix& prefix)
    : bits_{prefix.length + (prefix.address.is_v4() ? 96u : 0u)},
      has_broadcast_{prefix.address.is_v4() && prefix.length < 31},
      mask_high_{high_ones(bits_)},
      mask_low_{bits_ <= 64 ? 0 : high_ones(bits_ - 64)},
      base_high_{prefix.address.high() & mask_high_},
      base_low_{prefix.address.low() & mask_low_} {}

Addressing::Addressing(std::span<const InterfaceConfig> interfaces) {
    for (uint8_t port = 0; port < interfaces.size(); ++port) {
        const InterfaceConfig& interface = interfaces[port];
        for (const wire::IpPrefix& p : interface.addresses) {
            blocks_.push_back({Subnet{p}, port});
            on_link_.push_back({Subnet{p}, port});
        }
        for (const wire::IpPrefix& p : interface.on_link) on_link_.push_back({Subnet{p}, port});
        gateways_.push_back({.v4 = interface.gateway && interface.gateway->is_v4(),
                             .v6 = interface.gateway && interface.gateway->is_v6()});
    }
    for (const Block& candidate : on_link_) {
        bool widest = true;
        for (const Block& other : on_link_) {
            if (other.subnet.contains(candidate.subnet) &&
                !candidate.subnet.contains(other.subnet)) {
                widest = false;
            }
        }
        if (widest) subnets_.push_back(candidate);
    }
    first_addresses_.resize(interfaces.size());
    for (uint8_t port = 0; port < interfaces.size(); ++port) {
        for (const wire::IpPrefix& p : interfaces[port].addresses) {
            // The number 0 of an IPv4 subnet stands for the subnet itself, that of an IPv6 subnet
            // for its routers (RFC 4291 section 2.6.1). IPv4 is held in its mapped form.
            const bool has_zero = p.length < (p.address.is_v4() ? 31 : 127);
            first_addresses_[port].push_back(
                wire::IpAddress::v6(p.address.high(), p.address.low() + (has_zero ? 1 : 0)));
        }
    }
}

bool Addressing::is_possible_peer(const wire::IpAddress& a) const {
    return !is_group_or_reserved(a) && !is_broadcast(a) && !owns(a);
}

bool Addressing::has_gateway(uint8_t port, const wire::IpAddress& destination) const {
    return destination.is_v4() ? gateways_[port].v4 : gateways_[port].v6;
}

std::optional<Addressing::Route> Addressing::route(const wire::IpAddress& destination,
                                                   uint8_t preferred) const {
    std::optional<Route> found;
    for (const Block& block : on_link_) {
        if (!block.subnet.contains(destination)) continue;
        if (block.port == preferred) return Route{preferred, false};
        if (!found) found = Route{block.port, false};
    }
    if (found) return found;
    if (has_gateway(preferred, destination)) return Route{preferred, true};
    for (uint8_t port = 0; port < gateways_.size(); ++port) {
        if (has_gateway(port, destination)) return Route{port, true};
    }
    return std::nullopt;
}

std::optional<wire::IpAddress> Addressing::source_for(uint8_t port,
                                                      const wire::IpAddress& destination) const {
    for (const wire::IpAddress& address : first_addresses_[port]) {
        if (address.is_v4() == destination.is_v4()) return address;
    }
    return std::nullopt;
}

}  // namespace synfin::stack
