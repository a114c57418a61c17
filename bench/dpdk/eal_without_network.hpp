// DPDK for its libraries alone: no devices, no huge pages, nothing left behind.
#pragma once

#include <array>
#include <cstdio>
#include <cstdlib>

#include <rte_eal.h>
#include <rte_memory.h>
#include <sys/mman.h>

namespace synfin::bench {

/// Starts EAL with `megabytes` of memory. Asks for transparent huge pages in it, as the core's own
/// tables do, so that neither side pays for the other's page size.
inline void start_eal_without_network(const char* program, int megabytes) {
    std::array<char, 16> memory{};
    std::snprintf(memory.data(), memory.size(), "%d", megabytes);
    std::array<const char*, 11> arguments{
        program,       "--no-huge",   "--no-pci",       "--in-memory",      "-l", "0", "-m",
        memory.data(), "--no-shconf", "--no-telemetry", "--log-level=error"};
    if (rte_eal_init(static_cast<int>(arguments.size()), const_cast<char**>(arguments.data())) <
        0) {
        std::fprintf(stderr, "%s: EAL does not start with %d MB\n", program, megabytes);
        std::exit(1);
    }
    rte_memseg_walk(
        [](const rte_memseg_list* list, const rte_memseg*, void*) {
            ::madvise(list->base_va, list->len, MADV_HUGEPAGE);
            return 1;
        },
        nullptr);
}

}  // namespace synfin::bench
