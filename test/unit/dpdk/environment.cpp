#include "environment.hpp"

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include <synfin/base/assert.hpp>

namespace synfin::dpdk::test {

namespace {

constexpr unsigned null_devices = 8;
std::unique_ptr<Eal> running;
unsigned used_devices = 0;

}  // namespace

const Eal& environment() {
    if (!running) {
        EalOptions options;
        options.huge = HugePages::off;
        options.devices = {*parse_device("ring")};
        for (unsigned i = 1; i <= null_devices; ++i) {
            options.devices.push_back(*parse_device("vdev:net_null" + std::to_string(i)));
        }
        running = std::make_unique<Eal>(options);
    }
    return *running;
}

unsigned unused_device() {
    SYNFIN_ASSERT(used_devices < null_devices);
    return ++used_devices;
}

}  // namespace synfin::dpdk::test

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    const int result = RUN_ALL_TESTS();
    synfin::dpdk::test::running.reset();
    return result;
}
