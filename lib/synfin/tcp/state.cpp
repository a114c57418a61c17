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

}  // namespace synfin::tcp
