// How often this program has asked the heap for memory: for tests of what must not cost any.
#pragma once

#include <cstdint>

namespace synfin::security {

uint64_t allocation_count();

}  // namespace synfin::security
