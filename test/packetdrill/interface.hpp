// The interface between packetdrill and a stack that it is given as a shared object: one function
// by name, which fills in a table of calls. The order of the members is the interface.
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

struct packetdrill_interface {
    void* userdata;
    void (*free)(void* userdata);

    int (*socket)(void* userdata, int domain, int type, int protocol);
    int (*bind)(void* userdata, int fd, const sockaddr* address, socklen_t length);
    int (*listen)(void* userdata, int fd, int backlog);
    int (*accept)(void* userdata, int fd, sockaddr* address, socklen_t* length);
    int (*connect)(void* userdata, int fd, const sockaddr* address, socklen_t length);
    ssize_t (*read)(void* userdata, int fd, void* buffer, size_t count);
    ssize_t (*readv)(void* userdata, int fd, const iovec* pieces, int count);
    ssize_t (*recv)(void* userdata, int fd, void* buffer, size_t count, int flags);
    ssize_t (*recvfrom)(void* userdata, int fd, void* buffer, size_t count, int flags,
                        sockaddr* address, socklen_t* length);
    ssize_t (*recvmsg)(void* userdata, int fd, msghdr* message, int flags);
    ssize_t (*write)(void* userdata, int fd, const void* buffer, size_t count);
    ssize_t (*writev)(void* userdata, int fd, const iovec* pieces, int count);
    ssize_t (*send)(void* userdata, int fd, const void* buffer, size_t count, int flags);
    ssize_t (*sendto)(void* userdata, int fd, const void* buffer, size_t count, int flags,
                      const sockaddr* address, socklen_t length);
    ssize_t (*sendmsg)(void* userdata, int fd, const msghdr* message, int flags);
    int (*fcntl)(void* userdata, int fd, int command, ...);
    int (*ioctl)(void* userdata, int fd, unsigned long request, ...);
    int (*close)(void* userdata, int fd);
    int (*shutdown)(void* userdata, int fd, int how);
    int (*getsockopt)(void* userdata, int fd, int level, int name, void* value, socklen_t* length);
    int (*setsockopt)(void* userdata, int fd, int level, int name, const void* value,
                      socklen_t length);
    int (*poll)(void* userdata, pollfd* fds, nfds_t count, int timeout_ms);

    /// A packet towards the stack, beginning with its IP header. 0, or -1.
    int (*netdev_send)(void* userdata, const void* packet, size_t count);
    /// The next packet that has left the stack, and when. `*count` is the room there is, then the
    /// packet's length; 0 if nothing was sent. 0, or -1.
    int (*netdev_receive)(void* userdata, void* packet, size_t* count, long long* time_usecs);
    int (*usleep)(void* userdata, useconds_t us);
    int (*gettimeofday)(void* userdata, timeval* time, struct timezone* zone);

    int (*epoll_create)(void* userdata, int size);
    int (*epoll_ctl)(void* userdata, int set, int operation, int fd, epoll_event* event);
    int (*epoll_wait)(void* userdata, int set, epoll_event* events, int max, int timeout_ms);
    int (*pipe)(void* userdata, int fds[2]);
    int (*splice)(void* userdata, int from, loff_t* from_offset, int to, loff_t* to_offset,
                  size_t count, unsigned flags);
};

extern "C" void packetdrill_interface_init(const char* flags, packetdrill_interface* interface);
