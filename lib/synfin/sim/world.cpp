#include <algorithm>

#include <synfin/base/assert.hpp>
#include <synfin/base/siphash.hpp>
#include <synfin/sim/world.hpp>

namespace synfin::sim {

namespace {

// A clock that has run for a while: no code may take the origin for "now".
const Instant birth = Instant::from_us(int64_t{3600} * 1'000'000);

// What a loop of a real worker would take; work that asks to be looked at "now" comes back then.
constexpr Duration loop_period = Duration::microseconds(1);

// Passes at one moment. Every frame takes at least a microsecond, so a moment ends by itself unless
// an application makes work for itself.
constexpr int passes_per_moment = 64;

std::vector<std::unique_ptr<Device>> devices_for(const stack::WorkerConfig& config) {
    std::vector<std::unique_ptr<Device>> devices;
    for (const auto& interface : config.interfaces)
        devices.push_back(std::make_unique<Device>(interface.device.mtu));
    return devices;
}

}  // namespace

Host::Host(const stack::WorkerConfig& config)
    : config_{config},
      devices_{devices_for(config)},
      worker_{config},
      loop_{worker_, device_pointers()} {}

std::vector<Device*> Host::device_pointers() {
    std::vector<Device*> pointers;
    for (const auto& device : devices_) pointers.push_back(device.get());
    return pointers;
}

World::World(uint64_t seed) : random_{seed}, begin_{birth}, now_{birth} { trace(seed); }

stack::WorkerConfig World::simple_host(uint8_t number, uint32_t max_connections, Family family) {
    stack::InterfaceConfig interface;
    interface.mac = {{0x02, 0, 0, 0, 0, number}};
    if (family == Family::ipv4) {
        interface.addresses = {{wire::IpAddress::v4(10, 0, 0, number), 32}};
        interface.on_link = {{wire::IpAddress::v4(10, 0, 0, 0), 24}};
    } else {
        constexpr uint64_t subnet = 0xfd00'0000'0000'0000;
        interface.addresses = {{wire::IpAddress::v6(subnet, number), 128}};
        interface.on_link = {{wire::IpAddress::v6(subnet, 0), 64}};
    }
    stack::WorkerConfig config;
    config.interfaces = {interface};
    config.max_connections = max_connections;
    config.max_time_wait = 4 * max_connections;
    config.max_transfers = max_connections;
    config.max_buffer_chunks = 16'384;
    config.max_neighbors = 64;
    config.max_port_scopes = 256;
    config.max_ipv6_addresses = 1024;
    config.time_wait = Duration::seconds(1);
    config.secret = {0x0123'4567'89ab'cdefu ^ number, 0xfedc'ba98'7654'3210u + number};
    return config;
}

Host& World::add_host(const stack::WorkerConfig& config) {
    hosts_.push_back(std::make_unique<Host>(config));
    hosts_.back()->pass(now_);
    return *hosts_.back();
}

Link& World::connect(Host& a, Host& b, const LinkFaults& faults) {
    Link& link = add_link(faults);
    link.plug(a.device(), a.config().interfaces[0].mac);
    link.plug(b.device(), b.config().interfaces[0].mac);
    return link;
}

Link& World::add_link(const LinkFaults& faults) {
    links_.push_back(std::make_unique<Link>(
        faults, random_,
        [this](Duration delay, Device& to, FrameBytes frame) {
            deliver(delay, to, std::move(frame));
        },
        [this](uint64_t value) { trace(value); }));
    links_.back()->set_clock([this] { return now_; });
    return *links_.back();
}

void World::schedule(Duration after, std::function<void()> action) {
    SYNFIN_ASSERT(after >= Duration{});
    queue_.push_back({now_ + after, next_number_++, std::move(action)});
    std::push_heap(queue_.begin(), queue_.end(), Later{});
}

void World::deliver(Duration delay, Device& to, FrameBytes frame) {
    trace(static_cast<uint64_t>((now_ + delay).ns()));
    trace(SipHash13::of({1, 2}, frame));
    ++in_flight_;
    schedule(delay, [this, &to, bytes = std::move(frame)] {
        --in_flight_;
        to.deliver(bytes);
    });
}

void World::trace(uint64_t value) {
    uint64_t state = trace_ ^ value;
    trace_ = splitmix64(state);
}

std::optional<Instant> World::next_event() const {
    std::optional<Instant> earliest;
    const auto consider = [&](Instant t) {
        if (!earliest || t < *earliest) earliest = t;
    };
    if (!queue_.empty()) consider(queue_.front().at);
    for (const auto& host : hosts_) {
        if (const auto deadline = host->worker().next_deadline()) {
            consider(std::max(*deadline, now_ + loop_period));
        }
        if (host->worker().has_output()) consider(now_ + loop_period);
    }
    return earliest;
}

void World::happen(Instant at) {
    SYNFIN_ASSERT(at >= now_);
    now_ = at;
    ++events_;
    while (!queue_.empty() && queue_.front().at <= now_) {
        std::pop_heap(queue_.begin(), queue_.end(), Later{});
        const auto action = std::move(queue_.back().action);
        queue_.pop_back();
        action();
    }
    for (int pass = 0; pass < passes_per_moment; ++pass) {
        unsigned moved = 0;
        for (const auto& host : hosts_) moved += host->pass(now_);
        if (moved == 0) break;
    }
    for (const auto& host : hosts_) {
        for (size_t port = 0; port < host->worker().interface_count(); ++port)
            SYNFIN_ASSERT(host->device(port).buffers_out() == 0);
    }
}

void World::run_until(Instant end) {
    happen(now_);
    for (auto next = next_event(); next && *next <= end; next = next_event()) happen(*next);
    happen(std::max(end, now_));
}

bool World::run_while_busy(Duration limit, const std::function<bool()>& done) {
    const Instant end = now_ + limit;
    happen(now_);
    while (!done || !done()) {
        const auto next = next_event();
        if (!next) return !done;
        if (*next > end) {
            happen(end);
            return false;
        }
        happen(*next);
    }
    return true;
}

}  // namespace synfin::sim
