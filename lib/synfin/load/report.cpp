#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <synfin/load/report.hpp>

namespace synfin::load {

namespace {

using nlohmann::json;

double ratio(uint64_t numerator, uint64_t denominator) {
    return denominator == 0 ? 0.0
                            : static_cast<double>(numerator) / static_cast<double>(denominator);
}

double per_second(uint64_t count, double seconds) {
    return seconds > 0 ? static_cast<double>(count) / seconds : 0.0;
}

double microseconds(uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1000.0; }

json latency(const Histogram& histogram) {
    return {{"count", histogram.count()},
            {"mean", histogram.mean() / 1000.0},
            {"p50", microseconds(histogram.percentile(0.5))},
            {"p90", microseconds(histogram.percentile(0.9))},
            {"p99", microseconds(histogram.percentile(0.99))},
            {"p999", microseconds(histogram.percentile(0.999))},
            {"max", microseconds(histogram.max())}};
}

json connections(const Result& result) {
    if (!result.client) {
        const ServerStatistics& s = result.server.value();
        return {{"opened", s.accepted.load()},
                {"established", s.accepted.load()},
                {"closed", s.closed.load()},
                {"failed", s.failed.load()},
                {"reset", s.reset.load()},
                {"timed_out", s.timed_out.load()},
                {"abandoned", s.abandoned.load()},
                {"per_second", per_second(s.accepted, result.run.seconds)}};
    }
    const ClientStatistics& c = *result.client;
    return {{"opened", c.opened.load()},
            {"established", c.established.load()},
            {"closed", c.closed.load()},
            {"failed", c.failed.load()},
            {"reset", c.reset.load()},
            {"timed_out", c.timed_out.load()},
            {"abandoned", c.abandoned.load()},
            {"violations", c.violations.load()},
            {"missed", c.missed.load()},
            {"no_port", c.no_port.load()},
            {"no_room", c.no_room.load()},
            {"unreachable", c.unreachable.load()},
            {"held", c.were_held.load()},
            {"per_second", per_second(c.measured.closed, result.run.seconds)}};
}

/// The connections that a side's work is divided by.
uint64_t connection_count(const Result& result) {
    return result.client ? result.client->opened : result.server.value().accepted;
}

json number_or_null(const std::optional<SideTotals>& side, uint64_t SideTotals::* field) {
    return side ? json((*side).*field) : json(nullptr);
}

json packets(const Result& result) {
    const SideTotals& one = result.client_side ? *result.client_side : result.server_side.value();
    return {{"client_tx", number_or_null(result.client_side, &SideTotals::transmitted)},
            {"client_rx", number_or_null(result.client_side, &SideTotals::received)},
            {"server_tx", number_or_null(result.server_side, &SideTotals::transmitted)},
            {"server_rx", number_or_null(result.server_side, &SideTotals::received)},
            {"per_connection", ratio(one.transmitted + one.received, connection_count(result))}};
}

json cycles(const Result& result, const std::optional<SideTotals>& side) {
    return side ? json(ratio(side->time.busy_cycles, connection_count(result))) : json(nullptr);
}

json stalls(const std::optional<SideTotals>& side) {
    if (!side) return nullptr;
    return {{"count", side->time.stalls.load()},
            {"us", microseconds(side->time.stalled_ns)},
            {"longest_us", microseconds(side->time.longest_stall_ns)},
            {"share", ratio(side->time.stalled_ns, side->time.ns)}};
}

json tcp_counters(const std::optional<SideTotals>& side) {
    return side ? json(side->tcp) : json(nullptr);
}

json held_in_time_wait(const Result& result) {
    return {{"client", number_or_null(result.client_side, &SideTotals::time_wait)},
            {"server", number_or_null(result.server_side, &SideTotals::time_wait)}};
}

/// 1234567 -> 1.23M: three digits that matter, for a line that people watch.
std::string short_number(double value) {
    constexpr const char* units[] = {"", "k", "M", "G"};
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < std::size(units)) {
        value /= 1000;
        ++unit;
    }
    const int decimals = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    return fmt::format("{:.{}f}{}", value, decimals, units[unit]);
}

/// 1234567 -> 1,234,567
std::string grouped(uint64_t value) {
    const std::string digits = std::to_string(value);
    std::string text;
    for (size_t i = 0; i < digits.size(); ++i) {
        if (i > 0 && (digits.size() - i) % 3 == 0) text.push_back(',');
        text.push_back(digits[i]);
    }
    return text;
}

std::string short_time(uint64_t nanoseconds) {
    const auto ns = static_cast<double>(nanoseconds);
    if (ns < 1e3) return fmt::format("{:.0f} ns", ns);
    if (ns < 1e6) return fmt::format("{:.1f} us", ns / 1e3);
    if (ns < 1e9) return fmt::format("{:.2f} ms", ns / 1e6);
    return fmt::format("{:.2f} s", ns / 1e9);
}

std::string latency_line(const char* what, const Histogram& h) {
    if (h.count() == 0) return {};
    return fmt::format("  {:<11} p50 {:>9}   p90 {:>9}   p99 {:>9}   p99.9 {:>9}   max {:>9}\n",
                       what, short_time(h.percentile(0.5)), short_time(h.percentile(0.9)),
                       short_time(h.percentile(0.99)), short_time(h.percentile(0.999)),
                       short_time(h.max()));
}

/// `, 3 reset` for each that is not zero.
std::string exceptions(std::initializer_list<std::pair<uint64_t, const char*>> counts) {
    std::string text;
    for (const auto& [count, what] : counts) {
        if (count > 0) text += fmt::format(", {} {}", grouped(count), what);
    }
    return text;
}

std::string client_text(const ClientStatistics& c) {
    std::string text = fmt::format("connections\n  {} opened, {} established, {} closed{}\n",
                                   grouped(c.opened), grouped(c.established), grouped(c.closed),
                                   exceptions({{c.failed, "failed"},
                                               {c.reset, "reset"},
                                               {c.timed_out, "timed out"},
                                               {c.abandoned, "abandoned"},
                                               {c.violations, "events out of order"}}));
    if (c.were_held > 0) {
        text += fmt::format("  {} of them were held until the end\n", grouped(c.were_held));
    }
    if (c.requests > 0) {
        text += fmt::format("  {} requests, {} responses complete and right\n", grouped(c.requests),
                            grouped(c.responses));
    }
    if (c.missed > 0) {
        text += fmt::format("  {} starts missed: the rate was more than could be opened\n",
                            grouped(c.missed));
    }
    if (c.no_port > 0) {
        text += fmt::format(
            "  {} times no local port was free: more source addresses are needed, "
            "or a shorter 2MSL\n",
            grouped(c.no_port));
    }
    if (c.no_room > 0) {
        text +=
            fmt::format("  {} times the limit on connections was reached\n", grouped(c.no_room));
    }
    if (c.unreachable > 0) {
        text += fmt::format("  {} times there was no way to the target\n", grouped(c.unreachable));
    }
    text += "latency\n";
    text += latency_line("handshake", c.handshake);
    text += latency_line("first byte", c.first_byte);
    text += latency_line("close", c.close);
    return text;
}

std::string server_text(const ServerStatistics& s) {
    std::string text =
        fmt::format("server\n  {} accepted, {} closed{}\n", grouped(s.accepted), grouped(s.closed),
                    exceptions({{s.reset, "reset by their peers"},
                                {s.timed_out, "timed out"},
                                {s.failed, "failed"},
                                {s.abandoned, "abandoned"}}));
    if (s.requests + s.refused_requests > 0) {
        text += fmt::format("  {} requests answered{}\n", grouped(s.requests),
                            exceptions({{s.refused_requests, "refused"}}));
    }
    return text;
}

std::string side_text(const char* name, const SideTotals& side, uint64_t connection_count) {
    const auto counter = [&](const char* which) {
        const auto place = side.tcp.find(which);
        return place == side.tcp.end() ? uint64_t{0} : place->second;
    };
    std::string text = fmt::format(
        "  {:<7} {} packets out, {} in, {:.0f} cycles per connection, {} retransmissions, {} in "
        "TIME_WAIT at the end",
        name, grouped(side.transmitted), grouped(side.received),
        ratio(side.time.busy_cycles, connection_count), grouped(counter("RetransSegs")),
        grouped(side.time_wait));
    if (const uint64_t early = counter("TCPTimeWaitOverflow"); early > 0) {
        text += fmt::format(", {} left it before 2MSL was over (--max-time-wait)", grouped(early));
    }
    if (const WorkerTime& time = side.time; time.stalls > 0) {
        text += fmt::format(", away for {:.1f} % of the time in {} stalls, the longest {}",
                            100 * ratio(time.stalled_ns, time.ns), grouped(time.stalls),
                            short_time(time.longest_stall_ns));
    }
    return text + "\n";
}

}  // namespace

