// Assertions on what we promise ourselves. Always on, in every build: a stack that goes on with a
// broken invariant loses its user's data silently. Never used on what a peer sent.
#pragma once

namespace synfin {

/// Prints `expression` with its place to stderr and aborts.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace synfin

#define SYNFIN_ASSERT(expression)                         \
    (static_cast<bool>(expression) ? static_cast<void>(0) \
                                   : ::synfin::assertion_failed(#expression, __FILE__, __LINE__))
