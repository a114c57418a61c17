// SEGMENT ARRIVES in SYN_SENT (RFC 9293 section 3.10.7.3).
#include <algorithm>

#include <synfin/tcp/input_steps.hpp>

namespace synfin::tcp {

namespace {

// First, the ACK bit: it acknowledges nothing that we have sent.
void refuse_acknowledgment(const Segment& s, Environment& env, InputResult& result) {
    if (s.flags.rst()) {
        ++env.counters.drop_rst_bad_ack;
        return;
    }
    ++env.counters.drop_bad_ack;
    result.reply = Reply{s.ack, Seq{}, wire::flag::rst};
}

// Second, the RST bit.
void take_reset(Connection& c, bool acknowledges_syn, Environment& env, Events& events) {
    if (!acknowledges_syn) {
        ++env.counters.drop_rst_bad_ack;
    } else if (ecn_flags_of_syn(c) != wire::flag::none) {
        // It may be the flags of ECN that somebody refuses (RFC 3168 section 6.1.1.1).
        c.set(Mark::syn_retransmitted);
        c.set(Mark::send_syn);
    } else {
        end_connection(c, CloseReason::refused, env, events);
    }
}

// Text waits for the end of the handshake; a FIN beside a SYN is not believed, and so comes again.
void hold_text_of_syn(Connection& c, const Segment& s, Environment& env) {
    Transfer* t = require_transfer(c, env);
    if (t == nullptr) return;
    const size_t count = std::min<size_t>(s.payload.size(), receive_window(c));
    hold(*t, c.rcv_nxt, s.payload.first(count), env);
    drop_idle_transfer(c, env);
}

}  // namespace

void input_syn_sent(Connection& c, const Segment& s, Environment& env, Instant now,
                    InputResult& result) {
    const Seq sent_end = c.snd_nxt.load() + c.cwnd;  // with what the SYN has carried
    const bool acknowledges_syn =
        s.flags.ack() && s.ack.after(c.snd_una) && s.ack.at_or_before(sent_end);
    if (s.flags.ack() && !acknowledges_syn) return refuse_acknowledgment(s, env, result);
    if (s.flags.rst()) return take_reset(c, acknowledges_syn, env, result.events);
    // Fourth, the SYN bit; a FIN cannot be meant before a SYN has been understood.
    if (!s.flags.syn()) {
        ++(s.flags.fin() ? env.counters.drop_fin_before_syn : env.counters.drop_no_ack);
        return;
    }
    take_peer_syn(c, s, env, now);
    if (!acknowledges_syn) {
        // Simultaneous open (MUST-10): answer with SYN,ACK; the timer of our SYN runs on.
        set_state(c, State::syn_received, env.counters);
        c.set(Mark::send_syn);
        if (!s.payload.empty()) hold_text_of_syn(c, s, env);
        return;
    }
    c.snd_wl2 = s.ack;
    if (s.options.has_user_timeout) take_user_timeout(c, s, env, result.events);
    take_fast_open_answer(c, s, env, now, result.events);
    complete_handshake<State::syn_sent>(c, env, now, result.events);
    c.set(Mark::ack_now);
    if (!s.payload.empty() || s.flags.fin()) {
        Segment text = s;
        text.seq = c.rcv_nxt;
        process_text(c, text, env, now, result);
    }
}

}  // namespace synfin::tcp