// ---- collecting

void SideTotals::add(const stack::Worker& worker, const WorkerTime& worker_time) {
    transmitted += worker.stack_counters().frames_out;
    received += worker.stack_counters().frames_in;
    load::add(time, worker_time);
    time_wait += worker.gauges().time_wait;
    tcp::for_each_counter(worker.tcp_counters(), [this](const char* name, const char*,
                                                        uint64_t value) { tcp[name] += value; });
}

void Leaks::add(const stack::Worker::Leaks& of_worker) {
    connections += of_worker.connections;
    buffers += of_worker.buffers;
    timers += of_worker.timers;
}

void add(WorkerTime& sum, const WorkerTime& part) {
    sum.ns += part.ns;
    sum.busy_cycles += part.busy_cycles;
    sum.stalls += part.stalls;
    sum.stalled_ns += part.stalled_ns;
    sum.longest_stall_ns = std::max(sum.longest_stall_ns.load(), part.longest_stall_ns.load());
}

void add(ClientStatistics& sum, const ClientStatistics& part) {
    sum.opened += part.opened;
    sum.established += part.established;
    sum.closed += part.closed;
    sum.failed += part.failed;
    sum.reset += part.reset;
    sum.timed_out += part.timed_out;
    sum.abandoned += part.abandoned;
    sum.concurrent += part.concurrent;
    sum.held += part.held;
    sum.were_held += part.were_held;
    sum.violations += part.violations;
    sum.missed += part.missed;
    sum.no_port += part.no_port;
    sum.no_room += part.no_room;
    sum.unreachable += part.unreachable;
    sum.requests += part.requests;
    sum.responses += part.responses;
    sum.body_bytes += part.body_bytes;
    sum.measured.ns = std::max(sum.measured.ns.load(), part.measured.ns.load());
    sum.measured.closed += part.measured.closed;
    sum.measured.responses += part.measured.responses;
    sum.measured.body_bytes += part.measured.body_bytes;
    sum.handshake.merge(part.handshake);
    sum.first_byte.merge(part.first_byte);
    sum.close.merge(part.close);
}

