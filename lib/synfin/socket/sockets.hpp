// BSD sockets over one worker: what a program ported from the kernel calls.
//
// The calls mean what Linux's mean. Where those return -1 and set errno, these return -errno, as
// the kernel does inside. They take descriptors; the numbers come from the Host, which also knows
// how to wait. All calls are made on the worker's thread, or one at a time under the host's lock.
//
//   life.cpp      socket, shutdown, close
//   opening.cpp   bind, listen, accept, connect
//   transfer.cpp  the read and write families
//   options.cpp   getsockopt, setsockopt
//   control.cpp   fcntl, ioctl
//   polling.cpp   poll, epoll
//   events.cpp    what the worker tells
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <variant>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <synfin/socket/host.hpp>
#include <synfin/socket/socket.hpp>
#include <synfin/stack/worker.hpp>

namespace synfin::socket {

struct SocketsConfig {
    size_t max_descriptors = 65536;  ///< then: EMFILE
    uint32_t max_backlog = 4096;     ///< listen() with more gets so many
    /// What a handshake finds that ends when nobody has accepted more than `backlog` others: its
    /// last ACK is dropped, and our SYN,ACK sent again; or a RST (tcp_abort_on_overflow).
    bool reset_on_overflow = false;
    stack::SynCookies syn_cookies = stack::SynCookies::automatic;  ///< of all that listen
};

class Sockets : public stack::Application {
  public:
    Sockets(stack::Worker& worker, Host& host, const SocketsConfig& config = {});
    ~Sockets() override;

    int socket(int domain, int type, int protocol);
    int bind(int descriptor, const sockaddr* address, socklen_t length);
    int listen(int descriptor, int backlog);
    int accept(int descriptor, sockaddr* address, socklen_t* length, int flags = 0);
    int connect(int descriptor, const sockaddr* address, socklen_t length);
    int shutdown(int descriptor, int how);
    int close(int descriptor);
    int getsockname(int descriptor, sockaddr* address, socklen_t* length);
    int getpeername(int descriptor, sockaddr* address, socklen_t* length);

    ssize_t read(int descriptor, void* buffer, size_t count);
    ssize_t readv(int descriptor, const iovec* pieces, int count);
    ssize_t recv(int descriptor, void* buffer, size_t count, int flags);
    ssize_t recvfrom(int descriptor, void* buffer, size_t count, int flags, sockaddr* address,
                     socklen_t* length);
    ssize_t recvmsg(int descriptor, msghdr* message, int flags);
    ssize_t write(int descriptor, const void* buffer, size_t count);
    ssize_t writev(int descriptor, const iovec* pieces, int count);
    ssize_t send(int descriptor, const void* buffer, size_t count, int flags);
    ssize_t sendto(int descriptor, const void* buffer, size_t count, int flags,
                   const sockaddr* address, socklen_t length);
    ssize_t sendmsg(int descriptor, const msghdr* message, int flags);

    int getsockopt(int descriptor, int level, int name, void* value, socklen_t* length);
    int setsockopt(int descriptor, int level, int name, const void* value, socklen_t length);
    int fcntl(int descriptor, int command, long argument);
    int ioctl(int descriptor, unsigned long request, void* argument);

    int poll(pollfd* fds, nfds_t count, int timeout_ms);
    int epoll_create(int flags = 0);
    int epoll_ctl(int set, int operation, int descriptor, const epoll_event* event);
    int epoll_wait(int set, epoll_event* events, int max, int timeout_ms);

    /// Whether the number is one of ours.
    bool knows(int descriptor) const { return descriptors_.contains(descriptor); }
    /// Calls `visit(local, accepted and waiting, backlog)` for each socket that listens.
    void for_each_listener(
        const std::function<void(const wire::SocketAddress&, size_t, size_t)>& visit) const;
    /// The connection behind a descriptor; a stale id if there is none.
    stack::ConnectionId connection(int descriptor) const;

    // ---- stack::Application
    stack::Room room(stack::Worker&, const wire::SocketAddress& local) override;
    void on_established(stack::Worker&, stack::ConnectionId id) override;
    size_t on_data(stack::Worker&, stack::ConnectionId id, std::span<const uint8_t> data) override;
    void on_peer_closed(stack::Worker&, stack::ConnectionId id) override;
    void on_report(stack::Worker&, stack::ConnectionId id, tcp::Report report) override;
    void on_urgent(stack::Worker&, stack::ConnectionId id, uint32_t bytes) override;
    void on_writable(stack::Worker&, stack::ConnectionId id) override;
    void on_closed(stack::Worker&, stack::ConnectionId id, tcp::CloseReason reason) override;
    tcp::History* history(stack::Worker&, stack::ConnectionId id) override;

