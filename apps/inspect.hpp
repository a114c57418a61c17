// What a running synfin tells of itself: connections as `ss -tan` prints them, counters as `nstat`.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include <synfin/base/instant.hpp>
#include <synfin/stack/worker.hpp>

namespace synfin::apps {

/// The workers of a process under the name of their role, and what they listen on.
struct Inspected {
    struct Named {
        std::string name;
        const stack::Worker* worker;
    };
    std::vector<Named> workers;
    std::vector<wire::SocketAddress> listeners;
    std::function<Instant()> now;
};

/// The states that `--state` accepts: names as printed, and `connected`, `synchronized`, `all`.
bool is_known_state(const std::string& state);

/// The answer to a request of the control socket: `ss [STATE...]`, `summary`, `counters`.
void answer_request(const Inspected& inspected, const std::vector<std::string>& request,
                    std::ostream& out);

}  // namespace synfin::apps
