#include "inspect.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <ostream>

#include <fmt/format.h>

namespace synfin::apps {

namespace {

using stack::ConnectionInfo;
using tcp::State;

constexpr std::array<State, tcp::state_count> all_states{
    State::closed,      State::listen,     State::syn_sent,   State::syn_received,
    State::established, State::fin_wait_1, State::fin_wait_2, State::close_wait,
    State::closing,     State::last_ack,   State::time_wait};

bool is_selected(State state, const std::vector<std::string>& wanted) {
    if (wanted.empty()) return true;
    return std::any_of(wanted.begin(), wanted.end(), [&](const std::string& w) {
        if (w == "all") return true;
        if (w == "connected") return state != State::listen && state != State::closed;
        if (w == "synchronized") return tcp::is_synchronized(state);
        return w == name(state);
    });
}

std::string timer_text(const ConnectionInfo& info) {
    const char* name = "";
    switch (info.timer) {
        case ConnectionInfo::Timer::off: return "";
        case ConnectionInfo::Timer::on: name = "on"; break;
        case ConnectionInfo::Timer::keep_alive: name = "keepalive"; break;
        case ConnectionInfo::Timer::time_wait: name = "timewait"; break;
        case ConnectionInfo::Timer::persist: name = "persist"; break;
    }
    const int64_t ms = std::max<int64_t>(info.timer_left.count_ms(), 0);
    const std::string left = ms >= 60'000  ? fmt::format("{}min{}sec", ms / 60'000, ms / 1'000 % 60)
                             : ms >= 1'000 ? fmt::format("{}sec", ms / 1'000)
                                           : fmt::format("{}ms", ms);
    return fmt::format("timer:({},{},{})", name, left, info.backoff);
}

void print_line(std::ostream& out, const char* state, uint32_t receive_queue, uint32_t send_queue,
                const std::string& local, const std::string& remote, const std::string& timer) {
    out << fmt::format("{:<10} {:>6} {:>6} {:>24} {:>24} {}\n", state, receive_queue, send_queue,
                       local, remote, timer);
}

/// A listener of both families is at `*`, as `ss` says it.
std::string listener_text(const wire::SocketAddress& local) {
    const bool both = local.address.is_v6() && local.address.is_unspecified();
    return both ? fmt::format("*:{}", local.port) : to_string(local);
}

void list_connections(const Inspected& inspected, const std::vector<std::string>& states,
                      std::ostream& out) {
    out << fmt::format("{:<10} {:>6} {:>6} {:>24} {:>24} {}\n", "State", "Recv-Q", "Send-Q",
                       "Local Address:Port", "Peer Address:Port", "Timer");
    if (is_selected(State::listen, states)) {
        for (const auto& local : inspected.listeners) {
            print_line(out, name(State::listen), 0, 0, listener_text(local), "*:*", "");
        }
    }
    for (const auto& each : inspected.workers) {
        each.worker->for_each_connection(
            [&](const ConnectionInfo& info) {
                if (!is_selected(info.state, states)) return;
                print_line(out, name(info.state), info.receive_queue_bytes, info.send_queue_bytes,
                           to_string(info.local), to_string(info.remote), timer_text(info));
            },
            inspected.now());
    }
}

void summarize(const Inspected& inspected, std::ostream& out) {
    std::map<State, uint64_t> counts;
    uint64_t total = 0;
    counts[State::listen] = inspected.listeners.size();
    for (const auto& each : inspected.workers) {
        each.worker->for_each_connection(
            [&](const ConnectionInfo& info) {
                ++counts[info.state];
                ++total;
            },
            inspected.now());
    }
    out << fmt::format("TCP: {} connections\n", total);
    for (const State state : all_states) {
        if (state != State::closed)
            out << fmt::format("{:<10} {:>10}\n", name(state), counts[state]);
    }
}

void list_counters(const Inspected& inspected, std::ostream& out) {
    for (const auto& each : inspected.workers) {
        out << fmt::format("# {}\n", each.name);
        const auto print = [&](const char* shown, const char* text, uint64_t value) {
            out << fmt::format("{:<26} {:>14}  {}\n", shown, value, text);
        };
        tcp::for_each_counter(each.worker->tcp_counters(), print);
        stack::for_each_counter(each.worker->stack_counters(), print);
        each.worker->drop_counters().for_each(print);
    }
}

}  // namespace

bool is_known_state(const std::string& state) {
    if (state == "all" || state == "connected" || state == "synchronized") return true;
    return std::any_of(all_states.begin(), all_states.end(),
                       [&](State s) { return state == name(s); });
}

void answer_request(const Inspected& inspected, const std::vector<std::string>& request,
                    std::ostream& out) {
    if (request[0] == "ss") list_connections(inspected, {request.begin() + 1, request.end()}, out);
    if (request[0] == "summary") summarize(inspected, out);
    if (request[0] == "counters") list_counters(inspected, out);
}

}  // namespace synfin::apps
