// A hierarchical timing wheel (Varghese, Lauck 1987) over indices that somebody else owns: at most
// one deadline per index, exact to the microsecond.
//
//   level 0   256 slots of 1 us     the 256 us block that `current` stands in
//   level 1   256 slots of 256 us   the rest of its 65.5 ms block
//   level 2   256 slots of 65.5 ms  the rest of its 16.8 s block
//   level 3   256 slots of 16.8 s   the next 35 minutes, as half of a circle
//
//   links_   [ none | 1024 list heads, one per slot | one entry per index ]   12 bytes each
//              entry: prev, next (positions in links_, circular through the head), when (tick)
//   bitmap_  one bit per slot: is its list non-empty?
//
// A tick is a microsecond; the 32-bit `when` is the low part of a 64-bit tick, unambiguous because
// no deadline lies further ahead than `span`. An entry's level is the position of the highest byte
// in which its tick differs from `current`. So on each level all entries lie ahead of `current`,
// those of a lower level lie before those of a higher one, and the next event is the first bit of
// the first level that has one. Standing still is free and a jump over empty time costs the same
// four lookups as a step of one tick. When `current` reaches a slot of a higher level, its entries
// move down (each at most three times in its life); when it reaches one of level 0, they have
// expired.
//
// Invariants: an armed entry is in exactly one list; a bit is set exactly if its list has an entry;
// every tick before `current` has been dealt with; on level 1 and above the slot that `current`
// stands in is empty, unless a budget ran out while it was moved down: then it is finished first.
// Memory that was never written is all zero, and zero means "not armed".
//
// Costs: arm and cancel O(1), touching the entry and its two neighbours. 12 bytes per index, 12 KB
// of heads. Nothing is allocated after construction.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>

#include <synfin/base/assert.hpp>
#include <synfin/base/instant.hpp>
#include <synfin/base/region.hpp>

namespace synfin::timer {

class TimerWheel {
  public:
    /// The furthest deadline, seen from the wheel's present: 35 minutes, so that 32 bits tell
    /// whether one of these moments is before another. One beyond it expires at `span`, early: the
    /// owner looks at its own deadline and arms again.
    static constexpr uint64_t span_us = (uint64_t{1} << 31) - (uint64_t{1} << 24);

    /// For indices 0 .. capacity-1. Memory that no index has used is reserved, not touched.
    TimerWheel(uint32_t capacity, Instant start)
        : links_memory_{(size_t{capacity} + first_entry) * sizeof(Link)},
          links_{static_cast<Link*>(links_memory_.data())},
          capacity_{capacity},
          current_{static_cast<uint64_t>(start.us())} {
        SYNFIN_ASSERT(capacity <= UINT32_MAX - first_entry);
        for (uint32_t head = 1; head < first_entry; ++head) links_[head] = {head, head, 0};
    }

    /// Sets the deadline of `index`, whether it had one or not. Rounded up to a whole microsecond;
    /// a deadline that has passed is due at the next advance().
    void arm(uint32_t index, Instant when) {
        const uint32_t entry = entry_of(index);
        if (links_[entry].next != 0) {
            unlink(entry);
        } else {
            ++size_;
        }
        const uint64_t tick = clamp(when);
        links_[entry].when = static_cast<uint32_t>(tick);
        append(entry, head_for(tick));
    }

    /// Takes the deadline of `index` back, if it has one.
    void cancel(uint32_t index) {
        const uint32_t entry = entry_of(index);
        if (links_[entry].next == 0) return;
        unlink(entry);
        links_[entry].next = 0;
        --size_;
    }

    bool armed(uint32_t index) const { return links_[entry_of(index)].next != 0; }

    /// Whether `index` is armed, and expires at `when_us` (of Instant::us()) or before.
    bool expires_by(uint32_t index, int64_t when_us) const {
        const Link& link = links_[entry_of(index)];
        return link.next != 0 && static_cast<int64_t>(tick_of(link)) <= when_us;
    }

