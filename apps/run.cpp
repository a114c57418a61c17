#include "run.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "option_table.hpp"

namespace synfin::apps {

using namespace synfin::literals;

namespace {

/// For as many the memory of the ports is taken before the run begins: 34 MB.
constexpr uint64_t ready_scopes = 2048;

}  // namespace

Run::Run(const dpdk::Clock& clock, const dpdk::Shutdown& shutdown, Duration grace)
    : clock_{clock}, shutdown_{shutdown}, grace_{grace} {
    inspected_.now = [&clock] { return clock.now(); };
}

void Run::add_client(stack::Worker& worker, const load::WorkerTime& time,
                     const load::ClientConfig& config, load::AddressPlan plan) {
    worker.touch_tables();
    worker.touch_ports(std::min(plan.pair_count(), ready_scopes));
    if (config.first == load::First::client) worker.touch_time_wait();
    clients_.push_back({&worker, &time, std::make_unique<load::Client>(config, std::move(plan))});
    worker.set_poller(clients_.back().application.get());
    inspected_.workers.push_back({fmt::format("client {}", clients_.size() - 1), &worker});
}

void Run::add_server(stack::Worker& worker, const load::WorkerTime& time,
                     const load::ServerConfig& config, const load::ServerContent& content,
                     bool closes_first) {
    worker.touch_tables();
    if (closes_first) worker.touch_time_wait();
    servers_.push_back({&worker, &time, std::make_unique<load::Server>(config, content)});
    load::Server& server = *servers_.back().application;
    const auto listening = server.listen(worker);
    if (!listening) {
        throw RunError{fmt::format("listening on {} fails: {}", to_string(config.listen[0]),
                                   stack::name(listening.error()))};
    }
    worker.set_poller(&server);
    inspected_.workers.push_back({fmt::format("server {}", servers_.size() - 1), &worker});
    if (servers_.size() == 1) inspected_.listeners = config.listen;
}

bool Run::clients_finished() const {
    return std::all_of(clients_.begin(), clients_.end(),
                       [](const auto& c) { return c.application->finished(); });
}

bool Run::servers_finished() const {
    return std::all_of(servers_.begin(), servers_.end(),
                       [](const auto& s) { return s.application->finished(); });
}

bool Run::is_over(Duration duration) const {
    if (shutdown_.requested() || !conflict_at_begin_.empty()) return true;
    if (!clients_.empty()) return clients_finished();
    return duration != Duration{} && clock_.now() - begin_ >= duration;
}

load::Sample Run::sample() const {
    load::Sample sample;
    for (const auto& c : clients_) {
        sample.add(c.application->statistics());
        sample.add_packets(*c.worker);
    }
    // In a pair the clients tell of connections and packets; the servers' would be the same again.
    for (const auto& s : servers_) {
        if (clients_.empty()) {
            sample.add(s.application->statistics());
            sample.add_packets(*s.worker);
        }
        sample.add_retransmissions(*s.worker);
    }
    for (const auto& c : clients_) sample.add_retransmissions(*c.worker);
    return sample;
}

void Run::print_line() {
    auto now = std::make_unique<load::Sample>(sample());
    const Instant moment = clock_.now();
    fmt::print("{}\n",
               load::live_line(*last_sample_, *now, moment - begin_, moment - next_line_ + 1_s));
    std::fflush(stdout);
    last_sample_ = std::move(now);
    next_line_ = moment + 1_s;
}

// Whoever has the address answers for it within a second (RFC 4862 section 5.1, RFC 5227). Later
// the other host is the newcomer, and what is open here may go on.
void Run::look_for_conflicts() {
    constexpr Duration begin = 2_s;
    uint64_t conflicts = 0;
    std::optional<stack::AddressConflict> last;
    const auto look_at = [&](const stack::Worker& worker) {
        const uint64_t count = worker.stack_counters().duplicate_addresses;
        conflicts += count;
        if (count > 0) last = worker.last_address_conflict();
    };
    for (const auto& c : clients_) look_at(*c.worker);
    for (const auto& s : servers_) look_at(*s.worker);
    if (conflicts == std::exchange(conflicts_, conflicts) || !last) return;
    const std::string sentence =
        fmt::format("{} is also the address of another host on the link, {}",
                    wire::to_string(last->address), wire::to_string(last->other));
    if (clock_.now() - begin_ < begin) {
        conflict_at_begin_ = sentence + "; give one of the two another address";
    } else {
        fmt::print(stderr, "synfin: {}: what is sent to it may go there\n", sentence);
    }
}

void Run::expect_own_addresses() const {
    if (!conflict_at_begin_.empty()) throw RunError{conflict_at_begin_};
}

void Run::wait_for_end(bool (Run::*finished)() const) {
    // The applications keep the grace period themselves; this only guards against a thread that
    // does not get to run.
    const Instant limit = clock_.now() + grace_ + 10_s;
    while (!(this->*finished)() && clock_.now() < limit) {
        if (shutdown_.immediate()) {
            for (auto& c : clients_) c.application->stop_at_once();
            for (auto& s : servers_) s.application->stop_at_once();
        }
        shutdown_.wait(5_ms);
    }
}

void Run::watch(Duration duration) {
    control_ = std::make_unique<ControlServer>(
        [this](const std::vector<std::string>& request, std::ostream& out) {
            answer_request(inspected_, request, out);
        });
    begin_ = clock_.now();
    next_line_ = begin_ + 1_s;
    last_sample_ = std::make_unique<load::Sample>();
    while (!is_over(duration)) {
        shutdown_.wait(10_ms);
        look_for_conflicts();
        if (clock_.now() < next_line_) continue;
        print_line();
    }
    for (auto& c : clients_) c.application->stop();
    wait_for_end(&Run::clients_finished);
    for (auto& s : servers_) s.application->stop();
    wait_for_end(&Run::servers_finished);
    end_ = clock_.now();
    control_.reset();
}

load::Result Run::finish(load::RunInfo info) {
    load::Result result;
    result.run = std::move(info);
    result.run.seconds = (end_ - begin_).count_seconds();
    if (!clients_.empty()) {
        result.client.emplace();
        result.client_side.emplace();
        for (auto& c : clients_) {
            load::add(*result.client, c.application->statistics());
            result.client_side->add(*c.worker, *c.time);
        }
        result.run.seconds = static_cast<double>(result.client->measured.ns) / 1e9;
    }
    if (!servers_.empty()) {
        result.server.emplace();
        result.server_side.emplace();
        for (auto& s : servers_) {
            load::add(*result.server, s.application->statistics());
            result.server_side->add(*s.worker, *s.time);
        }
    }
    for (const auto& each : clients_) {
        each.worker->clear_time_wait();
        result.leaks.add(each.worker->leaks());
    }
    for (const auto& each : servers_) {
        each.worker->clear_time_wait();
        result.leaks.add(each.worker->leaks());
    }
    return result;
}

int report(const load::Result& result, const std::string& json_file) {
    fmt::print("\n{}", load::to_text(result));
    if (!json_file.empty()) {
        std::ofstream file{json_file};
        file << load::to_json(result).dump(2) << "\n";
        if (!file.flush())
            throw RunError{fmt::format("the result cannot be written to {}", json_file)};
    }
    return load::clean(result) ? 0 : 1;
}

}  // namespace synfin::apps
