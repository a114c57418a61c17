// A segment of a burst, between the parse of its frame and the protocol: what it says, whose it is,
// and what was found out on the way.
#pragma once

#include <cstdint>

#include <synfin/base/index_pool.hpp>
#include <synfin/flow/four_tuple.hpp>
#include <synfin/tcp/segment.hpp>
#include <synfin/wire/address.hpp>
#include <synfin/wire/bytes.hpp>

namespace synfin::stack {

struct alignas(64) Arrived : flow::HashedTuple {
    tcp::Segment segment;
    uint32_t likely = no_index;         ///< the connection, if it has not gone meanwhile
    uint32_t home = 0;                  ///< where in the table to look for it
    const uint8_t* ethernet = nullptr;  ///< the header of its frame
    /// Where those of IPv6 stand, which may have no ids; those of IPv4 are their own.
    const uint8_t* addresses_v6 = nullptr;

    /// No packet of IPv4 comes from where ids of IPv6 addresses are taken from.
    bool is_v6() const { return flow::is_interned(tuple.remote_address); }
    wire::IpAddress source() const {
        return is_v6() ? wire::load_ipv6(addresses_v6) : wire::IpAddress::v4(tuple.remote_address);
    }
    wire::IpAddress destination() const {
        return is_v6() ? wire::load_ipv6(addresses_v6 + 16)
                       : wire::IpAddress::v4(tuple.local_address);
    }
    wire::SocketAddress local() const { return {destination(), tuple.local_port}; }
    wire::SocketAddress remote() const { return {source(), tuple.remote_port}; }
    wire::MacAddress source_mac() const { return wire::load_mac(ethernet + 6); }
};

static_assert(sizeof(Arrived) == 128, "two cache lines");

}  // namespace synfin::stack
