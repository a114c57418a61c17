// What the files of this folder say to each other. Nobody else includes it, but by way of
// usual_input.hpp and usual_output.hpp, which are inline.
#pragma once

#include <algorithm>

#include <synfin/tcp/core.hpp>
#include <synfin/tcp/fast_open.hpp>
#include <synfin/tcp/transition.hpp>

namespace synfin::tcp {

/// A moment as connections keep it: the low 32 bits of microseconds.
[[gnu::always_inline]] inline uint32_t low_us(const Moment& t) {
    return static_cast<uint32_t>(t.us());
}

// ---- connection.cpp: the queues behind a connection

/// The connection's transfer, if it has one, for who changes no more of it than a plain one may
/// have changed.
[[gnu::always_inline]] inline Transfer* usual_transfer_of(const Connection& c, Environment& env) {
    const uint32_t place = c.transfer;
    return place == no_index ? nullptr : &env.transfers.transfers[place];
}
/// The same for who may change anything in it.
[[gnu::always_inline]] inline Transfer* transfer_of(const Connection& c, Environment& env) {
    Transfer* const t = usual_transfer_of(c, env);
    if (t != nullptr) t->plain = false;
    return t;
}
[[gnu::always_inline]] inline const Transfer* transfer_of(const Connection& c,
                                                          const Environment& env) {
    const uint32_t place = c.transfer;
    return place == no_index ? nullptr : &env.transfers.transfers[place];
}
/// A FIN may be in flight before anything needs a transfer; it left when its timer was started.
void account_for_fin_in_flight(const Connection& c, Transfer& t, Environment& env);
inline void account_for_fin(const Connection& c, Transfer& t, Environment& env) {
    if (c.snd_una != c.snd_nxt.load() && !c.has(Mark::syn_unacked)) [[unlikely]]
        account_for_fin_in_flight(c, t, env);
}
/// The connection's transfer, taken now if it has none; nullptr when the pool is empty. For the
/// same two.
[[gnu::always_inline]] inline Transfer* require_usual_transfer(Connection& c, Environment& env) {
    if (Transfer* t = usual_transfer_of(c, env)) return t;
    const uint32_t index = env.transfers.transfers.take();
    if (index == no_index) [[unlikely]]
        return nullptr;
    Transfer& t = env.transfers.transfers[index];
    t.start(c.snd_una);
    account_for_fin(c, t, env);
    c.transfer.publish(index);
    return &t;
}
Transfer* require_transfer(Connection& c, Environment& env);
/// Gives a plain transfer back, and what is queued in it.
[[gnu::always_inline]] inline void release_plain(Connection& c, Transfer& t, Environment& env) {
    t.unsent_or_unacked.clear(env.buffers);
    env.transfers.transfers.give_back(c.transfer);
    c.transfer = no_index;
}
/// Accounts for what is in flight anew, when nothing but a FIN can be.
void restart_flight(const Connection& c, Transfer& t, Environment& env);
void drop_transfer_if_idle(Connection& c, Transfer& t, Environment& env);
/// Gives the transfer back if nothing is in it.
inline void drop_idle_transfer(Connection& c, Environment& env) {
    if (Transfer* t = transfer_of(c, env)) drop_transfer_if_idle(c, *t, env);
}

inline uint32_t queued_bytes(const Connection& c, const Environment& env) {
    const Transfer* t = transfer_of(c, env);
    return t == nullptr ? 0 : t->unsent_or_unacked.bytes.load();
}
/// The sequence number of the first queued byte.
inline Seq data_begin(const Connection& c) {
    return c.snd_una.load() + (c.has(Mark::syn_unacked) ? 1 : 0);
}
/// The sequence number of the FIN, if there will be one.
inline Seq data_end(const Connection& c, const Environment& env) {
    return data_begin(c) + queued_bytes(c, env);
}
[[gnu::always_inline]] inline bool fin_acknowledged(const Connection& c) {
    return c.has(Mark::fin_sent) && c.snd_una.load() == c.snd_nxt.load();
}

// ---- calls.cpp

/// How much may be queued and unacknowledged now.
uint32_t send_buffer(const Connection& c, const Environment& env);

/// send_static() without the fast path of usual_send.hpp.
uint32_t send_static_in_general(Connection& c, const wire::SummedBytes& bytes, Environment& env);
/// close() without that of usual_close.hpp.
Events close_in_general(Connection& c, Environment& env, Instant now);

// ---- urgent.cpp

/// Sixth check of section 3.10.7.4: RCV.UP follows the urgent pointer, and the user is told.
void check_urg(Connection& c, const Segment& segment, Environment& env, InputResult& result);
/// Forgets urgent data that has been read, or acknowledged.
void end_urgent_data(const Connection& c, Transfer& t);
/// Writes the urgent pointer into a segment that begins before the end of the urgent data.
void write_urgent_pointer(const Transfer& t, OutSegment& out);

// ---- fast_open.cpp

/// Gives our first SYN the cookie and what of the queue it has room for, or lets it ask for one.
void write_early_data(Connection& c, OutSegment& out, Environment& env, Instant now);
/// Takes the cookie from a SYN,ACK, and what it acknowledges of the SYN's data off the queue.
void take_fast_open_answer(Connection& c, const Segment& syn_ack, Environment& env, Instant now,
                           Events& events);
AddressPair addresses_of(const Connection& c, const Environment& env);

// ---- options.cpp

inline constexpr uint8_t max_window_shift = 14;  ///< RFC 7323 section 2.3
/// Below this a peer could make us send mostly headers (CVE-2019-11479).
inline constexpr uint16_t min_send_mss = 48;
constexpr uint16_t default_send_mss(bool v6) { return v6 ? 1220 : 536; }  ///< MUST-15
inline bool is_v6(const Connection& c) { return flow::is_interned(c.remote_address); }
/// The smallest shift with which a receive buffer of this size can be announced.
uint8_t window_shift_for(uint32_t buffer_bytes);

/// Of what every segment carries by agreement: timestamps with two NOPs, or nothing.
inline uint32_t agreed_option_bytes(const Connection& c) {
    return c.has(Mark::timestamps) ? 12 : 0;
}
/// The largest packet that the connection sends.
uint16_t path_mtu(const Connection& c);
inline uint32_t timestamp_clock(const Connection& c, const Moment& now) {
    return timestamp_clock(c.ts_offset, now);
}
/// The clock of RFC 7323 section 5.5.
inline uint16_t paws_tick(const Moment& now) { return now.ticks(); }
inline uint16_t paws_tick(Instant now) { return Moment::ticks_of(now); }
/// Our MSS option: the largest segment that we can take (SHLD-6, MUST-67).
inline uint16_t receive_mss(const Profile& profile, bool v6, uint16_t mtu) {
    const int by_mtu = std::max(mtu - header_bytes(v6), 1);
    const uint16_t clamp = profile.mss_clamp;
    return static_cast<uint16_t>(clamp == 0 ? by_mtu : std::min<int>(by_mtu, clamp));
}
inline uint16_t receive_mss(const Connection& c, const Terms& terms) {
    return is_v6(c) ? terms.mss_v6 : terms.mss_v4;
}
inline uint16_t receive_mss(const Connection& c, const Environment& env) {
    return receive_mss(c, env.terms_of(c));
}
/// Whether the next segment advises on the user timeout (RFC 5482). Before the SYN is acknowledged,
/// the mark stands for Fast Open.
inline bool owes_user_timeout(const Connection& c) {
    constexpr auto extra = static_cast<uint32_t>(Mark::extra_option);
    return (c.flags & (extra | static_cast<uint32_t>(Mark::syn_unacked))) == extra;
}
/// How many bytes of options a segment with data carries now, if it carries more than agreed.
uint32_t all_option_bytes(const Connection& c, const Transfer& t);
/// How many bytes of options a segment with data carries now.
inline uint32_t option_bytes(const Connection& c, const Transfer& t) {
    const bool tells_more = t.held_count != 0 || t.owes_dsack() || owes_user_timeout(c);
    return tells_more ? all_option_bytes(c, t) : agreed_option_bytes(c);
}
/// How much data a segment carries now.
inline uint32_t payload_max(const Connection& c, const Transfer& t) {
    const uint32_t options = option_bytes(c, t);
    return c.mss > options ? c.mss - options : 1;
}
/// All of these write into cleared options: a copy of what has just been written piece by piece
/// would have to wait for all of it.
void write_syn_options(const Connection& c, const Environment& env, Instant now,
                       wire::TcpOptions& o);
void write_user_timeout(const Connection& c, const Environment& env, wire::TcpOptions& o);
/// Where both SYNs carried them.
void write_timestamps(const Connection& c, Instant now, wire::TcpOptions& o);
void write_plain_options(const Connection& c, const Environment& env, Instant now,
                         wire::TcpOptions& o);

// ---- receive_window.cpp

/// What may be announced with so many bytes unread.
[[gnu::always_inline]] inline uint32_t receive_space(const Profile& profile, uint32_t unread) {
    const uint32_t buffer = profile.receive_buffer_bytes;
    const uint32_t space = buffer > unread ? buffer - unread : 0;
    const uint32_t clamp = profile.window_clamp;
    return clamp == 0 ? space : std::min(space, clamp);
}
uint32_t receive_buffer_space(const Connection& c, const Environment& env);
/// The window of so many bytes as a header can say it, in bytes. Rounded up, since rounding down
/// would take back what was promised; that promises less than one unit more.
constexpr uint32_t whole_units(uint32_t window, uint32_t shift) {
    const uint32_t unit = 1u << shift;
    return std::min<uint32_t>((window + unit - 1) >> shift, 0xffff) << shift;
}
/// Moves the right edge as far as buffers and silly-window avoidance allow; returns the header
/// field.
uint16_t announce_window(Connection& c, const Environment& env);
/// The same with nothing unread: nearly always the whole buffer, to which no step is a silly one.
[[gnu::always_inline]] inline uint16_t announce_whole_window(Connection& c, const Terms& terms,
                                                             const Environment& env) {
    const Seq rcv_nxt = c.rcv_nxt;
    const uint32_t promised = c.rcv_edge.distance_from(rcv_nxt);
    if (c.rcv_scale != terms.whole_window_shift || promised > terms.whole_window) [[unlikely]]
        return announce_window(c, env);
    c.rcv_edge = rcv_nxt + terms.whole_window;
    return terms.whole_window_field;
}

// ---- reassembly.cpp

/// Keeps payload that lies ahead of a hole. False if a limit refuses it.
bool hold(Transfer& t, Seq begin, std::span<const uint8_t> payload, Environment& env);
/// Moves what has become contiguous to `unread`; returns the new rcv_nxt.
Seq take_contiguous(Transfer& t, Seq rcv_nxt, Environment& env);
/// [begin, end) has come once more; the first such until the next ACK is reported.
void note_duplicate(Transfer& t, Seq begin, Seq end);
/// The same for what of [begin, end) is held.
void note_held_part(Transfer& t, Seq begin, Seq end, Environment& env);
void release_held(Transfer& t, Environment& env);
void check_held(const Transfer& t, Seq rcv_nxt, const Environment& env);
uint8_t sack_blocks(const Transfer& t, const Environment& env, unsigned max, wire::SackBlock* out);

// ---- round_trip.cpp

inline constexpr uint32_t rto_after_syn_timeout_us = 3'000'000;  ///< (5.7)
/// RTO before back-off (RFC 6298 section 2), in microseconds.
[[gnu::always_inline]] inline uint32_t base_rto_us(const Connection& c, const Terms& terms) {
    if (c.srtt_us == 0) {
        const bool data_after_syn_timeout =
            c.has(Mark::syn_retransmitted) && !c.has(Mark::syn_unacked);
        return data_after_syn_timeout ? std::max(terms.rto_initial_us, rto_after_syn_timeout_us)
                                      : terms.rto_initial_us;
    }
    const uint64_t variation = uint64_t{4} * c.rttvar_us;
    const uint64_t margin = variation > terms.rto_margin_us ? variation : terms.rto_margin_us;
    const uint64_t rto = c.srtt_us + margin;
    if (rto <= terms.rto_min_us) [[likely]]
        return terms.rto_min_us;
    return rto < terms.rto_max_us ? static_cast<uint32_t>(rto) : terms.rto_max_us;
}
/// RTO with back-off (5.5), bounded; `base` is base_rto_us.
[[gnu::always_inline]] inline uint32_t backed_off_rto_us(const Connection& c, const Terms& terms,
                                                         uint32_t base) {
    if (c.rto_shift == 0) [[likely]]
        return base;  // bounded already
    return static_cast<uint32_t>(
        std::min<uint64_t>(uint64_t{base} << c.rto_shift, terms.rto_max_us));
}
[[gnu::always_inline]] inline uint32_t backed_off_rto_us(const Connection& c, const Terms& terms) {
    return backed_off_rto_us(c, terms, base_rto_us(c, terms));
}
/// (5.5): doubles the RTO, until the next sample.
void back_off_rto(Connection& c);
/// How long the same octets have been tried, when the timer expires for the (backoff + 1)th time.
Duration time_tried(const Connection& c, const Environment& env);
/// (2.2)
[[gnu::always_inline]] inline void take_first_round_trip_sample(Connection& c, uint32_t sample_us) {
    const uint32_t r = sample_us + (sample_us == 0 ? 1 : 0);  // of a maximum g++ makes a vector's
    c.srtt_us = r;
    c.rttvar_us = r / 2;
}
[[gnu::always_inline]] inline void take_round_trip_sample(Connection& c, uint32_t sample_us) {
    c.rto_shift = 0;
    if (c.srtt_us == 0) return take_first_round_trip_sample(c, sample_us);
    const uint32_t r = std::max(sample_us, 1u);
    // (2.3), in this order
    const uint32_t error = c.srtt_us > r ? c.srtt_us - r : r - c.srtt_us;
    c.rttvar_us = static_cast<uint32_t>((uint64_t{3} * c.rttvar_us + error) / 4);
    c.srtt_us = std::max<uint32_t>(static_cast<uint32_t>((uint64_t{7} * c.srtt_us + r) / 8), 1);
}

// ---- timers.cpp

/// `t` is the connection's transfer, if it has one.
[[gnu::always_inline]] inline void arm_timeout(Connection& c, Transfer* t, uint32_t timeout_us,
                                               const Moment& now) {
    c.set(Mark::retransmit_armed);
    c.retransmit_deadline_us = low_us(now) + timeout_us;
    if (t != nullptr) t->loss_timer = LossTimer::timeout;
}
void arm_retransmission(Connection& c, Environment& env, Instant now);
inline constexpr uint32_t tail_probe_wait_min_us = 10'000;
inline constexpr uint32_t longest_delayed_ack_us = 200'000;
/// Whether what is in flight would fit into one segment: the peer may wait for another before it
/// acknowledges.
[[gnu::always_inline]] inline bool is_lone_flight(const Connection& c) {
    return c.snd_nxt.load().distance_from(c.snd_una) <= c.mss;
}
/// After how many microseconds the probe of the tail is due, if there is to be one (RFC 8985
/// section 7.2).
[[gnu::always_inline]] inline uint64_t usual_tail_probe_wait_us(const Connection& c) {
    const uint64_t wait_us = std::max<uint64_t>(uint64_t{2} * c.srtt_us, tail_probe_wait_min_us);
    return is_lone_flight(c) ? wait_us + longest_delayed_ack_us : wait_us;
}
/// The same, or zero if there is to be none. What would come no earlier than the retransmission
/// timer, `timeout_us`, is left to that. No std::optional, which g++ builds in memory: reading it
/// back there would wait until the segment that was just written has left for the cache.
[[gnu::always_inline]] inline uint32_t tail_probe_wait_us(const Connection& c,
                                                          uint32_t timeout_us) {
    if (!c.has(Mark::sack_permitted) || c.srtt_us == 0 || c.rto_shift != 0) return 0;
    const uint64_t wait_us = usual_tail_probe_wait_us(c);
    return wait_us < timeout_us ? static_cast<uint32_t>(wait_us) : 0;
}
/// The retransmission timer, or a tail probe before it (RFC 8985 section 7.2). `t` as above.
void arm_loss_timer(Connection& c, Transfer* t, const Environment& env, Instant now);
void move_tail_probe(Connection& c, Transfer& t, const Environment& env, Instant now);
/// New data has left while the timer runs: the probe of the tail waits for that.
inline void put_off_tail_probe(Connection& c, Transfer& t, const Environment& env,
                               const Moment& now) {
    // Nearly always the ACK that has let the data out has armed the timer at the same moment.
    const bool stands = t.loss_timer == LossTimer::tail_probe &&
                        c.retransmit_deadline_us ==
                            low_us(now) + static_cast<uint32_t>(usual_tail_probe_wait_us(c));
    if (!stands) move_tail_probe(c, t, env, now);
}
void arm_reordering(Connection& c, Duration wait, Environment& env, Instant now);
/// A probe that has become due waits for nothing any more; it would carry what no timer guards.
[[gnu::always_inline]] inline void disarm_retransmission(Connection& c) {
    constexpr uint32_t marks = static_cast<uint32_t>(Mark::retransmit_armed) |
                               static_cast<uint32_t>(Mark::persisting) |
                               static_cast<uint32_t>(Mark::send_probe);
    c.flags &= ~marks;
}
/// The same at the moment when everything has been acknowledged: idleness begins.
[[gnu::always_inline]] inline void stop_retransmission(Connection& c, const Moment& now) {
    disarm_retransmission(c);
    c.long_deadline_us = never_us;
    c.retransmit_deadline_us = low_us(now);
}
/// For how many microseconds the connection has been idle; the timer must not run.
inline uint32_t idle_us(const Connection& c, const Moment& now) {
    return low_us(now) - c.retransmit_deadline_us;
}
/// `awaited`: the peer may send nothing more before it comes.
void arm_delayed_ack(Connection& c, bool awaited, const Environment& env, const Moment& now);
void start_keep_alive(Connection& c, const Environment& env, Instant now);
/// The peer has been heard of: the idle time begins anew, if the connection is idle.
inline void arm_keep_alive(Connection& c, const Environment& env, Instant now) {
    if (c.has(Mark::keep_alive)) start_keep_alive(c, env, now);
}
/// What has to wait for the pacer may leave then.
void arm_pacing(Connection& c, Instant at);
void start_user_timeout(Connection& c, const Environment& env, Instant now);
/// Something begins to wait for its acknowledgment, or there was progress: the user timeout begins.
inline void arm_user_timeout(Connection& c, const Terms& terms, const Environment& env,
                             Instant now) {
    if (terms.user_timeout) start_user_timeout(c, env, now);
}
inline void arm_user_timeout(Connection& c, const Environment& env, Instant now) {
    arm_user_timeout(c, env.terms_of(c), env, now);
}
/// True if nobody wants to wait for the peer's FIN.
[[gnu::always_inline]] inline bool arm_fin_wait_2(Connection& c, const Environment& env,
                                                  const Moment& now) {
    if (c.state != State::fin_wait_2 || !c.has(Mark::detached)) return false;
    const int64_t timeout_us = env.terms_of(c).fin_wait_2_us;
    c.long_deadline_us = now.us() + timeout_us;
    return timeout_us == 0;
}

// ---- acknowledgment.cpp

/// What one ACK says about what we have sent.
struct AckReport {
    uint32_t flight_before = 0;  ///< octets between snd_una and snd_nxt
    uint32_t acked = 0;          ///< by which snd_una has moved
    bool duplicate = false;      ///< RFC 5681 section 2
    bool echo = false;           ///< it echoes a CE (RFC 3168)
    uint32_t newly_lost = 0;     ///< octets that it made us hold for lost
    bool dsack = false;          ///< the peer got [dsack_left, dsack_right) twice
    Seq dsack_left;
    Seq dsack_right;
    Delivery delivery;
};

/// Section 3.10.7.4, fifth check, of an ACK in SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT.
void process_ack(Connection& c, const Segment& segment, Environment& env, Instant now,
                 Events& events);
/// Drops `acked` octets of sequence space from the queue; what is not data is the FIN. Returns how
/// many were data.
uint32_t remove_acknowledged(Transfer& t, uint32_t acked, Environment& env);

// ---- congestion.cpp, cubic.cpp, dctcp.cpp, bbr.cpp

/// Congestion control of one algorithm, over the fields of Connection and Transfer.
struct CongestionControl {
    /// New data was acknowledged outside of fast recovery; to who has a model, any.
    void (*on_ack)(Connection& c, Transfer& t, const AckReport& ack, Environment& env, Instant now);
    /// A loss was seen by ACKs: sets ssthresh.
    void (*on_loss)(Connection& c, Transfer& t, uint32_t flight, Environment& env);
    /// A CE was echoed, for the first time in this window: sets ssthresh.
    void (*on_echo)(Connection& c, Transfer& t, uint32_t flight, Environment& env);
    /// The retransmission timer expired for the first time for this data, or for a FIN without a
    /// transfer: sets ssthresh.
    void (*on_timeout)(Connection& c, Transfer* t, uint32_t flight, Environment& env);
    /// The last loss was none; cwnd and ssthresh have been restored.
    void (*on_undo)(Transfer& t, Environment& env);
};
/// It keeps a PathModel, paces, and sets cwnd itself at all times: no PRR, no restart after
/// idleness.
constexpr bool has_model(CongestionAlgorithm algorithm) {
    return algorithm == CongestionAlgorithm::bbr;
}
inline bool has_model(const Connection& c, const Environment& env) {
    return has_model(env.profile_of(c).congestion);
}
extern const CongestionControl cubic;
extern const CongestionControl new_reno;
extern const CongestionControl dctcp;
extern const CongestionControl bbr;
inline constexpr uint32_t largest_congestion_window = uint32_t{1} << 30;
/// Whether the window was the limit; else it says nothing about the path (RFC 7661). Nor does an
/// echo of congestion let anything grow (RFC 3168 section 6.1.2).
bool window_was_used(const Connection& c, const AckReport& ack);
/// By the bytes acknowledged; at most eight segments for an ACK in the first slow start (RFC 9406),
/// later two, and one after a timeout (RFC 3465).
void grow_in_slow_start(Connection& c, Transfer& t, const AckReport& ack, Instant now);
const CongestionControl& congestion_control(CongestionAlgorithm algorithm);
inline const CongestionControl& congestion_control(const Connection& c, const Environment& env) {
    return congestion_control(env.profile_of(c).congestion);
}
/// RFC 6928.
[[gnu::always_inline]] inline uint32_t initial_window(const Connection& c, const Terms& terms) {
    const uint32_t mss = c.mss;
    const uint32_t segments = terms.initial_window_segments;
    if (mss <= 1460) [[likely]]  // then the second is no less
        return segments * mss;
    return std::min(segments * mss, std::max(2 * mss, segments * 1460));
}
[[gnu::always_inline]] inline void start_congestion_control(Connection& c, const Terms& terms) {
    // RFC 6928: ten segments, and one if the SYN or SYN,ACK had to be sent more than twice.
    c.cwnd = c.backoff > 1 ? c.mss : initial_window(c, terms);
    c.ssthresh = UINT32_MAX;
}
/// Nothing has been sent for longer than the RTO: what cwnd knew of the path is stale (RFC 5681
/// section 4.1).
void restart_after_idle(Connection& c, const Environment& env);
/// The profile has changed, or data has been queued: there is a model if the algorithm needs one.
void adopt_congestion_control(Connection& c, Transfer& t, Environment& env);
/// `bytes` have left, again or for the first time, on a connection that has a model.
void note_departure(const Connection& c, const Transfer& t, uint32_t bytes, Environment& env,
                    Instant now);

// ---- hystart.cpp

/// By how much of `growth` the window grows in the first slow start.
uint32_t growth_by_round_trips(Connection& c, HyStart& hystart, const AckReport& ack,
                               uint32_t growth, Instant now);

// ---- ecn.cpp

/// Whether a connection begins with the offer of ECN.
bool offers_ecn(const Profile& profile, bool passive);
/// Whether this SYN or SYN,ACK of the peer asks for ECN, or agrees to it.
bool agrees_to_ecn(const Segment& syn, const Profile& profile);
wire::TcpFlags ecn_flags_of_syn(const Connection& c);
/// ECT, and CWR if it is owed, for a segment of new data up to `end`.
void mark_new_data(Connection& c, Transfer& t, Seq end, OutSegment& out);
/// CE and CWR of an acceptable segment.
void take_congestion_marks(Connection& c, const Segment& segment, Environment& env);
/// Turns an ACK into the one that is owed for what came before a change of marks.
void write_ack_of_mark_change(Connection& c, Transfer& t, OutSegment& out);
/// An ACK with ECE: reduces the window, unless that has been done for this window of data.
void respond_to_echo(Connection& c, Transfer& t, const AckReport& ack, Environment& env);
/// Whether what is lost or echoed now belongs to a window for which an echo was answered.
inline bool is_answered_echo(const Connection& c, const Transfer& t) {
    return t.reduced_for_echo && c.snd_una.load().at_or_before(t.echo_point);
}

// ---- sack_blocks.cpp

/// RFC 2883 section 4: the first block reports a duplicate if it lies below the cumulative ACK or
/// within the second block.
bool is_duplicate_report(const Segment& segment);
void take_sack_blocks(const Connection& c, Transfer& t, const Segment& segment, AckReport& report,
                      Environment& env);

// ---- undo.cpp

/// Before cwnd and ssthresh are reduced for a loss.
void remember_for_undo(const Connection& c, Transfer& t, bool by_timer);
void note_retransmission(const Connection& c, Transfer& t, uint32_t bytes, Instant now);
/// The timer has expired for the first time for this data: the answers will tell whether too early.
void begin_trial(const Connection& c, Transfer& t);
/// Takes the reduction back, if that is possible and this ACK proves that nothing was lost; returns
/// whether it did.
bool undo_if_spurious(Connection& c, Transfer& t, const Segment& segment, const AckReport& ack,
                      Environment& env);

// ---- rack.cpp

void rack_take_delivery(const Connection& c, Transfer& t, const Segment& segment,
                        const Delivery& delivery, Instant now);
void rack_take_dsack(const Connection& c, Rack& rack);
void rack_end_recovery(Rack& rack);
/// Step 5: holds for lost what is too late. Returns how long until more would be; 0: nothing would.
Duration rack_find_late(const Connection& c, Transfer& t, Environment& env, Instant now);
inline Duration rack_detect_losses(const Connection& c, Transfer& t, Environment& env,
                                   Instant now) {
    const Rack& rack = t.rack;
    const bool nothing_late = rack.rtt_us == 0 || !t.flight.may_precede(rack.sent_us, rack.end);
    return nothing_late ? Duration{} : rack_find_late(c, t, env, now);
}
/// RFC 8985 section 6.3: the timer holds the first segment for lost, and of the others those whose
/// arrival the peer could have reported by now.
void rack_lose_at_timeout(const Connection& c, Transfer& t, Environment& env, Instant now);

// ---- recovery.cpp

/// What we think is under way of the `flight` octets between snd_una and snd_nxt: neither arrived
/// nor lost ("pipe" of RFC 6675).
[[gnu::always_inline]] inline uint32_t bytes_in_flight(const Transfer& t, uint32_t flight) {
    return flight - t.flight.sacked_bytes() - t.flight.lost_bytes() - t.recovery.duplicate_bytes;
}
inline uint32_t bytes_in_flight(const Connection& c, const Transfer& t) {
    return bytes_in_flight(t, c.snd_nxt.load().distance_from(c.snd_una));
}
/// Losses and the congestion window, after the queue and the scoreboard have been brought up to
/// date. Returns as rack_detect_losses.
Duration respond_to_ack(Connection& c, Transfer& t, const Segment& segment, AckReport& ack,
                        Environment& env, Instant now);
/// The same when the reordering timer has expired: nothing is late any more, but lost.
void respond_to_lateness(Connection& c, Transfer& t, Environment& env, Instant now);
/// The retransmission timer has expired: what has not been reported is held for lost, where there
/// is SACK only if it is old enough.
void begin_timeout_recovery(Connection& c, Transfer& t, Environment& env, Instant now);

// ---- path.cpp

/// The handshake has told what the peer takes; the path may be known to take less.
void follow_known_path(Connection& c, Environment& env, Instant now);
/// The retransmission timer has expired.
void suspect_path(Connection& c, Transfer& t, Environment& env, Instant now);
/// How much data the next new segment carries to find out whether the path takes more; 0: it is no
/// probe. To be asked on a narrow path only.
uint32_t path_probe_payload(Connection& c, const Transfer& t, uint32_t unsent,
                            uint32_t congestion_left, uint32_t payload_max, Environment& env,
                            Instant now);
void note_path_probe(const Connection& c, Transfer& t, Seq begin, uint32_t bytes, Environment& env);
/// After the scoreboard has been brought up to date, if something may be too large.
void take_oversized_delivery(Connection& c, Transfer& t, Environment& env, Instant now);
/// Whether all that is held for lost is so for its size: it goes again, and no recovery begins.
bool only_oversized_is_lost(Connection& c, Transfer& t, Environment& env, Instant now);
/// [begin, end) goes again: from now on an ACK says nothing of a probe in it.
void note_oversized_sent_again(Connection& c, Transfer& t, Seq begin, Seq end, Environment& env,
                               Instant now);

// ---- input_syn_sent.cpp, input.cpp

/// input() without the fast path of usual_input.hpp.
void input_in_general(Connection& c, const Segment& segment, Environment& env, Instant now,
                      InputResult& result);
void input_syn_sent(Connection& c, const Segment& segment, Environment& env, Instant now,
                    InputResult& result);
/// Sixth to eighth check of section 3.10.7.4: text and FIN.
void process_text(Connection& c, const Segment& segment, Environment& env, Instant now,
                  InputResult& result);
/// What a connection at its end does not have.
[[gnu::always_inline]] inline void stop_all_timers(Connection& c) {
    disarm_retransmission(c);
    c.clear(Mark::delayed_ack);
    c.long_deadline_us = never_us;
}
/// The end by FINs: both are through, and ours was acknowledged.
template <State from, State to>
[[gnu::always_inline]] inline void finish(Connection& c, Environment& env, Events& events) {
    move_state<from, to>(c, env.counters);
    stop_all_timers(c);
    events.closed = CloseReason::finished;
}
/// The end of a connection by something other than FINs.
void end_connection(Connection& c, CloseReason reason, Environment& env, Events& events);
/// The end by a RST of ours, which leaves at the next output.
void reset_connection(Connection& c, CloseReason reason, Events& events);
/// Advice on the user timeout (RFC 5482) that changes ours.
void take_user_timeout(const Connection& c, const Segment& s, Environment& env, Events& events);

// ---- output.cpp

/// next_segment() without the fast path of usual_output.hpp.
bool next_segment_in_general(Connection& c, OutSegment& out, Environment& env, Instant now);
/// Points the segment at queued bytes, `offset` behind the first.
void gather_queued(const Connection& c, uint32_t offset, uint32_t length, OutSegment& out,
                   Environment& env);

}  // namespace synfin::tcp
