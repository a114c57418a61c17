// Plays packetdrill's part: loads the shared object as packetdrill does, calls it through the table
// alone, and is the peer and the network. It shares no code with the object, so that headers,
// checksums and times have a second opinion.
//
//     Driver d;
//     const int listener = d.listen(8080);
//     d.inject(Packet::syn().mss(1000));
//     d.expect(Packet::syn_ack(0, 1));
//
// Sequence numbers are relative to each side's SYN. Each packet that leaves the object is checked
// for its addresses and checksums; one that nobody expected fails the test at its end.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <optional>
#include <source_location>
#include <string>
#include <thread>
#include <vector>

#include <synfin/base/instant.hpp>

#include "interface.hpp"

namespace synfin::packetdrill {

using namespace synfin::literals;
using Where = std::source_location;

/// A TCP segment, as it is written in a test.
struct Packet {
    std::string flags;  ///< of "FSRP.UEW", as packetdrill does
    uint32_t seq = 0;
    uint32_t ack = 0;
    uint32_t length = 0;  ///< of the payload
    std::optional<uint16_t> window{};
    std::vector<uint8_t> options{};
    Duration at{};  ///< of a packet that left: since the driver's first look at the clock

    static Packet syn() { return {.flags = "S"}; }
    static Packet syn_ack(uint32_t seq, uint32_t ack) {
        return {.flags = "S.", .seq = seq, .ack = ack};
    }
    static Packet of_ack(uint32_t seq, uint32_t ack) {
        return {.flags = ".", .seq = seq, .ack = ack};
    }
    static Packet data(uint32_t seq, uint32_t ack, uint32_t length) {
        return {.flags = "P.", .seq = seq, .ack = ack, .length = length};
    }
    static Packet fin(uint32_t seq, uint32_t ack) {
        return {.flags = "F.", .seq = seq, .ack = ack};
    }
    static Packet rst(uint32_t seq) { return {.flags = "R", .seq = seq}; }
    static Packet rst_ack(uint32_t seq, uint32_t ack) {
        return {.flags = "R.", .seq = seq, .ack = ack};
    }
    Packet& win(uint16_t w) {
        window = w;
        return *this;
    }
    Packet& mss(uint16_t m) {
        options = {2, 4, static_cast<uint8_t>(m >> 8), static_cast<uint8_t>(m)};
        return *this;
    }
};

std::string to_text(const Packet& packet);

/// The modes of packetdrill: which packets travel, and what kind of socket they are for.
enum class Family : uint8_t { ipv4, ipv6, ipv4_mapped_ipv6 };

class Driver {
  public:
    explicit Driver(const std::string& flags = "mtu=1500", Family family = Family::ipv4);
    ~Driver();
    Driver(const Driver&) = delete;
    Driver& operator=(const Driver&) = delete;

    // ---- the network
    void inject(const Packet& packet);
    /// An ICMP error (of ICMPv6, over IPv6) about a segment of ours that begins at `seq`.
    void inject_unreachable(uint8_t code, uint32_t seq);
    /// The next packet to leave has these flags, numbers and length; a window and options only if
    /// they are given. Returns it.
    Packet expect(const Packet& packet, Where where = Where::current());
    /// The same, and it leaves exactly so long after `since`.
    Packet expect_at(Duration after, const Packet& since, const Packet& packet,
                     Where where = Where::current());
    /// Nothing leaves before the object gives up waiting.
    void expect_silence(Where where = Where::current());
    /// As packetdrill waits: it sleeps until shortly before the moment and looks at the clock then.
    void wait(Duration d);
    Duration now();

    // ---- calls of the table with the arguments that all scripts use
    int socket(int type = SOCK_STREAM);
    int bind(int fd, uint16_t port);
    /// A socket that listens, on a port of its own: all packets go to it.
    int listen(uint16_t port, int backlog = 1);
    int accept(int fd);
    int connect(int fd, uint16_t port);
    int close(int fd) { return table.close(table.userdata, fd); }
    int shutdown(int fd, int how) { return table.shutdown(table.userdata, fd, how); }
    ssize_t read(int fd, size_t count);
    ssize_t write(int fd, size_t count);
    int set(int fd, int level, int name, int value);
    int get(int fd, int level, int name);
    int block_not(int fd);
    short poll(int fd, short events, int timeout_ms = 0);

    /// A listener and one connection through it, accepted; both sides stand at 1.
    int establish_server(Duration round_trip = 10_ms);
    /// A connection that we have opened, non-blocking.
    int establish_client(Duration round_trip = 10_ms);

    /// Runs a call that blocks in a second thread, as packetdrill does. Returns when that thread
    /// sleeps or is done.
    void block(std::function<void()> call);
    bool blocked();
    /// The call is over; when it ended.
    Duration join();

    packetdrill_interface table{};

  private:
    std::optional<Packet> receive();
    Packet take(const std::vector<uint8_t>& bytes);
    std::vector<uint8_t> bytes_of(const Packet& packet) const;
    /// The IP header of a packet from the remote address to ours, and room for `length` octets.
    std::vector<uint8_t> ip_packet(uint8_t protocol, size_t length) const;
    void check_ip(const std::vector<uint8_t>& bytes) const;
    size_t ip_bytes() const { return family_ == Family::ipv6 ? 40 : 20; }

    const Family family_;
    void* object_ = nullptr;
    long long begin_us_ = 0;
    uint16_t local_port_ = 0, remote_port_ = 0;
    std::optional<uint32_t> local_isn_;
    bool we_listen_ = false;

    std::thread thread_;
    int thread_id_ = 0;
    std::atomic<bool> call_done_ = false;
    Duration call_end_{};
};

}  // namespace synfin::packetdrill
