// The protocol, as functions over one connection. No I/O, no clock, no randomness, no globals:
// what they need comes in, what they decide comes out.
//
//   input / on_timer / the user's calls    change the connection and leave marks on it
//   next_segment                           is the only place where a segment comes into being
//
// The caller (stack/) calls next_segment for each connection that wants_output, once per loop,
// after all input of the loop; so what many events ask for leaves in as few segments as possible
// (MUST-58, MUST-59).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <synfin/base/instant.hpp>
#include <synfin/flow/address_book.hpp>
#include <synfin/tcp/connection.hpp>
#include <synfin/tcp/counters.hpp>
#include <synfin/tcp/isn.hpp>
#include <synfin/tcp/path.hpp>
#include <synfin/tcp/profile.hpp>
#include <synfin/tcp/segment.hpp>
#include <synfin/tcp/syn_cookie.hpp>
#include <synfin/tcp/terms.hpp>
#include <synfin/tcp/transfer.hpp>
#include <synfin/wire/address.hpp>

namespace synfin::tcp {

class FastOpenCache;
struct AddressPair;

/// What a worker lends to the protocol.
struct Environment {
    std::span<const Profile> profiles;  ///< by Connection::profile
    std::span<const Terms> terms;       ///< the same, as terms_of works them out
    TransferPool& transfers;            ///< queues of the connections that have any
    BufferPool& buffers;                ///< bytes that are kept
    Counters& counters;
    Secret secret;
    /// Whose ids the connections' addresses are; without one, ids stand for themselves.
    const flow::AddressBook* addresses = nullptr;
    uint16_t mtu = 1500;                 ///< of the device: IP header and all that follows
    FastOpenCache* fast_open = nullptr;  ///< cookies of servers; nullptr: none are kept
    /// What is known of the ways to the peers; without it, all take what was agreed on.
    Paths* paths = nullptr;
    /// The tuple for what is computed from the secret: see flow::AddressBook::fingerprint.
    flow::FourTuple fingerprint(const flow::FourTuple& tuple) const {
        return addresses == nullptr ? tuple : addresses->fingerprint(tuple);
    }
    wire::IpAddress address_of(flow::AddressId id) const {
        return addresses == nullptr ? wire::IpAddress::v4(id) : addresses->resolve(id);
    }
    const Profile& profile_of(const Connection& c) const { return profiles[c.profile]; }
    const Terms& terms_of(const Connection& c) const { return terms[c.profile]; }
};

/// Why a connection ended.
enum class CloseReason : uint8_t {
    none,
    finished,      ///< both FINs exchanged; ours was acknowledged
    refused,       ///< RST in answer to our SYN: ECONNREFUSED
    reset,         ///< RST from the peer: ECONNRESET
    timed_out,     ///< R2 or user timeout: ETIMEDOUT
    aborted,       ///< by our own user, or because data would have been lost at close
    unreachable,   ///< a hard ICMP error during the handshake: EHOSTUNREACH
    no_resources,  ///< the stack could not keep it
};
const char* name(CloseReason reason);

/// What a connection that goes on tells of its way to the peer (section 3.9.1.8): that nothing is
/// answered, or what an ICMP error says.
enum class Report : uint8_t {
    none,
    retrying,  ///< R1 was reached: the same octets have been sent again and again (SHLD-9, MUST-22)
    network_unreachable,
    host_unreachable,
    source_route_failed,
    network_prohibited,  ///< by an administrator
    host_prohibited,     ///< the same, and all that only IPv6 or later RFCs name
    time_exceeded,
    parameter_problem,
    protocol_unreachable,
    port_unreachable,
};
const char* name(Report report);
/// Section 3.9.2.2: errors that mean more than that the way is disturbed at present.
constexpr bool is_hard(Report r) {
    return r == Report::protocol_unreachable || r == Report::port_unreachable ||
           r == Report::network_prohibited || r == Report::host_prohibited;
}

/// What may come of input, timers and calls.
enum class Event : uint8_t {
    established = 1u << 0,   ///< the handshake is complete
    readable = 1u << 1,      ///< unread bytes are queued (peek_unread)
    peer_closed = 1u << 2,   ///< the peer's FIN was taken: after the unread bytes, nothing comes
    acknowledged = 1u << 3,  ///< queued bytes have arrived: there may be room to send
    urgent = 1u << 4,        ///< urgent data was announced, or more of it (urgent_bytes)
};
/// What has come of one of them, for the caller to pass on to the application.
struct Events {
    uint32_t happened = 0;  ///< of Event: one word, so that it stays in a register
    bool has(Event e) const { return (happened & static_cast<uint32_t>(e)) != 0; }
    void add(Event e) { happened |= static_cast<uint32_t>(e); }
    Report report = Report::none;
    uint16_t advised_user_timeout = 0;       ///< the peer's option, if ours changes (RFC 5482)
    CloseReason closed = CloseReason::none;  ///< the connection is over (CLOSED or TIME_WAIT)
};

/// A reply without a connection's output: RST of section 3.10.7.1, ACK from TIME_WAIT.
struct Reply {
    Seq seq;
    Seq ack;
    wire::TcpFlags flags;
};

struct InputResult {
    Events events;
    /// New in-order payload, inside the segment's own buffer. Offer it to the application first;
    /// hand what it leaves to keep_unread. Empty if unread bytes were queued before.
    std::span<const uint8_t> data;
    /// With Event::urgent: how far the urgent data reaches, counted from `data`, or from the first
    /// unread byte.
    uint32_t urgent_bytes = 0;
    std::optional<Reply> reply;
};

// ---- opening

/// Active OPEN (section 3.10.1): fills in a fresh connection whose tuple, profile and neighbor are
/// set, leaves it in SYN_SENT with a SYN to be sent. With `fast_open` what is queued before the SYN
/// leaves goes with it, if the peer has given us a cookie before; else the SYN asks for one
/// (RFC 7413).
void open_active(Connection& c, std::optional<Seq> last_seq, Environment& env, Instant now,
                 bool fast_open = false);

/// The same, without Fast Open, for a copy of a connection that open_active has just filled in:
/// only the ports differ, and the time. `fingerprint` is that of its tuple.
void open_active_likewise(Connection& c, const flow::FourTuple& fingerprint, Environment& env,
                          const Moment& now);

/// How much data the SYN of an active OPEN between these two with Fast Open would carry now; 0: it
/// would ask for a cookie.
uint32_t early_data_room(const AddressPair& pair, const Profile& profile, const Environment& env,
                         Instant now);

/// A SYN has reached a listener (section 3.10.7.2): fills in a fresh connection whose tuple,
/// profile and neighbor are set, leaves it in SYN_RECEIVED with a SYN,ACK to be sent. `last_seq` is
/// the largest sequence number of an earlier incarnation (RFC 6191), if any: the initial sequence
/// number will lie beyond it.
void open_passive(Connection& c, const Segment& syn, std::optional<Seq> last_seq, Environment& env,
                  Instant now);

/// The same for a copy of a connection that open_passive has just filled in, with timestamps, for a
/// SYN that said the same: only the ports and the sequence numbers differ, and the time.
/// `fingerprint` is that of its tuple.
void open_passive_likewise(Connection& c, const Segment& syn, const flow::FourTuple& fingerprint,
                           Environment& env, const Moment& now);

/// The SYN that has just opened `c` passively carries the option of Fast Open (RFC 7413), and the
/// listener allows it. Where the cookie is right, there is data, and `has_room` for one more such
/// connection, the result has `established` set, and the data: they are the application's before
/// the handshake is complete. input() sets `established` once more when it is.
InputResult take_fast_open(Connection& c, const Segment& syn, bool has_room, Environment& env,
                           Instant now);
/// Whether the handshake is still to be completed of a connection that the application has.
bool takes_early_data(const Connection& c);

/// A listener under attack (RFC 4987): the SYN,ACK whose sequence number is a cookie, so that
/// nothing has to be kept until the peer has shown that it exists. It is sent once for each SYN.
struct CookieReply {
    Seq seq;
    Seq ack;
    uint16_t window = 0;
    wire::TcpFlags flags;
    wire::TcpOptions options;
};
CookieReply answer_with_cookie(const wire::SocketAddress& local, const wire::SocketAddress& remote,
                               const Segment& syn, const Profile& profile, uint32_t ts_offset,
                               const Environment& env, Instant now);

/// What the SYN had offered to whose cookie this segment, which has found no connection, is the
/// answer; nothing if it is none.
std::optional<CookieOffer> read_cookie(const wire::SocketAddress& local,
                                       const wire::SocketAddress& remote, const Segment& segment,
                                       const Profile& profile, const Environment& env, Instant now);

/// Fills in a fresh connection whose tuple, profile and neighbor are set, as if the SYN had been
/// taken and the SYN,ACK been sent from it. `segment`, of which `offered` has been read, must be
/// its first input: that completes the handshake.
void open_from_cookie(Connection& c, const Segment& segment, const CookieOffer& offered,
                      Environment& env, Instant now);

/// A segment that could end the handshake of `c`, opened passively, and the listener waits for text
/// first (Profile::deferred_syn_acks). Whether it brings none, and so is to be ignored. The SYN,ACK
/// is then sent again only when the waiting is over: the peer has it, and is asked for the last
/// time.
bool defer_handshake(Connection& c, const Segment& segment, Environment& env);

// ---- what happens to a connection

/// SEGMENT ARRIVES (section 3.10.7.3 and 3.10.7.4).
InputResult input(Connection& c, const Segment& segment, Environment& env, const Moment& now);

/// To be called at or after next_deadline.
Events on_timer(Connection& c, Environment& env, Instant now);

/// The earliest moment at which on_timer has something to do; nothing if no timer runs.
std::optional<Instant> next_deadline(const Connection& c, Instant now);
/// The same in microseconds; never_us if no timer runs.
int64_t next_deadline_us(const Connection& c, Instant now);
/// Whether no timer can be running but that of retransmission (retransmit_deadline_us).
inline bool has_only_retransmission_deadline(const Connection& c) {
    constexpr uint32_t short_deadlines =
        static_cast<uint32_t>(Mark::delayed_ack) | static_cast<uint32_t>(Mark::pacing);
    return c.long_deadline_us == never_us && !c.has_any(short_deadlines);
}

/// An ICMP error quoted a segment of this connection (RFC 5927). A hard one kills only a handshake;
/// all that concern something in flight are reported (MUST-47, SHLD-25).
Events on_icmp_error(Connection& c, Seq quoted, Report error, Environment& env, Instant now);

/// What became of a message about the size of a segment.
enum class TooBig : uint8_t {
    not_believed,   ///< not about something in flight, or no smaller than what is sent
    probe_refused,  ///< only the probe for more was too large
    believed,       ///< segments are smaller from now on
};
/// A router says that a segment of this connection which begins at `quoted` was too large, and that
/// `size` (as an MSS) would pass (RFC 1191, RFC 8201, RFC 5927), `in_parts`: if routers may divide
/// it, as they may from then on. If that is believed, all that is in flight from there on goes
/// again in smaller segments, and this is not taken for congestion.
TooBig on_too_big(Connection& c, Seq quoted, uint16_t size, bool in_parts, Environment& env,
                  Instant now);

// ---- the user's calls

/// Queues a copy of `bytes`. Returns how many were taken: less than all when the send buffer or the
/// memory is full, 0 when sending was closed.
uint32_t send(Connection& c, std::span<const uint8_t> bytes, Environment& env, Instant now);
/// Queues `bytes` by reference: they must stay as they are until the connection ends.
uint32_t send_static(Connection& c, const wire::SummedBytes& bytes, Environment& env, Instant now);
inline uint32_t send_static(Connection& c, std::span<const uint8_t> bytes, Environment& env,
                            Instant now) {
    return send_static(c, wire::SummedBytes{bytes}, env, now);
}
/// The same as `send`, and all bytes up to the end of these are urgent (section 3.8.5): the urgent
/// pointer says so at once, even into a closed window. New applications should not (SHLD-13).
uint32_t send_urgent(Connection& c, std::span<const uint8_t> bytes, Environment& env, Instant now);
/// What has been queued last ends a record: the bytes of the next `send` go in other segments,
/// those that are sent again included.
void end_record(Connection& c, Environment& env);
/// Whether what is queued and fills no segment may leave; nothing queued, nothing changes.
void set_pushing(Connection& c, Pushing pushing, Environment& env);
/// How many bytes `send` would take now.
uint32_t send_space(const Connection& c, const Environment& env);

/// Keeps payload that the application has not taken. Returns how many bytes memory allowed; the
/// window accounts for the rest as not received only before rcv_nxt moved, so the caller must abort
/// the connection if fewer were kept.
uint32_t keep_unread(Connection& c, std::span<const uint8_t> bytes, Environment& env);
/// The first contiguous piece of unread bytes.
std::span<const uint8_t> peek_unread(const Connection& c, const Environment& env);
/// Gives `count` unread bytes back and opens the window, but never by a silly amount (MUST-39).
void consume_unread(Connection& c, uint32_t count, Environment& env, Instant now);
uint32_t unread_bytes(const Connection& c, const Environment& env);
/// How far urgent data reaches behind what has been handed out (MUST-33), 0 if there is none. It
/// may not all have arrived yet.
uint32_t urgent_bytes(const Connection& c, const Environment& env);
/// Copies the first unread bytes, as many as `into` has room for; they stay unread.
uint32_t copy_unread(const Connection& c, std::span<uint8_t> into, const Environment& env);
uint32_t unacknowledged_bytes(const Connection& c, const Environment& env);

/// From now on `profile` governs the connection. What the handshake has agreed on stays.
void change_profile(Connection& c, uint16_t profile, Environment& env, Instant now);

/// Half close: a FIN follows what is queued; receiving goes on.
void shutdown_send(Connection& c, Environment& env, Instant now);
/// CLOSE (section 3.10.4): as shutdown_send, and the user reads no more. Unread bytes make it a RST
/// (SHLD-3). Returns events with `closed` set if the connection ended at once (SYN_SENT).
Events close(Connection& c, Environment& env, Instant now);
/// ABORT (section 3.10.5): RST where the peer knows of us, and the end.
Events abort(Connection& c, Environment& env, Instant now);
/// The same without a word to the peer.
void forget(Connection& c, Environment& env);

// ---- output

/// The part of wants_output that the marks do not tell.
bool has_output_without_mark(const Connection& c, const Environment& env);

/// Whether next_segment could have something to say. May be wrong only by saying yes. Inline, as
/// most answers are found in the marks, and in a plain transfer: in that nothing is lost, and no
/// probe is due.
[[gnu::always_inline]] inline bool wants_output(const Connection& c, const Environment& env) {
    if (c.has_any(output_marks)) return true;
    constexpr auto send_closed = static_cast<uint32_t>(Mark::send_closed);
    constexpr auto fin_sent = static_cast<uint32_t>(Mark::fin_sent);
    constexpr uint32_t waiting =
        static_cast<uint32_t>(Mark::syn_unacked) | static_cast<uint32_t>(Mark::pacing);
    const bool owes_fin = (c.flags & (send_closed | fin_sent)) == send_closed;
    const uint32_t place = c.transfer;
    if (place == no_index && !owes_fin) return false;
    if (c.has_any(waiting)) return has_output_without_mark(c, env);
    if (place == no_index) return true;
    const Transfer& t = env.transfers.transfers[place];
    const Seq una = c.snd_una;
    const Seq nxt = c.snd_nxt;
    if (t.plain && !nxt.before(una + t.unsent_or_unacked.bytes)) return owes_fin;
    return (t.plain && una == nxt) || has_output_without_mark(c, env);
}

/// Fills in the next segment that may leave now and accounts for it as sent. Returns false when
/// there is none. `out.pieces` point into the queues and are valid until the next call.
bool next_segment(Connection& c, OutSegment& out, Environment& env, const Moment& now);

/// Gives the queues back. To be called once, when the caller lets go of the connection.
void release(Connection& c, Environment& env);

// ---- without a connection

/// The answer to a segment for which there is no connection and no listener (section 3.10.7.1).
std::optional<Reply> reply_in_closed(const Segment& segment);
/// The answer of a listener to what is not a SYN (section 3.10.7.2); a SYN goes to open_passive.
std::optional<Reply> reply_in_listen(const Segment& segment);

/// What remains of a connection in TIME_WAIT: 24 bytes.
struct TimeWait {
    flow::FourTuple tuple;
    Seq snd_nxt;
    Seq rcv_nxt;
    uint32_t ts_recent = 0;  ///< 0: no timestamps
};
[[gnu::always_inline]] inline TimeWait make_time_wait(const Connection& c) {
    const uint32_t stamp = c.ts_recent + (c.ts_recent == 0 ? 1 : 0);
    return {c.tuple(), c.snd_nxt, c.rcv_nxt, c.has(Mark::timestamps) ? stamp : 0};
}

enum class TimeWaitVerdict : uint8_t {
    ignore,
    acknowledge,              ///< ACK with SEQ = SND.NXT, ACK = RCV.NXT
    restart_and_acknowledge,  ///< a FIN again: the same, and 2MSL starts over
    reopen,                   ///< a SYN that is provably newer: give the tuple up (RFC 6191, MAY-2)
};
/// Section 3.10.7.4 for TIME_WAIT, with RFC 1337 (RST is ignored) and RFC 6191.
TimeWaitVerdict on_segment_in_time_wait(const TimeWait& record, const Segment& segment);

}  // namespace synfin::tcp
