#include "splice.hpp"

#include <algorithm>
#include <cerrno>
#include <vector>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace synfin::packetdrill {

namespace {

size_t bytes_in(int pipe) {
    int bytes = 0;
    return ::ioctl(pipe, FIONREAD, &bytes) < 0 ? 0 : static_cast<size_t>(bytes);
}

// No more is taken out of the socket than the pipe has room for, so that nothing ever waits in the
// kernel, where no time passes.
ssize_t into_pipe(VirtualHost& host, int socket, int pipe, size_t count, int flags) {
    const int capacity = ::fcntl(pipe, F_GETPIPE_SZ);
    if (capacity < 0) return -EINVAL;
    const size_t room = static_cast<size_t>(capacity) - bytes_in(pipe);
    if (room == 0) return -EAGAIN;
    std::vector<char> bytes(std::min(count, room));
    const ssize_t read = host.run([&](socket::Sockets& sockets) {
        return sockets.recv(socket, bytes.data(), bytes.size(), flags);
    });
    return read <= 0 ? read : ::write(pipe, bytes.data(), static_cast<size_t>(read));
}

ssize_t out_of_pipe(VirtualHost& host, int pipe, int socket, size_t count, int flags) {
    std::vector<char> bytes(std::min(count, bytes_in(pipe)));
    if (bytes.empty()) return -EAGAIN;
    const ssize_t read = ::read(pipe, bytes.data(), bytes.size());
    if (read < 0) return -errno;
    return host.run([&](socket::Sockets& sockets) {
        return sockets.send(socket, bytes.data(), static_cast<size_t>(read), flags);
    });
}

}  // namespace

ssize_t splice(VirtualHost& host, int from, const loff_t* from_offset, int to,
               const loff_t* to_offset, size_t count, unsigned flags) {
    // packetdrill always points at something, and at zero where its script says NULL.
    const auto seeks = [](const loff_t* offset) { return offset != nullptr && *offset != 0; };
    if (seeks(from_offset) || seeks(to_offset)) return -ESPIPE;
    if (count == 0) return 0;
    const auto is_ours = [&](int fd) {
        return host.run([fd](socket::Sockets& sockets) { return sockets.knows(fd); });
    };
    const int waits = (flags & SPLICE_F_NONBLOCK) != 0 ? MSG_DONTWAIT : 0;
    if (is_ours(from) == is_ours(to)) return -EINVAL;
    if (is_ours(from)) return into_pipe(host, from, to, count, waits);
    return out_of_pipe(host, from, to, count,
                       (flags & SPLICE_F_MORE) != 0 ? waits | MSG_MORE : waits);
}

}  // namespace synfin::packetdrill
