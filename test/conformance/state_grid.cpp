#include "state_grid.hpp"

namespace synfin::conformance {

using tcp::State;

namespace {

constexpr auto none = Answer::nothing;
constexpr auto ack = Answer::ack;
constexpr auto any = Answer::nothing_or_ack;

}  // namespace

using enum State;

const std::map<State, Row> state_grid{
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

const char* name_of(Event event) {
    static const char* const names[] = {"SYN", "SYN,ACK", "ACK",  "FIN",  "FIN,ACK",
                                        "RST", "RST,ACK", "data", "none", "SYN,FIN"};
    return names[static_cast<size_t>(event)];
}

Essence segment_of(Event event, uint32_t seq, uint32_t acknowledged) {
    namespace flag = wire::flag;
    switch (event) {
        case Event::syn: return {flag::syn, seq};
        case Event::syn_ack: return {flag::syn | flag::ack, seq, acknowledged};
        case Event::ack: return {flag::ack, seq, acknowledged};
        case Event::fin: return {flag::fin, seq};
        case Event::fin_ack: return {flag::fin | flag::ack, seq, acknowledged};
        case Event::rst: return {flag::rst, seq};
        case Event::rst_ack: return {flag::rst | flag::ack, seq, acknowledged};
        case Event::data: return {flag::ack, seq, acknowledged, 1};
        case Event::no_flags: return {flag::none, seq};
        case Event::syn_fin: return {flag::syn | flag::fin, seq};
    }
    return {};
}

namespace {

bool is_answer(Answer answer, const Essence& sent, const Essence& segment) {
    namespace flag = wire::flag;
    switch (answer) {
        case Answer::nothing: return false;
        case Answer::nothing_or_ack:
        case Answer::ack: return sent.flags == flag::ack && sent.payload_bytes == 0;
        case Answer::syn_ack:
            return sent.flags == (flag::syn | flag::ack) && sent.ack == segment.seq + 1;
        case Answer::rst: return sent.flags == flag::rst && sent.seq == segment.ack;
        case Answer::rst_ack: {
            const uint32_t length =
                (segment.flags.syn() ? 1u : 0u) + (segment.flags.fin() ? 1u : 0u);
            return sent.flags == (flag::rst | flag::ack) && sent.seq == 0 &&
                   sent.ack == segment.seq + length;
        }
    }
    return false;
}

}  // namespace

std::string judge(Answer answer, const std::vector<Essence>& sent, const Essence& segment) {
    if (sent.empty()) {
        const bool silent = answer == Answer::nothing || answer == Answer::nothing_or_ack;
        return silent ? "" : "not answered";
    }
    if (sent.size() == 1 && is_answer(answer, sent[0], segment)) return "";
    std::string text = "answered by " + std::to_string(sent.size()) + " segments:";
    for (const Essence& one : sent) {
        text += " flags " + std::to_string(one.flags.bits()) + " seq " + std::to_string(one.seq) +
                " ack " + std::to_string(one.ack);
    }
    return text;
}

}  // namespace synfin::conformance
