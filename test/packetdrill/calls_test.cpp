// The calls of the table, with the values, the sizes and the errno that scripts for Linux expect.
#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include "driver.hpp"

namespace synfin::packetdrill {

namespace {

TEST(AdapterCalls, EachOptionThatScriptsUseIsReadBack) {
    struct Case {
        int level, name, value, told;
    };
    const Case cases[] = {{SOL_SOCKET, SO_REUSEADDR, 1, 1},
                          {SOL_SOCKET, SO_KEEPALIVE, 1, 1},
                          {SOL_SOCKET, SO_OOBINLINE, 1, 1},
                          {SOL_SOCKET, SO_PRIORITY, 3, 3},
                          {SOL_SOCKET, SO_TIMESTAMP, 2, 1},
                          {SOL_SOCKET, SO_SNDBUF, 9000, 18000},
                          {SOL_SOCKET, SO_RCVBUF, 9000, 18000},
                          {IPPROTO_TCP, TCP_NODELAY, 1, 1},
                          {IPPROTO_TCP, TCP_MAXSEG, 900, 900},
                          {IPPROTO_TCP, TCP_KEEPIDLE, 9, 9},
                          {IPPROTO_TCP, TCP_KEEPINTVL, 8, 8},
                          {IPPROTO_TCP, TCP_KEEPCNT, 7, 7},
                          {IPPROTO_TCP, TCP_SYNCNT, 5, 5},
                          {IPPROTO_TCP, TCP_LINGER2, 4, 4},
                          {IPPROTO_TCP, TCP_LINGER2, -5, -1},
                          {IPPROTO_TCP, TCP_CORK, 1, 1},
                          {IPPROTO_TCP, TCP_QUICKACK, 0, 0},
                          {IPPROTO_TCP, TCP_DEFER_ACCEPT, 3, 3},
                          {IPPROTO_TCP, TCP_WINDOW_CLAMP, 8000, 8000},
                          {IPPROTO_TCP, TCP_USER_TIMEOUT, 2500, 2500}};
    Driver d;
    const int fd = d.socket();
    for (const Case& c : cases) {
        EXPECT_EQ(d.set(fd, c.level, c.name, c.value), 0) << c.name;
        EXPECT_EQ(d.get(fd, c.level, c.name), c.told) << c.name;
    }
    linger l{.l_onoff = 1, .l_linger = 6};
    socklen_t length = sizeof l;
    EXPECT_EQ(d.table.setsockopt(d.table.userdata, fd, SOL_SOCKET, SO_LINGER, &l, length), 0);
    l = {};
    EXPECT_EQ(d.table.getsockopt(d.table.userdata, fd, SOL_SOCKET, SO_LINGER, &l, &length), 0);
    EXPECT_EQ(l.l_onoff, 1);
    EXPECT_EQ(l.l_linger, 6);
    EXPECT_EQ(d.set(fd, IPPROTO_TCP, TCP_KEEPCNT, 0), -1);
    EXPECT_EQ(errno, EINVAL);
}

TEST(AdapterCalls, WhatDoesNotExistHereIsNoOption) {
    Driver d;
    const int fd = d.socket();
    for (const int name : {SO_ZEROCOPY, SO_TIMESTAMPING}) {
        EXPECT_EQ(d.set(fd, SOL_SOCKET, name, 1), -1);
        EXPECT_EQ(errno, ENOPROTOOPT);
    }
}

TEST(AdapterCalls, FirstTextIsAcknowledgedAtOnceUntilTheUserAnswers) {
    Driver d;
    const int fd = d.establish_server();
    d.inject(Packet::data(1, 1, 10));
    const Duration came = d.now();
    EXPECT_LE(d.expect(Packet::of_ack(1, 11)).at - came, 1_ms);
    d.inject(Packet::data(11, 1, 10));
    EXPECT_EQ(d.write(fd, 10), 10);
    d.expect(Packet::data(1, 21, 10));
    d.inject(Packet::data(21, 11, 10));
    const Duration then = d.now();
    EXPECT_GE(d.expect(Packet::of_ack(11, 31)).at - then, 39_ms);
}

TEST(AdapterCalls, LastAckOfAHandshakeWhoseListenerHasClosedIsReset) {
    Driver d;
    const int listener = d.listen(8080);
    d.inject(Packet::syn());
    d.expect(Packet::syn_ack(0, 1));
    EXPECT_EQ(d.close(listener), 0);
    d.inject(Packet::of_ack(1, 1));
    d.expect(Packet::rst(1));
}

TEST(AdapterCalls, CloseAfterTheSynsHaveCrossedSendsAFin) {
    Driver d;
    const int fd = d.socket();
    d.block_not(fd);
    EXPECT_EQ(d.connect(fd, 8080), -1);
    d.expect(Packet::syn());
    d.inject(Packet::syn());
    d.expect(Packet::syn_ack(0, 1));
    EXPECT_EQ(d.close(fd), 0);
    d.expect(Packet::fin(1, 1));
    d.inject(Packet::of_ack(1, 2));
    d.inject(Packet::fin(1, 2));
    d.expect(Packet::of_ack(2, 2));
}

TEST(AdapterCalls, NegativeLinger2ResetsInsteadOfWaitingForTheFin) {
    Driver d;
    const int fd = d.establish_server();
    EXPECT_EQ(d.set(fd, IPPROTO_TCP, TCP_LINGER2, -1), 0);
    EXPECT_EQ(d.close(fd), 0);
    d.expect(Packet::fin(1, 1));
    d.inject(Packet::of_ack(1, 2));
    d.expect(Packet::rst(2));
}

TEST(AdapterCalls, IoctlsTellWhatIsQueuedInBothDirections) {
    Driver d;
    const int fd = d.establish_server();
    const auto queued = [&](unsigned long request) {
        int bytes = -1;
        EXPECT_EQ(d.table.ioctl(d.table.userdata, fd, request, &bytes), 0);
        return bytes;
    };
    EXPECT_EQ(d.write(fd, 30), 30);
    d.expect(Packet::data(1, 1, 30));
    EXPECT_EQ(queued(SIOCOUTQ), 30);
    d.inject(Packet::data(1, 31, 20));
    EXPECT_EQ(queued(SIOCOUTQ), 0);
    EXPECT_EQ(queued(SIOCINQ), 20);
    d.expect(Packet::of_ack(31, 21));
}

TEST(AdapterCalls, MessagesAndVectorsCarryTheSameStream) {
    Driver d;
    const int fd = d.establish_server();
    char first[3] = {'a', 'b', 'c'};
    char second[2] = {'d', 'e'};
    iovec pieces[] = {{first, sizeof first}, {second, sizeof second}};
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = 2;
    EXPECT_EQ(d.table.sendmsg(d.table.userdata, fd, &message, 0), 5);
    d.expect(Packet::data(1, 1, 5));
    d.inject(Packet::data(1, 6, 10));
    EXPECT_EQ(d.table.recvmsg(d.table.userdata, fd, &message, MSG_PEEK), 5);
    EXPECT_EQ(d.table.readv(d.table.userdata, fd, pieces, 2), 5);
    EXPECT_EQ(d.table.recvfrom(d.table.userdata, fd, first, 3, 0, nullptr, nullptr), 3);
    EXPECT_EQ(d.table.writev(d.table.userdata, fd, pieces, 2), 5);
    d.expect({.flags = "P.", .seq = 6, .ack = 11, .length = 5});
    EXPECT_EQ(d.table.sendto(d.table.userdata, fd, first, 3, 0, nullptr, 0), 3);
}

TEST(AdapterCalls, CallsInTheWrongStateFailAsLinuxsDo) {
    Driver d;
    const auto fails = [](ssize_t result, int error) {
        EXPECT_EQ(result, -1);
        EXPECT_EQ(errno, error);
    };
    const int fd = d.socket();
    fails(d.read(fd, 1), ENOTCONN);
    fails(d.write(fd, 1), EPIPE);
    fails(d.shutdown(fd, SHUT_WR), ENOTCONN);
    fails(d.accept(fd), EINVAL);
    EXPECT_EQ(d.bind(fd, 8080), 0);
    fails(d.bind(fd, 8081), EINVAL);
    const int other = d.socket();
    fails(d.bind(other, 8080), EADDRINUSE);
    EXPECT_EQ(d.table.listen(d.table.userdata, fd, 1), 0);
    EXPECT_EQ(d.block_not(fd), 0);
    fails(d.accept(fd), EAGAIN);
    fails(d.read(1000, 1), EBADF);
}

}  // namespace

}  // namespace synfin::packetdrill
