#include <array>

#include <synfin/tcp/state.hpp>

namespace synfin::tcp {

const char* name(State state) {
    switch (state) {
        case State::closed: return "UNCONN";
        case State::listen: return "LISTEN";
        case State::syn_sent: return "SYN-SENT";
        case State::syn_received: return "SYN-RECV";
        case State::established: return "ESTAB";
        case State::fin_wait_1: return "FIN-WAIT-1";
        case State::fin_wait_2: return "FIN-WAIT-2";
        case State::close_wait: return "CLOSE-WAIT";
        case State::closing: return "CLOSING";
        case State::last_ack: return "LAST-ACK";
        case State::time_wait: return "TIME-WAIT";
    }
    return "?";
}

namespace {

constexpr uint16_t bit(State s) { return static_cast<uint16_t>(1u << static_cast<unsigned>(s)); }

// For each state, the states that figure 5 leads to. CLOSED is reachable from all: by RST, by
// abort, by giving up. FIN_WAIT_1 leads to TIME_WAIT at once when one segment carries the peer's
// FIN and the ACK of ours.
constexpr std::array<uint16_t, state_count> successors = {
    /* closed       */ bit(State::listen) | bit(State::syn_sent),
    /* listen       */ bit(State::syn_received) | bit(State::syn_sent) | bit(State::closed),
    /* syn_sent     */ bit(State::syn_received) | bit(State::established) | bit(State::closed),
    /* syn_received */
    bit(State::established) | bit(State::fin_wait_1) | bit(State::listen) | bit(State::closed),
    /* established  */ bit(State::fin_wait_1) | bit(State::close_wait) | bit(State::closed),
    /* fin_wait_1   */
    bit(State::fin_wait_2) | bit(State::closing) | bit(State::time_wait) | bit(State::closed),
    /* fin_wait_2   */ bit(State::time_wait) | bit(State::closed),
    /* close_wait   */ bit(State::last_ack) | bit(State::closed),
    /* closing      */ bit(State::time_wait) | bit(State::closed),
    /* last_ack     */ bit(State::closed),
    /* time_wait    */ bit(State::closed),
};

}  // namespace

bool is_legal_transition(State from, State to) {
    return (successors[static_cast<unsigned>(from)] & bit(to)) != 0;
}

}  // namespace synfin::tcp
