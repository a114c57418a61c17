// From the first settle() to the last: ready lists, timers, TIME_WAIT, and letting go.
//
// A connection is let go when three things are true: the protocol is done with it, the application
// has been told, and no list holds it. Whichever becomes true last lets it go.
#include <synfin/stack/worker_impl.hpp>

namespace synfin::stack {

using tcp::Connection;
using tcp::Mark;
using tcp::Seq;
using tcp::State;

void Worker::Impl::settle_undelivered(uint32_t index) { settle_now(connections[index], index); }

[[gnu::noinline]] void Worker::Impl::settle_after_output(uint32_t index) {
    Connection& c = connections[index];
    if (is_over(c)) {
        let_go(c, index);
    } else {
        arm_timer(c, index);
    }
}

// Without a call in it that is not its last, so no register has to be saved for any. So is what it
// leads to.
void Worker::Impl::let_go(Connection& c, uint32_t index) {
    if (owner_of[index] != no_owner || c.is_in_list() || c.transfer != no_index ||
        !profiles.is_configured(c.profile)) [[unlikely]] {
        return let_go_in_general(c, index);
    }
    if (c.state == State::time_wait) return let_go_into_time_wait(c, index);
    if (!c.has(Mark::in_table) || flow::is_interned(c.local_address) ||
        (c.has(Mark::owns_port) && !ports.release_again(scope_of(c.tuple()), c.local_port)))
        [[unlikely]] {
        return let_go_in_general(c, index);
    }
    leave_table_at_home(c, index);
}

[[gnu::noinline]] void Worker::Impl::let_go_into_time_wait(Connection& c, uint32_t index) {
    if (config.time_wait == Duration{} ||
        !time_waits.insert_again(c.hash, now, [&c] { return tcp::make_time_wait(c); })) [[unlikely]]
        return let_go_in_general(c, index);
    leave_table_at_home(c, index);
}

[[gnu::always_inline]] inline void Worker::Impl::leave_table_at_home(Connection& c,
                                                                     uint32_t index) {
    if (!table.erase_at_home(c.hash, index)) [[unlikely]]
        return leave_table_from_behind(c, index);
    give_back_place(c, index);
}

[[gnu::noinline]] void Worker::Impl::leave_table_from_behind(Connection& c, uint32_t index) {
    table.erase(c.hash, index);
    give_back_place(c, index);
}

[[gnu::noinline]] void Worker::Impl::let_go_in_general(Connection& c, uint32_t index) {
    const auto is_held = [&] { return owner_of[index] != no_owner || c.is_in_list(); };
    if (c.state == State::closed) {
        // Its tuple is free at once, also while the application has not read everything yet.
        if (c.has(Mark::in_table)) leave_table(c, index);
        if (is_held()) return;
        release_addresses(c.tuple());
    } else {
        if (is_held()) return;
        if (config.time_wait != Duration{}) {
            enter_time_wait(c);
            table.erase(c.hash, index);
        } else {
            release_addresses(c.tuple());
            leave_table(c, index);
        }
    }
    if (c.transfer != no_index) tcp::release(c, env);
    profiles.release(c.profile);
    give_back_place(c, index);
}

void Worker::Impl::leave_table(Connection& c, uint32_t index) {
    c.clear(Mark::in_table);
    table.erase(c.hash, index);
    if (c.has(Mark::owns_port)) ports.release(scope_of(c.tuple()), c.local_port);
}

[[gnu::always_inline]] inline void Worker::Impl::give_back_place(Connection& c, uint32_t index) {
    c.state = State::closed;
    c.flags = 0;
    ++c.generation;
    connections.give_back(index);
}

[[gnu::noinline]] void Worker::Impl::release_interned(flow::AddressId local,
                                                      flow::AddressId remote) {
    addresses.release(local);
    addresses.release(remote);
}

// ---- TIME_WAIT

// The record keeps the port and the addresses until it ends.
[[gnu::noinline]] void Worker::Impl::enter_time_wait(Connection& c) {
    time_waits.insert(tcp::make_time_wait(c), c.hash, now, [this](const tcp::TimeWait& oldest) {
        ++tcp_counters.time_wait_overflow;
        forget(oldest);
    });
}

void Worker::Impl::forget(const tcp::TimeWait& record) {
    const flow::FourTuple& tuple = record.tuple;
    if (may_hold_port(tuple)) ports.release_if_taken(scope_of(tuple), tuple.local_port);
    release_addresses(tuple);
}

bool Worker::Impl::take_segment_in_time_wait(uint32_t entry, const Arrived& a,
                                             std::optional<Seq>& last_seq) {
    const tcp::TimeWait record = time_waits.read(entry);
    switch (tcp::on_segment_in_time_wait(record, a.segment)) {
        case tcp::TimeWaitVerdict::ignore: return true;
        case tcp::TimeWaitVerdict::restart_and_acknowledge:
            time_waits.restart(entry, now, [this](const tcp::TimeWait& r) { forget(r); });
            [[fallthrough]];
        case tcp::TimeWaitVerdict::acknowledge: acknowledge_in_time_wait(record, a); return true;
        case tcp::TimeWaitVerdict::reopen: break;
    }
    // Only a listener makes use of the newer SYN; without one, or one without room, the record
    // stays and answers.
    const OwnerNumber listener = owners.find(a.local());
    if (listener == no_owner || !has_room_for_half_open(owners[listener])) {
        acknowledge_in_time_wait(record, a);
        return true;
    }
    time_waits.remove(entry);
    forget(record);
    ++tcp_counters.time_wait_reused;
    last_seq = record.snd_nxt;
    return false;
}

void Worker::Impl::acknowledge_in_time_wait(const tcp::TimeWait& record, const Arrived& a) {
    if (!reset_limit.take(now)) {
        ++counters.resets_limited;
        return;
    }
    ++tcp_counters.out_segs;
    SegmentReply reply = reply_to(a, 0);
    reply.seq = record.snd_nxt;
    reply.ack = record.rcv_nxt;
    reply.flags = wire::flag::ack;
    // Nothing more is received, but a closed window would say that the peer has to wait.
    reply.window = env.terms[0].syn_window;
    if (record.ts_recent != 0) {
        reply.options.has_timestamps = true;
        reply.options.ts_value = tcp::timestamp_clock(
            tcp::timestamp_offset(env.fingerprint(record.tuple), env.secret), now);
        reply.options.ts_echo = record.ts_recent;
    }
    push_reply(receiving_port, reply);
}

// ---- the ready list

void Worker::Impl::push_ready_front(uint8_t port, uint32_t index) {
    Interface& interface = interfaces[port];
    Connection& c = connections[index];
    c.next = interface.ready_head;
    interface.ready_head = index;
    ++interface.ready_count;
    if (c.next == no_index) interface.ready_end = &c.next;
}

// ---- timers

void Worker::Impl::move_timer(uint32_t index) {
    const int64_t deadline_us = tcp::next_deadline_us(connections[index], now);
    if (deadline_us != tcp::never_us && !wheel.expires_by(index, deadline_us)) {
        wheel.arm(index, Instant::from_us(deadline_us));
    }
}

void Worker::Impl::on_wheel_entry(uint32_t index) {
    Connection& c = connections[index];
    const auto deadline = tcp::next_deadline(c, now);
    if (!deadline) return;
    if (*deadline > now) {
        wheel.arm(index, *deadline);
        return;
    }
    tcp::InputResult result;
    result.events = tcp::on_timer(c, env, now);
    deliver(index, result);
}

namespace {
// What one pass does at most, so that a storm of timers does not keep packets waiting.
constexpr uint32_t timers_per_pass = 4096;
constexpr uint32_t expiries_per_pass = 4096;
}  // namespace

void Worker::Impl::run_timers() {
    addresses.reclaim();
    // Whoever has one of our addresses can hear that we ask only when the groups are ours.
    if (own_groups.next && now >= *own_groups.next) [[unlikely]]
        report_groups();
    if (address_check.next && now >= *address_check.next) [[unlikely]]
        check_addresses();
    run_neighbors();
    wheel.advance(now, timers_per_pass, [this](uint32_t index) { on_wheel_entry(index); });
    time_waits.expire(now, expiries_per_pass, [this](const tcp::TimeWait& r) { forget(r); });
    tell_notices();
}

std::optional<Instant> Worker::Impl::next_deadline() const {
    if (notices.any_due()) return now;
    std::optional<Instant> earliest;
    for (const auto candidate : {wheel.next_due(), time_waits.next_expiry(),
                                 neighbors.next_deadline(), address_check.next, own_groups.next}) {
        if (candidate && (!earliest || *candidate < *earliest)) earliest = candidate;
    }
    return earliest;
}

// A wheel entry of a place that is no longer in use is no leak: it will fire, and vanish. Nor is
// one that is due and waits for the next pass.
Worker::Leaks Worker::Impl::leaks() const {
    return {.connections = connections.used(),
            .buffers = uint64_t{buffers.chunks.used()} + buffers.nodes.used() +
                       transfers.transfers.used() + transfers.ranges.used() +
                       transfers.flights.used() + transfers.models.used(),
            .timers = wheel.lost()};
}

}  // namespace synfin::stack
