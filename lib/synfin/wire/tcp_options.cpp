#include <algorithm>

#include <synfin/wire/tcp_options.hpp>

namespace synfin::wire {

namespace {

/// Takes in one option whose `length` lies within the header. Returns false if the length is wrong
/// for its kind.
bool read_option(const uint8_t* at, size_t length, TcpOptions& options) {
    switch (at[0]) {
        case tcp_option::mss:
            if (length != 4) return false;
            options.has_mss = true;
            options.mss = load_be16(at + 2);
            return true;
        case tcp_option::window_scale:
            if (length != 3) return false;
            options.has_window_scale = true;
            options.window_scale = at[2];
            return true;
        case tcp_option::sack_permitted:
            if (length != 2) return false;
            options.sack_permitted = true;
            return true;
        case tcp_option::timestamps:
            if (length != 10) return false;
            options.has_timestamps = true;
            options.ts_value = load_be32(at + 2);
            options.ts_echo = load_be32(at + 6);
            return true;
        case tcp_option::sack: {
            const size_t blocks = (length - 2) / 8;
            if (blocks == 0 || blocks > TcpOptions::max_sack_blocks || length != 2 + 8 * blocks) {
                return false;
            }
            options.sack_count = static_cast<uint8_t>(blocks);
            for (size_t i = 0; i < blocks; ++i) {
                options.sack[i] = {load_be32(at + 2 + 8 * i), load_be32(at + 6 + 8 * i)};
            }
            return true;
        }
        case tcp_option::user_timeout:
            if (length != 4) return false;
            options.has_user_timeout = true;
            options.user_timeout = load_be16(at + 2);
            return true;
        case tcp_option::fast_open: {
            // RFC 7413 section 4.1.1: what has another length is ignored.
            const size_t cookie = length - 2;
            if (cookie % 2 != 0 || (cookie != 0 && cookie < 4) ||
                cookie > TcpOptions::fast_open_bytes_max) {
                return true;
            }
            options.has_fast_open = true;
            options.fast_open_bytes = static_cast<uint8_t>(cookie);
            std::copy_n(at + 2, cookie, options.fast_open_cookie);
            return true;
        }
        default: return true;
    }
}

}  // namespace

bool parse_tcp_options_slowly(std::span<const uint8_t> bytes, TcpOptions& options) {
    for (size_t i = 0; i < bytes.size();) {
        if (bytes[i] == tcp_option::end) return true;
        if (bytes[i] == tcp_option::no_operation) {
            ++i;
            continue;
        }
        const size_t left = bytes.size() - i;
        if (left < 2) return false;
        const size_t length = bytes[i + 1];
        if (length < 2 || length > left || !read_option(&bytes[i], length, options)) return false;
        i += length;
    }
    return true;
}

}  // namespace synfin::wire
