// A listener at its limits (RFC 4987): SYN,ACKs that leave nothing behind, and handshakes that the
// application has no room for.
//
// The SYN,ACK of a cookie is a reply like a RST: it goes back to the Ethernet address that the SYN
// came from, so a flood of spoofed sources costs no neighbor, no connection and no memory. An ACK
// at a listener is held against the cookies only while one may be on its way back.
#include <synfin/stack/worker_impl.hpp>
#include <synfin/tcp/syn_cookie.hpp>

namespace synfin::stack {

using tcp::Mark;

namespace {

/// ACK, with data or a FIN or without: what the peer sends when it has taken a SYN,ACK.
bool may_end_handshake(wire::TcpFlags flags) { return flags.ack() && !flags.syn() && !flags.rst(); }

}  // namespace

void Worker::Impl::send_cookie(OwnerNumber listener, const Arrived& syn) {
    Owner& owner = owners[listener];
    owner.cookies_end = now + tcp::syn_cookie_lifetime;
    ++tcp_counters.syn_cookies_sent;
    ++tcp_counters.out_segs;
    const wire::SocketAddress local = syn.local();
    const wire::SocketAddress remote = syn.remote();
    const tcp::CookieReply reply =
        tcp::answer_with_cookie(local, remote, syn.segment, profiles[owner.profile],
                                tcp::timestamp_offset(fingerprint(syn), env.secret), env, now);
    SegmentReply segment = reply_to(syn, owner.profile);
    segment.seq = reply.seq;
    segment.ack = reply.ack;
    segment.flags = reply.flags;
    segment.window = reply.window;
    segment.options = reply.options;
    push_reply(receiving_port, segment);
}

bool Worker::Impl::take_cookie(OwnerNumber listener, const Arrived& a) {
    Owner& owner = owners[listener];
    if (now >= owner.cookies_end || !may_end_handshake(a.segment.flags)) return false;
    const auto offered =
        tcp::read_cookie(a.local(), a.remote(), a.segment, profiles[owner.profile], env, now);
    if (!offered) {
        ++tcp_counters.syn_cookies_failed;
        return false;
    }
    if (!has_room(owner)) {
        ++tcp_counters.listen_overflows;
        return true;
    }
    const uint32_t index = add_passive(listener, a);
    if (index == no_index) return true;
    ++tcp_counters.syn_cookies_received;
    tcp::open_from_cookie(connections[index], a.segment, *offered, env, now);
    deliver(index, tcp::input(connections[index], a.segment, env, now));
    return true;
}

bool Worker::Impl::is_put_off(uint32_t index, const tcp::Segment& segment) {
    const tcp::Connection& c = connections[index];
    if (!c.has(Mark::passive_open) || c.has(Mark::established_told)) return false;
    if (owner_of[index] == no_owner) return false;
    if (!may_end_handshake(segment.flags)) return false;
    if (tcp::defer_handshake(connections[index], segment, env)) return true;
    const Owner& owner = owners[owner_of[index]];
    if (has_room(owner)) return false;
    ++tcp_counters.listen_overflows;
    return true;
}

}  // namespace synfin::stack
