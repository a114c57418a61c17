// One line that says what a TCP header says, for traces and for people.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace synfin::wire {

/// Describes a segment, from its TCP header on:
/// `33706 > 80 [SYN] seq 865482658 win 5840 len 0 <mss 1460, sack ok, ts 5655082 0, wscale 0>`.
/// The acknowledgment number stands there only with ACK set, the urgent pointer only with URG. What
/// is no TCP segment is described by the reason why not.
std::string describe_tcp(std::span<const uint8_t> segment);

}  // namespace synfin::wire
