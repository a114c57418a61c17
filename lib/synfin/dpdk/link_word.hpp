// What passes through an in-process link: one word per frame, the buffer and the frame's length.
//
// So neither side touches the buffer's descriptor: it stays as the pool has left it, and its cache
// line stays where it is. The bytes begin where those of an empty buffer do.
#pragma once

#include <bit>
#include <cstdint>

#include <rte_mbuf.h>

#include <synfin/base/assert.hpp>

namespace synfin::dpdk {

class LinkWord {
  public:
    LinkWord(rte_mbuf* buffer, uint32_t length)
        : bits_{std::bit_cast<uintptr_t>(buffer) << length_bits | length} {
        SYNFIN_ASSERT(length >> length_bits == 0);
    }
    /// As it lies in an rte_ring.
    explicit LinkWord(void* stored) : bits_{std::bit_cast<uintptr_t>(stored)} {}
    void* stored() const { return std::bit_cast<void*>(bits_); }

    rte_mbuf* buffer() const { return std::bit_cast<rte_mbuf*>(bits_ >> length_bits); }
    uint32_t length() const { return static_cast<uint32_t>(bits_ & ((1u << length_bits) - 1)); }

  private:
    /// A user's addresses have 47 bits.
    static constexpr unsigned length_bits = 16;
    uintptr_t bits_;
};

}  // namespace synfin::dpdk
