// How sockets get their connections: bind, listen, accept, connect.
#include <algorithm>

#include <netinet/in.h>

#include <synfin/socket/addresses.hpp>
#include <synfin/socket/sockets.hpp>

namespace synfin::socket {

namespace {

int errno_of(stack::Error error) {
    switch (error) {
        case stack::Error::address_not_available: return EADDRNOTAVAIL;
        case stack::Error::address_in_use: return EADDRINUSE;
        case stack::Error::no_resources: return ENOBUFS;
        case stack::Error::unreachable: return ENETUNREACH;
        case stack::Error::invalid: return ENETUNREACH;
        case stack::Error::stale: return ENOTCONN;
    }
    return EINVAL;
}

bool overlap(const wire::SocketAddress& a, const wire::SocketAddress& b) {
    return a.port == b.port &&
           (a.address == b.address || a.address.is_unspecified() || b.address.is_unspecified());
}

}  // namespace

// ---- bind

// What stands on the port already: sockets, which may agree to share it, and connections that
// outlive theirs (TIME_WAIT above all), which only SO_REUSEADDR passes over.
bool Sockets::is_bindable(const Socket& socket, const wire::SocketAddress& address) const {
    for (const auto& [descriptor, what] : descriptors_) {
        const SocketPtr* other = std::get_if<SocketPtr>(&what);
        if (other == nullptr || other->get() == &socket || !(*other)->bound) continue;
        if (!overlap((*other)->local, address)) continue;
        const bool shared =
            (*other)->reuse_address && socket.reuse_address && (*other)->role != Role::listening;
        if (!shared) return false;
    }
    if (socket.reuse_address) return true;
    bool in_use = false;
    worker_.for_each_connection(
        [&](const stack::ConnectionInfo& info) { in_use = in_use || overlap(info.local, address); },
        worker_.now());
    return !in_use;
}

int Sockets::bind(int descriptor, const sockaddr* address, socklen_t length) {
    int failure = 0;
    const SocketPtr socket = find(descriptor, failure);
    if (socket == nullptr) return failure;
    const auto wanted = from_sockaddr(address, length);
    if (!wanted)
        return address != nullptr && length < sizeof(sockaddr_in) ? -EINVAL : -EAFNOSUPPORT;
    if (socket->domain == AF_INET && wanted->address.is_v6()) return -EAFNOSUPPORT;
    if (socket->bound || socket->role != Role::fresh) return -EINVAL;
    if (!wanted->address.is_unspecified() && !worker_.owns(wanted->address)) return -EADDRNOTAVAIL;
    if (wanted->port != 0 && !is_bindable(*socket, *wanted)) return -EADDRINUSE;
    socket->local = *wanted;
    socket->bound = true;
    return 0;
}

// A listener needs a port at once; which one is as good as any other, so the search begins where
// the number of descriptors says.
int Sockets::choose_port(Socket& socket) {
    constexpr uint16_t first = 32768;
    constexpr uint32_t count = 28232;
    for (uint32_t i = 0; i < count; ++i) {
        const auto offset = static_cast<uint16_t>((descriptors_.size() + i) % count);
        const wire::SocketAddress candidate{socket.local.address,
                                            static_cast<uint16_t>(first + offset)};
        if (!is_bindable(socket, candidate)) continue;
        socket.local = candidate;
        socket.bound = true;
        return 0;
    }
    return -EADDRINUSE;
}

tl::expected<uint16_t, int> Sockets::profile_number(const Socket& socket) {
    const auto number = worker_.take_profile(socket.profile);
    if (!number) return tl::unexpected{errno_of(number.error())};
    return *number;
}

// ---- listen and accept

int Sockets::listen(int descriptor, int backlog) {
    int failure = 0;
    const SocketPtr socket = find(descriptor, failure);
    if (socket == nullptr) return failure;
    if (socket->role != Role::fresh && socket->role != Role::listening) return -EINVAL;
    const uint32_t wanted = backlog < 0 ? config_.max_backlog : static_cast<uint32_t>(backlog);
    socket->backlog = std::min(wanted, config_.max_backlog);
    if (socket->role == Role::listening) return 0;
    if (socket->local.port == 0) {
        if (const int refused = choose_port(*socket); refused != 0) return refused;
    }
    const auto profile = profile_number(*socket);
    if (!profile) return -profile.error();
    const auto listening = worker_.listen(socket->local, *this,
                                          {.profile = *profile,
                                           .backlog = std::max(socket->backlog, 1u),
                                           .syn_cookies = config_.syn_cookies,
                                           .fast_open = socket->fast_open});
    worker_.release_profile(*profile);
    if (!listening) return -errno_of(listening.error());
    socket->bound = true;
    socket->role = Role::listening;
    return 0;
}

int Sockets::accept(int descriptor, sockaddr* address, socklen_t* length, int flags) {
    int failure = 0;
    const SocketPtr socket = find(descriptor, failure);
    if (socket == nullptr) return failure;
    if ((flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != 0) return -EINVAL;
    if (socket->role != Role::listening) return -EINVAL;
    if (socket->accept_queue.empty()) {
        if (socket->non_blocking) return -EAGAIN;
        const auto done = [&] {
            return !socket->accept_queue.empty() || socket->role != Role::listening;
        };
        if (const int waited = wait_until(done, socket->receive_timeout); waited != 0)
            return waited;
        if (socket->role != Role::listening) return -EINVAL;
    }
    const SocketPtr accepted = socket->accept_queue.front();
    const int number = install(accepted);
    if (number < 0) return number;
    socket->accept_queue.pop_front();
    accepted->non_blocking = (flags & SOCK_NONBLOCK) != 0;
    to_sockaddr(accepted->remote, accepted->domain, address, length);
    return number;
}

// ---- connect

tl::expected<wire::SocketAddress, int> Sockets::peer_named(const Socket& socket,
                                                           const sockaddr* address,
                                                           socklen_t length) const {
    if (address == nullptr || length < sizeof(sa_family_t)) return tl::unexpected{EINVAL};
    const auto remote = from_sockaddr(address, length);
    if (!remote) return tl::unexpected{address->sa_family == AF_INET ? EINVAL : EAFNOSUPPORT};
    if (socket.domain == AF_INET && remote->address.is_v6()) return tl::unexpected{EAFNOSUPPORT};
    return *remote;
}

int Sockets::open(Socket& socket, const wire::SocketAddress& remote, bool fast_open) {
    const auto profile = profile_number(socket);
    if (!profile) return -profile.error();
    const auto id =
        worker_.connect(remote, *this,
                        {.source = socket.local.address,
                         .source_port = socket.local.port,
                         .profile = *profile,
                         .user_data = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(&socket)),
                         .fast_open = fast_open});
    worker_.release_profile(*profile);
    if (!id) return -errno_of(id.error());
    socket.id = *id;
    socket.local = worker_.local(*id);
    socket.remote = remote;
    socket.role = Role::connecting;
    socket.error = socket.soft_error = 0;
    socket.receive_ended = socket.send_ended = false;
    socket.connect_reported = socket.peer_finished = false;
    socket.bytes_read = 0;
    socket.history = {};
    socket.urgent_bytes = 0;
    socket.rest.clear();
    socket.rest_read = 0;
    return 0;
}

int Sockets::connect(int descriptor, const sockaddr* address, socklen_t length) {
    int failure = 0;
    const SocketPtr socket = find(descriptor, failure);
    if (socket == nullptr) return failure;
    if (address == nullptr || length < sizeof(sa_family_t)) return -EINVAL;
    if (address->sa_family == AF_UNSPEC) {
        if (socket->role == Role::listening) stop_listening(*socket);
        disconnect(*socket);
        socket->role = Role::fresh;
        if (!socket->bound) socket->local = {};
        return 0;
    }
    switch (socket->role) {
        case Role::listening:
        case Role::awaiting_data: return -EISCONN;
        case Role::connecting: return socket->non_blocking ? -EALREADY : await_connection(socket);
        case Role::connected:
            if (socket->connect_reported) return -EISCONN;
            socket->connect_reported = true;
            return 0;
        case Role::ended:
            // If nobody has heard that it stood, the attempt has failed, and may be made again.
            return socket->connect_reported ? -EISCONN : tell_failure(*socket);
        case Role::fresh: break;
    }
    if (socket->attempt_failed) return tell_failure(*socket);
    const auto remote = peer_named(*socket, address, length);
    if (!remote) return -remote.error();
    if (socket->fast_open_connect &&
        worker_.early_data_room(socket->local.address, remote->address, socket->profile) > 0) {
        socket->remote = *remote;
        socket->role = Role::awaiting_data;
        return 0;
    }
    if (const int refused = open(*socket, *remote, socket->fast_open_connect); refused != 0) {
        return refused;
    }
    return socket->non_blocking ? -EINPROGRESS : await_connection(socket);
}

// Once it is told, the socket is as it was before.
int Sockets::tell_failure(Socket& socket) {
    socket.role = Role::fresh;
    if (!socket.bound) socket.local = {};
    socket.attempt_failed = false;
    socket.receive_ended = socket.send_ended = socket.peer_finished = false;
    socket.rest.clear();
    socket.rest_read = 0;
    return socket.error == 0 ? -ECONNABORTED : -std::exchange(socket.error, 0);
}

int Sockets::await_connection(const SocketPtr& socket) {
    const auto done = [&] { return socket->role != Role::connecting; };
    const int waited = wait_until(done, socket->send_timeout);
    if (waited != 0) return waited == -EAGAIN ? -EINPROGRESS : waited;
    if (socket->error != 0 || socket->role == Role::fresh) return tell_failure(*socket);
    socket->connect_reported = true;
    return 0;
}

// ---- names

int Sockets::getsockname(int descriptor, sockaddr* address, socklen_t* length) {
    int failure = 0;
    const SocketPtr socket = find(descriptor, failure);
    if (socket == nullptr) return failure;
    to_sockaddr(socket->local, socket->domain, address, length);
    return 0;
}

int Sockets::getpeername(int descriptor, sockaddr* address, socklen_t* length) {
    int failure = 0;
    const SocketPtr socket = find(descriptor, failure);
    if (socket == nullptr) return failure;
    if (socket->role != Role::connected) return -ENOTCONN;
    to_sockaddr(socket->remote, socket->domain, address, length);
    return 0;
}

}  // namespace synfin::socket
