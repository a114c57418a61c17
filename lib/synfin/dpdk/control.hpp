// The way from the control plane to a worker and back: two bounded queues without a lock. A worker
// looks once per loop and never waits; the control plane sees a full queue and tries again.
#pragma once

#include <cstdint>
#include <optional>

#include <boost/lockfree/spsc_queue.hpp>

namespace synfin::dpdk {

/// What the control plane may ask of a worker.
struct Command {
    enum class Kind : uint8_t {
        start_opening,
        stop_opening,     ///< no new connections; those that are open live on
        set_rate,         ///< `value` connections per second
        set_concurrency,  ///< `value` connections at once
        close_all,        ///< close what is open, gracefully
        stop,             ///< leave the loop
    };
    Kind kind = Kind::stop;
    double value = 0;
};

/// One direction, one sender, one receiver.
template <typename Message, size_t capacity = 64>
class Channel {
  public:
    /// False when the queue is full.
    bool send(const Message& message) { return queue_.push(message); }
    std::optional<Message> receive() {
        Message message;
        if (!queue_.pop(message)) return std::nullopt;
        return message;
    }

  private:
    boost::lockfree::spsc_queue<Message, boost::lockfree::capacity<capacity>> queue_;
};

/// Both directions. `Report` is what the worker has to say.
template <typename Report>
struct ControlChannel {
    Channel<Command> to_worker;
    Channel<Report> from_worker;
};

}  // namespace synfin::dpdk
