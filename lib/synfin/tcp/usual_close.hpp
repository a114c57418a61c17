// The fast path of CLOSE: the end of what is open, or has been ended by the peer, and has been
// read.
//
// Whatever differs is left to close_in_general. So this file decides nothing: what it closes, that
// would close in the same way.
//
// Inline, and without a call in it: so the caller need not save registers for any.
#pragma once

#include <synfin/tcp/internal.hpp>
#include <synfin/tcp/transition.hpp>

namespace synfin::tcp {

/// If this is usual, the connection is closed; else nothing is done.
[[gnu::always_inline]] inline bool close_if_usual(Connection& c, Environment& env) {
    constexpr uint32_t send_closed = static_cast<uint32_t>(Mark::send_closed);
    constexpr uint32_t detached = static_cast<uint32_t>(Mark::detached);
    if (c.has_any(detached | send_closed | static_cast<uint32_t>(Mark::send_reset))) return false;
    // Nothing is unread in a plain transfer.
    if (c.transfer != no_index && !env.transfers.transfers[c.transfer].plain) return false;
    if (c.state == State::established) {
        move_state<State::established, State::fin_wait_1>(c, env.counters);
    } else if (c.state == State::close_wait) {
        move_state<State::close_wait, State::last_ack>(c, env.counters);
    } else {
        return false;
    }
    c.flags |= detached | send_closed;
    return true;
}

}  // namespace synfin::tcp
