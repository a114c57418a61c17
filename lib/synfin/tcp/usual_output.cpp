// The fast path of output: what nearly every segment is that leaves after the SYNs.
//
// Usual is a connection of which nothing is on its way, and which has one of three things to say:
// all that is queued, in one segment and one piece, perhaps with the FIN behind it; a FIN alone; an
// ACK. No loss, no window, no pacer and no timer that runs has a word in that. Whatever differs is
// left to next_segment_in_general. So this file decides nothing: what it emits,
// next_segment_in_general would emit in the same way.
#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

namespace flag = wire::flag;

/// With these, something else leaves, or more is to be said than is said here.
constexpr uint32_t unusual_marks =
    static_cast<uint32_t>(Mark::send_reset) | static_cast<uint32_t>(Mark::send_syn) |
    static_cast<uint32_t>(Mark::send_fin_again) | static_cast<uint32_t>(Mark::send_probe) |
    static_cast<uint32_t>(Mark::persisting) | static_cast<uint32_t>(Mark::pacing) |
    static_cast<uint32_t>(Mark::extra_option) | static_cast<uint32_t>(Mark::retransmit_armed) |
    static_cast<uint32_t>(Mark::syn_unacked);

bool owes_fin(const Connection& c) { return c.has(Mark::send_closed) && !c.has(Mark::fin_sent); }

/// Whether all that is queued may leave at once, as one piece in one segment.
bool leaves_at_once(const Connection& c, const Transfer& t, const Environment& env, Instant now) {
    const uint32_t length = t.unsent_or_unacked.bytes;
    return length != 0 && length + agreed_option_bytes(c) <= c.mss && length <= c.snd_wnd &&
           length <= c.cwnd && env.buffers.nodes[t.unsent_or_unacked.head].length == length &&
           t.flight.empty() && t.recovery.duplicate_bytes == 0 &&
           t.recovery.phase == Recovery::Phase::none && !t.tail_probe.due && t.model == no_index &&
           t.pushing == Pushing::usual && !env.profile_of(c).cork && c.narrow_path == 0 &&
           !c.has(Mark::fin_sent) && !t.urgent_out && !t.owes_dsack() && t.held == no_index &&
           t.unread.empty() && idle_time(c, now) <= base_rto(c, env);
}

/// What every segment says (MUST-58).
void write_acknowledgment(Connection& c, OutSegment& out, const Environment& env, Instant now) {
    const Profile& profile = env.profile_of(c);
    const uint32_t clamp = profile.window_clamp;
    const uint32_t buffer = profile.receive_buffer_bytes;
    out.seq = c.snd_nxt;
    out.ack = c.rcv_nxt;
    out.window = move_right_edge(c, profile, clamp == 0 ? buffer : std::min(buffer, clamp));
    out.urgent = 0;
    out.ecn = wire::Ecn::not_capable;
    out.options.clear();
    if (c.has(Mark::timestamps)) {
        out.options.has_timestamps = true;
        out.options.ts_value = timestamp_clock(c.ts_offset, now);
        out.options.ts_echo = c.ts_recent;
    }
    c.last_ack_sent = c.rcv_nxt;
    c.clear(Mark::ack_now);
    c.clear(Mark::delayed_ack);
}

void write_text(Connection& c, Transfer& t, OutSegment& out, Environment& env, Instant now) {
    const BufferNode& node = env.buffers.nodes[t.unsent_or_unacked.head];
    t.cursor_node = t.unsent_or_unacked.head;
    t.cursor_offset = 0;
    out.pieces[0] = {node.data, node.length};
    out.piece_count = 1;
    out.payload_length = node.length;
    out.flags |= flag::psh;  // MUST-61
    const Seq end = c.snd_nxt.load() + node.length + (owes_fin(c) ? 1 : 0);
    if (node.length + agreed_option_bytes(c) < c.mss) t.small_end = end;
    const auto now_us = static_cast<uint32_t>(now.us());
    t.flight.append(end, now_us, 0, env.transfers.flights);
    if (!t.timing) {
        t.timing = true;
        t.timed = end;
        t.timed_at_us = now_us;
    }
    c.snd_nxt = end;
}

}  // namespace

bool next_segment(Connection& c, OutSegment& out, Environment& env, Instant now) {
    Transfer* const t = transfer_of(c, env);
    const bool idle = c.snd_una == c.snd_nxt.load() && !c.has_any(unusual_marks) && !c.ecn;
    const bool usual =
        idle && is_synchronized(c.state) &&
        (t != nullptr ? leaves_at_once(c, *t, env, now) : owes_fin(c) || c.has(Mark::ack_now));
    if (!usual) return next_segment_in_general(c, out, env, now);
    write_acknowledgment(c, out, env, now);
    out.flags = flag::ack;
    out.piece_count = 0;
    out.payload_length = 0;
    ++env.counters.out_segs;
    const bool fin = owes_fin(c);
    if (t != nullptr) write_text(c, *t, out, env, now);
    if (fin) {
        out.flags |= flag::fin;
        c.set(Mark::fin_sent);
        if (t == nullptr) c.snd_nxt = out.seq + 1;
    }
    if (c.snd_nxt != out.seq) {
        t == nullptr ? arm_retransmission(c, env, now) : arm_loss_timer(c, env, now);
        arm_user_timeout(c, env, now);
    }
    return true;
}

}  // namespace synfin::tcp
