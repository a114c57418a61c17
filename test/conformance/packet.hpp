// A segment as a script writes it: only what the test cares about is named, sequence numbers count
// from the initial sequence number of the side that sends them (so a SYN is 0, the first byte 1).
//
// The same notation serves both directions. Injected, what is not named takes the value that a
// well-behaved peer would send next. Expected, what is not named is not compared; the flags always
// are (but for PSH), and so is the length of the payload.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <synfin/tcp/segment.hpp>

namespace synfin::conformance {

/// Whether an option has to stand in the segment, must not, or is left to the script.
enum class Presence : uint8_t { unspecified, required, forbidden };

/// [left, right) of a SACK option.
struct RelativeBlock {
    uint32_t left = 0;
    uint32_t right = 0;
    friend bool operator==(const RelativeBlock&, const RelativeBlock&) = default;
};

class Packet {
  public:
    explicit Packet(wire::TcpFlags f) : flags{f} {}

    Packet& seq(uint32_t relative) { return sequence = relative, *this; }
    Packet& ack(uint32_t relative) { return acknowledgment = relative, *this; }
    Packet& window(uint16_t as_in_header) { return window_field = as_in_header, *this; }
    Packet& mss(uint16_t bytes) { return mss_option = bytes, *this; }
    Packet& no_mss() { return mss_presence = Presence::forbidden, *this; }
    Packet& window_scale(uint8_t shift) { return scale_option = shift, *this; }
    Packet& no_window_scale() { return scale_presence = Presence::forbidden, *this; }
    Packet& sack_permitted() { return sack_permitted_presence = Presence::required, *this; }
    Packet& no_sack_permitted() { return sack_permitted_presence = Presence::forbidden, *this; }
    /// TSval and TSecr as they stand in the segment.
    Packet& timestamps(uint32_t value, uint32_t echo) {
        return timestamp_presence = Presence::required, ts_value = value, ts_echo = echo, *this;
    }
    /// TSval and TSecr as a well-behaved peer would fill them in; expected: any values.
    Packet& with_timestamps() { return timestamp_presence = Presence::required, *this; }
    /// Expected: the option with this TSecr and any TSval.
    Packet& echoing(uint32_t echo) {
        return timestamp_presence = Presence::required, ts_echo = echo, *this;
    }
    Packet& no_timestamps() { return timestamp_presence = Presence::forbidden, *this; }
    /// SACK blocks, relative to the initial sequence number of the side whose data they name.
    /// Expected: exactly these, in this order.
    Packet& sack(std::vector<RelativeBlock> blocks) {
        return sack_blocks = std::move(blocks), *this;
    }
    Packet& ece() { return flags |= wire::flag::ece, *this; }
    Packet& cwr() { return flags |= wire::flag::cwr, *this; }
    /// The codepoint of the IP header.
    Packet& ect() { return ecn = wire::Ecn::ect_0, *this; }
    Packet& ce() { return ecn = wire::Ecn::ce, *this; }
    Packet& not_ect() { return ecn = wire::Ecn::not_capable, *this; }
    Packet& user_timeout(uint16_t option) { return user_timeout_option = option, *this; }
    Packet& psh() { return push_presence = Presence::required, *this; }
    Packet& no_psh() { return push_presence = Presence::forbidden, *this; }
    Packet& fin() { return flags |= wire::flag::fin, *this; }
    Packet& urgent(uint16_t pointer) {
        return flags |= wire::flag::urg, urgent_pointer = pointer, *this;
    }
    /// These very bytes.
    Packet& payload(std::string_view text) {
        return content.emplace(text), length(static_cast<uint32_t>(text.size()));
    }
    /// So many bytes of the sender's test stream (see stream_byte), from this sequence number on.
    Packet& length(uint32_t bytes) { return length_bytes = bytes, any_payload = false, *this; }
    /// Expected: payload of whatever length, but some.
    Packet& some_payload() { return any_payload = true, *this; }

    wire::TcpFlags flags;
    std::optional<uint32_t> sequence, acknowledgment;
    std::optional<uint16_t> window_field, mss_option, user_timeout_option;
    std::optional<uint8_t> scale_option;
    std::optional<uint32_t> ts_value, ts_echo;
    std::optional<wire::Ecn> ecn;
    std::optional<std::string> content;
    std::optional<std::vector<RelativeBlock>> sack_blocks;
    uint16_t urgent_pointer = 0;
    uint32_t length_bytes = 0;
    bool any_payload = false;
    Presence mss_presence = Presence::unspecified;
    Presence scale_presence = Presence::unspecified;
    Presence sack_permitted_presence = Presence::unspecified;
    Presence timestamp_presence = Presence::unspecified;
    Presence push_presence = Presence::unspecified;
};

inline Packet Syn() { return Packet{wire::flag::syn}; }
inline Packet SynAck() { return Packet{wire::flag::syn | wire::flag::ack}; }
inline Packet Ack() { return Packet{wire::flag::ack}; }
/// A segment with payload, of any length unless one is given; PSH is not compared.
inline Packet Data() { return Packet{wire::flag::ack}.some_payload(); }
inline Packet FinAck() { return Packet{wire::flag::fin | wire::flag::ack}; }
inline Packet Rst() { return Packet{wire::flag::rst}; }
inline Packet RstAck() { return Packet{wire::flag::rst | wire::flag::ack}; }

/// Byte number `offset` of the test stream of a side: neighbours differ, and the period is long
/// enough that no shift within a buffer goes unnoticed.
inline uint8_t stream_byte(uint64_t offset, uint64_t salt) {
    uint64_t x = (offset + 1) * 0x9e37'79b9'7f4a'7c15u + salt;
    x ^= x >> 29;
    return static_cast<uint8_t>(x * 0xbf58'476d'1ce4'e5b9u >> 56);
}

/// Our test stream and the peer's differ, so that bytes that came back to their sender are noticed.
inline constexpr uint64_t our_salt = 0;
inline constexpr uint64_t peer_salt = 77;

/// A segment that the connection has sent, with sequence numbers relative to the initial ones.
struct Sent {
    int64_t at_us = 0;  ///< since the script began
    uint32_t seq = 0;
    uint32_t ack = 0;
    uint16_t window = 0;
    uint16_t urgent = 0;
    wire::TcpFlags flags;
    wire::Ecn ecn = wire::Ecn::not_capable;
    wire::TcpOptions options;
    std::vector<RelativeBlock> sack_blocks;
    std::string payload;
    bool reply_without_connection = false;  ///< its window and options are the stack's to choose
    uint32_t end() const {
        return seq + static_cast<uint32_t>(payload.size()) + (flags.syn() ? 1u : 0u) +
               (flags.fin() ? 1u : 0u);
    }
};

/// `1.500 ms`
std::string milliseconds_text(int64_t us);
/// `[S.], seq 0, ack 1, win 65535, <mss 1460>, length 0`
std::string to_text(const Sent& sent);
std::string to_text(const Packet& packet);
/// Why `sent` is not what `expected` says; empty if it is.
std::string difference(const Packet& expected, const Sent& sent);

}  // namespace synfin::conformance
