// BBR, version 1 (draft-cardwell-iccrg-bbr-congestion-control-00): not a loss, but a model of the
// path says how much may be under way: the bandwidth of the bottleneck (the largest delivery rate
// of ten rounds) times the round trip without a queue (the least of ten seconds). Both cannot be
// seen at once, so they are looked for in turn.
//
// The rate is the pacer's; the window is a bound, twice the product, and beyond that as much as
// ACKs that come in clumps have lately brought at once
// (draft-cardwell-iccrg-bbr-congestion-control-02).
#include <algorithm>

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

using Phase = Bbr::Phase;

constexpr double high_gain = 2.885;  // 2 / ln 2: doubles in a round
constexpr double window_gain = 2.0;
constexpr double cycle_gains[] = {1.25, 0.75, 1, 1, 1, 1, 1, 1};
constexpr uint8_t cycle_length = 8;
constexpr double growth = 1.25;  // less in three rounds, and the pipe is full
constexpr uint8_t rounds_until_full = 3;
constexpr uint32_t round_trip_holds_us = 10'000'000;
constexpr uint32_t probe_lasts_us = 200'000;
constexpr uint32_t least_segments = 4;
constexpr uint32_t longest_clump_us = 100'000;  // what the window makes up for at most
constexpr double margin = 0.99;                 // below the bandwidth, so that the queue drains

/// One ACK: what it changes, and what it says.
struct Step {
    Connection& c;
    PathModel& model;
    Bbr& bbr;
    const RateSample& sample;
    uint32_t delivered;  ///< by this ACK
    uint32_t lost;       ///< found by it
    uint32_t in_flight;  ///< after it
    uint32_t now_us;
};

double pacing_gain(const Bbr& bbr) {
    switch (bbr.phase) {
        case Phase::startup: return high_gain;
        case Phase::drain: return 1 / high_gain;
        case Phase::probe_bandwidth: return cycle_gains[bbr.cycle_place];
        case Phase::probe_round_trip: return 1;
    }
    return 1;
}

double gain_of_window(const Bbr& bbr) {
    switch (bbr.phase) {
        case Phase::startup:
        case Phase::drain: return high_gain;
        case Phase::probe_bandwidth: return window_gain;
        case Phase::probe_round_trip: return 1;
    }
    return 1;
}

uint32_t least_window(const Connection& c) { return least_segments * c.mss; }

double octets(uint64_t bytes_per_second, uint32_t during_us) {
    return static_cast<double>(bytes_per_second) * during_us / 1e6;
}

// BDP times a gain. Before the model knows anything, the window stays as it began.
uint32_t target_in_flight(const Connection& c, const PathModel& m, double gain) {
    const Bbr& bbr = m.bbr;
    if (bbr.round_trip_us == 0 || bbr.bandwidth.largest() == 0) return c.cwnd;
    const double product = octets(bbr.bandwidth.largest(), bbr.round_trip_us) * gain;
    // Room for what leaves and is acknowledged in one burst at both ends.
    const double most = largest_congestion_window;
    return static_cast<uint32_t>(std::min(product + 3.0 * m.pacer.burst_bytes(c.mss), most));
}

// While nothing is acknowledged because the ACKs wait for each other, the path shall not run dry.
uint32_t room_for_clumps(const Bbr& bbr) {
    if (!bbr.pipe_filled) return 0;
    const double most = octets(bbr.bandwidth.largest(), longest_clump_us);
    return static_cast<uint32_t>(std::min(static_cast<double>(bbr.surplus.largest()), most));
}

void set_rate(PathModel& m, double gain, uint64_t bandwidth) {
    const auto rate = static_cast<uint64_t>(static_cast<double>(bandwidth) * gain * margin);
    // Until the pipe is full, a sample that is too low must not slow the search down.
    if (m.bbr.pipe_filled || rate > m.pacer.bytes_per_second()) m.pacer.set_rate(rate);
}

// ---- the model

