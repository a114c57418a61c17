// What a user may set for a connection. Connections name a profile by number, so that a million
// connections of one listener share one; a connection whose user changes an option gets its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <synfin/base/instant.hpp>

namespace synfin::tcp {

enum class CongestionAlgorithm : uint8_t { cubic, new_reno, dctcp, bbr };

/// What it is called in options and by TCP_CONGESTION: Linux's name.
const char* name(CongestionAlgorithm algorithm);
/// The algorithm of that name, or nothing. "newreno" is "reno".
std::optional<CongestionAlgorithm> congestion_algorithm_named(std::string_view name);
/// All names, for a sentence to the user.
std::vector<std::string> congestion_algorithm_names();

/// Explicit congestion notification (RFC 3168).
enum class EcnUse : uint8_t {
    off,
    accept,  ///< where the peer asks for it; with DCTCP as `ask`, because that needs it
    ask,
};

struct Profile {
    // Windows and segments
    uint32_t receive_buffer_bytes = 256 * 1024;  ///< unread data that is kept; bounds the window
    uint32_t send_buffer_bytes = 256 * 1024;     ///< sent or queued and not yet acknowledged
    /// What the send buffer grows to by itself as the congestion window grows; 0: not at all.
    uint32_t send_buffer_most_bytes = 4 * 1024 * 1024;
    uint32_t window_clamp = 0;   ///< upper bound for the window that is announced; 0: the buffer
    uint16_t mss_clamp = 0;      ///< upper bound for MSS both ways; 0: by MTU alone
    bool window_scaling = true;  ///< RFC 7323
    bool timestamps = true;      ///< RFC 7323
    bool sack = true;            ///< RFC 2018
    bool nagle = true;           ///< MUST-17: can be switched off
    bool cork = false;  ///< segments that are not full wait until the persist timer sends them
    /// The user reads no more, though the connection is still theirs: text that comes after our FIN
    /// is refused by a RST, as after CLOSE.
    bool refuses_text_after_fin = false;
    CongestionAlgorithm congestion = CongestionAlgorithm::cubic;
    EcnUse ecn = EcnUse::accept;
    uint8_t initial_window_segments = 10;  ///< RFC 6928
    uint8_t time_to_live = 64;             ///< MUST-49
    uint8_t diffserv = 0;                  ///< MUST-48: the upper six bits of the TOS byte

    // Timers
    Duration rto_initial = Duration::seconds(1);     ///< RFC 6298 (2.1)
    Duration rto_min = Duration::milliseconds(200);  ///< deviates from RFC 6298 (2.4), as Linux
    /// What SRTT is exceeded by at least (G of RFC 6298, as Linux has it): a delayed ACK of the
    /// peer is no loss, however steady the round trips were.
    Duration rto_margin_min = Duration::milliseconds(200);
    Duration rto_max = Duration::seconds(120);          ///< RFC 6298 (2.5)
    Duration delayed_ack = Duration::milliseconds(40);  ///< MUST-40: below 0.5 s; 0: at once
    /// The same, if it is less, for text that its sender probably waits with: pushed, or a segment
    /// that may be a full one. Longer than the moments between the segments of a burst.
    Duration prompt_ack = Duration::forever();
    uint8_t report_retries = 3;      ///< R1, retransmissions of data and FIN (SHLD-10)
    uint8_t syn_report_retries = 3;  ///< R1 for SYN (MUST-22)
    Duration syn_timeout = Duration::seconds(180);             ///< R2 for SYN, MUST-23
    Duration retransmission_timeout = Duration::seconds(924);  ///< R2 for data and FIN, MUST-20
    /// Only once nobody reads any more; zero: a RST instead of FIN_WAIT_2.
    Duration fin_wait_2_timeout = Duration::seconds(60);
    /// A SYN, FIN or data unacknowledged for so long, or a window closed: abort, at that moment.
    Duration user_timeout = Duration::forever();
    /// RFC 5482: `advertised_user_timeout` is told to the peer, and if `user_timeout_changeable`,
    /// the longer of it and of what the peer tells becomes ours, within these two.
    bool user_timeout_option = false;
    bool user_timeout_changeable = true;
    Duration advertised_user_timeout = Duration::minutes(5);
    Duration least_user_timeout = Duration::seconds(100);
    Duration most_user_timeout = Duration::hours(1);
    uint8_t syn_retries = 0;  ///< SYN retransmissions, then give up; 0: as syn_timeout says
    uint8_t syn_received_retries = 5;  ///< SYN-ACK retransmissions, then give up
    /// A listener that waits for text: until so many SYN,ACKs would have been sent again, an ACK
    /// that brings nothing does not end the handshake. At most as many as syn_received_retries.
    uint8_t deferred_syn_acks = 0;

    // Keep-alive: off (MUST-25), two hours (MUST-28)
    bool keep_alive = false;
    Duration keep_alive_idle = Duration::hours(2);
    Duration keep_alive_interval = Duration::seconds(75);
    uint8_t keep_alive_probes = 9;

    friend bool operator==(const Profile&, const Profile&) = default;
};

}  // namespace synfin::tcp
