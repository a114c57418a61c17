#include <array>

#include <synfin/base/assert.hpp>
#include <synfin/tcp/core.hpp>
#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

constexpr bool counts_as_established(State s) {
    return s == State::established || s == State::close_wait;
}

// RFC 4022 defines its counters by transitions, so this is where they are counted. Most transitions
// count for nothing, and a table says so at once.
struct Counted {
    int8_t curr_estab = 0;
    bool estab_reset = false;
    bool active_open = false;
    bool passive_open = false;
    bool attempt_failed = false;
    bool time_wait = false;
    friend constexpr bool operator==(const Counted&, const Counted&) = default;
};

constexpr Counted counted(State from, State to) {
    const bool was_established = counts_as_established(from);
    const bool is_established = counts_as_established(to);
    const bool was_handshake = from == State::syn_sent || from == State::syn_received;
    return {.curr_estab = static_cast<int8_t>(int{is_established} - int{was_established}),
            .estab_reset = was_established && to == State::closed,
            .active_open = from == State::closed && to == State::syn_sent,
            .passive_open = from == State::listen && to == State::syn_received,
            .attempt_failed = was_handshake && (to == State::closed || to == State::listen),
            .time_wait = to == State::time_wait};
}

/// For each state, which transitions out of it count for anything.
constexpr auto counting_transitions = [] {
    std::array<uint16_t, state_count> table{};
    for (unsigned from = 0; from < state_count; ++from) {
        for (unsigned to = 0; to < state_count; ++to) {
            const bool counts =
                counted(static_cast<State>(from), static_cast<State>(to)) != Counted{};
            if (counts) table[from] |= static_cast<uint16_t>(1u << to);
        }
    }
    return table;
}();

void count_transition(State from, State to, Counters& counters) {
    const unsigned of_from = counting_transitions[static_cast<unsigned>(from)];
    if ((of_from >> static_cast<unsigned>(to) & 1) == 0) return;
    const Counted what = counted(from, to);
    counters.curr_estab += static_cast<uint64_t>(int64_t{what.curr_estab});
    counters.estab_resets += what.estab_reset;
    counters.active_opens += what.active_open;
    counters.passive_opens += what.passive_open;
    counters.attempt_fails += what.attempt_failed;
    counters.time_waits += what.time_wait;
}

}  // namespace

void set_state(Connection& connection, State to, Counters& counters) {
    const State from = connection.state;
    SYNFIN_ASSERT(is_legal_transition(from, to));
    count_transition(from, to, counters);
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
        case Report::prohibited: return "prohibited";
        case Report::time_exceeded: return "time exceeded";
        case Report::parameter_problem: return "parameter problem";
        case Report::protocol_unreachable: return "protocol unreachable";
        case Report::port_unreachable: return "port unreachable";
    }
    return "?";
}

Transfer* transfer_of(const Connection& c, Environment& env) {
    return c.transfer == no_index ? nullptr : &env.transfers.transfers[c.transfer];
}

const Transfer* transfer_of(const Connection& c, const Environment& env) {
    return c.transfer == no_index ? nullptr : &env.transfers.transfers[c.transfer];
}

Transfer* require_transfer(Connection& c, Environment& env) {
    if (c.transfer == no_index) {
        const uint32_t index = env.transfers.transfers.take();
        if (index == no_index) return nullptr;
        Transfer& t = env.transfers.transfers[index];
        t = Transfer{};
        t.recover = c.snd_una.load() - 1;
        t.retransmit_next = t.retransmit_end = c.snd_una;
        c.transfer.publish(index);
    }
    return &env.transfers.transfers[c.transfer];
}

void drop_idle_transfer(Connection& c, Environment& env) {
    Transfer* t = transfer_of(c, env);
    if (t == nullptr) return;
    end_urgent_data(c, *t);
    if (t->urgent_in || !t->unsent_or_unacked.empty() || !t->unread.empty() ||
        t->held != no_index || t->held_fin) {
        return;
    }
    env.transfers.transfers.give_back(c.transfer);
    c.transfer = no_index;
}

void release(Connection& c, Environment& env) {
    Transfer* t = transfer_of(c, env);
    if (t == nullptr) return;
    t->unsent_or_unacked.clear(env.buffers);
    t->unread.clear(env.buffers);
    release_held(*t, env);
    env.transfers.transfers.give_back(c.transfer);
    c.transfer = no_index;
}

uint32_t queued_bytes(const Connection& c, const Environment& env) {
    const Transfer* t = transfer_of(c, env);
    return t == nullptr ? 0 : t->unsent_or_unacked.bytes.load();
}

Seq data_begin(const Connection& c) {
    return c.snd_una.load() + (c.has(Mark::syn_unacked) ? 1 : 0);
}

Seq data_end(const Connection& c, const Environment& env) {
    return data_begin(c) + queued_bytes(c, env);
}

bool fin_acknowledged(const Connection& c) {
    return c.has(Mark::fin_sent) && c.snd_una.load() == c.snd_nxt.load();
}

void check_invariants(const Connection& c, const Environment& env) {
    const Seq una = c.snd_una;
    const Seq nxt = c.snd_nxt;
    SYNFIN_ASSERT(una.at_or_before(nxt));
    SYNFIN_ASSERT(c.rcv_nxt.load().at_or_before(c.rcv_edge));
    if (c.state == State::closed || c.has(Mark::send_reset)) return;

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
    SYNFIN_ASSERT(t->retransmit_next.at_or_before(t->retransmit_end));
    SYNFIN_ASSERT(t->retransmit_end.at_or_before(nxt));
    check_held(*t, c.rcv_nxt, env);
}

}  // namespace synfin::tcp
