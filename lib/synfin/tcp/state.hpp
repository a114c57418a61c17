// The eleven states of RFC 9293 section 3.3.2.
#pragma once

#include <cstdint>

namespace synfin::tcp {

enum class State : uint8_t {
    closed,
    listen,
    syn_sent,
    syn_received,
    established,
    fin_wait_1,
    fin_wait_2,
    close_wait,
    closing,
    last_ack,
    time_wait,
};
inline constexpr unsigned state_count = 11;

/// The name as `ss` prints it: `ESTAB`, `SYN-SENT`, `FIN-WAIT-1`, ...
const char* name(State state);

/// Whether figure 5 of RFC 9293 (with its notes) or an abort leads from one to the other.
bool is_legal_transition(State from, State to);

/// ESTABLISHED and later: both sides know both initial sequence numbers.
constexpr bool is_synchronized(State s) { return s >= State::established; }
/// The peer's FIN has not been taken yet, so payload may still come.
constexpr bool can_receive(State s) {
    return s == State::established || s == State::fin_wait_1 || s == State::fin_wait_2;
}

}  // namespace synfin::tcp
