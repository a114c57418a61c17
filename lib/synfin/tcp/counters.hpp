// What the protocol counts, one set per worker: RFC 4022's names first, then those that Linux users
// know from `nstat`, then one for each reason to drop or refuse a segment.
#pragma once

#include <cstdint>

#include <synfin/base/relaxed.hpp>

namespace synfin::tcp {

using Count = Relaxed<uint64_t>;

// One line per counter: identifier, the name it is shown under, what it counts.
#define SYNFIN_TCP_COUNTERS(X)                                                                    \
    X(active_opens, "ActiveOpens", "connections opened by us (RFC 4022)")                         \
    X(passive_opens, "PassiveOpens", "connections opened by a peer (RFC 4022)")                   \
    X(attempt_fails, "AttemptFails", "handshakes that failed (RFC 4022)")                         \
    X(estab_resets, "EstabResets", "connections reset after they were established (RFC 4022)")    \
    X(curr_estab, "CurrEstab", "connections in ESTABLISHED or CLOSE_WAIT now (RFC 4022)")         \
    X(in_segs, "InSegs", "segments received, bad ones included (RFC 4022)")                       \
    X(out_segs, "OutSegs", "segments sent, retransmissions excluded (RFC 4022)")                  \
    X(retrans_segs, "RetransSegs", "segments sent again (RFC 4022)")                              \
    X(in_errs, "InErrs", "segments received with an error, bad checksums included (RFC 4022)")    \
    X(out_rsts, "OutRsts", "segments sent with RST (RFC 4022)")                                   \
    X(timeouts, "TCPTimeouts", "expiries of the retransmission timer")                            \
    X(fast_retransmits, "TCPFastRetrans", "fast recoveries begun: a loss was seen by ACKs")       \
    X(lost_retransmits, "TCPLostRetransmit", "retransmissions that RACK found lost again")        \
    X(tail_probes, "TCPLossProbes", "tail loss probes (RFC 8985)")                                \
    X(tail_probe_repairs, "TCPLossProbeRecovery", "losses that a tail loss probe repaired")       \
    X(spurious_timeouts, "TCPSpuriousRTOs", "timeouts that were undone: nothing was lost")        \
    X(spurious_recoveries, "TCPFullUndo", "fast recoveries that were undone: nothing was lost")   \
    X(dsacks_sent, "TCPDSACKOldSent", "duplicates that we reported (RFC 2883)")                   \
    X(dsacks_received, "TCPDSACKRecv", "duplicates that the peer reported (RFC 2883)")            \
    X(sack_blocks_ignored, "TCPSACKDiscard", "SACK blocks outside of what was in flight")         \
    X(sack_reneging, "TCPSACKReneging",                                                           \
      "timeouts with a SACKed first octet: the peer took it back")                                \
    X(flight_coarse, "TCPFlightCoarse", "segments or blocks noted coarsely: too many ranges")     \
    X(send_buffers_kept_small, "TCPSndbufLimited",                                                \
      "calls to send that found less room than the window wants: memory was half used")           \
    X(path_reductions, "TCPPathReductions", "segments made smaller because ICMP said so")         \
    X(path_black_holes, "TCPPathBlackHoles", "segments made smaller because large ones vanish")   \
    X(path_probes, "TCPMTUPProbes", "segments larger than the path was known to take")            \
    X(path_probes_arrived, "TCPMTUPSuccess", "of these, those that arrived")                      \
    X(path_probes_lost, "TCPMTUPFail", "of these, those that were lost")                          \
    X(syn_retransmits, "TCPSynRetrans", "SYN and SYN,ACK sent again")                             \
    X(zero_window_probes, "TCPWinProbe", "probes of a closed window")                             \
    X(keep_alives, "TCPKeepAlive", "keep-alive probes")                                           \
    X(delayed_acks, "DelayedACKs", "ACKs sent by the delayed ACK timer")                          \
    X(challenge_acks, "TCPChallengeACK", "challenge ACKs (RFC 5961)")                             \
    X(challenge_acks_skipped, "TCPACKSkippedChallenge", "answers suppressed by the rate limit")   \
    X(out_of_order, "TCPOFOQueue", "segments held for reassembly")                                \
    X(out_of_order_dropped, "TCPOFODrop", "out-of-order segments beyond a limit")                 \
    X(receive_pruned, "TCPRcvQDrop", "in-window bytes refused because memory ran out")            \
    X(abort_on_timeout, "TCPAbortOnTimeout", "connections given up after R2 or user timeout")     \
    X(abort_on_close, "TCPAbortOnClose", "RST because data was unread at close")                  \
    X(abort_on_data, "TCPAbortOnData", "RST because data came after close")                       \
    X(time_waits, "TW", "connections that entered TIME_WAIT")                                     \
    X(time_wait_reused, "TWRecycled", "TIME_WAIT entries given up to a newer SYN (RFC 6191)")     \
    X(time_wait_overflow, "TCPTimeWaitOverflow", "TIME_WAIT skipped because its table was full")  \
    X(deferred_accepts, "TCPDeferAcceptDrop", "last ACKs ignored: the listener waits for text")   \
    X(listen_overflows, "ListenOverflows", "handshakes put off: nothing more is accepted now")    \
    X(half_open_drops, "TCPReqQFullDrop", "SYNs dropped at the limit of half-open connections")   \
    X(fast_open_active, "TCPFastOpenActive", "SYNs sent with data (RFC 7413)")                    \
    X(fast_open_active_fails, "TCPFastOpenActiveFail", "SYNs whose data was not taken")           \
    X(fast_open_passive, "TCPFastOpenPassive", "SYNs whose data was taken")                       \
    X(fast_open_passive_fails, "TCPFastOpenPassiveFail", "SYNs with a cookie that was not right") \
    X(fast_open_overflows, "TCPFastOpenListenOverflow", "SYNs whose data found no room")          \
    X(fast_open_cookie_requests, "TCPFastOpenCookieReqd", "SYNs that asked for a cookie")         \
    X(ecn_marks_received, "InCEPkts", "data segments that came with CE (RFC 3168)")               \
    X(ecn_reductions, "TCPECNReductions", "windows reduced because of an echo of CE")             \
    X(ecn_fallbacks, "TCPECNFallback", "SYNs sent again without asking for ECN")                  \
    X(user_timeouts_heard, "TCPUserTimeoutHeard", "advice on the user timeout taken (RFC 5482)")  \
    X(user_timeouts_ignored, "TCPUserTimeoutIgnored", "no profile was free for such advice")      \
    X(syn_cookies_sent, "SyncookiesSent", "SYN,ACKs whose sequence number was a cookie")          \
    X(syn_cookies_received, "SyncookiesRecv", "connections that a cookie has opened")             \
    X(syn_cookies_failed, "SyncookiesFailed", "ACKs with no valid cookie while there were some")  \
    X(drop_out_of_window, "DropOutOfWindow", "segments outside the receive window")               \
    X(drop_paws, "PAWSEstab", "segments refused by PAWS (RFC 7323)")                              \
    X(drop_no_timestamp, "DropNoTimestamp", "segments without the negotiated timestamp")          \
    X(drop_bad_ack, "DropBadAck", "ACKs of what was never sent, or too old (RFC 5961)")           \
    X(drop_no_ack, "DropNoAck", "segments without ACK, SYN or RST")                               \
    X(drop_rst_out_of_window, "DropRstOutOfWindow", "RST outside the window")                     \
    X(drop_rst_inexact, "DropRstInexact", "RST in the window, not at its left edge")              \
    X(drop_rst_bad_ack, "DropRstBadAck", "RST in SYN_SENT that acknowledges nothing of ours")     \
    X(drop_syn_in_window, "DropSynInWindow", "SYN on a synchronized connection (RFC 5961)")       \
    X(drop_illegal_flags, "DropIllegalFlags", "flags that no rule of RFC 9293 accepts")           \
    X(drop_fin_before_syn, "DropFinBeforeSyn", "FIN in CLOSED, LISTEN or SYN_SENT")               \
    X(drop_after_fin, "DropAfterFin", "payload beyond the peer's FIN")

struct Counters {
#define SYNFIN_DECLARE(identifier, shown, text) Count identifier;
    SYNFIN_TCP_COUNTERS(SYNFIN_DECLARE)
#undef SYNFIN_DECLARE
};

/// Calls `visit(name, text, value)` for each counter, in the order above.
template <typename Visitor>
void for_each_counter(const Counters& counters, Visitor&& visit) {
#define SYNFIN_VISIT(identifier, shown, text) visit(shown, text, counters.identifier.load());
    SYNFIN_TCP_COUNTERS(SYNFIN_VISIT)
#undef SYNFIN_VISIT
}

}  // namespace synfin::tcp
