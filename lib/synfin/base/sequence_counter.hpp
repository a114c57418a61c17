// A sequence counter beside data that one thread writes and any thread reads: the reader learns
// whether what it has read belongs together. The writer never waits and never does an atomic
// read-modify-write; a reader that was disturbed reads again.
//
//   writer                                     reader
//     counter.begin_write()   odd                do before = counter.begin_read()
//     data = ...              Relaxed                copy = data                    Relaxed
//     counter.end_write()     even, grown        while (!counter.still(before))
//
// The data are Relaxed fields, so no access is a data race whatever the order; the fences give the
// order. They are instructions on AArch64 and cost nothing on x86-64. ThreadSanitizer does not
// model fences and needs none here, since all the data are atomic.
//
// 32 bits wrap after 2^31 writes, and the 24 above a byte of the owner's after 2^23; a reader would
// have to sleep through exactly as many, between two instructions, to be deceived.
#pragma once

#include <atomic>
#include <cstdint>

#include <synfin/base/relaxed.hpp>

namespace synfin {

namespace detail {
inline void fence([[maybe_unused]] std::memory_order order) {
#if defined(__SANITIZE_THREAD__)
    std::atomic_signal_fence(std::memory_order_seq_cst);
#else
    std::atomic_thread_fence(order);
#endif
}
}  // namespace detail

/// Counts in the bits above the `beside` lowest, which hold a number of the owner's.
template <unsigned beside>
class SequenceCounterAbove {
    static_assert(beside < 32);

  public:
    // ---- the owner

    void begin_write() {
        detail::add_in_place(value_, one);
        detail::fence(std::memory_order_release);
    }
    void end_write() {
        detail::add_in_place<__ATOMIC_RELEASE>(value_, one);
        // What the owner writes from here on (an object that it has just taken out of a table, say)
        // must not be seen before the counter.
        detail::fence(std::memory_order_release);
    }

    /// The number in the lowest bits, which the owner alone may ask for.
    uint32_t number() const { return __atomic_load_n(&value_, __ATOMIC_RELAXED) & (one - 1); }
    /// Adds to it. The sum must stay within its bits. To a reader that is a write like any other.
    void add_to_number(int32_t delta) {
        detail::add_in_place(value_, static_cast<uint32_t>(delta));
    }

    // ---- any thread

    /// Waits out a write in progress (a few instructions of the writer, unless it was preempted).
    uint32_t begin_read() const {
        uint32_t value = __atomic_load_n(&value_, __ATOMIC_ACQUIRE);
        while ((value & one) != 0) value = __atomic_load_n(&value_, __ATOMIC_ACQUIRE);
        return value;
    }
    /// Whether nothing was written since begin_read() returned `before`.
    bool still(uint32_t before) const {
        detail::fence(std::memory_order_acquire);
        return __atomic_load_n(&value_, __ATOMIC_RELAXED) == before;
    }

  private:
    static constexpr uint32_t one = 1u << beside;

    uint32_t value_ = 0;
};

using SequenceCounter = SequenceCounterAbove<0>;

}  // namespace synfin
