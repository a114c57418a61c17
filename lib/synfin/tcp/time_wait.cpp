// TIME_WAIT: what remains when both FINs are through, so that the last ACK can be sent again and no
// old duplicate reaches a new incarnation (RFC 9293 section 3.6.1, RFC 1337, RFC 6191).
#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

// RFC 6191 section 2: newer by its timestamp, or, where one side has none, by its sequence number.
bool is_provably_newer(const TimeWait& record, const Segment& syn) {
    if (record.ts_recent != 0 && syn.options.has_timestamps) {
        const auto ahead = static_cast<int32_t>(syn.options.ts_value - record.ts_recent);
        return ahead > 0 || (ahead == 0 && syn.seq.after(record.rcv_nxt));
    }
    return syn.seq.after(record.rcv_nxt);
}

}  // namespace

TimeWaitVerdict on_segment_in_time_wait(const TimeWait& record, const Segment& s) {
    if (s.flags.rst()) return TimeWaitVerdict::ignore;
    if (s.flags.syn()) {
        const bool plain_syn = !s.flags.ack() && !s.flags.fin();
        return plain_syn && is_provably_newer(record, s) ? TimeWaitVerdict::reopen
                                                         : TimeWaitVerdict::acknowledge;
    }
    // Not acceptable, or without an ACK: the first check comes before the fifth.
    if (!s.flags.ack()) {
        return s.seq.before(record.rcv_nxt) && s.end().at_or_before(record.rcv_nxt)
                   ? TimeWaitVerdict::acknowledge
                   : TimeWaitVerdict::ignore;
    }
    if (s.flags.fin() && s.end() == record.rcv_nxt) return TimeWaitVerdict::restart_and_acknowledge;
    if (s.length() == 0 && s.seq == record.rcv_nxt) return TimeWaitVerdict::ignore;
    return TimeWaitVerdict::acknowledge;
}

}  // namespace synfin::tcp