    /// The same for a moment of which only the low 32 bits are known, less than 35 minutes ahead of
    /// the wheel's present, or just passed.
    [[gnu::always_inline]] bool expires_by_low(uint32_t index, uint32_t low_us) const {
        const Link& link = links_[entry_of(index)];
        return link.next != 0 && static_cast<int32_t>(low_us - link.when) >= 0;
    }

    /// When `index` expires. Only for an index that is armed.
    Instant when(uint32_t index) const {
        const Link& link = links_[entry_of(index)];
        SYNFIN_ASSERT(link.next != 0);
        return Instant::from_us(static_cast<int64_t>(tick_of(link)));
    }

    /// How many are armed.
    uint32_t size() const { return size_; }
    uint32_t capacity() const { return capacity_; }

    /// Calls `expired(index)` for what is due at `now`, the earliest tick first and in order of
    /// arming within a tick. The index is no longer armed then; `expired` may arm and cancel
    /// anything, and what it arms for a time that has come is called in turn. One call, or one
    /// entry moved down a level, takes one of `budget`. Returns whether work is left: call again.
    /// `now` earlier than that of a previous call does nothing.
    template <typename Expired>
    bool advance(Instant now, uint32_t budget, Expired&& expired) {
        const uint64_t target = static_cast<uint64_t>(now.us());
        if (target < current_) return false;
        for (;;) {
            const Event event = next_event();
            if (event.head == 0 || event.tick > target) break;
            current_ = event.tick;
            const bool due = event.head < first_head_of_level(1);
            while (links_[event.head].next != event.head) {
                if (budget == 0) return true;
                --budget;
                const uint32_t entry = links_[event.head].next;
                unlink(entry);
                if (due) {
                    links_[entry].next = 0;
                    --size_;
                    expired(entry - first_entry);
                } else {
                    append(entry, head_for(tick_of(links_[entry])));
                }
            }
        }
        // Nothing lies between here and the target, so no entry changes its level by the jump.
        current_ = target;
        return false;
    }

    /// The earliest expiry, or a lower bound for it: a moment at which advance() has work to do.
    /// Exact within 256 us of the present and for a lonely entry. Nothing if none is armed.
    std::optional<Instant> next_due() const {
        const Event event = next_event();
        if (event.head == 0) return std::nullopt;
        // Below a slot that is half moved down there may be earlier ones.
        const Link& head = links_[event.head];
        const bool lonely = head.next == head.prev && (event.tick > current_ || size_ == 1);
        const uint64_t tick = lonely ? tick_of(links_[head.next]) : event.tick;
        return Instant::from_us(static_cast<int64_t>(tick));
    }

    /// How many are armed that no advance() comes to in their time: none, unless something broke an
    /// invariant. What is due and waits for a budget is no such one. Walks all that are armed.
    uint32_t lost() const {
        uint32_t reachable = 0;
        for (uint32_t level = 0; level < levels; ++level) {
            for (uint32_t slot = 0; slot < slots; ++slot) {
                const bool lies_behind = level < levels - 1 && slot < digit(current_, level);
                if (lies_behind || !is_occupied(level, slot)) continue;
                const uint32_t head = first_head_of_level(level) + slot;
                for (uint32_t entry = links_[head].next; entry != head; entry = links_[entry].next)
                    ++reachable;
            }
        }
        return size_ - reachable;
    }

  private:
    static constexpr uint32_t levels = 4;
    static constexpr uint32_t slot_bits = 8;
    static constexpr uint32_t slots = 1u << slot_bits;
    static constexpr uint32_t words = slots / 64;
    static constexpr uint32_t first_entry = 1 + levels * slots;

    struct Link {
        uint32_t prev;
        uint32_t next;  ///< 0: not armed
        uint32_t when;
    };
    static_assert(sizeof(Link) == 12);

    struct Event {
        uint64_t tick;
        uint32_t head;  ///< 0: no event
    };

    static constexpr uint32_t first_head_of_level(uint32_t level) { return 1 + level * slots; }

