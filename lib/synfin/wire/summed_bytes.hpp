// Bytes with their sum (checksum.hpp), for who sends the same ones again and again: then a segment
// that carries all of them needs them copied, but not summed.
#pragma once

#include <cstdint>
#include <span>

#include <synfin/wire/checksum.hpp>

namespace synfin::wire {

struct SummedBytes {
    std::span<const uint8_t> bytes;
    /// Folded, in host order; 0: not known. Only zeros have that sum, and those are summed again.
    uint16_t sum = 0;

    SummedBytes() = default;
    SummedBytes(std::span<const uint8_t> of, uint16_t known_sum = 0) : bytes{of}, sum{known_sum} {}
    static SummedBytes of(std::span<const uint8_t> bytes) {
        return {bytes, network_order(sum_bytes(bytes.data(), bytes.size()).folded())};
    }
};

}  // namespace synfin::wire
