// Quantities as people write them: `100k` connections, `1.5M`, `30s`, `200ms`, `10MB`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <synfin/base/instant.hpp>

namespace synfin::apps {

/// A count: a number with an optional k, M or G (powers of 1000). Nothing if it is anything else,
/// or negative, or beyond 2^53.
std::optional<double> parse_count(std::string_view text);
/// A time: a number with ns, us, ms, s, m or h. A bare `0` is accepted, any other bare number is
/// not.
std::optional<Duration> parse_duration(std::string_view text);
/// A size in bytes: a number with an optional B, K, KB, M, MB, G or GB (powers of 1024). Whole.
std::optional<uint64_t> parse_bytes(std::string_view text);

std::string format_duration(Duration d);
std::string format_count(double value);
/// Exact: in the largest unit that divides it.
std::string format_bytes(uint64_t bytes);

}  // namespace synfin::apps
