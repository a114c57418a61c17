// A keyed hash of 16 bytes, for tables that are searched by what others choose and for numbers that
// others see: whoever does not know the key can neither make two messages collide more often than
// chance does nor foresee a result.
//
// AES-128 where the processor has instructions for it (aes.hpp): a block of AES is a pseudorandom
// permutation, so half of it is as good a function as there is, and with a fifth of the
// instructions of SipHash. All of its ten rounds: nobody vouches for fewer. SipHash-2-4 elsewhere.
// Both know the same key, so a run from a seed is the same on all processors of one kind.
#pragma once

#include <cstddef>
#include <cstdint>

#include <synfin/base/aes.hpp>
#include <synfin/base/siphash.hpp>

namespace synfin {

class HashKey {
  public:
    constexpr HashKey() : HashKey{0, 0} {}
    constexpr HashKey(uint64_t first, uint64_t second) : HashKey{SipKey{first, second}} {}
    // What is seen of one hash must not help against the other: AES has a key of its own.
    constexpr HashKey(const SipKey& key)
        : sip_{key},
          aes_{{SipHash24::of_16_bytes(key, of_aes, 1), SipHash24::of_16_bytes(key, of_aes, 2)}} {}

    /// For messages of other lengths.
    constexpr operator const SipKey&() const { return sip_; }
    constexpr uint64_t operator[](size_t half) const { return sip_[half]; }

    /// 64 uniform bits for two words.
    uint64_t hash(uint64_t first, uint64_t second) const {
#if defined(__x86_64__)
        if (Aes128::available()) [[likely]]
            return hash_by_aes(first, second);
#endif
        return hash_by_siphash(first, second);
    }

#if defined(__x86_64__)
    /// hash() where AES is available, for functions that have seen to that.
    SYNFIN_USES_AES uint64_t hash_by_aes(uint64_t first, uint64_t second) const {
        return aes_.encrypt({first, second}).first;
    }
    /// The same of both words side by side.
    SYNFIN_USES_AES uint64_t hash_by_aes(__m128i words) const {
        return static_cast<uint64_t>(_mm_cvtsi128_si64(aes_.encrypt(words)));
    }
#endif
    uint64_t hash_by_siphash(uint64_t first, uint64_t second) const {
        return SipHash24::of_16_bytes(sip_, first, second);
    }

  private:
    static constexpr uint64_t of_aes = 0x6165'73;

    SipKey sip_;
    Aes128 aes_;
};

}  // namespace synfin
