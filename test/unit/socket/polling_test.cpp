// poll and epoll: readiness in each phase of a socket's life, level and edge.
#include <sys/epoll.h>

#include "socket_world.hpp"

namespace synfin::socket::test {
namespace {

class Polling : public SocketWorld {
  protected:
    static constexpr short all = POLLIN | POLLOUT | POLLRDHUP;
    static short poll(Sockets& sockets, int fd, short events = all, int timeout_ms = 0) {
        pollfd watched{.fd = fd, .events = events, .revents = 0};
        sockets.poll(&watched, 1, timeout_ms);
        return watched.revents;
    }
    static int watch(Sockets& sockets, int set, int operation, int fd, uint32_t events) {
        epoll_event event{};
        event.events = events;
        event.data.fd = fd;
        return sockets.epoll_ctl(set, operation, fd, &event);
    }
    static uint32_t told(Sockets& sockets, int set, int timeout_ms = 0) {
        epoll_event event{};
        return sockets.epoll_wait(set, &event, 1, timeout_ms) == 1 ? event.events : 0;
    }
};

TEST_F(Polling, ASocketWithoutAConnectionIsHungUp) {
    EXPECT_EQ(poll(client, stream(client)), POLLOUT | POLLHUP);
    EXPECT_EQ(poll(client, 99), POLLNVAL);
}

TEST_F(Polling, AConnectionIsReadyForWhatItCanDo) {
    const Pair p = established();
    EXPECT_EQ(poll(client, p.client), POLLOUT);
    write(server, p.server, "x");
    settle();
    EXPECT_EQ(poll(client, p.client), POLLIN | POLLOUT);
    server.shutdown(p.server, SHUT_WR);
    settle();
    EXPECT_EQ(poll(client, p.client), POLLIN | POLLOUT | POLLRDHUP);
}

TEST_F(Polling, AListenerIsReadableWhenSomebodyWaits) {
    listener = listening();
    EXPECT_EQ(poll(server, listener), 0);
    connect(stream(client));
    settle();
    EXPECT_EQ(poll(server, listener), POLLIN);
}

TEST_F(Polling, AFailedConnectIsAnError) {
    const int fd = stream(client, SOCK_NONBLOCK);
    connect(fd, 81);
    EXPECT_EQ(poll(client, fd), 0);
    settle();
    EXPECT_EQ(poll(client, fd) & (POLLERR | POLLHUP), POLLERR | POLLHUP);
}

TEST_F(Polling, ATimeoutEndsTheWaitAtItsMoment) {
    const Pair p = established();
    const Instant begin = world.now();
    EXPECT_EQ(poll(client, p.client, POLLIN, 250), 0);
    EXPECT_EQ(world.now() - begin, Duration::milliseconds(250));
}

TEST_F(Polling, LevelTellsAsLongAsItIsSo) {
    const Pair p = established();
    const int set = server.epoll_create();
    EXPECT_EQ(watch(server, set, EPOLL_CTL_ADD, p.server, EPOLLIN), 0);
    EXPECT_EQ(told(server, set), 0u);
    write(client, p.client, "x");
    EXPECT_EQ(told(server, set, -1), uint32_t{EPOLLIN});
    EXPECT_EQ(told(server, set), uint32_t{EPOLLIN});
    read(server, p.server);
    EXPECT_EQ(told(server, set), 0u);
}

TEST_F(Polling, EdgeTellsEachTimeSomethingComes) {
    const Pair p = established();
    const int set = server.epoll_create();
    EXPECT_EQ(watch(server, set, EPOLL_CTL_ADD, p.server, EPOLLIN | EPOLLET), 0);
    write(client, p.client, "x");
    EXPECT_EQ(told(server, set, -1), uint32_t{EPOLLIN});
    EXPECT_EQ(told(server, set), 0u);
    write(client, p.client, "y");
    EXPECT_EQ(told(server, set, -1), uint32_t{EPOLLIN});
    EXPECT_EQ(read(server, p.server), "xy");
}

TEST_F(Polling, EdgeTellsOfTheEndBehindUnreadBytes) {
    const Pair p = established();
    const int set = server.epoll_create();
    EXPECT_EQ(watch(server, set, EPOLL_CTL_ADD, p.server, EPOLLIN | EPOLLRDHUP | EPOLLET), 0);
    write(client, p.client, "x");
    EXPECT_EQ(told(server, set, -1), uint32_t{EPOLLIN});
    client.shutdown(p.client, SHUT_WR);
    EXPECT_EQ(told(server, set, -1), uint32_t{EPOLLIN | EPOLLRDHUP});
    EXPECT_EQ(told(server, set), 0u);
    EXPECT_EQ(read(server, p.server), "x");
    EXPECT_EQ(read(server, p.server), "");
}

TEST_F(Polling, UrgentBytesArePriorityUntilTheyAreRead) {
    const Pair p = established();
    client.send(p.client, "abc", 3, MSG_OOB);
    settle();
    EXPECT_EQ(poll(server, p.server, POLLIN | POLLPRI), POLLIN | POLLPRI);
    EXPECT_EQ(read(server, p.server, 2), "ab");
    EXPECT_EQ(poll(server, p.server, POLLIN | POLLPRI), POLLIN | POLLPRI);
    EXPECT_EQ(read(server, p.server), "c");
    EXPECT_EQ(poll(server, p.server, POLLIN | POLLPRI), 0);
}

TEST_F(Polling, OneshotIsSilentUntilItIsModified) {
    const Pair p = established();
    const int set = server.epoll_create();
    watch(server, set, EPOLL_CTL_ADD, p.server, EPOLLIN | EPOLLONESHOT);
    write(client, p.client, "x");
    EXPECT_EQ(told(server, set, -1), uint32_t{EPOLLIN});
    EXPECT_EQ(told(server, set), 0u);
    watch(server, set, EPOLL_CTL_MOD, p.server, EPOLLIN | EPOLLONESHOT);
    EXPECT_EQ(told(server, set), uint32_t{EPOLLIN});
}

TEST_F(Polling, AWatchSetRefusesWhatMakesNoSense) {
    const Pair p = established();
    const int set = server.epoll_create();
    EXPECT_EQ(watch(server, set, EPOLL_CTL_MOD, p.server, EPOLLIN), -ENOENT);
    EXPECT_EQ(watch(server, set, EPOLL_CTL_ADD, p.server, EPOLLIN), 0);
    EXPECT_EQ(watch(server, set, EPOLL_CTL_ADD, p.server, EPOLLIN), -EEXIST);
    EXPECT_EQ(watch(server, set, EPOLL_CTL_ADD, 99, EPOLLIN), -EBADF);
    EXPECT_EQ(watch(server, p.server, EPOLL_CTL_ADD, listener, EPOLLIN), -EINVAL);
    EXPECT_EQ(server.close(p.server), 0);
    EXPECT_EQ(told(server, set), 0u);
}

}  // namespace
}  // namespace synfin::socket::test
