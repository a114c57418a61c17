// What has come and gone on a connection since it began, for its user to look at (TCP_INFO).
//
// Whoever wants to know keeps one beside the connection, and nobody else pays. Segments are counted
// as they pass. What follows from where the connection stands is settled before each change: how
// long it has stood so, and what has been acknowledged since.
#pragma once

#include <cstdint>

#include <synfin/base/instant.hpp>
#include <synfin/tcp/seq.hpp>
#include <synfin/wire/tcp_fields.hpp>

namespace synfin::tcp {

struct Connection;
struct Environment;
struct Segment;

/// What a segment that leaves means for the history.
struct Departure {
    Seq seq;
    wire::TcpFlags flags;
    uint32_t payload_length = 0;
};

struct History {
    uint32_t segments_in = 0;
    uint32_t text_segments_in = 0;
    uint32_t ahead_in = 0;  ///< of these, behind a hole
    uint32_t segments_out = 0;
    uint32_t text_segments_out = 0;
    uint32_t sent_again = 0;           ///< segments, SYNs and FINs included
    uint32_t duplicates_reported = 0;  ///< by the peer (RFC 2883)
    uint64_t bytes_out = 0;            ///< of text, those that were sent again included
    uint64_t bytes_sent_again = 0;

    Instant text_out_at;  ///< when something was sent last
    Instant text_in_at;
    Instant ack_in_at;

    Duration busy;               ///< something was queued or on its way
    Duration window_limited;     ///< of that, the peer's window kept the rest back
    Duration buffer_limited;     ///< of that, the user had more and the send buffer no room
    Duration min_rtt;            ///< zero: none is known
    uint64_t delivery_rate = 0;  ///< bytes a second, as last measured; 0: never
    bool user_limited = false;   ///< the user had no more to send while that was measured

    // ---- what is being measured
    Instant settled_at;
    Seq acknowledged_to;         ///< snd_una, as it was found last
    uint64_t acknowledged = 0;   ///< octets of sequence space
    Seq sent_to;                 ///< what begins before has been sent before
    bool begun = false;          ///< the two above are of this connection
    bool measuring = false;      ///< how long what is sent takes, up to measured_to
    bool measured_once = false;  ///< nothing has been sent again meanwhile (Karn)
    bool measured_user_limited = false;
    Seq measured_to;
    Instant measured_since;
    uint64_t delivered_before = 0;  ///< acknowledged or reported to have arrived

    bool operator==(const History&) const = default;
};

/// Notes how the connection has stood since the last time. To be called before its user changes
/// something, and before the history is looked at.
void settle(History& h, const Connection& c, const Environment& env, Instant now);
/// A segment has come, and input() is about to get it.
void note_arrival(History& h, const Connection& c, const Segment& s, const Environment& env,
                  Instant now);
/// The connection has said this, by next_segment() or next_usual_segment().
void note_departure(History& h, const Connection& c, const Departure& out, const Environment& env,
                    Instant now);

}  // namespace synfin::tcp
