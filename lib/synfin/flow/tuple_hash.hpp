// The hash of a four-tuple, for every table that is searched by one. Keyed: whoever can choose
// addresses and ports, but does not know the key, cannot make tuples collide more than chance does.
#pragma once

#include <bit>
#include <cstdint>

#include <synfin/base/siphash.hpp>
#include <synfin/flow/four_tuple.hpp>

namespace synfin::flow {

using HashKey = SipKey;

/// 32 uniform bits: the high ones choose a bucket, the low ones are the tag.
inline uint32_t tuple_hash(const FourTuple& tuple, const HashKey& key) {
    const uint64_t addresses = uint64_t{tuple.local_address} << 32 | tuple.remote_address;
    const uint32_t ports = uint32_t{tuple.local_port} << 16 | tuple.remote_port;
    return static_cast<uint32_t>(SipHash13::of_12_bytes(key, addresses, ports));
}

}  // namespace synfin::flow
