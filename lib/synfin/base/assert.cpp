#include <cstdio>
#include <cstdlib>

#include <synfin/base/assert.hpp>

namespace synfin {

void assertion_failed(const char* expression, const char* file, int line) {
    std::fprintf(stderr, "synfin: %s:%d: assertion failed: %s\n", file, line, expression);
    std::abort();
}

}  // namespace synfin
