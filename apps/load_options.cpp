#include "load_options.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace synfin::apps {

using namespace synfin::literals;

void LoadOptions::attach(OptionTable& table) {
    table.choice("mode", "what a connection is for: handshake and teardown, or also requests",
                 {"connect", "request"}, mode);
    table.count("requests", "requests on each connection, in mode request", requests, 1,
                load::ClientConfig::max_requests);
    table.choice("close", "how a connection is ended", {"fin", "rst"}, close);
    table.choice("first", "who ends it", {"client", "server"}, first);
    table.number("rate", "connections per second, open loop (default: as fast as they end)", rate,
                 0.001, 1e9);
    table.count("concurrency",
                "connections open at once; with --rate, the bound beyond which starts are missed",
                concurrency, 1, uint64_t{1} << 28);
    table.duration("duration", "how long connections are opened", duration, 1_ms,
                   Duration::hours(24 * 365));
    table.count("connections", "how many are opened, then it ends", connections, 1,
                uint64_t{1} << 53);
    table.duration("grace", "how long what is open may take to end, before it is reset", grace, 0_s,
                   Duration::hours(1));
    table.text("host", "the Host field of the requests", host);
    table.text("path", "what the requests ask for", path);
}

load::ClientConfig LoadOptions::client_config(unsigned worker, unsigned workers,
                                              uint32_t max_connections) const {
    const auto share = [&](uint64_t total) {
        return total / workers + (worker < total % workers ? 1 : 0);
    };
    load::ClientConfig config;
    config.requests = asks() ? static_cast<uint32_t>(requests) : 0;
    config.close = close == "rst" ? load::CloseBy::rst : load::CloseBy::fin;
    config.first = first == "server" ? load::First::server : load::First::client;
    config.rate = rate / workers;
    config.concurrency =
        static_cast<uint32_t>(concurrency == 0 ? max_connections : share(concurrency));
    config.duration = duration;
    config.connections = share(connections);
    config.grace = grace;
    config.max_connections = max_connections;
    config.host = host;
    config.target = path;
    return config;
}

std::string LoadOptions::mode_name() const {
    return asks() && requests > 1 ? fmt::format("requests={}", requests) : mode;
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
