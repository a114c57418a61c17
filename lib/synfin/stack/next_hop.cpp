// A connection's way out of the worker: its route, and waiting until the next hop's Ethernet
// address is known.
//
// A connection names its neighbor by a 16-bit index. The cache may have given that place to another
// address meanwhile; a place that neither is a router nor bears the connection's own remote address
// is not its neighbor any more, and the route is looked up anew.
#include <synfin/stack/worker_impl.hpp>

namespace synfin::stack {

using tcp::Connection;
using tcp::State;

NeighborIndex Worker::Impl::next_hop(const wire::IpAddress& destination, uint8_t preferred_port) {
    // Whoever opens many connections opens them one behind the other.
    if (last_hop.destination == destination && last_hop.preferred_port == preferred_port &&
        last_hop.neighbor != no_neighbor) {
        Neighbor& n = neighbors[last_hop.neighbor];
        if (n.router || n.address == destination) {
            n.used = true;
            return last_hop.neighbor;
        }
    }
    const NeighborIndex neighbor = find_next_hop(destination, preferred_port);
    last_hop = {destination, preferred_port, neighbor};
    return neighbor;
}

NeighborIndex Worker::Impl::find_next_hop(const wire::IpAddress& destination,
                                          uint8_t preferred_port) {
    const auto route = addressing.route(destination, preferred_port);
    if (!route) return no_neighbor;
    if (route->through_router) {
        const Interface& interface = interfaces[route->port];
        return destination.is_v4() ? interface.router_v4 : interface.router_v6;
    }
    const NeighborCache::Found found = neighbors.find_or_add(route->port, destination);
    if (found.evicted) {
        ++counters.neighbor_evictions;
        // Not woken: more neighbors than the cache has places would evict each other for ever.
        for_each_waiting(found.orphans, [this](uint32_t index) { lose_segments(index); });
    }
    return found.index;
}

[[gnu::noinline]] const Neighbor* Worker::Impl::find_usable_neighbor(uint32_t index, uint8_t port) {
    last_usable = {};  // what is done here may change neighbors
    Connection& c = connections[index];
    const Neighbor* n = &neighbors[c.neighbor];
    const wire::IpAddress remote = address_of(c.remote_address);
    if (!n->router && n->address != remote) [[unlikely]] {
        const NeighborIndex anew = next_hop(remote, port);
        if (anew == no_neighbor) {
            lose_segments(index);
            return nullptr;
        }
        c.neighbor = anew;
        n = &neighbors[anew];
    }
    if (n->port != port) [[unlikely]] {
        push_ready(interfaces[n->port], c, index);
        return nullptr;
    }
    if (neighbors.use(c.neighbor, now)) [[unlikely]]
        neighbors[c.neighbor].witness = {index, c.generation, c.snd_una.load().value()};
    if (n->usable()) [[likely]] {
        last_usable = {n, c.remote_address, c.neighbor};
        return n;
    }
    wait_for_neighbor(index, c.neighbor);
    return nullptr;
}

void Worker::Impl::wait_for_neighbor(uint32_t index, NeighborIndex neighbor) {
    ++counters.neighbor_waits;
    Neighbor& n = neighbors[neighbor];
    Connection& c = connections[index];
    c.next = no_index;
    (n.waiting_tail == no_index ? n.waiting_head : connections[n.waiting_tail].next) = index;
    n.waiting_tail = index;
    arm_timer(c, index);
}

template <typename Visit>
void Worker::Impl::for_each_waiting(uint32_t waiting_head, Visit&& visit) {
    for (uint32_t index = waiting_head; index != no_index;) {
        Connection& c = connections[index];
        const uint32_t next = c.next;
        c.next = tcp::in_no_list;
        if (c.state == State::closed) {
            let_go(connections[index], index);
        } else {
            visit(index);
        }
        index = next;
    }
}

void Worker::Impl::wake_waiting(NeighborIndex neighbor) {
    for_each_waiting(neighbors[neighbor].take_waiting(), [this](uint32_t index) {
        Connection& c = connections[index];
        push_ready(interfaces[neighbors[c.neighbor].port], c, index);
    });
}

void Worker::Impl::run_neighbors() {
    last_usable = {};
    while (const auto action = neighbors.next_action(now)) {
        switch (action->kind) {
            case NeighborCache::Action::Kind::give_up: give_up_neighbor(action->index); break;
            case NeighborCache::Action::Kind::judge: judge_neighbor(action->index); break;
            default: ask_for_neighbor(*action);
        }
    }
}

// RFC 4861 section 7.3.1: what was sent over the neighbor has been acknowledged.
void Worker::Impl::judge_neighbor(NeighborIndex neighbor) {
    const auto& [index, generation, progress] = neighbors[neighbor].witness;
    const Connection* witness = find({index, generation});
    if (witness != nullptr && witness->neighbor == neighbor &&
        witness->snd_una.load().value() != progress) {
        neighbors.confirm(neighbor, now);
    } else {
        neighbors.probe(neighbor, now);
    }
}

// Nobody answers for this address. Whoever has not heard from it before fails (RFC 1122 section
// 2.3.2.2 lets ARP say so); whoever has sees its segments lost, as on any broken path, and its own
// timers decide.
void Worker::Impl::give_up_neighbor(NeighborIndex neighbor) {
    ++counters.neighbor_failures;
    for_each_waiting(neighbors[neighbor].take_waiting(), [this](uint32_t index) {
        Connection& c = connections[index];
        if (c.state != State::syn_sent) return lose_segments(index);
        tcp::abort(c, env, now);
        note_closed(index, tcp::CloseReason::unreachable);
        settle(index);
    });
}

void Worker::Impl::lose_segments(uint32_t index) {
    tcp::OutSegment lost;
    while (tcp::next_segment(connections[index], lost, env, now)) ++counters.neighbor_unreachable;
    settle_after_output(index);
}

}  // namespace synfin::stack
