// How many tests of the core begin: on a connection that is established, has something in flight,
// or whose user does not read.
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

inline tcp::Profile with_receive_buffer(uint32_t bytes) {
    tcp::Profile profile;
    profile.receive_buffer_bytes = bytes;
    return profile;
}

/// As many segments of 1000 bytes as the receive buffer takes, all of them unread.
struct FullBuffer : Established {
    explicit FullBuffer(uint32_t segments)
        : Established{with_receive_buffer(1000 * segments), Handshake{.mss = 1000}} {
        stop_reading();
        for (uint32_t i = 0; i < segments; ++i) {
            inject(Data().seq(1 + 1000 * i).ack(1).length(1000));
        }
        wait(1_s);
    }
};

using Numbers = std::vector<uint32_t>;

inline Numbers sequences(const std::vector<Sent>& all) {
    Numbers numbers;
    for (const auto& sent : all) numbers.push_back(sent.seq);
    return numbers;
}

}  // namespace synfin::conformance
