// How a connection comes into being: active OPEN, a SYN at a listener; and the answers of CLOSED
// and LISTEN to everything else.
#include <algorithm>

#include <synfin/base/assert.hpp>
#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

void start_sequence(Connection& c, Seq iss) {
    c.snd_una = c.snd_nxt = iss;
    c.set(Mark::syn_unacked);
    c.set(Mark::send_syn);
}

}  // namespace

void open_active(Connection& c, Environment& env, Instant now) {
    SYNFIN_ASSERT(c.state == State::closed);
    offer_options(c, env);
    // Until the peer's MSS is known (MUST-15 does not apply: it may still come), our own bounds it.
    c.mss = receive_mss(c, env);
    const TupleSecrets secrets = tuple_secrets(c.tuple(), env.secret);
    c.ts_offset = secrets.timestamp;
    start_sequence(c, initial_sequence(secrets, now));
    set_state(c, State::syn_sent, env.counters);
}

void open_passive(Connection& c, const Segment& syn, std::optional<Seq> last_seq, Environment& env,
                  Instant now) {
    SYNFIN_ASSERT(c.state == State::closed);
    set_state(c, State::listen, env.counters);
    c.set(Mark::passive_open);
    offer_options(c, env);
    negotiate(c, syn, env, now);
    c.rcv_nxt = syn.seq + 1;
    c.last_ack_sent = c.rcv_edge = c.rcv_nxt;
    // The window of a SYN is not scaled (RFC 7323 section 2.2).
    c.snd_wnd = syn.window;
    c.max_snd_wnd = static_cast<uint16_t>(syn.window >> c.snd_scale);
    c.snd_wl1 = syn.seq;
    const TupleSecrets secrets = tuple_secrets(c.tuple(), env.secret);
    c.ts_offset = secrets.timestamp;
    Seq iss = initial_sequence(secrets, now);
    // RFC 6191 and MAY-2: beyond everything that the earlier incarnation used.
    if (last_seq && !iss.after(*last_seq)) iss = *last_seq + 1;
    start_sequence(c, iss);
    c.snd_wl2 = iss;
    set_state(c, State::syn_received, env.counters);
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
