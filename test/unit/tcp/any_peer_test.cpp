// The fuzz target's entry function over bytes from fixed seeds: what a fuzzer would find in its
// first minute is found by each run of the tests.
#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <vector>

#include <gtest/gtest.h>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace synfin::tcp {
namespace {

/// An active open whose SYN is answered, in the target's words: two bytes choose the profile, one
/// the side, one the event; a segment whose ACK and window are right, and its number and flags.
constexpr std::array<uint8_t, 5> handshake{1, 15, 0x06, 0x00, 0x12};

std::vector<uint8_t> drawn_story(std::mt19937_64& random) {
    std::vector<uint8_t> bytes(20 + random() % 600);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    if (random() % 2 == 0) std::copy(handshake.begin(), handshake.end(), bytes.begin() + 2);
    return bytes;
}

// The target asserts what is promised.
TEST(AnyPeer, NoneMakesAConnectionBreakItsPromises) {
    std::mt19937_64 random{20};
    for (int story = 0; story < 20'000; ++story) {
        const std::vector<uint8_t> bytes = drawn_story(random);
        EXPECT_EQ(LLVMFuzzerTestOneInput(bytes.data(), bytes.size()), 0);
    }
}

}  // namespace
}  // namespace synfin::tcp
