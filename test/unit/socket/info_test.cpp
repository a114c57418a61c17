// What TCP_INFO tells of the past: what has come and gone, when, how often again, and what it was
// that sending waited for.
#include <linux/tcp.h>

#include "socket_world.hpp"

namespace synfin::socket::test {
namespace {

class History : public SocketWorld {
  protected:
    static tcp_info info(Sockets& sockets, int fd) {
        tcp_info told{};
        socklen_t length = sizeof told;
        EXPECT_EQ(sockets.getsockopt(fd, IPPROTO_TCP, TCP_INFO, &told, &length), 0);
        return told;
    }
    static std::string text(size_t bytes) { return std::string(bytes, 'x'); }
    /// The connection whose client's bytes nobody acknowledges for two seconds.
    Pair after_two_seconds_of_silence() {
        const Pair p = established(O_NONBLOCK);
        settle();
        link.set_down(true);
        write(client, p.client, text(500));
        settle(Duration::seconds(2));
        link.set_down(false);
        settle(Duration::seconds(4));
        return p;
    }
};

TEST_F(History, SegmentsOfBothDirectionsAreCounted) {
    const Pair p = established();
    write(client, p.client, text(1000));
    settle();
    write(server, p.server, text(300));
    settle();
    const tcp_info c = info(client, p.client);
    const tcp_info s = info(server, p.server);
    EXPECT_EQ(c.tcpi_data_segs_out, 1u);
    EXPECT_EQ(s.tcpi_data_segs_in, 1u);
    EXPECT_EQ(s.tcpi_data_segs_out, 1u);
    EXPECT_EQ(c.tcpi_data_segs_in, 1u);
    EXPECT_EQ(c.tcpi_segs_out, s.tcpi_segs_in);
    EXPECT_EQ(c.tcpi_segs_in, s.tcpi_segs_out + 1);  // the SYN,ACK left before there was a socket
    EXPECT_EQ(c.tcpi_delivered, 2u);                 // with the SYN
    EXPECT_EQ(c.tcpi_bytes_sent, 1000u);
    EXPECT_EQ(c.tcpi_total_retrans, 0u);
}

// Of segments so small, many lie in one buffer: what leaves at once is what the fast path takes.
TEST_F(History, EachSegmentOfAStreamIsCounted) {
    listener = listening();
    EXPECT_EQ(set(server, listener, IPPROTO_TCP, TCP_MAXSEG, 200), 0);
    const Pair p = established();
    constexpr size_t bytes = 60'000;
    write(client, p.client, text(bytes));
    settle();
    EXPECT_EQ(read(server, p.server, bytes).size(), bytes);
    const tcp_info c = info(client, p.client);
    EXPECT_EQ(c.tcpi_bytes_sent, bytes);
    EXPECT_EQ(c.tcpi_data_segs_out, info(server, p.server).tcpi_data_segs_in);
    EXPECT_EQ(c.tcpi_total_retrans, 0u);
}

TEST_F(History, WhatIsSentAgainIsCountedApart) {
    const Pair p = after_two_seconds_of_silence();
    const tcp_info c = info(client, p.client);
    EXPECT_GT(c.tcpi_total_retrans, 1u);
    EXPECT_EQ(c.tcpi_data_segs_out, c.tcpi_total_retrans + 1);
    EXPECT_EQ(c.tcpi_bytes_retrans, 500u * c.tcpi_total_retrans);
    EXPECT_EQ(c.tcpi_bytes_sent, 500u + c.tcpi_bytes_retrans);
    EXPECT_EQ(c.tcpi_bytes_acked, 501u);
    EXPECT_EQ(info(server, p.server).tcpi_data_segs_in, 1u);
}

TEST_F(History, RecordsHaveSegmentsOfTheirOwn) {
    for (const int flags : {0, int{MSG_EOR}}) {
        const Pair p = established();
        set(client, p.client, IPPROTO_TCP, TCP_NODELAY, 1);
        for (int i = 0; i < 3; ++i) EXPECT_EQ(client.send(p.client, "record", 6, flags), 6);
        settle();
        EXPECT_EQ(read(server, p.server), "recordrecordrecord");
        EXPECT_EQ(info(client, p.client).tcpi_data_segs_out, flags == 0 ? 1u : 3u);
    }
}

TEST_F(History, SynThatIsSentAgainCounts) {
    established();  // the hosts know each other
    const int fd = stream(client, SOCK_NONBLOCK);
    link.set_down(true);
    connect(fd);
    settle(Duration::milliseconds(3500));  // again after 1 and 3 s
    EXPECT_EQ(info(client, fd).tcpi_total_retrans, 2u);
    EXPECT_EQ(info(client, fd).tcpi_segs_out, 3u);
    EXPECT_EQ(info(client, fd).tcpi_bytes_sent, 0u);
}

TEST_F(History, TimeWithoutAnAcknowledgmentIsBusyTime) {
    const Pair p = after_two_seconds_of_silence();
    const tcp_info c = info(client, p.client);
    EXPECT_GT(c.tcpi_busy_time, 2'000'000u);
    EXPECT_LT(c.tcpi_busy_time, 6'000'000u);
    EXPECT_EQ(c.tcpi_rwnd_limited, 0u);
    EXPECT_EQ(c.tcpi_sndbuf_limited, 0u);
    settle(Duration::seconds(1));
    EXPECT_EQ(info(client, p.client).tcpi_busy_time, c.tcpi_busy_time);
    EXPECT_EQ(info(server, p.server).tcpi_busy_time, 0u);
}

TEST_F(History, TimeInWhichThePeersWindowKeepsTheRestBackIsTold) {
    listener = stream(server);
    set(server, listener, SOL_SOCKET, SO_RCVBUF, 10'000);
    bind(server, listener, server_host);
    server.listen(listener, 1);
    const Pair p = established(O_NONBLOCK);
    EXPECT_EQ(write(client, p.client, text(30'000)), 30'000);
    settle(Duration::seconds(3));
    const tcp_info waiting = info(client, p.client);
    EXPECT_GT(waiting.tcpi_notsent_bytes, 0u);
    EXPECT_GT(waiting.tcpi_rwnd_limited, 2'900'000u);
    EXPECT_LE(waiting.tcpi_rwnd_limited, waiting.tcpi_busy_time);
    while (info(client, p.client).tcpi_notsent_bytes > 0) {
        read(server, p.server, 100'000);
        settle();
    }
    const tcp_info after = info(client, p.client);
    settle(Duration::seconds(1));
    EXPECT_EQ(info(client, p.client).tcpi_rwnd_limited, after.tcpi_rwnd_limited);
}

TEST_F(History, TimeInWhichTheSendBufferIsTooSmallIsTold) {
    link.set_faults({.delay = Duration::milliseconds(250)});
    const Pair p = established(O_NONBLOCK);
    set(client, p.client, SOL_SOCKET, SO_SNDBUF, 2500);
    EXPECT_EQ(write(client, p.client, text(10'000)), 5000);
    settle(Duration::milliseconds(400));
    const tcp_info c = info(client, p.client);
    EXPECT_EQ(c.tcpi_notsent_bytes, 0u);
    EXPECT_EQ(c.tcpi_sndbuf_limited, 400'000u);
    EXPECT_EQ(c.tcpi_busy_time, 400'000u);
}

TEST_F(History, HowLongAgoSomethingPassedIsTold) {
    const Pair p = established();
    settle(Duration::milliseconds(300));
    write(client, p.client, "x");
    settle(Duration::milliseconds(200));
    write(server, p.server, "y");
    settle(Duration::milliseconds(100));
    const tcp_info c = info(client, p.client);
    EXPECT_EQ(c.tcpi_last_data_sent, 300u);
    EXPECT_EQ(c.tcpi_last_data_recv, 99u);  // the link takes 50 us
    EXPECT_EQ(c.tcpi_last_ack_recv, 99u);
    EXPECT_EQ(info(server, p.server).tcpi_last_data_sent, 100u);
}

TEST_F(History, BeforeAnyTextTheHandshakeCountsForIt) {
    const Pair p = established();
    settle(Duration::milliseconds(300));
    const tcp_info c = info(client, p.client);
    EXPECT_EQ(c.tcpi_last_data_sent, c.tcpi_last_data_recv);
    EXPECT_GE(c.tcpi_last_data_sent, 299u);
    EXPECT_LT(c.tcpi_last_data_sent, 310u);
}

TEST_F(History, DeliveryRateIsTheBottlenecks) {
    link.set_faults({.delay = Duration::milliseconds(5), .bytes_per_second = 1'000'000});
    const Pair p = established(O_NONBLOCK);
    for (int i = 0; i < 30; ++i) {
        write(client, p.client, text(30'000));
        settle(Duration::milliseconds(20));
        while (read(server, p.server, 100'000).size() > 10) {
        }
    }
    const tcp_info c = info(client, p.client);
    EXPECT_GT(c.tcpi_delivery_rate, 850'000u);
    EXPECT_LT(c.tcpi_delivery_rate, 1'000'000u);
    EXPECT_GE(c.tcpi_min_rtt, 10'000u);
    EXPECT_LT(c.tcpi_min_rtt, 20'000u);
}

TEST_F(History, CopiesAndWhatComesOutOfOrderAreTold) {
    const Pair p = established(O_NONBLOCK);
    link.set_faults({.duplication = 0.5, .reordering = 0.3});
    for (int i = 0; i < 20; ++i) {
        write(client, p.client, text(20'000));
        settle(Duration::milliseconds(20));
        while (read(server, p.server, 100'000).size() > 10) {
        }
    }
    EXPECT_GT(info(client, p.client).tcpi_dsack_dups, 0u);
    EXPECT_GT(info(server, p.server).tcpi_rcv_ooopack, 0u);
}

TEST_F(History, IsTheConnectionsAndNotTheSockets) {
    const Pair p = established();
    write(client, p.client, text(1000));
    settle();
    sockaddr none{};
    none.sa_family = AF_UNSPEC;
    EXPECT_EQ(client.connect(p.client, &none, sizeof none), 0);
    settle();
    EXPECT_EQ(connect(p.client), 0);
    EXPECT_EQ(info(client, p.client).tcpi_bytes_sent, 0u);
    EXPECT_EQ(info(client, p.client).tcpi_segs_out, 2u);
}

TEST_F(History, OutlivesTheConnection) {
    const Pair p = established();
    write(client, p.client, text(1000));
    settle();
    server.close(p.server);
    settle();
    EXPECT_EQ(info(client, p.client).tcpi_state, 7);
    EXPECT_EQ(info(client, p.client).tcpi_bytes_acked, 1001u);
    EXPECT_EQ(info(client, p.client).tcpi_data_segs_out, 1u);
}

}  // namespace
}  // namespace synfin::socket::test
