// What --so_flags says: `key=value`, separated by commas. The keys bear the names of Linux's
// sysctls where there is one, with or without `net.ipv4.tcp_` before them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <synfin/stack/worker.hpp>

namespace synfin::packetdrill {

struct Knobs {
    uint32_t mtu = 1500;
    wire::IpAddress local_v4 = wire::IpAddress::v4(192, 168, 0, 1);
    wire::IpAddress local_v6 = wire::IpAddress::v6(0xfd3d'fa7b'd17d'0000, 1);
    stack::SynCookies syn_cookies = stack::SynCookies::automatic;
    Duration time_wait = Duration::seconds(60);
    std::string state_file;  ///< where the connections' states are written; empty: nowhere
    tcp::Profile profile;
    /// One sentence for each key or value that was not understood and so has no effect.
    std::vector<std::string> complaints;
};

Knobs parse_knobs(std::string_view flags);

}  // namespace synfin::packetdrill
