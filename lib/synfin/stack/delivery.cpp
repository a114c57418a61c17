// What has happened to a connection, told to its application.
#include <algorithm>

#include <synfin/stack/delivery.hpp>
#include <synfin/tcp/user_timeout.hpp>

namespace synfin::stack {

using tcp::CloseReason;
using tcp::Connection;
using tcp::Mark;

void Worker::Impl::deliver(uint32_t index, const tcp::InputResult& result) {
    deliver_now(connections[index], index, result);
}

// RFC 9293 section 3.8.3 (b): what is not answered may go to a wrong place, so IP is to look again.
void Worker::Impl::deliver_report(uint32_t index, tcp::Report report) {
    const Connection& c = connections[index];
    if (report == tcp::Report::retrying && neighbors.doubt(c.neighbor, now)) {
        ask_for_neighbor({NeighborCache::Action::Kind::ask, c.neighbor});
    }
    if (c.has(Mark::close_noted)) return;
    if (c.has(Mark::passive_open) && !c.has(Mark::established_told)) return;
    owners[owner_of[index]].application->on_report(self, id_of(index), report);
}

void Worker::Impl::adopt_user_timeout(uint32_t index, uint16_t option) {
    tcp::Profile profile = profiles[connections[index].profile];
    profile.user_timeout = tcp::adopted_user_timeout(profile, tcp::decode_user_timeout(option));
    if (!change_profile(id_of(index), profile)) ++tcp_counters.user_timeouts_ignored;
}

void Worker::Impl::deliver_urgent(uint32_t index, uint32_t bytes) {
    if (!is_read(connections[index])) return;
    owners[owner_of[index]].application->on_urgent(self, id_of(index), bytes);
}

void Worker::Impl::keep_rest(Connection& c, uint32_t index, std::span<const uint8_t> rest) {
    if (c.has(Mark::send_reset) || c.has(Mark::close_noted)) return;
    if (c.has(Mark::detached)) {  // closed by the handler with this data unread (SHLD-3)
        ++tcp_counters.abort_on_close;
        note_closed(index, tcp::abort(c, env, now).closed);
        return;
    }
    if (tcp::keep_unread(c, rest, env) == rest.size()) return;
    // These bytes are acknowledged or about to be: the stream cannot go on without them.
    if (tcp::abort(c, env, now).closed != CloseReason::none) {
        note_closed(index, CloseReason::no_resources);
    }
}

void Worker::Impl::deliver_unread(uint32_t index) {
    Connection& c = connections[index];
    while (is_read(c)) {
        const std::span<const uint8_t> piece = tcp::peek_unread(c, env);
        if (piece.empty()) return;
        Application& application = *owners[owner_of[index]].application;
        const ConnectionId id = id_of(index);
        being_read = index;
        close_after_reading = false;
        const size_t taken = application.on_data(self, id, piece);
        being_read = no_index;
        // The handler may have called consume(), too.
        const size_t left = tcp::unread_bytes(c, env);
        tcp::consume_unread(c, static_cast<uint32_t>(std::min({taken, piece.size(), left})), env,
                            now);
        if (close_after_reading) {
            close(id);
            return;
        }
        if (taken < piece.size()) return;
    }
}

void Worker::Impl::deliver_writable(uint32_t index) {
    Connection& c = connections[index];
    if (c.has(Mark::close_noted) || tcp::send_space(c, env) == 0) return;
    c.clear(Mark::send_blocked);
    owners[owner_of[index]].application->on_writable(self, id_of(index));
}

void Worker::Impl::hold_fast_open_place(uint32_t index) {
    if (!connections[index].has(Mark::counted_in_backlog)) return;
    Owner& owner = owners[owner_of[index]];
    ++owner.fast_open_held;
    owner.fast_open_hold_end = now + tcp::fast_open_reset_hold;
}

void Worker::Impl::leave_backlog_of(Owner& owner, Connection& c) {
    c.clear(Mark::counted_in_backlog);
    --owner.half_open;
    --half_open;
    // Told of before it has left: by Fast Open.
    if (c.has(Mark::established_told)) --owner.fast_open_pending;
}

// ---- what is told later

void Worker::Impl::note(uint32_t index, Notice::Kind kind, CloseReason reason) {
    notices.push({index, connections[index].generation, kind, reason});
}

void Worker::Impl::note_closed(uint32_t index, CloseReason reason) {
    Connection& c = connections[index];
    if (reason == CloseReason::none || c.has(Mark::close_noted)) return;
    c.set(Mark::close_noted);
    note(index, Notice::Kind::closed, reason);
}

// Handlers may cause more notices; those are for the next time, so that no application can hold the
// loop.
void Worker::Impl::tell_notices() {
    for (size_t left = notices.size(); left > 0; --left) tell(notices.pop());
}

void Worker::Impl::tell(const Notice& notice) {
    const uint32_t index = notice.index;
    Connection& c = connections[index];
    if (c.generation != notice.generation || owner_of[index] == no_owner) return;
    switch (notice.kind) {
        case Notice::Kind::closed:
            tell_closed(c, index, owners[owner_of[index]], notice.reason);
            break;
        case Notice::Kind::peer_closed:
            if (c.has(Mark::detached) || c.has(Mark::send_reset)) return;
            owners[owner_of[index]].application->on_peer_closed(self, id_of(index));
            break;
        case Notice::Kind::writable:
            if (c.has(Mark::send_blocked) && !c.has(Mark::close_noted) && !has_memory()) {
                notices.push(notice);
                return;
            }
            c.clear(Mark::memory_blocked);
            if (c.has(Mark::send_blocked)) deliver_writable(index);
            break;
    }
    settle(index);
}

}  // namespace synfin::stack
