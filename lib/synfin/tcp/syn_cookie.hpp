// SYN cookies (RFC 4987 section 3.6): the sequence number of a SYN,ACK that remembers the SYN, so
// that a listener need not.
//
//      31                       8 7       4 3     2   1      0
//     +--------------------------+---------+-------+------+------+
//     |  authentication, 24 bits |  shift  |  MSS  | SACK | ECN  |
//     +--------------------------+---------+-------+------+------+
//
// The upper bits are SipHash-2-4 of both addresses, both ports, the peer's initial sequence number,
// the number of the present tick of a slow clock, and the low byte; so each tick has, in effect, a
// key of its own. The low byte holds what the SYN offered: the peer's window shift (15: none), the
// largest entry of a table that its MSS reaches, SACK-permitted, and whether we have agreed on ECN.
// It is covered with the uppermost byte, so that sequence numbers look alike in no byte.
//
// An acknowledgment is believed during the tick of its cookie and the next, so for one to two
// minutes. Both are tried: a guess is right once in 2^23 times.
//
// Everything fits into the sequence number, so a peer without timestamps loses nothing; timestamps
// themselves need no bit, because every segment of a peer that has agreed on them carries them.
#pragma once

#include <cstdint>
#include <optional>

#include <synfin/base/instant.hpp>
#include <synfin/tcp/isn.hpp>
#include <synfin/tcp/seq.hpp>
#include <synfin/wire/address.hpp>
#include <synfin/wire/tcp_fields.hpp>

namespace synfin::tcp {

/// What names a handshake: known to both ends, and to nobody who does not see their packets.
struct HandshakeName {
    wire::SocketAddress local;
    wire::SocketAddress remote;
    Seq peer_isn;
};

/// What a SYN offered, of what a cookie remembers.
struct CookieOffer {
    wire::TcpOptions options;
    bool ecn = false;  ///< it asked for ECN (RFC 3168), and we have agreed
};

inline constexpr Duration syn_cookie_tick = Duration::seconds(60);
/// No cookie is believed for longer.
inline constexpr Duration syn_cookie_lifetime = syn_cookie_tick * 2;

/// The initial sequence number that stands for a SYN of which `agreed` is what we accept. `own_mss`
/// is what we announce ourselves; it bounds the peer's.
Seq make_syn_cookie(const HandshakeName& handshake, const CookieOffer& agreed, uint16_t own_mss,
                    const Secret& secret, Instant now);

/// What the SYN of this handshake had offered, if `cookie` was made for it and has not expired. The
/// MSS may be smaller than it was, never larger.
std::optional<CookieOffer> read_syn_cookie(const HandshakeName& handshake, Seq cookie,
                                           uint16_t own_mss, const Secret& secret, Instant now);

}  // namespace synfin::tcp
