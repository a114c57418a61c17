// The shared object, driven as packetdrill drives it.
#include <cstdio>
#include <fstream>
#include <iterator>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "driver.hpp"

namespace synfin::packetdrill {

namespace {

class EachFamily : public ::testing::TestWithParam<Family> {};
INSTANTIATE_TEST_SUITE_P(Adapter, EachFamily,
                         ::testing::Values(Family::ipv4, Family::ipv6, Family::ipv4_mapped_ipv6));

TEST_P(EachFamily, AServerAnswersReadsWritesAndCloses) {
    Driver d{"mtu=1500", GetParam()};
    const int fd = d.establish_server();
    ASSERT_GE(fd, 0);
    EXPECT_EQ(d.write(fd, 500), 500);
    d.expect(Packet::data(1, 1, 500));
    d.inject(Packet::data(1, 501, 100));
    EXPECT_EQ(d.read(fd, 200), 100);
    d.expect(Packet::of_ack(501, 101));
    EXPECT_EQ(d.close(fd), 0);
    d.expect(Packet::fin(501, 101));
    d.inject(Packet::fin(101, 502));
    d.expect(Packet::of_ack(502, 102));
}

TEST(Adapter, APeerThatClosesFirstIsReadToTheEnd) {
    Driver d;
    const int fd = d.establish_server();
    d.inject({.flags = "FP.", .seq = 1, .ack = 1, .length = 10});
    d.expect(Packet::of_ack(1, 12));
    EXPECT_EQ(d.read(fd, 100), 10);
    EXPECT_EQ(d.read(fd, 100), 0);
    EXPECT_EQ(d.close(fd), 0);
    d.expect(Packet::fin(1, 12));
    d.inject(Packet::of_ack(12, 2));
    d.expect_silence();
}

TEST_P(EachFamily, AClientConnectsWithoutBlocking) {
    Driver d{"mtu=1500", GetParam()};
    const int fd = d.establish_client();
    EXPECT_EQ(d.poll(fd, POLLOUT), POLLOUT);
    EXPECT_EQ(d.get(fd, SOL_SOCKET, SO_ERROR), 0);
    EXPECT_EQ(d.connect(fd, 8080), 0);
    EXPECT_EQ(d.connect(fd, 8080), -1);
    EXPECT_EQ(errno, EISCONN);
}

TEST_P(EachFamily, ARefusedConnectTellsSo) {
    Driver d{"mtu=1500", GetParam()};
    const int fd = d.socket(SOCK_STREAM | SOCK_NONBLOCK);
    EXPECT_EQ(d.connect(fd, 8080), -1);
    d.expect(Packet::syn());
    EXPECT_EQ(d.connect(fd, 8080), -1);
    EXPECT_EQ(errno, EALREADY);
    d.inject(Packet::rst_ack(0, 1));
    EXPECT_EQ(d.get(fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
}

TEST_P(EachFamily, TheRetransmissionTimerFiresAtItsExactMicrosecond) {
    Driver d{"mtu=1500", GetParam()};
    const int fd = d.establish_server(100_ms);
    EXPECT_EQ(d.write(fd, 10), 10);
    Packet last = d.expect(Packet::data(1, 1, 10));
    // SRTT 100 ms, RTTVAR 50 ms, and the looks at the clock on the way.
    const Packet again = d.expect(Packet::data(1, 1, 10));
    const Duration rto = again.at - last.at;
    EXPECT_GE(rto, 300_ms);
    EXPECT_LT(rto, 301_ms);
    last = again;
    for (const int64_t factor : {2, 4, 8, 16, 32}) {
        last = d.expect_at(factor * rto, last, Packet::data(1, 1, 10));
    }
}

TEST(Adapter, AnAcceptThatBlocksEndsWithTheHandshake) {
    Driver d;
    const int listener = d.listen(8080);
    int fd = -1;
    d.block([&] { fd = d.accept(listener); });
    d.wait(100_ms);
    EXPECT_TRUE(d.blocked());
    d.inject(Packet::syn().mss(1000));
    d.expect(Packet::syn_ack(0, 1));
    d.wait(50_ms);
    const Duration before = d.now();
    d.inject(Packet::of_ack(1, 1));
    const Duration after = d.now();
    EXPECT_LE(d.join(), after);
    EXPECT_LE(after - before, 10_us);
    EXPECT_GE(fd, 0);
}

TEST(Adapter, AReadThatBlocksHoldsTheTimeWhenDataComes) {
    Driver d;
    const int fd = d.establish_server();
    ssize_t count = 0;
    d.block([&] { count = d.read(fd, 100); });
    const Duration begin = d.now();
    d.wait(3_s);
    EXPECT_TRUE(d.blocked());
    d.inject(Packet::data(1, 1, 40));
    d.wait(10_s);
    const Duration end = d.join();
    EXPECT_EQ(count, 40);
    EXPECT_GE(end - begin, 3_s);
    EXPECT_LT(end - begin, 3001_ms);
    d.expect(Packet::of_ack(1, 41));
}

TEST(Adapter, AConnectThatBlocksTimesOutInVirtualTime) {
    Driver d{"syn_retries=3"};
    const int fd = d.socket();
    int result = 0;
    int error = 0;
    d.block([&] {
        result = d.connect(fd, 8080);
        error = errno;
    });
    Packet last = d.expect(Packet::syn());
    last = d.expect_at(1_s, last, Packet::syn());
    last = d.expect_at(2_s, last, Packet::syn());
    last = d.expect_at(4_s, last, Packet::syn());
    d.wait(9_s);
    const Duration end = d.join();
    EXPECT_EQ(result, -1);
    EXPECT_EQ(error, ETIMEDOUT);
    EXPECT_GE(end - last.at, 8_s);
    EXPECT_LT(end - last.at, 8001_ms);
}

TEST(Adapter, BothSidesOpenAtOnce) {
    Driver d;
    const int fd = d.socket(SOCK_STREAM | SOCK_NONBLOCK);
    d.connect(fd, 8080);
    d.expect(Packet::syn());
    d.inject(Packet::syn().mss(1000));
    d.expect(Packet::syn_ack(0, 1));
    d.inject(Packet::of_ack(1, 1));
    EXPECT_EQ(d.poll(fd, POLLOUT), POLLOUT);
    EXPECT_EQ(d.write(fd, 10), 10);
    d.expect(Packet::data(1, 1, 10));
}

TEST(Adapter, BothSidesCloseAtOnce) {
    Driver d;
    const int fd = d.establish_server();
    EXPECT_EQ(d.close(fd), 0);
    d.expect(Packet::fin(1, 1));
    d.inject(Packet::fin(1, 1));
    d.expect(Packet::of_ack(2, 2));
    d.inject(Packet::of_ack(2, 2));
    d.expect_silence();
    // TIME_WAIT answers what comes again.
    d.inject(Packet::fin(1, 2));
    d.expect(Packet::of_ack(2, 2));
}

TEST_P(EachFamily, AResetIsToldByReadAndWrite) {
    Driver d{"mtu=1500", GetParam()};
    const int fd = d.establish_server();
    d.inject(Packet::rst(1));
    EXPECT_EQ(d.read(fd, 10), -1);
    EXPECT_EQ(errno, ECONNRESET);
    EXPECT_EQ(d.write(fd, 10), -1);
    EXPECT_EQ(errno, EPIPE);
}

TEST(Adapter, AResetAfterShutdownOfReadingIsNoBrokenPipe) {
    Driver d;
    const int fd = d.establish_server();
    EXPECT_EQ(d.shutdown(fd, SHUT_RD), 0);
    d.inject(Packet::rst(1));
    EXPECT_EQ(d.get(fd, SOL_SOCKET, SO_ERROR), ECONNRESET);
}

TEST(Adapter, LingerOfZeroResets) {
    Driver d;
    const int fd = d.establish_server();
    const linger l{.l_onoff = 1, .l_linger = 0};
    EXPECT_EQ(d.table.setsockopt(d.table.userdata, fd, SOL_SOCKET, SO_LINGER, &l, sizeof l), 0);
    EXPECT_EQ(d.close(fd), 0);
    d.expect(Packet::rst_ack(1, 1));
}

TEST(Adapter, LingerHoldsCloseUntilTheFinIsAcknowledged) {
    Driver d;
    const int fd = d.establish_server();
    const linger l{.l_onoff = 1, .l_linger = 10};
    d.table.setsockopt(d.table.userdata, fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    d.block([&] { d.close(fd); });
    d.expect(Packet::fin(1, 1));
    d.wait(100_ms);
    EXPECT_TRUE(d.blocked());
    const Duration acknowledged = d.now();
    d.inject(Packet::of_ack(1, 2));
    EXPECT_LT(d.join() - acknowledged, 10_us);
}

TEST(Adapter, TimeGoesOnForABlockingCallWhenNobodyElseMovesIt) {
    Driver d;
    const int fd = d.establish_server(100_ms);
    const linger l{.l_onoff = 1, .l_linger = 1};
    d.table.setsockopt(d.table.userdata, fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    const Duration begin = d.now();
    d.block([&] { d.close(fd); });
    const Duration took = d.join() - begin;
    EXPECT_GE(took, 1_s);
    EXPECT_LT(took, 1001_ms);
    const Packet first = d.expect(Packet::fin(1, 1));
    const Packet second = d.expect(Packet::fin(1, 1));
    d.expect_at(2 * (second.at - first.at), second, Packet::fin(1, 1));
}

TEST(Adapter, ShutdownClosesOneDirection) {
    Driver d;
    const int fd = d.establish_server();
    EXPECT_EQ(d.shutdown(fd, SHUT_WR), 0);
    d.expect(Packet::fin(1, 1));
    d.inject(Packet::of_ack(1, 2));
    d.inject(Packet::data(1, 2, 10));
    EXPECT_EQ(d.read(fd, 10), 10);
    EXPECT_EQ(d.write(fd, 10), -1);
    EXPECT_EQ(errno, EPIPE);
    d.expect(Packet::of_ack(2, 11));
}

TEST(Adapter, AClosedWindowIsProbedAtExactTimes) {
    Driver d;
    const int fd = d.establish_server(100_ms);
    d.inject(Packet::of_ack(1, 1).win(0));
    EXPECT_EQ(d.write(fd, 10), 10);
    Packet last = d.expect(Packet::of_ack(0, 1));
    Duration interval{};
    for (int probe = 0; probe < 4; ++probe) {
        const Packet next = d.expect(Packet::of_ack(0, 1));
        if (interval != Duration{}) {
            EXPECT_EQ(next.at - last.at, 2 * interval);
        }
        interval = next.at - last.at;
        last = next;
        d.inject(Packet::of_ack(1, 1).win(0));
    }
    d.inject(Packet::of_ack(1, 1).win(1000));
    d.expect(Packet::data(1, 1, 10));
}

TEST(Adapter, AWatchSetTellsOfData) {
    Driver d;
    const int fd = d.establish_server();
    const int set = d.table.epoll_create(d.table.userdata, 1);
    ASSERT_GE(set, 0);
    epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.fd = fd}};
    EXPECT_EQ(d.table.epoll_ctl(d.table.userdata, set, EPOLL_CTL_ADD, fd, &event), 0);
    EXPECT_EQ(d.table.epoll_wait(d.table.userdata, set, &event, 1, 0), 0);
    d.inject(Packet::data(1, 1, 10));
    EXPECT_EQ(d.table.epoll_wait(d.table.userdata, set, &event, 1, 0), 1);
    EXPECT_EQ(event.events, uint32_t{EPOLLIN});
    EXPECT_EQ(d.table.epoll_wait(d.table.userdata, set, &event, 1, 0), 0);
    d.expect(Packet::of_ack(1, 11));
}

TEST(Adapter, StatesCanBeReadFromAFile) {
    const std::string path = "packetdrill_states_" + std::to_string(getpid());
    Driver d{"state_file=" + path};
    const auto states = [&] {
        std::ifstream file{path};
        return std::string{std::istreambuf_iterator<char>{file}, {}};
    };
    const int fd = d.establish_server();
    EXPECT_NE(states().find("LISTEN 0 1 192.168.0.1:8080 *:*"), std::string::npos);
    EXPECT_NE(states().find("ESTAB 0 0 192.168.0.1:8080 192.0.2.1:"), std::string::npos);
    d.close(fd);
    d.expect(Packet::fin(1, 1));
    EXPECT_NE(states().find("FIN-WAIT-1"), std::string::npos);
    std::remove(path.c_str());
}

TEST(Adapter, TheFileOfStatesIsThereFromTheBeginning) {
    const std::string path = "packetdrill_no_states_" + std::to_string(getpid());
    std::ofstream{path} << "ESTAB of an earlier run";
    Driver d{"state_file=" + path};
    std::ifstream file{path};
    EXPECT_EQ((std::string{std::istreambuf_iterator<char>{file}, {}}), "");
    std::remove(path.c_str());
}

TEST_P(EachFamily, AnIcmpErrorEndsAnAttemptAndBelongsToItsSegment) {
    const bool v6 = GetParam() == Family::ipv6;
    const uint8_t port_unreachable = v6 ? 4 : 3;
    Driver d{"mtu=1500", GetParam()};
    const int fd = d.socket(SOCK_STREAM | SOCK_NONBLOCK);
    d.connect(fd, 8080);
    d.expect(Packet::syn());
    d.inject_unreachable(port_unreachable, 1000);
    EXPECT_EQ(d.get(fd, SOL_SOCKET, SO_ERROR), 0);
    d.inject_unreachable(port_unreachable, 0);
    EXPECT_EQ(d.get(fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
}

TEST_P(EachFamily, AnIcmpErrorIsToldOfAConnectionThatGoesOn) {
    const bool v6 = GetParam() == Family::ipv6;
    Driver d{"mtu=1500", GetParam()};
    const int fd = d.establish_server();
    EXPECT_EQ(d.write(fd, 10), 10);
    d.expect(Packet::data(1, 1, 10));
    d.inject_unreachable(0, 1);  // no route to the network
    EXPECT_EQ(d.get(fd, SOL_SOCKET, SO_ERROR), ENETUNREACH);
    d.inject_unreachable(v6 ? 3 : 1, 1);
    EXPECT_EQ(d.get(fd, SOL_SOCKET, SO_ERROR), EHOSTUNREACH);
    d.inject_unreachable(v6 ? 1 : 13, 1);
    EXPECT_EQ(d.get(fd, SOL_SOCKET, SO_ERROR), v6 ? EACCES : EHOSTUNREACH);
    EXPECT_EQ(d.get(fd, SOL_SOCKET, SO_ERROR), 0);
    d.inject(Packet::of_ack(1, 11));
    EXPECT_EQ(d.write(fd, 10), 10);
    d.expect(Packet::data(11, 1, 10));
}

TEST_P(EachFamily, AnAckSaysThatTheTroubleOnTheWayIsOver) {
    Driver d{"mtu=1500", GetParam()};
    const int fd = d.establish_server();
    EXPECT_EQ(d.write(fd, 10), 10);
    d.expect(Packet::data(1, 1, 10));
    d.inject_unreachable(0, 1);
    d.wait(Duration::milliseconds(1));
    d.inject(Packet::of_ack(1, 11));
    EXPECT_EQ(d.get(fd, SOL_SOCKET, SO_ERROR), 0);
}

TEST(Adapter, KnobsMayBearTheNamesOfTheSysctls) {
    Driver d{"net.ipv4.tcp_timestamps=0,tcp_sack=0,window_scaling=0,tcp_congestion_control=reno"};
    const int fd = d.socket(SOCK_STREAM | SOCK_NONBLOCK);
    d.connect(fd, 8080);
    const Packet syn = d.expect(Packet::syn());
    EXPECT_EQ(syn.options.size(), 4u) << "MSS alone";
}

TEST(Adapter, SynCookiesAreAKnob) {
    Driver d{"syncookies=2,timestamps=0"};
    d.listen(8080);
    d.inject(Packet::syn().mss(1000));
    const Packet answer = d.expect(Packet::syn_ack(0, 1));
    // Nothing is kept, and so nothing is sent again.
    d.expect_silence();
    EXPECT_FALSE(answer.options.empty());
}

TEST(Adapter, EcnIsAKnob) {
    for (const auto& [value, flags] : {std::pair{"0", "S"}, {"1", "SEW"}, {"2", "S"}}) {
        Driver d{std::string{"ecn="} + value};
        const int fd = d.socket(SOCK_STREAM | SOCK_NONBLOCK);
        d.connect(fd, 8080);
        d.expect({.flags = flags});
    }
}

TEST(Adapter, TheCongestionControlIsAKnob) {
    Driver d{"congestion=reno"};
    const int fd = d.socket();
    char name[16] = {};
    socklen_t length = sizeof name;
    EXPECT_EQ(d.table.getsockopt(d.table.userdata, fd, IPPROTO_TCP, TCP_CONGESTION, name, &length),
              0);
    EXPECT_STREQ(name, "reno");
}

TEST(Adapter, BytesAreSplicedThroughAPipe) {
    Driver d;
    const int fd = d.establish_server();
    int ends[2] = {};
    ASSERT_EQ(d.table.pipe(d.table.userdata, ends), 0);
    const auto splice = [&](int from, int to, size_t count, loff_t offset = 0) {
        loff_t none = 0;
        return d.table.splice(d.table.userdata, from, &offset, to, &none, count, 0);
    };
    EXPECT_EQ(splice(fd, ends[1], 10, 1), -1);
    EXPECT_EQ(errno, ESPIPE);
    EXPECT_EQ(splice(ends[0], fd, 10), -1);
    EXPECT_EQ(errno, EAGAIN);
    d.inject(Packet::data(1, 1, 100));
    EXPECT_EQ(splice(fd, ends[1], 60), 60);
    EXPECT_EQ(d.read(fd, 100), 40);
    EXPECT_EQ(splice(ends[0], fd, 100), 60);
    d.expect(Packet::data(1, 101, 60));
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST(Adapter, APacketLargerThanTheMtuIsTaken) {
    Driver d;
    const int fd = d.establish_server();
    d.inject(Packet::data(1, 1, 30000));
    EXPECT_EQ(d.read(fd, 40000), 30000);
}

TEST(Adapter, APeerThatKeepsSilentToKeepAlivesIsReset) {
    Driver d{"keepalive_time=2,keepalive_intvl=1,keepalive_probes=2"};
    const int fd = d.establish_server();
    d.set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    const Packet first = d.expect(Packet::of_ack(0, 1));
    const Packet second = d.expect_at(1_s, first, Packet::of_ack(0, 1));
    d.expect_at(1_s, second, Packet::rst_ack(1, 1));
    EXPECT_EQ(d.read(fd, 10), -1);
    EXPECT_EQ(errno, ETIMEDOUT);
}

TEST(Adapter, DataAfterCloseIsResetWithTheNumberThatThePeerExpects) {
    Driver d;
    const int fd = d.establish_server();
    EXPECT_EQ(d.close(fd), 0);
    d.expect(Packet::fin(1, 1));
    d.inject(Packet::data(1, 2, 10));
    d.expect(Packet::rst(2));
}

TEST_P(EachFamily, DataAfterShutdownOfBothDirectionsIsResetAndToldAsSuch) {
    Driver d{"mtu=1500", GetParam()};
    const int fd = d.establish_server();
    EXPECT_EQ(d.shutdown(fd, SHUT_RDWR), 0);
    d.expect(Packet::fin(1, 1));
    d.inject(Packet::of_ack(1, 2));
    d.inject(Packet::data(1, 2, 10));
    d.expect(Packet::rst(2));
    EXPECT_EQ(d.get(fd, SOL_SOCKET, SO_ERROR), ECONNRESET);
}

TEST(Adapter, SilenceEndsAfterItsBound) {
    Driver d;
    d.establish_server();
    const Duration begin = d.now();
    d.expect_silence();
    const Duration waited = d.now() - begin;
    EXPECT_GE(waited, 5_s);
    EXPECT_LT(waited, 5001_ms);
}

TEST(Adapter, TheClockMovesByOneMicrosecondPerLook) {
    Driver d;
    const Duration first = d.now();
    EXPECT_EQ(d.now() - first, 1_us);
}

TEST(Adapter, DescriptorsAreTheKernelsAndMayBeClosedBehindOurBack) {
    Driver d;
    const int fd = d.establish_server();
    EXPECT_GE(fcntl(fd, F_GETFD), 0);
    EXPECT_EQ(::close(fd), 0);
    d.inject(Packet::rst_ack(1, 1));
    d.expect_silence();
}

}  // namespace

}  // namespace synfin::packetdrill
