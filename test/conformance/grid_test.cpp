// The grid of state_grid.hpp over the protocol alone, at each corner of the sequence space.
#include <cstdio>
#include <string>

#include <gtest/gtest.h>

#include "script.hpp"
#include "state_grid.hpp"

namespace synfin::conformance {
namespace {

Packet packet_of(const Essence& e) {
    Packet packet{e.flags};
    packet.seq(e.seq);
    if (e.flags.ack()) packet.ack(e.ack);
    if (e.payload_bytes > 0) packet.payload("x");
    return packet;
}

std::vector<Essence> essences_of(const std::vector<Sent>& sent) {
    std::vector<Essence> all;
    for (const Sent& one : sent) all.push_back({one.flags, one.seq, one.ack, one.payload.size()});
    return all;
}

struct Place {
    uint32_t local_isn, peer_isn;
    State state;
};

std::vector<Place> places() {
    std::vector<Place> all;
    for (uint32_t local : corner_isns)
        for (uint32_t peer : corner_isns)
            for (const auto& [state, row] : state_grid) all.push_back({local, peer, state});
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
    const Row& row = state_grid.at(state);
    for (size_t i = 0; i < event_count; ++i) {
        const auto event = static_cast<Event>(i);
        Script s{{.local_isn = local_isn, .peer_isn = peer_isn}};
        enter(s, state);
        // Before the peer has sent anything its SYN has number 0; a SYN of ours has then been sent
        // or not.
        const uint32_t acknowledged =
            state == State::closed || state == State::listen ? 7 : s.sent_end();
        const Essence segment = segment_of(event, s.peer_next(), acknowledged);
        s.inject(packet_of(segment));
        const auto why = judge(row[i].answer, essences_of(s.take_sent()), segment);
        EXPECT_TRUE(why.empty()) << tcp::name(state) << " + " << name_of(event) << ": " << why;
        EXPECT_EQ(state_after(s, state), row[i].then)
            << tcp::name(state) << " + " << name_of(event) << " leads to " << tcp::name(s.state())
            << ", expected " << tcp::name(row[i].then);
        s.wait(1_s);
        s.ignore_sent();
    }
}

}  // namespace
}  // namespace synfin::conformance
