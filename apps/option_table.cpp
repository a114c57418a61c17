#include "option_table.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include "units.hpp"

namespace synfin::apps {

namespace {

size_t edit_distance(const std::string& a, const std::string& b) {
    std::vector<size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), size_t{0});
    for (size_t i = 1; i <= a.size(); ++i) {
        size_t diagonal = row[0]++;
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
        }
    }
    return row.back();
}

// A TOML value as the text that the command line would carry.
std::optional<std::string> as_text(const toml::node& node) {
    if (const auto* s = node.as_string()) return s->get();
    if (const auto* i = node.as_integer()) return std::to_string(i->get());
    if (const auto* f = node.as_floating_point()) return fmt::format("{}", f->get());
    if (const auto* b = node.as_boolean()) return std::string{b->get() ? "true" : "false"};
    return std::nullopt;
}

template <typename Value, typename Format>
std::string shown(const Value& preset, Format format) {
    return preset == Value{} ? std::string{} : format(preset);
}

}  // namespace

void OptionTable::add(Option option) { options_.push_back(std::move(option)); }

void OptionTable::value(std::string name, std::string form, std::string help, Setter set,
                        std::string preset) {
    add({std::move(name), std::move(help), Kind::value, std::move(set), std::move(form),
         std::move(preset)});
}

void OptionTable::list(std::string name, std::string form, std::string help, Setter set) {
    add({std::move(name), std::move(help), Kind::list, std::move(set), std::move(form), ""});
}

void OptionTable::flag(std::string name, std::string help, bool& target) {
    const auto set = [&target](const std::string& text) -> std::optional<std::string> {
        if (text != "true" && text != "false") return "must be true or false";
        target = text == "true";
        return std::nullopt;
    };
    add({std::move(name), std::move(help), Kind::flag, set, "", ""});
}

void OptionTable::text(std::string name, std::string help, std::string& target) {
    value(
        std::move(name), "TEXT", std::move(help),
        [&target](const std::string& text) -> std::optional<std::string> {
            target = text;
            return std::nullopt;
        },
        target);
}

void OptionTable::number(std::string name, std::string help, double& target, double least,
                         double most) {
    value(
        std::move(name), "N", std::move(help),
        [&target, least, most](const std::string& text) -> std::optional<std::string> {
            const auto parsed = parse_count(text);
            if (!parsed || *parsed < least || *parsed > most) {
                return fmt::format("must be a number from {} to {}, such as 500, 100k or 1.5M",
                                   format_count(least), format_count(most));
            }
            target = *parsed;
            return std::nullopt;
        },
        shown(target, format_count));
}

void OptionTable::count(std::string name, std::string help, uint64_t& target, uint64_t least,
                        uint64_t most) {
    value(
        std::move(name), "N", std::move(help),
        [&target, least, most](const std::string& text) -> std::optional<std::string> {
            const auto parsed = parse_count(text);
            if (!parsed || *parsed != std::floor(*parsed) || *parsed < static_cast<double>(least) ||
                *parsed > static_cast<double>(most)) {
                const bool is_large = most >= 1'000'000;
                return fmt::format("must be a whole number from {} to {}{}", least, most,
                                   is_large ? ", such as 500, 100k or 1M" : "");
            }
            target = static_cast<uint64_t>(*parsed);
            return std::nullopt;
        },
        shown(target, [](uint64_t n) { return std::to_string(n); }));
}

void OptionTable::bytes(std::string name, std::string help, uint64_t& target, uint64_t least,
                        uint64_t most) {
    value(
        std::move(name), "SIZE", std::move(help),
        [&target, least, most](const std::string& text) -> std::optional<std::string> {
            const auto parsed = parse_bytes(text);
            if (!parsed || *parsed < least || *parsed > most) {
                return fmt::format("must be a size from {} to {} bytes, such as 64, 1KB or 10MB",
                                   least, most);
            }
            target = *parsed;
            return std::nullopt;
        },
        shown(target, format_bytes));
}

void OptionTable::duration(std::string name, std::string help, Duration& target, Duration least,
                           Duration most) {
    value(
        std::move(name), "TIME", std::move(help),
        [&target, least, most](const std::string& text) -> std::optional<std::string> {
            const auto parsed = parse_duration(text);
            if (!parsed || *parsed < least || *parsed > most) {
                return fmt::format("must be a time from {} to {}, such as 200ms, 30s or 5m",
                                   format_duration(least), format_duration(most));
            }
            target = *parsed;
            return std::nullopt;
        },
        shown(target, format_duration));
}

