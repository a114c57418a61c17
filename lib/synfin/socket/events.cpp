// What the worker tells of its connections, turned into what sockets remember.
#include <algorithm>
#include <bit>

#include <synfin/socket/sockets.hpp>

namespace synfin::socket {

using stack::ConnectionId;
using stack::Worker;
using tcp::CloseReason;

Socket* Sockets::socket_of(ConnectionId id) const {
    return std::bit_cast<Socket*>(worker_.user_data(id));
}

Socket* Sockets::listener_for(const wire::SocketAddress& local) const {
    Socket* any = nullptr;
    for (const auto& [descriptor, what] : descriptors_) {
        const SocketPtr* socket = std::get_if<SocketPtr>(&what);
        if (socket == nullptr || (*socket)->role != Role::listening ||
            (*socket)->local.port != local.port) {
            continue;
        }
        if ((*socket)->local.address == local.address) return socket->get();
        if ((*socket)->local.address.is_unspecified()) any = socket->get();
    }
    return any;
}

bool Sockets::is_full(const Socket& listener) {
    return listener.accept_queue.size() > listener.backlog;
}

stack::Room Sockets::room(Worker&, const wire::SocketAddress& local) {
    const Socket* listener = listener_for(local);
    const bool is_refused = listener != nullptr && !config_.reset_on_overflow && is_full(*listener);
    return is_refused ? stack::Room::none : stack::Room::some;
}

namespace {

bool is_closed_by_us(tcp::State state) {
    switch (state) {
        case tcp::State::fin_wait_1:
        case tcp::State::fin_wait_2:
        case tcp::State::closing:
        case tcp::State::last_ack:
        case tcp::State::time_wait: return true;
        default: return false;
    }
}

// As on Linux: before anything is sent or received, the handshake counts for it.
void begin_times(Socket& socket, Instant now) {
    tcp::History& h = socket.history;
    h.text_out_at = h.text_in_at = h.ack_in_at = now;
}

}  // namespace

tcp::History* Sockets::history(Worker&, ConnectionId id) {
    Socket* socket = socket_of(id);
    return socket == nullptr ? nullptr : &socket->history;
}

void Sockets::on_established(Worker& worker, ConnectionId id) {
    if (Socket* socket = socket_of(id)) {  // our connect() has succeeded
        socket->role = Role::connected;
        begin_times(*socket, worker.now());
        ++socket->happenings;
        return;
    }
    if (is_closed_by_us(worker.state(id))) return;  // while the SYNs crossed
    Socket* listener = listener_for(worker.local(id));
    if (listener == nullptr || is_full(*listener)) return worker.abort(id);
    auto socket = std::make_shared<Socket>(*listener);
    socket->accept_queue.clear();
    socket->role = Role::connected;
    socket->connect_reported = true;
    socket->local = worker.local(id);
    socket->remote = worker.remote(id);
    socket->id = id;
    socket->history.segments_in = 2;  // the handshake's
    begin_times(*socket, worker.now());
    worker.set_user_data(id, static_cast<uint64_t>(reinterpret_cast<uintptr_t>(socket.get())));
    listener->accept_queue.push_back(std::move(socket));
    ++listener->happenings;
}

// Nothing is taken here: bytes wait in the connection, where they count against its window.
size_t Sockets::on_data(Worker& worker, ConnectionId id, std::span<const uint8_t>) {
    Socket* socket = socket_of(id);
    if (socket == nullptr) return 0;
    // After shutdown of both directions nobody will ever read this (SHLD-3).
    if (socket->receive_ended && socket->send_ended) {
        worker.abort(id);
        return 0;
    }
    ++socket->happenings;
    socket->text_came = worker.now();
    return 0;
}

void Sockets::on_peer_closed(Worker&, ConnectionId id) {
    Socket* socket = socket_of(id);
    if (socket == nullptr) return;
    socket->receive_ended = socket->peer_finished = true;
    ++socket->happenings;
}

void Sockets::on_urgent(Worker&, ConnectionId id, uint32_t bytes) {
    Socket* socket = socket_of(id);
    if (socket == nullptr) return;
    socket->urgent_bytes = bytes;
    ++socket->happenings;
}

void Sockets::on_writable(Worker&, ConnectionId id) {
    if (Socket* socket = socket_of(id)) ++socket->happenings;
}

namespace {

int errno_of(tcp::Report report, bool over_ipv6) {
    switch (report) {
        case tcp::Report::none:
        case tcp::Report::retrying: return 0;
        case tcp::Report::network_unreachable:
        case tcp::Report::network_prohibited: return ENETUNREACH;
        case tcp::Report::host_prohibited: return over_ipv6 ? EACCES : EHOSTUNREACH;
        case tcp::Report::host_unreachable:
        case tcp::Report::time_exceeded: return EHOSTUNREACH;
        case tcp::Report::source_route_failed: return EOPNOTSUPP;
        case tcp::Report::parameter_problem: return EPROTO;
        case tcp::Report::protocol_unreachable: return ENOPROTOOPT;
        case tcp::Report::port_unreachable: return ECONNREFUSED;
    }
    return 0;
}

int errno_of(CloseReason reason, bool after_peers_fin, int soft_error) {
    switch (reason) {
        case CloseReason::none:
        case CloseReason::finished: return 0;
        case CloseReason::refused: return ECONNREFUSED;
        case CloseReason::reset: return after_peers_fin ? EPIPE : ECONNRESET;
        case CloseReason::timed_out: return soft_error != 0 ? soft_error : ETIMEDOUT;
        // Not by a call of the socket's, or nobody would be told: by text that nobody would read.
        case CloseReason::aborted: return ECONNRESET;
        case CloseReason::unreachable: return soft_error != 0 ? soft_error : EHOSTUNREACH;
        case CloseReason::no_resources: return ENOBUFS;
    }
    return 0;
}

}  // namespace

void Sockets::on_report(Worker& worker, ConnectionId id, tcp::Report report) {
    Socket* socket = socket_of(id);
    if (socket == nullptr) return;
    const int error = errno_of(report, socket->remote.address.is_v6());
    if (error == 0) return;
    socket->soft_error = error;
    socket->soft_error_came = worker.now();
}

void Sockets::on_closed(Worker& worker, ConnectionId id, CloseReason reason) {
    Socket* socket = socket_of(id);
    if (socket == nullptr) return;
    const bool attempt = socket->role == Role::connecting;
    const bool only_peer_ended = socket->peer_finished && !socket->send_ended;
    socket->attempt_failed = attempt;
    socket->error = errno_of(reason, only_peer_ended, socket->trouble());
    socket->role = attempt ? Role::fresh : Role::ended;
    if (attempt && !socket->bound) socket->local = {};
    socket->receive_ended = socket->send_ended = true;
    ++socket->happenings;
    // What has arrived can still be read, whatever ended the connection.
    socket->rest.resize(worker.unread_bytes(id));
    socket->rest.resize(worker.peek(id, socket->rest));
    socket->rest_read = 0;
    socket->id = {};
}

}  // namespace synfin::socket
