// One segment, as the protocol sees it: in either direction, without bytes of headers.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include <synfin/tcp/seq.hpp>
#include <synfin/wire/tcp_fields.hpp>

namespace synfin::tcp {

/// A segment that arrived; lengths and checksum have been checked. `payload` points into the
/// receive buffer and is valid during the call that gets the segment.
struct Segment : wire::TcpControl {
    Seq ack;  ///< meaningful if flags.ack()
    Seq seq;
    wire::Ecn ecn = wire::Ecn::not_capable;  ///< of the IP header
    wire::TcpOptions options;
    std::span<const uint8_t> payload;

    /// SEG.LEN: payload, plus one for SYN and one for FIN (RFC 9293 section 3.4).
    uint32_t length() const {
        return static_cast<uint32_t>(payload.size()) + (flags.syn() ? 1u : 0u) +
               (flags.fin() ? 1u : 0u);
    }
    Seq end() const { return seq + length(); }
};

/// A segment to be sent. The payload may lie in several pieces; they stay valid until the segment
/// has been written, which happens before the next call into the core.
struct OutSegment {
    /// A jumbo frame's 9,000 bytes out of buffers of 2 KB, the first and the last in part.
    static constexpr unsigned max_pieces = 6;

    Seq seq;
    Seq ack;
    uint16_t window = 0;
    uint16_t urgent = 0;
    wire::TcpFlags flags;
    wire::Ecn ecn = wire::Ecn::not_capable;  ///< for the IP header
    wire::TcpOptions options;
    std::array<std::span<const uint8_t>, max_pieces> pieces{};
    unsigned piece_count = 0;
    uint32_t payload_length = 0;
};

}  // namespace synfin::tcp
