// Explicit congestion notification (RFC 3168): routers mark instead of dropping.
//
//   agreement  our SYN asks with ECE and CWR, the SYN,ACK agrees with ECE alone; whatever else
//              comes is no agreement. A SYN that has to be sent again, because nothing or a RST
//              came, does not ask, in case something on the way cannot bear it.
//   sender     ECT on new data only. An ECE reduces the window, once for each window of data, as a
//              loss would; CWR on the next new data says that it was heard.
//   receiver   from a CE to the next CWR each ACK carries ECE. With DCTCP (RFC 8257) ECE says of
//              each ACK whether what it acknowledges was marked.
#include <algorithm>

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace flag = wire::flag;

namespace {

EcnUse use_of(const Profile& p) {
    if (p.congestion == CongestionAlgorithm::bbr) return EcnUse::off;  // it does not heed marks
    const bool needed = p.congestion == CongestionAlgorithm::dctcp && p.ecn == EcnUse::accept;
    return needed ? EcnUse::ask : p.ecn;
}

// Section 6.1.1: a host that has sent a SYN without asking must not set ECT.
bool may_set_ect(const Connection& c) {
    return c.ecn && (c.has(Mark::passive_open) || !c.has(Mark::syn_retransmitted));
}

}  // namespace

bool offers_ecn(const Profile& profile, bool passive) {
    const EcnUse use = use_of(profile);
    return passive ? use != EcnUse::off : use == EcnUse::ask;
}

bool agrees_to_ecn(const Segment& syn, const Profile& profile) {
    if (!syn.flags.ece()) return false;
    if (syn.flags.ack()) return !syn.flags.cwr();
    // No SYN is ECN-capable (section 6.1.1), but for those of DCTCP in use; else something on the
    // way has set the field for all, and its marks mean nothing.
    const bool plain =
        syn.ecn == wire::Ecn::not_capable || profile.congestion == CongestionAlgorithm::dctcp;
    return syn.flags.cwr() && plain;
}

wire::TcpFlags ecn_flags_of_syn(const Connection& c) {
    if (!c.ecn) return flag::none;
    if (c.state != State::syn_sent) return flag::ece;
    return c.has(Mark::syn_retransmitted) ? flag::none : flag::ece | flag::cwr;
}

void mark_new_data(Connection& c, Transfer& t, Seq end, OutSegment& out) {
    if (!may_set_ect(c)) return;
    out.ecn = wire::Ecn::ect_0;
    if (t.reduced_for_echo) t.reduced_for_echo = is_answered_echo(c, t);
    if (!c.owes_cwr) return;
    c.owes_cwr = false;
    out.flags |= flag::cwr;
    t.reduced_for_echo = true;  // echoes of what was sent before the peer knew count no more
    t.echo_point = end;
}

// ---- the receiver

namespace {

// What has arrived and not been acknowledged gets an ACK of its own, with the ECE of before.
void take_mark_of_dctcp(Connection& c, bool marked, Environment& env) {
    if (marked == c.echoes_ce) return;
    if (c.rcv_nxt.load() != c.last_ack_sent) {
        Transfer* t = require_transfer(c, env);
        if (t != nullptr && t->mark_change_count < Transfer::max_mark_changes) {
            t->mark_changes[t->mark_change_count++] = {c.rcv_nxt, c.echoes_ce};
        }
    }
    c.echoes_ce = marked;
    c.set(Mark::ack_now);
}

}  // namespace

void take_congestion_marks(Connection& c, const Segment& s, Environment& env) {
    if (s.payload.empty()) return;
    const bool marked = s.ecn == wire::Ecn::ce;
    if (marked) ++env.counters.ecn_marks_received;
    if (env.profile_of(c).congestion == CongestionAlgorithm::dctcp) {
        return take_mark_of_dctcp(c, marked, env);
    }
    if (s.flags.cwr()) {
        c.echoes_ce = false;
        c.set(Mark::ack_now);  // the window may be so small that a delayed ACK would stop the peer
    }
    if (marked) c.echoes_ce = true;
}

void write_ack_of_mark_change(Connection& c, Transfer& t, OutSegment& out) {
    const MarkChange change = t.mark_changes[0];
    std::copy(t.mark_changes + 1, t.mark_changes + t.mark_change_count, t.mark_changes);
    --t.mark_change_count;
    const uint32_t unit = 1u << c.rcv_scale;
    const uint32_t behind = (c.rcv_nxt.load().distance_from(change.end) + unit - 1) >> c.rcv_scale;
    out.ack = change.end;
    out.window = static_cast<uint16_t>(std::min<uint32_t>(out.window + behind, 0xffff));
    c.rcv_edge = later_of(c.rcv_edge, change.end + (uint32_t{out.window} << c.rcv_scale));
    out.flags = flag::ack | (change.marked ? flag::ece : flag::none);
    c.last_ack_sent = change.end;
}

// ---- the sender

void respond_to_echo(Connection& c, Transfer& t, const AckReport& ack, Environment& env) {
    if (t.recovery.phase != Recovery::Phase::none || is_answered_echo(c, t)) return;
    congestion_control(c, env).on_echo(c, t, std::min(ack.flight_before, c.cwnd), env);
    c.cwnd = std::min(c.cwnd, c.ssthresh);
    c.owes_cwr = true;
    t.reduced_for_echo = true;
    t.echo_point = c.snd_nxt;
    ++env.counters.ecn_reductions;
}

}  // namespace synfin::tcp
