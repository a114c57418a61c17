#include <synfin/tcp/info.hpp>
#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

Info info(const Connection& c, const Environment& env) {
    Info i;
    i.state = c.state;
    i.backoff = c.backoff;
    i.probing = c.has(Mark::persisting);
    i.timestamps = c.has(Mark::timestamps);
    i.sack = c.has(Mark::sack_permitted);
    i.window_scaling = c.has(Mark::window_scaling);
    i.ecn = c.ecn;
    i.early_data = c.early_data;
    i.snd_scale = c.snd_scale;
    i.rcv_scale = c.rcv_scale;
    i.snd_mss = c.mss;
    i.rcv_mss = receive_mss(c, env);
    i.path_mtu = c.has(Mark::narrow_path) ? path_mtu(c) : env.mtu;
    i.rto = Duration::microseconds(backed_off_rto_us(c, env.terms_of(c)));
    i.cwnd = c.cwnd;
    i.ssthresh = c.ssthresh;
    i.send_window = c.snd_wnd;
    i.receive_window = c.rcv_edge.distance_from(c.rcv_nxt);
    if (is_synchronized(c.state)) {  // before that, the fields hold the SYN's departure
        i.srtt = Duration::microseconds(c.srtt_us);
        i.rttvar = Duration::microseconds(c.rttvar_us);
        const bool fin_to_come = c.has(Mark::send_closed) && !fin_acknowledged(c);
        i.in_flight_bytes = c.snd_nxt.load().distance_from(c.snd_una);
        i.queued_bytes = queued_bytes(c, env) + (fin_to_come ? 1 : 0);
        i.unsent_bytes = i.queued_bytes - i.in_flight_bytes;
    }
    i.unread_bytes = unread_bytes(c, env);
    i.send_buffer_bytes = send_buffer(c, env);
    i.delayed_ack = env.profile_of(c).delayed_ack;
    if (const Transfer* t = transfer_of(c, env)) {
        i.sacked_bytes = t->flight.sacked_bytes();
        i.lost_bytes = t->flight.lost_bytes();
        t->flight.for_each(env.transfers.flights, [&i](const FlightRange& range) {
            if (range.retransmitted) i.resent_bytes += range.bytes();
        });
        i.min_rtt = Duration::microseconds(t->rack.min_rtt_us);
        if (t->model != no_index) {
            i.pacing_rate = env.transfers.models[t->model].pacer.bytes_per_second();
        }
        i.recovering = t->recovery.phase == Recovery::Phase::fast;
        i.timed_out = !i.recovering && c.backoff > 0 && !i.probing;
    }
    return i;
}

}  // namespace synfin::tcp
