// Every state against every kind of segment, at each corner of the sequence space: what is answered
// and where the connection stands afterwards (RFC 9293 section 3.10.7, RFC 5961, RFC 1337).
//
// The segments are exact: they begin at RCV.NXT and acknowledge all that was sent, so that it is
// the flags that decide. What happens off these numbers is window_grid_test.cpp's matter.
#include <array>
#include <cstdio>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "script.hpp"

namespace synfin::conformance {
namespace {

enum class Event : uint8_t {
    syn,
    syn_ack,
    ack,
    fin,
    fin_ack,
    rst,
    rst_ack,
    data,
    no_flags,
    syn_fin
};
constexpr Event events[] = {Event::syn,      Event::syn_ack, Event::ack,     Event::fin,
                            Event::fin_ack,  Event::rst,     Event::rst_ack, Event::data,
                            Event::no_flags, Event::syn_fin};
const char* const event_names[] = {"SYN", "SYN,ACK", "ACK",  "FIN",  "FIN,ACK",
                                   "RST", "RST,ACK", "data", "none", "SYN,FIN"};

enum class Answer : uint8_t { nothing, ack, syn_ack, rst, rst_ack, nothing_or_ack };

struct Reaction {
    Answer answer;
    State then;
};

using Row = std::array<Reaction, std::size(events)>;

constexpr auto none = Answer::nothing;
constexpr auto ack = Answer::ack;
constexpr auto any = Answer::nothing_or_ack;
using enum State;

// The columns stand in the order of `events`. A half-open passive connection that ends goes back to
// LISTEN.
const std::map<State, Row> grid{
    {closed,
     {{{Answer::rst_ack, closed},
       {Answer::rst, closed},
       {Answer::rst, closed},
       {Answer::rst_ack, closed},
       {Answer::rst, closed},
       {none, closed},
       {none, closed},
       {Answer::rst, closed},
       {Answer::rst_ack, closed},
       {Answer::rst_ack, closed}}}},
    {listen,
     {{{Answer::syn_ack, syn_received},
       {Answer::rst, listen},
       {Answer::rst, listen},
       {none, listen},
       {Answer::rst, listen},
       {none, listen},
       {none, listen},
       {Answer::rst, listen},
       {none, listen},
       {none, listen}}}},
    {syn_sent,
     {{{Answer::syn_ack, syn_received},
       {ack, established},
       {none, syn_sent},
       {none, syn_sent},
       {none, syn_sent},
       {none, syn_sent},
       {none, closed},
       {none, syn_sent},
       {none, syn_sent},
       {Answer::syn_ack, syn_received}}}},
    {syn_received,
     {{{none, listen},
       {none, listen},
       {none, established},
       {none, syn_received},
       {ack, close_wait},
       {none, listen},
       {none, listen},
       {none, established},
       {none, syn_received},
       {none, listen}}}},
    {established,
     {{{ack, established},
       {ack, established},
       {none, established},
       {none, established},
       {ack, close_wait},
       {none, closed},
       {none, closed},
       {none, established},
       {none, established},
       {ack, established}}}},
    {fin_wait_1,
     {{{ack, fin_wait_1},
       {ack, fin_wait_1},
       {none, fin_wait_2},
       {none, fin_wait_1},
       {ack, time_wait},
       {none, closed},
       {none, closed},
       {none, fin_wait_2},
       {none, fin_wait_1},
       {ack, fin_wait_1}}}},
    {fin_wait_2,
     {{{ack, fin_wait_2},
       {ack, fin_wait_2},
       {none, fin_wait_2},
       {none, fin_wait_2},
       {ack, time_wait},
       {none, closed},
       {none, closed},
       {none, fin_wait_2},
       {none, fin_wait_2},
       {ack, fin_wait_2}}}},
    {close_wait,
     {{{ack, close_wait},
       {ack, close_wait},
       {none, close_wait},
       {none, close_wait},
       {any, close_wait},
       {none, closed},
       {none, closed},
       {any, close_wait},
       {none, close_wait},
       {ack, close_wait}}}},
    {closing,
     {{{ack, closing},
       {ack, closing},
       {none, time_wait},
       {none, closing},
       {any, time_wait},
       {none, closed},
       {none, closed},
       {any, time_wait},
       {none, closing},
       {ack, closing}}}},
    {last_ack,
     {{{ack, last_ack},
       {ack, last_ack},
       {none, closed},
       {none, last_ack},
       {any, closed},
       {none, closed},
       {none, closed},
       {any, closed},
       {none, last_ack},
       {ack, last_ack}}}},
    {time_wait,
     {{{ack, time_wait},
       {ack, time_wait},
       {none, time_wait},
       {none, time_wait},
       {ack, time_wait},
       {none, time_wait},
       {none, time_wait},
       {ack, time_wait},
       {none, time_wait},
       {ack, time_wait}}}},
};

Packet segment_for(Event event, const Script& s, State state) {
    // Before the peer has sent anything its SYN has number 0; a SYN of ours has then been sent or
    // not.
    const uint32_t seq = s.peer_next();
    const uint32_t acknowledged =
        state == State::closed || state == State::listen ? 7 : s.sent_end();
    switch (event) {
        case Event::syn: return Syn().seq(seq);
        case Event::syn_ack: return SynAck().seq(seq).ack(acknowledged);
        case Event::ack: return Ack().seq(seq).ack(acknowledged);
        case Event::fin: return Packet{wire::flag::fin}.seq(seq);
        case Event::fin_ack: return FinAck().seq(seq).ack(acknowledged);
        case Event::rst: return Rst().seq(seq);
        case Event::rst_ack: return RstAck().seq(seq).ack(acknowledged);
        case Event::data: return Packet{wire::flag::ack}.seq(seq).ack(acknowledged).payload("x");
        case Event::no_flags: return Packet{wire::flag::none}.seq(seq);
        case Event::syn_fin: return Syn().fin().seq(seq);
    }
    return Ack();
}

/// Empty if what was sent is the answer.
std::string judge(Answer answer, const std::vector<Sent>& sent, const Packet& segment) {
    const auto f = [&] { return sent[0].flags; };
    if (answer == Answer::nothing_or_ack && sent.empty()) return "";
    if (answer == Answer::nothing) return sent.empty() ? "" : "answered: " + to_text(sent[0]);
    if (sent.size() != 1) return "answered by " + std::to_string(sent.size()) + " segments";
    const auto is = [&](wire::TcpFlags flags) { return f() == flags; };
    switch (answer) {
        case Answer::nothing_or_ack:
        case Answer::ack:
            if (is(wire::flag::ack) && sent[0].payload.empty()) return "";
            break;
        case Answer::syn_ack:
            if (is(wire::flag::syn | wire::flag::ack) && sent[0].ack == *segment.sequence + 1)
                return "";
            break;
        case Answer::rst:
            if (is(wire::flag::rst) && sent[0].seq == *segment.acknowledgment) return "";
            break;
        case Answer::rst_ack: {
            const uint32_t length =
                (segment.flags.syn() ? 1u : 0u) + (segment.flags.fin() ? 1u : 0u);
            if (is(wire::flag::rst | wire::flag::ack) && sent[0].seq == 0 &&
                sent[0].ack == *segment.sequence + length)
                return "";
            break;
        }
        case Answer::nothing: break;
    }
    return "answered: " + to_text(sent[0]);
}

struct Place {
    uint32_t local_isn, peer_isn;
    State state;
};

std::vector<Place> places() {
    std::vector<Place> all;
    for (uint32_t local : corner_isns)
        for (uint32_t peer : corner_isns)
            for (const auto& [state, row] : grid) all.push_back({local, peer, state});
    return all;
}

std::string name_of(const ::testing::TestParamInfo<Place>& param) {
    std::string state = tcp::name(param.param.state);
    for (char& c : state)
        if (c == '-') c = '_';
    char text[80];
    std::snprintf(text, sizeof text, "%s_%08x_%08x", state.c_str(), param.param.local_isn,
                  param.param.peer_isn);
    return std::string{text};
}

class Grid : public ::testing::TestWithParam<Place> {};
INSTANTIATE_TEST_SUITE_P(States, Grid, ::testing::ValuesIn(places()), name_of);

// Of a connection that was synchronized and is gone nothing remains, though its listener goes on.
State state_after(const Script& s, State before) {
    const bool listener_only = s.state() == State::listen && tcp::is_synchronized(before);
    return listener_only ? State::closed : s.state();
}

TEST_P(Grid, EachSegmentIsDecided) {
    const auto [local_isn, peer_isn, state] = GetParam();
    const Row& row = grid.at(state);
    for (size_t i = 0; i < std::size(events); ++i) {
        Script s{{.local_isn = local_isn, .peer_isn = peer_isn}};
        enter(s, state);
        const Packet segment = segment_for(events[i], s, state);
        s.inject(segment);
        const auto why = judge(row[i].answer, s.take_sent(), segment);
        EXPECT_TRUE(why.empty()) << tcp::name(state) << " + " << event_names[i] << ": " << why;
        EXPECT_EQ(state_after(s, state), row[i].then)
            << tcp::name(state) << " + " << event_names[i] << " leads to " << tcp::name(s.state())
            << ", expected " << tcp::name(row[i].then);
        s.wait(1_s);
        s.ignore_sent();
    }
}

}  // namespace
}  // namespace synfin::conformance