void add(ServerStatistics& sum, const ServerStatistics& part) {
    sum.accepted += part.accepted;
    sum.closed += part.closed;
    sum.reset += part.reset;
    sum.timed_out += part.timed_out;
    sum.failed += part.failed;
    sum.abandoned += part.abandoned;
    sum.concurrent += part.concurrent;
    sum.requests += part.requests;
    sum.refused_requests += part.refused_requests;
    sum.bytes_in += part.bytes_in;
    sum.bytes_out += part.bytes_out;
}

// ---- the end

json to_json(const Result& result) {
    const ClientStatistics none;
    const ClientStatistics& client = result.client ? *result.client : none;
    json report = {
        {"tool", result.run.tool},
        {"version", result.run.version},
        {"mode", result.run.mode},
        {"link", result.run.link},
        {"steering", result.run.steering},
        {"notes", result.run.notes},
        {"seconds", result.run.seconds},
        {"connections", connections(result)},
        {"packets", packets(result)},
        {"latency_us",
         {{"handshake", latency(client.handshake)},
          {"first_byte", latency(client.first_byte)},
          {"close", latency(client.close)}}},
        {"cycles_per_connection",
         {{"client", cycles(result, result.client_side)},
          {"server", cycles(result, result.server_side)}}},
        {"stalls",
         {{"client", stalls(result.client_side)}, {"server", stalls(result.server_side)}}},
        {"time_wait", held_in_time_wait(result)},
        {"leaks",
         {{"connections", result.leaks.connections},
          {"buffers", result.leaks.buffers},
          {"timers", result.leaks.timers}}},
        {"tcp",
         {{"client", tcp_counters(result.client_side)},
          {"server", tcp_counters(result.server_side)}}},
        {"problems", problems(result)},
    };
    if (result.client) {
        report["requests"] = {
            {"sent", client.requests.load()},
            {"answered", client.responses.load()},
            {"body_bytes", client.body_bytes.load()},
            {"per_second", per_second(client.measured.responses, result.run.seconds)},
            {"body_bytes_per_second", per_second(client.measured.body_bytes, result.run.seconds)}};
    }
    if (result.server) {
        const ServerStatistics& s = *result.server;
        report["server"] = {
            {"accepted", s.accepted.load()}, {"closed", s.closed.load()},
            {"reset", s.reset.load()},       {"timed_out", s.timed_out.load()},
            {"failed", s.failed.load()},     {"abandoned", s.abandoned.load()},
            {"requests", s.requests.load()}, {"refused_requests", s.refused_requests.load()},
            {"bytes_in", s.bytes_in.load()}, {"bytes_out", s.bytes_out.load()}};
    }
    return report;
}

