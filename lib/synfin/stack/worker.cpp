// A worker's construction, and what it answers to anyone.
#include <algorithm>
#include <bit>
#include <stdexcept>
#include <utility>

#include <synfin/stack/worker_impl.hpp>

namespace synfin::stack {

namespace {

// One transfer may hold several ranges, and an application's own memory needs a node but no chunk.
constexpr uint32_t ranges_per_transfer = 4;
uint32_t nodes_of(const WorkerConfig& config) {
    return 2 * std::max(config.max_buffer_chunks, config.max_transfers);
}

void require(bool holds, const std::string& sentence) {
    if (!holds) throw std::invalid_argument{sentence};
}

void require_within(uint64_t value, uint64_t least, uint64_t most, const std::string& name) {
    require(value >= least && value <= most, name + " must be " + std::to_string(least) + " to " +
                                                 std::to_string(most) + ", not " +
                                                 std::to_string(value));
}

void check_limits(const WorkerConfig& config) {
    using TimeWaitTable = flow::TimeWaitTable<tcp::TimeWait>;
    require_within(config.max_connections, 1, flow::ConnectionTable::max_entries,
                   "max_connections");
    require_within(config.max_time_wait, 1, TimeWaitTable::max_capacity, "max_time_wait");
    require_within(config.max_transfers, 1, UINT32_MAX / ranges_per_transfer, "max_transfers");
    require_within(config.max_buffer_chunks, 1, UINT32_MAX / 2, "max_buffer_chunks");
    require(std::has_single_bit(config.max_fast_open_cookies),
            "max_fast_open_cookies must be a power of two, not " +
                std::to_string(config.max_fast_open_cookies));
    require_within(config.max_port_scopes, 1, flow::ConnectionTable::max_entries,
                   "max_port_scopes");
    require_within(config.max_ipv6_addresses, 1, flow::AddressBook::max_capacity,
                   "max_ipv6_addresses");
    require_within(config.max_path_mtus, 1, UINT32_MAX, "max_path_mtus");
    size_t fixed = 0;
    for (const InterfaceConfig& interface : config.interfaces) {
        fixed += interface.static_neighbors.size() + (interface.gateway ? 1 : 0);
    }
    require_within(config.max_neighbors, fixed + 1, neighbors_max, "max_neighbors");
}

void check_gateway(const InterfaceConfig& interface, const wire::IpAddress& gateway) {
    const auto contains_it = [&](const wire::IpPrefix& p) { return p.contains(gateway); };
    const bool on_link =
        std::any_of(interface.on_link.begin(), interface.on_link.end(), contains_it);
    const bool beside_us =
        std::any_of(interface.addresses.begin(), interface.addresses.end(), contains_it);
    const bool is_static =
        std::any_of(interface.static_neighbors.begin(), interface.static_neighbors.end(),
                    [&](const auto& n) { return n.address == gateway; });
    require(on_link || beside_us || is_static, "the gateway " + wire::to_string(gateway) +
                                                   " is neither on the link nor a static neighbor");
}

void check_interface(const InterfaceConfig& interface) {
    require(!interface.addresses.empty(), "an interface needs at least one address");
    require(!interface.mac.is_multicast(), "an interface's Ethernet address " +
                                               wire::to_string(interface.mac) +
                                               " is that of a group");
    require_within(interface.vlan, 0, 4094, "a VLAN (0: none)");
    require_within(interface.device.mtu, 576, UINT16_MAX, "an MTU");
    if (interface.gateway) check_gateway(interface, *interface.gateway);
}

void check(const WorkerConfig& config) {
    require_within(config.interfaces.size(), 1, 64, "a worker's interfaces");
    for (const InterfaceConfig& interface : config.interfaces) check_interface(interface);
    check_limits(config);
    require(!config.profiles.empty(), "a worker needs at least one profile");
    for (const tcp::Profile& profile : config.profiles) {
        require_within(profile.time_to_live, 1, UINT8_MAX, "a profile's time_to_live");
    }
    // A table of records has places for no longer time.
    require(config.time_wait >= Duration{} && config.time_wait <= Duration::hours(24),
            "time_wait must be 0 to 24 hours");
    require(config.first_port > 0 && config.first_port <= config.last_port,
            "the ephemeral ports " + std::to_string(config.first_port) + " to " +
                std::to_string(config.last_port) + " are no range");
    require_within(config.receive_burst, 1, Worker::receive_burst_max, "receive_burst");
}

const WorkerConfig& checked(const WorkerConfig& config) {
    check(config);
    return config;
}

std::vector<LinkEnd> link_ends_of(const WorkerConfig& config) {
    std::vector<LinkEnd> ends;
    for (const InterfaceConfig& i : config.interfaces) ends.push_back({i.mac, i.vlan});
    return ends;
}

// Segments must fit whichever way they take.
uint16_t smallest_mtu(const WorkerConfig& config) {
    uint32_t mtu = UINT16_MAX;
    for (const InterfaceConfig& interface : config.interfaces) {
        mtu = std::min(mtu, interface.device.mtu);
    }
    return static_cast<uint16_t>(mtu);
}

// What the tables' hashes leave of the secret must not help against its other uses.
SipKey derived_key(const tcp::Secret& secret, uint64_t use) {
    return {SipHash24::of_16_bytes(secret, use, 1), SipHash24::of_16_bytes(secret, use, 2)};
}
constexpr uint64_t use_of_tuples = 0x7475'706c'6573;
constexpr uint64_t use_of_neighbors = 0x6e65'6967'6862;
constexpr uint64_t use_of_addresses = 0x6164'6472'6573;
constexpr uint64_t use_of_paths = 0x7061'7468'73;
constexpr uint64_t use_of_echo_paths = 0x6563'686f'7061;
constexpr uint64_t use_of_ports = 0x706f'7274'73;
constexpr uint64_t use_of_cookies = 0x636f'6f6b'6965;
constexpr uint64_t use_of_resets = 0x7265'7365'7473;
constexpr uint64_t use_of_echoes = 0x6563'686f'6573;
constexpr uint64_t use_of_errors = 0x6572'726f'7273;

}  // namespace

Worker::Impl::Impl(Worker& worker, const WorkerConfig& worker_config)
    : self{worker},
      config{checked(worker_config)},
      addressing{config.interfaces},
      interfaces(config.interfaces.begin(), config.interfaces.end()),
      connections{config.max_connections},
      owner_memory{size_t{config.max_connections} * sizeof(OwnerNumber)},
      owner_of{static_cast<OwnerNumber*>(owner_memory.data())},
      hash_key{derived_key(config.secret, use_of_tuples)},
      addresses{config.max_ipv6_addresses, derived_key(config.secret, use_of_addresses)},
      table{config.max_connections},
      time_waits{config.max_time_wait, config.time_wait, hash_key},
      profiles{config.profiles, config.max_own_profiles, smallest_mtu(config)},
      ports{config.first_port, config.last_port, config.max_port_scopes, hash_key},
      port_key{derived_key(config.secret, use_of_ports)},
      wheel{config.max_connections, Instant{}},
      neighbors{config.max_neighbors, link_ends_of(config),
                derived_key(config.secret, use_of_neighbors)},
      transfers{config.max_transfers, config.max_transfers * ranges_per_transfer},
      buffers{nodes_of(config), config.max_buffer_chunks},
      fast_open_cookies{config.max_fast_open_cookies, derived_key(config.secret, use_of_cookies)},
      paths{config.max_path_mtus,
            smallest_mtu(config),
            derived_key(config.secret, use_of_paths),
            connections,
            addresses,
            counters},
      echo_paths{config.max_path_mtus, smallest_mtu(config),
                 derived_key(config.secret, use_of_echo_paths)},
      env{.profiles = profiles.all(),
          .terms = profiles.terms(),
          .transfers = transfers,
          .buffers = buffers,
          .counters = tcp_counters,
          .secret = config.secret,
          .addresses = &addresses,
          .mtu = smallest_mtu(config),
          .fast_open = &fast_open_cookies,
          .paths = &paths},
      notices{config.max_connections},
      reassembly{config.max_reassembly_bytes},
      whole_reply(wire::ipv6_datagram_bytes_max),
      reset_limit{config.resets_per_second, derived_key(config.secret, use_of_resets)},
      echo_limit{config.echo_replies_per_second, derived_key(config.secret, use_of_echoes)},
      icmp_error_limit{config.icmp_errors_per_second, derived_key(config.secret, use_of_errors)},
      half_open_max{config.max_half_open != 0 ? config.max_half_open
                                              : std::max(config.max_connections / 2, 1u)} {
    for (Foreseen& f : foreseen) f.random = draw_port_random();
    begin_address_check();
    begin_group_reports();
    for (uint8_t port = 0; port < interfaces.size(); ++port) {
        const InterfaceConfig& interface = config.interfaces[port];
        for (const auto& n : interface.static_neighbors)
            neighbors.add_fixed(port, n.address, n.mac);
        if (!interface.gateway) continue;
        const NeighborIndex router = neighbors.add_router(port, *interface.gateway);
        (interface.gateway->is_v4() ? interfaces[port].router_v4 : interfaces[port].router_v6) =
            router;
    }
}

Worker::Worker(const WorkerConfig& config) : impl_{std::make_unique<Impl>(*this, config)} {}
Worker::~Worker() = default;

void Worker::touch_tables() {
    impl_->table.touch();
    impl_->connections.touch_first();
    impl_->transfers.transfers.touch_first();
    impl_->buffers.nodes.touch_first();
}

void Worker::touch_ports(size_t scopes) { impl_->ports.touch(scopes); }

void Worker::touch_time_wait() {
    if (impl_->config.time_wait > Duration{}) impl_->time_waits.touch();
}

const char* name(Error error) {
    switch (error) {
        case Error::address_not_available: return "no local address or port is available";
        case Error::address_in_use: return "the address is in use";
        case Error::no_resources: return "a limit of the worker is reached";
        case Error::unreachable: return "no interface leads there";
        case Error::invalid: return "the address is not one to connect to";
        case Error::stale: return "the connection is gone";
    }
    return "?";
}

// ---- for the application

tl::expected<void, Error> Worker::listen(const wire::SocketAddress& local, Application& application,
                                         const ListenOptions& options) {
    if (local.port == 0 || !impl_->profiles.is_valid(options.profile)) {
        return tl::unexpected{Error::invalid};
    }
    if (!local.address.is_unspecified() && !owns(local.address)) {
        return tl::unexpected{Error::address_not_available};
    }
    if (impl_->owners.find_exact(local) != no_owner) return tl::unexpected{Error::address_in_use};
    const OwnerNumber number = impl_->owners.listen(local, application, options);
    if (number == no_owner) return tl::unexpected{Error::no_resources};
    impl_->profiles.hold(options.profile);
    if (impl_->is_ephemeral(local.port)) impl_->listens_on_ephemeral_port = true;
    if (application.room(*this, local) != Room::always) {
        impl_->owners[number].has_room_always = false;
        impl_->applications_may_lack_room = true;
    }
    impl_->forget_opening();
    impl_->forget_passive_opening();
    return {};
}

void Worker::close_listener(const wire::SocketAddress& local) {
    const OwnerNumber number = impl_->owners.find_exact(local);
    if (number != no_owner) impl_->close_listener(number);
}

uint32_t Worker::early_data_room(const wire::IpAddress& source, const wire::IpAddress& remote,
                                 const tcp::Profile& profile) {
    const auto path = impl_->path_to(remote, source);
    if (!path) return 0;
    return tcp::early_data_room({path->source, remote}, profile, impl_->env, impl_->now);
}

void Worker::set_fast_open(const wire::SocketAddress& listener, uint32_t limit) {
    const OwnerNumber number = impl_->owners.find_exact(listener);
    if (number != no_owner) impl_->owners[number].fast_open = limit;
}

size_t Worker::send(ConnectionId id, std::span<const uint8_t> bytes) {
    return impl_->send(id, bytes.size(), [&](tcp::Connection& c) {
        return tcp::send(c, bytes, impl_->env, impl_->now);
    });
}
[[gnu::noinline]] size_t Worker::send_static(ConnectionId id, const wire::SummedBytes& bytes) {
    return impl_->send_static_if_usual(id, bytes) ? bytes.bytes.size()
                                                  : impl_->send_static_in_general(id, bytes);
}
size_t Worker::send_static(ConnectionId id, std::span<const uint8_t> bytes) {
    return send_static(id, wire::SummedBytes{bytes});
}
size_t Worker::send_urgent(ConnectionId id, std::span<const uint8_t> bytes) {
    return impl_->send(id, bytes.size(), [&](tcp::Connection& c) {
        return tcp::send_urgent(c, bytes, impl_->env, impl_->now);
    });
}
size_t Worker::urgent_bytes(ConnectionId id) const {
    const tcp::Connection* c = impl_->find(id);
    return c == nullptr ? 0 : tcp::urgent_bytes(*c, impl_->env);
}
void Worker::end_record(ConnectionId id) {
    if (tcp::Connection* c = impl_->find(id)) tcp::end_record(*c, impl_->env);
}
void Worker::set_pushing(ConnectionId id, tcp::Pushing pushing) { impl_->set_pushing(id, pushing); }
std::span<const uint8_t> Worker::unread(ConnectionId id) const {
    const tcp::Connection* c = impl_->find(id);
    return c == nullptr ? std::span<const uint8_t>{} : tcp::peek_unread(*c, impl_->env);
}
void Worker::consume(ConnectionId id, size_t count) { impl_->consume(id, count); }
size_t Worker::send_space(ConnectionId id) const {
    const tcp::Connection* c = impl_->find(id);
    return c == nullptr ? 0 : tcp::send_space(*c, impl_->env);
}
size_t Worker::unread_bytes(ConnectionId id) const {
    const tcp::Connection* c = impl_->find(id);
    return c == nullptr ? 0 : tcp::unread_bytes(*c, impl_->env);
}
size_t Worker::peek(ConnectionId id, std::span<uint8_t> into) const {
    const tcp::Connection* c = impl_->find(id);
    return c == nullptr ? 0 : tcp::copy_unread(*c, into, impl_->env);
}
void Worker::shutdown_send(ConnectionId id) { impl_->shutdown_send(id); }
void Worker::close(ConnectionId id) { impl_->close(id); }
void Worker::abort(ConnectionId id) { impl_->abort(id); }

tl::expected<uint16_t, Error> Worker::take_profile(const tcp::Profile& profile) {
    const auto number = impl_->profiles.take(profile);
    if (!number) return tl::unexpected{Error::no_resources};
    return *number;
}
void Worker::release_profile(uint16_t number) { impl_->profiles.release(number); }
const tcp::Profile& Worker::profile(uint16_t number) const { return impl_->profiles[number]; }
const tcp::Profile& Worker::profile(ConnectionId id) const {
    const tcp::Connection* c = impl_->find(id);
    return impl_->profiles[c == nullptr ? 0 : c->profile];
}
tl::expected<void, Error> Worker::change_profile(ConnectionId id, const tcp::Profile& profile) {
    return impl_->change_profile(id, profile);
}
tl::expected<void, Error> Worker::change_profile(const wire::SocketAddress& listener,
                                                 const tcp::Profile& profile) {
    const OwnerNumber owner = impl_->owners.find_exact(listener);
    if (owner == no_owner) return tl::unexpected{Error::stale};
    const auto number = impl_->profiles.take(profile);
    if (!number) return tl::unexpected{Error::no_resources};
    impl_->profiles.release(impl_->owners[owner].profile);
    impl_->owners[owner].profile = *number;
    impl_->forget_passive_opening();
    return {};
}

bool Worker::is_open(ConnectionId id) const { return impl_->find(id) != nullptr; }
tcp::State Worker::state(ConnectionId id) const {
    const tcp::Connection* c = impl_->find(id);
    return c == nullptr ? tcp::State::closed : c->state.load();
}
bool Worker::awaits_output(ConnectionId id) const {
    const tcp::Connection* c = impl_->find(id);
    return c != nullptr && (c->is_in_list() || tcp::wants_output(*c, impl_->env));
}
tcp::Info Worker::info(ConnectionId id) const {
    const tcp::Connection* c = impl_->find(id);
    return c == nullptr ? tcp::Info{} : tcp::info(*c, impl_->env);
}
void Worker::set_historian(Application* historian) { impl_->historian = historian; }
void Worker::settle_history(ConnectionId id, tcp::History& history) {
    if (const tcp::Connection* c = impl_->find(id)) {
        tcp::settle(history, *c, impl_->env, impl_->now);
    }
}
uint64_t Worker::user_data(ConnectionId id) const {
    const tcp::Connection* c = impl_->find(id);
    return c == nullptr ? 0 : c->user_data;
}
void Worker::set_user_data(ConnectionId id, uint64_t value) {
    if (tcp::Connection* c = impl_->find(id)) c->user_data = value;
}
wire::SocketAddress Worker::local(ConnectionId id) const {
    const tcp::Connection* c = impl_->find(id);
    if (c == nullptr) return {};
    return {impl_->address_of(c->local_address), c->local_port};
}
wire::SocketAddress Worker::remote(ConnectionId id) const {
    const tcp::Connection* c = impl_->find(id);
    if (c == nullptr) return {};
    return {impl_->address_of(c->remote_address), c->remote_port};
}

Instant Worker::now() const { return impl_->now; }
bool Worker::owns(const wire::IpAddress& address) const { return impl_->addressing.owns(address); }
void Worker::add_addresses(uint8_t port, const wire::IpPrefix& block) {
    impl_->config.interfaces[port].addresses.push_back(block);
    impl_->addressing = Addressing{impl_->config.interfaces};
    impl_->forget_opening();
    impl_->last_path = {};
    impl_->last_hop = {};
    impl_->last_asked = {};
    impl_->forget_passive_opening();
}

// ---- for the loop

uint32_t Worker::receive_burst() const { return impl_->config.receive_burst; }
size_t Worker::interface_count() const { return impl_->interfaces.size(); }

void Worker::receive(uint8_t port, std::span<const Frame> frames, Instant now,
                     StageProfile* profile) {
    impl_->set_now(now);
    impl_->receive(port, frames, profile);
}
void Worker::run_timers(Instant now) {
    impl_->set_now(now);
    impl_->run_timers();
}
void Worker::poll(Instant now) {
    impl_->set_now(now);
    if (impl_->poller != nullptr) impl_->poller->on_poll(*this, now);
    impl_->tell_notices();
}
void Worker::set_poller(Application* application) { impl_->poller = application; }

bool Worker::has_output(uint8_t port) const { return impl_->interfaces[port].has_output(); }
bool Worker::has_output() const {
    return std::any_of(impl_->interfaces.begin(), impl_->interfaces.end(),
                       [](const Interface& interface) { return interface.has_output(); });
}
unsigned Worker::frames_wanted(uint8_t port) const {
    return impl_->interfaces[port].frames_wanted();
}
void Worker::transmit(TransmitBatch& batch, Instant now) {
    impl_->set_now(now);
    impl_->transmit(batch);
}
std::optional<AddressConflict> Worker::last_address_conflict() const {
    return impl_->last_conflict.read();
}
std::optional<Instant> Worker::next_deadline() const { return impl_->next_deadline(); }

// ---- for anyone

const tcp::Counters& Worker::tcp_counters() const { return impl_->tcp_counters; }
const Counters& Worker::stack_counters() const { return impl_->counters; }
const wire::DropCounters& Worker::drop_counters() const { return impl_->drops; }
Worker::Gauges Worker::gauges() const {
    return {.connections = impl_->table.size(),
            .time_wait = impl_->time_waits.size(),
            .half_open = impl_->half_open};
}

// ---- for the end

Worker::Leaks Worker::leaks() const { return impl_->leaks(); }
void Worker::clear_time_wait() {
    impl_->time_waits.clear([this](const tcp::TimeWait& r) { impl_->forget(r); });
}

}  // namespace synfin::stack
