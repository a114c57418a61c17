// Socket options, and that they reach the connection.
#include <climits>

#include <linux/tcp.h>

#include "socket_world.hpp"

namespace synfin::socket::test {
namespace {

using Options = SocketWorld;

TEST_F(Options, WhatIsSetIsReadBack) {
    const int fd = stream(client);
    struct Case {
        int level, name, value;
    };
    for (const Case c :
         {Case{SOL_SOCKET, SO_REUSEADDR, 1}, Case{SOL_SOCKET, SO_KEEPALIVE, 1},
          Case{IPPROTO_TCP, TCP_NODELAY, 1}, Case{IPPROTO_TCP, TCP_CORK, 1},
          Case{IPPROTO_TCP, TCP_MAXSEG, 1000}, Case{IPPROTO_TCP, TCP_KEEPIDLE, 30},
          Case{IPPROTO_TCP, TCP_KEEPINTVL, 5}, Case{IPPROTO_TCP, TCP_KEEPCNT, 3},
          Case{IPPROTO_TCP, TCP_SYNCNT, 4}, Case{IPPROTO_TCP, TCP_LINGER2, 7},
          Case{IPPROTO_TCP, TCP_DEFER_ACCEPT, 3}, Case{IPPROTO_TCP, TCP_WINDOW_CLAMP, 5000},
          Case{IPPROTO_TCP, TCP_QUICKACK, 0}, Case{IPPROTO_TCP, TCP_NOTSENT_LOWAT, 4000},
          Case{IPPROTO_TCP, TCP_USER_TIMEOUT, 1234}}) {
        EXPECT_EQ(set(client, fd, c.level, c.name, c.value), 0) << c.name;
        EXPECT_EQ(get(client, fd, c.level, c.name), c.value) << c.name;
    }
}

TEST_F(Options, BuffersComeBackDoubledAsFromLinux) {
    const int fd = stream(client);
    set(client, fd, SOL_SOCKET, SO_SNDBUF, 10'000);
    set(client, fd, SOL_SOCKET, SO_RCVBUF, 20'000);
    EXPECT_EQ(get(client, fd, SOL_SOCKET, SO_SNDBUF), 20'000);
    EXPECT_EQ(get(client, fd, SOL_SOCKET, SO_RCVBUF), 40'000);
}

TEST_F(Options, LargestBuffersAreThoseThatCanBeToldDoubled) {
    const int fd = stream(client);
    for (const int name : {SO_SNDBUF, SO_RCVBUF}) {
        EXPECT_EQ(set(client, fd, SOL_SOCKET, name, INT_MAX), 0);
        EXPECT_EQ(get(client, fd, SOL_SOCKET, name), INT_MAX - 1);
    }
}

TEST_F(Options, TimeoutBeyondAllTimesIsNone) {
    const int fd = stream(client);
    timeval time{.tv_sec = INT64_MAX, .tv_usec = 0};
    EXPECT_EQ(client.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time), 0);
    socklen_t length = sizeof time;
    EXPECT_EQ(client.getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, &length), 0);
    EXPECT_EQ(time.tv_sec, 0);
}

TEST_F(Options, WhatTheSendBufferSaysFitsIntoIt) {
    const Pair p = established(O_NONBLOCK);
    set(client, p.client, SOL_SOCKET, SO_SNDBUF, 10'000);
    const std::string bytes(30'000, 'x');
    EXPECT_EQ(write(client, p.client, bytes), 20'000);
}

TEST_F(Options, SendBufferGrowsUntilTheUserSaysHowLargeItIs) {
    const Pair p = established();
    const int initial = get(client, p.client, SOL_SOCKET, SO_SNDBUF);
    for (int i = 0; i < 3000; ++i) {
        world.schedule(Duration::microseconds(50 * i),
                       [&] { read(server, p.server, 1'000'000, MSG_DONTWAIT); });
    }
    const std::string bytes(3'000'000, 'x');
    EXPECT_EQ(write(client, p.client, bytes), 3'000'000);
    EXPECT_GT(get(client, p.client, SOL_SOCKET, SO_SNDBUF), initial);
    set(client, p.client, SOL_SOCKET, SO_SNDBUF, 10'000);
    EXPECT_EQ(get(client, p.client, SOL_SOCKET, SO_SNDBUF), 20'000);
}

TEST_F(Options, OptionsOfIpMayBeASingleByte) {
    const int fd = stream(client);
    const uint8_t value = 0x10;
    EXPECT_EQ(client.setsockopt(fd, IPPROTO_IP, IP_TOS, &value, 1), 0);
    EXPECT_EQ(get(client, fd, IPPROTO_IP, IP_TOS), 0x10);
    EXPECT_EQ(client.setsockopt(fd, IPPROTO_IP, IP_TOS, &value, 0), -EINVAL);
}

TEST_F(Options, Rfc1122_Ip_3_TimeToLiveZeroIsRefused) {
    const int fd = stream(client);
    set(client, fd, IPPROTO_IP, IP_TTL, 1);
    EXPECT_EQ(get(client, fd, IPPROTO_IP, IP_TTL), 1);
    const int zero = 0;
    EXPECT_EQ(client.setsockopt(fd, IPPROTO_IP, IP_TTL, &zero, sizeof zero), -EINVAL);
    EXPECT_EQ(get(client, fd, IPPROTO_IP, IP_TTL), 1);
}

TEST_F(Options, TheTimeOfADeferredAcceptIsToldInSynAcks) {
    const int fd = stream(server);
    set(server, fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
    EXPECT_EQ(get(server, fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 7);
}

TEST_F(Options, TheTimeOfFinWait2IsBoundedAndMayBeNone) {
    const int fd = stream(client);
    set(client, fd, IPPROTO_TCP, TCP_LINGER2, 200);
    EXPECT_EQ(get(client, fd, IPPROTO_TCP, TCP_LINGER2), 120);
    set(client, fd, IPPROTO_TCP, TCP_LINGER2, -5);
    EXPECT_EQ(get(client, fd, IPPROTO_TCP, TCP_LINGER2), -1);
    set(client, fd, IPPROTO_TCP, TCP_LINGER2, 0);
    EXPECT_EQ(get(client, fd, IPPROTO_TCP, TCP_LINGER2), 60);
}

TEST_F(Options, ValuesOutOfRangeAreRefused) {
    const int fd = stream(client);
    EXPECT_EQ(set(client, fd, IPPROTO_TCP, TCP_KEEPCNT, 0), -EINVAL);
    EXPECT_EQ(set(client, fd, IPPROTO_TCP, TCP_KEEPIDLE, 40'000), -EINVAL);
    EXPECT_EQ(set(client, fd, IPPROTO_TCP, TCP_MAXSEG, 10), -EINVAL);
    EXPECT_EQ(set(client, fd, IPPROTO_TCP, TCP_SYNCNT, 200), -EINVAL);
    EXPECT_EQ(set(client, fd, IPPROTO_TCP, 9999, 1), -ENOPROTOOPT);
    const char value = 1;
    EXPECT_EQ(client.setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, 1), -EINVAL);
}

TEST_F(Options, AnOptionGovernsAConnectionThatStands) {
    const Pair p = established();
    EXPECT_EQ(set(client, p.client, IPPROTO_TCP, TCP_CORK, 1), 0);
    write(client, p.client, "held");
    settle(Duration::milliseconds(20));
    EXPECT_EQ(read(server, p.server, 10, MSG_DONTWAIT), "error " + std::to_string(EAGAIN));
    EXPECT_EQ(set(client, p.client, IPPROTO_TCP, TCP_CORK, 0), 0);
    settle(Duration::milliseconds(20));
    EXPECT_EQ(read(server, p.server, 10, MSG_DONTWAIT), "held");
}

TEST_F(Options, AcceptedSocketsInheritThem) {
    listener = listening();
    EXPECT_EQ(set(server, listener, IPPROTO_TCP, TCP_NODELAY, 1), 0);
    const Pair p = established();
    EXPECT_EQ(get(server, p.server, IPPROTO_TCP, TCP_NODELAY), 1);
    EXPECT_FALSE(server_host.worker().profile(server.connection(p.server)).nagle);
}

TEST_F(Options, ADeferredConnectionIsAcceptedWithItsFirstData) {
    listener = listening();
    set(server, listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
    server.fcntl(listener, F_SETFL, O_NONBLOCK);
    const int fd = stream(client);
    EXPECT_EQ(connect(fd), 0);
    settle();
    EXPECT_EQ(server.accept(listener, nullptr, nullptr), -EAGAIN);
    write(client, fd, "now");
    settle();
    EXPECT_GE(server.accept(listener, nullptr, nullptr), 0);
}

TEST_F(Options, ADeferredConnectionWithoutDataIsAcceptedWhenItsTimeIsOver) {
    listener = listening();
    set(server, listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 3);  // two SYN,ACKs
    server.fcntl(listener, F_SETFL, O_NONBLOCK);
    EXPECT_EQ(connect(stream(client)), 0);
    settle(Duration::milliseconds(2900));
    EXPECT_EQ(server.accept(listener, nullptr, nullptr), -EAGAIN);
    EXPECT_EQ(server_host.worker().tcp_counters().deferred_accepts, 1u);
    EXPECT_EQ(server_host.worker().tcp_counters().syn_retransmits, 0u);
    settle(Duration::milliseconds(200));
    EXPECT_GE(server.accept(listener, nullptr, nullptr), 0);
    EXPECT_EQ(server_host.worker().tcp_counters().syn_retransmits, 1u);
}

TEST_F(Options, APeersEndIsReasonEnoughToAcceptADeferredConnection) {
    listener = listening();
    set(server, listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
    server.fcntl(listener, F_SETFL, O_NONBLOCK);
    const int fd = stream(client);
    EXPECT_EQ(connect(fd), 0);
    client.close(fd);
    settle();
    const int accepted = server.accept(listener, nullptr, nullptr);
    ASSERT_GE(accepted, 0);
    EXPECT_EQ(read(server, accepted), "");
}

TEST_F(Options, TheWaitingOfADeferredConnectionIsNoRoundTrip) {
    listener = listening();
    set(server, listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
    const int fd = stream(client);
    EXPECT_EQ(connect(fd), 0);
    settle(Duration::seconds(2));
    write(client, fd, "late");
    const int accepted = server.accept(listener, nullptr, nullptr);
    ASSERT_GE(accepted, 0);
    write(server, accepted, "answer");
    settle();
    const stack::ConnectionId id = server.connection(accepted);
    EXPECT_LT(server_host.worker().info(id).srtt, Duration::seconds(1));
    EXPECT_GT(server_host.worker().info(id).srtt, Duration{});
}

TEST_F(Options, AnErrorIsToldOnce) {
    const int fd = stream(client, SOCK_NONBLOCK);
    EXPECT_EQ(connect(fd, 81), -EINPROGRESS);
    settle();
    EXPECT_EQ(get(client, fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    EXPECT_EQ(get(client, fd, SOL_SOCKET, SO_ERROR), 0);
}

TEST_F(Options, TheCongestionAlgorithmHasAName) {
    const int fd = stream(client);
    EXPECT_EQ(client.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
    char name[16] = {};
    socklen_t length = sizeof name;
    EXPECT_EQ(client.getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length), 0);
    EXPECT_STREQ(name, "reno");
    EXPECT_EQ(client.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "bbr", 3), 0);
    length = sizeof name;
    EXPECT_EQ(client.getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length), 0);
    EXPECT_STREQ(name, "bbr");
    EXPECT_EQ(client.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "swift", 5), -ENOENT);
}

TEST_F(Options, TcpInfoTellsTheStateByLinuxsNumbers) {
    const auto state = [](Sockets& sockets, int fd) {
        tcp_info info{};
        socklen_t length = sizeof info;
        EXPECT_EQ(sockets.getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
        return int{info.tcpi_state};
    };
    const Pair p = established();
    EXPECT_EQ(state(server, listener), 10);
    EXPECT_EQ(state(client, p.client), 1);
    client.shutdown(p.client, SHUT_WR);
    settle();
    EXPECT_EQ(state(client, p.client), 5);
    EXPECT_EQ(state(server, p.server), 8);
    EXPECT_EQ(state(client, stream(client)), 7);
}

tcp_info info_of(Sockets& sockets, int fd) {
    tcp_info info{};
    socklen_t length = sizeof info;
    EXPECT_EQ(sockets.getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    return info;
}

TEST_F(Options, TcpInfoOfANewSocketIsWhatAConnectionBeginsWith) {
    const tcp_info info = info_of(client, stream(client));
    EXPECT_EQ(info.tcpi_rto, 1'000'000u);
    EXPECT_EQ(info.tcpi_rttvar, 250'000u);
    EXPECT_EQ(info.tcpi_snd_mss, 536u);
    EXPECT_EQ(info.tcpi_snd_cwnd, 10u);
    EXPECT_EQ(info.tcpi_snd_ssthresh, 0x7fff'ffffu);
    EXPECT_EQ(info.tcpi_min_rtt, UINT32_MAX);
    EXPECT_EQ(info.tcpi_pacing_rate, UINT64_MAX);
}

TEST_F(Options, TcpInfoOfAListenerTellsItsQueue) {
    listener = listening(5);
    EXPECT_EQ(connect(stream(client)), 0);
    settle();
    const tcp_info info = info_of(server, listener);
    EXPECT_EQ(info.tcpi_unacked, 1u);
    EXPECT_EQ(info.tcpi_sacked, 5u);
}

TEST_F(Options, TcpInfoCountsTheBytesOfBothDirections) {
    const Pair p = established();
    write(client, p.client, "hello, world");
    settle();
    EXPECT_EQ(read(server, p.server, 5), "hello");
    const tcp_info sender = info_of(client, p.client);
    EXPECT_EQ(sender.tcpi_bytes_sent, 12u);
    EXPECT_EQ(sender.tcpi_bytes_acked, 13u);  // our SYN counts
    EXPECT_EQ(sender.tcpi_unacked, 0u);
    EXPECT_EQ(sender.tcpi_ato, 40'000u);
    EXPECT_GT(sender.tcpi_rtt, 0u);
    EXPECT_LE(sender.tcpi_min_rtt, sender.tcpi_rtt);
    EXPECT_EQ(sender.tcpi_snd_cwnd, 10u);
    EXPECT_EQ(sender.tcpi_options, TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE);
    EXPECT_EQ(sender.tcpi_snd_mss, 1448u);
    EXPECT_EQ(get(client, p.client, IPPROTO_TCP, TCP_MAXSEG), 1448);
    EXPECT_EQ(sender.tcpi_pmtu, 1500u);
    EXPECT_EQ(info_of(server, p.server).tcpi_bytes_received, 12u);
}

TEST_F(Options, QuickAcknowledgmentsAreToldAsOnUntilSwitchedOff) {
    const int fd = stream(client);
    EXPECT_EQ(get(client, fd, IPPROTO_TCP, TCP_QUICKACK), 1);
    EXPECT_EQ(set(client, fd, IPPROTO_TCP, TCP_QUICKACK, 0), 0);
    EXPECT_EQ(get(client, fd, IPPROTO_TCP, TCP_QUICKACK), 0);
}

TEST_F(Options, UnsentLowWaterBoundsWhatASendTakesAndWhenPollTellsOfRoom) {
    const Pair p = established(O_NONBLOCK);
    EXPECT_EQ(set(client, p.client, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 4000), 0);
    const std::string bytes(20'000, 'x');
    EXPECT_EQ(write(client, p.client, bytes), 4000);
    pollfd watched{.fd = p.client, .events = POLLOUT, .revents = 0};
    EXPECT_EQ(client.poll(&watched, 1, 0), 0);
    EXPECT_EQ(write(client, p.client, bytes), -EAGAIN);
    settle();
    EXPECT_EQ(client.poll(&watched, 1, 0), 1);
    EXPECT_EQ(write(client, p.client, bytes), 4000);
}

}  // namespace
}  // namespace synfin::socket::test