std::string to_text(const Result& result) {
    const RunInfo& run = result.run;
    const uint64_t rate_of =
        result.client ? result.client->measured.closed : result.server.value().accepted;
    std::string text = fmt::format(
        "\n{} {}: {} over {}, {:.2f} s, {} connections/s\n", run.tool, run.version, run.mode,
        run.link, run.seconds, grouped(static_cast<uint64_t>(per_second(rate_of, run.seconds))));
    if (result.client) text += client_text(*result.client);
    if (result.server) text += server_text(*result.server);
    text += "work\n";
    const uint64_t count = connection_count(result);
    if (result.client_side) text += side_text("client", *result.client_side, count);
    if (result.server_side) text += side_text("server", *result.server_side, count);
    text += "conditions\n";
    if (!run.steering.empty()) text += fmt::format("  steering: {}\n", run.steering);
    for (const std::string& note : run.notes) text += fmt::format("  {}\n", note);
    text += fmt::format("left behind: {} connections, {} buffers, {} timers\n",
                        result.leaks.connections, result.leaks.buffers, result.leaks.timers);
    const std::vector<std::string> found = problems(result);
    if (found.empty()) {
        text += result.client ? "every connection went through its whole life in order\n" : "";
    } else {
        text += "NOT CLEAN\n";
        for (const std::string& problem : found) text += fmt::format("  {}\n", problem);
    }
    return text;
}

