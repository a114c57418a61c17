// The window that we announce: never shrunk (SHLD-14), never opened by a silly amount (MUST-39).
#include <algorithm>

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

uint32_t space_in(const Profile& profile, const Transfer* t) {
    const uint32_t buffer = profile.receive_buffer_bytes;
    const uint32_t unread = t == nullptr ? 0 : t->unread.bytes.load();
    const uint32_t space = buffer > unread ? buffer - unread : 0;
    const uint32_t clamp = profile.window_clamp;
    return clamp == 0 ? space : std::min(space, clamp);
}

}  // namespace

uint32_t receive_buffer_space(const Connection& c, const Environment& env) {
    return space_in(env.profile_of(c), transfer_of(c, env));
}

uint16_t announce_window(Connection& c, const Environment& env) {
    const Profile& profile = env.profile_of(c);
    const Seq rcv_nxt = c.rcv_nxt;
    const Seq possible = rcv_nxt + space_in(profile, transfer_of(c, env));
    const uint32_t worth_it = std::min<uint32_t>(profile.receive_buffer_bytes / 2, c.mss);
    // Section 3.8.6.2.2: the edge stays until it can move by a segment or half of the buffer.
    Seq edge = c.rcv_edge;
    if (possible.after(edge) && possible.distance_from(edge) >= worth_it) edge = possible;

    const uint32_t window = edge.after(rcv_nxt) ? edge.distance_from(rcv_nxt) : 0;
    // Rounding down would take back what was promised; rounding up promises less than one unit
    // more.
    const uint32_t unit = 1u << c.rcv_scale;
    const uint32_t field = std::min<uint32_t>((window + unit - 1) >> c.rcv_scale, 0xffff);
    c.rcv_edge = later_of(c.rcv_edge, rcv_nxt + (field << c.rcv_scale));
    return static_cast<uint16_t>(field);
}

}  // namespace synfin::tcp
