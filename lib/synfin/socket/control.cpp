// fcntl and ioctl: blocking or not, and how much is queued.
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <synfin/socket/sockets.hpp>

namespace synfin::socket {

int Sockets::fcntl(int descriptor, int command, long argument) {
    if (!knows(descriptor)) return -EBADF;
    const SocketPtr* socket = std::get_if<SocketPtr>(&descriptors_.at(descriptor));
    switch (command) {
        case F_GETFL:
            return O_RDWR | (socket != nullptr && (*socket)->non_blocking ? O_NONBLOCK : 0);
        case F_SETFL:
            if (socket != nullptr) (*socket)->non_blocking = (argument & O_NONBLOCK) != 0;
            return 0;
        case F_GETFD: return FD_CLOEXEC;
        case F_SETFD: return 0;
        default: return -EINVAL;
    }
}

int Sockets::ioctl(int descriptor, unsigned long request, void* argument) {
    int failure = 0;
    const SocketPtr socket = find(descriptor, failure);
    if (socket == nullptr) return failure;
    if (argument == nullptr) return -EFAULT;
    int& value = *static_cast<int*>(argument);
    const bool listening = socket->role == Role::listening;
    switch (request) {
        case FIONBIO: socket->non_blocking = value != 0; return 0;
        case SIOCINQ:
            if (listening) return -EINVAL;
            value = static_cast<int>(unread(*socket));
            return 0;
        case SIOCOUTQ:
            if (listening) return -EINVAL;
            value = static_cast<int>(worker_.info(socket->id).queued_bytes);
            return 0;
        case SIOCOUTQNSD:
            if (listening) return -EINVAL;
            value = static_cast<int>(worker_.info(socket->id).unsent_bytes);
            return 0;
        default: return -ENOTTY;
    }
}

}  // namespace synfin::socket
