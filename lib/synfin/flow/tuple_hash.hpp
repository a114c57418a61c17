// The hash of a four-tuple, for every table that is searched by one. Keyed (base/hash_key.hpp):
// whoever can choose addresses and ports, but does not know the key, cannot make tuples collide
// more than chance does.
#pragma once

#include <cstddef>
#include <cstdint>

#include <synfin/base/hash_key.hpp>
#include <synfin/flow/four_tuple.hpp>
#include <synfin/wire/bytes.hpp>

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

/// Makes `t` that of an IPv4 packet to us, with its hash. At `ends` stand both addresses, then both
/// ports, the sender's first, and four bytes or more behind them.
[[gnu::always_inline]] inline void read_ipv4_ends(const uint8_t* ends, const HashKey& key,
                                                  HashedTuple& t) {
#if defined(__AES__) && defined(__SSE4_1__)
    // In the host's order, each pair stands there backwards. The hash begins as 0: so the tuple is
    // hashed without going through memory.
    const __m128i backwards = _mm_setr_epi8(7, 6, 5, 4, 3, 2, 1, 0, 11, 10, 9, 8, -1, -1, -1, -1);
    const __m128i tuple =
        _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(ends)), backwards);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(&t), tuple);
    t.hash = static_cast<uint32_t>(key.hash_by_aes(tuple));
#else
    t.tuple = {.local_address = wire::load_be32(ends + 4),
               .remote_address = wire::load_be32(ends),
               .local_port = wire::load_be16(ends + 10),
               .remote_port = wire::load_be16(ends + 8)};
    t.hash = tuple_hash(t.tuple, key);
#endif
}

}  // namespace synfin::flow
