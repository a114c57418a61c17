// Figure 5 of RFC 9293, as a table of its own: what is_legal_transition allows and what not.
#include <set>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include <synfin/tcp/state.hpp>

namespace synfin::tcp {
namespace {

using enum State;

TEST(StateTable, EachArrowOfFigure5IsLegal) {
    const std::pair<State, State> arrows[] = {
        {closed, listen},          {closed, syn_sent},          {listen, syn_received},
        {listen, closed},          {syn_sent, syn_received},    {syn_sent, established},
        {syn_sent, closed},        {syn_received, established}, {syn_received, fin_wait_1},
        {established, fin_wait_1}, {established, close_wait},   {fin_wait_1, fin_wait_2},
        {fin_wait_1, closing},     {fin_wait_1, time_wait},     {fin_wait_2, time_wait},
        {close_wait, last_ack},    {closing, time_wait},        {last_ack, closed},
        {time_wait, closed},
    };
    for (auto [from, to] : arrows)
        EXPECT_TRUE(is_legal_transition(from, to)) << name(from) << name(to);
}

TEST(StateTable, AbortLeadsFromEveryStateToClosed) {
    for (State from : {syn_sent, syn_received, established, fin_wait_1, fin_wait_2, close_wait,
                       closing, last_ack, time_wait})
        EXPECT_TRUE(is_legal_transition(from, closed)) << name(from);
}

TEST(StateTable, NothingLeadsBackwards) {
    const std::pair<State, State> wrong[] = {
        {established, syn_sent},   {established, syn_received}, {established, listen},
        {fin_wait_1, established}, {fin_wait_2, fin_wait_1},    {fin_wait_2, closing},
        {fin_wait_2, close_wait},  {close_wait, established},   {close_wait, fin_wait_1},
        {close_wait, time_wait},   {closing, fin_wait_2},       {closing, last_ack},
        {last_ack, time_wait},     {last_ack, close_wait},      {time_wait, established},
        {time_wait, last_ack},     {closed, established},       {closed, time_wait},
        {listen, established},     {syn_sent, fin_wait_1},      {syn_sent, time_wait},
        {established, closing},    {established, last_ack},     {established, time_wait},
        {established, fin_wait_2},
    };
    for (auto [from, to] : wrong)
        EXPECT_FALSE(is_legal_transition(from, to)) << name(from) << name(to);
}

TEST(StateTable, NamesAreThoseOfSs) {
    const std::pair<State, const char*> names[] = {
        {established, "ESTAB"},     {syn_sent, "SYN-SENT"},     {syn_received, "SYN-RECV"},
        {fin_wait_1, "FIN-WAIT-1"}, {fin_wait_2, "FIN-WAIT-2"}, {time_wait, "TIME-WAIT"},
        {close_wait, "CLOSE-WAIT"}, {last_ack, "LAST-ACK"},     {listen, "LISTEN"},
        {closing, "CLOSING"},
    };
    for (auto [state, expected] : names) EXPECT_STREQ(name(state), expected);
    std::set<std::string> all;
    for (unsigned i = 0; i < state_count; ++i) all.insert(name(static_cast<State>(i)));
    EXPECT_EQ(all.size(), state_count);
}

TEST(StateTable, PayloadIsTakenOnlyBeforeThePeersFin) {
    for (unsigned i = 0; i < state_count; ++i) {
        const auto s = static_cast<State>(i);
        EXPECT_EQ(can_receive(s), s == established || s == fin_wait_1 || s == fin_wait_2)
            << name(s);
        EXPECT_EQ(is_synchronized(s), s >= established) << name(s);
    }
}

}  // namespace
}  // namespace synfin::tcp
