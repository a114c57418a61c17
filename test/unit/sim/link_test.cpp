// What a link does to frames, each fault on its own.
#include <algorithm>
#include <bit>
#include <vector>

#include <gtest/gtest.h>

#include <synfin/sim/link.hpp>
#include <synfin/wire/packet.hpp>
#include <synfin/wire/segment_writer.hpp>

namespace synfin::sim {
namespace {

using wire::MacAddress;

constexpr MacAddress mac_a{{2, 0, 0, 0, 0, 1}};
constexpr MacAddress mac_b{{2, 0, 0, 0, 0, 2}};
constexpr MacAddress mac_c{{2, 0, 0, 0, 0, 3}};

struct Arrival {
    Duration delay;
    Device* to;
    FrameBytes frame;
};

/// Three devices on a link, and a list instead of a world.
struct Bench {
    explicit Bench(const LinkFaults& faults = {})
        : link{faults, random,
               [this](Duration delay, Device& to, FrameBytes frame) {
                   arrivals.push_back({delay, &to, std::move(frame)});
               },
               [](uint64_t) {}} {
        link.plug(a, mac_a);
        link.plug(b, mac_b);
        link.plug(c, mac_c);
    }
    void send(Device& from, const MacAddress& to, uint8_t fill = 0x55) {
        stack::TransmitBatch batch;
        from.prepare(batch, 1);
        FrameBytes frame(60, fill);
        std::copy(to.bytes.begin(), to.bytes.end(), frame.begin());
        std::copy(frame.begin(), frame.end(), batch.frames[0].data);
        batch.frames[0].length = 60;
        batch.filled = 1;
        from.transmit(batch);
    }
    Prng random{42};
    Device a{1500}, b{1500}, c{1500};
    std::vector<Arrival> arrivals;
    Link link;
};

TEST(Link, FrameArrivesWhereItIsAddressedTo) {
    Bench bench;
    bench.send(bench.a, mac_b);
    ASSERT_EQ(bench.arrivals.size(), 1u);
    EXPECT_EQ(bench.arrivals[0].to, &bench.b);
    EXPECT_EQ(bench.arrivals[0].delay, LinkFaults{}.delay);
    EXPECT_EQ(bench.arrivals[0].frame.size(), 60u);
}

TEST(Link, BroadcastReachesAllButItsSender) {
    Bench bench;
    bench.send(bench.a, MacAddress::broadcast());
    ASSERT_EQ(bench.arrivals.size(), 2u);
    EXPECT_EQ(bench.arrivals[0].to, &bench.b);
    EXPECT_EQ(bench.arrivals[1].to, &bench.c);
}

TEST(Link, LosesAsManyFramesAsAsked) {
    Bench bench{{.loss = 0.25}};
    for (int i = 0; i < 10'000; ++i) bench.send(bench.a, mac_b);
    EXPECT_NEAR(static_cast<double>(bench.arrivals.size()), 7500, 200);
    EXPECT_EQ(bench.link.counters().lost + bench.arrivals.size(), 10'000u);
}

TEST(Link, DuplicatesAsManyFramesAsAsked) {
    Bench bench{{.duplication = 0.25}};
    for (int i = 0; i < 10'000; ++i) bench.send(bench.a, mac_b);
    EXPECT_NEAR(static_cast<double>(bench.arrivals.size()), 12'500, 200);
}

TEST(Link, CorruptionFlipsOneBit) {
    Bench bench{{.corruption = 1}};
    for (int i = 0; i < 100; ++i) bench.send(bench.a, mac_b, 0);
    for (const auto& arrival : bench.arrivals) {
        int bits = 0;
        for (size_t i = 0; i < arrival.frame.size(); ++i) {
            const uint8_t sent = i < 6 ? mac_b.bytes[i] : 0;
            bits += std::popcount(static_cast<unsigned>(arrival.frame[i] ^ sent));
        }
        EXPECT_EQ(bits, 1);
    }
}

/// A segment with one byte, as it arrives from a link that marks all it may.
wire::Packet passed(FrameBytes& frame, bool v6, wire::Ecn ecn) {
    Bench bench{{.marking = 1}};
    const auto l2 =
        wire::make_l2_header(mac_b, mac_a, v6 ? wire::ethertype::ipv6 : wire::ethertype::ipv4);
    const uint8_t byte = 7;
    const std::span<const uint8_t> piece{&byte, 1};
    wire::SegmentFrame segment;
    segment.l2 = &l2;
    segment.source = v6 ? wire::IpAddress::v6(1, 1) : wire::IpAddress::v4(198, 18, 0, 1);
    segment.destination = v6 ? wire::IpAddress::v6(1, 2) : wire::IpAddress::v4(198, 18, 0, 2);
    segment.traffic_class = static_cast<uint8_t>(0xb8 | static_cast<uint8_t>(ecn));
    segment.flags = wire::flag::ack;
    segment.pieces = {&piece, 1};
    frame.resize(200);
    frame.resize(wire::write_segment(frame, segment, {}));
    bench.link.inject(frame);
    frame = bench.arrivals.at(0).frame;
    wire::Packet packet;
    EXPECT_EQ(wire::parse_frame(frame, {}, packet), wire::PacketKind::tcp);
    return packet;
}

TEST(Link, MarksWhatIsEcnCapableAndLeavesTheRestOfTheOctetAndTheChecksumRight) {
    for (const bool v6 : {false, true}) {
        FrameBytes frame;
        EXPECT_EQ(passed(frame, v6, wire::Ecn::ect_0).traffic_class, 0xbb);
        EXPECT_EQ(passed(frame, v6, wire::Ecn::ect_1).traffic_class, 0xbb);
        EXPECT_EQ(passed(frame, v6, wire::Ecn::not_capable).traffic_class, 0xb8);
    }
}

TEST(Link, ReorderingHoldsSomeFramesBack) {
    const Duration later = Duration::milliseconds(5);
    Bench bench{{.reordering = 0.5, .reordering_delay = later}};
    for (int i = 0; i < 1000; ++i) bench.send(bench.a, mac_b);
    int held = 0;
    for (const auto& arrival : bench.arrivals)
        held += arrival.delay == LinkFaults{}.delay + later ? 1 : 0;
    EXPECT_NEAR(held, 500, 80);
}

TEST(Link, JitterStaysInItsBounds) {
    Bench bench{{.jitter = Duration::microseconds(100)}};
    for (int i = 0; i < 1000; ++i) bench.send(bench.a, mac_b);
    Duration least = Duration::forever(), most;
    for (const auto& arrival : bench.arrivals) {
        least = std::min(least, arrival.delay);
        most = std::max(most, arrival.delay);
    }
    EXPECT_GE(least, LinkFaults{}.delay);
    EXPECT_LE(most, LinkFaults{}.delay + Duration::microseconds(100));
    EXPECT_GT(most - least, Duration::microseconds(80));
}

TEST(Link, DelayIsNeverZero) {
    Bench bench{{.delay = Duration{}}};
    bench.send(bench.a, mac_b);
    EXPECT_GT(bench.arrivals[0].delay, Duration{});
}

TEST(Link, DownLosesEverything) {
    Bench bench;
    bench.link.set_down(true);
    bench.send(bench.a, mac_b);
    EXPECT_TRUE(bench.arrivals.empty());
    bench.link.set_down(false);
    bench.send(bench.a, mac_b);
    EXPECT_EQ(bench.arrivals.size(), 1u);
}

TEST(Device, DropsWhatItsQueueCannotHold) {
    Device device{1500, 2};
    const FrameBytes frame(60);
    for (int i = 0; i < 3; ++i) device.deliver(frame);
    EXPECT_EQ(device.overflowed(), 1u);
    stack::Frame frames[4];
    EXPECT_EQ(device.receive(frames, 4), 2u);
    EXPECT_EQ(device.buffers_out(), 2u);
    device.recycle(frames, 2);
    EXPECT_EQ(device.buffers_out(), 0u);
}

TEST(Device, TakesBackWhatWasNotFilled) {
    Device device{1500};
    stack::TransmitBatch batch;
    EXPECT_EQ(device.prepare(batch, 8), 8u);
    device.transmit(batch);
    EXPECT_EQ(device.buffers_out(), 0u);
}

TEST(Link, BottleneckCarriesOneFrameAfterTheOther) {
    Bench bench{{.delay = Duration::microseconds(50), .bytes_per_second = 60'000}};
    Instant now = Instant::from_us(1'000'000);
    bench.link.set_clock([&] { return now; });
    bench.send(bench.a, mac_b);
    bench.send(bench.a, mac_b);
    bench.send(bench.b, mac_a);  // the other way is a bottleneck of its own
    now = now + Duration::microseconds(1500);
    bench.send(bench.a, mac_b);
    ASSERT_EQ(bench.arrivals.size(), 4u);
    const auto delay_us = [&](size_t i) { return bench.arrivals[i].delay.count_us(); };
    EXPECT_EQ(delay_us(0), 1000 + 50);
    EXPECT_EQ(delay_us(1), 2000 + 50);
    EXPECT_EQ(delay_us(2), 1000 + 50);
    EXPECT_EQ(delay_us(3), 500 + 1000 + 50);
}

TEST(Link, BottlenecksQueueOverflows) {
    Bench bench{{.bytes_per_second = 60'000, .queue_bytes = 180}};
    bench.link.set_clock([] { return Instant::from_us(1'000'000); });
    for (int i = 0; i < 10; ++i) bench.send(bench.a, mac_b);
    EXPECT_EQ(bench.arrivals.size(), 4u);
    EXPECT_EQ(bench.link.counters().overflowed, 6u);
    EXPECT_EQ(bench.link.counters().queue_most, 240u);
}

}  // namespace
}  // namespace synfin::sim
