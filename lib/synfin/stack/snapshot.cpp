// `synfin ss`: the connections of a worker, seen from any thread, without stopping it.
//
// Each entry is copied from fields that any thread may read (base/relaxed.hpp), between two looks
// at its bucket's sequence counter, so its name (IPv6 addresses are looked up in between, too) and
// its place in the table belong together. State and queues are those of some moment during the
// copy: they may be a segment apart from each other.
#include <algorithm>

#include <synfin/stack/worker_impl.hpp>

namespace synfin::stack {

using tcp::Connection;
using tcp::State;

namespace {

/// What is copied of a connection while it may be changing.
struct Glance {
    State state = State::closed;
    uint8_t backoff = 0;
    wire::SocketAddress local;
    wire::SocketAddress remote;
    uint32_t receive_queue_bytes = 0;
    uint32_t send_queue_bytes = 0;
    uint32_t retransmit_deadline_us = 0;
    int64_t long_deadline_us = 0;
    bool in_flight = false;
};

Duration left_until(uint32_t deadline_us, Instant now) {
    const auto left = static_cast<int32_t>(deadline_us - static_cast<uint32_t>(now.us()));
    return Duration::microseconds(std::max(left, 0));
}

ConnectionInfo describe(const Glance& g, Instant now) {
    using Timer = ConnectionInfo::Timer;
    ConnectionInfo info{};
    info.state = g.state;
    info.local = g.local;
    info.remote = g.remote;
    info.receive_queue_bytes = g.receive_queue_bytes;
    info.send_queue_bytes = g.send_queue_bytes;
    info.backoff = g.backoff;
    if (g.in_flight || g.send_queue_bytes > 0) {
        info.timer = g.in_flight ? Timer::on : Timer::persist;
        info.timer_left = left_until(g.retransmit_deadline_us, now);
    } else if (g.long_deadline_us != tcp::never_us) {
        // `ss` shows FIN_WAIT_2 as waiting for its end, like TIME_WAIT.
        info.timer = g.state == State::fin_wait_2 ? Timer::time_wait : Timer::keep_alive;
        info.timer_left = std::max(Duration{}, Instant::from_us(g.long_deadline_us) - now);
    }
    return info;
}

}  // namespace

void Worker::for_each_connection(const std::function<void(const ConnectionInfo&)>& visit,
                                 Instant now) const {
    const Impl& w = *impl_;
    const auto look = [&w](uint32_t index) {
        const Connection& c = w.connections[index];
        Glance g;
        g.state = c.state.seen();
        g.backoff = c.backoff.seen();
        const flow::FourTuple tuple{c.local_address.seen(), c.remote_address.seen(),
                                    c.local_port.seen(), c.remote_port.seen()};
        g.local = {w.address_of(tuple.local_address), tuple.local_port};
        g.remote = {w.address_of(tuple.remote_address), tuple.remote_port};
        g.retransmit_deadline_us = c.retransmit_deadline_us.seen();
        g.long_deadline_us = c.long_deadline_us.seen();
        g.in_flight = c.snd_una.seen() != c.snd_nxt.seen();
        // A transfer that has changed hands meanwhile shows another's numbers for this moment; it
        // is memory of the same pool for ever.
        const uint32_t transfer = c.transfer.seen();
        if (transfer < w.transfers.transfers.capacity()) {
            const tcp::Transfer& t = w.transfers.transfers[transfer];
            g.receive_queue_bytes = t.unread.bytes;
            g.send_queue_bytes = t.unsent_or_unacked.bytes;
        }
        return g;
    };
    w.table.for_each(look, [&](const Glance& g) { visit(describe(g, now)); });
    const auto describe_record = [&w, now](const tcp::TimeWait& record, Instant expiry) {
        ConnectionInfo info{};
        info.state = State::time_wait;
        info.local = {w.address_of(record.tuple.local_address), record.tuple.local_port};
        info.remote = {w.address_of(record.tuple.remote_address), record.tuple.remote_port};
        info.timer = ConnectionInfo::Timer::time_wait;
        info.timer_left = std::max(Duration{}, expiry - now);
        return info;
    };
    w.time_waits.for_each(describe_record, visit);
}

}  // namespace synfin::stack
