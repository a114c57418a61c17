#include <array>
#include <optional>
#include <set>
#include <vector>

#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <synfin/dpdk/packet_pool.hpp>
#include <synfin/dpdk/queue_device.hpp>
#include <synfin/dpdk/ring_link.hpp>

#include "environment.hpp"
#include "ring_port.hpp"

namespace synfin::dpdk {
namespace {

using Side = RingLink::Side;

/// Two devices on the ends of an in-process link of 64 entries (63 of them usable).
class QueueDeviceTest : public testing::Test {
  protected:
    /// Sends `count` frames whose first byte is `first`, `first` + 1, ...
    void send(QueueDevice& device, unsigned count, uint8_t first = 0) {
        stack::TransmitBatch batch;
        ASSERT_EQ(device.prepare(batch, count), count);
        for (unsigned i = 0; i < count; ++i) {
            batch.frames[i].data[0] = static_cast<uint8_t>(first + i);
            batch.frames[i].length = 60;
        }
        batch.filled = count;
        device.transmit(batch);
    }

    PacketPool pool_{test::environment(), 4096};
    RingLink link_{test::environment(), {.entries = 64}};
    QueueDevice client_{pool_.get(), link_.lane(Side::client, 0)};
    QueueDevice server_{pool_.get(), link_.lane(Side::server, 0)};
    std::array<stack::Frame, 64> frames_;
};

TEST_F(QueueDeviceTest, WhatOneSideSendsTheOtherReceivesInOrder) {
    send(client_, 20, 100);
    ASSERT_EQ(server_.receive(frames_.data(), 64), 20u);
    for (unsigned i = 0; i < 20; ++i) {
        EXPECT_EQ(frames_[i].data[0], 100 + i);
        EXPECT_EQ(frames_[i].length, 60u);
    }
    server_.recycle(frames_.data(), 20);
}

TEST_F(QueueDeviceTest, ReceivesNoMoreThanAskedFor) {
    send(client_, 20);
    EXPECT_EQ(server_.receive(frames_.data(), 8), 8u);
    EXPECT_EQ(server_.receive(frames_.data() + 8, 64), 12u);
    server_.recycle(frames_.data(), 20);
}

TEST_F(QueueDeviceTest, WhatIsTakenAheadComesNextInOrder) {
    send(client_, 20, 0);
    EXPECT_EQ(server_.receive(frames_.data(), 8), 8u);
    send(client_, 20, 20);
    EXPECT_EQ(server_.receive(frames_.data() + 8, 40), 12u);
    EXPECT_EQ(server_.receive(frames_.data() + 20, 40), 20u);
    EXPECT_EQ(server_.counters().received, 40u);
    for (unsigned i = 0; i < 40; ++i) EXPECT_EQ(frames_[i].data[0], i);
    server_.recycle(frames_.data(), 40);
}

TEST_F(QueueDeviceTest, WhatIsTakenAheadButNotReceivedGoesBackToThePool) {
    send(client_, 20);
    EXPECT_EQ(server_.receive(frames_.data(), 20), 20u);
    server_.recycle(frames_.data(), 20);
    send(client_, 20);
    EXPECT_EQ(server_.receive(frames_.data(), 1), 1u);
    server_.recycle(frames_.data(), 1);
    server_.close();
    client_.close();
    EXPECT_EQ(pool_.in_use(), 0u);
}

TEST_F(QueueDeviceTest, WritesIntoTheBuffersThatItHasJustReceived) {
    send(client_, 10);
    const unsigned count = server_.receive(frames_.data(), 64);
    std::set<void*> received;
    for (unsigned i = 0; i < count; ++i) received.insert(frames_[i].owner);
    server_.recycle(frames_.data(), count);
    stack::TransmitBatch batch;
    server_.prepare(batch, count);
    for (unsigned i = 0; i < count; ++i) EXPECT_TRUE(received.contains(batch.frames[i].owner));
    server_.transmit(batch);
}

TEST_F(QueueDeviceTest, APreparedFrameHasRoomForTheMtuAndItsHeaders) {
    stack::TransmitBatch batch;
    ASSERT_EQ(client_.prepare(batch, 1), 1u);
    const auto* const buffer = static_cast<rte_mbuf*>(batch.frames[0].owner);
    const auto* const end = static_cast<uint8_t*>(buffer->buf_addr) + buffer->buf_len;
    EXPECT_GE(end - batch.frames[0].data, 1500 + int{stack::TransmitBatch::slack_bytes});
    client_.transmit(batch);
}

TEST_F(QueueDeviceTest, UnfilledFramesAreKept) {
    stack::TransmitBatch batch;
    client_.prepare(batch, 64);
    const uint32_t in_use = pool_.in_use();
    client_.transmit(batch);
    client_.prepare(batch, 64);
    EXPECT_EQ(pool_.in_use(), in_use);
    client_.transmit(batch);
    EXPECT_EQ(server_.receive(frames_.data(), 64), 0u);
}

TEST_F(QueueDeviceTest, WhatTheQueueRefusesIsSentLaterInOrder) {
    send(client_, 50, 0);
    EXPECT_FALSE(client_.congested());
    send(client_, 50, 50);
    EXPECT_TRUE(client_.congested());
    EXPECT_EQ(client_.counters().refused, 100u - 63u);

    std::vector<uint8_t> seen;
    for (int round = 0; round < 3; ++round) {
        const unsigned count = server_.receive(frames_.data(), 64);
        for (unsigned i = 0; i < count; ++i) seen.push_back(frames_[i].data[0]);
        server_.recycle(frames_.data(), count);
        client_.receive(frames_.data(), 64);
    }
    EXPECT_FALSE(client_.congested());
    ASSERT_EQ(seen.size(), 100u);
    for (unsigned i = 0; i < 100; ++i) EXPECT_EQ(seen[i], i);
}

TEST_F(QueueDeviceTest, ACongestedDevicePreparesNothing) {
    send(client_, 60);
    send(client_, 60);
    stack::TransmitBatch batch;
    EXPECT_EQ(client_.prepare(batch, 64), 0u);
    EXPECT_TRUE(batch.full());
}

TEST_F(QueueDeviceTest, TheStashGivesBackWhatItCannotHold) {
    // More packets come than go, as on a receiver that seldom answers.
    uint32_t most = 0;
    for (int round = 0; round < 100; ++round) {
        send(client_, 60);
        const unsigned count = server_.receive(frames_.data(), 64);
        server_.recycle(frames_.data(), count);
        most = std::max(most, pool_.in_use());
    }
    EXPECT_EQ(server_.counters().received, 6000u);
    EXPECT_LT(most, 1200u);
}

TEST_F(QueueDeviceTest, AnEmptyPoolIsCountedAndSurvived) {
    std::vector<rte_mbuf*> all;
    while (rte_mbuf* const buffer = rte_pktmbuf_alloc(pool_.get())) all.push_back(buffer);
    stack::TransmitBatch batch;
    EXPECT_EQ(client_.prepare(batch, 64), 0u);
    EXPECT_EQ(client_.counters().no_buffer, 1u);
    rte_pktmbuf_free_bulk(all.data(), static_cast<unsigned>(all.size()));
    EXPECT_EQ(client_.prepare(batch, 64), 64u);
    client_.transmit(batch);
}

TEST_F(QueueDeviceTest, AClosedDeviceHoldsNothing) {
    send(client_, 60);
    send(client_, 60);
    server_.receive(frames_.data(), 10);
    server_.recycle(frames_.data(), 10);
    client_.close();
    server_.close();
    link_.drain();
    EXPECT_EQ(pool_.in_use(), 0u);
}

/// A device on a port whose driver receives what it has been given to send.
class QueueDeviceOnPortTest : public testing::Test {
  protected:
    QueueDeviceOnPortTest() {
        port_.start();
        Lane lane;
        lane.port_id = port_.id();
        lane.properties.transmit_ip_checksum = true;
        lane.properties.transmit_tcp_checksum = true;
        device_.emplace(pool_.get(), lane);
    }
    void TearDown() override { device_->close(); }

