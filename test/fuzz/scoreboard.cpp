// Fuzz target: the scoreboard of what is in flight, beside a naive one.
#include "scoreboard.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    synfin::tcp::run_scoreboards(data, size);
    return 0;
}
