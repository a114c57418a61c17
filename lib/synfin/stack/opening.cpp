// How connections come into being: the application's connect(), and a SYN that finds a listener.
#include <utility>

#include <synfin/stack/worker_impl.hpp>

namespace synfin::stack {

using tcp::Connection;
using tcp::Mark;

uint32_t Worker::Impl::make_connection(const flow::FourTuple& tuple, uint32_t hash,
                                       OwnerNumber owner, uint16_t profile,
                                       NeighborIndex neighbor) {
    const uint32_t index = connections.take();
    if (index == no_index) return no_index;
    Connection& c = connections[index];
    c.renew();
    c.local_address = tuple.local_address;
    c.remote_address = tuple.remote_address;
    c.local_port = tuple.local_port;
    c.remote_port = tuple.remote_port;
    c.hash = hash;
    c.profile = profile;
    profiles.hold(profile);
    c.neighbor = neighbor;
    owner_of[index] = owner;
    ++owners[owner].connections;
    return index;
}

// From here on readers may find it, so it has its name by now.
bool Worker::Impl::enter_table(uint32_t index) {
    Connection& c = connections[index];
    if (!table.insert(c.hash, index)) return false;
    c.set(Mark::in_table);
    return true;
}

void Worker::Impl::unmake_connection(uint32_t index) {
    profiles.release(connections[index].profile);
    --owners[owner_of[index]].connections;
    owner_of[index] = no_owner;
    ++connections[index].generation;
    connections.give_back(index);
}

uint32_t Worker::Impl::add_connection(const flow::FourTuple& tuple, uint32_t hash,
                                      OwnerNumber owner, uint16_t profile, NeighborIndex neighbor) {
    const uint32_t index = make_connection(tuple, hash, owner, profile, neighbor);
    if (index == no_index || enter_table(index)) return index;
    unmake_connection(index);
    return no_index;
}

// RFC 9293 section 3.10.7.2. Every way to refuse is silent: the peer tries again, and the worker is
// spared the answer. A SYN that takes the place of a TIME_WAIT record gets no cookie: its initial
// sequence number has to lie beyond the last one (MAY-2), and it is one SYN per record.
void Worker::Impl::open_passive(OwnerNumber listener, const Arrived& syn,
                                std::optional<tcp::Seq> last_seq) {
    Owner& owner = owners[listener];
    if (!has_room(owner)) {
        ++tcp_counters.listen_overflows;
        return;
    }
    const bool takes_half_open = has_room_for_half_open(owner);
    if (!last_seq && (owner.syn_cookies == SynCookies::always ||
                      (owner.syn_cookies == SynCookies::automatic && !takes_half_open))) {
        return send_cookie(listener, syn);
    }
    if (!takes_half_open) {
        ++tcp_counters.half_open_drops;
        return;
    }
    const uint32_t index = add_passive(listener, syn);
    if (index == no_index) return;
    Connection& c = connections[index];
    tcp::open_passive(c, syn.segment, last_seq, env, now);
    c.set(Mark::counted_in_backlog);
    ++owner.half_open;
    ++half_open;
    remember_passive_opening(index, syn);
    if (owner.fast_open != 0 && syn.segment.options.has_fast_open) {
        take_fast_open(index, syn.segment);
    } else {
        settle(index);
    }
}

// The application has the connection from now on, though it stays half-open for its listener.
void Worker::Impl::take_fast_open(uint32_t index, const tcp::Segment& syn) {
    Owner& owner = owners[owner_of[index]];
    if (now >= owner.fast_open_hold_end) owner.fast_open_held = 0;
    const bool has_room = owner.fast_open_pending + owner.fast_open_held < owner.fast_open;
    const tcp::InputResult early = tcp::take_fast_open(connections[index], syn, has_room, env, now);
    if (early.events.has(tcp::Event::established)) ++owner.fast_open_pending;
    deliver(index, early);
}

uint32_t Worker::Impl::add_passive(OwnerNumber listener, const Arrived& a) {
    const NeighborIndex neighbor = next_hop(a.source(), receiving_port);
    if (neighbor == no_neighbor) {
        ++counters.no_route;
        return no_index;
    }
    flow::FourTuple tuple = a.tuple;
    uint32_t hash = a.hash;
    if (a.is_v6()) {
        if (!intern(a.destination(), a.source(), tuple)) {
            ++counters.addresses_exhausted;
            return no_index;
        }
        hash = flow::tuple_hash(tuple, hash_key);
    }
    const uint32_t index =
        add_connection(tuple, hash, listener, owners[listener].profile, neighbor);
    if (index == no_index) {
        release_addresses(tuple);
        ++counters.connections_exhausted;
    }
    return index;
}

tl::expected<Worker::Impl::Path, Error> Worker::Impl::path_to(const wire::IpAddress& destination,
                                                              const wire::IpAddress& source) {
    const bool asked_before =
        last_path.destination == destination && last_path.asked_source == source;
    // The neighbor's place may have been given to another meanwhile.
    if (asked_before && last_path.path.neighbor != no_neighbor) {
        Neighbor& n = neighbors[last_path.path.neighbor];
        if (n.router || n.address == destination) {
            n.used = true;
            return last_path.path;
        }
    }
    const auto found = find_path(destination, source);
    if (found) last_path = {destination, source, *found};
    return found;
}

tl::expected<Worker::Impl::Path, Error> Worker::Impl::find_path(
    const wire::IpAddress& destination, const wire::IpAddress& asked_source) {
    if (!addressing.is_possible_peer(destination)) return tl::unexpected{Error::invalid};
    // The interface that the source address belongs to is preferred, and lends its address if none
    // is asked for (MUST-44).
    uint8_t port = 0;
    wire::IpAddress source = asked_source;
    if (source.is_unspecified()) {
        const auto route = addressing.route(destination, 0);
        if (!route) return tl::unexpected{Error::unreachable};
        port = route->port;
        const auto chosen = addressing.source_for(port, destination);
        if (!chosen) return tl::unexpected{Error::unreachable};
        source = *chosen;
    } else {
        const auto owner = addressing.owner(source);
        if (!owner) return tl::unexpected{Error::address_not_available};
        port = *owner;
    }
    if (source.is_v6() != destination.is_v6()) return tl::unexpected{Error::unreachable};
    if (!addressing.route(destination, port)) return tl::unexpected{Error::unreachable};
    return Path{source, next_hop(destination, port)};
}

[[gnu::noinline]] tl::expected<ConnectionId, Error> Worker::Impl::connect_in_general(
    const wire::SocketAddress& remote, Application& application, const ConnectOptions& options) {
    forget_opening();
    if (remote.port == 0 || !profiles.is_valid(options.profile)) {
        return tl::unexpected{Error::invalid};
    }
    const auto path = path_to(remote.address, options.source);
    if (!path) return tl::unexpected{path.error()};
    if (connections.used() == connections.capacity()) return tl::unexpected{Error::no_resources};

    flow::FourTuple tuple{.local_port = options.source_port, .remote_port = remote.port};
    if (!intern(path->source, remote.address, tuple)) {
        ++counters.addresses_exhausted;
        return tl::unexpected{Error::no_resources};
    }
    const auto index = add_active(tuple, path->neighbor, application, options);
    if (!index) {
        release_addresses(tuple);
        return tl::unexpected{index.error()};
    }
    remember_opening(*index, remote, application, options);
    settle(*index);
    return id_of(*index);
}

tl::expected<uint32_t, Error> Worker::Impl::add_active(flow::FourTuple tuple,
                                                       NeighborIndex neighbor,
                                                       Application& application,
                                                       const ConnectOptions& options) {
    const auto local_port = take_port(tuple);
    std::optional<tcp::Seq> last_seq;
    bool owns_port = false;
    if (local_port) {
        tuple.local_port = *local_port;
        owns_port = is_ephemeral(*local_port);
    } else if (const auto record = take_over_time_wait(tuple, options.profile)) {
        tuple.local_port = record->tuple.local_port;
        last_seq = record->snd_nxt;
        owns_port = holds_port(tuple);
    } else {
        return tl::unexpected{local_port.error()};
    }

    const OwnerNumber owner = owners.active(application);
    const uint32_t hash = flow::tuple_hash(tuple, hash_key);
    table.prefetch(hash);  // needed when the initial sequence number has been computed
    const uint32_t index = neighbor == no_neighbor || owner == no_owner
                               ? no_index
                               : make_connection(tuple, hash, owner, options.profile, neighbor);
    if (index != no_index) {
        Connection& c = connections[index];
        c.user_data = options.user_data;
        tcp::open_active(c, last_seq, env, now, options.fast_open);
        if (enter_table(index)) {
            if (owns_port) c.set(Mark::owns_port);
            return index;
        }
        tcp::abort(c, env, now);
        unmake_connection(index);
    }
    if (owns_port) ports.release(scope_of(tuple), tuple.local_port);
    return tl::unexpected{Error::no_resources};
}

bool Worker::Impl::intern(const wire::IpAddress& local, const wire::IpAddress& remote,
                          flow::FourTuple& tuple) {
    const auto local_id = addresses.intern(local);
    if (!local_id) return false;
    const auto remote_id = addresses.intern(remote);
    if (!remote_id) {
        addresses.release(*local_id);
        return false;
    }
    tuple.local_address = *local_id;
    tuple.remote_address = *remote_id;
    return true;
}

// RFC 6191, seen from the side that opens. A port that was taken for the record stays so: only its
// holder changes.
std::optional<tcp::TimeWait> Worker::Impl::take_over_time_wait(const flow::FourTuple& tuple,
                                                               uint16_t profile) {
    // Records towards one destination are found at once; a bound for when they are few among many.
    constexpr uint32_t looks_max = 64;
    if (now - Instant{} < config.time_wait_reuse || !profiles[profile].timestamps) {
        return std::nullopt;
    }
    const Instant latest = now - config.time_wait_reuse;
    const auto fits = [&](const tcp::TimeWait& r) {
        return r.ts_recent != 0 && r.tuple.local_address == tuple.local_address &&
               r.tuple.remote_address == tuple.remote_address &&
               r.tuple.remote_port == tuple.remote_port && is_ephemeral(r.tuple.local_port) &&
               is_ours(r.tuple);
    };
    uint32_t entry = no_index;
    if (tuple.local_port == 0) {
        entry = time_waits.find_oldest(latest, looks_max, fits);
    } else {
        entry = time_waits.find(flow::tuple_hash(tuple, hash_key), tuple);
        if (entry != no_index && (time_waits.read(entry).ts_recent == 0 ||
                                  time_waits.expiry(entry) > latest + config.time_wait)) {
            entry = no_index;
        }
    }
    if (entry == no_index) return std::nullopt;
    const tcp::TimeWait record = time_waits.read(entry);
    time_waits.remove(entry);
    release_addresses(record.tuple);
    ++tcp_counters.time_wait_reused;
    return record;
}

bool Worker::Impl::is_taken(const flow::FourTuple& tuple) const {
    const uint32_t hash = flow::tuple_hash(tuple, hash_key);
    return look_up(tuple, hash) != no_index || time_waits.find(hash, tuple) != no_index;
}

uint32_t Worker::Impl::draw_port_random() {
    // A hash is good for two.
    if (ports_asked++ % 2 == 0) {
        port_hash = port_key.hash(ports_asked, 0);
    } else {
        port_hash >>= 32;
    }
    return static_cast<uint32_t>(port_hash);
}

Worker::Impl::Foreseen Worker::Impl::next_foreseen(uint32_t drawn) {
    Foreseen& f = foreseen[++opening_turn % openings_ahead];
    const Foreseen next = f;
    f.random = drawn;
    return next;
}

tl::expected<uint16_t, Error> Worker::Impl::take_port(flow::FourTuple tuple) {
    const flow::PortScope scope = scope_of(tuple);
    const auto allowed = [&](uint16_t candidate) {
        flow::FourTuple t = tuple;
        t.local_port = candidate;
        return is_ours(t);
    };
    if (tuple.local_port != 0) {
        if (is_taken(tuple)) return tl::unexpected{Error::address_in_use};
        if (!is_ephemeral(tuple.local_port)) return tuple.local_port;
        const auto taken = ports.take_exact(scope, tuple.local_port, allowed);
        if (taken) return tuple.local_port;
        return tl::unexpected{taken.error() == flow::PortError::too_many_scopes
                                  ? Error::no_resources
                                  : Error::address_not_available};
    }
    // A port that is free for the allocator may still name a connection that a peer has opened to a
    // listener of ours in the ephemeral range. Such a port is passed over for good: it is kept
    // until a free one is found, so that the search goes on behind it.
    constexpr unsigned collisions_max = 16;
    std::array<uint16_t, collisions_max> collided;
    unsigned collisions = 0;
    tl::expected<uint16_t, Error> result = tl::unexpected{Error::address_not_available};
    while (collisions < collisions_max) {
        const uint32_t drawn = draw_port_random();
        const uint32_t random = next_foreseen(drawn).random;
        const auto taken = config.port_filter == nullptr
                               ? ports.take(scope, random, flow::AnyPort{}, drawn)
                               : ports.take(scope, random, allowed, drawn);
        if (!taken) {
            if (taken.error() == flow::PortError::too_many_scopes) {
                result = tl::unexpected{Error::no_resources};
            }
            break;
        }
        tuple.local_port = *taken;
        if (!listens_on_ephemeral_port || !is_taken(tuple)) {
            result = *taken;
            break;
        }
        collided[collisions++] = *taken;
    }
    for (unsigned i = 0; i < collisions; ++i) ports.release(scope, collided[i]);
    return result;
}

}  // namespace synfin::stack
