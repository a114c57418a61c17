// Each state against each kind of segment, at each edge of the receive window and of the range of
// acceptable ACKs, at each corner of the sequence space, over both families. The judge is
// oracle.hpp.
#include <cstdio>
#include <string>

#include <gtest/gtest.h>

#include "oracle.hpp"

namespace synfin::conformance {
namespace {

using enum State;

struct Kind {
    const char* name;
    wire::TcpFlags flags;
    uint32_t text;
};
const Kind kinds[] = {
    {"SYN", wire::flag::syn, 0},
    {"SYN,ACK", wire::flag::syn | wire::flag::ack, 0},
    {"ACK", wire::flag::ack, 0},
    {"FIN", wire::flag::fin, 0},
    {"FIN,ACK", wire::flag::fin | wire::flag::ack, 0},
    {"RST", wire::flag::rst, 0},
    {"RST,ACK", wire::flag::rst | wire::flag::ack, 0},
    {"data", wire::flag::ack, 1},
    {"three octets", wire::flag::ack, 3},
    {"data and FIN", wire::flag::fin | wire::flag::ack, 2},
    {"no flags", wire::flag::none, 0},
    {"SYN,FIN", wire::flag::syn | wire::flag::fin, 0},
};

struct Place {
    State state;
    bool passive;
    uint32_t local_isn, peer_isn;
    bool ipv6;
};

/// Brings the script to its place, and says what an onlooker knows then. Where we may send, ten
/// octets are in flight.
Situation take_place(Script& s, const Place& place) {
    if (place.passive) {
        enter(s, place.state);
    } else {
        enter(s, syn_sent);
        s.inject(Syn().seq(0));
        s.expect(SynAck().seq(0).ack(1));
    }
    if (place.state == established || place.state == close_wait) {
        s.call_send_bytes(10);
        s.expect(Data().length(10));
    }
    Situation v;
    v.state = place.state;
    v.passive = place.passive;
    v.max_window = 65535;
    v.rcv_nxt = s.peer_next();
    v.snd_nxt = s.sent_end();
    v.rcv_wnd = int64_t{s.announced_edge()} - v.rcv_nxt;
    switch (place.state) {
        case fin_wait_2:
        case time_wait: v.snd_una = 2; break;
        case closed:
        case listen:
        case syn_sent:
        case syn_received: v.snd_una = 0; break;
        default: v.snd_una = 1; break;
    }
    if (v.rcv_wnd < 0) v.rcv_wnd = 1000;  // nothing has been announced: any places will do
    return v;
}

std::string describe(const Verdict& v) {
    static const char* const answers[] = {"nothing", "ACK",     "SYN,ACK",
                                          "RST",     "RST,ACK", "nothing or ACK"};
    return std::string{answers[static_cast<size_t>(v.answer)]} + " (ack " +
           std::to_string(v.answer_ack) + "), " + tcp::name(v.then);
}

bool is_the_answer(const Verdict& v, const Arrival& arrival, const Situation& before,
                   const std::vector<Sent>& sent) {
    using enum Verdict::Answer;
    if (sent.empty()) return v.answer == nothing || v.answer == nothing_or_ack;
    if (sent.size() > 1) return false;
    const Sent& one = sent[0];
    const auto acknowledged = static_cast<uint32_t>(v.answer_ack);
    switch (v.answer) {
        case nothing: return false;
        case ack:
        case nothing_or_ack:
            return one.flags == wire::flag::ack && one.ack == acknowledged && one.payload.empty() &&
                   one.seq == static_cast<uint32_t>(before.snd_nxt);
        case syn_ack:
            return one.flags == (wire::flag::syn | wire::flag::ack) && one.ack == acknowledged;
        case reset:
            return one.flags == wire::flag::rst && one.seq == static_cast<uint32_t>(arrival.ack);
        case reset_and_ack:
            return one.flags == (wire::flag::rst | wire::flag::ack) && one.seq == 0 &&
                   one.ack == acknowledged;
    }
    return false;
}

// Nothing remains of a synchronized connection that has ended, though its listener goes on.
State state_after(const Script& s, const Situation& before) {
    return s.state() == listen && tcp::is_synchronized(before.state) ? closed : s.state();
}

void try_segment(const Place& place, const Kind& kind, int64_t seq_offset, int64_t ack) {
    Script s{{.local_isn = place.local_isn,
              .peer_isn = place.peer_isn,
              .ipv6 = place.ipv6,
              .ranges = 8,
              .nodes = 16,
              .chunks = 8}};
    const Situation before = take_place(s, place);
    const Arrival arrival{
        .flags = kind.flags, .seq = before.rcv_nxt + seq_offset, .ack = ack, .text = kind.text};
    const Verdict verdict = judge_by_rfc9293(before, arrival);
    s.inject(Packet{kind.flags}
                 .seq(static_cast<uint32_t>(arrival.seq))
                 .ack(static_cast<uint32_t>(ack))
                 .length(kind.text));
    const std::vector<Sent> sent = s.take_sent();
    std::string what = std::string{kind.name} + " at RCV.NXT " + std::to_string(seq_offset) +
                       " with ACK " + std::to_string(ack) + ": expected " + describe(verdict) +
                       ", sent";
    for (const Sent& one : sent) what += " " + to_text(one);
    EXPECT_TRUE(is_the_answer(verdict, arrival, before, sent)) << what;
    EXPECT_EQ(state_after(s, before), verdict.then) << what << ", now " << tcp::name(s.state());
    EXPECT_EQ(s.received_total(), static_cast<uint64_t>(verdict.delivered)) << what;
    EXPECT_EQ(s.held_ranges(), verdict.kept ? 1u : 0u) << what;
    if (!s.gone() && tcp::is_synchronized(s.state())) {
        const uint32_t acknowledged = s.connection().snd_una.load().value() - s.local_isn();
        EXPECT_EQ(acknowledged, static_cast<uint32_t>(verdict.snd_una)) << what;
    }
}

std::vector<Place> places() {
    std::vector<Place> all;
    for (const bool ipv6 : {false, true})
        for (const uint32_t local : corner_isns)
            for (const uint32_t peer : corner_isns) {
                for (unsigned i = 0; i < tcp::state_count; ++i)
                    all.push_back({static_cast<State>(i), true, local, peer, ipv6});
                all.push_back({syn_received, false, local, peer, ipv6});
            }
    return all;
}

std::string name_of(const ::testing::TestParamInfo<Place>& param) {
    const Place& p = param.param;
    std::string state = tcp::name(p.state);
    for (char& c : state)
        if (c == '-') c = '_';
    char text[80];
    std::snprintf(text, sizeof text, "%s%s_%08x_%08x_%s", state.c_str(), p.passive ? "" : "_active",
                  p.local_isn, p.peer_isn, p.ipv6 ? "ipv6" : "ipv4");
    return std::string{text};
}

class WindowGrid : public ::testing::TestWithParam<Place> {};
INSTANTIATE_TEST_SUITE_P(States, WindowGrid, ::testing::ValuesIn(places()), name_of);

TEST_P(WindowGrid, EachSegmentAtEachEdgeIsJudgedAsTheRfcSays) {
    const Place& place = GetParam();
    Situation at;
    {
        Script s{{.local_isn = place.local_isn, .peer_isn = place.peer_isn, .ipv6 = place.ipv6}};
        at = take_place(s, place);
    }
    const int64_t nearly_half_a_circle = (int64_t{1} << 31) - 1000;
    for (const Kind& kind : kinds) {
        for (const int64_t offset : {int64_t{-1}, int64_t{0}, int64_t{100}, at.rcv_wnd - 1,
                                     at.rcv_wnd, at.rcv_wnd + 1, -nearly_half_a_circle}) {
            if (!kind.flags.ack()) {
                try_segment(place, kind, offset, 0);
                continue;
            }
            for (const int64_t ack :
                 {at.snd_una - at.max_window - 1, at.snd_una - at.max_window, at.snd_una - 1,
                  at.snd_una, at.snd_una + 1, at.snd_nxt, at.snd_nxt + 1}) {
                try_segment(place, kind, offset, ack);
            }
            if (HasFatalFailure()) return;
        }
    }
}

}  // namespace
}  // namespace synfin::conformance
