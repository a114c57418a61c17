// What the application asks of its connections. Nothing is sent and no handler is called from here:
// the connection is marked, and what comes of it is noted.
#include <algorithm>

#include <synfin/stack/worker_impl.hpp>

namespace synfin::stack {

using tcp::CloseReason;
using tcp::Connection;
using tcp::Mark;

bool Worker::Impl::has_memory() const {
    return buffers.chunks.used() < buffers.chunks.capacity() &&
           buffers.nodes.used() < buffers.nodes.capacity() &&
           transfers.transfers.used() < transfers.transfers.capacity();
}

[[gnu::noinline]] size_t Worker::Impl::send_static_in_general(ConnectionId id,
                                                              const wire::SummedBytes& bytes) {
    return send(id, bytes.bytes.size(),
                [&](Connection& c) { return tcp::send_static(c, bytes, env, now); });
}

void Worker::Impl::note_blocked(Connection& c, uint32_t index) {
    c.set(Mark::send_blocked);
    // With bytes in flight an ACK will make room; with none it was the worker's memory that ran
    // out, and no ACK will come.
    if (tcp::unacknowledged_bytes(c, env) == 0 && tcp::send_space(c, env) > 0 &&
        !c.has(Mark::memory_blocked)) {
        c.set(Mark::memory_blocked);
        note(index, Notice::Kind::writable);
    }
}

void Worker::Impl::consume(ConnectionId id, size_t count) {
    Connection* c = find(id);
    if (c == nullptr || c->has(Mark::close_noted)) return;
    const size_t unread = tcp::unread_bytes(*c, env);
    tcp::consume_unread(*c, static_cast<uint32_t>(std::min(count, unread)), env, now);
    if (tcp::unread_bytes(*c, env) == 0 && c->has(Mark::peer_fin) && !c->has(Mark::detached)) {
        if (!c->has(Mark::eof_told)) {
            c->set(Mark::eof_told);
            note(id.index, Notice::Kind::peer_closed);
        }
        if (is_over(*c)) note_closed(id.index, CloseReason::finished);
    }
    settle(id.index);
}

void Worker::Impl::set_pushing(ConnectionId id, tcp::Pushing pushing) {
    Connection* c = find(id);
    if (c == nullptr || c->has(Mark::close_noted)) return;
    tcp::set_pushing(*c, pushing, env);
    settle(id.index);
}

void Worker::Impl::shutdown_send(ConnectionId id) {
    Connection* c = find(id);
    if (c == nullptr || c->has(Mark::close_noted)) return;
    tcp::shutdown_send(*c, env, now);
    settle(id.index);
}

[[gnu::noinline]] void Worker::Impl::close_in_general(ConnectionId id) {
    Connection* c = find(id);
    if (c == nullptr || c->has(Mark::close_noted)) return;
    if (id.index == being_read) {  // what the handler takes is not unread, but that is known later
        close_after_reading = true;
        return;
    }
    // What is over has only been kept by unread bytes.
    const CloseReason end = is_over(*c) ? CloseReason::finished : tcp::close(*c, env, now).closed;
    if (end != CloseReason::none) note_closed(id.index, end);
    settle(id.index);
}

void Worker::Impl::abort(ConnectionId id) {
    Connection* c = find(id);
    if (c == nullptr || c->has(Mark::close_noted)) return;
    if (is_over(*c)) {
        note_closed(id.index, CloseReason::finished);
    } else {
        note_closed(id.index, tcp::abort(*c, env, now).closed);
    }
    settle(id.index);
}

tl::expected<void, Error> Worker::Impl::change_profile(ConnectionId id,
                                                       const tcp::Profile& profile) {
    Connection* c = find(id);
    if (c == nullptr || c->has(Mark::close_noted)) return tl::unexpected{Error::stale};
    uint16_t number = c->profile;
    if (profiles.is_exclusive(number)) {
        profiles.change(number, profile);
    } else {
        const auto taken = profiles.take(profile);
        if (!taken) return tl::unexpected{Error::no_resources};
        profiles.release(number);
        number = *taken;
    }
    tcp::change_profile(*c, number, env, now);
    settle(id.index);
    return {};
}

// Half-open connections are forgotten, and their last ACK finds nobody; those that are established
// live on with their application.
void Worker::Impl::close_listener(OwnerNumber number) {
    owners.close(number);
    forget_passive_opening();
    profiles.release(owners[number].profile);
    for (uint32_t index = 0; index < connections.touched(); ++index) {
        Connection& c = connections[index];
        if (owner_of[index] != number || c.has(Mark::established_told)) continue;
        tcp::forget(c, env);
        disown(c, index, owners[number]);
        settle(index);
    }
}

}  // namespace synfin::stack
