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
                std::memcmp(entry.bytes.data(), message.data(), entry.length) == 0) {
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
    struct Entry {
        size_t length = SIZE_MAX;  ///< nothing is remembered: no message is so long
        Outcome outcome{};
        std::array<uint8_t, max_bytes> bytes;
    };
    std::array<Entry, 2> entries_;
    size_t next_ = 0;
};

}  // namespace synfin::http
