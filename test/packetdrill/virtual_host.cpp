#include "virtual_host.hpp"

#include <array>
#include <chrono>
#include <cstring>
#include <fstream>
#include <string>

#include <sys/eventfd.h>
#include <unistd.h>

#include <synfin/wire/bytes.hpp>
#include <synfin/wire/ethernet.hpp>

#include "state_file.hpp"

namespace synfin::packetdrill {

namespace {

constexpr wire::MacAddress our_mac{{0x02, 0, 0, 0, 0, 0x01}};
constexpr wire::MacAddress network_mac{{0x02, 0, 0, 0, 0, 0x02}};
// Everything but ourselves lies behind a router, whose addresses no script uses.
const wire::IpAddress router_v4 = wire::IpAddress::v4(169, 254, 0, 1);
const wire::IpAddress router_v6 = wire::IpAddress::v6(0xfe80'0000'0000'0000, 1);

// A thread that was woken asks for the time as soon as the system lets it run. One that never does
// must not hold the world for ever.
constexpr std::chrono::seconds longest_hold{2};

// For how long nobody calls before it is asked whether anybody will.
constexpr std::chrono::milliseconds suspicious_silence{20};

// Before this no deadline can lie.
constexpr Instant beginning = Instant::from_us(1'000'000);

wire::IpPrefix host_block(const wire::IpAddress& address) {
    return {address, static_cast<uint8_t>(address.is_v4() ? 32 : 128)};
}

/// The interface that an address's packets come by.
uint8_t port_of(const wire::IpAddress& address) { return address.is_v4() ? 0 : 1; }

}  // namespace

stack::WorkerConfig VirtualHost::worker_config(const Knobs& knobs) {
    stack::WorkerConfig config;
    // An interface for each family: it has one router.
    const auto interface = [&](const wire::IpAddress& local, const wire::IpAddress& router) {
        stack::InterfaceConfig one;
        one.mac = our_mac;
        one.addresses = {host_block(local)};
        one.gateway = router;
        one.static_neighbors = {{router, network_mac}};
        one.device.mtu = knobs.mtu;
        return one;
    };
    config.interfaces = {interface(knobs.local_v4, router_v4),
                         interface(knobs.local_v6, router_v6)};
    // The program may lock all of its memory, and a script has few connections.
    config.max_connections = 1024;
    config.max_time_wait = 1024;
    config.max_transfers = 1024;
    config.max_buffer_chunks = 4096;
    config.max_port_scopes = 1024;
    config.max_neighbors = 64;
    config.time_wait = knobs.time_wait;
    config.secret = {0x7061'636b'6574'6472, 0x696c'6c20'7365'6564};
    config.profiles = {knobs.profile};
    return config;
}

VirtualHost::VirtualHost(const Knobs& knobs)
    : knobs_{knobs},
      mover_task_{gettid()},
      now_{beginning},
      devices_{sim::Device{knobs.mtu}, sim::Device{knobs.mtu}},
      worker_{worker_config(knobs)},
      loop_{worker_, std::array{&devices_[0], &devices_[1]}},
      sockets_{worker_, *this, {.syn_cookies = knobs.syn_cookies}} {
    owned_ = {knobs.local_v4, knobs.local_v6};
    for (sim::Device& device : devices_) {
        device.plug([this](std::span<const uint8_t> frame) { take_frame(frame); });
    }
    pass();
}

VirtualHost::~VirtualHost() {
    std::unique_lock lock{mutex_};
    closing_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return sleepers_.empty(); });
}

// ---- one moment

void VirtualHost::enter() {
    ++calls_;
    worker_.run_timers(now_);
}

void VirtualHost::pass() {
    do {
        loop_.run_once(now_);
    } while (devices_[0].has_received() || devices_[1].has_received() || worker_.has_output());
    wake_sleepers();
    write_states();
}

namespace {

bool is_neighbor_discovery(std::span<const uint8_t> ipv6_packet) {
    constexpr uint8_t icmp6 = 58;
    constexpr uint8_t first_type = 133;
    constexpr uint8_t last_type = 137;
    return ipv6_packet.size() > 40 && ipv6_packet[6] == icmp6 && ipv6_packet[40] >= first_type &&
           ipv6_packet[40] <= last_type;
}

}  // namespace

void VirtualHost::take_frame(std::span<const uint8_t> frame) {
    const auto view = wire::EthernetView::checked(frame);
    if (!view) return;
    // What resolves addresses has no place on a wire without a link layer.
    const std::span<const uint8_t> packet = view->payload();
    const bool carries_ip =
        view->type() == wire::ethertype::ipv4 ||
        (view->type() == wire::ethertype::ipv6 && !is_neighbor_discovery(packet));
    if (!carries_ip) return;
    departures_.push_back({{packet.begin(), packet.end()}, now_});
}

// ---- the network

namespace {

/// The destination of an IP packet, as far as it can be seen.
std::optional<wire::IpAddress> destination_of(std::span<const uint8_t> packet) {
    const unsigned version = packet.empty() ? 0 : packet[0] >> 4;
    if (version == 4 && packet.size() >= 20) return wire::load_ipv4(&packet[16]);
    if (version == 6 && packet.size() >= 40) return wire::load_ipv6(&packet[24]);
    return std::nullopt;
}

}  // namespace

void VirtualHost::own(const wire::IpAddress& address) {
    const std::lock_guard lock{mutex_};
    if (address.is_unspecified() || owned_.contains(address)) return;
    owned_.insert(address);
    worker_.add_addresses(port_of(address), host_block(address));
}

