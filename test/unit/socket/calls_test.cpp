// The calls that open, move bytes and close, with the errors that Linux's give.
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include "socket_world.hpp"

namespace synfin::socket::test {
namespace {

using Calls = SocketWorld;

TEST_F(Calls, AConnectThatBlocksReturnsWhenTheHandshakeIsThrough) {
    const Pair p = established();
    EXPECT_GE(p.server, 0);
    sockaddr_in peer{};
    socklen_t length = sizeof peer;
    EXPECT_EQ(client.getpeername(p.client, reinterpret_cast<sockaddr*>(&peer), &length), 0);
    EXPECT_EQ(ntohs(peer.sin_port), port);
}

TEST_F(Calls, AReadThatBlocksReturnsWhatHasCome) {
    const Pair p = established();
    EXPECT_EQ(write(client, p.client, "hello"), 5);
    EXPECT_EQ(read(server, p.server), "hello");
}

TEST_F(Calls, PiecesAreFilledInTheirOrder) {
    const Pair p = established();
    char head[] = "ab";
    char tail[] = "cdef";
    iovec out[] = {{head, 2}, {tail, 4}};
    EXPECT_EQ(client.writev(p.client, out, 2), 6);
    settle();
    char first[4] = {};
    char second[4] = {};
    iovec in[] = {{first, 3}, {second, 3}};
    EXPECT_EQ(server.readv(p.server, in, 2), 6);
    EXPECT_STREQ(first, "abc");
    EXPECT_STREQ(second, "def");
}

TEST_F(Calls, PeekLeavesTheBytesWhereTheyAre) {
    const Pair p = established();
    write(client, p.client, "hello");
    EXPECT_EQ(read(server, p.server, 3, MSG_PEEK), "hel");
    EXPECT_EQ(read(server, p.server, 9, MSG_PEEK), "hello");
    EXPECT_EQ(read(server, p.server), "hello");
}

TEST_F(Calls, TruncPassesOverBytesWithoutCopyingThem) {
    const Pair p = established();
    write(client, p.client, "hello world");
    settle();
    EXPECT_EQ(server.recv(p.server, nullptr, 6, MSG_TRUNC | MSG_PEEK), 6);
    EXPECT_EQ(server.recv(p.server, nullptr, 6, MSG_TRUNC), 6);
    EXPECT_EQ(read(server, p.server), "world");
}

TEST_F(Calls, MoreHoldsBackWhatFillsNoSegment) {
    const Pair p = established();
    EXPECT_EQ(client.send(p.client, "hel", 3, MSG_MORE), 3);
    settle();
    EXPECT_EQ(read(server, p.server, 9, MSG_DONTWAIT), "error " + std::to_string(EAGAIN));
    EXPECT_EQ(write(client, p.client, "lo"), 2);
    EXPECT_EQ(read(server, p.server, 9), "hello");
}

TEST_F(Calls, NodelayPushesWhatIsCorked) {
    const Pair p = established();
    set(client, p.client, IPPROTO_TCP, TCP_CORK, 1);
    EXPECT_EQ(write(client, p.client, "hello"), 5);
    settle();
    EXPECT_EQ(read(server, p.server, 9, MSG_DONTWAIT), "error " + std::to_string(EAGAIN));
    set(client, p.client, IPPROTO_TCP, TCP_NODELAY, 1);
    EXPECT_EQ(read(server, p.server, 9), "hello");
}

TEST_F(Calls, ReadingNothingDoesNotWait) {
    const Pair p = established();
    char none = 0;
    EXPECT_EQ(server.read(p.server, &none, 0), 0);
    EXPECT_EQ(server.read(99, &none, 0), -EBADF);
}

TEST_F(Calls, WhatThePeerHasFinishedIsReadAsCompleteThoughItResetsLater) {
    const Pair p = established();
    client.shutdown(p.client, SHUT_WR);
    settle();
    write(server, p.server, "unread");
    settle();
    client.close(p.client);  // with unread bytes: a reset
    settle();
    EXPECT_EQ(read(server, p.server), "");
    EXPECT_EQ(write(server, p.server, "x"), -EPIPE);
}

TEST_F(Calls, AFailedConnectIsToldByTheNextOneEvenWhenTheErrorWasRead) {
    const int fd = stream(client, SOCK_NONBLOCK);
    EXPECT_EQ(connect(fd, 81), -EINPROGRESS);
    settle();
    EXPECT_EQ(get(client, fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    EXPECT_EQ(connect(fd, 81), -ECONNABORTED);
    EXPECT_EQ(connect(fd, 81), -EINPROGRESS);
}

TEST_F(Calls, AConnectionThatEndsBeforeItsConnectIsToldWasAFailedAttempt) {
    listener = listening();
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    const int fd = stream(client, SOCK_NONBLOCK);
    EXPECT_EQ(connect(fd), -EINPROGRESS);
    const int accepted = server.accept(listener, nullptr, nullptr);
    server.setsockopt(accepted, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    server.close(accepted);
    settle();
    EXPECT_EQ(connect(fd), -ECONNRESET);
    EXPECT_EQ(read(client, fd), "error " + std::to_string(ENOTCONN));
    EXPECT_EQ(connect(fd), -EINPROGRESS);
    settle();
    EXPECT_EQ(connect(fd), 0);
}

TEST_F(Calls, WaitallWaitsUntilTheBufferIsFull) {
    const Pair p = established();
    write(client, p.client, "hel");
    world.schedule(Duration::seconds(2), [&] { write(client, p.client, "lo"); });
    EXPECT_EQ(read(server, p.server, 5, MSG_WAITALL), "hello");
}

TEST_F(Calls, DontwaitNeverWaits) {
    const Pair p = established();
    EXPECT_EQ(read(server, p.server, 5, MSG_DONTWAIT), "error " + std::to_string(EAGAIN));
}

TEST_F(Calls, AReceiveTimeoutEndsTheWait) {
    const Pair p = established();
    const timeval t{.tv_sec = 0, .tv_usec = 300'000};
    EXPECT_EQ(server.setsockopt(p.server, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t), 0);
    const Instant begin = world.now();
    EXPECT_EQ(read(server, p.server), "error " + std::to_string(EAGAIN));
    EXPECT_EQ(world.now() - begin, Duration::milliseconds(300));
}

TEST_F(Calls, TheEndOfTheStreamIsReadAsNothing) {
    const Pair p = established();
    write(client, p.client, "bye");
    EXPECT_EQ(client.shutdown(p.client, SHUT_WR), 0);
    EXPECT_EQ(read(server, p.server), "bye");
    EXPECT_EQ(read(server, p.server), "");
    EXPECT_EQ(write(server, p.server, "still here"), 10);
    EXPECT_EQ(read(client, p.client), "still here");
    EXPECT_EQ(write(client, p.client, "x"), -EPIPE);
}

TEST_F(Calls, AWriteThatBlocksWaitsForRoom) {
    const Pair p = established();
    set(client, p.client, SOL_SOCKET, SO_SNDBUF, 5000);
    const std::string text(3'000'000, 'x');
    std::string received;
    world.schedule(Duration::milliseconds(50), [&] {
        // The reader works while the writer waits.
        for (int ms = 0; ms < 20'000; ++ms) {
            world.schedule(Duration::milliseconds(ms), [&] {
                const std::string piece = read(server, p.server, 100'000, MSG_DONTWAIT);
                if (piece.find("error") != 0) received += piece;
            });
        }
    });
    EXPECT_EQ(write(client, p.client, text), static_cast<ssize_t>(text.size()));
    settle(Duration::seconds(5));
    EXPECT_EQ(received.size(), text.size());
}

TEST_F(Calls, AResetIsToldOnceAndThenThePipeIsBroken) {
    const Pair p = established();
    const linger l{.l_onoff = 1, .l_linger = 0};
    EXPECT_EQ(client.setsockopt(p.client, SOL_SOCKET, SO_LINGER, &l, sizeof l), 0);
    EXPECT_EQ(client.close(p.client), 0);
    settle();
    EXPECT_EQ(read(server, p.server), "error " + std::to_string(ECONNRESET));
    EXPECT_EQ(read(server, p.server), "");
    EXPECT_EQ(write(server, p.server, "x"), -EPIPE);
}

TEST_F(Calls, BytesBeforeAResetCanStillBeRead) {
    const Pair p = established();
    write(client, p.client, "last words");
    settle();
    const linger l{.l_onoff = 1, .l_linger = 0};
    client.setsockopt(p.client, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    client.close(p.client);
    settle();
    EXPECT_EQ(read(server, p.server), "last words");
    EXPECT_EQ(read(server, p.server), "error " + std::to_string(ECONNRESET));
}

TEST_F(Calls, LingerWaitsUntilAllIsAcknowledged) {
    const Pair p = established();
    const linger l{.l_onoff = 1, .l_linger = 5};
    client.setsockopt(p.client, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    write(client, p.client, "text");
    EXPECT_EQ(client.close(p.client), 0);
    EXPECT_EQ(read(server, p.server, 100, MSG_DONTWAIT), "text");
    EXPECT_EQ(read(server, p.server, 100, MSG_DONTWAIT), "");
}

TEST_F(Calls, UnreadBytesMakeACloseAReset) {
    const Pair p = established();
    write(client, p.client, "unread");
    settle();
    EXPECT_EQ(server.close(p.server), 0);
    settle();
    EXPECT_EQ(read(client, p.client), "error " + std::to_string(ECONNRESET));
}

TEST_F(Calls, NobodyListensIsRefused) {
    const int fd = stream(client);
    EXPECT_EQ(connect(fd, 81), -ECONNREFUSED);
    EXPECT_EQ(connect(fd, 81), -ECONNREFUSED);
}

TEST_F(Calls, AFailedAttemptLetsItsPortGo) {
    const int fd = stream(client);
    const auto port_after_attempt = [&] {
        EXPECT_EQ(connect(fd, 81), -ECONNREFUSED);
        sockaddr_in name{};
        socklen_t length = sizeof name;
        EXPECT_EQ(client.getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length), 0);
        return name.sin_port;
    };
    EXPECT_EQ(port_after_attempt(), 0);
}

TEST_F(Calls, AConnectThatDoesNotBlockTellsItsProgress) {
    listener = listening();
    const int fd = stream(client, SOCK_NONBLOCK);
    EXPECT_EQ(connect(fd), -EINPROGRESS);
    EXPECT_EQ(connect(fd), -EALREADY);
    EXPECT_EQ(write(client, fd, "x"), -EAGAIN);
    settle();
    EXPECT_EQ(connect(fd), 0);
    EXPECT_EQ(connect(fd), -EISCONN);
}

TEST_F(Calls, ASilentPeerTimesOut) {
    listener = listening();
    const int fd = stream(client);
    set(client, fd, IPPROTO_TCP, TCP_SYNCNT, 1);
    sockaddr_in in = address(server_host);
    in.sin_addr.s_addr = htonl(0x0a00'0063);  // nobody has this address
    const int result = client.connect(fd, reinterpret_cast<const sockaddr*>(&in), sizeof in);
    EXPECT_TRUE(result == -ETIMEDOUT || result == -EHOSTUNREACH) << result;
}

TEST_F(Calls, AnAddressThatNoInterfaceLeadsToIsUnreachable) {
    const int fd = stream(client);
    sockaddr_in in = address(server_host);
    in.sin_addr.s_addr = htonl(0xcb00'7101);
    EXPECT_EQ(client.connect(fd, reinterpret_cast<const sockaddr*>(&in), sizeof in), -ENETUNREACH);
}

TEST_F(Calls, ShutdownOfAnAttemptEndsItAndSaysSo) {
    const int fd = stream(client, SOCK_NONBLOCK);
    EXPECT_EQ(connect(fd), -EINPROGRESS);
    EXPECT_EQ(client.shutdown(fd, SHUT_RD), 0);
    EXPECT_EQ(read(client, fd), "error " + std::to_string(ECONNRESET));
    EXPECT_EQ(write(client, fd, "x"), -EPIPE);
}

TEST_F(Calls, WhatIsNotConnectedSaysSo) {
    const int fd = stream(client);
    EXPECT_EQ(read(client, fd), "error " + std::to_string(ENOTCONN));
    EXPECT_EQ(write(client, fd, "x"), -EPIPE);
    EXPECT_EQ(client.shutdown(fd, SHUT_WR), -ENOTCONN);
    EXPECT_EQ(client.getpeername(fd, nullptr, nullptr), -ENOTCONN);
    EXPECT_EQ(client.accept(fd, nullptr, nullptr), -EINVAL);
}

TEST_F(Calls, WhatIsNoSocketSaysSo) {
    EXPECT_EQ(client.close(99), -EBADF);
    EXPECT_EQ(write(client, 99, "x"), -EBADF);
    const int set = client.epoll_create();
    EXPECT_EQ(write(client, set, "x"), -ENOTSOCK);
    EXPECT_EQ(client.socket(AF_UNIX, SOCK_STREAM, 0), -EAFNOSUPPORT);
    EXPECT_EQ(client.socket(AF_INET, SOCK_DGRAM, 0), -ESOCKTNOSUPPORT);
}

TEST_F(Calls, DescriptorsAreLimited) {
    int last = 0;
    for (int i = 0; i < 17; ++i) last = stream(server);
    EXPECT_EQ(last, -EMFILE);
}

TEST_F(Calls, AnAddressIsBoundOnce) {
    const int fd = stream(server);
    EXPECT_EQ(bind(server, fd, server_host), 0);
    EXPECT_EQ(bind(server, fd, server_host, 81), -EINVAL);
    const int other = stream(server);
    EXPECT_EQ(bind(server, other, server_host), -EADDRINUSE);
    EXPECT_EQ(bind(server, other, client_host), -EADDRNOTAVAIL);
}

TEST_F(Calls, AListenerRestartsWhileOldConnectionsWaitIfItSaysSo) {
    const Pair p = established();
    server.close(p.server);
    server.close(listener);
    settle();
    client.close(p.client);
    settle();
    const int strict = stream(server);
    EXPECT_EQ(bind(server, strict, server_host), -EADDRINUSE);
    const int again = stream(server);
    set(server, again, SOL_SOCKET, SO_REUSEADDR, 1);
    EXPECT_EQ(bind(server, again, server_host), 0);
    EXPECT_EQ(server.listen(again, 1), 0);
}

/// Three peers whose SYNs arrive before anybody is accepted, at a listener with room for two: as on
/// Linux, one more than its backlog.
class FullQueue : public SocketWorld {
  protected:
    void open(Sockets& sockets) {
        const int fd = stream(sockets);
        EXPECT_EQ(bind(sockets, fd, server_host), 0);
        EXPECT_EQ(sockets.listen(fd, 1), 0);
        listener = fd;
        for (int& peer : peers) {
            peer = stream(client, SOCK_NONBLOCK);
            EXPECT_EQ(connect(peer), -EINPROGRESS);
        }
        settle();
    }
    const tcp::Counters& counters() const { return server_host.worker().tcp_counters(); }
    int peers[3] = {};
};

TEST_F(FullQueue, LastAckIsDroppedAndTheSynAckSentAgainUntilThereIsRoom) {
    open(server);
    EXPECT_EQ(counters().listen_overflows, 1u);
    EXPECT_EQ(counters().out_rsts, 0u);
    for (const int peer : peers) {
        EXPECT_EQ(connect(peer), 0) << "each peer believes that it is connected";
        EXPECT_EQ(write(client, peer, "x"), 1);
    }
    settle(Duration::seconds(4));
    EXPECT_GT(counters().syn_retransmits, 0u);
    EXPECT_GT(counters().listen_overflows, 2u);
    EXPECT_EQ(counters().out_rsts, 0u);
    EXPECT_EQ(server_host.worker().gauges().half_open, 1u);

    server.accept(listener, nullptr, nullptr);
    server.accept(listener, nullptr, nullptr);
    EXPECT_EQ(read(server, server.accept(listener, nullptr, nullptr)), "x");
    EXPECT_EQ(server_host.worker().gauges().half_open, 0u);
}

TEST_F(FullQueue, SynIsDroppedWhileItIsFull) {
    open(server);
    const uint64_t opened = counters().passive_opens;
    EXPECT_EQ(connect(stream(client, SOCK_NONBLOCK)), -EINPROGRESS);
    settle();
    EXPECT_EQ(counters().passive_opens, opened);
    EXPECT_EQ(counters().listen_overflows, 2u);
}

TEST_F(FullQueue, IsAResetIfTheUserWantsIt) {
    Sockets strict{server_host.worker(), server_waiter, {.reset_on_overflow = true}};
    open(strict);
    EXPECT_EQ(counters().out_rsts, 1u);
    int resets = 0;
    for (const int peer : peers) {
        if (read(client, peer) == "error " + std::to_string(ECONNRESET)) ++resets;
    }
    EXPECT_EQ(resets, 1);
}

TEST_F(Calls, AListenerThatClosesResetsWhatNobodyHasAccepted) {
    listener = listening();
    const int fd = stream(client);
    EXPECT_EQ(connect(fd), 0);
    EXPECT_EQ(server.close(listener), 0);
    settle();
    EXPECT_EQ(read(client, fd), "error " + std::to_string(ECONNRESET));
}

TEST_F(Calls, QueuedBytesAreCounted) {
    const Pair p = established();
    write(client, p.client, "12345");
    int queued = 0;
    EXPECT_EQ(client.ioctl(p.client, SIOCOUTQ, &queued), 0);
    EXPECT_EQ(queued, 5);
    settle();
    EXPECT_EQ(client.ioctl(p.client, SIOCOUTQ, &queued), 0);
    EXPECT_EQ(queued, 0);
    EXPECT_EQ(server.ioctl(p.server, SIOCINQ, &queued), 0);
    EXPECT_EQ(queued, 5);
}

TEST_F(Calls, ANullBufferIsNoBuffer) {
    const Pair p = established();
    EXPECT_EQ(client.write(p.client, nullptr, 5), -EFAULT);
    EXPECT_EQ(client.read(p.client, nullptr, 5), -EFAULT);
    msghdr message{};
    message.msg_iovlen = 1;
    EXPECT_EQ(client.sendmsg(p.client, &message, 0), -EFAULT);
    EXPECT_EQ(client.recvmsg(p.client, &message, 0), -EFAULT);
    EXPECT_EQ(client.readv(p.client, nullptr, 1), -EFAULT);
    EXPECT_EQ(client.recvmsg(p.client, nullptr, 0), -EFAULT);
    message.msg_iovlen = IOV_MAX + 1;
    EXPECT_EQ(client.recvmsg(p.client, &message, 0), -EMSGSIZE);
    EXPECT_EQ(client.readv(p.client, nullptr, -1), -EINVAL);
    // Their sum is none that could be returned, though it fits into 64 bits again.
    char byte = 0;
    const iovec halves[] = {{&byte, size_t{1} << 63}, {&byte, size_t{1} << 63}};
    EXPECT_EQ(client.writev(p.client, halves, 2), -EINVAL);
}

}  // namespace
}  // namespace synfin::socket::test
