// The names that TCP_CONGESTION gives to the algorithms of congestion control: Linux's.
#pragma once

#include <optional>
#include <string_view>

#include <synfin/tcp/profile.hpp>

namespace synfin::socket {

struct CongestionName {
    std::string_view name;
    tcp::CongestionAlgorithm algorithm;
};
inline constexpr CongestionName congestion_names[] = {
    {"cubic", tcp::CongestionAlgorithm::cubic},
    {"reno", tcp::CongestionAlgorithm::new_reno},
    {"dctcp", tcp::CongestionAlgorithm::dctcp},
};

constexpr std::optional<tcp::CongestionAlgorithm> congestion_named(std::string_view name) {
    for (const CongestionName& known : congestion_names) {
        if (known.name == name) return known.algorithm;
    }
    return std::nullopt;
}

}  // namespace synfin::socket
