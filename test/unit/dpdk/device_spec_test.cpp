#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <synfin/dpdk/device_spec.hpp>

namespace synfin::dpdk {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> arguments_of(std::string_view text, unsigned index = 0,
                                      unsigned queues = 1) {
    return device_arguments(parse_device(text).value(), index, queues);
}

TEST(DeviceSpec, RingNeedsNoArgument) { EXPECT_THAT(arguments_of("ring"), IsEmpty()); }

TEST(DeviceSpec, TapCarriesItsNameAsInterface) {
    EXPECT_THAT(arguments_of("tap:synfin0"), ElementsAre("--vdev=net_tap0,iface=synfin0"));
}

TEST(DeviceSpec, AfPacketGetsOneQueuePairPerWorker) {
    EXPECT_THAT(arguments_of("af_packet:eth0", 1, 4),
                ElementsAre("--vdev=net_af_packet1,iface=eth0,qpairs=4,blocksz=65536,framesz=2048,"
                            "framecnt=4096"));
}

TEST(DeviceSpec, AfXdpStartsAtQueueZero) {
    EXPECT_THAT(arguments_of("af_xdp:eth0", 0, 2),
                ElementsAre("--vdev=net_af_xdp0,iface=eth0,start_queue=0,queue_count=2"));
}

TEST(DeviceSpec, WhatTheUserGivesReplacesADefault) {
    EXPECT_THAT(
        arguments_of("af_xdp:eth0,start_queue=3,force_copy=1"),
        ElementsAre("--vdev=net_af_xdp0,iface=eth0,queue_count=1,start_queue=3,force_copy=1"));
}

TEST(DeviceSpec, MemifTakesItsRoleFromTheText) {
    EXPECT_THAT(arguments_of("memif:/run/m.sock,role=server"),
                ElementsAre("--vdev=net_memif0,role=server,socket=/run/m.sock,socket-abstract=no,"
                            "rsize=9"));
}

TEST(DeviceSpec, MemifWithoutARoleTakesTheOneOfTheProgram) {
    const DeviceSpec spec = parse_device("memif:/run/m.sock").value();
    EXPECT_EQ(spec.role, MemifRole::automatic);
    EXPECT_THAT(device_arguments(spec, 0, 1, MemifRole::server).front(), HasSubstr("role=server"));
    EXPECT_THAT(device_arguments(spec, 0, 1, MemifRole::client).front(), HasSubstr("role=client"));
}

TEST(DeviceSpec, MemifPassesItsOtherArgumentsOn) {
    EXPECT_THAT(arguments_of("memif:/m,id=7,role=client,zero-copy=yes").front(),
                testing::EndsWith(",id=7,zero-copy=yes"));
}

TEST(DeviceSpec, VhostAndVirtioUserNameTheirSocket) {
    EXPECT_THAT(arguments_of("vhost:/run/v.sock", 0, 2),
                ElementsAre("--vdev=net_vhost0,iface=/run/v.sock,queues=2"));
    EXPECT_THAT(arguments_of("virtio_user:/run/v.sock"),
                ElementsAre("--vdev=net_virtio_user0,path=/run/v.sock,queues=1,queue_size=1024"));
}

TEST(DeviceSpec, PciIsAllowedByItsFullAddress) {
    EXPECT_THAT(arguments_of("pci:0000:3b:00.0"), ElementsAre("--allow=0000:3b:00.0"));
    EXPECT_THAT(arguments_of("pci:3B:00.1"), ElementsAre("--allow=0000:3b:00.1"));
    EXPECT_EQ(ethdev_name(*parse_device("pci:3b:00.0"), 5), "0000:3b:00.0");
}

TEST(DeviceSpec, VdevIsPassedOnAsItIs) {
    EXPECT_THAT(arguments_of("vdev:net_null7,size=64"), ElementsAre("--vdev=net_null7,size=64"));
    EXPECT_EQ(ethdev_name(*parse_device("vdev:net_null7,size=64"), 0), "net_null7");
}

TEST(DeviceSpec, PcapNamesBothFiles) {
    EXPECT_THAT(arguments_of("pcap:in.pcap,out.pcap"),
                ElementsAre("--vdev=net_pcap0,rx_pcap=in.pcap,tx_pcap=out.pcap"));
}

TEST(DeviceSpec, DevicesOfOneKindHaveNamesOfTheirOwn) {
    const DeviceSpec spec = parse_device("tap:a").value();
    EXPECT_NE(ethdev_name(spec, 0), ethdev_name(spec, 1));
}

TEST(DeviceSpec, OnlySharedOrReachedMemoryMustBeEals) {
    EXPECT_FALSE(needs_eal_memory(*parse_device("ring")));
    EXPECT_FALSE(needs_eal_memory(*parse_device("tap:a")));
    EXPECT_TRUE(needs_eal_memory(*parse_device("virtio_user:/s")));
    EXPECT_TRUE(needs_eal_memory(*parse_device("pci:3b:00.0")));
}

struct Refusal {
    const char* text;
    const char* because;
};

class RefusedDevice : public testing::TestWithParam<Refusal> {};

TEST_P(RefusedDevice, IsExplainedInOneSentenceThatNamesIt) {
    const auto result = parse_device(GetParam().text);
    ASSERT_FALSE(result);
    EXPECT_THAT(result.error(), HasSubstr("'" + std::string{GetParam().text} + "'"));
    EXPECT_THAT(result.error(), HasSubstr(GetParam().because));
    EXPECT_EQ(result.error().find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    All, RefusedDevice,
    testing::Values(Refusal{"", "no known kind"}, Refusal{"eth0", "no known kind"},
                    Refusal{"ring:x", "takes nothing after it"}, Refusal{"tap", "interface name"},
                    Refusal{"tap:", "interface name"},
                    Refusal{"tap:a_name_of_16_char", "1 to 15 characters"},
                    Refusal{"af_packet:a/b", "interface name"},
                    Refusal{"af_packet:a b", "interface name"},
                    Refusal{"af_xdp:eth0,queues", "key=value"},
                    Refusal{"af_xdp:eth0,queue_count=1,", "key=value"},
                    Refusal{"af_xdp:eth0,=1", "key=value"}, Refusal{"memif:", "socket path"},
                    Refusal{"memif:/s,role=master", "role=server or role=client"},
                    Refusal{"vhost:", "socket path"}, Refusal{"virtio_user", "socket path"},
                    Refusal{"pci:", "PCI address"}, Refusal{"pci:0000:3b:00", "PCI address"},
                    Refusal{"pci:0000:3b:00.8", "PCI address"}, Refusal{"pci:eth0", "PCI address"},
                    Refusal{"vdev:", "has no name"}, Refusal{"pcap:in", "a file to write"},
                    Refusal{"pcap:,out", "a file to read"}));

TEST(DeviceSpec, ASocketPathThatDoesNotFitIsRefused) {
    EXPECT_TRUE(parse_device("vhost:/" + std::string(106, 'a')));
    EXPECT_FALSE(parse_device("vhost:/" + std::string(107, 'a')));
}

}  // namespace
}  // namespace synfin::dpdk
