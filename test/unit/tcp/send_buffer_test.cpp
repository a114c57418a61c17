// How much a connection takes of its user before the peer has acknowledged it.
#include <array>

#include <gtest/gtest.h>

#include <synfin/tcp/info.hpp>

#include "scenes.hpp"

namespace synfin::conformance {
namespace {

constexpr Script::Handshake with_sack{
    .mss = 1000, .sack_permitted = true, .active = true, .round_trip = Duration::milliseconds(100)};

/// An initial window of ten segments, and a send buffer that holds twice as much.
Setup growing(uint32_t most_bytes) {
    Setup setup = new_reno();
    setup.profile.send_buffer_bytes = 20'000;
    setup.profile.send_buffer_most_bytes = most_bytes;
    return setup;
}

/// The first window has arrived, and so the congestion window is twenty segments; how much the user
/// can queue beyond the ten that are left.
uint32_t room_after_a_window(Script& s) {
    s.establish(with_sack);
    EXPECT_EQ(s.call_send_bytes(100'000), 20'000u);
    for (uint32_t at = 1001; at <= 10'001; at += 1000) s.inject(Ack().seq(1).ack(at));
    EXPECT_EQ(s.connection().cwnd, 20'000u);
    const uint32_t taken = s.call_send_bytes(100'000);
    s.ignore_sent();
    return taken;
}

TEST(SendBuffer, GrowsToTwiceTheCongestionWindow) {
    Script s{growing(1 << 20)};
    EXPECT_EQ(room_after_a_window(s), 40'000u - 10'000u);
    EXPECT_EQ(tcp::info(s.connection(), s.environment()).send_buffer_bytes, 40'000u);
    EXPECT_EQ(s.counters().send_buffers_kept_small.load(), 0u);
}

TEST(SendBuffer, DoesNotGrowBeyondItsMost) {
    Script s{growing(33'000)};
    EXPECT_EQ(room_after_a_window(s), 33'000u - 10'000u);
}

TEST(SendBuffer, StaysAsItIsWhereTheUserSaysSo) {
    Script s{growing(0)};
    EXPECT_EQ(room_after_a_window(s), 20'000u - 10'000u);
}

TEST(SendBuffer, DoesNotGrowOnceHalfOfTheMemoryIsUsed) {
    auto setup = growing(1 << 20);
    setup.chunks = 26;
    Script s{setup};
    EXPECT_EQ(room_after_a_window(s), 30'000u);
    EXPECT_EQ(s.call_send_bytes(1), 0u);
    EXPECT_EQ(tcp::info(s.connection(), s.environment()).send_buffer_bytes, 20'000u);
    EXPECT_EQ(s.counters().send_buffers_kept_small.load(), 1u);
}

// A hole keeps what was queued from being acknowledged, but the window of who has a model of the
// path grows with every report; so the user must hear of it.
TEST(SendBuffer, UserIsToldOfRoomThatASelectiveReportMakes) {
    auto setup = growing(1 << 20);
    setup.profile.congestion = tcp::CongestionAlgorithm::bbr;
    Script s{setup};
    s.establish(with_sack);
    EXPECT_EQ(s.call_send_bytes(100'000), 20'000u);
    s.wait(100_ms);
    const uint32_t told = s.room_told_count();
    s.inject(Ack().seq(1).ack(1).sack({{1001, 2001}}));
    EXPECT_EQ(s.room_told_count(), told + 1);
    EXPECT_GT(s.call_send_bytes(100'000), 0u);
    s.ignore_sent();
}

TEST(SendBuffer, StaticBytesThatGoOnWhereTheLastOnesEndNeedNoNodeOfTheirOwn) {
    constexpr std::array<uint8_t, 300> memory{};
    const std::span<const uint8_t> all{memory};
    tcp::BufferPool pool{8, 1};
    tcp::ByteQueue queue;
    EXPECT_EQ(queue.append_static(all.first(100), pool), 100u);
    EXPECT_EQ(queue.append_static(all.subspan(100, 100), pool), 100u);
    EXPECT_EQ(pool.nodes.used(), 1u);
    EXPECT_EQ(queue.front(pool).size(), 200u);
    EXPECT_EQ(queue.append_static(all.first(100), pool), 100u);
    EXPECT_EQ(pool.nodes.used(), 2u);
    EXPECT_EQ(queue.bytes.load(), 300u);
    queue.clear(pool);
    EXPECT_EQ(pool.nodes.used(), 0u);
}

TEST(SendBuffer, SumOfStaticBytesIsForgottenWhenTheyAreNoLongerTheSame) {
    constexpr std::array<uint8_t, 300> memory{1};
    const std::span<const uint8_t> all{memory};
    tcp::BufferPool pool{8, 1};
    tcp::ByteQueue queue;
    const auto message = wire::SummedBytes::of(all.first(100));
    ASSERT_NE(message.sum, 0);
    queue.append_static(message, pool);
    EXPECT_EQ(pool.nodes[queue.head].sum, message.sum);
    queue.append_static(wire::SummedBytes::of(all.subspan(100, 100)), pool);
    EXPECT_EQ(pool.nodes[queue.head].sum, 0);
    queue.clear(pool);
    queue.append_static(message, pool);
    queue.remove_front(1, pool);
    EXPECT_EQ(pool.nodes[queue.head].sum, 0);
    queue.clear(pool);
    queue.append_static(all.first(100), pool);
    EXPECT_EQ(pool.nodes[queue.head].sum, 0);
    queue.clear(pool);
}

}  // namespace
}  // namespace synfin::conformance
