// SipHash (Aumasson, Bernstein 2012): a hash that nobody without the key can predict or collide.
//
// SipHash-2-4 is the version with the published margin: for what an attacker sees the output of
// (initial sequence numbers, cookies). SipHash-1-3 has fewer rounds: for tables, whose hashes never
// leave the process. Both in the 64-bit form, inline, because a call costs as much as the rounds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace synfin {

/// 128 bits of secret.
using SipKey = std::array<uint64_t, 2>;

/// The state between blocks, for callers that know the length of what they hash. The last block
/// holds the remaining 0..7 bytes and, in its top byte, the length of the message modulo 256.
template <unsigned compression_rounds, unsigned finalization_rounds>
class SipHash {
  public:
    explicit constexpr SipHash(const SipKey& key)
        : v0_{key[0] ^ 0x736f6d6570736575},
          v1_{key[1] ^ 0x646f72616e646f6d},
          v2_{key[0] ^ 0x6c7967656e657261},
          v3_{key[1] ^ 0x7465646279746573} {}

    constexpr void block(uint64_t m) {
        v3_ ^= m;
        for (unsigned i = 0; i < compression_rounds; ++i) round();
        v0_ ^= m;
    }

    constexpr uint64_t finish(uint64_t last_block) {
        block(last_block);
        v2_ ^= 0xff;
        for (unsigned i = 0; i < finalization_rounds; ++i) round();
        return v0_ ^ v1_ ^ v2_ ^ v3_;
    }

    /// The hash of a message of any length.
    static constexpr uint64_t of(const SipKey& key, std::span<const uint8_t> message) {
        SipHash state{key};
        size_t at = 0;
        for (; at + 8 <= message.size(); at += 8) state.block(load(message.subspan(at, 8)));
        return state.finish(load(message.subspan(at)) | uint64_t{message.size()} << 56);
    }

    /// The same for a message of 12 bytes: a little-endian 64-bit word and one whose high half is
    /// zero.
    static constexpr uint64_t of_12_bytes(const SipKey& key, uint64_t first, uint64_t second) {
        SipHash state{key};
        state.block(first);
        return state.finish(second | uint64_t{12} << 56);
    }

    /// The same for a message of 16 bytes: two little-endian 64-bit words.
    static constexpr uint64_t of_16_bytes(const SipKey& key, uint64_t first, uint64_t second) {
        SipHash state{key};
        state.block(first);
        state.block(second);
        return state.finish(uint64_t{16} << 56);
    }

  private:
    static constexpr uint64_t load(std::span<const uint8_t> up_to_8_bytes) {
        uint64_t word = 0;
        unsigned shift = 0;
        for (uint8_t byte : up_to_8_bytes) {
            word |= uint64_t{byte} << shift;
            shift += 8;
        }
        return word;
    }

    static constexpr void rotate(uint64_t& word, unsigned bits) {
        word = (word << bits) | (word >> (64 - bits));
    }

    constexpr void round() {
        v0_ += v1_;
        rotate(v1_, 13);
        v1_ ^= v0_;
        rotate(v0_, 32);
        v2_ += v3_;
        rotate(v3_, 16);
        v3_ ^= v2_;
        v0_ += v3_;
        rotate(v3_, 21);
        v3_ ^= v0_;
        v2_ += v1_;
        rotate(v1_, 17);
        v1_ ^= v2_;
        rotate(v2_, 32);
    }

    uint64_t v0_, v1_, v2_, v3_;
};

using SipHash24 = SipHash<2, 4>;
using SipHash13 = SipHash<1, 3>;

}  // namespace synfin
