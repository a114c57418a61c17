// What input has brought about, told to the application: of nearly every segment, so inline.
//
// The order is the order of the stream: established, what is urgent, data, the peer's end, room to
// send, the end. Between two handlers the application may have ended the connection; what follows
// is then not told.
#pragma once

#include <synfin/stack/worker_impl.hpp>

namespace synfin::stack {

/// Whether the application still wants to hear of what the connection receives.
inline bool is_read(const tcp::Connection& c) {
    constexpr uint32_t unread = static_cast<uint32_t>(tcp::Mark::detached) |
                                static_cast<uint32_t>(tcp::Mark::send_reset) |
                                static_cast<uint32_t>(tcp::Mark::close_noted);
    return !c.has_any(unread);
}

[[gnu::always_inline]] inline void Worker::Impl::deliver_now(tcp::Connection& c, uint32_t index,
                                                             const tcp::InputResult& result) {
    const tcp::Events& events = result.events;
    if (const OwnerNumber number = owner_of[index]; number != no_owner) [[likely]] {
        Owner& owner = owners[number];  // until it is told of the end
        delivering = index;
        if (events.has(tcp::Event::established)) deliver_established(c, index, owner);
        if (events.report != tcp::Report::none) [[unlikely]]
            deliver_report(index, events.report);
        if (events.advised_user_timeout != 0) [[unlikely]]
            adopt_user_timeout(index, events.advised_user_timeout);
        if (events.has(tcp::Event::urgent)) [[unlikely]]
            deliver_urgent(index, result.urgent_bytes);
        if (!result.data.empty()) deliver_data(c, index, owner, result.data);
        if (events.has(tcp::Event::readable)) deliver_unread(index);
        if (events.has(tcp::Event::peer_closed)) deliver_peer_closed(c, index, owner);
        if (c.has(tcp::Mark::send_blocked) && events.has(tcp::Event::acknowledged))
            deliver_writable(index);
        if (events.closed != tcp::CloseReason::none) deliver_end(c, index, owner, events.closed);
        delivering = no_index;
    }
    settle_now(c, index);
}

[[gnu::always_inline]] inline void Worker::Impl::deliver_established(tcp::Connection& c,
                                                                     uint32_t index, Owner& owner) {
    if (!tcp::takes_early_data(c)) leave_backlog(c, owner);
    if (c.has(tcp::Mark::established_told)) return;
    c.set(tcp::Mark::established_told);
    owner.application->on_established(self, {index, c.generation});
}

[[gnu::always_inline]] inline void Worker::Impl::deliver_data(tcp::Connection& c, uint32_t index,
                                                              Owner& owner,
                                                              std::span<const uint8_t> data) {
    if (!is_read(c)) return;
    const size_t taken = owner.application->on_data(self, {index, c.generation}, data);
    if (taken < data.size()) [[unlikely]]
        keep_rest(c, index, data.subspan(taken));
}

[[gnu::always_inline]] inline void Worker::Impl::deliver_peer_closed(tcp::Connection& c,
                                                                     uint32_t index, Owner& owner) {
    if (!is_read(c) || c.has(tcp::Mark::eof_told) || has_unread(c)) return;
    c.set(tcp::Mark::eof_told);
    owner.application->on_peer_closed(self, {index, c.generation});
}

[[gnu::always_inline]] inline void Worker::Impl::deliver_end(tcp::Connection& c, uint32_t index,
                                                             Owner& owner,
                                                             tcp::CloseReason reason) {
    if (c.has(tcp::Mark::close_noted)) return;
    // The application has never heard of a half-open connection that came to nothing.
    if (c.has(tcp::Mark::passive_open) && !c.has(tcp::Mark::established_told))
        return disown(c, index, owner);
    if (reason == tcp::CloseReason::reset) hold_fast_open_place(index);
    // Both FINs are through, but the application has not read everything: the end comes after that.
    if (reason == tcp::CloseReason::finished && is_read(c) && has_unread(c)) return;
    tell_closed(c, index, owner, reason);
}

[[gnu::always_inline]] inline void Worker::Impl::tell_closed(tcp::Connection& c, uint32_t index,
                                                             Owner& owner,
                                                             tcp::CloseReason reason) {
    c.set(tcp::Mark::close_noted);
    owner.application->on_closed(self, {index, c.generation}, reason);
    disown(c, index, owner);
    ++c.generation;
}

}  // namespace synfin::stack
