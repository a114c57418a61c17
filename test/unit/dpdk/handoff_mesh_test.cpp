#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include <synfin/dpdk/handoff_mesh.hpp>
#include <synfin/dpdk/packet_pool.hpp>
#include <synfin/dpdk/ring_link.hpp>
#include <synfin/dpdk/worker_launch.hpp>

#include "environment.hpp"

namespace synfin::dpdk {
namespace {

using Kind = HandoffDestination::Kind;
using Bytes = std::vector<uint8_t>;

void put16(Bytes& bytes, size_t at, uint16_t value) {
    bytes[at] = static_cast<uint8_t>(value >> 8);
    bytes[at + 1] = static_cast<uint8_t>(value);
}

Bytes tcp_frame(uint16_t source, uint16_t destination) {
    Bytes bytes(60);
    put16(bytes, 12, 0x0800);
    bytes[14] = 0x45;
    bytes[14 + 9] = 6;
    put16(bytes, 34, source);
    put16(bytes, 36, destination);
    return bytes;
}

Bytes arp_frame() {
    Bytes bytes(60);
    put16(bytes, 12, 0x0806);
    return bytes;
}

HandoffDestination destination(const Bytes& bytes, unsigned workers = 4,
                               HandoffOwners owners = HandoffOwners::by_ports) {
    return handoff_destination(bytes.data(), static_cast<uint32_t>(bytes.size()), workers, owners);
}

TEST(HandoffDestination, TcpGoesToTheOwnerOfItsPorts) {
    for (uint16_t port = 1000; port < 1100; ++port) {
        const auto to = destination(tcp_frame(80, port));
        EXPECT_EQ(to.kind, Kind::worker);
        EXPECT_EQ(to.worker, handoff_owner(port, 80, 4));
    }
}

TEST(HandoffDestination, TcpBehindAVlanTagAndOptionsGoesThereToo) {
    Bytes bytes = tcp_frame(0, 0);
    bytes.insert(bytes.begin() + 12, {0x81, 0x00, 0x00, 0x05});
    bytes[18] = 0x46;
    put16(bytes, 42, 80);
    put16(bytes, 44, 40000);
    EXPECT_EQ(destination(bytes).worker, handoff_owner(40000, 80, 4));
}

TEST(HandoffDestination, TcpStaysWhereTheDeviceSteers) {
    EXPECT_EQ(destination(tcp_frame(80, 40000), 4, HandoffOwners::known).kind, Kind::here);
}

TEST(HandoffDestination, ArpIsForAll) {
    EXPECT_EQ(destination(arp_frame()).kind, Kind::all);
    EXPECT_EQ(destination(arp_frame(), 4, HandoffOwners::known).kind, Kind::all);
}

TEST(HandoffDestination, AnIcmpErrorGoesToTheOwnerOfWhatItQuotes) {
    Bytes bytes(90);
    put16(bytes, 12, 0x0800);
    bytes[14] = 0x45;
    bytes[14 + 9] = 1;
    bytes[34] = 3;  // destination unreachable
    bytes[42] = 0x45;
    bytes[42 + 9] = 6;
    put16(bytes, 62, 40000);  // the quoted packet is ours: its source port is our local port
    put16(bytes, 64, 80);
    const auto to = destination(bytes);
    EXPECT_EQ(to.kind, Kind::worker);
    EXPECT_EQ(to.worker, handoff_owner(40000, 80, 4));
}

TEST(HandoffDestination, AnEchoRequestStays) {
    Bytes bytes(60);
    put16(bytes, 12, 0x0800);
    bytes[14] = 0x45;
    bytes[14 + 9] = 1;
    bytes[34] = 8;
    EXPECT_EQ(destination(bytes).kind, Kind::here);
}

Bytes ipv6_fragment(uint8_t source, uint8_t identification, uint16_t offset_and_more) {
    Bytes bytes(100);
    put16(bytes, 12, 0x86dd);
    bytes[14] = 0x60;
    bytes[14 + 6] = 44;
    bytes[14 + 23] = source;
    put16(bytes, 54 + 2, offset_and_more);
    bytes[54 + 7] = identification;
    return bytes;
}

Bytes ipv4_fragment(uint8_t source, uint8_t identification, uint16_t offset_and_more) {
    Bytes bytes = tcp_frame(80, static_cast<uint16_t>(offset_and_more * 77));
    bytes[14 + 5] = identification;
    put16(bytes, 14 + 6, offset_and_more);
    bytes[14 + 15] = source;
    return bytes;
}

TEST(HandoffDestination, PartsOfADatagramMeetWhateverTheDeviceSteersBy) {
    for (const auto owners : {HandoffOwners::by_ports, HandoffOwners::known}) {
        const auto ipv4 = destination(ipv4_fragment(1, 7, 0x2000), 4, owners);
        EXPECT_EQ(ipv4.kind, Kind::worker);
        for (const uint16_t later : {uint16_t{0x2010}, uint16_t{0x0020}}) {
            EXPECT_EQ(destination(ipv4_fragment(1, 7, later), 4, owners).worker, ipv4.worker);
        }
        const auto ipv6 = destination(ipv6_fragment(1, 7, 0x0001), 4, owners);
        EXPECT_EQ(ipv6.kind, Kind::worker);
        for (const uint16_t later : {uint16_t{0x0081}, uint16_t{0x0100}}) {
            EXPECT_EQ(destination(ipv6_fragment(1, 7, later), 4, owners).worker, ipv6.worker);
        }
    }
}

TEST(HandoffDestination, PartsOfSegmentsGoToAllWhereNobodyKnowsTheOwner) {
    constexpr uint8_t tcp = 6;
    constexpr uint8_t icmp = 1;
    constexpr uint8_t icmp6 = 58;
    for (const uint16_t place : {uint16_t{0x2000}, uint16_t{0x0020}}) {
        Bytes ipv4 = ipv4_fragment(1, 7, place);
        EXPECT_EQ(destination(ipv4, 4, HandoffOwners::unknown).kind, Kind::all);
        ipv4[14 + 9] = icmp;
        EXPECT_EQ(destination(ipv4, 4, HandoffOwners::unknown).kind, Kind::worker);
        Bytes ipv6 = ipv6_fragment(1, 7, place);
        ipv6[54] = tcp;
        EXPECT_EQ(destination(ipv6, 4, HandoffOwners::unknown).kind, Kind::all);
        ipv6[54] = icmp6;
        EXPECT_EQ(destination(ipv6, 4, HandoffOwners::unknown).kind, Kind::worker);
    }
}

TEST(HandoffDestination, PartsOfDifferentDatagramsAreSpread) {
    std::array<unsigned, 4> shares{};
    for (unsigned source = 0; source < 64; ++source) {
        for (unsigned id = 0; id < 64; ++id) {
            const auto s = static_cast<uint8_t>(source);
            const auto i = static_cast<uint8_t>(id);
            ++shares[destination(ipv4_fragment(s, i, 0x2000)).worker];
            ++shares[destination(ipv6_fragment(s, i, 0x0001)).worker];
        }
    }
    for (const unsigned share : shares) EXPECT_NEAR(share, 2048.0, 400.0);
}

TEST(HandoffDestination, WholeDatagramThatMayNotBeDividedIsNoPart) {
    Bytes bytes = tcp_frame(80, 40000);
    put16(bytes, 14 + 6, 0x4000);
    EXPECT_EQ(destination(bytes, 4, HandoffOwners::known).kind, Kind::here);
}

TEST(HandoffDestination, NoFrameIsTooShortToLookAt) {
    // Each in memory of exactly its own length, so that a sanitizer sees a read behind it.
    for (const Bytes& whole : {tcp_frame(80, 40000), arp_frame(), ipv6_fragment(1, 7, 1)}) {
        for (size_t length = 0; length <= whole.size(); ++length) {
            const auto part = std::make_unique<uint8_t[]>(length);
            std::copy_n(whole.begin(), length, part.get());
            handoff_destination(part.get(), static_cast<uint32_t>(length), 4,
                                HandoffOwners::unknown);
        }
    }
    Bytes lying = tcp_frame(80, 40000);
    lying[14] = 0x4f;
    lying.resize(60);
    EXPECT_EQ(destination(lying).kind, Kind::here);
}

TEST(HandoffOwner, SpreadsNeighboringPortsEvenly) {
    for (const unsigned workers : {2u, 3u, 7u}) {
        std::vector<unsigned> share(workers);
        for (unsigned port = 32768; port < 65536; ++port) {
            ++share[handoff_owner(static_cast<uint16_t>(port), 80, workers)];
        }
        for (const unsigned ports : share) {
            EXPECT_NEAR(ports, 32768.0 / workers, 32768.0 / workers / 10);
        }
    }
}

/// Two workers, each with a link of its own to a peer that sends whatever the test likes.
class HandoffMeshTest : public testing::Test {
  protected:
    void deliver(unsigned worker, const Bytes& bytes) {
        stack::TransmitBatch batch;
        QueueDevice& peer = *peers_[worker];
        ASSERT_EQ(peer.prepare(batch, 1), 1u);
        std::copy(bytes.begin(), bytes.end(), batch.frames[0].data);
        batch.frames[0].length = static_cast<uint32_t>(bytes.size());
        batch.filled = 1;
        peer.transmit(batch);
    }