    [[gnu::always_inline]] uint32_t entry_of(uint32_t index) const {
        SYNFIN_ASSERT(index < capacity_);
        return index + first_entry;
    }

    /// The byte of a tick that chooses the slot on `level`.
    static constexpr uint32_t digit(uint64_t tick, uint32_t level) {
        return static_cast<uint32_t>(tick >> (level * slot_bits)) & (slots - 1);
    }

    uint64_t tick_of(const Link& link) const {
        return current_ + (link.when - static_cast<uint32_t>(current_));
    }

    uint64_t clamp(Instant when) const {
        const int64_t rounded_up = when.ns() / 1000 + (when.ns() % 1000 > 0 ? 1 : 0);
        const uint64_t tick = rounded_up < 0 ? 0 : static_cast<uint64_t>(rounded_up);
        if (tick < current_) return current_;
        return tick - current_ > span_us ? current_ + span_us : tick;
    }

    uint32_t head_for(uint64_t tick) const {
        const uint32_t difference = static_cast<uint32_t>(tick) ^ static_cast<uint32_t>(current_);
        const uint32_t level =
            (static_cast<uint32_t>(std::bit_width(difference | 1)) - 1) / slot_bits;
        return first_head_of_level(level) + digit(tick, level);
    }

    void append(uint32_t entry, uint32_t head) {
        const uint32_t last = links_[head].prev;
        links_[entry].prev = last;
        links_[entry].next = head;
        links_[last].next = entry;
        links_[head].prev = entry;
        const uint32_t slot = head - 1;
        bitmap_[slot / 64] |= uint64_t{1} << (slot % 64);
    }

    void unlink(uint32_t entry) {
        const uint32_t prev = links_[entry].prev;
        const uint32_t next = links_[entry].next;
        links_[prev].next = next;
        links_[next].prev = prev;
        // Both neighbours are the same only if they are the head: the list is empty now.
        if (prev == next) {
            const uint32_t slot = prev - 1;
            bitmap_[slot / 64] &= ~(uint64_t{1} << (slot % 64));
        }
    }

    /// The first occupied slot of `level` at or after `from`; `slots` if there is none.
    uint32_t first_occupied(uint32_t level, uint32_t from) const {
        const uint64_t* map = bitmap_.data() + size_t{level} * words;
        uint32_t word = from / 64;
        uint64_t bits = map[word] & (~uint64_t{0} << (from % 64));
        while (bits == 0) {
            if (++word == words) return slots;
            bits = map[word];
        }
        return word * 64 + static_cast<uint32_t>(std::countr_zero(bits));
    }

    bool is_occupied(uint32_t level, uint32_t slot) const {
        return (bitmap_[size_t{level} * words + slot / 64] >> (slot % 64) & 1) != 0;
    }

    /// The next thing to do: a slot of level 0 that expires, or one above that moves down.
    Event next_event() const {
        if (size_ == 0) return {0, 0};
        // A slot that `current` stands in and that a budget left half moved down comes first.
        for (uint32_t level = levels - 1; level > 0; --level) {
            const uint32_t here = digit(current_, level);
            if (is_occupied(level, here)) return {current_, first_head_of_level(level) + here};
        }
        for (uint32_t level = 0; level < levels; ++level) {
            const uint32_t here = digit(current_, level);
            uint32_t slot = first_occupied(level, here);
            uint64_t ahead = slot - here;
            if (slot == slots) {
                if (level < levels - 1) continue;
                slot = first_occupied(level, 0);  // the top level is a circle
                ahead = slots - here + slot;
            }
            const uint32_t shift = level * slot_bits;
            return {((current_ >> shift) + ahead) << shift, first_head_of_level(level) + slot};
        }
        return {0, 0};
    }

    Region links_memory_;
    Link* links_;
    uint32_t capacity_;
    uint32_t size_ = 0;
    uint64_t current_;  ///< the tick that the wheel stands in: all earlier ones are dealt with
    std::array<uint64_t, size_t{levels} * words> bitmap_{};
};

}  // namespace synfin::timer
