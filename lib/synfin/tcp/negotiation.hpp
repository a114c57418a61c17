// What a connection's own SYN offers, and what it agrees on with the peer's (RFC 9293
// section 3.7.1, RFC 7323, RFC 2018, RFC 3168). Inline, because every connection passes through it
// on both sides.
#pragma once

#include <algorithm>

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

/// Marks what our SYN offers, by the profile.
inline void offer_options(Connection& c, const Terms& terms, bool passive) {
    c.flags |= terms.marks;
    c.rcv_scale = terms.window_shift & 0xf;
    c.ecn = passive ? terms.ecn_passive : terms.ecn_active;
}

/// Takes over what a SYN or SYN,ACK offers; what it does not offer is unmarked.
[[gnu::always_inline]] inline void negotiate(Connection& c, const Segment& syn, const Terms& terms,
                                             Environment& env, const Moment& now) {
    const wire::TcpOptions& o = syn.options;
    const uint16_t offered = o.has_mss ? std::max(o.mss, min_send_mss) : default_send_mss(is_v6(c));
    c.mss = std::min(offered, receive_mss(c, terms));  // MUST-16
    if (env.paths != nullptr && env.paths->any()) [[unlikely]]
        follow_known_path(c, env, now);

    // Each of these holds only if both SYNs carry it; our own was marked when it was offered.
    if (o.kinds() != wire::TcpOptionKinds::usual_syn()) {
        if (!o.has_window_scale) c.clear(Mark::window_scaling);
        if (!o.sack_permitted) c.clear(Mark::sack_permitted);
        if (!o.has_timestamps) c.clear(Mark::timestamps);
    }
    if (c.ecn) c.ecn = agrees_to_ecn(syn, env.profile_of(c));
    if (c.has(Mark::window_scaling)) {
        c.snd_scale = std::min(o.window_scale, max_window_shift) & 0xf;
    } else {
        c.snd_scale = 0;
        c.rcv_scale = 0;
    }
    if (c.has(Mark::timestamps)) {
        c.ts_recent = o.ts_value;
        c.ts_recent_tick = paws_tick(now);
    }
}

}  // namespace synfin::tcp
