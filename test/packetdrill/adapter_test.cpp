// The shared object, driven as packetdrill drives it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "driver.hpp"

namespace synfin::packetdrill {

namespace {

TEST(Adapter, AServerAnswersReadsWritesAndCloses) {
    Driver d;
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

TEST(Adapter, AClientConnectsWithoutBlocking) {
    Driver d;
    const int fd = d.establish_client();
    EXPECT_EQ(d.poll(fd, POLLOUT), POLLOUT);
    EXPECT_EQ(d.get(fd, SOL_SOCKET, SO_ERROR), 0);
    EXPECT_EQ(d.connect(fd, 8080), 0);
    EXPECT_EQ(d.connect(fd, 8080), -1);
    EXPECT_EQ(errno, EISCONN);
}

TEST(Adapter, ARefusedConnectTellsSo) {
    Driver d;
    const int fd = d.socket(SOCK_STREAM | SOCK_NONBLOCK);
    EXPECT_EQ(d.connect(fd, 8080), -1);
    d.expect(Packet::syn());
    EXPECT_EQ(d.connect(fd, 8080), -1);
    EXPECT_EQ(errno, EALREADY);
    d.inject(Packet::rst_ack(0, 1));
    EXPECT_EQ(d.get(fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
}

TEST(Adapter, TheRetransmissionTimerFiresAtItsExactMicrosecond) {
    Driver d;
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
