// The subcommands of `synfin`. Each adds itself to the parser and, when the user has chosen it,
// sets `run` to what main then calls: exit code 0 when all went well, 1 when something failed.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace synfin::apps {

void add_pair(CLI::App& app, std::function<int()>& run);
void add_serve(CLI::App& app, std::function<int()>& run);
void add_load(CLI::App& app, std::function<int()>& run);
void add_ss(CLI::App& app, std::function<int()>& run);
void add_counters(CLI::App& app, std::function<int()>& run);

}  // namespace synfin::apps
