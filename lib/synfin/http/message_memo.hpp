// The fast path of both parsers: a message that is, byte for byte, one that was read a moment ago.
//
// What a parser makes of a message follows from its bytes alone if it begins at the start of one
// and the message ends where the input ends. A load generator and its server see the same few
// messages all the time, so comparing them with the last two that were read saves reading them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace synfin::http {

/// `Outcome`: what was read out of a message.
template <typename Outcome>
class MessageMemo {
  public:
    /// Longer ones are not remembered.
    static constexpr size_t max_bytes = 2048;

    /// What was remembered for exactly these bytes; nullptr if nothing was.
    const Outcome* find(std::span<const uint8_t> message) const {
        for (const Entry& entry : entries_) {
            if (entry.length == message.size() &&
                are_same(entry.bytes.data(), message.data(), entry.length)) {
                return &entry.outcome;
            }
        }
        return nullptr;
    }

    /// In place of the older of two. The message was read from its first byte to its last in one
    /// piece.
    void remember(std::span<const uint8_t> message, const Outcome& outcome) {
        if (message.size() > max_bytes) return;
        Entry& entry = entries_[next_];
        next_ = (next_ + 1) % entries_.size();
        std::copy(message.begin(), message.end(), entry.bytes.begin());
        entry.length = message.size();
        entry.outcome = outcome;
    }

  private:
    /// Without a call, which would cost the caller what it holds in registers: most messages are
    /// short.
    [[gnu::always_inline]] static bool are_same(const uint8_t* a, const uint8_t* b, size_t length) {
#if defined(__AVX2__)
        const auto difference_at = [&](size_t at) {
            return _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(a + at)),
                                    _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + at)));
        };
        constexpr size_t block = sizeof(__m256i);
        if (length >= block) [[likely]] {
            __m256i difference = difference_at(length - block);  // and what overlaps
            for (size_t at = 0; at < length - block; at += block)
                difference = _mm256_or_si256(difference, difference_at(at));
            return _mm256_testz_si256(difference, difference) != 0;
        }
        for (size_t at = 0; at < length; ++at) {
            if (a[at] != b[at]) return false;
        }
        return true;
#else
        return std::memcmp(a, b, length) == 0;
#endif
    }

    struct Entry {
        size_t length = SIZE_MAX;  ///< nothing is remembered: no message is so long
        Outcome outcome{};
        std::array<uint8_t, max_bytes> bytes;
    };
    std::array<Entry, 2> entries_;
    size_t next_ = 0;
};

}  // namespace synfin::http
