// A connection: what a segment on the fast path touches, in two cache lines.
//
//   line 0  who it is and where both sequence spaces stand: read and written by every segment
//   line 1  congestion, round-trip time, deadlines, the user's word: what sending needs
//
// Everything that only some connections need at some time (data queued or unread, segments out of
// order, loss recovery) hangs off `transfer`, an index into a pool; an idle connection has none.
// Fields of type Shown are those that `synfin ss` reads from another thread.
//
// Invariants (check_invariants): snd_una at or before snd_nxt; rcv_nxt at or before rcv_edge;
// a transfer exists if bytes are queued, unread or held; an unacknowledged SYN, FIN or byte has a
// retransmission or persist deadline unless its first transmission is still to come.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <synfin/base/index_pool.hpp>
#include <synfin/base/instant.hpp>
#include <synfin/base/relaxed.hpp>
#include <synfin/flow/four_tuple.hpp>
#include <synfin/tcp/seq.hpp>
#include <synfin/tcp/state.hpp>

namespace synfin::tcp {

/// A deadline that does not come: so small a number that an instruction can carry it, to store it
/// or to compare with it.
inline constexpr int64_t never_us = -1;

/// Connection::next of one that is in no list; no_index is the end of one.
inline constexpr uint32_t in_no_list = no_index - 1;

/// What is true of a connection or waits to be done for it; one bit each in Connection::flags.
enum class Mark : uint32_t {
    // negotiated
    timestamps = 1u << 0,      ///< both SYNs carried them (RFC 7323)
    window_scaling = 1u << 1,  ///< both SYNs carried it
    sack_permitted = 1u << 2,  ///< both SYNs carried it (RFC 2018)
    // life
    passive_open = 1u << 3,  ///< came through LISTEN (MUST-11)
    send_closed = 1u << 4,   ///< the user sends no more: a FIN follows the queued data
    fin_sent = 1u << 5,      ///< snd_nxt counts our FIN
    peer_fin = 1u << 6,      ///< rcv_nxt counts the peer's FIN
    detached = 1u << 7,      ///< the user has closed and will not read again
    no_nagle = 1u << 8,
    keep_alive = 1u << 9,
    // to be sent at the next output
    ack_now = 1u << 10,
    send_syn = 1u << 11,        ///< SYN or SYN,ACK, first or again
    send_fin_again = 1u << 12,  ///< retransmission of a FIN that carries no data
    send_probe = 1u << 13,      ///< zero-window or keep-alive probe
    send_reset = 1u << 14,      ///< abort: RST, then CLOSED
    // what is being measured or waited for
    persisting = 1u << 15,         ///< retransmit_deadline is the persist timer's
    syn_retransmitted = 1u << 16,  ///< no RTT sample from the handshake (Karn), IW 1 (RFC 6928)
    delayed_ack = 1u << 17,        ///< delayed_ack_deadline is armed
    retransmit_armed = 1u << 18,   ///< retransmit_deadline is armed
    narrow_path = 1u << 19,        ///< mss is less than the two ends have agreed to (path.cpp)
    // for the stack, which keeps its own bits here to stay within two lines
    eof_told = 1u << 20,          ///< the application knows of the peer's FIN
    established_told = 1u << 21,  ///< the application knows of the connection
    counted_in_backlog = 1u << 22,
    in_table = 1u << 23,        ///< found by its tuple
    send_blocked = 1u << 24,    ///< the application was refused bytes and awaits on_writable
    owns_port = 1u << 25,       ///< the local port came from the port allocator
    retry_reported = 1u << 26,  ///< R1 was reached and the application told (SHLD-9)
    syn_unacked = 1u << 27,     ///< snd_una stands before our SYN
    // for the stack, again
    close_noted = 1u << 28,     ///< the application is about to be told of the end
    memory_blocked = 1u << 29,  ///< a send found no memory: on_writable comes without an ACK
    /// What is to be sent carries an option that others do not: our SYN or SYN,ACK that of Fast
    /// Open (RFC 7413), the next segment after that the user timeout (RFC 5482).
    extra_option = 1u << 30,
    // for the protocol, again
    pacing = 1u << 31,  ///< what waits for the pacer leaves at short_deadline, or is asked for then
};

/// Those of Mark that have a segment leave at the next output.
inline constexpr uint32_t output_marks =
    static_cast<uint32_t>(Mark::ack_now) | static_cast<uint32_t>(Mark::send_syn) |
    static_cast<uint32_t>(Mark::send_fin_again) | static_cast<uint32_t>(Mark::send_probe) |
    static_cast<uint32_t>(Mark::send_reset);

struct Counters;

struct alignas(64) Connection {
    // ---- line 0
    Shown<flow::AddressId> local_address;
    Shown<flow::AddressId> remote_address;
    Shown<uint16_t> local_port;
    Shown<uint16_t> remote_port;
    uint32_t hash = 0;  ///< of the four-tuple, for leaving the table
    Shown<State> state;
    uint8_t snd_scale : 4 = 0;  ///< Snd.Wind.Shift
    uint8_t rcv_scale : 4 = 0;  ///< Rcv.Wind.Shift
    Shown<uint8_t> backoff;     ///< consecutive expiries of the retransmission, persist or
                                ///< keep-alive timer: only one of them runs
    /// How often the RTO stands doubled. Unlike `backoff`, an ACK does not end it, only a sample
    /// does (Karn).
    uint8_t rto_shift : 4 = 0;
    bool early_data : 1 = false;  ///< what a SYN carried was taken (RFC 7413)
    // RFC 3168
    /// Both SYNs carried it; before that, ours offers it. A number, so that g++ asks for it and for
    /// rto_shift at once.
    uint8_t ecn : 1 = 0;
    bool echoes_ce : 1 = false;  ///< our ACKs carry ECE
    bool owes_cwr : 1 = false;   ///< the next new data carries CWR
    uint32_t flags = 0;          ///< of Mark
    Shown<Seq> rcv_nxt;
    Seq rcv_edge;       ///< right edge of the window that was announced
    Seq last_ack_sent;  ///< Last.ACK.sent (RFC 7323)
    Shown<Seq> snd_una;
    Shown<Seq> snd_nxt;
    uint32_t snd_wnd = 0;  ///< scaled
    Seq snd_wl1;
    Seq snd_wl2;
    uint32_t ts_recent = 0;
    uint32_t ts_offset = 0;  ///< per-tuple offset of our timestamp clock

