// The world that packetdrill talks to: one worker, its sockets, and a clock that moves only when
// somebody asks it to.
//
// Whoever made the host moves its time, by sleeping, by asking for packets, or by a call that
// blocks. A blocking call of any other thread sleeps on a condition variable until something
// happens. From then until that thread has asked for the time, the time stands still: so the end of
// its call bears the moment of its cause, however late the system lets the thread run. When the
// mover itself sleeps outside, which it does to wait for that call, the call moves the time.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <thread>
#include <vector>

#include <synfin/sim/device.hpp>
#include <synfin/socket/sockets.hpp>
#include <synfin/stack/loop.hpp>

#include "knobs.hpp"

namespace synfin::packetdrill {

/// What has left the stack: an IP packet, and when.
struct Departure {
    std::vector<uint8_t> packet;
    Instant at;
};

class VirtualHost final : private socket::Host {
  public:
    explicit VirtualHost(const Knobs& knobs);
    /// Ends blocking calls that still wait.
    ~VirtualHost() override;
    VirtualHost(const VirtualHost&) = delete;
    VirtualHost& operator=(const VirtualHost&) = delete;

    /// Runs `call(sockets)` at the present time; what it sends leaves at once.
    template <typename Call>
    auto run(Call&& call) {
        const Entry entry{*this};
        return call(sockets_);
    }

    // ---- the network
    void deliver(std::span<const uint8_t> packet);
    /// The next departure; time moves on until there is one. Nothing if the stack is silent for
    /// `patience`, and nothing waits to be sent again.
    std::optional<Departure> next_departure();
    static constexpr Duration patience = Duration::seconds(5);

    // ---- the clock
    void sleep(Duration d);
    /// Each look at the clock moves it by a microsecond: there is code that waits by looking.
    Instant look_at_clock();

    /// From now on the address is ours.
    void own(const wire::IpAddress& address);

  private:
    /// Holds the lock during a call, and lets leave what the call has caused.
    class Entry {
      public:
        explicit Entry(VirtualHost& host) : host_{host}, lock_{host.mutex_} { host_.enter(); }
        ~Entry() { host_.pass(); }
        Entry(const Entry&) = delete;
        Entry& operator=(const Entry&) = delete;

      private:
        VirtualHost& host_;
        std::lock_guard<std::mutex> lock_;
    };

    // ---- socket::Host
    bool wait(std::optional<Instant> deadline) override;
    int open_descriptor() override;
    void close_descriptor(int descriptor) override;

    static stack::WorkerConfig worker_config(const Knobs& knobs);
    void enter();
    /// Passes of the loop until nothing is left to be said at this moment.
    void pass();
    void take_frame(std::span<const uint8_t> frame);
    void advance_to(Instant until);
    /// One step of time: to the next deadline, or to `until` if that comes first.
    void step(Instant until);
    std::optional<Instant> next_event() const;
    bool awaits_transmission() const;
    bool wait_by_moving_time(std::optional<Instant> deadline);
    bool wait_for_others(std::optional<Instant> deadline);
    void wake_sleepers();
    void await_woken();
    bool mover_sleeps_outside() const;
    void write_states();

    Knobs knobs_;
    std::thread::id mover_ = std::this_thread::get_id();
    const int mover_task_;
    bool mover_awaits_woken_ = false;
    uint64_t calls_ = 0;  ///< of anybody, so far
    std::mutex mutex_;
    std::condition_variable_any changed_;
    bool closing_ = false;
    struct Sleeper {
        std::thread::id thread;
        std::optional<Instant> deadline;
        bool woken = false;
    };
    std::deque<Sleeper*> sleepers_;
    std::set<std::thread::id> woken_;  ///< threads that have not asked for the time since

    Instant now_;
    std::array<sim::Device, 2> devices_;  ///< IPv4 and IPv6
    stack::Worker worker_;
    stack::Loop<sim::Device> loop_;
    socket::Sockets sockets_;
    std::deque<Departure> departures_;
    std::set<wire::IpAddress> owned_;
    std::optional<std::string> states_written_;
};

}  // namespace synfin::packetdrill
