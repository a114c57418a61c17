// The fast path of SEND: what a short exchange says, at once and by reference.
//
// Usual is text of an established connection that has nothing queued, within its send buffer, and
// for which the pools have places that were used before. Whatever differs is left to
// send_static_in_general. So this file decides nothing: what it queues, that would queue in the
// same way.
//
// Inline, and without a call in it: so the caller need not save registers for any.
#pragma once

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

/// If this is usual, all of `bytes` is queued; else nothing is done.
[[gnu::always_inline]] inline bool send_static_if_usual(Connection& c,
                                                        const wire::SummedBytes& bytes,
                                                        Environment& env) {
    constexpr uint32_t ended =
        static_cast<uint32_t>(Mark::send_closed) | static_cast<uint32_t>(Mark::send_reset);
    const size_t length = bytes.bytes.size();
    if (c.state != State::established || c.has_any(ended) || c.transfer != no_index ||
        length == 0 || length > env.terms_of(c).usual_send_bytes) {
        return false;
    }
    auto& transfers = env.transfers.transfers;
    auto& nodes = env.buffers.nodes;
    const uint32_t place = transfers.next();
    const uint32_t node = nodes.next();
    if (place == no_index || node == no_index) return false;
    Transfer& t = transfers[place];
    if (!t.plain) return false;
    transfers.take();
    nodes.take();
    t.start(c.snd_una);  // nothing is in flight: before the FIN, that would have a transfer
    nodes[node] = BufferNode{
        .data = bytes.bytes.data(), .length = static_cast<uint32_t>(length), .sum = bytes.sum};
    t.unsent_or_unacked.head = t.unsent_or_unacked.tail = node;
    t.unsent_or_unacked.bytes = static_cast<uint32_t>(length);
    c.transfer.publish(place);
    return true;
}

}  // namespace synfin::tcp