    // ---- line 1
    uint32_t cwnd = 0;      ///< bytes; in SYN_SENT, those that our SYN has carried (RFC 7413)
    uint32_t ssthresh = 0;  ///< bytes
    /// RFC 6298, microseconds; srtt_us is 0 before the first sample, and rttvar_us then holds the
    /// moment of the first SYN's departure, or 0 if that is not known.
    uint32_t srtt_us = 0;
    uint32_t rttvar_us = 0;
    uint16_t mss = 0;  ///< effective send MSS without options
    uint16_t profile = 0;
    uint16_t neighbor = 0;        ///< the stack's: the next hop's entry
    uint16_t max_snd_wnd = 0;     ///< largest window ever offered, in units of 2^snd_scale
    uint16_t ts_recent_tick = 0;  ///< when ts_recent was set, for the 24 days of PAWS
    uint16_t challenge_tick = 0;  ///< last answer to an unacceptable segment, in 2^13 us
    /// Low 32 bits of microseconds; while the timer does not run, when it was stopped: since then
    /// the connection has been idle.
    Shown<uint32_t> retransmit_deadline_us;
    Shown<uint32_t> short_deadline_us;  ///< of the delayed ACK and the pacer, whichever is first
    Shown<uint32_t> transfer{no_index};
    Shown<int64_t> long_deadline_us{never_us};  ///< user timeout, keep-alive, FIN_WAIT_2
    uint32_t generation = 0;                    ///< grows with each use of this place
    uint32_t next = in_no_list;                 ///< free list, or the stack's lists
    alignas(8) uint64_t user_data = 0;          ///< the application's

    bool is_in_list() const { return next != in_no_list; }
    bool has(Mark m) const { return (flags & static_cast<uint32_t>(m)) != 0; }
    bool has_any(uint32_t marks) const { return (flags & marks) != 0; }
    void set(Mark m) { flags |= static_cast<uint32_t>(m); }
    void clear(Mark m) { flags &= ~static_cast<uint32_t>(m); }

    /// As `other` is, but for the generation. Readers of other threads see each word before or
    /// after.
    void become(const Connection& other) {
        const uint32_t kept = generation;
        synfin::become(*this, other);
        generation = kept;
    }
    /// As it was made, but for the generation.
    void renew() {
        static constinit const Connection fresh{};
        become(fresh);
    }

    flow::FourTuple tuple() const {
        return {local_address, remote_address, local_port, remote_port};
    }
    /// For the owner: both ports as they stand in the headers of what we send, in host order.
    uint32_t ports() const {
        uint32_t both;
        std::memcpy(&both, reinterpret_cast<const char*>(this) + offsetof(Connection, local_port),
                    sizeof both);
        return std::endian::native == std::endian::little ? std::rotl(both, 16) : both;
    }
    /// For the owner: the four fields that come first are laid out as in a tuple.
    bool is(const flow::FourTuple& t) const {
        return std::memcmp(static_cast<const void*>(this), &t, sizeof t) == 0;
    }
    /// The same in one comparison.
    bool is(const flow::HashedTuple& t) const { return t.stands_at(this); }
};

static_assert(offsetof(Connection, hash) == offsetof(flow::HashedTuple, hash));
static_assert(sizeof(Connection) == 128, "a connection is two cache lines");

inline uint32_t& pool_link(Connection& c) { return c.next; }

/// The one place where a state changes. Asserts that the transition is legal, and counts what
/// RFC 4022 defines as a transition.
void set_state(Connection& connection, State to, Counters& counters);

/// Asserts everything that must hold of a connection between two events.
struct Environment;
void check_invariants(const Connection& connection, const Environment& environment);

}  // namespace synfin::tcp
