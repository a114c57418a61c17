// A deterministic world: hosts with the real stack, links with faults, virtual time.
//
// Nothing happens between two events, so time jumps from one to the next: a frame that arrives, a
// timer of a host, a callback that somebody has scheduled. At each event all hosts make passes of
// their loop until none has anything more to say. All chance comes from the seed; the trace hash
// covers each frame's bytes, time and fate, so two runs with the same hash were the same run.
//
//     World world{seed};
//     Host& a = world.add_host(World::simple_host(1));
//     Host& b = world.add_host(World::simple_host(2));
//     Link& link = world.connect(a, b, {.loss = 0.03});
//     b.worker().listen({b.address(), 80}, server);
//     a.worker().connect({b.address(), 80}, client);
//     world.run_for(Duration::seconds(10));
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <synfin/base/instant.hpp>
#include <synfin/base/prng.hpp>
#include <synfin/sim/device.hpp>
#include <synfin/sim/link.hpp>
#include <synfin/stack/loop.hpp>
#include <synfin/stack/worker.hpp>

namespace synfin::sim {

enum class Family : uint8_t { ipv4, ipv6 };

/// A host: one worker over one device per interface.
class Host {
  public:
    explicit Host(const stack::WorkerConfig& config);
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    /// Calls take effect at the world's present time.
    stack::Worker& worker() { return worker_; }
    const stack::Worker& worker() const { return worker_; }
    Device& device(size_t port = 0) { return *devices_[port]; }
    const stack::WorkerConfig& config() const { return config_; }
    /// The first address of the first interface.
    wire::IpAddress address() const { return config_.interfaces[0].addresses[0].address; }
    /// One pass of the loop. Returns how many frames came or went.
    unsigned pass(Instant now) { return loop_.run_once(now); }

  private:
    std::vector<Device*> device_pointers();

    stack::WorkerConfig config_;
    std::vector<std::unique_ptr<Device>> devices_;
    stack::Worker worker_;
    stack::Loop<Device> loop_;
};

class World {
  public:
    explicit World(uint64_t seed);
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    /// A host 10.0.0.`number`, alone on a /24, or fd00::`number` on a /64, with room for
    /// `max_connections`, secrets from the number, and 2MSL of one second, so that worlds drain
    /// quickly.
    static stack::WorkerConfig simple_host(uint8_t number, uint32_t max_connections = 4096,
                                           Family family = Family::ipv4);

    Host& add_host(const stack::WorkerConfig& config);
    /// A link between the first interfaces of two hosts.
    Link& connect(Host& a, Host& b, const LinkFaults& faults = {});
    /// A link that nothing is plugged into yet.
    Link& add_link(const LinkFaults& faults = {});

    Instant now() const { return now_; }
    Duration elapsed() const { return now_ - begin_; }
    Prng& random() { return random_; }

    /// Calls `action` at that distance from now, before the hosts' passes of that moment.
    void schedule(Duration after, std::function<void()> action);

    void run_for(Duration d) { run_until(now_ + d); }
    /// Runs until nothing is left to happen or `done` says so, at most for `limit`. Returns whether
    /// it came to that.
    bool run_while_busy(Duration limit, const std::function<bool()>& done = {});

    /// Of everything that has been on a link, in order.
    uint64_t trace_hash() const { return trace_; }
    uint64_t events() const { return events_; }
    /// Frames on their way.
    size_t in_flight() const { return in_flight_; }

  private:
    struct Event {
        Instant at;
        uint64_t number;  ///< the order among events of one moment is the order of their causes
        std::function<void()> action;
    };
    struct Later {
        bool operator()(const Event& a, const Event& b) const {
            return a.at != b.at ? a.at > b.at : a.number > b.number;
        }
    };

    void run_until(Instant end);
    std::optional<Instant> next_event() const;
    /// Stands at `at`: actions that are due, then passes of the hosts.
    void happen(Instant at);
    void trace(uint64_t value);
    void deliver(Duration delay, Device& to, FrameBytes frame);

    Prng random_;
    Instant begin_, now_;
    std::vector<Event> queue_;  ///< a heap, the earliest in front
    uint64_t next_number_ = 0;
    uint64_t events_ = 0;
    uint64_t trace_ = 0;
    size_t in_flight_ = 0;
    std::vector<std::unique_ptr<Host>> hosts_;
    std::vector<std::unique_ptr<Link>> links_;
};

}  // namespace synfin::sim
