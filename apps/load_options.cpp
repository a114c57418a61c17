#include "load_options.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <limits>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace synfin::apps {

using namespace synfin::literals;

void LoadOptions::attach(OptionTable& table) {
    table.choice("mode", "what a connection is for: handshake and teardown, or also requests",
                 {"connect", "request"}, mode);
    table.count("requests",
                "requests on each connection, one after another; implies --mode request", requests,
                1, load::ClientConfig::max_requests);
    table.choice("close", "how a connection is ended", {"fin", "rst"}, close);
    table.choice("first", "who ends it", {"client", "server"}, first);
    table.number("rate", "connections per second, open loop (default: as fast as they end)", rate,
                 0.001, 1e9);
    table.count("concurrency",
                "connections open at once; with --rate, the bound beyond which starts are missed",
                concurrency, 1, uint64_t{1} << 28);
    table.flag("hold",
               "open --concurrency connections and hold them; at the end each asks its request and "
               "is closed",
               hold);
    table.count("held", "connections that are held in the same way while others come and go", held,
                1, uint64_t{1} << 27);
    table.duration("duration", "how long connections are opened", duration, 1_ms,
                   Duration::hours(24 * 365));
    table.count("connections", "how many are opened, then it ends", connections, 1,
                uint64_t{1} << 53);
    table.duration("grace", "how long what is open may take to end, before it is reset", grace, 0_s,
                   Duration::hours(1));
    table.text("host", "the Host field of the requests", host);
    table.text("path", "what the requests ask for", path);
    table.flag("early-data",
               "the first request goes with the SYN, once the server has given a cookie (RFC 7413)",
               early_data);
}

void LoadOptions::check(const OptionTable& table, uint64_t workers, uint64_t max_connections,
                        unsigned hosts, uint64_t memory_bytes) const {
    if (requests > 0 && table.given("mode") && mode == "connect") {
        throw UsageError{"--requests asks for responses, which --mode connect leaves out"};
    }
    for (const char* option : {"host", "path", "early-data"}) {
        if (table.given(option) && !asks()) {
            throw UsageError{
                fmt::format("--{} is given, but nothing is requested; add --mode request", option)};
        }
    }
    // A server cannot tell when its response has arrived, and a RST that overtakes it destroys it.
    if (close == "rst" && first == "server" && asks()) {
        throw UsageError{
            "--close rst with --first server is only for --mode connect; with --mode request the "
            "client must be the first"};
    }
    for (const auto& [option, value] :
         {std::pair{"concurrency", concurrency}, std::pair{"connections", connections}}) {
        if (value > 0 && value < workers) {
            throw UsageError{fmt::format("--{} is {}, but each of {} workers needs at least one",
                                         option, value, workers)};
        }
    }
    if (hold && held > 0) {
        throw UsageError{"--hold holds all connections of --concurrency; --held is for others"};
    }
    if (hold && rate > 0) {
        throw UsageError{"--hold opens nothing but what it holds; leave --rate out"};
    }
    if (held_connections() > 0 && first == "server") {
        throw UsageError{"held connections are closed by the client; leave --first server out"};
    }
    const uint64_t needed = (concurrency + held) * hosts * bytes_per_connection;
    if (needed > memory_bytes) {
        throw RunError{fmt::format(
            "{} connections are to be open at once, which takes about {} MB of memory, but {} MB "
            "are available",
            concurrency + held, needed >> 20, memory_bytes >> 20)};
    }
    if (concurrency + held > max_connections * workers) {
        throw UsageError{fmt::format(
            "{} connections are to be open at once, but --max-connections allows {} on each of {} "
            "workers",
            concurrency + held, max_connections, workers)};
    }
}

void LoadOptions::fit_tables(const OptionTable& table, uint64_t workers,
                             uint64_t& max_connections) const {
    constexpr uint64_t least = uint64_t{1} << 14;
    if (table.given("max-connections")) return;
    // An open loop whose bound was not named may need all the room that there is.
    if (rate == 0 || table.given("concurrency")) {
        max_connections = std::max(least, hold ? 0 : 4 * concurrency / workers);
    }
    // Held connections take their places besides the usual ones.
    if (held_connections() > 0) max_connections += held_connections() / workers + 1;
}

uint64_t available_memory_bytes() {
    std::ifstream info{"/proc/meminfo"};
    for (std::string name; info >> name;) {
        uint64_t kilobytes = 0;
        if (name == "MemAvailable:" && info >> kilobytes) return kilobytes << 10;
        info.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    }
    return UINT64_MAX;
}

load::ClientConfig LoadOptions::client_config(unsigned worker, unsigned workers,
                                              uint32_t max_connections) const {
    const auto share = [&](uint64_t total) {
        return total / workers + (worker < total % workers ? 1 : 0);
    };
    load::ClientConfig config;
    config.requests = asks() ? static_cast<uint32_t>(std::max<uint64_t>(requests, 1)) : 0;
    config.close = close == "rst" ? load::CloseBy::rst : load::CloseBy::fin;
    config.first = first == "server" ? load::First::server : load::First::client;
    config.rate = rate / workers;
    config.held = static_cast<uint32_t>(share(held_connections()));
    config.concurrency = static_cast<uint32_t>(hold               ? 0
                                               : concurrency == 0 ? max_connections
                                                                  : share(concurrency));
    config.duration = duration;
    config.connections = share(connections);
    config.grace = grace;
    config.max_connections = max_connections;
    config.host = host;
    config.target = path;
    config.early_data = early_data;
    return config;
}

std::string LoadOptions::mode_name() const {
    if (requests > 1) return fmt::format("requests={}", requests);
    return asks() ? "request" : "connect";
}

namespace {

constexpr std::array<std::pair<const char*, load::Service>, 5> services{
    {{"http", load::Service::http},
     {"echo", load::Service::echo},
     {"discard", load::Service::discard},
     {"chargen", load::Service::chargen},
     {"close", load::Service::close}}};

}  // namespace

load::Service service_named(const std::string& name) {
    const auto found = std::find_if(services.begin(), services.end(),
                                    [&](const auto& s) { return name == s.first; });
    return found->second;
}

std::vector<std::string> service_names() {
    std::vector<std::string> names;
    for (const auto& service : services) names.emplace_back(service.first);
    return names;
}

}  // namespace synfin::apps