    /// A source port for which `worker` owns the connection to our port 80.
    static uint16_t port_of(unsigned worker) {
        uint16_t port = 1024;
        while (handoff_owner(80, port, 2) != worker) ++port;
        return port;
    }

    unsigned receive(unsigned worker) {
        const unsigned count = devices_[worker]->receive(frames_.data(), 64);
        devices_[worker]->recycle(frames_.data(), count);
        return count;
    }

    PacketPool pool_{test::environment(), 8192};
    RingLink link_{test::environment(), {.pairs = 2}};
    HandoffMesh mesh_{2, HandoffOwners::by_ports};
    std::array<std::unique_ptr<QueueDevice>, 2> peers_{
        std::make_unique<QueueDevice>(pool_.get(), link_.lane(RingLink::Side::client, 0)),
        std::make_unique<QueueDevice>(pool_.get(), link_.lane(RingLink::Side::client, 1))};
    std::array<std::unique_ptr<QueueDevice>, 2> inner_{
        std::make_unique<QueueDevice>(pool_.get(), link_.lane(RingLink::Side::server, 0)),
        std::make_unique<QueueDevice>(pool_.get(), link_.lane(RingLink::Side::server, 1))};
    std::array<std::unique_ptr<HandoffDevice>, 2> devices_{
        std::make_unique<HandoffDevice>(*inner_[0], mesh_, 0),
        std::make_unique<HandoffDevice>(*inner_[1], mesh_, 1)};
    std::array<stack::Frame, 64> frames_;
};

TEST_F(HandoffMeshTest, AFrameOfOursStaysWithUs) {
    deliver(0, tcp_frame(port_of(0), 80));
    EXPECT_EQ(receive(0), 1u);
    EXPECT_EQ(receive(1), 0u);
}

TEST_F(HandoffMeshTest, AFrameOfAnotherArrivesThereWhole) {
    const Bytes sent = tcp_frame(port_of(1), 80);
    deliver(0, sent);
    EXPECT_EQ(receive(0), 0u);
    ASSERT_EQ(devices_[1]->receive(frames_.data(), 64), 1u);
    EXPECT_EQ(Bytes(frames_[0].data, frames_[0].data + frames_[0].length), sent);
    devices_[1]->recycle(frames_.data(), 1);
    EXPECT_EQ(devices_[0]->handed_over(), 1u);
}

TEST_F(HandoffMeshTest, AnArpFrameArrivesEverywhere) {
    deliver(0, arp_frame());
    EXPECT_EQ(receive(0), 1u);
    EXPECT_EQ(receive(1), 1u);
}

TEST_F(HandoffMeshTest, APacketWithoutAFrameArrivesInOne) {
    const Bytes whole = tcp_frame(80, 40000);
    const std::span<const uint8_t> bytes{whole};
    devices_[0]->hand_over_copy(1, bytes.first(14), bytes.subspan(14));
    ASSERT_EQ(devices_[1]->receive(frames_.data(), 64), 1u);
    EXPECT_EQ(Bytes(frames_[0].data, frames_[0].data + frames_[0].length), whole);
    EXPECT_TRUE(frames_[0].verified.ip);
    EXPECT_FALSE(frames_[0].verified.tcp);
    devices_[1]->recycle(frames_.data(), 1);
}

TEST_F(HandoffMeshTest, APacketThatNoFrameHoldsIsDropped) {
    const Bytes large(65'000);
    devices_[0]->hand_over_copy(1, std::span{large}.first(14), std::span{large}.subspan(14));
    EXPECT_EQ(receive(1), 0u);
    EXPECT_EQ(devices_[0]->dropped(), 1u);
}

TEST_F(HandoffMeshTest, WhatCameInPartsGoesToWhoeverOwnsTheConnection) {
    const Steering steering{2, {}, [] { return false; }};
    HandoffColleagues colleagues{steering, {devices_[0].get()}, 0};
    const Bytes whole = tcp_frame(port_of(1), 80);
    const auto take = [&](uint16_t port) {
        const wire::SocketAddress local{wire::IpAddress::v4(10, 0, 0, 1), 80};
        const wire::SocketAddress remote{wire::IpAddress::v4(10, 0, 0, 2), port};
        return colleagues.take(0, local, remote, std::span{whole}.first(14),
                               std::span{whole}.subspan(14));
    };
    EXPECT_FALSE(take(port_of(0)));
    EXPECT_EQ(receive(1), 0u);
    EXPECT_TRUE(take(port_of(1)));
    EXPECT_EQ(receive(1), 1u);
}

TEST_F(HandoffMeshTest, WhatAllHavePutTogetherIsLeftToWhoeverHasTheConnection) {
    HandoffWitnesses colleagues;
    EXPECT_TRUE(colleagues.take(0, {wire::IpAddress::v4(10, 0, 0, 1), 80},
                                {wire::IpAddress::v4(10, 0, 0, 2), port_of(0)}, {}, {}));
    EXPECT_EQ(receive(1), 0u);
}

TEST_F(HandoffMeshTest, AFullQueueDropsAndCounts) {
    const Bytes bytes = tcp_frame(port_of(1), 80);
    constexpr unsigned surplus = 10;
    for (unsigned i = 0; i < HandoffMesh::capacity + surplus; ++i) {
        deliver(0, bytes);
        EXPECT_EQ(receive(0), 0u);
    }
    EXPECT_EQ(devices_[0]->handed_over() + devices_[0]->dropped(), HandoffMesh::capacity + surplus);
    EXPECT_GE(devices_[0]->dropped(), surplus);
}

TEST_F(HandoffMeshTest, NothingLeaksWithFramesUnderway) {
    for (int i = 0; i < 10; ++i) {
        deliver(0, tcp_frame(port_of(1), 80));
        receive(0);
    }
    for (unsigned worker = 0; worker < 2; ++worker) {
        inner_[worker]->close();
        peers_[worker]->close();
    }
    link_.drain();
    mesh_.drain();
    EXPECT_EQ(pool_.in_use(), 0u);
}

TEST_F(HandoffMeshTest, EveryFrameReachesItsOwnerAcrossThreads) {
    constexpr unsigned each = 20'000;
    std::array<std::atomic<unsigned>, 2> received{};
    std::array<std::atomic<unsigned>, 2> wrong{};
    std::array<std::atomic<unsigned>, 2> sent{};
    WorkerThreads threads;
    for (unsigned worker = 0; worker < 2; ++worker) {
        threads.start(
            allowed_cores().front(), "worker", [&, worker](const std::atomic<bool>& stop) {
                std::array<stack::Frame, 64> frames;
                const std::array<Bytes, 2> bytes{tcp_frame(port_of(0), 80),
                                                 tcp_frame(port_of(1), 80)};
                unsigned underway = 0;
                while (!stop) {
                    // A burst only when all before it have been received somewhere, so that no
                    // queue overflows and none is dropped.
                    underway = sent[0] + sent[1] - received[0] - received[1];
                    for (unsigned i = 0; i < 16 && underway < 256 && sent[worker] < each; ++i) {
                        deliver(worker, bytes[i % 2]);
                        ++sent[worker];
                    }
                    const unsigned count = devices_[worker]->receive(frames.data(), 64);
                    for (unsigned i = 0; i < count; ++i) {
                        const auto source =
                            static_cast<uint16_t>(frames[i].data[34] << 8 | frames[i].data[35]);
                        if (handoff_owner(80, source, 2) != worker) ++wrong[worker];
                    }
                    devices_[worker]->recycle(frames.data(), count);
                    received[worker] += count;
                    if (count == 0) std::this_thread::yield();
                }
            });
    }
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{30};
    while (received[0] + received[1] < 2 * each && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::yield();
    }
    threads.stop();
    threads.join();
    EXPECT_EQ(received[0] + received[1], 2 * each);
    EXPECT_EQ(received[0], received[1]);
    EXPECT_EQ(wrong[0] + wrong[1], 0u);
}

}  // namespace
}  // namespace synfin::dpdk
