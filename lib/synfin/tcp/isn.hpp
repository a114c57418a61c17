// Initial sequence numbers and timestamp offsets that nobody outside can compute.
#pragma once

#include <array>
#include <cstdint>

#include <synfin/base/instant.hpp>
#include <synfin/flow/four_tuple.hpp>
#include <synfin/tcp/seq.hpp>

namespace synfin::tcp {

/// 128 bits of secret, from the system's random source, or from the seed of a simulation.
using Secret = std::array<uint64_t, 2>;

/// ISN = M + F(tuple, secret), M ticking every 4 us (RFC 6528 section 3, MUST-8, SHLD-1); F is
/// SipHash-2-4, so it cannot be computed from outside (MUST-9).
Seq initial_sequence(const flow::FourTuple& tuple, const Secret& secret, Instant now);

/// The offset of this tuple's timestamp clock (RFC 7323 section 5.4): the same for each incarnation
/// of a tuple, so that timestamps grow from one to the next, and unrelated between tuples.
uint32_t timestamp_offset(const flow::FourTuple& tuple, const Secret& secret);

}  // namespace synfin::tcp
