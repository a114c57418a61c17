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
    return move_right_edge(c, env.profile_of(c), receive_buffer_space(c, env));
}

}  // namespace synfin::tcp