void OptionTable::address(std::string name, std::string help,
                          std::optional<wire::IpAddress>& target) {
    value(std::move(name), "IP", std::move(help),
          [&target](const std::string& text) -> std::optional<std::string> {
              target = wire::parse_ip_address(text);
              if (!target) return "must be an IP address, such as 198.18.0.1";
              return std::nullopt;
          });
}

void OptionTable::choice(std::string name, std::string help, std::vector<std::string> choices,
                         std::string& target) {
    value(
        std::move(name), fmt::format("{}", fmt::join(choices, "|")), std::move(help),
        [&target, choices](const std::string& text) -> std::optional<std::string> {
            if (std::find(choices.begin(), choices.end(), text) == choices.end()) {
                return fmt::format("must be one of {}", fmt::join(choices, ", "));
            }
            target = text;
            return std::nullopt;
        },
        target);
}

void OptionTable::attach(CLI::App& app) {
    constexpr size_t names_width = 40;
    app.get_formatter()->column_width(names_width);
    for (Option& option : options_) {
        const std::string name = "--" + option.name;
        if (option.kind == Kind::flag) {
            app.add_flag_callback(
                name, [&option] { option.from_command_line = {"true"}; }, option.help);
        } else {
            auto* added = app.add_option(name, option.from_command_line, option.help);
            added->type_name(option.form);
            if (!option.preset.empty()) added->default_str(option.preset);
            added->expected(1);
            added->allow_extra_args(false);
            added->multi_option_policy(option.kind == Kind::list ? CLI::MultiOptionPolicy::TakeAll
                                                                 : CLI::MultiOptionPolicy::Throw);
        }
    }
    app.add_option("--config", file_, "a TOML file whose keys are these options")
        ->type_name("FILE");
}

OptionTable::Option* OptionTable::find(const std::string& name) {
    const auto found = std::find_if(options_.begin(), options_.end(),
                                    [&](const Option& o) { return o.name == name; });
    return found == options_.end() ? nullptr : &*found;
}

std::string OptionTable::closest_name(const std::string& name) const {
    const auto best =
        std::min_element(options_.begin(), options_.end(), [&](const Option& a, const Option& b) {
            return edit_distance(name, a.name) < edit_distance(name, b.name);
        });
    return best == options_.end() ? "" : best->name;
}

void OptionTable::apply_file() {
    toml::table table;
    try {
        table = toml::parse_file(file_);
    } catch (const toml::parse_error& error) {
        const auto line = error.source().begin.line;
        if (line == 0)
            throw UsageError{fmt::format("{}: cannot be read: {}", file_, error.description())};
        throw UsageError{fmt::format("{}:{}: {}", file_, line, error.description())};
    }
    for (const auto& [key, node] : table) {
        const std::string name{key.str()};
        const auto place = fmt::format("{}:{}", file_, key.source().begin.line);
        Option* option = find(name);
        if (option == nullptr) {
            throw UsageError{fmt::format("{}: unknown key '{}'; the closest known one is '{}'",
                                         place, name, closest_name(name))};
        }
        std::vector<std::string> values;
        const toml::array* array = node.as_array();
        if (array != nullptr && option->kind == Kind::list) {
            for (const toml::node& element : *array)
                values.push_back(as_text(element).value_or(""));
        } else if (const auto text = as_text(node)) {
            values.push_back(*text);
        } else {
            throw UsageError{fmt::format("{}: '{}' must be a single value", place, name)};
        }
        if (!option->from_command_line.empty()) continue;
        for (const std::string& text : values) {
            if (const auto error = option->set(text)) {
                throw UsageError{
                    fmt::format("{}: '{}' is '{}', but {}", place, name, text, *error)};
            }
        }
        option->given = true;
    }
}

void OptionTable::apply() {
    if (!file_.empty()) apply_file();
    for (Option& option : options_) {
        for (const std::string& text : option.from_command_line) {
            if (const auto error = option.set(text)) {
                throw UsageError{fmt::format("--{} is '{}', but {}", option.name, text, *error)};
            }
            option.given = true;
        }
    }
}

bool OptionTable::given(const std::string& name) const {
    return std::any_of(options_.begin(), options_.end(),
                       [&](const Option& o) { return o.name == name && o.given; });
}

}  // namespace synfin::apps