  private:
    using SocketPtr = std::shared_ptr<Socket>;
    using WatchSetPtr = std::shared_ptr<WatchSet>;
    using Descriptor = std::variant<SocketPtr, WatchSetPtr>;

    // ---- life.cpp
    int install(Descriptor what);
    void forget(int descriptor);
    /// The socket of a descriptor, or null with -EBADF or -ENOTSOCK in `failure`.
    SocketPtr find(int descriptor, int& failure) const;
    Socket* socket_of(stack::ConnectionId id) const;
    /// Waits until `done`; 0, -EAGAIN when `limit` is over, -EINTR.
    int wait_until(const std::function<bool()>& done, Duration limit);
    std::optional<Instant> deadline_after(Duration limit) const;
    void let_go(Socket& socket);
    void refuse_text(Socket& socket);
    void linger(Socket& socket);
    void stop_listening(Socket& socket);
    void disconnect(Socket& socket);

    // ---- opening.cpp
    bool is_bindable(const Socket& socket, const wire::SocketAddress& address) const;
    int choose_port(Socket& socket);
    tl::expected<wire::SocketAddress, int> peer_named(const Socket& socket, const sockaddr* address,
                                                      socklen_t length) const;
    int open(Socket& socket, const wire::SocketAddress& remote, bool fast_open = false);
    /// connect() and send in one (MSG_FASTOPEN): returns how much the SYN carries, or -errno.
    ssize_t open_with_data(Socket& socket, const wire::SocketAddress& remote,
                           std::span<const iovec> pieces);
    int await_connection(const SocketPtr& socket);
    /// For the call that says why the last attempt failed.
    static int tell_failure(Socket& socket);
    tl::expected<uint16_t, int> profile_number(const Socket& socket);

    // ---- transfer.cpp
    ssize_t receive(int descriptor, std::span<const iovec> pieces, int flags);
    size_t take(Socket& socket, std::span<const iovec> pieces, size_t skip, bool consume);
    size_t pass_over(Socket& socket, size_t count, bool consume);
    ssize_t transmit(int descriptor, std::span<const iovec> pieces, int flags,
                     const sockaddr* address = nullptr, socklen_t length = 0);
    ssize_t transmit(const SocketPtr& socket, std::span<const iovec> pieces, size_t sent,
                     int flags);
    ssize_t transmit_early(const SocketPtr& socket, std::span<const iovec> pieces, int flags,
                           const sockaddr* address, socklen_t length);
    size_t unread(const Socket& socket) const;
    /// Who answers at once has ACKs leave with the answers.
    void note_answer(Socket& socket);
    /// How much of `wanted` a send may take, for what TCP_NOTSENT_LOWAT says.
    size_t unsent_room(const Socket& socket, size_t wanted) const;
    /// Nothing comes after the unread bytes: the peer's FIN has arrived, or shutdown was called.
    bool receives_no_more(const Socket& socket) const;
    /// What a call gets once nothing more comes: 0 at the end of the stream, else what has ended
    /// it.
    static int how_receiving_ended(Socket& socket);
    ssize_t wait_and_take(Socket& socket, std::span<const iovec> pieces, int flags);

    // ---- options.cpp
    int set_socket_option(Socket& socket, int name, const void* value, socklen_t length);
    int set_tcp_option(Socket& socket, int name, const void* value, socklen_t length);
    int set_congestion(Socket& socket, const void* value, socklen_t length);
    int set_of_calls(Socket& socket, int name, int n);
    int set_of_protocol(Socket& socket, int name, int n);
    int apply(Socket& socket, const tcp::Profile& profile);

    // ---- polling.cpp
    uint32_t readiness(const Socket& socket) const;
    bool is_writable(const Socket& socket) const;
    uint32_t readiness_of(int descriptor) const;
    int collect(WatchSet& set, std::span<epoll_event> events);

    // ---- events.cpp
    /// Nobody accepts: one more than the backlog waits, as Linux counts.
    static bool is_full(const Socket& listener);
    Socket* listener_for(const wire::SocketAddress& local) const;

    stack::Worker& worker_;
    Host& host_;
    SocketsConfig config_;
    std::unordered_map<int, Descriptor> descriptors_;
};

}  // namespace synfin::socket