void begin_round(Step& s) {
    Bbr& bbr = s.bbr;
    bbr.round_begins = false;
    if (!s.sample.any) return;
    if (static_cast<int32_t>(s.sample.prior_delivered - bbr.round_end) < 0) return;
    bbr.round_end = s.model.rate.delivered();
    bbr.round_begins = true;
    bbr.conserves = false;
    bbr.bandwidth.begin_round();
    bbr.surplus.begin_round();
}

// What the application limits says nothing of the path, unless it is more than was known.
void take_bandwidth(Step& s) {
    const uint64_t rate = s.sample.bytes_per_second;
    if (rate == 0) return;
    if (!s.sample.application_limited || rate > s.bbr.bandwidth.largest()) {
        s.bbr.bandwidth.take(rate);
    }
}

// A clump lasts for as long as ACKs have brought more than the bandwidth explains; but a rate that
// is a little higher than we think is none, however long it lasts.
void take_clump(Step& s) {
    Bbr& bbr = s.bbr;
    if (s.delivered == 0 || bbr.bandwidth.largest() == 0) return;
    const uint32_t lasts_us = s.now_us - bbr.clump_began_us;
    double explained = octets(bbr.bandwidth.largest(), lasts_us);
    if (bbr.clump_bytes <= explained || lasts_us > longest_clump_us) {
        bbr.clump_began_us = s.now_us;
        bbr.clump_bytes = 0;
        explained = 0;
    }
    bbr.clump_bytes += s.delivered;
    const double surplus = std::max(bbr.clump_bytes - explained, 0.0);
    bbr.surplus.take(std::min(static_cast<uint32_t>(surplus), s.c.cwnd));
}

// ---- the search

void enter_probe_bandwidth(Step& s) {
    s.bbr.phase = Phase::probe_bandwidth;
    // Anywhere but in the quarter that is below: flows that began together must not stay in step.
    s.bbr.cycle_place = static_cast<uint8_t>((2 + s.c.hash % (cycle_length - 1)) % cycle_length);
    s.bbr.cycle_began_us = s.now_us;
}

bool cycle_goes_on(const Step& s) {
    const bool long_enough = s.now_us - s.bbr.cycle_began_us > s.bbr.round_trip_us;
    const double gain = cycle_gains[s.bbr.cycle_place];
    if (gain > 1) {
        const uint32_t before = s.in_flight + s.delivered;
        const bool full = s.lost > 0 || before >= target_in_flight(s.c, s.model, gain);
        return long_enough && full;
    }
    if (gain < 1) return long_enough || s.in_flight <= target_in_flight(s.c, s.model, 1);
    return long_enough;
}

void advance_cycle(Step& s) {
    if (s.bbr.phase != Phase::probe_bandwidth || !cycle_goes_on(s)) return;
    s.bbr.cycle_place = static_cast<uint8_t>((s.bbr.cycle_place + 1) % cycle_length);
    s.bbr.cycle_began_us = s.now_us;
}

void check_pipe_filled(Step& s) {
    Bbr& bbr = s.bbr;
    if (bbr.pipe_filled || !bbr.round_begins || s.sample.application_limited) return;
    const auto known = static_cast<double>(bbr.full_bandwidth);
    if (static_cast<double>(bbr.bandwidth.largest()) >= known * growth) {
        bbr.full_bandwidth = bbr.bandwidth.largest();
        bbr.rounds_without_growth = 0;
        return;
    }
    bbr.pipe_filled = ++bbr.rounds_without_growth >= rounds_until_full;
}

void drain(Step& s) {
    if (s.bbr.phase == Phase::startup && s.bbr.pipe_filled) s.bbr.phase = Phase::drain;
    if (s.bbr.phase == Phase::drain && s.in_flight <= target_in_flight(s.c, s.model, 1)) {
        enter_probe_bandwidth(s);
    }
}

void enter_probe_round_trip(Step& s) {
    s.bbr.phase = Phase::probe_round_trip;
    s.bbr.probe_timed = false;
    if (!s.bbr.recovers) s.bbr.window_before = s.c.cwnd;
}

