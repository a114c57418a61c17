// The fuzz target's entry function over frames that are nearly right, from a fixed seed: what a
// fuzzer would find in its first minute is found by each run of the tests.
#include <array>
#include <random>

#include <gtest/gtest.h>

#include <synfin/wire/icmp6.hpp>

#include "frames.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace synfin::wire {
namespace {

using namespace test;

std::vector<Bytes> good_frames() {
    const Bytes syn_options = from_hex("020405b40402080a00564a2a0000000001030307");
    const Bytes sack_options = from_hex("0101080a00000001000000020101050a0000000100000009");
    const Bytes text{'G', 'E', 'T', ' ', '/'};
    Bytes echo{8, 0, 0, 0, 0, 1, 0, 2, 3};
    put16(echo, 2, naive_checksum(echo));
    const Bytes inner = ipv4_tcp();
    Bytes error = Bytes{3, 4, 0, 0, 0, 0, 5, 0} + Bytes(inner.begin() + 14, inner.end());
    put16(error, 2, naive_checksum(error));
    Bytes solicitation(32);
    write_neighbor_solicitation(solicitation.data(), *parse_ip_address("2001:db8::1"),
                                MacAddress{{2, 0, 0, 0, 0, 1}}, *parse_ip_address("2001:db8::2"),
                                *parse_ip_address("2001:db8::1"));
    Bytes neighbor = ipv6_frame(58, solicitation);
    neighbor[ip_at + 7] = 255;
    Bytes tagged = ipv4_tcp(syn_options);
    tagged.insert(tagged.begin() + 12, {0x81, 0x00, 0x20, 0x05});
    Bytes fragment = ipv4_frame(6, Bytes(48));
    put16(fragment, ip_at + 6, 0x2003);
    return {ipv4_tcp(),
            sealed_ipv4(fragment),
            ipv6_tcp({}, Bytes(44), {6, 0, 0, 1, 0, 0, 0, 9}, 44),
            ipv4_tcp(syn_options),
            ipv4_tcp(sack_options, text),
            ipv4_tcp({1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}, text) + Bytes(9),
            ipv4_frame(6, tcp_segment({}, text), Bytes(12, 1)),
            ipv6_tcp(syn_options),
            ipv6_tcp({}, text, {60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0}, 0),
            ipv6_tcp({}, {}, {6, 0, 4, 0, 0, 0, 0, 0}, 43),
            ipv4_frame(17, Bytes(20)),
            ipv4_frame(1, echo),
            ipv4_frame(1, error),
            neighbor,
            tagged,
            ethernet(0x0806) + Bytes{0, 1, 8, 0, 6, 4, 0, 1} + peer_mac + Bytes{198, 18, 0, 2} +
                Bytes(6) + Bytes{198, 18, 0, 1}};
}

/// A control byte, then a good frame with a few bytes changed, cut, grown or swapped for another's.
Bytes mutated(const std::vector<Bytes>& frames, std::mt19937_64& random) {
    Bytes input = Bytes{static_cast<uint8_t>(random())} + frames[random() % frames.size()];
    const size_t changes = random() % 6;
    for (size_t i = 0; i < changes; ++i) {
        const size_t at = random() % input.size();
        switch (random() % 6) {
            case 0: input[at] = static_cast<uint8_t>(random()); break;
            case 1: input[at] ^= static_cast<uint8_t>(1u << random() % 8); break;
            case 2: input[at] = std::array<uint8_t, 4>{0, 1, 0x7f, 0xff}[random() % 4]; break;
            case 3: input.resize(1 + at); break;
            case 4: input = input + Bytes(random() % 40, static_cast<uint8_t>(random())); break;
            default: {
                const Bytes& other = frames[random() % frames.size()];
                for (size_t j = at; j < std::min(other.size(), at + 8) && j < input.size(); ++j) {
                    input[j] = other[j];
                }
            }
        }
    }
    return input;
}

TEST(Mutation, EveryFrameIsParsedSafelyAndEverySegmentSurvivesBeingWrittenAgain) {
    const std::vector<Bytes> frames = good_frames();
    std::array<size_t, static_cast<size_t>(PacketKind::other) + 1> kinds{};
    std::array<size_t, drop_count> drops{};
    std::mt19937_64 random{20240607};
    for (int i = 0; i < 200'000; ++i) {
        const Bytes input = mutated(frames, random);
        const auto exact = std::make_unique<uint8_t[]>(input.size());
        std::copy(input.begin(), input.end(), exact.get());
        LLVMFuzzerTestOneInput(exact.get(), input.size());
        Packet packet;
        parse_frame(std::span{exact.get(), input.size()}.subspan(1),
                    {.ip = (input[0] & 1) != 0, .tcp = (input[0] & 2) != 0}, packet);
        ++kinds[static_cast<size_t>(packet.kind)];
        ++drops[static_cast<size_t>(packet.drop)];
    }
    // The run is worth its name only if it has been everywhere.
    for (const size_t count : kinds) EXPECT_GT(count, 500u);
    for (size_t i = 0; i < drop_count; ++i) {
        EXPECT_GT(drops[i], 0u) << name(static_cast<Drop>(i));
    }
}

}  // namespace
}  // namespace synfin::wire
