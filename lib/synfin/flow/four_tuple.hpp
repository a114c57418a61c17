// The name of a connection: two addresses and two ports, 12 bytes for either family.
//
// An address is a 32-bit `AddressId`. An IPv4 address is its own id. An IPv6 address is interned
// once per host in an `AddressBook`, which hands out ids from 0.0.0.0/8: that block never stands in
// a valid packet (RFC 1122 section 3.2.1.3), so the two kinds cannot be confused. All that comes
// after the lookup of the id (hash, table, connection, TIME_WAIT record) is the same code and the
// same size for both families.
#pragma once

#include <compare>
#include <cstdint>
#include <cstring>

#if defined(__SSE4_1__)
#include <immintrin.h>
#endif

namespace synfin::flow {

using AddressId = uint32_t;

/// The id of no address: what an IPv6 address is called that nobody has interned.
inline constexpr AddressId no_address = 0;

constexpr bool is_interned(AddressId id) { return (id >> 24) == 0; }

struct FourTuple {
    AddressId local_address = 0;
    AddressId remote_address = 0;
    uint16_t local_port = 0;
    uint16_t remote_port = 0;
    friend constexpr auto operator<=>(const FourTuple&, const FourTuple&) = default;
};
static_assert(sizeof(FourTuple) == 12);

/// With its tuple_hash, which is the same if the tuples are, as it lies in a connection.
struct HashedTuple {
    FourTuple tuple;
    uint32_t hash = 0;

    [[gnu::always_inline]] bool stands_at(const void* place) const {
#if defined(__SSE4_1__)
        const auto* const mine = reinterpret_cast<const __m128i*>(this);
        const auto* const other = static_cast<const __m128i*>(place);
        const __m128i difference = _mm_xor_si128(_mm_loadu_si128(mine), _mm_loadu_si128(other));
        return _mm_testz_si128(difference, difference) != 0;
#else
        return std::memcmp(place, this, sizeof *this) == 0;
#endif
    }
};
static_assert(sizeof(HashedTuple) == 16);

}  // namespace synfin::flow