void leave_probe_round_trip(Step& s) {
    s.bbr.round_trip_at_us = s.now_us;
    s.c.cwnd = std::max(s.c.cwnd, s.bbr.window_before);
    if (s.bbr.pipe_filled) {
        enter_probe_bandwidth(s);
    } else {
        s.bbr.phase = Phase::startup;
    }
}

void probe_round_trip(Step& s) {
    Bbr& bbr = s.bbr;
    // What is sent now says nothing of the bandwidth.
    s.model.rate.limit_by_application(s.in_flight);
    if (!bbr.probe_timed) {
        if (s.in_flight > least_window(s.c)) return;
        bbr.probe_timed = true;
        bbr.probe_round_over = false;
        bbr.probe_until_us = s.now_us + probe_lasts_us;
        bbr.round_end = s.model.rate.delivered();
        return;
    }
    if (bbr.round_begins) bbr.probe_round_over = true;
    const bool long_enough = static_cast<int32_t>(s.now_us - bbr.probe_until_us) >= 0;
    if (bbr.probe_round_over && long_enough) leave_probe_round_trip(s);
}

void take_round_trip(Step& s) {
    Bbr& bbr = s.bbr;
    const bool expired = s.now_us - bbr.round_trip_at_us > round_trip_holds_us;
    const uint32_t rtt = s.sample.rtt_us;
    if (rtt != 0 && (bbr.round_trip_us == 0 || rtt <= bbr.round_trip_us || expired)) {
        bbr.round_trip_us = rtt;
        bbr.round_trip_at_us = s.now_us;
    }
    if (expired && !bbr.restarts_from_idle && bbr.phase != Phase::probe_round_trip) {
        enter_probe_round_trip(s);
    }
    if (bbr.phase == Phase::probe_round_trip) probe_round_trip(s);
    if (s.delivered > 0) bbr.restarts_from_idle = false;
}

// ---- the window

// A fast recovery lets out what has arrived for one round, and then the model rules again; what was
// before a recovery is there again when it ends.
void follow_recovery(Step& s, Recovery::Phase now) {
    Bbr& bbr = s.bbr;
    if (s.lost > 0) s.c.cwnd = std::max<uint32_t>(s.c.cwnd - std::min(s.lost, s.c.cwnd), s.c.mss);
    const bool recovers = now != Recovery::Phase::none;
    if (recovers && !bbr.recovers && now == Recovery::Phase::fast) {
        bbr.conserves = true;
        bbr.round_end = s.model.rate.delivered();
        s.c.cwnd = s.in_flight + std::max<uint32_t>(s.delivered, s.c.mss);
    } else if (!recovers && bbr.recovers) {
        bbr.conserves = false;
        s.c.cwnd = std::max(s.c.cwnd, bbr.window_before);
    }
    bbr.recovers = recovers;
}

void set_window(Step& s, uint32_t initial_window) {
    uint32_t& cwnd = s.c.cwnd;
    if (s.delivered > 0) {
        if (s.bbr.conserves) {
            cwnd = std::max(cwnd, s.in_flight + s.delivered);
        } else {
            const uint32_t target =
                target_in_flight(s.c, s.model, gain_of_window(s.bbr)) + room_for_clumps(s.bbr);
            if (s.bbr.pipe_filled) {
                cwnd = std::min(cwnd + s.delivered, target);
            } else if (cwnd < target || s.model.rate.delivered() < initial_window) {
                cwnd += s.delivered;
            }
        }
        cwnd = std::clamp(cwnd, least_window(s.c), largest_congestion_window);
    }
    if (s.bbr.phase == Phase::probe_round_trip) cwnd = std::min(cwnd, least_window(s.c));
}

// ---- what the rest of the protocol calls

PathModel* model_of(const Transfer* t, Environment& env) {
    return t == nullptr || t->model == no_index ? nullptr : &env.transfers.models[t->model];
}

