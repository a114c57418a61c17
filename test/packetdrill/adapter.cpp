// The table of calls that packetdrill gets: each hands over to the host's sockets, and turns what
// they return into the value and errno of the kernel's calls.
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include <synfin/socket/addresses.hpp>

#include "interface.hpp"
#include "splice.hpp"
#include "virtual_host.hpp"

namespace synfin::packetdrill {

namespace {

VirtualHost& host_of(void* userdata) { return *static_cast<VirtualHost*>(userdata); }

template <typename T>
T with_errno(T result) {
    if (result >= 0) return result;
    errno = static_cast<int>(-result);
    return -1;
}

/// The kernel's call of this name for each call of the sockets that has the same arguments.
template <auto Call, typename Result, typename... Arguments>
Result forward(void* userdata, Arguments... arguments) {
    return with_errno(static_cast<Result>(host_of(userdata).run(
        [&](socket::Sockets& sockets) { return (sockets.*Call)(arguments...); })));
}

// ---- calls that differ

int bind(void* userdata, int fd, const sockaddr* address, socklen_t length) {
    // A script may bind to any address: it is this host's.
    if (const auto local = socket::from_sockaddr(address, length)) {
        host_of(userdata).own(local->address);
    }
    return forward<&socket::Sockets::bind, int>(userdata, fd, address, length);
}

int accept(void* userdata, int fd, sockaddr* address, socklen_t* length) {
    return forward<&socket::Sockets::accept, int>(userdata, fd, address, length, 0);
}

int fcntl(void* userdata, int fd, int command, ...) {
    va_list rest;
    va_start(rest, command);
    const long argument = command == F_SETFL || command == F_SETFD ? va_arg(rest, int) : 0;
    va_end(rest);
    return forward<&socket::Sockets::fcntl, int>(userdata, fd, command, argument);
}

int ioctl(void* userdata, int fd, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void* argument = va_arg(rest, void*);
    va_end(rest);
    return forward<&socket::Sockets::ioctl, int>(userdata, fd, request, argument);
}

int epoll_create(void* userdata, int size) {
    if (size <= 0) return with_errno(-EINVAL);
    return forward<&socket::Sockets::epoll_create, int>(userdata, 0);
}

int epoll_ctl(void* userdata, int set, int operation, int fd, epoll_event* event) {
    return forward<&socket::Sockets::epoll_ctl, int>(userdata, set, operation, fd, event);
}

int pipe(void*, int fds[2]) { return ::pipe(fds); }
int splice(void* userdata, int from, loff_t* from_offset, int to, loff_t* to_offset, size_t count,
           unsigned flags) {
    return static_cast<int>(with_errno(
        packetdrill::splice(host_of(userdata), from, from_offset, to, to_offset, count, flags)));
}

// ---- network and clock

void free(void* userdata) { delete static_cast<VirtualHost*>(userdata); }

int netdev_send(void* userdata, const void* packet, size_t count) {
    host_of(userdata).deliver({static_cast<const uint8_t*>(packet), count});
    return 0;
}

int netdev_receive(void* userdata, void* packet, size_t* count, long long* time_usecs) {
    const auto departure = host_of(userdata).next_departure();
    if (!departure) {
        *count = 0;
        return 0;
    }
    if (departure->packet.size() > *count) return with_errno(-EMSGSIZE);
    std::memcpy(packet, departure->packet.data(), departure->packet.size());
    *count = departure->packet.size();
    *time_usecs = departure->at.us();
    return 0;
}

int usleep(void* userdata, useconds_t us) {
    host_of(userdata).sleep(Duration::microseconds(us));
    return 0;
}

int gettimeofday(void* userdata, timeval* time, struct timezone*) {
    const Instant now = host_of(userdata).look_at_clock();
    *time = {.tv_sec = now.us() / 1'000'000, .tv_usec = now.us() % 1'000'000};
    return 0;
}

using socket::Sockets;

void fill_in(packetdrill_interface& table) {
    table.free = free;
    table.socket = forward<&Sockets::socket, int>;
    table.bind = bind;
    table.listen = forward<&Sockets::listen, int>;
    table.accept = accept;
    table.connect = forward<&Sockets::connect, int>;
    table.read = forward<&Sockets::read, ssize_t>;
    table.readv = forward<&Sockets::readv, ssize_t>;
    table.recv = forward<&Sockets::recv, ssize_t>;
    table.recvfrom = forward<&Sockets::recvfrom, ssize_t>;
    table.recvmsg = forward<&Sockets::recvmsg, ssize_t>;
    table.write = forward<&Sockets::write, ssize_t>;
    table.writev = forward<&Sockets::writev, ssize_t>;
    table.send = forward<&Sockets::send, ssize_t>;
    table.sendto = forward<&Sockets::sendto, ssize_t>;
    table.sendmsg = forward<&Sockets::sendmsg, ssize_t>;
    table.fcntl = fcntl;
    table.ioctl = ioctl;
    table.close = forward<&Sockets::close, int>;
    table.shutdown = forward<&Sockets::shutdown, int>;
    table.getsockopt = forward<&Sockets::getsockopt, int>;
    table.setsockopt = forward<&Sockets::setsockopt, int>;
    table.poll = forward<&Sockets::poll, int>;
    table.netdev_send = netdev_send;
    table.netdev_receive = netdev_receive;
    table.usleep = usleep;
    table.gettimeofday = gettimeofday;
    table.epoll_create = epoll_create;
    table.epoll_ctl = epoll_ctl;
    table.epoll_wait = forward<&Sockets::epoll_wait, int>;
    table.pipe = pipe;
    table.splice = splice;
}

}  // namespace

}  // namespace synfin::packetdrill

__attribute__((visibility("default"))) void packetdrill_interface_init(
    const char* flags, packetdrill_interface* interface) {
    using namespace synfin::packetdrill;
    const Knobs knobs = parse_knobs(flags == nullptr ? "" : flags);
    for (const std::string& complaint : knobs.complaints) {
        std::fprintf(stderr, "%s\n", complaint.c_str());
    }
    interface->userdata = new VirtualHost{knobs};
    fill_in(*interface);
}
