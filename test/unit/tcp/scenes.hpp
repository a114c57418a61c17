// How many tests of the core begin: on a connection that is established, or has something in
// flight.
#pragma once

#include <cstdint>
#include <vector>

#include "script.hpp"

namespace synfin::conformance {

struct Established : Script {
    explicit Established(const Handshake& handshake = {}, const Setup& setup = {}) : Script{setup} {
        establish(handshake);
    }
    explicit Established(const tcp::Profile& profile, const Handshake& handshake = {})
        : Established{handshake, {.profile = profile}} {}
};

/// The same, when the user has just sent so many bytes: in flight, as far as the windows allow.
struct InFlight : Established {
    InFlight(const Handshake& handshake, uint32_t bytes, const Setup& setup = {})
        : Established{handshake, setup} {
        call_send_bytes(bytes);
        ignore_sent();
    }
};

inline Setup with(tcp::CongestionAlgorithm algorithm) {
    Setup setup;
    setup.profile.congestion = algorithm;
    return setup;
}
inline Setup new_reno() { return with(tcp::CongestionAlgorithm::new_reno); }
/// The same, and the user's queue never runs dry.
inline Setup with_large_queue(tcp::CongestionAlgorithm algorithm) {
    Setup setup = with(algorithm);
    setup.profile.send_buffer_bytes = 1 << 20;
    return setup;
}

using Numbers = std::vector<uint32_t>;

inline Numbers sequences(const std::vector<Sent>& all) {
    Numbers numbers;
    for (const auto& sent : all) numbers.push_back(sent.seq);
    return numbers;
}

}  // namespace synfin::conformance