void on_ack(Connection& c, Transfer& t, const AckReport& ack, Environment& env, Instant now) {
    PathModel* m = model_of(&t, env);
    if (m == nullptr) return;  // nothing but a FIN has been sent
    const uint32_t now_us = low_us(now);
    const RateSample sample = m->rate.on_delivery(ack.delivery, m->bbr.round_trip_us, now_us);
    Step s{c,     *m, m->bbr, sample, ack.delivery.bytes, ack.newly_lost, bytes_in_flight(c, t),
           now_us};
    if (!m->bbr.recovers && t.recovery.phase == Recovery::Phase::fast)
        m->bbr.window_before = c.cwnd;
    begin_round(s);
    take_bandwidth(s);
    take_clump(s);
    advance_cycle(s);
    check_pipe_filled(s);
    drain(s);
    take_round_trip(s);
    if (m->bbr.bandwidth.largest() > 0) {
        set_rate(*m, pacing_gain(m->bbr), m->bbr.bandwidth.largest());
    }
    follow_recovery(s, t.recovery.phase);
    set_window(s, initial_window(c, env.terms_of(c)));
}

// A loss says nothing that the model does not know.
void on_loss(Connection&, Transfer&, uint32_t, Environment&) {}

void on_timeout(Connection& c, Transfer* t, uint32_t, Environment& env) {
    PathModel* m = model_of(t, env);
    if (m == nullptr) return;
    if (!m->bbr.recovers) m->bbr.window_before = c.cwnd;
    m->bbr.recovers = true;
    m->bbr.conserves = false;
    m->bbr.full_bandwidth = 0;
}

void on_undo(Transfer& t, Environment& env) {
    PathModel* m = model_of(&t, env);
    if (m == nullptr) return;
    m->bbr.conserves = m->bbr.recovers = false;
    m->bbr.full_bandwidth = 0;
    m->bbr.rounds_without_growth = 0;
}

// As the handshake's round trip suggests.
void begin_model(const Connection& c, PathModel& m, Instant now) {
    constexpr uint32_t unknown_round_trip_us = 1000;
    m.bbr.round_trip_us = c.srtt_us;
    m.bbr.round_trip_at_us = low_us(now);
    const uint32_t round_trip_us = c.srtt_us != 0 ? c.srtt_us : unknown_round_trip_us;
    set_rate(m, high_gain, uint64_t{c.cwnd} * 1'000'000 / round_trip_us);
    m.pacer.restart(c.mss, now);
}

// An empty flight alone is no idleness: on a short way all of a burst is acknowledged while the
// next one waits for its moment, and it must not lose that.
void restart_from_idle(PathModel& m, uint32_t segment, Instant now) {
    if (!m.rate.application_limited()) return;
    m.pacer.restart(segment, now);
    m.bbr.restarts_from_idle = true;
    m.bbr.cycle_began_us = low_us(now);
    if (m.bbr.phase == Phase::probe_bandwidth) set_rate(m, 1, m.bbr.bandwidth.largest());
}

}  // namespace

void note_departure(const Connection& c, const Transfer& t, uint32_t bytes, Environment& env,
                    Instant now) {
    PathModel& m = env.transfers.models[t.model];
    const auto now_us = low_us(now);
    const uint32_t in_flight = bytes_in_flight(c, t);
    const uint32_t before = in_flight - std::min(bytes, in_flight);
    if (m.pacer.bytes_per_second() == 0) begin_model(c, m, now);
    if (before == 0) restart_from_idle(m, c.mss, now);
    m.rate.on_departure(now_us, before, c.srtt_us / 16);
    m.pacer.on_departure(bytes, c.mss, now);
    const bool all_sent = t.flight.lost_bytes() == 0 && !c.snd_nxt.load().before(data_end(c, env));
    if (all_sent && in_flight < c.cwnd) m.rate.limit_by_application(in_flight);
}

constinit const CongestionControl bbr{on_ack, on_loss, on_loss, on_timeout, on_undo};

}  // namespace synfin::tcp
