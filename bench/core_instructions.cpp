// Runs so many connections in the protocol alone and nothing else, or one with so many segments,
// for bench/instructions:
//
//     core_instructions connect|request|transfer COUNT
#include <cstdlib>
#include <string_view>

#include "core_pair.hpp"

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const std::string_view mode = argv[1];
    const long count = std::atol(argv[2]);
    synfin::bench::CorePair pair;
    if (mode == "transfer") {
        pair.transfer(count);
        return 0;
    }
    const std::span<const uint8_t> bytes = mode == "request"
                                               ? std::span<const uint8_t>{synfin::bench::text}
                                               : std::span<const uint8_t>{};
    for (long i = count; i > 0; --i) pair.run(bytes);
    return 0;
}
