#include "units.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace synfin::apps {

namespace {

struct Unit {
    std::string_view name;
    double factor;
};

// A decimal number without sign or exponent, and what follows it.
std::optional<std::pair<double, std::string_view>> split_number(std::string_view text) {
    const size_t end = std::min(text.find_first_not_of("0123456789."), text.size());
    double value = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + end, value);
    if (error != std::errc{} || rest != text.data() + end || end == 0) return std::nullopt;
    return std::pair{value, text.substr(end)};
}

template <size_t n>
std::optional<double> parse(std::string_view text, const std::array<Unit, n>& units) {
    const auto number = split_number(text);
    if (!number) return std::nullopt;
    for (const Unit& unit : units) {
        if (number->second == unit.name) return number->first * unit.factor;
    }
    return std::nullopt;
}

constexpr double largest_exact = 9007199254740992.0;  // 2^53

}  // namespace

std::optional<double> parse_count(std::string_view text) {
    static constexpr std::array<Unit, 4> units{{{"", 1}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}}};
    const auto value = parse(text, units);
    return value && *value <= largest_exact ? value : std::nullopt;
}

std::optional<Duration> parse_duration(std::string_view text) {
    static constexpr std::array<Unit, 6> units{
        {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}}};
    if (text == "0") return Duration{};
    const auto value = parse(text, units);
    if (!value || *value > largest_exact) return std::nullopt;
    return Duration::nanoseconds(static_cast<int64_t>(std::llround(*value)));
}

std::optional<uint64_t> parse_bytes(std::string_view text) {
    constexpr double k = 1024;
    static constexpr std::array<Unit, 8> units{{{"", 1},
                                                {"B", 1},
                                                {"K", k},
                                                {"KB", k},
                                                {"M", k * k},
                                                {"MB", k * k},
                                                {"G", k * k * k},
                                                {"GB", k * k * k}}};
    const auto value = parse(text, units);
    if (!value || *value > largest_exact || *value != std::floor(*value)) return std::nullopt;
    return static_cast<uint64_t>(*value);
}

std::string format_duration(Duration d) {
    const double ns = static_cast<double>(d.count_ns());
    if (d >= Duration::seconds(1)) return fmt::format("{:g}s", ns / 1e9);
    if (d >= Duration::milliseconds(1)) return fmt::format("{:g}ms", ns / 1e6);
    if (d >= Duration::microseconds(1)) return fmt::format("{:g}us", ns / 1e3);
    return fmt::format("{}ns", d.count_ns());
}

std::string format_count(double value) {
    if (value >= 1e9) return fmt::format("{:.3g}G", value / 1e9);
    if (value >= 1e6) return fmt::format("{:.3g}M", value / 1e6);
    if (value >= 1e4) return fmt::format("{:.3g}k", value / 1e3);
    return fmt::format("{:.4g}", value);
}

std::string format_bytes(uint64_t bytes) {
    if (bytes == 0) return "0B";
    size_t unit = 0;
    constexpr std::array names{"B", "KB", "MB", "GB"};
    while (bytes % 1024 == 0 && unit + 1 < names.size()) {
        bytes /= 1024;
        ++unit;
    }
    return fmt::format("{}{}", bytes, names[unit]);
}

}  // namespace synfin::apps
