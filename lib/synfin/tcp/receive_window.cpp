// The window that we announce: never shrunk (SHLD-14), never opened by a silly amount (MUST-39).
#include <algorithm>

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

uint32_t receive_buffer_space(const Connection& c, const Environment& env) {
    const Transfer* t = transfer_of(c, env);
    return receive_space(env.profile_of(c), t == nullptr ? 0 : t->unread.bytes.load());
}

uint16_t announce_window(Connection& c, const Environment& env) {
    const uint32_t space = receive_buffer_space(c, env);
    const Seq rcv_nxt = c.rcv_nxt;
    const uint32_t promised = c.rcv_edge.distance_from(rcv_nxt);
    const uint32_t half = env.profile_of(c).receive_buffer_bytes / 2;
    // Section 3.8.6.2.2: the edge stays until it can move by a segment or half of the buffer.
    // Nobody sends small segments because of a window that is still half of the buffer: it stays as
    // large as it was.
    uint32_t window = promised;
    if (space > promised &&
        (promised >= half || space - promised >= std::min<uint32_t>(half, c.mss))) {
        window = space;
    }
    const uint32_t announced = whole_units(window, c.rcv_scale);
    c.rcv_edge = rcv_nxt + std::max(promised, announced);
    return static_cast<uint16_t>(announced >> c.rcv_scale);
}

}  // namespace synfin::tcp
