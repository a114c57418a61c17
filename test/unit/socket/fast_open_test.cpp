// TCP Fast Open through sockets: TCP_FASTOPEN, TCP_FASTOPEN_CONNECT and MSG_FASTOPEN, as Linux has
// them.
#include <linux/tcp.h>

#include "socket_world.hpp"

namespace synfin::socket::test {
namespace {

class FastOpenSockets : public SocketWorld {
  protected:
    FastOpenSockets() {
        listener = listening();
        EXPECT_EQ(set(server, listener, IPPROTO_TCP, TCP_FASTOPEN, 8), 0);
    }
    ssize_t send_early(int fd, std::string_view text, int flags = 0) {
        const sockaddr_in to = address(server_host);
        return client.sendto(fd, text.data(), text.size(), MSG_FASTOPEN | flags,
                             reinterpret_cast<const sockaddr*>(&to), sizeof to);
    }
    int accept() { return server.accept(listener, nullptr, nullptr); }
    void learn_cookie() {
        EXPECT_EQ(send_early(stream(client), "x"), 1);
        EXPECT_EQ(read(server, accept()), "x");
    }
    uint8_t options(Sockets& sockets, int fd) {
        tcp_info info{};
        socklen_t length = sizeof info;
        EXPECT_EQ(sockets.getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
        return info.tcpi_options;
    }
    uint64_t taken() const { return server_host.worker().tcp_counters().fast_open_passive; }
};

TEST_F(FastOpenSockets, SendtoConnectsAndSendsAndTheSecondTimeOnTheSyn) {
    const int first = stream(client);
    EXPECT_EQ(send_early(first, "one"), 3);
    EXPECT_EQ(read(server, accept()), "one");
    EXPECT_EQ(taken(), 0u);
    EXPECT_EQ(options(client, first) & TCPI_OPT_SYN_DATA, 0);

    const int second = stream(client);
    EXPECT_EQ(send_early(second, "two"), 3);
    const int accepted = accept();
    EXPECT_EQ(read(server, accepted), "two");
    EXPECT_EQ(taken(), 1u);
    EXPECT_NE(options(client, second) & TCPI_OPT_SYN_DATA, 0);
    EXPECT_NE(options(server, accepted) & TCPI_OPT_SYN_DATA, 0);
}

TEST_F(FastOpenSockets, SendtoThatBlocksSendsWhatTheSynHasNotTaken) {
    learn_cookie();
    const std::string text(5000, 'x');
    EXPECT_EQ(send_early(stream(client), text), 5000);
    const int accepted = accept();
    EXPECT_EQ(read(server, accepted, 5000, MSG_WAITALL), text);
}

TEST_F(FastOpenSockets, SendtoThatDoesNotBlockSaysWhatTheSynTakes) {
    const int first = stream(client, SOCK_NONBLOCK);
    EXPECT_EQ(send_early(first, "one"), -EINPROGRESS) << "the SYN asks for a cookie";
    EXPECT_EQ(send_early(first, "one"), -EALREADY);
    settle();
    EXPECT_EQ(send_early(first, "one"), 3) << "which tells that the connection stands";
    EXPECT_EQ(send_early(first, "two"), -EISCONN);
    EXPECT_EQ(read(server, accept()), "one");
    EXPECT_EQ(send_early(stream(client), std::string(5000, 'x'), MSG_DONTWAIT), 1420);
    EXPECT_EQ(read(server, accept(), 5000).size(), 1420u);
}

TEST_F(FastOpenSockets, SendtoRefusesWhatConnectRefuses) {
    sockaddr_in to = address(server_host);
    to.sin_family = AF_UNSPEC;
    const int fd = stream(client);
    EXPECT_EQ(
        client.sendto(fd, "x", 1, MSG_FASTOPEN, reinterpret_cast<const sockaddr*>(&to), sizeof to),
        -EOPNOTSUPP);
    EXPECT_EQ(client.send(fd, "x", 1, MSG_FASTOPEN), -EINVAL);
    EXPECT_EQ(server.send(listener, "x", 1, MSG_FASTOPEN), -EISCONN);
    server.close(listener);
    EXPECT_EQ(send_early(fd, "x"), -ECONNREFUSED);
}

TEST_F(FastOpenSockets, ConnectWithACookieWaitsForTheFirstData) {
    learn_cookie();
    const int fd = stream(client);
    EXPECT_EQ(set(client, fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1), 0);
    EXPECT_EQ(connect(fd), 0);
    EXPECT_EQ(connect(fd), -EISCONN);
    settle();
    EXPECT_EQ(server_host.worker().tcp_counters().passive_opens, 1u) << "nothing has left yet";
    pollfd watched{.fd = fd, .events = POLLIN | POLLOUT, .revents = 0};
    EXPECT_EQ(client.poll(&watched, 1, 0), 1);
    EXPECT_EQ(watched.revents, POLLOUT);
    EXPECT_EQ(read(client, fd, 1, MSG_DONTWAIT), "error " + std::to_string(EAGAIN));
    EXPECT_EQ(write(client, fd, "two"), 3);
    EXPECT_EQ(read(server, accept()), "two");
    EXPECT_EQ(taken(), 1u);
}

TEST_F(FastOpenSockets, ConnectWithoutACookieAsksForOne) {
    const int fd = stream(client);
    EXPECT_EQ(set(client, fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1), 0);
    EXPECT_EQ(connect(fd), 0);
    EXPECT_EQ(server_host.worker().tcp_counters().fast_open_cookie_requests, 1u);
    EXPECT_EQ(write(client, fd, "one"), 3);
    EXPECT_EQ(read(server, accept()), "one");
}

TEST_F(FastOpenSockets, SocketThatAwaitsDataCanBeShutDownAndClosed) {
    learn_cookie();
    const int fd = stream(client);
    EXPECT_EQ(set(client, fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1), 0);
    EXPECT_EQ(connect(fd), 0);
    EXPECT_EQ(client.shutdown(fd, SHUT_WR), 0);
    EXPECT_EQ(connect(fd), 0);
    EXPECT_EQ(client.close(fd), 0);
    settle();
    EXPECT_EQ(server_host.worker().tcp_counters().passive_opens, 1u);
}

TEST_F(FastOpenSockets, OptionsAreKeptAndRefusedAsLinuxDoes) {
    EXPECT_EQ(get(server, listener, IPPROTO_TCP, TCP_FASTOPEN), 8);
    EXPECT_EQ(set(server, listener, IPPROTO_TCP, TCP_FASTOPEN, -1), -EINVAL);
    EXPECT_EQ(set(server, listener, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1), -EINVAL);
    const Pair p = established();
    EXPECT_EQ(set(client, p.client, IPPROTO_TCP, TCP_FASTOPEN, 1), -EINVAL);
    EXPECT_EQ(set(client, p.client, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1), -EINVAL);
    const int fd = stream(client);
    EXPECT_EQ(set(client, fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 2), -EINVAL);
    EXPECT_EQ(set(client, fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1), 0);
    EXPECT_EQ(get(client, fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT), 1);
}

TEST_F(FastOpenSockets, ListenerThatIsSetToNoneTakesNoData) {
    learn_cookie();
    EXPECT_EQ(set(server, listener, IPPROTO_TCP, TCP_FASTOPEN, 0), 0);
    EXPECT_EQ(send_early(stream(client), "two"), 3);
    EXPECT_EQ(read(server, accept()), "two");
    EXPECT_EQ(taken(), 0u);
}

}  // namespace
}  // namespace synfin::socket::test
