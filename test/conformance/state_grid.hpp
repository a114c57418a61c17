// What each state makes of each kind of segment: what is answered, and where the connection stands
// afterwards (RFC 9293 section 3.10.7, RFC 5961, RFC 1337). The tests apply it to the protocol
// alone and to whole frames.
//
// The segments are exact: they begin at RCV.NXT and acknowledge all that was sent, so that it is
// the flags that decide. What happens off these numbers is window_grid_test.cpp's matter.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <synfin/tcp/state.hpp>
#include <synfin/wire/tcp_fields.hpp>

namespace synfin::conformance {

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
constexpr size_t event_count = 10;
const char* name_of(Event event);

enum class Answer : uint8_t { nothing, ack, syn_ack, rst, rst_ack, nothing_or_ack };

struct Reaction {
    Answer answer;
    tcp::State then;
};

/// The columns stand in the order of `Event`. A half-open passive connection that ends goes back to
/// LISTEN.
using Row = std::array<Reaction, event_count>;
extern const std::map<tcp::State, Row> state_grid;

/// Of a segment, sent or injected, what the grid speaks of.
struct Essence {
    wire::TcpFlags flags;
    uint32_t seq = 0;
    uint32_t ack = 0;
    size_t payload_bytes = 0;
};

/// The segment of an event: `seq` is RCV.NXT, `ack` SND.NXT.
Essence segment_of(Event event, uint32_t seq, uint32_t ack);
/// Empty if what was sent is the answer to `segment`.
std::string judge(Answer answer, const std::vector<Essence>& sent, const Essence& segment);

}  // namespace synfin::conformance
