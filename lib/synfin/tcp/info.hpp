// What can be told of a connection to its user: TCP_INFO's content, and how much is queued.
#pragma once

#include <cstdint>

#include <synfin/base/instant.hpp>
#include <synfin/tcp/state.hpp>

namespace synfin::tcp {

struct Connection;
struct Environment;

struct Info {
    State state = State::closed;
    uint8_t backoff = 0;      ///< consecutive expiries of the timer that runs
    bool probing = false;     ///< of the persist timer
    bool recovering = false;  ///< fast recovery
    bool timed_out = false;   ///< recovery after the retransmission timer
    bool timestamps = false;
    bool sack = false;
    bool window_scaling = false;
    bool ecn = false;
    bool early_data = false;  ///< the SYN's data was taken (RFC 7413)
    uint8_t snd_scale = 0;
    uint8_t rcv_scale = 0;
    uint16_t snd_mss = 0;  ///< without options
    uint16_t rcv_mss = 0;  ///< what we announce
    uint16_t path_mtu = 0;
    Duration rto;
    Duration srtt;  ///< zero before the first sample
    Duration rttvar;
    uint32_t cwnd = 0;      ///< bytes
    uint32_t ssthresh = 0;  ///< bytes
    uint32_t send_window = 0;
    uint32_t receive_window = 0;
    uint32_t in_flight_bytes = 0;  ///< sent and not acknowledged, FIN included
    uint32_t queued_bytes = 0;     ///< sent or not, not acknowledged, FIN included
    uint32_t unsent_bytes = 0;
    uint32_t unread_bytes = 0;
    uint32_t send_buffer_bytes = 0;  ///< how much may be queued now
    // Of what is in flight
    uint32_t sacked_bytes = 0;
    uint32_t lost_bytes = 0;
    uint32_t resent_bytes = 0;  ///< sent more than once
    Duration min_rtt;           ///< zero where it is not known
    Duration delayed_ack;
    uint64_t pacing_rate = 0;  ///< bytes a second; 0: nothing is paced
};

Info info(const Connection& c, const Environment& env);

}  // namespace synfin::tcp
