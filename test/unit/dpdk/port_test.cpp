#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <synfin/dpdk/packet_pool.hpp>
#include <synfin/dpdk/port.hpp>
#include <synfin/dpdk/steering.hpp>

#include "environment.hpp"

namespace synfin::dpdk {
namespace {

using testing::HasSubstr;

std::string refusal(unsigned index, const PortOptions& options) {
    PacketPool pool{test::environment(), 8192};
    try {
        Port port{test::environment(), index, pool, options};
    } catch (const SetupError& error) {
        return error.what();
    }
    return {};
}

TEST(Port, PassesPacketsBothWays) {
    PacketPool pool{test::environment(), 8192};
    Port port{test::environment(), test::unused_device(), pool, {}};
    QueueDevice device{pool.get(), port.lane(0)};
    std::array<stack::Frame, 32> frames;
    const unsigned count = device.receive(frames.data(), 32);
    ASSERT_EQ(count, 32u);
    device.recycle(frames.data(), count);
    stack::TransmitBatch batch;
    ASSERT_EQ(device.prepare(batch, 32), 32u);
    batch.filled = 32;
    for (stack::Frame& frame : batch.frames) frame.length = 60;
    device.transmit(batch);
    EXPECT_FALSE(device.congested());
    EXPECT_EQ(port.statistics().transmitted_packets, 32u);
}

TEST(Port, GivesAllBuffersBack) {
    PacketPool pool{test::environment(), 8192};
    {
        Port port{test::environment(), test::unused_device(), pool, {.queues = 2}};
        EXPECT_TRUE(port.returns_buffers());
    }
    EXPECT_EQ(pool.in_use(), 0u);
}

TEST(Port, ItsLinkIsWaitedForNoLongerThanAllowed) {
    PacketPool pool{test::environment(), 8192};
    Port port{test::environment(), test::unused_device(), pool, {}};
    EXPECT_TRUE(port.wait_for_link(Duration::seconds(1)));
    port.stop();
    EXPECT_FALSE(port.wait_for_link(Duration::milliseconds(10)));
}

TEST(Port, RingIsNoPort) { EXPECT_THAT(refusal(0, {}), HasSubstr("synfin pair")); }

TEST(Port, MoreQueuesThanTheDeviceHasAreRefusedWithTheNumberThatItHas) {
    EXPECT_THAT(refusal(test::unused_device(), {.queues = 5000}),
                HasSubstr("--workers 1024 or fewer"));
}

TEST(Port, OneThatIsGoneSaysSo) {
    const unsigned device = test::unused_device();
    EXPECT_EQ(refusal(device, {}), "");
    EXPECT_THAT(refusal(device, {}), HasSubstr("could not be opened"));
}

TEST(Port, ReadsBackTheKeyThatItHasSet) {
    PacketPool pool{test::environment(), 8192};
    Port port{
        test::environment(), test::unused_device(), pool, {.queues = 2, .ports_only_rss = true}};
    EXPECT_EQ(port.receive_hash().queue_of.size(), 128u);
    EXPECT_TRUE(port.receive_hash().key_is_ours);
    ASSERT_FALSE(port.receive_hash().key.empty());
    // Under our key addresses do not count, ports do.
    const std::span<const uint8_t> key = port.receive_hash().key;
    const auto hash_of = [key](uint32_t local, uint32_t remote, uint16_t own_port) {
        return receive_hash(key, {wire::IpAddress::v4(local), own_port},
                            {wire::IpAddress::v4(remote), 80}) %
               16;
    };
    EXPECT_EQ(hash_of(1, 2, 1000), hash_of(77, 99, 1000));
    EXPECT_NE(hash_of(1, 2, 1000), hash_of(1, 2, 1000 ^ 0xff));
}

TEST(Port, DescribesItselfInOneLine) {
    PacketPool pool{test::environment(), 8192};
    Port port{test::environment(), test::unused_device(), pool, {}};
    EXPECT_THAT(port.description(), HasSubstr("net_null"));
    EXPECT_THAT(port.description(), HasSubstr("1 queue, checksums in software"));
}

}  // namespace
}  // namespace synfin::dpdk
