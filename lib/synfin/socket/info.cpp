// What TCP_INFO says: how a connection stands (tcp::Info), what has passed on it so far
// (tcp::History), and what its socket knows of the bytes.
//
// Not known here, and always 0: tcpi_last_ack_sent (so it is on Linux), tcpi_fackets, tcpi_rcv_rtt,
// tcpi_delivered_ce, tcpi_reord_seen and whatever is younger than tcpi_snd_wnd. tcpi_bytes_acked
// counts our SYN and FIN as Linux does; tcpi_bytes_received counts no FIN. tcpi_delivered is worked
// out from what is still on its way, so it is exact when nothing is.
#include <algorithm>

#include <synfin/socket/info.hpp>

namespace synfin::socket {

namespace {

// How Linux numbers the states (include/net/tcp_states.h).
uint8_t number_of(tcp::State state) {
    switch (state) {
        case tcp::State::established: return 1;
        case tcp::State::syn_sent: return 2;
        case tcp::State::syn_received: return 3;
        case tcp::State::fin_wait_1: return 4;
        case tcp::State::fin_wait_2: return 5;
        case tcp::State::time_wait: return 6;
        case tcp::State::closed: return 7;
        case tcp::State::close_wait: return 8;
        case tcp::State::last_ack: return 9;
        case tcp::State::listen: return 10;
        case tcp::State::closing: return 11;
    }
    return 7;
}

uint32_t us_of(Duration d) { return static_cast<uint32_t>(d.count_us()); }

constexpr int default_mss = 536;
constexpr uint32_t infinite_threshold = 0x7fffffff;

// Of a socket that has no connection, or none yet.
tcp_info blank_info(const Socket& socket) {
    tcp_info info{};
    info.tcpi_state = number_of(tcp::State::closed);
    info.tcpi_rto = us_of(socket.profile.rto_initial);
    info.tcpi_rttvar = info.tcpi_rto / 4;
    info.tcpi_snd_mss = info.tcpi_rcv_mss = info.tcpi_advmss = default_mss;
    info.tcpi_snd_cwnd = socket.profile.initial_window_segments;
    info.tcpi_snd_ssthresh = infinite_threshold;
    info.tcpi_reordering = 3;
    info.tcpi_pacing_rate = info.tcpi_max_pacing_rate = ~uint64_t{0};
    info.tcpi_min_rtt = ~uint32_t{0};
    if (socket.role == Role::listening) {
        info.tcpi_state = number_of(tcp::State::listen);
        info.tcpi_unacked = static_cast<uint32_t>(socket.accept_queue.size());
        info.tcpi_sacked = socket.backlog;
    }
    return info;
}

uint32_t ms_since(Instant then, Instant now) {
    return static_cast<uint32_t>((now - then).count_ms());
}
uint64_t us_told(Duration d) { return static_cast<uint64_t>(d.count_us()); }

// What does not end with the connection.
void tell_history(tcp_info& info, const Socket& socket, const tcp::Info& from, Instant now) {
    const tcp::History& h = socket.history;
    info.tcpi_total_retrans = h.sent_again;
    info.tcpi_segs_in = h.segments_in;
    info.tcpi_segs_out = h.segments_out;
    info.tcpi_data_segs_in = h.text_segments_in;
    info.tcpi_data_segs_out = h.text_segments_out;
    info.tcpi_rcv_ooopack = h.ahead_in;
    info.tcpi_dsack_dups = h.duplicates_reported;
    info.tcpi_bytes_sent = h.bytes_out;
    info.tcpi_bytes_retrans = h.bytes_sent_again;
    info.tcpi_bytes_acked = h.acknowledged;
    info.tcpi_bytes_received = socket.bytes_read + socket.unread_rest() + from.unread_bytes;
    info.tcpi_busy_time = us_told(h.busy);
    info.tcpi_rwnd_limited = us_told(h.window_limited);
    info.tcpi_sndbuf_limited = us_told(h.buffer_limited);
    info.tcpi_delivery_rate = h.delivery_rate;
    info.tcpi_delivery_rate_app_limited = h.user_limited ? 1 : 0;
    if (h.min_rtt > Duration{}) info.tcpi_min_rtt = us_of(h.min_rtt);
    if (h.ack_in_at == Instant{}) return;  // no handshake is complete yet
    info.tcpi_last_data_sent = ms_since(h.text_out_at, now);
    info.tcpi_last_data_recv = ms_since(h.text_in_at, now);
    info.tcpi_last_ack_recv = ms_since(h.ack_in_at, now);
}

}  // namespace

// Linux counts without the room for timestamps.
uint32_t payload_max(const tcp::Info& from) {
    constexpr uint32_t timestamps_bytes = 12;
    const uint32_t options = from.timestamps ? timestamps_bytes : 0;
    return from.snd_mss > options ? from.snd_mss - options : 1;
}

tcp_info info_of(const Socket& socket, const tcp::Info& from, Instant now) {
    tcp_info info = blank_info(socket);
    tell_history(info, socket, from, now);
    if (from.state == tcp::State::closed) return info;
    info.tcpi_state = number_of(from.state);
    info.tcpi_ca_state = from.timed_out ? 4 : from.recovering ? 3 : 0;
    info.tcpi_retransmits = from.probing ? uint8_t{0} : from.backoff;
    info.tcpi_probes = from.probing ? from.backoff : uint8_t{0};
    info.tcpi_backoff = from.backoff;
    if (from.timestamps) info.tcpi_options |= TCPI_OPT_TIMESTAMPS;
    if (from.sack) info.tcpi_options |= TCPI_OPT_SACK;
    if (from.window_scaling) info.tcpi_options |= TCPI_OPT_WSCALE;
    if (from.ecn) info.tcpi_options |= TCPI_OPT_ECN;
    if (from.early_data) info.tcpi_options |= TCPI_OPT_SYN_DATA;
    info.tcpi_snd_wscale = from.snd_scale & 0xf;
    info.tcpi_rcv_wscale = from.rcv_scale & 0xf;
    info.tcpi_rto = us_of(from.rto);
    info.tcpi_ato = us_of(from.delayed_ack);
    info.tcpi_snd_mss = payload_max(from);
    info.tcpi_rcv_mss = payload_max(from);
    info.tcpi_advmss = from.rcv_mss;
    info.tcpi_pmtu = from.path_mtu;
    const auto in_segments = [segment = payload_max(from)](uint32_t bytes) {
        return (bytes + segment - 1) / segment;
    };
    info.tcpi_unacked = in_segments(from.in_flight_bytes);
    info.tcpi_sacked = in_segments(from.sacked_bytes);
    info.tcpi_lost = in_segments(from.lost_bytes);
    info.tcpi_retrans = in_segments(from.resent_bytes);
    info.tcpi_rcv_ssthresh = info.tcpi_rcv_space = from.receive_window;
    info.tcpi_snd_wnd = from.send_window;
    info.tcpi_notsent_bytes = from.unsent_bytes;
    // What has been sent once, but for what is on its way.
    const tcp::History& h = socket.history;
    const uint32_t arrived_out = h.text_segments_out - std::min(h.text_segments_out, h.sent_again);
    const uint32_t under_way = in_segments(from.in_flight_bytes - from.sacked_bytes);
    const uint32_t handshake = from.srtt == Duration{} ? 0 : 1;
    info.tcpi_delivered = handshake + arrived_out - std::min(arrived_out, under_way);
    if (from.pacing_rate != 0) info.tcpi_pacing_rate = from.pacing_rate;
    if (from.srtt == Duration{}) return info;  // no round trip has been measured yet
    info.tcpi_rtt = us_of(from.srtt);
    info.tcpi_rttvar = us_of(from.rttvar);
    const uint32_t segment = std::max<uint32_t>(from.snd_mss, 1);
    info.tcpi_snd_cwnd = from.cwnd / segment;
    if (from.ssthresh < infinite_threshold) info.tcpi_snd_ssthresh = from.ssthresh / segment;
    return info;
}

}  // namespace synfin::socket
