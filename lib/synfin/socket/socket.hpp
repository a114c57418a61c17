// One socket, and one set of watched sockets (epoll), as the calls of Sockets see them.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include <sys/epoll.h>
#include <sys/socket.h>

#include <synfin/stack/application.hpp>
#include <synfin/tcp/history.hpp>
#include <synfin/tcp/profile.hpp>
#include <synfin/wire/address.hpp>

namespace synfin::socket {

/// Where in its life a socket is: what Linux spreads over the state of the socket and of TCP.
enum class Role : uint8_t {
    fresh,          ///< no connection: never opened, or the attempt failed
    listening,      ///< bound to a port of the worker
    awaiting_data,  ///< connect() was called; the SYN will leave with data (TCP_FASTOPEN_CONNECT)
    connecting,     ///< the SYN is out
    connected,      ///< `id` names a connection
    ended,          ///< the connection is over; the socket still tells how
};

struct Socket {
    int domain = AF_INET;
    Role role = Role::fresh;
    bool non_blocking = false;
    bool bound = false;
    bool attempt_failed = false;    ///< and the next connect() says so, if nobody has asked before
    bool connect_reported = false;  ///< a connect() has said that the connection stands
    wire::SocketAddress local;
    wire::SocketAddress remote;
    stack::ConnectionId id;
    int error = 0;            ///< SO_ERROR: told once, by whichever call comes first
    int soft_error = 0;       ///< trouble on the way
    Instant soft_error_came;  ///< an ACK since then says that it is over
    uint64_t bytes_read = 0;  ///< since the connection was opened
    Instant text_came;        ///< when something was received last
    tcp::History history;     ///< what has passed on the connection

    // ---- what either side has ended
    bool receive_ended = false;  ///< the peer's FIN, or shutdown: nothing comes after the data
    bool peer_finished = false;  ///< the peer's FIN has been read up to
    bool send_ended = false;     ///< shutdown, or the connection is over
    bool more_follows = false;   ///< the last send said so (MSG_MORE)
    uint32_t urgent_bytes = 0;   ///< how far urgent data reaches behind what was read
    std::vector<uint8_t> rest;   ///< bytes of an ended connection that were not read
    size_t rest_read = 0;

    // ---- options
    tcp::Profile profile;  ///< what the socket's user wants; governs its connection
    bool reuse_address = false;
    bool reuse_port = false;
    bool lingers = false;
    Duration linger_time;
    uint32_t receive_low_water = 1;
    /// No more is taken while so much is not sent yet, and half of it when polled (0: no bound).
    uint32_t unsent_low_water = 0;
    bool quick_ack = true;              ///< what TCP_QUICKACK was set to last
    std::map<int, int> without_effect;  ///< of SOL_SOCKET, by name: only remembered
    Duration receive_timeout = Duration::forever();
    Duration send_timeout = Duration::forever();
    bool give_queued_bytes = false;  ///< recvmsg tells how much is left (TCP_INQ)
    uint32_t fast_open = 0;          ///< stack::ListenOptions::fast_open
    bool fast_open_connect = false;

    // ---- listening
    std::deque<std::shared_ptr<Socket>> accept_queue;
    uint32_t backlog = 0;

    /// Grows whenever something happens that edge-triggered watchers want to hear of.
    uint64_t happenings = 0;

    /// Of the soft error, while it lasts: the reason, should the connection fail.
    int trouble() const { return history.ack_in_at > soft_error_came ? 0 : soft_error; }
    size_t unread_rest() const { return rest.size() - rest_read; }
};

/// What an epoll descriptor watches.
struct WatchSet {
    struct Watch {
        std::weak_ptr<Socket> socket;
        epoll_event wanted{};
        uint64_t seen = 0;       ///< happenings that were reported (EPOLLET)
        uint32_t seen_ends = 0;  ///< which directions had ended then
        bool reported = false;   ///< EPOLLONESHOT: silent until modified
    };
    std::map<int, Watch> watches;  ///< by descriptor
};

}  // namespace synfin::socket
