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

/// Whether figure 5 of RFC 9293 (with its notes) or an abort leads from one to the other: CLOSED is
/// reachable from all states, by RST, by abort, by giving up; FIN_WAIT_1 leads to TIME_WAIT at once
/// when one segment carries the peer's FIN and the ACK of ours.
constexpr bool is_legal_transition(State from, State to) {
    const auto to_any_of = [to](auto... successors) { return ((to == successors) || ...); };
    using enum State;
    switch (from) {
        case closed: return to_any_of(listen, syn_sent);
        case listen: return to_any_of(syn_received, syn_sent, closed);
        case syn_sent: return to_any_of(syn_received, established, closed);
        case syn_received: return to_any_of(established, fin_wait_1, listen, closed);
        case established: return to_any_of(fin_wait_1, close_wait, closed);
        case fin_wait_1: return to_any_of(fin_wait_2, closing, time_wait, closed);
        case fin_wait_2: return to_any_of(time_wait, closed);
        case close_wait: return to_any_of(last_ack, closed);
        case closing: return to_any_of(time_wait, closed);
        case last_ack: return to_any_of(closed);
        case time_wait: return to_any_of(closed);
    }
    return false;
}

constexpr bool is_handshake(State s) { return s == State::syn_sent || s == State::syn_received; }
/// ESTABLISHED and later: both sides know both initial sequence numbers.
constexpr bool is_synchronized(State s) { return s >= State::established; }
/// The peer's FIN has not been taken yet, so payload may still come.
constexpr bool can_receive(State s) {
    return s == State::established || s == State::fin_wait_1 || s == State::fin_wait_2;
}

}  // namespace synfin::tcp
