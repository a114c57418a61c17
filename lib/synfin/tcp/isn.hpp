// Initial sequence numbers and timestamp offsets that nobody outside can compute.
#pragma once

#include <cstdint>

#include <synfin/base/hash_key.hpp>
#include <synfin/base/moment.hpp>
#include <synfin/flow/four_tuple.hpp>
#include <synfin/tcp/seq.hpp>

namespace synfin::tcp {

/// 128 bits of secret, from the system's random source, or from the seed of a simulation.
using Secret = HashKey;

/// What a tuple owes to the secret. Both halves come from one keyed hash, a pseudorandom function,
/// so what is seen of one says nothing about the other, and neither can be computed from outside
/// (MUST-9).
struct TupleSecrets {
    uint32_t sequence = 0;   ///< F(tuple, secret) of RFC 6528
    uint32_t timestamp = 0;  ///< offset of this tuple's timestamp clock (RFC 7323 section 5.4): the
                             ///< same for each incarnation, so that timestamps grow across them
};
TupleSecrets tuple_secrets(const flow::FourTuple& tuple, const Secret& secret);

/// ISN = M + F(tuple, secret), M ticking every 4 us (RFC 6528 section 3, MUST-8, SHLD-1).
Seq initial_sequence(const TupleSecrets& secrets, const Moment& now);
inline Seq initial_sequence(const flow::FourTuple& tuple, const Secret& secret, const Moment& now) {
    return initial_sequence(tuple_secrets(tuple, secret), now);
}
inline uint32_t timestamp_offset(const flow::FourTuple& tuple, const Secret& secret) {
    return tuple_secrets(tuple, secret).timestamp;
}

/// The timestamp clock of a tuple with this offset: a tick per millisecond (RFC 7323 section 5.4).
constexpr uint32_t timestamp_clock(uint32_t offset, const Moment& now) {
    return static_cast<uint32_t>(now.ms()) + offset;
}

}  // namespace synfin::tcp
