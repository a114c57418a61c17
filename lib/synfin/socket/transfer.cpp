// The read and the write families.
#include <algorithm>
#include <cstring>
#include <limits>

#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/uio.h>

#include <synfin/socket/addresses.hpp>
#include <synfin/socket/sockets.hpp>

namespace synfin::socket {

namespace {

size_t total(std::span<const iovec> pieces) {
    size_t bytes = 0;
    for (const iovec& piece : pieces) bytes += piece.iov_len;
    return bytes;
}

// What is left of the pieces behind the first `skip` bytes, one stretch at a time.
std::span<uint8_t> stretch_at(std::span<const iovec> pieces, size_t skip) {
    for (const iovec& piece : pieces) {
        if (skip < piece.iov_len) {
            return {static_cast<uint8_t*>(piece.iov_base) + skip, piece.iov_len - skip};
        }
        skip -= piece.iov_len;
    }
    return {};
}

iovec piece_of(const void* buffer, size_t count) { return {const_cast<void*>(buffer), count}; }

bool has_memory(std::span<const iovec> pieces) {
    return std::none_of(pieces.begin(), pieces.end(), [](const iovec& piece) {
        return piece.iov_base == nullptr && piece.iov_len > 0;
    });
}

/// 0, or why they cannot be read: too many (`too_many`, which depends on the call), nowhere, or
/// longer than a result can say.
int judge(const iovec* pieces, size_t count, int too_many) {
    if (count > IOV_MAX) return -too_many;
    if (count > 0 && pieces == nullptr) return -EFAULT;
    auto room = static_cast<size_t>(std::numeric_limits<ssize_t>::max());
    for (const iovec& piece : std::span{pieces, count}) {
        if (piece.iov_len > room) return -EINVAL;
        room -= piece.iov_len;
    }
    return 0;
}
int judge(const msghdr* message) {
    return message == nullptr ? -EFAULT : judge(message->msg_iov, message->msg_iovlen, EMSGSIZE);
}

}  // namespace

// ---- receiving

size_t Sockets::unread(const Socket& socket) const {
    return socket.unread_rest() + worker_.unread_bytes(socket.id);
}

// The worker tells of the FIN when all before it has been read; its state knows it at once.
bool Sockets::receives_no_more(const Socket& socket) const {
    if (socket.receive_ended) return true;
    switch (worker_.state(socket.id)) {
        case tcp::State::close_wait:
        case tcp::State::closing:
        case tcp::State::last_ack:
        case tcp::State::time_wait: return true;
        default: return false;
    }
}

// MSG_TRUNC on a stream: as many bytes as there is room for are passed over, and none is copied.
size_t Sockets::pass_over(Socket& socket, size_t count, bool consume) {
    const size_t passed = std::min(unread(socket), count);
    if (!consume) return passed;
    const size_t of_rest = std::min(passed, socket.unread_rest());
    socket.rest_read += of_rest;
    worker_.consume(socket.id, passed - of_rest);
    return passed;
}

/// Copies what is there behind the first `skip` bytes of the pieces; with `consume`, for good.
size_t Sockets::take(Socket& socket, std::span<const iovec> pieces, size_t skip, bool consume) {
    if (socket.role == Role::connected && !consume) {
        std::vector<uint8_t> all(std::min<size_t>(unread(socket), total(pieces)));
        all.resize(worker_.peek(socket.id, all));
        for (size_t done = 0; done < all.size();) {
            const auto stretch = stretch_at(pieces, done);
            const size_t count = std::min(stretch.size(), all.size() - done);
            std::memcpy(stretch.data(), &all[done], count);
            done += count;
        }
        return all.size();
    }
    size_t taken = 0;
    size_t rest_read = socket.rest_read;
    while (true) {
        const std::span<uint8_t> into = stretch_at(pieces, skip + taken);
        const std::span<const uint8_t> from =
            rest_read < socket.rest.size()
                ? std::span<const uint8_t>{socket.rest}.subspan(rest_read)
                : worker_.unread(socket.id);
        const size_t count = std::min(into.size(), from.size());
        if (count == 0) break;
        std::memcpy(into.data(), from.data(), count);
        taken += count;
        if (rest_read < socket.rest.size()) {
            rest_read += count;
        } else {
            worker_.consume(socket.id, count);
        }
    }
    if (consume) socket.rest_read = rest_read;
    return taken;
}

// What the peer has finished is complete, whatever happened afterwards.
int Sockets::how_receiving_ended(Socket& socket) {
    if (socket.peer_finished) return 0;
    if (socket.error != 0) return -std::exchange(socket.error, 0);
    return socket.receive_ended ? 0 : -ENOTCONN;
}

ssize_t Sockets::wait_and_take(Socket& socket, std::span<const iovec> pieces, int flags) {
    const bool discards = (flags & MSG_TRUNC) != 0;
    const bool consume = (flags & MSG_PEEK) == 0;
    const bool whole = (flags & MSG_WAITALL) != 0;
    const bool waits = !socket.non_blocking && (flags & MSG_DONTWAIT) == 0;
    const size_t wanted = total(pieces);
    const size_t low_water =
        std::max<size_t>(whole ? wanted : std::min<size_t>(socket.receive_low_water, wanted), 1);
    const std::optional<Instant> deadline = deadline_after(socket.receive_timeout);

    size_t received = 0;
    const auto received_or = [&received](ssize_t otherwise) {
        return received > 0 ? static_cast<ssize_t>(received) : otherwise;
    };
    while (true) {
        if (!consume) received = 0;
        if (unread(socket) > 0 && (wanted == 0 || received < wanted)) {
            received += discards ? pass_over(socket, wanted - received, consume)
                                 : take(socket, pieces, received, consume);
            if (wanted == 0) return 0;
        }
        if (received > 0 && (received >= low_water || received == wanted)) return received_or(0);
        if (socket.role == Role::ended || socket.role == Role::fresh) {
            return received > 0 ? received_or(0) : how_receiving_ended(socket);
        }
        if (receives_no_more(socket)) return received_or(0);
        if (!waits || (deadline && worker_.now() >= *deadline)) return received_or(-EAGAIN);
        if (!host_.wait(deadline)) return received_or(-EINTR);
    }
}

ssize_t Sockets::receive(int descriptor, std::span<const iovec> pieces, int flags) {
    int failure = 0;
    const SocketPtr socket = find(descriptor, failure);
    if (socket == nullptr) return failure;
    if (socket->role == Role::listening) return -ENOTCONN;
    if ((flags & MSG_TRUNC) == 0 && !has_memory(pieces)) return -EFAULT;
    // Urgent bytes come in their place in the stream, never apart from it (RFC 6093).
    if ((flags & MSG_OOB) != 0) return -EINVAL;
    if ((flags & MSG_ERRQUEUE) != 0) return -EAGAIN;
    const ssize_t received = wait_and_take(*socket, pieces, flags);
    if (received > 0 && (flags & MSG_PEEK) == 0) {
        socket->bytes_read += static_cast<uint64_t>(received);
        socket->urgent_bytes -= std::min(socket->urgent_bytes, static_cast<uint32_t>(received));
    }
    return received;
}

// Unlike recv, read does not wait for anything if nothing is asked for.
ssize_t Sockets::read(int descriptor, void* buffer, size_t count) {
    const iovec piece = piece_of(buffer, count);
    return readv(descriptor, &piece, 1);
}
ssize_t Sockets::readv(int descriptor, const iovec* pieces, int count) {
    int failure = judge(pieces, static_cast<size_t>(count), EINVAL);
    if (failure != 0 || find(descriptor, failure) == nullptr) return failure;
    if (total({pieces, static_cast<size_t>(count)}) == 0) return 0;
    return receive(descriptor, {pieces, static_cast<size_t>(count)}, 0);
}
ssize_t Sockets::recv(int descriptor, void* buffer, size_t count, int flags) {
    const iovec piece = piece_of(buffer, count);
    return receive(descriptor, {&piece, 1}, flags);
}
// A stream names no sender.
ssize_t Sockets::recvfrom(int descriptor, void* buffer, size_t count, int flags, sockaddr*,
                          socklen_t* length) {
    const ssize_t result = recv(descriptor, buffer, count, flags);
    if (result >= 0 && length != nullptr) *length = 0;
    return result;
}
ssize_t Sockets::recvmsg(int descriptor, msghdr* message, int flags) {
    int failure = judge(message);
    if (failure != 0) return failure;
    const ssize_t result = receive(descriptor, {message->msg_iov, message->msg_iovlen}, flags);
    if (result < 0) return result;
    message->msg_namelen = 0;
    message->msg_flags = 0;
    const SocketPtr socket = find(descriptor, failure);
    size_t control = 0;
    if (socket != nullptr && socket->give_queued_bytes &&
        message->msg_controllen >= CMSG_SPACE(sizeof(int))) {
        cmsghdr* header = CMSG_FIRSTHDR(message);
        header->cmsg_level = IPPROTO_TCP;
        header->cmsg_type = TCP_CM_INQ;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        const int queued = static_cast<int>(unread(*socket)) + (receives_no_more(*socket) ? 1 : 0);
        std::memcpy(CMSG_DATA(header), &queued, sizeof queued);
        control = CMSG_SPACE(sizeof(int));
    }
    message->msg_controllen = control;
    return result;
}

// ---- sending

// An address counts for MSG_FASTOPEN only: a stream that stands ignores it (Linux says EISCONN for
// datagrams only).
ssize_t Sockets::transmit(int descriptor, std::span<const iovec> pieces, int flags,
                          const sockaddr* address, socklen_t length) {
    int failure = 0;
    const SocketPtr socket = find(descriptor, failure);
    if (socket == nullptr) return failure;
    if (!has_memory(pieces)) return -EFAULT;
    if ((flags & MSG_FASTOPEN) != 0 || socket->role == Role::awaiting_data) {
        return transmit_early(socket, pieces, flags, address, length);
    }
    return transmit(socket, pieces, 0, flags);
}

ssize_t Sockets::open_with_data(Socket& socket, const wire::SocketAddress& remote,
                                std::span<const iovec> pieces) {
    if (const int refused = open(socket, remote, true); refused != 0) return refused;
    const size_t room =
        worker_.early_data_room(socket.local.address, remote.address, worker_.profile(socket.id));
    size_t sent = 0;
    while (sent < room) {
        const std::span<uint8_t> stretch = stretch_at(pieces, sent);
        const size_t count = std::min(stretch.size(), room - sent);
        const size_t taken = worker_.send(socket.id, stretch.first(count));
        sent += taken;
        if (taken == 0) break;
    }
    return static_cast<ssize_t>(sent);
}

// connect() and the first send in one: what the SYN does not take waits for the handshake.
ssize_t Sockets::transmit_early(const SocketPtr& socket, std::span<const iovec> pieces, int flags,
                                const sockaddr* address, socklen_t length) {
    const bool waits = !socket->non_blocking && (flags & MSG_DONTWAIT) == 0;
    wire::SocketAddress remote = socket->remote;
    switch (socket->role) {
        case Role::fresh: {
            if (address != nullptr && length >= sizeof(sa_family_t) &&
                address->sa_family == AF_UNSPEC) {
                return -EOPNOTSUPP;
            }
            const auto named = peer_named(*socket, address, length);
            if (!named) return -named.error();
            remote = *named;
            break;
        }
        case Role::awaiting_data: break;
        case Role::connecting: return -EALREADY;
        case Role::connected:
            // Who has not been told yet that the connection stands is told so by being served.
            if (std::exchange(socket->connect_reported, true)) return -EISCONN;
            return transmit(socket, pieces, 0, flags);
        case Role::listening:
        case Role::ended: return -EISCONN;
    }
    if (socket->attempt_failed) return tell_failure(*socket);
    socket->role = Role::fresh;
    const ssize_t early = open_with_data(*socket, remote, pieces);
    if (early < 0) return early;
    const bool whole = static_cast<size_t>(early) == total(pieces);
    if (whole && early > 0 && (flags & MSG_EOR) != 0) worker_.end_record(socket->id);
    if (waits) {
        const int connected = await_connection(socket);
        if (connected != 0 && (connected != -EINPROGRESS || early == 0)) return connected;
        if (connected == 0) return transmit(socket, pieces, static_cast<size_t>(early), flags);
    }
    return early > 0 ? early : -EINPROGRESS;
}

// As on Linux, where such a connection is called interactive.
void Sockets::note_answer(Socket& socket) {
    tcp::Profile profile = socket.profile;
    if (profile.prompt_ack >= profile.delayed_ack) return;
    if (worker_.now() - socket.text_came >= profile.delayed_ack) return;
    profile.prompt_ack = Duration::forever();
    static_cast<void>(apply(socket, profile));
}

size_t Sockets::unsent_room(const Socket& socket, size_t wanted) const {
    if (socket.unsent_low_water == 0) return wanted;
    const uint32_t unsent = worker_.info(socket.id).unsent_bytes;
    const size_t room = socket.unsent_low_water > unsent ? socket.unsent_low_water - unsent : 0;
    return std::min(wanted, room);
}

ssize_t Sockets::transmit(const SocketPtr& socket, std::span<const iovec> pieces, size_t sent,
                          int flags) {
    const bool urgent = (flags & MSG_OOB) != 0;
    const bool more_follows = (flags & MSG_MORE) != 0;
    const bool ends_record = (flags & MSG_EOR) != 0;
    const bool waits = !socket->non_blocking && (flags & MSG_DONTWAIT) == 0;
    const std::optional<Instant> deadline = deadline_after(socket->send_timeout);
    const size_t wanted = total(pieces);
    while (true) {
        if (socket->error != 0 && socket->role != Role::connected) {
            if (sent > 0) break;
            return -std::exchange(socket->error, 0);
        }
        if (socket->send_ended ||
            (socket->role != Role::connected && socket->role != Role::connecting)) {
            if (sent > 0) break;
            return -EPIPE;
        }
        if (socket->role == Role::connected) {
            worker_.settle_history(socket->id, socket->history);
            while (sent < wanted) {
                const std::span<uint8_t> stretch = stretch_at(pieces, sent);
                const auto allowed = stretch.first(unsent_room(*socket, stretch.size()));
                const size_t taken = urgent ? worker_.send_urgent(socket->id, allowed)
                                            : worker_.send(socket->id, allowed);
                sent += taken;
                if (taken < stretch.size()) break;
            }
            if (sent > 0) note_answer(*socket);
            // What is sent meanwhile makes room, and whoever waits for an edge is to hear of it.
            if (sent < wanted && socket->unsent_low_water > 0) ++socket->happenings;
            if (more_follows || socket->more_follows) {
                worker_.set_pushing(socket->id,
                                    more_follows ? tcp::Pushing::later : tcp::Pushing::usual);
                socket->more_follows = more_follows;
            }
            if (sent == wanted) {
                if (wanted > 0 && ends_record) worker_.end_record(socket->id);
                break;
            }
        }
        const bool late = deadline && worker_.now() >= *deadline;
        if (!waits || late) return sent > 0 ? static_cast<ssize_t>(sent) : -EAGAIN;
        if (!host_.wait(deadline)) return sent > 0 ? static_cast<ssize_t>(sent) : -EINTR;
    }
    return static_cast<ssize_t>(sent);
}

ssize_t Sockets::write(int descriptor, const void* buffer, size_t count) {
    return send(descriptor, buffer, count, 0);
}
ssize_t Sockets::writev(int descriptor, const iovec* pieces, int count) {
    if (const int failure = judge(pieces, static_cast<size_t>(count), EINVAL)) return failure;
    return transmit(descriptor, {pieces, static_cast<size_t>(count)}, 0);
}
ssize_t Sockets::send(int descriptor, const void* buffer, size_t count, int flags) {
    const iovec piece = piece_of(buffer, count);
    return transmit(descriptor, {&piece, 1}, flags);
}
ssize_t Sockets::sendto(int descriptor, const void* buffer, size_t count, int flags,
                        const sockaddr* address, socklen_t length) {
    const iovec piece = piece_of(buffer, count);
    return transmit(descriptor, {&piece, 1}, flags, address, length);
}
ssize_t Sockets::sendmsg(int descriptor, const msghdr* message, int flags) {
    if (const int failure = judge(message)) return failure;
    return transmit(descriptor, {message->msg_iov, message->msg_iovlen}, flags,
                    static_cast<const sockaddr*>(message->msg_name), message->msg_namelen);
}

}  // namespace synfin::socket
