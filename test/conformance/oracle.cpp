#include "oracle.hpp"

#include <algorithm>

namespace synfin::conformance {

namespace {

using Answer = Verdict::Answer;
using enum State;

bool lies_in_window(const Situation& v, int64_t seq) {
    return v.rcv_nxt <= seq && seq < v.rcv_nxt + v.rcv_wnd;
}

// Section 3.4, table 6; the situations of the grid have no closed window.
bool is_acceptable(const Situation& v, const Arrival& s) {
    if (s.length() == 0) return lies_in_window(v, s.seq);
    return lies_in_window(v, s.seq) || lies_in_window(v, s.seq + s.length() - 1);
}

// Section 3.10.7.1.
Verdict in_closed(const Arrival& s) {
    if (s.flags.rst()) return {};
    if (s.flags.ack()) return {.answer = Answer::reset};
    return {.answer = Answer::reset_and_ack, .answer_ack = s.seq + s.length()};
}

// Section 3.10.7.2. A SYN with FIN opens nothing: who has just come has nothing to end.
Verdict in_listen(const Arrival& s) {
    if (s.flags.rst()) return {.then = listen};
    if (s.flags.ack()) return {.answer = Answer::reset, .then = listen};
    if (!s.flags.syn() || s.flags.fin()) return {.then = listen};
    return {.answer = Answer::syn_ack, .then = syn_received, .answer_ack = s.seq + 1};
}

// Section 3.10.7.3.
Verdict in_syn_sent(const Situation& v, const Arrival& s) {
    const Verdict ignored{.then = syn_sent};
    const bool acceptable = s.flags.ack() && v.snd_una < s.ack && s.ack <= v.snd_nxt;
    if (s.flags.ack() && !acceptable) {
        return s.flags.rst() ? ignored : Verdict{.answer = Answer::reset, .then = syn_sent};
    }
    if (s.flags.rst()) return acceptable ? Verdict{} : ignored;
    if (!s.flags.syn()) return ignored;
    if (!acceptable) {
        return {.answer = Answer::syn_ack, .then = syn_received, .answer_ack = s.seq + 1};
    }
    return {.answer = Answer::ack,
            .then = s.flags.fin() ? close_wait : established,
            .answer_ack = s.seq + s.length(),
            .snd_una = s.ack,
            .delivered = s.text};
}

// RFC 1337: RST ends nothing. RFC 6191: a SYN beyond everything of the old connection opens a new
// one. What else is not acceptable is acknowledged; what is, is either the peer's FIN again or
// nothing that needs an answer.
Verdict in_time_wait(const Situation& v, const Arrival& s) {
    const bool old = s.seq < v.rcv_nxt;
    if (s.flags.rst()) return {.then = time_wait};
    if (s.flags.syn()) {
        if (s.flags.ack() || s.flags.fin() || s.seq <= v.rcv_nxt) {
            return {.answer = Answer::ack, .then = time_wait, .answer_ack = v.rcv_nxt};
        }
        return {.answer = Answer::syn_ack, .then = syn_received, .answer_ack = s.seq + 1};
    }
    Answer answer = Answer::nothing_or_ack;
    if (s.length() == 0 && s.seq == v.rcv_nxt) answer = Answer::nothing;
    if (old && !is_acceptable(v, s)) answer = Answer::ack;
    if (s.flags.ack() && !is_acceptable(v, s)) answer = Answer::ack;
    return {.answer = answer, .then = time_wait, .answer_ack = v.rcv_nxt};
}

State after_reset(const Situation& v) {
    return v.state == syn_received && v.passive ? listen : closed;
}

// What the acknowledgment of all that we have sent does where our FIN is a part of it.
State after_ack_of_fin(State state) {
    switch (state) {
        case fin_wait_1: return fin_wait_2;
        case closing: return time_wait;
        case last_ack: return closed;
        default: return state;
    }
}

State after_fin(State state) {
    switch (state) {
        case established: return close_wait;
        case fin_wait_1: return closing;
        case fin_wait_2: return time_wait;
        default: return state;
    }
}

// Seventh and eighth: text and FIN, of which only what lies in the window counts.
void process_text(const Situation& v, const Arrival& s, Verdict& verdict) {
    if (verdict.then == closed) return;
    if (s.text == 0 && !s.flags.fin()) return;
    if (v.rcv_nxt + v.rcv_wnd < s.seq + s.length() && s.seq > v.rcv_nxt && s.text == 0) return;
    const bool receiving =
        verdict.then == established || verdict.then == fin_wait_1 || verdict.then == fin_wait_2;
    if (!receiving) {
        // The peer has sent its FIN: what comes behind it is ignored.
        verdict.answer = Answer::nothing_or_ack;
        return;
    }
    const int64_t edge = v.rcv_nxt + v.rcv_wnd;
    const int64_t text_end = s.seq + s.text;
    if (s.seq > v.rcv_nxt) {
        verdict.kept = s.text > 0;
        verdict.answer = Answer::ack;
        return;
    }
    verdict.delivered = std::max<int64_t>(std::min(text_end, edge) - v.rcv_nxt, 0);
    verdict.answer_ack += verdict.delivered;
    if (s.flags.fin() && text_end <= edge) {
        verdict.answer_ack += 1;
        verdict.answer = Answer::ack;
        verdict.then = after_fin(verdict.then);
    }
}

}  // namespace

Verdict judge_by_rfc9293(const Situation& v, const Arrival& s) {
    switch (v.state) {
        case closed: return in_closed(s);
        case listen: return in_listen(s);
        case syn_sent: return in_syn_sent(v, s);
        case time_wait: return in_time_wait(v, s);
        default: break;
    }
    const bool synchronized = v.state != syn_received;
    const Verdict silence{.then = v.state, .answer_ack = v.rcv_nxt, .snd_una = v.snd_una};
    Verdict acknowledgment = silence;
    acknowledgment.answer = Answer::ack;

    // RST (RFC 5961 section 3.2): at the edge it is believed, in the window it is asked about.
    if (s.flags.rst()) {
        if (s.seq == v.rcv_nxt) return {.then = after_reset(v)};
        return lies_in_window(v, s.seq) ? acknowledgment : silence;
    }
    // SYN (section 4.2): asked about wherever it lies. Before the connection is synchronized its
    // place decides (section 3.10.7.4): a client's own SYN again needs our answer again.
    if (s.flags.syn() && synchronized) return acknowledgment;
    Arrival a = s;
    bool is_crossing_syn_ack = false;
    if (s.flags.syn()) {
        const bool same_syn = s.seq + 1 == v.rcv_nxt;
        if (same_syn && v.passive && !s.flags.ack() && !s.flags.fin()) {
            Verdict again = silence;
            again.answer = Answer::syn_ack;
            return again;
        }
        is_crossing_syn_ack = same_syn && s.flags.ack() && !v.passive;  // figure 7, line 7
        if (is_crossing_syn_ack) {
            a.seq = v.rcv_nxt;
            a.flags = a.flags & ~wire::flag::syn;
        }
    }
    // First: the sequence number.
    if (!is_acceptable(v, a)) return acknowledgment;
    // Fourth: a SYN in the window of a half-open connection.
    if (a.flags.syn()) return v.passive ? Verdict{.then = listen} : acknowledgment;
    // Fifth: the ACK.
    if (!a.flags.ack()) return silence;
    Verdict verdict = silence;
    if (!synchronized) {
        if (a.ack <= v.snd_una || a.ack > v.snd_nxt) {
            verdict.answer = Answer::reset;
            return verdict;
        }
        verdict.then = established;
    } else if (a.ack > v.snd_nxt || a.ack < v.snd_una - v.max_window) {  // RFC 5961 section 5.2
        return acknowledgment;
    }
    if (is_crossing_syn_ack) verdict.answer = Answer::ack;
    verdict.snd_una = std::max(v.snd_una, a.ack);
    if (verdict.snd_una == v.snd_nxt) verdict.then = after_ack_of_fin(verdict.then);
    process_text(v, a, verdict);
    return verdict;
}

}  // namespace synfin::conformance
