// `synfin ss` and `synfin counters`: what running synfins tell of themselves.
#include <iostream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "control_socket.hpp"
#include "inspect.hpp"
#include "option_table.hpp"
#include "subcommands.hpp"

namespace synfin::apps {

namespace {

struct AskOptions {
    int64_t pid = 0;
    std::vector<std::string> states;
    bool summary = false;
};

void add_pid(CLI::App& command, AskOptions& options) {
    command.add_option("--pid", options.pid, "the process to ask (default: all of this user)")
        ->check([](const std::string& text) -> std::string {
            const bool is_number = text.find_first_not_of("0123456789") == std::string::npos;
            return is_number ? "" : "is '" + text + "', but must be the number of a process";
        });
}

// The processes that are meant: the one named, or all that run.
std::vector<pid_t> targets(const AskOptions& options) {
    if (options.pid > 0) return {static_cast<pid_t>(options.pid)};
    const std::vector<pid_t> found = running_processes();
    if (found.empty())
        throw RunError{
            fmt::format("no synfin of this user is running (looked in {})", control_directory())};
    return found;
}

int ask_all(const AskOptions& options, const std::string& request) {
    const std::vector<pid_t> pids = targets(options);
    for (const pid_t pid : pids) {
        if (pids.size() > 1) std::cout << fmt::format("# process {}\n", pid);
        ask(pid, request, std::cout);
    }
    return 0;
}

int run_ss(const AskOptions& options) {
    std::string request = options.summary ? "summary" : "ss";
    for (const std::string& state : options.states) {
        if (!is_known_state(state)) {
            throw UsageError{fmt::format(
                "--state is '{}', but must be a state as ss prints it, such as ESTAB or "
                "TIME-WAIT, or all, connected, synchronized",
                state)};
        }
        request += " " + state;
    }
    return ask_all(options, request);
}

}  // namespace

void add_ss(CLI::App& app, std::function<int()>& run) {
    const auto options = std::make_shared<AskOptions>();
    CLI::App* command =
        app.add_subcommand("ss", "list the connections of a running synfin, as `ss -tan` does");
    command->add_option("--state", options->states,
                        "only connections in this state; may be repeated");
    command->add_flag("--summary", options->summary, "how many there are in each state");
    add_pid(*command, *options);
    command->callback([options, &run] { run = [options] { return run_ss(*options); }; });
}

void add_counters(CLI::App& app, std::function<int()>& run) {
    const auto options = std::make_shared<AskOptions>();
    CLI::App* command =
        app.add_subcommand("counters", "print the counters of a running synfin, as `nstat` does");
    add_pid(*command, *options);
    command->callback(
        [options, &run] { run = [options] { return ask_all(*options, "counters"); }; });
}

}  // namespace synfin::apps
