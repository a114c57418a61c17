// poll and epoll: what a socket is ready for, and waiting until one is.
#include <algorithm>

#include <sys/epoll.h>

#include <synfin/socket/sockets.hpp>

namespace synfin::socket {

// The bits of poll(2) and of epoll(7) have the same values.
static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT && POLLHUP == EPOLLHUP &&
              POLLERR == EPOLLERR && POLLRDHUP == EPOLLRDHUP);

uint32_t Sockets::readiness(const Socket& socket) const {
    constexpr uint32_t readable = EPOLLIN | EPOLLRDNORM;
    constexpr uint32_t writable = EPOLLOUT | EPOLLWRNORM;
    if (socket.role == Role::listening) return socket.accept_queue.empty() ? 0 : readable;
    uint32_t ready = socket.error != 0 ? uint32_t{EPOLLERR} : 0;
    if (socket.role == Role::connecting) return ready;
    if (socket.role == Role::awaiting_data) return ready | writable;
    const bool over = socket.role == Role::fresh || socket.role == Role::ended;
    const bool receive_ended = receives_no_more(socket);
    if (over || (receive_ended && socket.send_ended)) ready |= EPOLLHUP;
    if (receive_ended) ready |= readable | EPOLLRDHUP;
    if (unread(socket) >= std::max(socket.receive_low_water, 1u)) ready |= readable;
    if (socket.urgent_bytes > 0) ready |= EPOLLPRI;
    if (over || socket.send_ended || is_writable(socket)) ready |= writable;
    return ready;
}

// As Linux tells it: not for a little room, which would wake a writer for each ACK.
bool Sockets::is_writable(const Socket& socket) const {
    const size_t space = worker_.send_space(socket.id);
    if (space == 0) return false;
    const tcp::Info info = worker_.info(socket.id);
    if (2 * space < info.queued_bytes) return false;
    return socket.unsent_low_water == 0 || 2 * size_t{info.unsent_bytes} < socket.unsent_low_water;
}

uint32_t Sockets::readiness_of(int descriptor) const {
    int failure = 0;
    const SocketPtr socket = find(descriptor, failure);
    return socket == nullptr ? uint32_t{POLLNVAL} : readiness(*socket);
}

namespace {

Duration limit_of(int timeout_ms) {
    return timeout_ms < 0 ? Duration::forever() : Duration::milliseconds(timeout_ms);
}

constexpr uint32_t always_told = EPOLLERR | EPOLLHUP;

}  // namespace

int Sockets::poll(pollfd* fds, nfds_t count, int timeout_ms) {
    int ready = 0;
    const auto look = [&] {
        ready = 0;
        for (pollfd& fd : std::span{fds, count}) {
            fd.revents = 0;
            if (fd.fd < 0) continue;
            const uint32_t told =
                static_cast<uint16_t>(fd.events) | always_told | uint32_t{POLLNVAL};
            fd.revents = static_cast<short>(readiness_of(fd.fd) & told);
            if (fd.revents != 0) ++ready;
        }
        return ready > 0;
    };
    if (fds == nullptr && count > 0) return -EFAULT;
    const int waited = wait_until(look, limit_of(timeout_ms));
    return waited == -EINTR ? -EINTR : ready;
}

// ---- epoll

int Sockets::epoll_create(int flags) {
    if ((flags & ~EPOLL_CLOEXEC) != 0) return -EINVAL;
    return install(std::make_shared<WatchSet>());
}

namespace {

/// A watch that has told nothing yet: what is ready now is told at the next wait, edge or not.
WatchSet::Watch fresh_watch(const std::shared_ptr<Socket>& socket, const epoll_event& wanted) {
    return {.socket = socket, .wanted = wanted, .seen = socket->happenings - 1};
}

}  // namespace

int Sockets::epoll_ctl(int set, int operation, int descriptor, const epoll_event* event) {
    const auto found = descriptors_.find(set);
    if (found == descriptors_.end() || !knows(descriptor)) return -EBADF;
    WatchSetPtr* watched = std::get_if<WatchSetPtr>(&found->second);
    if (watched == nullptr || set == descriptor) return -EINVAL;
    int failure = 0;
    const SocketPtr socket = find(descriptor, failure);
    if (socket == nullptr) return -EPERM;
    if (operation != EPOLL_CTL_DEL && event == nullptr) return -EFAULT;
    auto& watches = (*watched)->watches;
    const auto watch = watches.find(descriptor);
    const bool known = watch != watches.end() && watch->second.socket.lock() == socket;
    switch (operation) {
        case EPOLL_CTL_ADD:
            if (known) return -EEXIST;
            watches.insert_or_assign(descriptor, fresh_watch(socket, *event));
            return 0;
        case EPOLL_CTL_MOD:
            if (!known) return -ENOENT;
            watch->second = fresh_watch(socket, *event);
            return 0;
        case EPOLL_CTL_DEL:
            if (!known) return -ENOENT;
            watches.erase(watch);
            return 0;
        default: return -EINVAL;
    }
}

int Sockets::collect(WatchSet& set, std::span<epoll_event> events) {
    size_t told = 0;
    for (auto at = set.watches.begin(); at != set.watches.end() && told < events.size();) {
        WatchSet::Watch& watch = at->second;
        const SocketPtr socket = watch.socket.lock();
        if (socket == nullptr) {  // its last descriptor was closed
            at = set.watches.erase(at);
            continue;
        }
        ++at;
        if (watch.reported) continue;
        const bool edge = (watch.wanted.events & EPOLLET) != 0;
        const uint32_t all = readiness(*socket);
        // The end of a direction is an edge too, though it may lie behind unread bytes.
        const uint32_t ends = all & (EPOLLRDHUP | EPOLLHUP);
        if (edge && watch.seen == socket->happenings && watch.seen_ends == ends) continue;
        const uint32_t ready = all & (watch.wanted.events | always_told);
        if (ready == 0) continue;
        watch.seen = socket->happenings;
        watch.seen_ends = ends;
        watch.reported = (watch.wanted.events & EPOLLONESHOT) != 0;
        events[told].events = ready;
        events[told].data = watch.wanted.data;
        ++told;
    }
    return static_cast<int>(told);
}

int Sockets::epoll_wait(int set, epoll_event* events, int max, int timeout_ms) {
    const auto found = descriptors_.find(set);
    if (found == descriptors_.end()) return -EBADF;
    const WatchSetPtr* watched = std::get_if<WatchSetPtr>(&found->second);
    if (watched == nullptr || max <= 0) return -EINVAL;
    if (events == nullptr) return -EFAULT;
    const WatchSetPtr kept = *watched;
    int told = 0;
    const auto look = [&] {
        told = collect(*kept, {events, static_cast<size_t>(max)});
        return told > 0;
    };
    const int waited = wait_until(look, limit_of(timeout_ms));
    return waited == -EINTR ? -EINTR : told;
}

}  // namespace synfin::socket