std::vector<std::string> problems(const Result& result) {
    std::vector<std::string> found;
    const auto expect_none = [&](uint64_t count, const char* what) {
        if (count > 0) found.push_back(fmt::format("{} {}", grouped(count), what));
    };
    const auto expect_equal = [&](uint64_t a, const char* what_a, uint64_t b, const char* what_b) {
        if (a != b) {
            found.push_back(
                fmt::format("{} {}, but {} {}", grouped(a), what_a, grouped(b), what_b));
        }
    };
    if (result.client) {
        const ClientStatistics& c = *result.client;
        if (c.opened == 0) found.emplace_back("no connection was opened");
        expect_equal(c.opened, "connections were opened", c.closed,
                     "went through their whole life in order");
        expect_none(c.failed, "connections failed");
        expect_none(c.reset, "connections were reset by the peer");
        expect_none(c.timed_out, "connections timed out");
        expect_none(c.abandoned, "connections were still open when the grace period was over");
        expect_none(c.concurrent, "connections are unaccounted for");
        expect_none(c.violations, "events were out of order or responses wrong");
        expect_none(c.unreachable, "connections could not be begun: no way leads to the target");
        expect_equal(c.requests, "requests were sent", c.responses, "were answered right");
    }
    if (result.client && result.server) {
        const ServerStatistics& s = *result.server;
        expect_equal(result.client->established, "connections were established at the client",
                     s.accepted, "at the server");
        expect_equal(result.client->responses, "responses were read", s.requests,
                     "requests were served");
        expect_equal(result.client_resets ? s.reset : s.closed,
                     result.client_resets ? "connections were reset at the server"
                                          : "connections were closed at the server",
                     s.accepted, "were accepted");
    }
    expect_none(result.leaks.connections, "connections leaked");
    expect_none(result.leaks.buffers, "buffers leaked");
    expect_none(result.leaks.timers, "timers leaked");
    return found;
}

// ---- while it runs

void Sample::add(const ClientStatistics& statistics) {
    opened += statistics.opened;
    closed += statistics.closed;
    concurrent += statistics.concurrent;
    failures += statistics.failed + statistics.reset + statistics.timed_out + statistics.abandoned;
    missed += statistics.missed;
    handshake.merge(statistics.handshake);
}

void Sample::add(const ServerStatistics& statistics) {
    opened += statistics.accepted;
    closed += statistics.closed;
    concurrent += statistics.concurrent;
    failures += statistics.failed + statistics.reset + statistics.timed_out + statistics.abandoned;
}

void Sample::add_packets(const stack::Worker& worker) {
    packets += worker.stack_counters().frames_in + worker.stack_counters().frames_out;
}

void Sample::add_retransmissions(const stack::Worker& worker) {
    retransmissions += worker.tcp_counters().retrans_segs;
}

std::string live_line(const Sample& before, const Sample& now, Duration elapsed,
                      Duration interval) {
    const double seconds = interval.count_seconds();
    const auto rate = [&](uint64_t from, uint64_t to) {
        return short_number(per_second(to - std::min(from, to), seconds));
    };
    std::string line = fmt::format("{:>4.0f} s  opened/s {:>6}  closed/s {:>6}  concurrent {:>6}",
                                   elapsed.count_seconds(), rate(before.opened, now.opened),
                                   rate(before.closed, now.closed),
                                   short_number(static_cast<double>(now.concurrent)));
    if (now.handshake.count() > 0) {
        line += fmt::format("  handshake p50 {:>9} p99 {:>9}",
                            short_time(percentile_between(before.handshake, now.handshake, 0.5)),
                            short_time(percentile_between(before.handshake, now.handshake, 0.99)));
    }
    line += fmt::format("  packets/s {:>6}  retransmissions {}  failures {}",
                        rate(before.packets, now.packets),
                        now.retransmissions - std::min(before.retransmissions, now.retransmissions),
                        now.failures - std::min(before.failures, now.failures));
    if (now.missed > before.missed) line += fmt::format("  missed {}", now.missed - before.missed);
    return line;
}

uint64_t percentile_between(const Histogram& before, const Histogram& after, double fraction) {
    const auto recorded = [&](size_t bucket) {
        const uint64_t earlier = before.count_in(bucket);
        return after.count_in(bucket) - std::min(earlier, after.count_in(bucket));
    };
    uint64_t total = 0;
    for (size_t bucket = 0; bucket < Histogram::bucket_count; ++bucket) total += recorded(bucket);
    if (total == 0) return 0;
    const auto rank = std::clamp<uint64_t>(
        static_cast<uint64_t>(std::ceil(fraction * static_cast<double>(total))), 1, total);
    uint64_t seen = 0;
    for (size_t bucket = 0; bucket < Histogram::bucket_count; ++bucket) {
        seen += recorded(bucket);
        if (seen >= rank) return std::min(Histogram::largest_in(bucket), after.max());
    }
    return after.max();
}

}  // namespace synfin::load
