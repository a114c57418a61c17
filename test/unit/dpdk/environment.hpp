// DPDK's environment for the tests: started once, without huge pages, without privileges, with
// devices that exist nowhere but in the process.
#pragma once

#include <synfin/dpdk/eal.hpp>

namespace synfin::dpdk::test {

/// Device 0 is `ring`, the others are null devices. A device is gone when its port is closed, so
/// each test takes one of its own.
const Eal& environment();
unsigned unused_device();

}  // namespace synfin::dpdk::test
