// Where one core's memory ends and another's begins.
#pragma once

#include <cstddef>

namespace synfin {

/// What is aligned to this shares no cache line with what another core writes, nor the pair of
/// lines that a processor fetches together: each write there would take the line away from here.
inline constexpr size_t apart = 128;

}  // namespace synfin
