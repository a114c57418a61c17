#include "run.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "option_table.hpp"
#include "units.hpp"

namespace synfin::apps {

void Run::add_client(stack::Worker& worker, const load::ClientConfig& config, load::AddressPlan plan) {
    clients_.push_back({&worker, std::make_unique<load::Client>(config, std::move(plan))});
    worker.set_poller(clients_.back().application.get());
}

void Run::add_server(stack::Worker& worker, const load::ServerConfig& config,
                     const load::ServerContent& content) {
    servers_.push_back({&worker, std::make_unique<load::Server>(config, content)});
    const auto listening = servers_.back().application->listen(worker);
    if (!listening) {
        throw RunError{fmt::format("listening on {} fails: {}", to_string(config.listen[0]),
                                   stack::name(listening.error()))};
    }
    worker.set_poller(servers_.back().application.get());
}

bool Run::clients_finished() const {
    return std::all_of(clients_.begin(), clients_.end(),
                       [](const auto& c) { return c.application->finished(); });
}

bool Run::servers_finished() const {
    return std::all_of(servers_.begin(), servers_.end(),
                       [](const auto& s) { return s.application->finished(); });
}

void Run::watch(const dpdk::Clock& clock, const dpdk::Shutdown& shutdown) {
    const Instant begin = clock.now();
    uint64_t last = 0;
    Instant next = begin + Duration::seconds(1);
    while (!shutdown.requested() && (clients_.empty() || !clients_finished())) {
        shutdown.wait(Duration::milliseconds(20));
        if (clock.now() < next) continue;
        next = next + Duration::seconds(1);
        uint64_t closed = 0;
        for (auto& c : clients_) closed += c.application->statistics().closed;
        fmt::print("{} closed/s\n", format_count(static_cast<double>(closed - last)));
        std::fflush(stdout);
        last = closed;
    }
    for (auto& c : clients_) c.application->stop();
    const Instant limit = clock.now() + grace_ + Duration::seconds(5);
    while (!clients_finished() && !shutdown.immediate() && clock.now() < limit) shutdown.wait(Duration::milliseconds(20));
    for (auto& s : servers_) s.application->stop();
    while (!servers_finished() && !shutdown.immediate() && clock.now() < limit) shutdown.wait(Duration::milliseconds(20));
}

std::string Run::quick_summary() const {
    std::string out;
    for (const auto& c : clients_) {
        const auto& s = c.application->statistics();
        out += fmt::format("opened {} established {} closed {} failed {} reset {} timed_out {} abandoned {} violations {} no_port {} no_room {} p50 {} p99 {} in {}\n",
                           s.opened.load(), s.established.load(), s.closed.load(), s.failed.load(), s.reset.load(), s.timed_out.load(), s.abandoned.load(), s.violations.load(), s.no_port.load(), s.no_room.load(),
                           s.handshake.percentile(50), s.handshake.percentile(99), format_duration(c.application->opening_time()));
        tcp::for_each_counter(c.worker->tcp_counters(), [&](const char* n, const char*, uint64_t v) { if (v) out += fmt::format("  c {} {}\n", n, v); });
        stack::for_each_counter(c.worker->stack_counters(), [&](const char* n, const char*, uint64_t v) { if (v) out += fmt::format("  c {} {}\n", n, v); });
    }
    for (const auto& c : servers_) {
        tcp::for_each_counter(c.worker->tcp_counters(), [&](const char* n, const char*, uint64_t v) { if (v) out += fmt::format("  s {} {}\n", n, v); });
        stack::for_each_counter(c.worker->stack_counters(), [&](const char* n, const char*, uint64_t v) { if (v) out += fmt::format("  s {} {}\n", n, v); });
    }
    return out;
}

void Run::end() {
    for (auto& c : clients_) {
        fmt::print("tw {}\n", c.worker->gauges().time_wait);
        c.worker->clear_time_wait();
        const auto l = c.worker->leaks();
        fmt::print("leaks {} {} {}\n", l.connections, l.buffers, l.timers);
    }
    for (auto& c : servers_) {
        c.worker->clear_time_wait();
        const auto l = c.worker->leaks();
        fmt::print("leaks {} {} {}\n", l.connections, l.buffers, l.timers);
    }
}

}  // namespace synfin::apps
