// What the algorithms of congestion control are called.
#include <algorithm>
#include <iterator>

#include <synfin/tcp/profile.hpp>

namespace synfin::tcp {

namespace {

struct Named {
    std::string_view name;
    CongestionAlgorithm algorithm;
};

// The first name of an algorithm is the one that is told.
constexpr Named known[] = {
    {"cubic", CongestionAlgorithm::cubic},      {"reno", CongestionAlgorithm::new_reno},
    {"newreno", CongestionAlgorithm::new_reno}, {"dctcp", CongestionAlgorithm::dctcp},
    {"bbr", CongestionAlgorithm::bbr},
};

}  // namespace

const char* name(CongestionAlgorithm algorithm) {
    const auto* found = std::find_if(std::begin(known), std::end(known),
                                     [&](const Named& n) { return n.algorithm == algorithm; });
    return found == std::end(known) ? "?" : found->name.data();
}

std::optional<CongestionAlgorithm> congestion_algorithm_named(std::string_view name) {
    const auto* found = std::find_if(std::begin(known), std::end(known),
                                     [&](const Named& n) { return n.name == name; });
    if (found == std::end(known)) return std::nullopt;
    return found->algorithm;
}

std::vector<std::string> congestion_algorithm_names() {
    std::vector<std::string> names;
    for (const Named& n : known) names.emplace_back(n.name);
    return names;
}

}  // namespace synfin::tcp
