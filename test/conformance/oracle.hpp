// What RFC 9293 says about one segment, computed a second time and in another way than by the
// protocol: from the text of section 3.10.7, over plain integers that never wrap (all numbers are
// relative to the initial ones), without queues, timers or marks.
//
// Where RFC 5961 sharpens a rule (RST, SYN, the range of acceptable ACKs) its rule is taken, and in
// TIME_WAIT those of RFC 1337 and RFC 6191.
#pragma once

#include <cstdint>

#include "script.hpp"

namespace synfin::conformance {

/// A connection as an onlooker who has seen all segments knows it.
struct Situation {
    State state = State::closed;
    bool passive = true;  ///< whether SYN_RECEIVED came through LISTEN
    int64_t snd_una = 0;
    int64_t snd_nxt = 0;
    int64_t max_window = 0;  ///< the largest that the peer has offered
    int64_t rcv_nxt = 0;
    int64_t rcv_wnd = 0;
};

struct Arrival {
    wire::TcpFlags flags;
    int64_t seq = 0;
    int64_t ack = 0;
    int64_t text = 0;  ///< octets of payload
    int64_t length() const { return text + (flags.syn() ? 1 : 0) + (flags.fin() ? 1 : 0); }
};

struct Verdict {
    enum class Answer : uint8_t {
        nothing,
        ack,      ///< <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>
        syn_ack,  ///< of our SYN, first or again
        reset,    ///< <SEQ=SEG.ACK><CTL=RST>
        reset_and_ack,
        nothing_or_ack,  ///< the RFC asks for nothing, and an ACK does no harm
    };
    Answer answer = Answer::nothing;
    State then = State::closed;
    int64_t answer_ack = 0;  ///< of an answer with ACK
    int64_t snd_una = 0;     ///< afterwards
    int64_t delivered = 0;   ///< octets
    bool kept = false;       ///< something waits behind a hole
};

Verdict judge_by_rfc9293(const Situation& situation, const Arrival& segment);

}  // namespace synfin::conformance
