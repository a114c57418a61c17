#include <algorithm>

#include <synfin/tcp/history.hpp>
#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

enum class Limit : uint8_t { nothing_to_send, network, peer_window, send_buffer };

Limit limit_of(const Connection& c, const Environment& env) {
    if (!is_synchronized(c.state)) return Limit::nothing_to_send;
    const uint32_t flight = c.snd_nxt.load().distance_from(c.snd_una);
    const uint32_t queued = queued_bytes(c, env);
    if (flight == 0 && queued == 0) return Limit::nothing_to_send;
    if (flight >= c.cwnd) return Limit::network;
    if (flight >= queued) return c.has(Mark::send_blocked) ? Limit::send_buffer : Limit::network;
    const uint32_t window_left = c.snd_wnd > flight ? c.snd_wnd - flight : 0;
    const uint32_t next = std::min<uint32_t>(queued - flight, c.mss);
    return window_left < next ? Limit::peer_window : Limit::network;
}

// What has arrived at the peer, of what is still in the queue.
uint32_t reported_bytes(const Connection& c, const Environment& env) {
    const Transfer* t = transfer_of(c, env);
    return t == nullptr ? 0 : t->flight.sacked_bytes();
}

void note_round_trip(History& h, Duration rtt) {
    if (rtt <= Duration{}) return;
    if (h.min_rtt == Duration{} || rtt < h.min_rtt) h.min_rtt = rtt;
}

// The ACK that ended it was the last segment that came.
void end_measurement(History& h, const Connection& c, const Environment& env) {
    h.measuring = false;
    const Duration took = h.ack_in_at - h.measured_since;
    if (took.count_us() <= 0) return;
    if (h.measured_once) note_round_trip(h, took);
    const uint64_t delivered = h.acknowledged + reported_bytes(c, env) - h.delivered_before;
    const uint64_t rate = delivered * 1'000'000 / static_cast<uint64_t>(took.count_us());
    // What the user did not fill says at most that the path carries so much.
    if (h.measured_user_limited && rate < h.delivery_rate) return;
    h.delivery_rate = rate;
    h.user_limited = h.measured_user_limited;
}

void begin_measurement(History& h, const Connection& c, Seq end, const Environment& env,
                       Instant now) {
    h.measuring = h.measured_once = true;
    h.measured_user_limited = !c.snd_nxt.load().before(data_end(c, env));
    h.measured_to = end;
    h.measured_since = now;
    h.delivered_before = h.acknowledged + reported_bytes(c, env);
}

}  // namespace

void settle(History& h, const Connection& c, const Environment& env, Instant now) {
    if (!h.begun) {
        h.begun = true;
        h.acknowledged_to = c.snd_una;
        h.sent_to = c.snd_nxt;
        h.settled_at = now;
        return;
    }
    const Duration stood = now - h.settled_at;
    h.settled_at = now;
    switch (limit_of(c, env)) {
        case Limit::nothing_to_send: break;
        case Limit::peer_window: h.window_limited = h.window_limited + stood; [[fallthrough]];
        case Limit::network: h.busy = h.busy + stood; break;
        case Limit::send_buffer:
            h.buffer_limited = h.buffer_limited + stood;
            h.busy = h.busy + stood;
            break;
    }
    h.acknowledged += c.snd_una.load().distance_from(h.acknowledged_to);
    h.acknowledged_to = c.snd_una;
    if (is_synchronized(c.state) && h.min_rtt == Duration{}) {
        note_round_trip(h, Duration::microseconds(c.srtt_us));
    }
    if (const Transfer* t = transfer_of(c, env)) {
        note_round_trip(h, Duration::microseconds(t->rack.min_rtt_us));
    }
    if (h.measuring && c.snd_una.load().at_or_after(h.measured_to)) end_measurement(h, c, env);
}

void note_arrival(History& h, const Connection& c, const Segment& s, const Environment& env,
                  Instant now) {
    settle(h, c, env, now);
    ++h.segments_in;
    if (s.flags.ack()) h.ack_in_at = now;
    if (is_duplicate_report(s)) ++h.duplicates_reported;
    if (s.payload.empty()) return;
    ++h.text_segments_in;
    h.text_in_at = now;
    if (is_synchronized(c.state) && s.seq.after(c.rcv_nxt)) ++h.ahead_in;
}

void note_departure(History& h, const Connection& c, const Departure& out, const Environment& env,
                    Instant now) {
    const bool first = !h.begun;
    settle(h, c, env, now);
    if (first) h.sent_to = out.seq;
    ++h.segments_out;
    const uint32_t length =
        out.payload_length + (out.flags.syn() ? 1u : 0u) + (out.flags.fin() ? 1u : 0u);
    if (length == 0) return;
    if (out.payload_length > 0) {
        ++h.text_segments_out;
        h.bytes_out += out.payload_length;
        h.text_out_at = now;
    }
    const Seq end = out.seq + length;
    if (out.seq.before(h.sent_to)) {
        ++h.sent_again;
        h.bytes_sent_again += out.payload_length;
        h.measured_once = false;
    } else if (out.payload_length > 0 && !h.measuring) {
        begin_measurement(h, c, end, env, now);
    }
    h.sent_to = later_of(h.sent_to, end);
}

}  // namespace synfin::tcp
