// Urgent data (RFC 9293 section 3.8.5): a stretch of the stream of which the peer says that it
// should be read soon. It is read in line, at its place, as RFC 6093 asks; nothing is taken out of
// the stream.
//
// The pointer names the octet that follows the urgent data (MUST-62). It is 16 bits wide; urgent
// data that reaches further is announced as far as they go, and the pointer advances with the
// segments (MUST-31). As a number from outside it is only ever compared, and never a length.
#include <algorithm>

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

// The first octet that has not been handed to the application.
Seq read_position(const Connection& c, const Transfer& t) {
    return c.rcv_nxt.load() - t.unread.bytes.load() - (c.has(Mark::peer_fin) ? 1 : 0);
}

}  // namespace

void check_urg(Connection& c, const Segment& s, Environment& env, InputResult& result) {
    if (!can_receive(c.state)) return;
    const Seq end = s.seq + s.urgent;
    if (!end.after(c.rcv_nxt)) return;
    Transfer* t = require_transfer(c, env);
    if (t == nullptr) return;
    end_urgent_data(c, *t);
    if (t->urgent_in && !end.after(t->urgent_end)) return drop_idle_transfer(c, env);
    t->urgent_in = true;
    t->urgent_end = end;
    result.events.add(Event::urgent);
    result.urgent_bytes = end.distance_from(read_position(c, *t));
}

void end_urgent_data(const Connection& c, Transfer& t) {
    if (t.urgent_in && t.urgent_end.at_or_before(read_position(c, t))) t.urgent_in = false;
    if (t.urgent_out && t.urgent_out_end.at_or_before(c.snd_una)) t.urgent_out = false;
}

uint32_t urgent_bytes(const Connection& c, const Environment& env) {
    const Transfer* t = transfer_of(c, env);
    if (t == nullptr || !t->urgent_in) return 0;
    const Seq position = read_position(c, *t);
    return t->urgent_end.after(position) ? t->urgent_end.distance_from(position) : 0;
}

uint32_t send_urgent(Connection& c, std::span<const uint8_t> bytes, Environment& env, Instant now) {
    const uint32_t taken = send(c, bytes, env, now);
    Transfer* t = transfer_of(c, env);
    if (taken == 0 || t == nullptr) return taken;
    t->urgent_out = true;
    t->urgent_out_end = data_end(c, env);
    if (is_synchronized(c.state))
        c.set(Mark::ack_now);  // where no data may leave, the pointer does
    return taken;
}

void write_urgent_pointer(const Transfer& t, OutSegment& out) {
    if (!out.seq.before(t.urgent_out_end)) return;
    out.flags |= wire::flag::urg;
    out.urgent = static_cast<uint16_t>(std::min(t.urgent_out_end.distance_from(out.seq), 0xffffu));
}

}  // namespace synfin::tcp
