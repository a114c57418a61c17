// What the SYNs of all connections of one profile say, worked out when the profile changes and not
// for each connection.
#pragma once

#include <cstdint>

#include <synfin/tcp/profile.hpp>

namespace synfin::tcp {

struct Offer {
    uint32_t marks = 0;            ///< of Mark: the options, and what else the profile asks for
    uint16_t mss_v4 = 0;           ///< our MSS option: the largest segment that we can take
    uint16_t mss_v6 = 0;           ///< (SHLD-6, MUST-67)
    uint16_t window = 0;           ///< as it stands in a SYN
    uint8_t window_shift = 0;      ///< 0 without the option
    bool ecn_active : 1 = false;   ///< a connection that we open offers ECN
    bool ecn_passive : 1 = false;  ///< one that a peer opens agrees to it
};

/// `mtu` is the device's: IP header and all that follows.
Offer offer_of(const Profile& profile, uint16_t mtu);

}  // namespace synfin::tcp
