// What a change of state counts, and the one place where a state changes. RFC 4022 defines its
// counters by transitions: at most one of them besides CurrEstab.
#pragma once

#include <synfin/base/assert.hpp>
#include <synfin/tcp/connection.hpp>
#include <synfin/tcp/counters.hpp>
#include <synfin/tcp/state.hpp>

namespace synfin::tcp {

struct Transition {
    Count Counters::* counter = nullptr;
    int8_t established = 0;  ///< what becomes of CurrEstab
    bool legal = false;
};

constexpr Transition transition(State from, State to) {
    constexpr auto counts_as_established = [](State s) {
        return s == State::established || s == State::close_wait;
    };
    Transition t;
    t.legal = is_legal_transition(from, to);
    t.established =
        static_cast<int8_t>(int{counts_as_established(to)} - int{counts_as_established(from)});
    if (counts_as_established(from) && to == State::closed) {
        t.counter = &Counters::estab_resets;
    } else if (from == State::closed && to == State::syn_sent) {
        t.counter = &Counters::active_opens;
    } else if (from == State::listen && to == State::syn_received) {
        t.counter = &Counters::passive_opens;
    } else if (is_handshake(from) && (to == State::closed || to == State::listen)) {
        t.counter = &Counters::attempt_fails;
    } else if (to == State::time_wait) {
        t.counter = &Counters::time_waits;
    }
    return t;
}

/// set_state where both states are known when this is compiled.
template <State from, State to>
[[gnu::always_inline]] inline void move_state(Connection& connection, Counters& counters) {
    constexpr Transition t = transition(from, to);
    static_assert(t.legal);
    SYNFIN_ASSERT(connection.state == from);
    if constexpr (t.established != 0) counters.curr_estab += static_cast<uint64_t>(t.established);
    if constexpr (t.counter != nullptr) ++(counters.*t.counter);
    connection.state = to;
}

}  // namespace synfin::tcp
