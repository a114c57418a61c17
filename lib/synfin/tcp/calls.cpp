// The user's calls: SEND, RECEIVE, CLOSE, ABORT (RFC 9293 section 3.9.1 and 3.10).
#include <algorithm>

#include <synfin/base/assert.hpp>
#include <synfin/tcp/internal.hpp>
#include <synfin/tcp/usual_close.hpp>
#include <synfin/tcp/usual_send.hpp>

namespace synfin::tcp {

namespace {

bool may_send(const Connection& c) {
    switch (c.state) {
        case State::syn_sent:
        case State::syn_received:
        case State::established:
        case State::close_wait: return !c.has(Mark::send_closed) && !c.has(Mark::send_reset);
        default: return false;
    }
}

// Twice the congestion window, as Linux has it: while a loss is being repaired, as much again can
// leave behind it, and what arrives of that shows whether the repair was lost, too. With less, only
// the retransmission timer would.
uint32_t wanted_send_buffer(const Connection& c, const Profile& p) {
    return std::max(p.send_buffer_bytes, std::min(2 * c.cwnd, p.send_buffer_most_bytes));
}

// Send buffers grow out of the first half of the worker's memory; the other half is for what each
// connection may have anyway, and for what is received.
bool has_memory_to_grow(const BufferPool& buffers) {
    return buffers.chunks.used() < buffers.chunks.capacity() / 2 &&
           buffers.nodes.used() < buffers.nodes.capacity() / 2;
}

bool memory_keeps_send_buffer_small(const Connection& c, const Environment& env) {
    return send_buffer(c, env) < wanted_send_buffer(c, env.profile_of(c));
}

// How many of `wanted` bytes may be queued. Nearly always all of them, however far the buffer has
// grown.
[[gnu::always_inline]] inline size_t room_for(const Connection& c, const Profile& p, size_t wanted,
                                              Environment& env) {
    if (queued_bytes(c, env) + wanted <= p.send_buffer_bytes) [[likely]]
        return wanted;
    const uint32_t space = send_space(c, env);
    if (space < wanted && memory_keeps_send_buffer_small(c, env)) {
        ++env.counters.send_buffers_kept_small;
    }
    return std::min<size_t>(wanted, space);
}

// `append(queue, count)` queues so many of `wanted` bytes; returns how many.
template <typename Append>
[[gnu::always_inline]] inline uint32_t queue_bytes(Connection& c, size_t wanted, Environment& env,
                                                   Append&& append) {
    if (!may_send(c)) return 0;
    const Profile& p = env.profile_of(c);
    const size_t count = room_for(c, p, wanted, env);
    if (count == 0) return 0;
    Transfer* t = require_usual_transfer(c, env);
    if (t == nullptr) return 0;
    const uint32_t taken = append(t->unsent_or_unacked, count);
    if (taken == 0) [[unlikely]] {
        drop_idle_transfer(c, env);
    } else if (has_model(p.congestion)) [[unlikely]] {
        adopt_congestion_control(c, *transfer_of(c, env), env);
    }
    return taken;
}

// Behind what is queued a FIN follows. The state that it leads to is entered from the call on
// (section 3.10.4).
void end_sending(Connection& c, Environment& env) {
    if (c.has(Mark::send_closed)) return;
    c.set(Mark::send_closed);
    const State state = c.state;
    if (state == State::established) {
        move_state<State::established, State::fin_wait_1>(c, env.counters);
    } else if (state == State::close_wait) {
        move_state<State::close_wait, State::last_ack>(c, env.counters);
    } else if (state == State::syn_received && queued_bytes(c, env) == 0) {
        // Before the handshake is complete, a FIN goes at once only if no data goes before it.
        move_state<State::syn_received, State::fin_wait_1>(c, env.counters);
    }
}

}  // namespace

uint32_t send_buffer(const Connection& c, const Environment& env) {
    const Profile& p = env.profile_of(c);
    return has_memory_to_grow(env.buffers) ? wanted_send_buffer(c, p) : p.send_buffer_bytes;
}

uint32_t send_space(const Connection& c, const Environment& env) {
    if (!may_send(c)) return 0;
    const uint32_t limit = send_buffer(c, env);
    const uint32_t queued = queued_bytes(c, env);
    return limit > queued ? limit - queued : 0;
}

uint32_t send(Connection& c, std::span<const uint8_t> bytes, Environment& env, Instant) {
    return queue_bytes(c, bytes.size(), env, [&](ByteQueue& queue, size_t count) {
        return queue.append_copy(bytes.first(count), env.buffers);
    });
}

uint32_t send_static(Connection& c, const wire::SummedBytes& bytes, Environment& env, Instant) {
    if (send_static_if_usual(c, bytes, env)) return static_cast<uint32_t>(bytes.bytes.size());
    return send_static_in_general(c, bytes, env);
}

uint32_t send_static_in_general(Connection& c, const wire::SummedBytes& bytes, Environment& env) {
    return queue_bytes(c, bytes.bytes.size(), env, [&](ByteQueue& queue, size_t count) {
        const bool all = count == bytes.bytes.size();
        return queue.append_static(all ? bytes : bytes.bytes.first(count), env.buffers);
    });
}

void end_record(Connection& c, Environment& env) {
    if (Transfer* t = transfer_of(c, env)) t->unsent_or_unacked.end_record(env.buffers);
}

void set_pushing(Connection& c, Pushing pushing, Environment& env) {
    const Transfer* const t = usual_transfer_of(c, env);
    if (t != nullptr && t->pushing != pushing) transfer_of(c, env)->pushing = pushing;
}

uint32_t keep_unread(Connection& c, std::span<const uint8_t> bytes, Environment& env) {
    if (bytes.empty()) return 0;
    Transfer* t = require_transfer(c, env);
    if (t == nullptr) return 0;
    const uint32_t kept = t->unread.append_copy(bytes, env.buffers);
    drop_idle_transfer(c, env);
    return kept;
}

std::span<const uint8_t> peek_unread(const Connection& c, const Environment& env) {
    const Transfer* t = transfer_of(c, env);
    return t == nullptr ? std::span<const uint8_t>{} : t->unread.front(env.buffers);
}

void consume_unread(Connection& c, uint32_t count, Environment& env, Instant) {
    if (count == 0) return;
    Transfer* t = transfer_of(c, env);
    SYNFIN_ASSERT(t != nullptr && count <= t->unread.bytes);
    t->unread.remove_front(count, env.buffers);
    drop_idle_transfer(c, env);
    if (!can_receive(c.state)) return;
    // Tell the peer once the window has grown by much, seen from where the peer stands.
    const uint32_t buffer = env.profile_of(c).receive_buffer_bytes;
    // The header has no room for more than this, however large the buffer is.
    const uint32_t space = std::min(receive_buffer_space(c, env), 0xffffu << c.rcv_scale);
    const Seq possible = c.rcv_nxt.load() + space;
    const uint32_t left = c.rcv_edge.distance_from(c.rcv_nxt);
    const uint32_t growth = possible.after(c.rcv_edge) ? possible.distance_from(c.rcv_edge) : 0;
    const uint32_t worth_it = std::min<uint32_t>(buffer / 2, 2u * c.mss);
    if (growth >= worth_it && left < buffer / 2) c.set(Mark::ack_now);
}

uint32_t unread_bytes(const Connection& c, const Environment& env) {
    const Transfer* t = transfer_of(c, env);
    return t == nullptr ? 0 : t->unread.bytes.load();
}

uint32_t copy_unread(const Connection& c, std::span<uint8_t> into, const Environment& env) {
    const Transfer* t = transfer_of(c, env);
    return t == nullptr ? 0 : t->unread.copy_front(into, env.buffers);
}

uint32_t unacknowledged_bytes(const Connection& c, const Environment& env) {
    return queued_bytes(c, env);
}

void change_profile(Connection& c, uint16_t profile, Environment& env, Instant now) {
    const auto mark = [&c](Mark m, bool on) { on ? c.set(m) : c.clear(m); };
    c.profile = profile;
    const Profile& p = env.profile_of(c);
    mark(Mark::no_nagle, !p.nagle);
    mark(Mark::keep_alive, p.keep_alive);
    if (p.user_timeout_option && !c.has(Mark::syn_unacked)) c.set(Mark::extra_option);
    if (Transfer* t = transfer_of(c, env)) adopt_congestion_control(c, *t, env);
    if (c.state == State::fin_wait_2 && c.has(Mark::detached)) {
        arm_fin_wait_2(c, env, now);
        return;
    }
    c.long_deadline_us = never_us;
    if (c.has(Mark::retransmit_armed)) {
        arm_user_timeout(c, env, now);
    } else {
        arm_keep_alive(c, env, now);
    }
}

void shutdown_send(Connection& c, Environment& env, Instant) {
    if (c.state != State::closed && !c.has(Mark::send_reset)) end_sending(c, env);
}

Events close(Connection& c, Environment& env, Instant now) {
    return close_if_usual(c, env) ? Events{} : close_in_general(c, env, now);
}

Events close_in_general(Connection& c, Environment& env, Instant now) {
    Events events;
    const State state = c.state;
    if (state == State::closed || c.has(Mark::detached) || c.has(Mark::send_reset)) return events;
    if (state == State::syn_sent) {  // nothing is known of us but a SYN: nothing to say
        end_connection(c, CloseReason::aborted, env, events);
        return events;
    }
    if (unread_bytes(c, env) != 0) {  // SHLD-3
        ++env.counters.abort_on_close;
        return abort(c, env, now);
    }
    c.set(Mark::detached);
    end_sending(c, env);
    return arm_fin_wait_2(c, env, now) ? abort(c, env, now) : events;
}

void forget(Connection& c, Environment& env) {
    Events events;
    end_connection(c, CloseReason::aborted, env, events);
}

Events abort(Connection& c, Environment& env, Instant) {
    Events events;
    if (c.state == State::closed || c.has(Mark::send_reset)) return events;
    switch (c.state) {
        case State::syn_received:
        case State::established:
        case State::fin_wait_1:
        case State::fin_wait_2:
        case State::close_wait: reset_connection(c, CloseReason::aborted, events); break;
        default: end_connection(c, CloseReason::aborted, env, events); break;
    }
    return events;
}

}  // namespace synfin::tcp
