// Initial sequence numbers (RFC 6528) and timestamp offsets (RFC 7323 section 5.4).
#include <array>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include <synfin/tcp/isn.hpp>

namespace synfin::tcp {
namespace {

constexpr Secret secret{0x0123'4567'89ab'cdef, 0xfedc'ba98'7654'3210};
constexpr flow::FourTuple tuple{0xc612'0001, 0xc613'0001, 80, 33706};
const Instant noon = Instant::from_us(43'200'000'000);

TEST(InitialSequence, Must8_TicksEveryFourMicroseconds) {
    const Seq first = initial_sequence(tuple, secret, noon);
    for (int64_t ticks : {1, 2, 1000, 250'000, 1'000'000'000})
        EXPECT_EQ(initial_sequence(tuple, secret, noon + Duration::microseconds(4 * ticks)),
                  first + static_cast<uint32_t>(ticks))
            << ticks;
    EXPECT_EQ(initial_sequence(tuple, secret, noon + Duration::microseconds(3)), first);
}

TEST(InitialSequence, TurnsAroundOnceInFourAndThreeQuarterHours) {
    const Duration turn = Duration::microseconds(4 * (int64_t{1} << 32));
    EXPECT_EQ(initial_sequence(tuple, secret, noon + turn), initial_sequence(tuple, secret, noon));
}

TEST(InitialSequence, Shld1_DiffersByEachFieldOfTheTuple) {
    std::vector<flow::FourTuple> tuples{tuple};
    flow::FourTuple t = tuple;
    t.local_address += 1, tuples.push_back(t), t = tuple;
    t.remote_address += 1, tuples.push_back(t), t = tuple;
    t.local_port = 81, tuples.push_back(t), t = tuple;
    t.remote_port = 33707, tuples.push_back(t), t = tuple;
    std::swap(t.local_address, t.remote_address), tuples.push_back(t), t = tuple;
    std::swap(t.local_port, t.remote_port), tuples.push_back(t);
    std::set<uint32_t> seen;
    for (const auto& each : tuples) seen.insert(initial_sequence(each, secret, noon).value());
    EXPECT_EQ(seen.size(), tuples.size());
}

TEST(InitialSequence, Must9_DependsOnEachHalfOfTheSecret) {
    const Seq ours = initial_sequence(tuple, secret, noon);
    EXPECT_NE(initial_sequence(tuple, {secret[0] ^ 1, secret[1]}, noon), ours);
    EXPECT_NE(initial_sequence(tuple, {secret[0], secret[1] ^ 1}, noon), ours);
}

// One who sees the numbers of many tuples of his own learns nothing about the next: the difference
// between neighbouring tuples has each bit set as often as not.
TEST(InitialSequence, NeighbouringTuplesDifferLikeRandomNumbers) {
    constexpr uint32_t samples = 20'000;
    std::array<uint32_t, 32> ones{};
    std::set<uint32_t> differences;
    for (uint32_t i = 0; i < samples; ++i) {
        flow::FourTuple a = tuple;
        a.remote_address += i;
        flow::FourTuple b = a;
        b.remote_port += 1;
        const uint32_t difference =
            initial_sequence(a, secret, noon).distance_from(initial_sequence(b, secret, noon));
        differences.insert(difference);
        for (size_t bit = 0; bit < 32; ++bit) ones[bit] += difference >> bit & 1;
    }
    // Six standard deviations of a fair coin: sqrt(20000) / 2 * 6 = 424.
    for (size_t bit = 0; bit < 32; ++bit) EXPECT_NEAR(ones[bit], samples / 2, 424) << bit;
    // The expected number of collisions among 20000 of 2^32 is 0.05.
    EXPECT_GE(differences.size(), size_t{samples} - 3);
}

TEST(TimestampOffset, IsTheSameForEachIncarnationAndUnrelatedBetweenTuples) {
    EXPECT_EQ(timestamp_offset(tuple, secret), timestamp_offset(tuple, secret));
    std::set<uint32_t> seen;
    for (uint16_t port = 1; port <= 1000; ++port) {
        flow::FourTuple t = tuple;
        t.remote_port = port;
        seen.insert(timestamp_offset(t, secret));
    }
    EXPECT_GE(seen.size(), 999u);
    EXPECT_NE(timestamp_offset(tuple, secret), timestamp_offset(tuple, {secret[0], ~secret[1]}));
}

// Knowing one's timestamps must not give one's sequence numbers away.
TEST(TimestampOffset, IsNotThePseudorandomPartOfTheSequenceNumber) {
    const uint32_t offset = timestamp_offset(tuple, secret);
    const uint32_t isn = initial_sequence(tuple, secret, Instant::from_ns(0)).value();
    EXPECT_NE(offset, isn);
}

}  // namespace
}  // namespace synfin::tcp
