// What all files say of a connection: changes of its state, the transfer behind it, names for the
// user, and the invariants that hold between two events.
#include <array>

#include <synfin/base/assert.hpp>
#include <synfin/tcp/core.hpp>
#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

constexpr auto transitions = [] {
    std::array<std::array<Transition, state_count>, state_count> table{};
    for (unsigned from = 0; from < state_count; ++from) {
        for (unsigned to = 0; to < state_count; ++to) {
            table[from][to] = transition(static_cast<State>(from), static_cast<State>(to));
        }
    }
    return table;
}();

}  // namespace

void set_state(Connection& connection, State to, Counters& counters) {
    const State from = connection.state;
    const Transition& t = transitions[static_cast<unsigned>(from)][static_cast<unsigned>(to)];
    SYNFIN_ASSERT(t.legal);
    if (t.established != 0) counters.curr_estab += static_cast<uint64_t>(t.established);
    if (t.counter != nullptr) ++(counters.*t.counter);
    connection.state = to;
}

const char* name(CloseReason reason) {
    switch (reason) {
        case CloseReason::none: return "none";
        case CloseReason::finished: return "finished";
        case CloseReason::refused: return "refused";
        case CloseReason::reset: return "reset";
        case CloseReason::timed_out: return "timed out";
        case CloseReason::aborted: return "aborted";
        case CloseReason::unreachable: return "unreachable";
        case CloseReason::no_resources: return "no resources";
    }
    return "?";
}

const char* name(Report report) {
    switch (report) {
        case Report::none: return "none";
        case Report::retrying: return "the peer does not answer";
        case Report::network_unreachable: return "network unreachable";
        case Report::host_unreachable: return "host unreachable";
        case Report::source_route_failed: return "source route failed";
        case Report::network_prohibited: return "network prohibited";
        case Report::host_prohibited: return "prohibited";
        case Report::time_exceeded: return "time exceeded";
        case Report::parameter_problem: return "parameter problem";
        case Report::protocol_unreachable: return "protocol unreachable";
        case Report::port_unreachable: return "port unreachable";
    }
    return "?";
}

namespace {

void give_back_transfer(Connection& c, Environment& env) {
    Transfer& t = env.transfers.transfers[c.transfer];
    t.flight.end(env.transfers.flights);
    if (t.model != no_index) env.transfers.models.give_back(t.model);
    env.transfers.transfers.give_back(c.transfer);
    c.transfer = no_index;
}

}  // namespace

// The compiler would clear another one on the stack first, and copy it field by field.
void Transfer::renew() {
    static constinit const Transfer fresh{};
    become(*this, fresh);
}

[[gnu::noinline]] void account_for_fin_in_flight(const Connection& c, Transfer& t,
                                                 Environment& env) {
    const uint32_t timeout_us = backed_off_rto_us(c, env.terms_of(c));
    t.flight.append(c.snd_nxt, c.retransmit_deadline_us - timeout_us, 0, env.transfers.flights);
}

Transfer* require_transfer(Connection& c, Environment& env) {
    Transfer* const t = require_usual_transfer(c, env);
    if (t != nullptr) t->plain = false;
    return t;
}

void restart_flight(const Connection& c, Transfer& t, Environment& env) {
    t.small_end = c.snd_una;
    t.flight.restart(c.snd_una, env.transfers.flights);
    account_for_fin(c, t, env);
}

void drop_transfer_if_idle(Connection& c, Transfer& t, Environment& env) {
    end_urgent_data(c, t);
    if (t.urgent_in || !t.unsent_or_unacked.empty() || !t.unread.empty() || t.held != no_index ||
        t.held_fin || t.owes_dsack() || t.mark_change_count != 0 || t.model != no_index) {
        return;
    }
    // A recovery whose rest is the FIN goes on without its bookkeeping.
    if (t.recovery.phase == Recovery::Phase::fast) c.cwnd = c.ssthresh;
    give_back_transfer(c, env);
}

// Nearly all have given it back before they end.
[[gnu::noinline]] void release(Connection& c, Environment& env) {
    Transfer* t = transfer_of(c, env);
    if (t == nullptr) return;
    t->unsent_or_unacked.clear(env.buffers);
    t->unread.clear(env.buffers);
    if (t->held != no_index) release_held(*t, env);
    give_back_transfer(c, env);
}

void check_invariants(const Connection& c, const Environment& env) {
    const Seq una = c.snd_una;
    const Seq nxt = c.snd_nxt;
    SYNFIN_ASSERT(una.at_or_before(nxt));
    SYNFIN_ASSERT(c.rcv_nxt.load().at_or_before(c.rcv_edge));
    if (c.state == State::closed || c.has(Mark::send_reset)) return;
    SYNFIN_ASSERT(c.has(Mark::syn_unacked) || is_synchronized(c.state));

    const Seq end = data_end(c, env);
    if (c.has(Mark::fin_sent)) {
        SYNFIN_ASSERT(c.has(Mark::send_closed));
        SYNFIN_ASSERT(fin_acknowledged(c) || nxt == end + 1);
    } else if (!(c.has(Mark::syn_unacked) && nxt == una)) {
        SYNFIN_ASSERT(nxt.at_or_before(end));
    }
    // What is in flight is guarded by a timer.
    if (una != nxt && c.state != State::time_wait) SYNFIN_ASSERT(c.has(Mark::retransmit_armed));

    const Transfer* t = transfer_of(c, env);
    if (t == nullptr) return;
    if (!c.has(Mark::syn_unacked)) t->flight.check(una, nxt, env.transfers.flights);
    SYNFIN_ASSERT(t->recovery.duplicate_bytes + t->flight.lost_bytes() <= nxt.distance_from(una));
    // The text of a crossing SYN waits for the handshake alone, without a hole before it.
    check_held(*t, c.rcv_nxt.load() - (c.has(Mark::syn_unacked) ? 1u : 0u), env);
}

}  // namespace synfin::tcp
