// A socket's beginning and its end: socket, shutdown, close.
#include <algorithm>

#include <fcntl.h>
#include <netinet/in.h>

#include <synfin/socket/addresses.hpp>
#include <synfin/socket/sockets.hpp>

namespace synfin::socket {

Sockets::Sockets(stack::Worker& worker, Host& host, const SocketsConfig& config)
    : worker_{worker}, host_{host}, config_{config} {
    worker_.set_historian(this);
}

// The worker may live on, so none of its connections may name a socket of ours any more.
Sockets::~Sockets() {
    worker_.set_historian(nullptr);
    for (auto& [descriptor, what] : descriptors_) {
        if (const SocketPtr* socket = std::get_if<SocketPtr>(&what)) {
            if ((*socket)->role == Role::listening) stop_listening(**socket);
            disconnect(**socket);
        }
    }
}

int Sockets::install(Descriptor what) {
    if (descriptors_.size() >= config_.max_descriptors) return -EMFILE;
    const int descriptor = host_.open_descriptor();
    if (descriptor < 0) return descriptor;
    // A number that comes again was closed where we could not see it.
    forget(descriptor);
    descriptors_.emplace(descriptor, std::move(what));
    return descriptor;
}

void Sockets::forget(int descriptor) {
    const auto found = descriptors_.find(descriptor);
    if (found == descriptors_.end()) return;
    const Descriptor what = std::move(found->second);
    descriptors_.erase(found);
    if (const SocketPtr* socket = std::get_if<SocketPtr>(&what)) let_go(**socket);
}

Sockets::SocketPtr Sockets::find(int descriptor, int& failure) const {
    const auto found = descriptors_.find(descriptor);
    if (found == descriptors_.end()) {
        failure = -EBADF;
        return nullptr;
    }
    const SocketPtr* socket = std::get_if<SocketPtr>(&found->second);
    if (socket == nullptr) {
        failure = -ENOTSOCK;
        return nullptr;
    }
    return *socket;
}

stack::ConnectionId Sockets::connection(int descriptor) const {
    int failure = 0;
    const SocketPtr socket = find(descriptor, failure);
    return socket == nullptr ? stack::ConnectionId{} : socket->id;
}

void Sockets::for_each_listener(
    const std::function<void(const wire::SocketAddress&, size_t, size_t)>& visit) const {
    for (const auto& [descriptor, what] : descriptors_) {
        const SocketPtr* socket = std::get_if<SocketPtr>(&what);
        if (socket == nullptr || (*socket)->role != Role::listening) continue;
        visit((*socket)->local, (*socket)->accept_queue.size(), (*socket)->backlog);
    }
}

std::optional<Instant> Sockets::deadline_after(Duration limit) const {
    if (limit >= Duration::forever()) return std::nullopt;
    return worker_.now() + limit;
}

int Sockets::wait_until(const std::function<bool()>& done, Duration limit) {
    const std::optional<Instant> deadline = deadline_after(limit);
    while (!done()) {
        if (deadline && worker_.now() >= *deadline) return -EAGAIN;
        if (!host_.wait(deadline)) return -EINTR;
    }
    return 0;
}

int Sockets::socket(int domain, int type, int protocol) {
    const int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (domain != AF_INET && domain != AF_INET6) return -EAFNOSUPPORT;
    if (kind != SOCK_STREAM) return -ESOCKTNOSUPPORT;
    if (protocol != 0 && protocol != IPPROTO_TCP) return -EPROTONOSUPPORT;
    auto socket = std::make_shared<Socket>();
    socket->domain = domain;
    socket->non_blocking = (type & SOCK_NONBLOCK) != 0;
    socket->profile = worker_.profile(uint16_t{0});
    return install(std::move(socket));
}

// ---- shutdown

int Sockets::shutdown(int descriptor, int how) {
    int failure = 0;
    const SocketPtr socket = find(descriptor, failure);
    if (socket == nullptr) return failure;
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return -EINVAL;
    const bool reading = how != SHUT_WR;
    const bool writing = how != SHUT_RD;
    switch (socket->role) {
        case Role::fresh:
        case Role::ended: return -ENOTCONN;
        case Role::listening:
            if (reading) {
                stop_listening(*socket);
                socket->role = Role::fresh;
            }
            break;
        case Role::awaiting_data: socket->role = Role::fresh; break;
        case Role::connecting:
            // There is no half of an attempt: it ends, and whoever waits for it is told so.
            disconnect(*socket);
            socket->role = Role::fresh;
            socket->error = ECONNRESET;
            break;
        case Role::connected:
            if (reading) socket->receive_ended = true;
            if (writing) {
                socket->send_ended = true;
                worker_.shutdown_send(socket->id);
            }
            if (socket->receive_ended && socket->send_ended) refuse_text(*socket);
            break;
    }
    ++socket->happenings;
    return 0;
}

// ---- close

int Sockets::close(int descriptor) {
    if (!knows(descriptor)) return -EBADF;
    host_.close_descriptor(descriptor);
    forget(descriptor);
    return 0;
}

void Sockets::let_go(Socket& socket) {
    ++socket.happenings;
    switch (socket.role) {
        case Role::listening: stop_listening(socket); break;
        case Role::awaiting_data: disconnect(socket); break;
        case Role::connecting:
            // The peer's SYN has crossed ours: it knows of us, and gets a FIN.
            if (worker_.state(socket.id) != tcp::State::syn_received) {
                disconnect(socket);
                break;
            }
            [[fallthrough]];
        case Role::connected:
            if (socket.lingers && socket.linger_time == Duration{}) {
                disconnect(socket);
                break;
            }
            worker_.close(socket.id);
            if (socket.lingers) linger(socket);
            worker_.set_user_data(socket.id, 0);
            break;
        case Role::fresh:
        case Role::ended: break;
    }
    socket.role = Role::ended;
}

// Where no profile is left for it, on_data does, if less exactly.
void Sockets::refuse_text(Socket& socket) {
    tcp::Profile profile = socket.profile;
    profile.refuses_text_after_fin = true;
    static_cast<void>(apply(socket, profile));
}

// SO_LINGER: close() returns when all that was queued has been acknowledged, our FIN included.
void Sockets::linger(Socket& socket) {
    const auto sent = [&] {
        const tcp::State state = worker_.state(socket.id);
        return state != tcp::State::fin_wait_1 && state != tcp::State::closing &&
               state != tcp::State::last_ack && state != tcp::State::syn_received;
    };
    wait_until(sent, socket.linger_time);
}

// RST where the peer knows of us.
void Sockets::disconnect(Socket& socket) {
    if (!worker_.is_open(socket.id)) return;
    worker_.set_user_data(socket.id, 0);
    worker_.abort(socket.id);
    socket.id = {};
}

void Sockets::stop_listening(Socket& socket) {
    worker_.close_listener(socket.local);
    for (const SocketPtr& waiting : socket.accept_queue) disconnect(*waiting);
    socket.accept_queue.clear();
}

}  // namespace synfin::socket
