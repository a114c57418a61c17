// Runs so many connections in the protocol alone and nothing else, for bench/instructions:
//
//     core_instructions connect|request COUNT
#include <cstdlib>
#include <string_view>

#include "core_pair.hpp"

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const bool asks = std::string_view{argv[1]} == "request";
    const std::span<const uint8_t> bytes =
        asks ? std::span<const uint8_t>{synfin::bench::text} : std::span<const uint8_t>{};
    synfin::bench::CorePair pair;
    for (long i = std::atol(argv[2]); i > 0; --i) pair.run(bytes);
    return 0;
}
