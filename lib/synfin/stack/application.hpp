// What an application is to the stack: handlers that the worker calls, on the worker's own thread.
//
// A handler runs to completion and must not block. It may call anything of Worker for any
// connection, its own included; nothing is sent before the handler and all other input of the loop
// are done.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <synfin/base/instant.hpp>
#include <synfin/tcp/core.hpp>
#include <synfin/tcp/history.hpp>

namespace synfin::stack {

class Worker;

/// Names a connection of one worker. A connection that is gone is detected, never followed.
struct ConnectionId {
    uint32_t index = no_index;
    uint32_t generation = 0;
    friend constexpr bool operator==(ConnectionId, ConnectionId) = default;
};

/// Whether there is room for one more connection.
enum class Room : uint8_t { none, some, always };

class Application {
  public:
    virtual ~Application() = default;

    /// Whether the listener `local` has room for one more connection now. If not, the last ACK of a
    /// handshake is ignored, and the peer's next segment asks again; a SYN is ignored, too. Asked
    /// for the first time by Worker::listen: who has room always is not asked again.
    virtual Room room(Worker& worker, const wire::SocketAddress& local) {
        static_cast<void>(worker), static_cast<void>(local);
        return Room::always;
    }
    /// The handshake is complete: accepted through a listener, or our connect succeeded.
    virtual void on_established(Worker& worker, ConnectionId id) = 0;
    /// Urgent data was announced, or more of it: the next `bytes` bytes, which may not all have
    /// arrived. They come in their place in the stream (MUST-32).
    virtual void on_urgent(Worker& worker, ConnectionId id, uint32_t bytes) {
        static_cast<void>(worker), static_cast<void>(id), static_cast<void>(bytes);
    }
    /// Trouble on the way to the peer that has not ended the connection yet (RFC 9293 section
    /// 3.9.1.8). Whoever does not want to know leaves it at this (SHLD-20).
    virtual void on_report(Worker& worker, ConnectionId id, tcp::Report report) {
        static_cast<void>(worker), static_cast<void>(id), static_cast<void>(report);
    }
    /// In-order payload. Returns how many bytes were taken; the rest is kept, counts against the
    /// receive window, and is read later with Worker::unread and Worker::consume.
    virtual size_t on_data(Worker& worker, ConnectionId id, std::span<const uint8_t> data) = 0;
    /// The peer's FIN, after all data has been taken: `recv` would return 0.
    virtual void on_peer_closed(Worker& worker, ConnectionId id) = 0;
    /// There is room again after a send took fewer bytes than offered.
    virtual void on_writable(Worker& worker, ConnectionId id) = 0;
    /// The end of the connection; called once for each connection that was opened or accepted, also
    /// after the application's own close. `finished` comes when our FIN and the peer's are both
    /// through (TIME_WAIT counts as through). The id is stale afterwards.
    virtual void on_closed(Worker& worker, ConnectionId id, tcp::CloseReason reason) = 0;
    /// Where to note what passes on this connection, for the application that is Worker's
    /// historian; nullptr: nowhere.
    virtual tcp::History* history(Worker& worker, ConnectionId id) {
        static_cast<void>(worker), static_cast<void>(id);
        return nullptr;
    }
    /// Once per loop, after input and timers: the place for work of its own (opening connections).
    virtual void on_poll(Worker& worker, Instant now) {
        static_cast<void>(worker), static_cast<void>(now);
    }
};

}  // namespace synfin::stack