    /// Puts a buffer into the receive queue, as the driver would.
    void deliver(rte_mbuf* buffer) { ASSERT_EQ(rte_ring_enqueue(port_.ring(), buffer), 0); }

    PacketPool pool_{test::environment(), 4096};
    test::RingPort port_{pool_.get()};
    std::optional<QueueDevice> device_;
    std::array<stack::Frame, 64> frames_;
};

TEST_F(QueueDeviceOnPortTest, APacketInTwoPiecesIsMadeWhole) {
    rte_mbuf* const head = rte_pktmbuf_alloc(pool_.get());
    rte_mbuf* const tail = rte_pktmbuf_alloc(pool_.get());
    *rte_pktmbuf_mtod(head, uint8_t*) = 1;
    rte_pktmbuf_append(head, 100);
    *reinterpret_cast<uint8_t*>(rte_pktmbuf_append(tail, 50)) = 2;
    ASSERT_EQ(rte_pktmbuf_chain(head, tail), 0);
    deliver(head);
    ASSERT_EQ(device_->receive(frames_.data(), 64), 1u);
    EXPECT_EQ(frames_[0].length, 150u);
    EXPECT_EQ(frames_[0].data[0], 1);
    EXPECT_EQ(frames_[0].data[100], 2);
    EXPECT_EQ(device_->counters().copied, 1u);
    device_->recycle(frames_.data(), 1);
}

TEST_F(QueueDeviceOnPortTest, PiecesThatDoNotFitIntoOneBufferAreDroppedAndCounted) {
    rte_mbuf* const head = rte_pktmbuf_alloc(pool_.get());
    rte_mbuf* const tail = rte_pktmbuf_alloc(pool_.get());
    ASSERT_NE(rte_pktmbuf_append(head, 2000), nullptr);
    ASSERT_NE(rte_pktmbuf_append(tail, 2000), nullptr);
    ASSERT_EQ(rte_pktmbuf_chain(head, tail), 0);
    deliver(head);
    EXPECT_EQ(device_->receive(frames_.data(), 64), 0u);
    EXPECT_EQ(device_->counters().dropped_pieces, 1u);
    EXPECT_EQ(pool_.in_use(), 0u);
}

TEST_F(QueueDeviceOnPortTest, ASharedBufferIsCopiedBeforeAnyoneWritesIntoIt) {
    rte_mbuf* const shared = rte_pktmbuf_alloc(pool_.get());
    rte_pktmbuf_append(shared, 60);
    rte_mbuf_refcnt_update(shared, 1);
    deliver(shared);
    ASSERT_EQ(device_->receive(frames_.data(), 64), 1u);
    EXPECT_NE(frames_[0].owner, shared);
    EXPECT_EQ(rte_mbuf_refcnt_read(shared), 1);
    device_->recycle(frames_.data(), 1);
    rte_pktmbuf_free(shared);
}

TEST_F(QueueDeviceOnPortTest, TheDevicesVerdictOnChecksumsIsPassedOn) {
    const std::array<uint64_t, 4> flags{
        RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD,
        RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_BAD,
        RTE_MBUF_F_RX_IP_CKSUM_UNKNOWN | RTE_MBUF_F_RX_L4_CKSUM_NONE, 0};
    for (const uint64_t flag : flags) {
        rte_mbuf* const buffer = rte_pktmbuf_alloc(pool_.get());
        rte_pktmbuf_append(buffer, 60);
        buffer->ol_flags = flag;
        deliver(buffer);
    }
    ASSERT_EQ(device_->receive(frames_.data(), 64), 4u);
    EXPECT_TRUE(frames_[0].verified.ip && frames_[0].verified.tcp);
    EXPECT_FALSE(frames_[1].verified.ip || frames_[1].verified.tcp);
    EXPECT_TRUE(frames_[2].verified.tcp);
    EXPECT_FALSE(frames_[2].verified.ip);
    EXPECT_FALSE(frames_[3].verified.ip || frames_[3].verified.tcp);
    device_->recycle(frames_.data(), 4);
}

TEST_F(QueueDeviceOnPortTest, IsToldWhereTheHeadersAre) {
    stack::TransmitBatch batch;
    ASSERT_EQ(device_->prepare(batch, 2), 2u);
    uint8_t* const tcp = batch.frames[0].data;
    std::fill_n(tcp, 60, uint8_t{0});
    tcp[12] = 0x08;
    tcp[14] = 0x46;  // a header of 24 bytes
    tcp[14 + 9] = 6;
    uint8_t* const arp = batch.frames[1].data;
    std::fill_n(arp, 60, uint8_t{0});
    arp[12] = 0x08;
    arp[13] = 0x06;
    batch.frames[0].length = batch.frames[1].length = 60;
    batch.filled = 2;
    const auto* const tcp_buffer = static_cast<rte_mbuf*>(batch.frames[0].owner);
    const auto* const arp_buffer = static_cast<rte_mbuf*>(batch.frames[1].owner);
    device_->transmit(batch);
    EXPECT_EQ(tcp_buffer->ol_flags,
              RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM);
    EXPECT_EQ(tcp_buffer->l2_len, 14);
    EXPECT_EQ(tcp_buffer->l3_len, 24);
    EXPECT_EQ(arp_buffer->ol_flags, 0u);
}

}  // namespace
}  // namespace synfin::dpdk