void VirtualHost::deliver(std::span<const uint8_t> packet) {
    const auto destination = destination_of(packet);
    if (!destination) return;
    // Whatever is sent to us is addressed to us.
    own(*destination);
    const Entry entry{*this};
    const uint16_t type = destination->is_v4() ? wire::ethertype::ipv4 : wire::ethertype::ipv6;
    const wire::L2Header header = wire::make_l2_header(our_mac, network_mac, type);
    sim::FrameBytes frame(header.length + packet.size());
    std::memcpy(frame.data(), header.bytes.data(), header.length);
    std::memcpy(frame.data() + header.length, packet.data(), packet.size());
    devices_[port_of(*destination)].deliver(frame);
}

std::optional<Departure> VirtualHost::next_departure() {
    const std::lock_guard lock{mutex_};
    ++calls_;
    await_woken();
    Instant end = now_ + patience;
    while (departures_.empty()) {
        if (now_ >= end) {
            if (!awaits_transmission()) return std::nullopt;
            end = now_ + patience;
        }
        step(end);
    }
    Departure departure = std::move(departures_.front());
    departures_.pop_front();
    return departure;
}

// Whether a timer runs that will send something: then silence is no sign that nothing comes.
bool VirtualHost::awaits_transmission() const {
    using Timer = stack::ConnectionInfo::Timer;
    bool awaited = false;
    worker_.for_each_connection(
        [&](const stack::ConnectionInfo& info) {
            awaited = awaited || info.timer == Timer::on || info.timer == Timer::persist ||
                      info.timer == Timer::keep_alive;
        },
        now_);
    return awaited;
}

// ---- the clock

std::optional<Instant> VirtualHost::next_event() const {
    std::optional<Instant> next = worker_.next_deadline();
    for (const Sleeper* sleeper : sleepers_) {
        if (sleeper->deadline && (!next || *sleeper->deadline < *next)) next = sleeper->deadline;
    }
    return next;
}

void VirtualHost::step(Instant until) {
    await_woken();
    const std::optional<Instant> next = next_event();
    const Instant target = next && *next < until ? *next : until;
    if (target > now_) now_ = target;
    if (next && *next <= now_) pass();
}

void VirtualHost::advance_to(Instant until) {
    while (now_ < until) step(until);
    worker_.run_timers(now_);
}

void VirtualHost::sleep(Duration d) {
    const std::lock_guard lock{mutex_};
    ++calls_;
    woken_.erase(std::this_thread::get_id());
    advance_to(now_ + d);
}

Instant VirtualHost::look_at_clock() {
    const std::lock_guard lock{mutex_};
    ++calls_;
    woken_.erase(std::this_thread::get_id());
    changed_.notify_all();
    advance_to(now_ + Duration::microseconds(1));
    return now_;
}

// ---- waiting

bool VirtualHost::wait(std::optional<Instant> deadline) {
    pass();
    return std::this_thread::get_id() == mover_ ? wait_by_moving_time(deadline)
                                                : wait_for_others(deadline);
}

// Nobody else moves the time while its mover is in a call.
bool VirtualHost::wait_by_moving_time(std::optional<Instant> deadline) {
    const std::optional<Instant> next = next_event();
    if (!next && !deadline) return false;
    step(next && (!deadline || *next < *deadline) ? *next : *deadline);
    worker_.run_timers(now_);
    return true;
}

bool VirtualHost::wait_for_others(std::optional<Instant> deadline) {
    Sleeper sleeper{.thread = std::this_thread::get_id(), .deadline = deadline};
    woken_.erase(sleeper.thread);
    sleepers_.push_back(&sleeper);
    changed_.notify_all();
    const auto over = [&] { return sleeper.woken || closing_; };
    for (uint64_t calls = calls_; !changed_.wait_for(mutex_, suspicious_silence, over);) {
        const bool silent = std::exchange(calls, calls_) == calls_;
        if (silent && mover_sleeps_outside()) wait_by_moving_time(deadline);
    }
    std::erase(sleepers_, &sleeper);
    changed_.notify_all();
    return !closing_;
}

bool VirtualHost::mover_sleeps_outside() const {
    if (mover_awaits_woken_) return false;
    std::ifstream file{"/proc/self/task/" + std::to_string(mover_task_) + "/stat"};
    std::string text;
    std::getline(file, text);
    const size_t name_end = text.rfind(')');
    return name_end != std::string::npos && text.compare(name_end, 3, ") S") == 0;
}

void VirtualHost::wake_sleepers() {
    bool any = false;
    for (Sleeper* sleeper : sleepers_) {
        if (sleeper->woken) continue;
        sleeper->woken = any = true;
        woken_.insert(sleeper->thread);
    }
    if (any) changed_.notify_all();
}

void VirtualHost::await_woken() {
    const auto settled = [this] { return woken_.empty(); };
    if (settled() || woken_.contains(std::this_thread::get_id())) return;
    mover_awaits_woken_ = true;
    if (!changed_.wait_for(mutex_, longest_hold, settled)) woken_.clear();
    mover_awaits_woken_ = false;
}

// ---- descriptors

// Real ones, so that the kernel's close() works on what a script leaves open.
int VirtualHost::open_descriptor() {
    const int descriptor = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return descriptor < 0 ? -errno : descriptor;
}

void VirtualHost::close_descriptor(int descriptor) { ::close(descriptor); }

void VirtualHost::write_states() {
    if (knobs_.state_file.empty()) return;
    std::string states = describe_states(worker_, sockets_, now_);
    if (states == states_written_) return;
    replace_file(knobs_.state_file, states);
    states_written_ = std::move(states);
}

}  // namespace synfin::packetdrill
