// A listener that waits for text before it takes a connection (TCP_DEFER_ACCEPT).
//
// A server whose peers speak first has nothing to do for one that has not spoken. So the ACK that
// brings nothing is ignored, and the connection stays in SYN_RECEIVED until text or a FIN comes.
// The peer has our SYN,ACK and gets no more of them, but for one when the waiting is over: what it
// answers to that completes the handshake, with text or without.
#include <algorithm>

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

bool brings_nothing(const Connection& c, const Segment& s) {
    return s.length() == 0 && s.seq == c.rcv_nxt && s.ack == c.snd_nxt;
}

// As if all SYN,ACKs but the last had been sent: the deadline is that of the last one.
void skip_to_last_syn_ack(Connection& c, uint8_t last, Environment& env) {
    while (c.backoff + 1 < last) {
        ++c.backoff;
        back_off_rto(c);
        c.retransmit_deadline_us = c.retransmit_deadline_us + backed_off_rto_us(c, env.terms_of(c));
    }
}

}  // namespace

bool defer_handshake(Connection& c, const Segment& s, Environment& env) {
    const Profile& p = env.profile_of(c);
    if (p.deferred_syn_acks == 0) [[likely]]
        return false;
    const uint8_t last = std::min(p.deferred_syn_acks, p.syn_received_retries);
    if (c.backoff >= last || !brings_nothing(c, s)) return false;
    ++env.counters.deferred_accepts;
    c.rttvar_us = 0;  // a sample that ended with the handshake would hold the waiting
    skip_to_last_syn_ack(c, last, env);
    return true;
}

}  // namespace synfin::tcp
