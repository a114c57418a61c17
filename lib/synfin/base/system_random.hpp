// Secrets from the system's random source. Only programs ask for them and pass them down: the core
// takes its keys and seeds as arguments.
#pragma once

#include <array>
#include <cstdint>

namespace synfin {

/// 64 bits that nobody can predict. Throws std::system_error if the system has none.
uint64_t system_random();

/// 128 such bits, as a key.
std::array<uint64_t, 2> system_random_key();

}  // namespace synfin
