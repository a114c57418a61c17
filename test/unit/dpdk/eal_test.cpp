#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <synfin/dpdk/device_check.hpp>
#include <synfin/dpdk/eal.hpp>

#include "environment.hpp"

namespace synfin::dpdk {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

EalOptions with_device(const char* text) {
    EalOptions options;
    options.devices = {parse_device(text).value()};
    return options;
}

TEST(EalArguments, OrdinaryMemoryIsAskedForWithoutHugePages) {
    const auto arguments = eal_arguments(with_device("ring"), false, {0, 1}, 42);
    EXPECT_THAT(arguments, Contains("--no-huge"));
    EXPECT_THAT(arguments, Contains("-m64"));
    EXPECT_THAT(arguments, Not(Contains("--in-memory")));
}

TEST(EalArguments, HugePagesLeaveNoFilesBehind) {
    const auto arguments = eal_arguments(with_device("ring"), true, {0}, 42);
    EXPECT_THAT(arguments, Contains("--in-memory"));
    EXPECT_THAT(arguments, Not(Contains("--no-huge")));
}

TEST(EalArguments, DevicesThatLendTheirBuffersGetMoreOfEalsMemory) {
    EXPECT_THAT(eal_arguments(with_device("virtio_user:/s"), false, {0}, 1), Contains("-m512"));
}

TEST(EalArguments, TheUsersMemoryComesFirst) {
    EalOptions options = with_device("virtio_user:/s");
    options.memory_mb = 100;
    EXPECT_THAT(eal_arguments(options, false, {0}, 1), Contains("-m100"));
}

TEST(EalArguments, TheMainThreadMayRunOnAllAllowedCores) {
    EXPECT_THAT(eal_arguments(with_device("ring"), false, {2, 3, 7}, 1),
                Contains("--lcores=0@(2,3,7)"));
}

TEST(EalArguments, TwoProcessesHaveDifferentPrefixes) {
    EXPECT_THAT(eal_arguments(with_device("ring"), false, {0}, 42),
                Contains("--file-prefix=synfin-42"));
}

TEST(EalArguments, TheBusIsScannedOnlyForAPciDevice) {
    EXPECT_THAT(eal_arguments(with_device("ring"), false, {0}, 1), Contains("--no-pci"));
    const auto arguments = eal_arguments(with_device("pci:3b:00.0"), true, {0}, 1);
    EXPECT_THAT(arguments, Not(Contains("--no-pci")));
    EXPECT_THAT(arguments, Not(Contains(StartsWith("--iova-mode"))));
}

TEST(EalArguments, ExtraArgumentsComeLastAndReplaceDefaults) {
    EalOptions options = with_device("ring");
    options.extra = " --log-level=debug   -d  /lib/x.so ";
    const auto arguments = eal_arguments(options, false, {0}, 1);
    EXPECT_THAT(arguments, Not(Contains("--log-level=warning")));
    ASSERT_GE(arguments.size(), 3u);
    const std::vector<std::string> last(arguments.end() - 3, arguments.end());
    EXPECT_THAT(last, testing::ElementsAre("--log-level=debug", "-d", "/lib/x.so"));
}

TEST(EalArguments, TelemetryIsOffUnlessWanted) {
    EalOptions options = with_device("ring");
    EXPECT_THAT(eal_arguments(options, false, {0}, 1), Contains("--no-telemetry"));
    options.telemetry = true;
    EXPECT_THAT(eal_arguments(options, false, {0}, 1), Not(Contains("--no-telemetry")));
}

TEST(Eal, RunsWithoutHugePages) { EXPECT_FALSE(test::environment().huge_pages()); }

TEST(Eal, KnowsTheRateOfTheCounter) {
    // Below 100 MHz or above 100 GHz it is not a rate of any processor.
    EXPECT_GT(test::environment().tsc_hz(), 1e8);
    EXPECT_LT(test::environment().tsc_hz(), 1e11);
}

TEST(DeviceCheck, AnInterfaceThatDoesNotExistIsNamed) {
    const auto reason = why_unusable(*parse_device("af_packet:nosuchif"));
    ASSERT_TRUE(reason);
    EXPECT_THAT(*reason, HasSubstr("'nosuchif', which does not exist"));
}

TEST(DeviceCheck, MoreQueuesThanAnInterfaceHasAreRefusedForAfXdp) {
    if (::geteuid() != 0) GTEST_SKIP() << "the missing right is named first";
    const auto reason = why_unusable(*parse_device("af_xdp:lo"), 5);
    ASSERT_TRUE(reason);
    EXPECT_THAT(*reason, HasSubstr("has 1 queue and 5 are needed"));
}

TEST(DeviceCheck, ASocketThatNobodyServesIsNamed) {
    const auto reason = why_unusable(*parse_device("virtio_user:/no/such/socket"));
    ASSERT_TRUE(reason);
    EXPECT_THAT(*reason, HasSubstr("start the other side (vhost) first"));
}

TEST(DeviceCheck, APlaceWhereNoSocketCanBeMadeIsNamed) {
    const auto reason = why_unusable(*parse_device("vhost:/no/such/socket"));
    ASSERT_TRUE(reason);
    EXPECT_THAT(*reason, HasSubstr("'/no/such'"));
}

TEST(DeviceCheck, AFileThatCannotBeReadIsNamed) {
    const auto reason = why_unusable(*parse_device("pcap:/no/such.pcap,out.pcap"));
    ASSERT_TRUE(reason);
    EXPECT_THAT(*reason, HasSubstr("cannot read '/no/such.pcap'"));
}

TEST(DeviceCheck, APciAddressWithoutADeviceIsNamed) {
    const auto reason = why_unusable(*parse_device("pci:fffe:ff:1f.7"));
    ASSERT_TRUE(reason);
    EXPECT_THAT(*reason, HasSubstr("is not there"));
}

TEST(DeviceCheck, RingIsAlwaysUsable) { EXPECT_FALSE(why_unusable(*parse_device("ring"))); }

}  // namespace
}  // namespace synfin::dpdk
