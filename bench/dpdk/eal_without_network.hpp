// DPDK for its libraries alone: no devices, nothing left behind.
#pragma once

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include <rte_eal.h>
#include <sys/prctl.h>

namespace synfin::bench {

/// Starts EAL with `megabytes` of memory: of huge pages if so many are free, and else without any.
/// Without, EAL takes shared memory, which gets no transparent huge pages either; then the process
/// goes without those, too. So in either case neither side pays for the other's page size. Returns
/// whether there are huge pages.
inline bool start_eal_without_network(const char* program, int megabytes) {
    int free_pages = 0;
    std::ifstream{"/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"} >> free_pages;
    const bool huge = free_pages >= megabytes / 2;
    const std::string memory = std::to_string(megabytes);
    const std::array<const char*, 10> arguments{program,
                                                huge ? "--in-memory" : "--no-huge",
                                                "--no-pci",
                                                "--no-shconf",
                                                "-l",
                                                "0",
                                                "-m",
                                                memory.c_str(),
                                                "--no-telemetry",
                                                "--log-level=error"};
    if (rte_eal_init(static_cast<int>(arguments.size()), const_cast<char**>(arguments.data())) <
        0) {
        std::fprintf(stderr, "%s: EAL does not start with %d MB\n", program, megabytes);
        std::exit(1);
    }
    if (!huge) ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    return huge;
}

}  // namespace synfin::bench
