// A script over one connection, or one listener and the connection that it accepts: the core of
// tcp/ without frames, driven in exact virtual time as the stack drives it.
//
//     Script s;
//     s.listen();
//     s.inject(Syn().seq(0).window(65535).mss(1460));
//     s.expect(SynAck().seq(0).ack(1).mss(1460));
//     s.inject(Ack().seq(1).ack(1));
//     s.expect_state(State::established);
//
// After each event the script calls check_invariants and takes every segment that may leave, and
// holds each against rules that no segment may break, whatever the test is about (see
// judge_segment). What was sent has to be expected, segment by segment and in order; a segment that
// nobody expected fails the test. At the end of the script the connection is aborted if it still
// lives, and its memory must have come back.
//
// Sequence numbers are relative. The absolute ones begin where Setup says; tests that leave it at
// that run at the numbers of the environment variable SYNFIN_TEST_ISN (one value for both sides),
// so that the same tests run at each corner of the sequence space.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include <synfin/tcp/core.hpp>

#include "packet.hpp"

namespace synfin::conformance {

using namespace synfin::literals;
using tcp::CloseReason;
using tcp::State;
using Where = std::source_location;

/// The initial sequence numbers at which everything has to work.
inline constexpr uint32_t corner_isns[] = {0, 0x7fff'ffff, 0x8000'0000, 0xffff'ffff};

uint32_t default_local_isn();
uint32_t default_peer_isn();

struct Setup {
    tcp::Profile profile{};
    uint16_t mtu = 1500;
    uint32_t local_isn = default_local_isn();
    uint32_t peer_isn = default_peer_isn();
    bool ipv6 = false;  ///< the addresses are names of interned ones
    Duration time_wait = Duration::seconds(60);
    uint32_t transfers = 4;
    uint32_t ranges = 256;
    uint32_t nodes = 4096;
    uint32_t chunks = 1024;
};

class Script {
  public:
    explicit Script(const Setup& setup = {});
    ~Script();
    Script(const Script&) = delete;
    Script& operator=(const Script&) = delete;

    // ---- the user's calls
    void listen();
    void close_listener() { listening_ = false; }
    void call_open();
    /// Returns how many bytes were taken.
    uint32_t call_send(std::string_view text);
    /// The next `count` bytes of our test stream.
    uint32_t call_send_bytes(uint32_t count);
    uint32_t call_send_static_bytes(uint32_t count);
    uint32_t call_send_urgent(std::string_view text);
    /// The user says that more follows.
    uint32_t call_send_more(uint32_t count);
    /// A record of its own: no other bytes share its segments.
    uint32_t call_send_record(uint32_t count);
    void call_set_pushing(tcp::Pushing pushing);
    void call_shutdown();
    void call_close();
    void call_abort();
    /// The user changes options of the connection.
    void change_profile(const tcp::Profile& profile);
    /// From now on the application leaves what arrives unread.
    void stop_reading() { reading_ = false; }
    /// Reads up to so many unread bytes.
    void call_read(uint32_t count);
    void resume_reading();
    /// An ICMP error that quotes a segment with this relative sequence number.
    void inject_icmp(uint32_t relative_quoted, tcp::Report error);
    void inject_icmp(uint32_t relative_quoted, bool hard) {
        inject_icmp(relative_quoted,
                    hard ? tcp::Report::port_unreachable : tcp::Report::host_unreachable);
    }

    /// What the application does in the middle of an event, before anything is sent.
    std::function<void()> when_established = [] {};
    std::function<void()> when_peer_closed = [] {};

    // ---- segments in
    void inject(const Packet& packet);
    /// Several segments in one loop of the stack: output comes after the last one.
    void inject_burst(const std::vector<Packet>& packets);

    /// The next timer fires, and then something arrives before anything can leave.
    void fire_timer_before_output();

    // ---- segments out
    /// The next segment that was sent.
    void expect(const Packet& packet, Where where = Where::current());
    /// Nothing more than what was expected has been sent up to now.
    void expect_nothing(Where where = Where::current());
    /// And nothing is sent during the next `d`.
    void expect_nothing_for(Duration d, Where where = Where::current());
    /// Nothing is sent until `d` from now; then this, at that very microsecond.
    void expect_after(Duration d, const Packet& packet, Where where = Where::current());
    /// The next segment leaves between `least` and `most` from now. Returns when, from now; time
    /// stands there afterwards.
    Duration expect_between(Duration least, Duration most, const Packet& packet,
                            Where where = Where::current());
    /// A RST with this sequence number, with or without ACK: both are in use for an abort.
    void expect_reset(uint32_t relative_seq, Where where = Where::current());
    /// All that has been sent and not been expected yet, for tests that judge it themselves.
    std::vector<Sent> take_sent();
    void ignore_sent() { sent_.clear(); }

    // ---- time
    void wait(Duration d);
    Duration now() const;
    Instant instant() const { return now_; }
    /// Runs the timers until the connection is gone, at most for `limit`. Returns how long it took.
    Duration drain(Duration limit, Where where = Where::current());

    // ---- short cuts: to ESTABLISHED, our FIN and the peer's at 1, no options but the ones given
    struct Handshake {
        uint16_t window = 65535;  ///< the peer's, in each of its segments from then on
        std::optional<uint16_t> mss = 1460;
        std::optional<uint8_t> window_scale{};
        bool timestamps = false;
        bool sack_permitted = false;
        bool active = false;
        Duration round_trip = Duration::milliseconds(10);
    };
    void establish(const Handshake& handshake, Where where = Where::current());
    void establish(Where where = Where::current()) { establish(Handshake{}, where); }

    // ---- judgments
    State state() const;
    void expect_state(State expected, Where where = Where::current());
    /// The user was told that the connection is over, once, with this reason.
    void expect_closed(CloseReason reason, Where where = Where::current());
    void expect_open(Where where = Where::current());
    /// The bytes that the application has read since the last such call.
    void expect_received(std::string_view text, Where where = Where::current());
    void expect_received_bytes(uint32_t count, Where where = Where::current());
    uint64_t received_total() const { return received_total_; }
    uint32_t established_count() const { return established_count_; }
    uint32_t peer_closed_count() const { return peer_closed_count_; }
    uint32_t retrying_count() const { return retrying_count_; }
    /// How often the user was told that there may be room to send.
    uint32_t room_told_count() const { return room_told_count_; }
    CloseReason close_reason() const { return reason_; }
    /// What the user was told of the way to the peer, in order.
    const std::vector<tcp::Report>& reports() const { return reports_; }
    /// The lengths of urgent data that the user was told, in order.
    const std::vector<uint32_t>& urgent_told() const { return urgent_told_; }

    // ---- what lies below, for tests about it
    const tcp::Connection& connection() const { return c_; }
    bool gone() const { return place_ != Place::alive; }
    const tcp::Counters& counters() const { return counters_; }
    const tcp::Environment& environment() const { return env_; }
    tcp::Environment& environment() { return env_; }
    const Setup& setup() const { return setup_; }
    uint32_t local_isn() const { return local_isn_; }
    std::optional<Duration> next_deadline() const;
    uint32_t unread() const;
    uint32_t held_ranges() const { return transfers_.ranges.used(); }
    uint32_t buffer_nodes() const { return buffers_.nodes.used(); }
    /// The peer's window from now on, as it stands in headers that do not name another.
    void peer_window(uint16_t window) { peer_window_ = window; }
    /// What the peer would put into its next segment: relative, after all that it has sent.
    uint32_t peer_next() const { return peer_next_; }
    /// One past the last byte (or FIN) that we have sent, relative.
    uint32_t sent_end() const { return sent_end_; }
    uint32_t milliseconds_of_peer() const;
    /// One past the last sequence number of ours-to-receive that we have allowed, relative.
    uint32_t announced_edge() const { return announced_edge_.value_or(0); }
    uint32_t last_ts_value() const { return last_ts_value_; }

  private:
    enum class Place : uint8_t { none, alive, time_wait };

    tcp::Segment segment_of(const Packet& packet, std::string& storage);
    void note_injected(const Packet& packet, const tcp::Segment& segment);
    void arrive(const tcp::Segment& segment);
    void arrive_at_listener(const tcp::Segment& segment, std::optional<tcp::Seq> last_seq);
    /// The next `count` bytes of our test stream; returns how many were taken.
    uint32_t queue(uint32_t count);
    void take_events(const tcp::Events& events);
    void take_result(const tcp::InputResult& result);
    void react(const std::function<void()>& reaction);
    void read_unread();
    void take_bytes(std::span<const uint8_t> bytes);
    void record(const tcp::OutSegment& out, bool wanted);
    void record_reply(const tcp::Reply& reply);
    /// What holds of every segment, whatever a test is about.
    void judge_segment(const Sent& sent, const tcp::OutSegment& out);
    void judge_header(const Sent& sent);
    void judge_payload(const Sent& sent);
    void judge_promises(const Sent& sent);
    /// What the stack does after the input of a loop: output, then TIME_WAIT, then letting go.
    void settle();
    void let_go();
    /// The end of a connection is told when all that came before it has been read.
    void tell_closed(CloseReason reason);
    /// Fires everything that is due up to `until`, then stands there. Stops early (and returns
    /// true) when something was sent and `stop_at_output`.
    bool advance(Instant until, bool stop_at_output);
    std::optional<Instant> deadline() const;
    void fresh_connection();
    void fail(Where where, const std::string& text) const;
    std::string story() const;
    tcp::Seq local_seq(uint32_t relative) const { return tcp::Seq{local_isn_ + relative}; }
    tcp::Seq peer_seq(uint32_t relative) const { return tcp::Seq{setup_.peer_isn + relative}; }

    Setup setup_;
    tcp::Terms terms_ = tcp::terms_of(setup_.profile, setup_.mtu);
    tcp::TransferPool transfers_;
    tcp::BufferPool buffers_;
    tcp::Counters counters_;
    tcp::Environment env_;
    flow::FourTuple tuple_;
    Instant begin_, now_;

    tcp::Connection c_;
    Place place_ = Place::none;
    bool listening_ = false;
    bool reading_ = true;
    bool in_event_ = false;    ///< the application's reaction: output waits for the event's end
    bool user_knows_ = false;  ///< a connection exists of whose end the user has not been told
    tcp::TimeWait record_{};
    Instant time_wait_end_;

    uint32_t local_isn_;
    bool isn_known_ = false;
    // the peer's view
    uint16_t peer_window_ = 65535;
    uint32_t peer_next_ = 0;
    uint32_t sent_end_ = 0;    ///< relative end of what we sent
    uint64_t right_edge_ = 0;  ///< furthest relative sequence number that the peer ever allowed
    bool peer_offered_ts_ = false, we_offered_ts_ = false;
    bool peer_offered_scale_ = false, we_offered_scale_ = false;
    uint8_t peer_scale_ = 0, our_scale_ = 0;
    std::optional<uint16_t> peer_mss_;
    uint32_t last_ts_value_ = 0;
    // our view
    std::string stream_;  ///< what the user gave us to send and we took
    std::vector<std::vector<uint8_t>> static_memory_;
    std::optional<uint32_t> announced_edge_;  ///< relative right edge of our window
    std::optional<uint32_t> last_ack_;
    std::string received_;
    uint64_t received_total_ = 0;
    uint32_t established_count_ = 0, peer_closed_count_ = 0, retrying_count_ = 0, closed_count_ = 0;
    uint32_t room_told_count_ = 0;
    CloseReason reason_ = CloseReason::none;
    std::vector<tcp::Report> reports_;
    std::vector<uint32_t> urgent_told_;
    bool urgent_given_ = false;               ///< the user has sent urgent data
    bool more_follows_ = false;               ///< the user has said so (MAY-15: SEND without PUSH)
    CloseReason untold_ = CloseReason::none;  ///< over, but bytes are unread

    std::deque<Sent> sent_;
    std::deque<std::string> story_;  ///< the last events, for a failure's message
};

/// Brings a fresh script into `state` by the shortest way, with all that was sent on the way
/// expected: sequence numbers stand at 1 on both sides (2 behind a FIN of that side).
/// SYN_RECEIVED is reached through LISTEN, CLOSE_WAIT by the peer's FIN.
void enter(Script& script, State state, Where where = Where::current());

}  // namespace synfin::conformance
