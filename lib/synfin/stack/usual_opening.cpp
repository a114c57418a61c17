// The fast path of opening: once more what was opened last, by connect or by a peer's SYN.
//
// Whoever opens many connections opens them one behind the other, from one source to one
// destination. All that the general way finds out is then the same but for the local port, what
// follows from it, and the time. So a connection that was opened in general is kept as an image,
// and what is like it begins as a copy. The same holds for the peers of a listener, and for what
// their SYNs ask for. Whatever could differ is left to the general way: this file decides nothing.
#include <utility>

#include <synfin/stack/worker_impl.hpp>

namespace synfin::stack {

using tcp::Connection;
using tcp::Mark;

// A profile of a connection's own may change: it is not remembered.
void Worker::Impl::remember_opening(uint32_t index, const wire::SocketAddress& remote,
                                    const Application& application, const ConnectOptions& options) {
    const Connection& c = connections[index];
    if (!c.has(Mark::owns_port) || options.source_port != 0 || options.fast_open ||
        listens_on_ephemeral_port || !profiles.is_configured(options.profile)) {
        return;
    }
    last_opening.application = &application;
    last_opening.local = address_of(c.local_address);
    last_opening.remote = remote;
    last_opening.asked_source = options.source;
    last_opening.owner = owner_of[index];
    last_opening.fingerprint = env.fingerprint(c.tuple());
    last_opening.image.become(c);
    for (Foreseen& f : foreseen) {
        f.port = 0;
        ports.prefetch_again(f.random);
    }
}

bool Worker::Impl::is_like_last(const wire::SocketAddress& remote, const Application& application,
                                const ConnectOptions& options) const {
    const auto& last = last_opening;
    return last.application == &application && last.remote == remote &&
           last.asked_source == options.source && last.image.profile == options.profile &&
           options.source_port == 0 && !options.fast_open;
}

// Far enough ahead for a line to come from memory, and not so far that the line of the port map,
// asked for when the number was drawn, is not here yet. If another takes the port first, nothing is
// wrong: the hash of one that turns out otherwise is computed again.
void Worker::Impl::foresee_opening(flow::FourTuple tuple) {
    Foreseen& f = foreseen[(opening_turn + openings_ahead / 2) % openings_ahead];
    tuple.local_port = ports.foresee_again(f.random);
    f.port = tuple.local_port;
    f.hash = flow::tuple_hash(tuple, hash_key);
    table.prefetch(f.hash);
}

// An image holds none itself: those who had the ids may have gone meanwhile.
[[gnu::noinline]] bool Worker::Impl::hold_addresses_again(flow::FourTuple tuple,
                                                          const wire::IpAddress& local,
                                                          const wire::IpAddress& remote) {
    if (!addresses.hold_again(tuple.local_address, local)) return false;
    if (addresses.hold_again(tuple.remote_address, remote)) return true;
    addresses.release(tuple.local_address);
    return false;
}

[[gnu::noinline]] uint32_t Worker::Impl::open_again(uint64_t user_data,
                                                    std::span<ConnectionId> ids) {
    const Connection& image = last_opening.image;
    // The neighbor's place may have been given to another meanwhile.
    Neighbor& neighbor = neighbors[image.neighbor];
    if (!neighbor.router && neighbor.address != last_opening.remote.address) return 0;
    neighbor.used = true;
    const flow::FourTuple tuple{.local_address = image.local_address,
                                .remote_address = image.remote_address,
                                .remote_port = image.remote_port};
    Interface& interface = interfaces[neighbor.port];
    Owner& owner = owners[last_opening.owner];
    uint32_t opened = 0;
    for (ConnectionId& id : ids) {
        id = open_one_again(tuple, user_data, interface, owner);
        if (id.index == no_index) break;
        ++opened;
    }
    return opened;
}

// Nobody has asked for a port of another scope since: who does is not like the last.
[[gnu::always_inline]] inline ConnectionId Worker::Impl::open_one_again(flow::FourTuple tuple,
                                                                        uint64_t user_data,
                                                                        Interface& interface,
                                                                        Owner& owner) {
    const bool is_v6 = flow::is_interned(tuple.remote_address);
    if (is_v6 && !hold_addresses_again(tuple, last_opening.local, last_opening.remote.address)) {
        return {};
    }
    const uint32_t index = connections.take();
    if (index == no_index) [[unlikely]] {
        release_addresses(tuple);
        return {};
    }
    const uint32_t drawn = draw_port_random();
    const Foreseen f = next_foreseen(drawn);
    tuple.local_port = ports.take_again(f.port, f.random, drawn);
    if (tuple.local_port == 0) [[unlikely]] {
        connections.give_back(index);
        release_addresses(tuple);
        return {};
    }
    const uint32_t hash = f.port == tuple.local_port ? f.hash : flow::tuple_hash(tuple, hash_key);
    foresee_opening(tuple);
    Connection& c = connections[index];
    c.become(last_opening.image);
    c.local_port = tuple.local_port;
    c.hash = hash;
    c.user_data = user_data;
    const ConnectionId id{index, c.generation};
    owner_of[index] = last_opening.owner;
    ++owner.connections;
    flow::FourTuple fingerprint = last_opening.fingerprint;
    fingerprint.local_port = tuple.local_port;
    tcp::open_active_likewise(c, fingerprint, env, moment);
    if (!table.insert(hash, index)) [[unlikely]] {
        give_up_opening(c, index);
        return {};
    }
    push_ready(interface, c, index);
    return id;
}

tl::expected<uint32_t, Error> Worker::connect(const wire::SocketAddress& remote,
                                              Application& application,
                                              const ConnectOptions& options,
                                              std::span<ConnectionId> ids) {
    SYNFIN_ASSERT(!ids.empty());
    if (impl_->is_like_last(remote, application, options)) [[likely]] {
        const uint32_t opened = impl_->open_again(options.user_data, ids);
        if (opened != 0) [[likely]]
            return opened;
    }
    const auto first = impl_->connect_in_general(remote, application, options);
    if (!first) return tl::unexpected{first.error()};
    ids.front() = *first;
    return 1;
}

tl::expected<ConnectionId, Error> Worker::connect(const wire::SocketAddress& remote,
                                                  Application& application,
                                                  const ConnectOptions& options) {
    ConnectionId id;
    const auto opened = connect(remote, application, options, {&id, 1});
    if (!opened) return tl::unexpected{opened.error()};
    return id;
}

[[gnu::noinline]] void Worker::Impl::give_up_opening(Connection& c, uint32_t index) {
    const flow::FourTuple tuple = c.tuple();
    tcp::abort(c, env, now);
    unmake_connection(index);
    ports.release(scope_of(tuple), tuple.local_port);
    release_addresses(tuple);
}

void Worker::Impl::remember_passive_opening(uint32_t index, const Arrived& syn) {
    const Connection& c = connections[index];
    const tcp::Segment& s = syn.segment;
    const Owner& owner = owners[owner_of[index]];
    auto& last = last_passive_opening;
    const bool is_usual = owner.syn_cookies != SynCookies::always &&
                          s.options.kinds() == wire::TcpOptionKinds::usual_syn() &&
                          s.flags == wire::flag::syn && c.has(Mark::timestamps) &&
                          profiles.is_configured(c.profile) && !c.has(Mark::narrow_path);
    last.listener = is_usual ? owner_of[index] : no_owner;
    if (!is_usual) return;
    last.port = receiving_port;
    last.window_scale = s.options.window_scale;
    last.mss = s.options.mss;
    last.window = s.window;
    last.local = syn.destination();
    last.remote = syn.source();
    last.fingerprint = env.fingerprint(c.tuple());
    last.image.become(c);
}

// The ends of what was remembered have been found fit to be those of a connection, and the listener
// is still the one for them. Ids of IPv6 addresses may stand for others by now.
bool Worker::Impl::is_like_last_syn(const Arrived& syn) const {
    const auto& last = last_passive_opening;
    const Connection& image = last.image;
    const tcp::Segment& s = syn.segment;
    return last.listener != no_owner && s.flags == wire::flag::syn &&
           syn.tuple.local_address == image.local_address &&
           syn.tuple.remote_address == image.remote_address &&
           syn.tuple.local_port == image.local_port && receiving_port == last.port &&
           (!syn.is_v6() || (syn.source() == last.remote && syn.destination() == last.local)) &&
           s.options.kinds() == wire::TcpOptionKinds::usual_syn() &&
           s.options.window_scale == last.window_scale && s.options.mss == last.mss &&
           s.window == last.window && !paths.any() &&
           connections.used() != connections.capacity() &&
           has_room_for_half_open(owners[last.listener]) &&
           (time_waits.size() == 0 || time_waits.find(syn.hash, syn.tuple) == no_index);
}

bool Worker::Impl::open_passive_again(const Arrived& syn) {
    const OwnerNumber listener = last_passive_opening.listener;
    Owner& owner = owners[listener];
    if (!has_room(owner)) return false;
    const Connection& image = last_passive_opening.image;
    // The neighbor's place may have been given to another meanwhile.
    Neighbor& neighbor = neighbors[image.neighbor];
    if (!neighbor.router && neighbor.address != last_passive_opening.remote) return false;
    if (syn.is_v6() && !hold_addresses_again(syn.tuple, syn.destination(), syn.source())) {
        return false;
    }
    const uint32_t index = connections.take();
    Connection& c = connections[index];
    c.become(image);
    c.remote_port = syn.tuple.remote_port;
    c.hash = syn.hash;
    owner_of[index] = listener;
    ++owner.connections;
    if (!table.insert(syn.hash, index)) [[unlikely]] {
        unmake_connection(index);
        release_addresses(syn.tuple);
        return false;
    }
    ++tcp_counters.in_segs;
    neighbor.used = true;
    flow::FourTuple fingerprint = last_passive_opening.fingerprint;
    fingerprint.remote_port = syn.tuple.remote_port;
    tcp::open_passive_likewise(c, syn.segment, fingerprint, env, moment);
    ++owner.half_open;
    ++half_open;
    push_ready(interfaces[neighbor.port], c, index);
    return true;
}

}  // namespace synfin::stack
