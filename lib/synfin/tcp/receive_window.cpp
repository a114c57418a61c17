// The window that we announce: never shrunk (SHLD-14), never opened by a silly amount (MUST-39).
#include <algorithm>

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

uint32_t receive_buffer_space(const Connection& c, const Environment& env) {
    const Transfer* t = transfer_of(c, env);
    return receive_space(env.profile_of(c), t == nullptr ? 0 : t->unread.bytes.load());
}

uint16_t announce_window(Connection& c, const Environment& env) {
    return move_right_edge(c, env.terms_of(c), receive_buffer_space(c, env));
}

}  // namespace synfin::tcp
