// DCTCP (RFC 8257): the window gives way by as much as is marked, not by half.
//
// For data centers whose switches mark at a low threshold, and for nothing else: it takes more than
// its share from others. Growth and losses are NewReno's. The estimate lies in the Transfer: a
// connection that has been idle begins with the cautious one, that everything is marked.
#include <algorithm>

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

constexpr double gain = 1.0 / 16;  // g, section 4.2

// Section 3.3: one estimate for each window of data.
void observe(const Connection& c, Dctcp& d, const AckReport& ack) {
    if (!d.observing) {
        d.observing = true;
        d.window_end = c.snd_nxt;
    }
    d.acked += ack.acked;
    if (ack.echo) d.marked += ack.acked;
    if (!c.snd_una.load().after(d.window_end) || d.acked == 0) return;
    const double share = static_cast<double>(d.marked) / d.acked;
    d.alpha = d.alpha * (1 - gain) + gain * share;
    d.window_end = c.snd_nxt;
    d.acked = d.marked = 0;
}

void on_ack(Connection& c, Transfer& t, const AckReport& ack, Environment& env, Instant now) {
    observe(c, t.dctcp, ack);
    new_reno.on_ack(c, t, ack, env, now);
}

void on_echo(Connection& c, Transfer& t, uint32_t, Environment&) {
    const auto left = static_cast<uint32_t>(c.cwnd * (1 - t.dctcp.alpha / 2));
    c.ssthresh = std::max<uint32_t>(left, 2u * c.mss);
}

}  // namespace

const CongestionControl dctcp{on_ack, new_reno.on_loss, on_echo, new_reno.on_timeout,
                              new_reno.on_undo};

}  // namespace synfin::tcp
