// What a profile comes to for all of its connections, worked out when it changes and not for each
// connection: what their SYNs say, and what each segment needs of it, in a cache line.
#pragma once

#include <cstdint>

#include <synfin/tcp/profile.hpp>
#include <synfin/wire/ipv4.hpp>

namespace synfin::tcp {

struct alignas(64) Terms {
    // SYNs
    uint32_t marks = 0;            ///< of Mark: the options, and what else the profile asks for
    uint16_t mss_v4 = 0;           ///< our MSS option: the largest segment that we can take
    uint16_t mss_v6 = 0;           ///< (SHLD-6, MUST-67)
    uint16_t syn_window = 0;       ///< as it stands in a SYN
    uint8_t window_shift = 0;      ///< 0 without the option
    bool ecn_active : 1 = false;   ///< a connection that we open offers ECN
    bool ecn_passive : 1 = false;  ///< one that a peer opens agrees to it

    // every segment
    bool user_timeout_option : 1 = false;  ///< as in the profile
    bool user_timeout : 1 = false;         ///< there is one
    bool cork : 1 = false;
    uint8_t time_to_live = 0;
    uint8_t traffic_class = 0;            ///< without ECN
    uint8_t initial_window_segments = 0;  ///< as in the profile
    /// What a connection of this Rcv.Wind.Shift announces with nothing unread, in bytes and as it
    /// stands in the header; a larger shift than any where the profile clamps the window.
    uint8_t whole_window_shift = 0;
    uint16_t whole_window_field = 0;
    /// How much one that has nothing queued takes at once; 0 if its algorithm is to hear of it.
    uint16_t usual_send_bytes = 0;
    uint32_t whole_window = 0;

    // Microseconds, rounded up: as in the profile, but never as long as a deadline of 32 bits
    // reaches
    uint32_t delayed_ack_us = 0;  ///< 0: at once
    uint32_t prompt_ack_us = 0;   ///< the same for text that its sender probably waits with
    uint32_t rto_initial_us = 0;
    uint32_t rto_margin_us = 0;
    uint32_t rto_min_us = 0;
    uint32_t rto_max_us = 0;

    int64_t fin_wait_2_us = 0;  ///< as in the profile, rounded up; 0: nobody waits

    wire::IpWords ip;  ///< of time_to_live and traffic_class
};

/// `mtu` is the device's: IP header and all that follows.
Terms terms_of(const Profile& profile, uint16_t mtu);

}  // namespace synfin::tcp
