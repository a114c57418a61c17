#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <synfin/dpdk/packet_sockets.hpp>

namespace synfin::dpdk {
namespace {

class Socket {
  public:
    Socket(int domain, int type) : descriptor_{::socket(domain, type, 0)} {}
    ~Socket() {
        if (is_open()) ::close(descriptor_);
    }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    bool is_open() const { return descriptor_ >= 0; }
    int send_buffer() const {
        int bytes = 0;
        socklen_t length = sizeof bytes;
        ::getsockopt(descriptor_, SOL_SOCKET, SO_SNDBUF, &bytes, &length);
        return bytes;
    }

  private:
    int descriptor_;
};

TEST(PacketSockets, HoldMoreThanBeforeAndOthersAreLeftAlone) {
    const Socket packet{AF_PACKET, SOCK_RAW};
    if (!packet.is_open()) GTEST_SKIP() << "needs CAP_NET_RAW";
    const Socket other{AF_INET, SOCK_DGRAM};
    const int packet_before = packet.send_buffer();
    const int other_before = other.send_buffer();
    EXPECT_EQ(widen_packet_sockets(4096, 2048), 1u);
    EXPECT_GT(packet.send_buffer(), packet_before);
    EXPECT_EQ(other.send_buffer(), other_before);
}

}  // namespace
}  // namespace synfin::dpdk
