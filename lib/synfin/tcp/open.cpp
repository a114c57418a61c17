// How a connection comes into being: active OPEN, a SYN at a listener, a cookie that comes back;
// and the answers of CLOSED and LISTEN to everything else.
#include <algorithm>

#include <synfin/base/assert.hpp>
#include <synfin/tcp/internal.hpp>
#include <synfin/tcp/negotiation.hpp>

namespace synfin::tcp {

namespace {

// RFC 6191 and MAY-2: beyond everything that an earlier incarnation used.
Seq sequence_beyond(std::optional<Seq> last_seq, const TupleSecrets& secrets, Instant now) {
    const Seq iss = initial_sequence(secrets, now);
    return last_seq && !iss.after(*last_seq) ? *last_seq + 1 : iss;
}

void start_sequence(Connection& c, Seq iss) {
    c.snd_una = c.snd_nxt = iss;
    c.set(Mark::syn_unacked);
    c.set(Mark::send_syn);
}

// LISTEN and what the SYN says of the peer.
void take_listeners_syn(Connection& c, const Segment& syn, Environment& env, Instant now) {
    move_state<State::closed, State::listen>(c, env.counters);
    c.set(Mark::passive_open);
    const Terms& terms = env.terms_of(c);
    offer_options(c, terms, true);
    negotiate(c, syn, terms, env, now);
    c.rcv_nxt = syn.seq + 1;
    c.last_ack_sent = c.rcv_edge = c.rcv_nxt;
    // The window of a SYN is not scaled (RFC 7323 section 2.2).
    c.snd_wnd = syn.window;
    c.max_snd_wnd = static_cast<uint16_t>(syn.window >> c.snd_scale);
    c.snd_wl1 = syn.seq;
}

// When our SYN,ACK left, by the timestamp that comes back; 0 if that cannot be known.
uint32_t departure_by_echo(const Connection& c, const Segment& segment, Instant now) {
    if (!c.has(Mark::timestamps)) return 0;
    const uint32_t elapsed_ms = timestamp_clock(c, now) - segment.options.ts_echo;
    if (elapsed_ms > syn_cookie_lifetime.count_ms()) return 0;
    return static_cast<uint32_t>(now.us() - int64_t{elapsed_ms} * 1000);
}

}  // namespace

void open_active(Connection& c, std::optional<Seq> last_seq, Environment& env, Instant now,
                 bool fast_open) {
    const Terms& terms = env.terms_of(c);
    offer_options(c, terms, false);
    // Until the peer's MSS is known (MUST-15 does not apply: it may still come), our own bounds it.
    c.mss = receive_mss(c, terms);
    const TupleSecrets secrets = tuple_secrets(env.fingerprint(c.tuple()), env.secret);
    c.ts_offset = secrets.timestamp;
    start_sequence(c, sequence_beyond(last_seq, secrets, now));
    if (fast_open) c.set(Mark::extra_option);
    move_state<State::closed, State::syn_sent>(c, env.counters);
}

void open_active_likewise(Connection& c, const flow::FourTuple& fingerprint, Environment& env,
                          const Moment& now) {
    const TupleSecrets secrets = tuple_secrets(fingerprint, env.secret);
    c.ts_offset = secrets.timestamp;
    const Seq iss = initial_sequence(secrets, now);
    c.snd_una = iss;
    c.snd_nxt = iss;
    ++env.counters.active_opens;
}

void open_passive(Connection& c, const Segment& syn, std::optional<Seq> last_seq, Environment& env,
                  Instant now) {
    take_listeners_syn(c, syn, env, now);
    const TupleSecrets secrets = tuple_secrets(env.fingerprint(c.tuple()), env.secret);
    c.ts_offset = secrets.timestamp;
    const Seq iss = sequence_beyond(last_seq, secrets, now);
    start_sequence(c, iss);
    c.snd_wl2 = iss;
    move_state<State::listen, State::syn_received>(c, env.counters);
}

void open_passive_likewise(Connection& c, const Segment& syn, const flow::FourTuple& fingerprint,
                           Environment& env, const Moment& now) {
    const TupleSecrets secrets = tuple_secrets(fingerprint, env.secret);
    c.ts_offset = secrets.timestamp;
    const Seq iss = initial_sequence(secrets, now);
    c.snd_una = iss;
    c.snd_nxt = iss;
    c.snd_wl2 = iss;
    const Seq rcv_nxt = syn.seq + 1;
    c.rcv_nxt = c.rcv_edge = c.last_ack_sent = rcv_nxt;
    c.snd_wl1 = syn.seq;
    c.ts_recent = syn.options.ts_value;
    c.ts_recent_tick = paws_tick(now);
    ++env.counters.passive_opens;
}

CookieReply answer_with_cookie(const wire::SocketAddress& local, const wire::SocketAddress& remote,
                               const Segment& syn, const Profile& profile, uint32_t ts_offset,
                               const Environment& env, Instant now) {
    const uint16_t mss = receive_mss(profile, remote.address.is_v6(), env.mtu);
    CookieOffer offer{syn.options, offers_ecn(profile, true) && agrees_to_ecn(syn, profile)};
    wire::TcpOptions& agreed = offer.options;
    agreed.has_window_scale = agreed.has_window_scale && profile.window_scaling;
    agreed.sack_permitted = agreed.sack_permitted && profile.sack;
    CookieReply reply;
    reply.seq = make_syn_cookie({local, remote, syn.seq}, offer, mss, env.secret, now);
    reply.ack = syn.seq + 1;
    reply.flags = wire::flag::syn | wire::flag::ack;
    if (offer.ecn) reply.flags |= wire::flag::ece;
    reply.window = static_cast<uint16_t>(std::min<uint32_t>(receive_space(profile, 0), 0xffff));
    reply.options.has_mss = true;
    reply.options.mss = mss;
    reply.options.sack_permitted = agreed.sack_permitted;
    reply.options.has_window_scale = agreed.has_window_scale;
    reply.options.window_scale = window_shift_for(profile.receive_buffer_bytes);
    if (syn.options.has_timestamps && profile.timestamps) {
        reply.options.has_timestamps = true;
        reply.options.ts_value = timestamp_clock(ts_offset, now);
        reply.options.ts_echo = syn.options.ts_value;
    }
    return reply;
}

std::optional<CookieOffer> read_cookie(const wire::SocketAddress& local,
                                       const wire::SocketAddress& remote, const Segment& segment,
                                       const Profile& profile, const Environment& env,
                                       Instant now) {
    const uint16_t mss = receive_mss(profile, remote.address.is_v6(), env.mtu);
    return read_syn_cookie({local, remote, segment.seq - 1}, segment.ack - 1, mss, env.secret, now);
}

void open_from_cookie(Connection& c, const Segment& segment, const CookieOffer& offered,
                      Environment& env, Instant now) {
    Segment syn;
    syn.seq = segment.seq - 1;
    syn.flags = wire::flag::syn;
    if (offered.ecn) syn.flags |= wire::flag::ece | wire::flag::cwr;
    syn.options = offered.options;
    syn.options.has_timestamps = segment.options.has_timestamps;
    syn.options.ts_value = segment.options.ts_value;
    take_listeners_syn(c, syn, env, now);
    c.ts_offset = timestamp_offset(env.fingerprint(c.tuple()), env.secret);
    start_sequence(c, segment.ack - 1);
    c.clear(Mark::send_syn);
    c.snd_nxt = segment.ack;
    c.snd_wl2 = c.snd_una;
    c.rcv_edge = c.rcv_nxt.load() + std::min<uint32_t>(receive_buffer_space(c, env), 0xffff);
    c.rttvar_us = departure_by_echo(c, segment, now);
    move_state<State::listen, State::syn_received>(c, env.counters);
}

std::optional<Reply> reply_in_closed(const Segment& s) {
    if (s.flags.rst()) return std::nullopt;
    if (s.flags.ack()) return Reply{s.ack, Seq{}, wire::flag::rst};
    return Reply{Seq{}, s.end(), wire::flag::rst | wire::flag::ack};
}

std::optional<Reply> reply_in_listen(const Segment& s) {
    if (s.flags.rst() || !s.flags.ack()) return std::nullopt;
    return Reply{s.ack, Seq{}, wire::flag::rst};
}

}  // namespace synfin::tcp
