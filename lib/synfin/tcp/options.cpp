// Which options a segment carries, and how much room is left for data
// (RFC 9293 section 3.7.1, RFC 7323, RFC 2018). What two SYNs agree on is negotiation.hpp's.
#include <algorithm>
#include <bit>

#include <synfin/tcp/internal.hpp>
#include <synfin/tcp/user_timeout.hpp>

namespace synfin::tcp {

namespace {

constexpr uint32_t max_option_bytes = 40;
constexpr uint32_t user_timeout_option_bytes = 4;

}  // namespace

uint8_t window_shift_for(uint32_t buffer_bytes) {
    const int beyond_the_field = static_cast<int>(std::bit_width(buffer_bytes)) - 16;
    return static_cast<uint8_t>(std::clamp<int>(beyond_the_field, 0, max_window_shift));
}

void write_syn_options(const Connection& c, const Environment& env, Instant now,
                       wire::TcpOptions& o) {
    o.has_mss = true;
    o.mss = receive_mss(c, env);
    o.sack_permitted = c.has(Mark::sack_permitted);
    if (c.has(Mark::timestamps)) {
        o.has_timestamps = true;
        o.ts_value = timestamp_clock(c, now);
        o.ts_echo = c.ts_recent;
    }
    if (c.has(Mark::window_scaling)) {
        o.has_window_scale = true;
        o.window_scale = c.rcv_scale;
    }
    if (env.profile_of(c).user_timeout_option) write_user_timeout(c, env, o);
}

void write_user_timeout(const Connection& c, const Environment& env, wire::TcpOptions& o) {
    o.has_user_timeout = true;
    o.user_timeout = encode_user_timeout(env.profile_of(c).advertised_user_timeout);
}

void write_timestamps(const Connection& c, Instant now, wire::TcpOptions& o) {
    if (!c.has(Mark::timestamps)) return;
    o.has_timestamps = true;
    o.ts_value = timestamp_clock(c, now);
    o.ts_echo = c.ts_recent;
}

void write_plain_options(const Connection& c, const Environment& env, Instant now,
                         wire::TcpOptions& o) {
    write_timestamps(c, now, o);
    if (owes_user_timeout(c)) [[unlikely]]
        write_user_timeout(c, env, o);
    if (c.has(Mark::sack_permitted)) {
        const Transfer* t = transfer_of(c, env);
        if (t != nullptr && (t->held != no_index || t->owes_dsack())) {
            const unsigned room = c.has(Mark::timestamps) ? 3 : 4;
            o.sack_count = sack_blocks(*t, env, room, o.sack);
        }
    }
}

uint16_t path_mtu(const Connection& c) {
    return static_cast<uint16_t>(c.mss + header_bytes(is_v6(c)));
}

uint32_t all_option_bytes(const Connection& c, const Transfer& t) {
    uint32_t bytes = agreed_option_bytes(c);
    if (owes_user_timeout(c)) bytes += user_timeout_option_bytes;
    const uint32_t told = uint32_t{t.held_count} + (t.owes_dsack() ? 1 : 0);
    if (c.has(Mark::sack_permitted) && told > 0) {
        bytes += 4 + 8 * std::min(told, (max_option_bytes - bytes - 4) / 8);
    }
    return bytes;
}

}  // namespace synfin::tcp
