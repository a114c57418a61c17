// DPDK for its libraries alone: no devices, no huge pages, nothing left behind.
#pragma once

#include <array>
#include <cstdio>
#include <cstdlib>

#include <rte_eal.h>
#include <sys/prctl.h>

namespace synfin::bench {

/// Starts EAL with `megabytes` of memory. Without huge pages it takes shared memory, which gets no
/// transparent huge pages either; so the process goes without them, and neither side pays for the
/// other's page size.
inline void start_eal_without_network(const char* program, int megabytes) {
    std::array<char, 16> memory{};
    std::snprintf(memory.data(), memory.size(), "%d", megabytes);
    std::array<const char*, 10> arguments{
        program, "--no-huge", "--no-pci",    "--no-shconf",    "-l",
        "0",     "-m",        memory.data(), "--no-telemetry", "--log-level=error"};
    if (rte_eal_init(static_cast<int>(arguments.size()), const_cast<char**>(arguments.data())) <
        0) {
        std::fprintf(stderr, "%s: EAL does not start with %d MB\n", program, megabytes);
        std::exit(1);
    }
    ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

}  // namespace synfin::bench
