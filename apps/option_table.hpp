// One table of options for a subcommand, which feeds both the command line and the TOML file, so
// that the two cannot diverge. What the command line gives wins over the file; a key that the table
// does not know, or a value that it refuses, ends the program with the place where it stands.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <synfin/base/instant.hpp>
#include <synfin/wire/address.hpp>

namespace CLI {
class App;
}

namespace synfin::apps {

/// The user asked for something that cannot be: exit code 2. what() is one sentence.
class UsageError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// It could not be done, although it was asked for correctly: exit code 1. what() is one sentence.
class RunError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

class OptionTable {
  public:
    /// Takes a value as text; returns a sentence's end ("must be ...") when it refuses it.
    using Setter = std::function<std::optional<std::string>(const std::string&)>;

    /// `form` and `preset` are what --help shows: the kind of value, and what holds without one.
    void value(std::string name, std::string form, std::string help, Setter set,
               std::string preset = "");
    /// May be given several times; each value is set on its own.
    void list(std::string name, std::string form, std::string help, Setter set);
    void flag(std::string name, std::string help, bool& target);

    // The usual kinds. Bounds are inclusive and stand in the error message. What the target holds
    // is the preset; a zero is not shown, as it stands for what the help says.
    void text(std::string name, std::string help, std::string& target);
    void count(std::string name, std::string help, uint64_t& target, uint64_t least, uint64_t most);
    void number(std::string name, std::string help, double& target, double least, double most);
    void bytes(std::string name, std::string help, uint64_t& target, uint64_t least, uint64_t most);
    void duration(std::string name, std::string help, Duration& target, Duration least,
                  Duration most);
    void address(std::string name, std::string help, std::optional<wire::IpAddress>& target);
    void choice(std::string name, std::string help, std::vector<std::string> choices,
                std::string& target);

    /// Registers all options, and `--config FILE`, with the parser.
    void attach(CLI::App& app);
    /// After the parser has run: reads the file, if one was named, then the command line over it.
    /// Throws UsageError.
    void apply();
    /// Whether the option was given, by either way. After apply().
    bool given(const std::string& name) const;

  private:
    enum class Kind : uint8_t { value, list, flag };
    struct Option {
        std::string name;
        std::string help;
        Kind kind;
        Setter set;
        std::string form;
        std::string preset;
        std::vector<std::string> from_command_line = {};
        bool given = false;
    };
    void add(Option option);
    Option* find(const std::string& name);
    std::string closest_name(const std::string& name) const;
    void apply_file();

    std::vector<Option> options_;
    std::string file_;
};

}  // namespace synfin::apps
