// synfin: one program, several instruments. See subcommands.hpp.
#include <exception>
#include <functional>
#include <iostream>
#include <new>
#include <string>

#include <CLI/CLI.hpp>

#include <synfin/dpdk/eal.hpp>

#include "option_table.hpp"
#include "subcommands.hpp"

namespace {

constexpr int exit_failure = 1;
constexpr int exit_usage = 2;

int complain(const char* sentence, int code) {
    std::cerr << "synfin: " << sentence << "\n";
    return code;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"synfin: a TCP endpoint that bypasses the kernel", "synfin"};
    app.set_version_flag("--version", "synfin " SYNFIN_VERSION);
    app.require_subcommand(1);
    std::function<int()> run;
    synfin::apps::add_pair(app, run);
    synfin::apps::add_serve(app, run);
    synfin::apps::add_load(app, run);
    synfin::apps::add_ss(app, run);
    synfin::apps::add_counters(app, run);
    try {
        app.parse(argc, argv);
        return run();
    } catch (const CLI::Success& help) {
        return app.exit(help);
    } catch (const CLI::ParseError& error) {
        return complain((std::string{error.what()} + "; --help tells what there is").c_str(),
                        exit_usage);
    } catch (const synfin::apps::UsageError& error) {
        return complain(error.what(), exit_usage);
    } catch (const std::bad_alloc&) {
        return complain("memory cannot be reserved; ask for fewer connections", exit_failure);
    } catch (const std::exception& error) {
        return complain(error.what(), exit_failure);
    }
}
