// The Internet checksum (RFC 1071): sums that can be added in any order, and updated (RFC 1624).
//
// The one's complement sum does not care about byte order as long as all of it is summed in the
// same one, so everything here is summed as it lies in memory and never swapped. Sums of 32-bit
// words are kept in 64 bits, where four thousand million of them fit before a carry is lost;
// folding to 16 bits happens once, at the end.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <synfin/wire/address.hpp>
#include <synfin/wire/bytes.hpp>

namespace synfin::wire {

/// An unfinished sum: words as they lie in memory. Adding two is adding what they stand for, as
/// long as each began at an even offset of what is summed (`at_odd_offset` otherwise).
class PartialSum {
  public:
    constexpr PartialSum() = default;
    explicit constexpr PartialSum(uint64_t value) : value_{value} {}
    /// A word in host order, as it would lie in memory.
    static constexpr PartialSum of16(uint16_t host) { return PartialSum{network_order(host)}; }
    static constexpr PartialSum of32(uint32_t host) { return PartialSum{network_order(host)}; }

    constexpr uint64_t value() const { return value_; }

    friend constexpr PartialSum operator+(PartialSum a, PartialSum b) {
        const uint64_t sum = a.value_ + b.value_;
        return PartialSum{sum + (sum < b.value_ ? 1 : 0)};  // end-around carry
    }
    constexpr PartialSum& operator+=(PartialSum b) { return *this = *this + b; }

    /// The sum in 16 bits, as it lies in memory. A word plus itself with its halves exchanged has
    /// the sum of the halves in its upper half, and the lower one has carried into it.
    [[gnu::always_inline]] constexpr uint16_t folded() const {
        return static_cast<uint16_t>(folded_above() >> 16);
    }
    /// The same in the upper half; what is in the lower one says nothing.
    [[gnu::always_inline]] constexpr uint32_t folded_above() const {
        const auto half = static_cast<uint32_t>((value_ + std::rotr(value_, 32)) >> 32);
        return half + std::rotr(half, 16);
    }
    /// The same bytes, had they stood one byte later: even and odd bytes change places.
    constexpr PartialSum at_odd_offset() const { return PartialSum{swap_bytes(folded())}; }

  private:
    uint64_t value_ = 0;
};

namespace detail {

/// `sum` and all of these. On x86-64 each addition takes the carry of the one before it, which g++
/// does not see in those of PartialSum.
template <typename... Words>
[[gnu::always_inline]] inline PartialSum add_all(PartialSum sum, Words... words) {
#if defined(__x86_64__)
    unsigned long long total = sum.value();
    unsigned char carry = 0;
    ((carry = _addcarry_u64(carry, total, words, &total)), ...);
    return PartialSum{total + carry};
#else
    return (sum + ... + PartialSum{words});
#endif
}

}  // namespace detail

/// Sum of `length` bytes at any alignment; an odd last byte counts as if a zero followed.
PartialSum sum_bytes(const uint8_t* data, size_t length);

/// Copies `length` bytes and returns their sum: one pass over memory instead of two. The two ranges
/// must not overlap.
PartialSum copy_and_sum(uint8_t* to, const uint8_t* from, size_t length);

/// Sum of an IP or TCP header: short, and of whole 32-bit words.
inline PartialSum sum_words(const uint8_t* data, size_t length) {
    uint64_t sum = 0;
    for (size_t i = 0; i < length; i += 4) sum += load_native<uint32_t>(data + i);
    return PartialSum{sum};
}

/// The same for a length that is known when this is compiled, added to `before`.
template <size_t length>
[[gnu::always_inline]] inline PartialSum sum_of(const uint8_t* data, PartialSum before) {
    static_assert(length % 4 == 0);
    return [&]<size_t... n>(std::index_sequence<n...>) {
        if constexpr (length % 8 == 0) {
            return detail::add_all(before, load_native<uint64_t>(data + 8 * n)...);
        } else {
            return detail::add_all(before, load_native<uint64_t>(data + 8 * n)...,
                                   uint64_t{load_native<uint32_t>(data + length - 4)});
        }
    }(std::make_index_sequence<length / 8>{});
}

/// The same alone.
template <size_t length>
[[gnu::always_inline]] inline PartialSum sum_of(const uint8_t* data) {
    return sum_of<length - 4>(data, PartialSum{load_native<uint32_t>(data + length - 4)});
}

/// The checksum field for this sum, to be stored by store_checksum.
[[gnu::always_inline]] constexpr uint16_t finish(PartialSum sum) {
    return static_cast<uint16_t>(~sum.folded_above() >> 16);
}

/// Whether a sum over data that contains its checksum says that the data is right: folded, it would
/// be 0xffff. What folds to that are the multiples of it, but for 0: that is the sum of nothing but
/// zeros, and whose data may be that asks for it. A multiple is what gives a small quotient when
/// multiplied by the inverse of 0xffff modulo 2^64.
[[gnu::always_inline]] constexpr bool is_complete(PartialSum sum) {
    constexpr uint64_t largest_quotient = UINT64_MAX / 0xffff;
    constexpr uint64_t inverse = -largest_quotient;
    static_assert(inverse * 0xffff == 1);
    return sum.value() * inverse <= largest_quotient;
}

/// Stores the finished checksum of `sum` at `at`.
inline void store_checksum(uint8_t* at, PartialSum sum) { store_native(at, finish(sum)); }

/// The sum of the pseudo header that TCP, UDP and ICMPv6 checksums cover (RFC 9293 section 3.1,
/// RFC 8200 section 8.1). `length` is that of the transport header and its payload.
constexpr PartialSum pseudo_header_sum_ipv4(const IpAddress& source, const IpAddress& destination,
                                            uint8_t protocol, uint32_t length) {
    return PartialSum{uint64_t{network_order(source.v4())} + network_order(destination.v4()) +
                      network_order((uint32_t{protocol} << 16) + length)};
}
constexpr PartialSum pseudo_header_sum_ipv6(const IpAddress& source, const IpAddress& destination,
                                            uint8_t protocol, uint32_t length) {
    return PartialSum{network_order(source.high())} + PartialSum{network_order(source.low())} +
           PartialSum{network_order(destination.high())} +
           PartialSum{network_order(destination.low())} +
           PartialSum{uint64_t{network_order(length)} + network_order(uint32_t{protocol})};
}

/// The checksum after a 16-bit word of the data has changed (RFC 1624, equation 3). All three in
/// host order, as load_be16 reads them.
constexpr uint16_t updated_checksum(uint16_t checksum, uint16_t old_word, uint16_t new_word) {
    uint32_t sum = static_cast<uint16_t>(~checksum);
    sum += static_cast<uint16_t>(~old_word);
    sum += new_word;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>(~sum);
}

}  // namespace synfin::wire
