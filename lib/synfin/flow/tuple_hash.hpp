// The hash of a four-tuple, for every table that is searched by one. Keyed (base/hash_key.hpp):
// whoever can choose addresses and ports, but does not know the key, cannot make tuples collide
// more than chance does.
#pragma once

#include <cstddef>
#include <cstdint>

#include <synfin/base/hash_key.hpp>
#include <synfin/flow/four_tuple.hpp>

namespace synfin::flow {

using synfin::HashKey;

namespace detail {
/// The tuple as two words.
constexpr uint64_t addresses_of(const FourTuple& tuple) {
    return tuple.local_address | uint64_t{tuple.remote_address} << 32;
}
constexpr uint64_t ports_of(const FourTuple& tuple) {
    return tuple.local_port | uint64_t{tuple.remote_port} << 16;
}

#if defined(__x86_64__)
template <typename TupleOf, typename Take>
SYNFIN_USES_AES void hash_burst_by_aes(size_t tuples, const HashKey& key, TupleOf& tuple_of,
                                       Take& take) {
    for (size_t i = 0; i < tuples; ++i) {
        const FourTuple& tuple = tuple_of(i);
        take(i, static_cast<uint32_t>(key.hash_by_aes(addresses_of(tuple), ports_of(tuple))));
    }
}
#endif
}  // namespace detail

/// 64 uniform bits.
inline uint64_t wide_tuple_hash(const FourTuple& tuple, const HashKey& key) {
    return key.hash(detail::addresses_of(tuple), detail::ports_of(tuple));
}

/// 32 uniform bits: the high ones choose a bucket, the low ones are the tag.
inline uint32_t tuple_hash(const FourTuple& tuple, const HashKey& key) {
    return static_cast<uint32_t>(wide_tuple_hash(tuple, key));
}

/// The same for many at once: `take(i, hash)` gets the hash of the tuple that `tuple_of(i)` names.
template <typename TupleOf, typename Take>
inline void tuple_hash_burst(size_t tuples, const HashKey& key, TupleOf&& tuple_of, Take&& take) {
#if defined(__x86_64__)
    if (Aes128::available()) [[likely]]
        return detail::hash_burst_by_aes(tuples, key, tuple_of, take);
#endif
    for (size_t i = 0; i < tuples; ++i) take(i, tuple_hash(tuple_of(i), key));
}

}  // namespace synfin::flow
