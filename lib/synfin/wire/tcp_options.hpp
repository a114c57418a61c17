// TCP options (RFC 9293 section 3.2, RFC 7323, RFC 2018): the parser and the writer.
#pragma once

#include <cstdint>
#include <span>

#include <synfin/wire/bytes.hpp>
#include <synfin/wire/checksum.hpp>
#include <synfin/wire/tcp_fields.hpp>

namespace synfin::wire {

namespace tcp_option {
inline constexpr uint8_t end = 0;
inline constexpr uint8_t no_operation = 1;
inline constexpr uint8_t mss = 2;
inline constexpr uint8_t window_scale = 3;
inline constexpr uint8_t sack_permitted = 4;
inline constexpr uint8_t sack = 5;
inline constexpr uint8_t timestamps = 8;
inline constexpr uint8_t user_timeout = 28;
inline constexpr uint8_t fast_open = 34;
}  // namespace tcp_option

/// The words that options begin with where each is brought to a multiple of four bytes by NOPs in
/// front of it; the values stand in the bits that are zero, or in the words behind.
namespace tcp_option_word {
inline constexpr uint32_t mss = 0x02040000;
inline constexpr uint32_t window_scale = 0x01030300;
inline constexpr uint32_t timestamps = 0x0101080a;
inline constexpr uint32_t sack_permitted = 0x01010402;
inline constexpr uint32_t sack_permitted_timestamps = 0x0402080a;  ///< in place of the NOPs
inline constexpr uint32_t sack = 0x01010500;
inline constexpr uint32_t user_timeout = 0x1c040000;
}  // namespace tcp_option_word

inline constexpr size_t tcp_options_bytes_max = 40;

/// Reads `bytes`, at most 40, into `options`. Unknown options are skipped (MUST-6). Returns false
/// if an option's length is illegal: 0, 1, beyond the header, or wrong for its kind (MUST-7). Of an
/// option that comes twice, the last counts. Values are reported as received.
bool parse_tcp_options_slowly(std::span<const uint8_t> bytes, TcpOptions& options);

/// The same, quick for the two layouts that nearly all segments have: none, and NOP NOP timestamps.
inline bool parse_tcp_options(std::span<const uint8_t> bytes, TcpOptions& options) {
    options = TcpOptions{};
    if (bytes.empty()) return true;
    if (bytes.size() == 12 && load_be32(bytes.data()) == tcp_option_word::timestamps) [[likely]] {
        options.has_timestamps = true;
        options.ts_value = load_be32(bytes.data() + 4);
        options.ts_echo = load_be32(bytes.data() + 8);
        return true;
    }
    return parse_tcp_options_slowly(bytes, options);
}

/// What the writer has written.
struct WrittenOptions {
    size_t length = 0;  ///< bytes
    PartialSum sum;     ///< of these bytes
};

// Whole words (tcp_option_word), so every layout ends where the header ends: no END is needed, and
// with it no padding after END (MUST-69). Each word is stored and summed while it is in a register.
// The order is the one that Linux has, because that is the one that everything on the way has seen.

namespace detail {
constexpr size_t fixed_options_length(const TcpOptions& options) {
    return (options.has_mss ? 4u : 0u) + (options.has_timestamps ? 12u : 0u) +
           (options.sack_permitted && !options.has_timestamps ? 4u : 0u) +
           (options.has_window_scale ? 4u : 0u) + (options.has_user_timeout ? 4u : 0u) +
           (options.has_fast_open ? (options.fast_open_bytes + 5u) / 4 * 4 : 0u);
}
}  // namespace detail

/// How many SACK blocks of `options` fit beside its other options.
constexpr uint8_t sack_blocks_that_fit(const TcpOptions& options) {
    if (options.sack_count == 0) return 0;
    const size_t room = (tcp_options_bytes_max - detail::fixed_options_length(options) - 4) / 8;
    return options.sack_count < room ? options.sack_count : static_cast<uint8_t>(room);
}

/// How many bytes write_tcp_options takes: a multiple of 4, at most 40.
constexpr size_t tcp_options_length(const TcpOptions& options) {
    const size_t blocks = sack_blocks_that_fit(options);
    return detail::fixed_options_length(options) + (blocks != 0 ? 4 + 8 * blocks : 0);
}

/// Writes `options` at `out`, which must have room for tcp_options_length. SACK blocks that do not
/// fit beside the other options are left out.
inline WrittenOptions write_tcp_options(uint8_t* out, const TcpOptions& options) {
    uint8_t* at = out;
    uint64_t sum = 0;
    const auto put = [&](uint32_t host_order) {
        const uint32_t word = network_order(host_order);
        store_native(at, word);
        sum += word;
        at += 4;
    };
    namespace word = tcp_option_word;
    if (options.has_mss) put(word::mss | options.mss);
    if (options.has_timestamps) {
        put(options.sack_permitted ? word::sack_permitted_timestamps : word::timestamps);
        put(options.ts_value);
        put(options.ts_echo);
    } else if (options.sack_permitted) {
        put(word::sack_permitted);
    }
    if (options.has_window_scale) put(word::window_scale | options.window_scale);
    if (options.has_user_timeout) [[unlikely]]
        put(word::user_timeout | options.user_timeout);
    if (options.has_fast_open) [[unlikely]] {
        // Two NOPs in front where the length needs them.
        uint8_t bytes[4 + TcpOptions::fast_open_bytes_max] = {1, 1};
        const size_t length = size_t{2} + options.fast_open_bytes;
        const size_t begin = length % 4 == 0 ? 0 : 2;
        bytes[begin] = tcp_option::fast_open;
        bytes[begin + 1] = static_cast<uint8_t>(length);
        for (size_t i = 0; i < options.fast_open_bytes; ++i) {
            bytes[begin + 2 + i] = options.fast_open_cookie[i];
        }
        for (size_t i = 0; i < begin + length; i += 4) put(load_be32(bytes + i));
    }
    if (const uint32_t blocks = sack_blocks_that_fit(options); blocks != 0) {
        put(word::sack | (2 + 8 * blocks));
        for (uint32_t i = 0; i < blocks; ++i) {
            put(options.sack[i].left);
            put(options.sack[i].right);
        }
    }
    return {static_cast<size_t>(at - out), PartialSum{sum}};
}

}  // namespace synfin::wire
