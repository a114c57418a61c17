// A small world for the tests of stack: workers on devices made of vectors, an application that
// writes down what it is told, and frames written and read by hand. Time stands still unless a test
// moves it.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <synfin/stack/loop.hpp>
#include <synfin/stack/worker.hpp>
#include <synfin/wire/arp.hpp>
#include <synfin/wire/icmp4.hpp>
#include <synfin/wire/icmp6.hpp>
#include <synfin/wire/ipv4.hpp>
#include <synfin/wire/ipv6.hpp>
#include <synfin/wire/packet.hpp>
#include <synfin/wire/segment_writer.hpp>

namespace synfin::stack::test {

using Bytes = std::vector<uint8_t>;
using wire::IpAddress;
using wire::MacAddress;

inline std::span<const uint8_t> bytes_of(const std::string& text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

/// Frames that wait to be received, and frames that were sent.
class TestDevice {
  public:
    std::deque<Bytes> arriving;
    std::vector<Bytes> sent;
    bool is_congested = false;

    unsigned receive(Frame* frames, unsigned max) {
        unsigned count = 0;
        for (; count < max && !arriving.empty(); ++count) {
            reading_[count] = std::move(arriving.front());
            arriving.pop_front();
            frames[count] = Frame{};
            frames[count].data = reading_[count].data();
            frames[count].length = static_cast<uint32_t>(reading_[count].size());
        }
        return count;
    }
    void recycle(Frame*, unsigned) {}
    unsigned prepare(TransmitBatch& batch, unsigned wanted) {
        for (unsigned i = 0; i < wanted; ++i) {
            writing_[i].assign(1500 + TransmitBatch::slack_bytes, 0xee);
            batch.frames[i] = Frame{};
            batch.frames[i].data = writing_[i].data();
        }
        return batch.available = wanted;
    }
    void transmit(TransmitBatch& batch) {
        for (unsigned i = 0; i < batch.filled; ++i) {
            sent.emplace_back(batch.frames[i].data, batch.frames[i].data + batch.frames[i].length);
        }
        batch.available = batch.filled = 0;
    }
    bool congested() const { return is_congested; }

  private:
    std::array<Bytes, 64> reading_;
    std::array<Bytes, TransmitBatch::capacity> writing_;
};

/// An application that remembers what it was told, in words, and does what a test says on top.
class Recorder : public Application {
  public:
    struct Life {
        std::string events;  ///< one letter each: e u d f w c
        std::vector<tcp::Report> reports;
        size_t urgent = 0;  ///< bytes that were last called so
        std::string data;
        tcp::CloseReason reason = tcp::CloseReason::none;
    };
    std::map<uint64_t, Life> lives;  ///< by index and generation
    std::vector<ConnectionId> ids;   ///< in the order in which they were established
    unsigned closed = 0;

    bool may_lack_room = false;        ///< to be known before it listens
    std::function<bool()> when_asked;  ///< whether there is room for one more connection
    std::function<void(Worker&, ConnectionId)> when_established;
    std::function<size_t(Worker&, ConnectionId, std::span<const uint8_t>)> when_data;
    std::function<void(Worker&, ConnectionId)> when_peer_closed;
    std::function<void(Worker&, ConnectionId)> when_writable;
    std::function<void(Worker&, ConnectionId)> when_closed;

    Life& life(ConnectionId id) { return lives[uint64_t{id.index} << 32 | id.generation]; }

    Room room(Worker&, const wire::SocketAddress&) override {
        if (!may_lack_room) return Room::always;
        return !when_asked || when_asked() ? Room::some : Room::none;
    }
    void on_established(Worker& worker, ConnectionId id) override {
        life(id).events += 'e';
        ids.push_back(id);
        if (when_established) when_established(worker, id);
    }
    void on_urgent(Worker&, ConnectionId id, uint32_t bytes) override {
        life(id).events += 'u';
        life(id).urgent = bytes;
    }
    void on_report(Worker&, ConnectionId id, tcp::Report report) override {
        life(id).reports.push_back(report);
    }
    size_t on_data(Worker& worker, ConnectionId id, std::span<const uint8_t> data) override {
        life(id).events += 'd';
        const size_t taken = when_data ? when_data(worker, id, data) : data.size();
        life(id).data.append(data.begin(), data.begin() + static_cast<ptrdiff_t>(taken));
        return taken;
    }
    void on_peer_closed(Worker& worker, ConnectionId id) override {
        life(id).events += 'f';
        if (when_peer_closed) when_peer_closed(worker, id);
    }
    void on_writable(Worker& worker, ConnectionId id) override {
        life(id).events += 'w';
        if (when_writable) when_writable(worker, id);
    }
    void on_closed(Worker& worker, ConnectionId id, tcp::CloseReason reason) override {
        life(id).events += 'c';
        life(id).reason = reason;
        ++closed;
        if (when_closed) when_closed(worker, id);
    }
};

/// Each connection of `user` says hello; `service` says it back and closes, and then `user` does.
inline void say_hello_once(Recorder& user, Recorder& service) {
    service.when_data = [](Worker& worker, ConnectionId c, std::span<const uint8_t> data) {
        worker.send(c, data);
        worker.close(c);
        return data.size();
    };
    user.when_established = [](Worker& worker, ConnectionId c) {
        worker.send(c, bytes_of("hello"));
    };
    user.when_peer_closed = [](Worker& worker, ConnectionId c) { worker.close(c); };
}

inline MacAddress mac_of(uint8_t host) { return {{0x02, 0, 0, 0, 0, host}}; }
enum class Family : uint8_t { ipv4, ipv6 };
inline std::string name_of(Family family) { return family == Family::ipv4 ? "ipv4" : "ipv6"; }
inline wire::IpPrefix network_of(Family family) {
    if (family == Family::ipv4) return {IpAddress::v4(10, 0, 0, 0), 24};
    return {IpAddress::v6(0xfd00'0000'0000'0000, 0), 64};
}
inline IpAddress address_of(uint8_t host, Family family = Family::ipv4) {
    if (family == Family::ipv4) return IpAddress::v4(10, 0, 0, host);
    return IpAddress::v6(0xfd00'0000'0000'0000, host);
}

/// Host 10.0.0.`host` on 10.0.0.0/24, or fd00::`host` on fd00::/64, with small limits.
inline WorkerConfig config_of(uint8_t host, Family family = Family::ipv4) {
    WorkerConfig config;
    InterfaceConfig interface;
    interface.mac = mac_of(host);
    const bool v4 = family == Family::ipv4;
    interface.addresses = {{address_of(host, family), static_cast<uint8_t>(v4 ? 32 : 128)}};
    interface.on_link = {network_of(family)};
    config.interfaces = {interface};
    config.max_connections = 4096;
    config.max_time_wait = 4096;
    config.max_transfers = 4096;
    config.max_buffer_chunks = 2048;
    config.max_port_scopes = 64;
    config.max_ipv6_addresses = 256;
    config.secret = {0x0123'4567'89ab'cdef, host};
    return config;
}

/// The same, with the neighbor known beforehand.
inline WorkerConfig config_of(uint8_t host, uint8_t neighbor, Family family = Family::ipv4) {
    WorkerConfig config = config_of(host, family);
    config.interfaces[0].static_neighbors = {{address_of(neighbor, family), mac_of(neighbor)}};
    return config;
}

class Host {
  public:
    explicit Host(WorkerConfig config) : worker{std::move(config)}, loop{worker, device} {}
    TestDevice device;
    Worker worker;
    Loop<TestDevice> loop;
    Instant now = Instant::from_us(1'000'000);

    /// Passes of the loop until nothing is left to be sent.
    void run() {
        do {
            loop.run_once(now);
        } while (!device.arriving.empty() || worker.has_output());
    }
    void run(Bytes frame) {
        device.arriving.push_back(std::move(frame));
        run();
    }
    std::vector<Bytes> take_sent() { return std::exchange(device.sent, {}); }
    /// The only frame that was sent.
    Bytes take_one() {
        std::vector<Bytes> frames = take_sent();
        return frames.size() == 1 ? frames[0] : Bytes{};
    }
    bool holds_nothing() const {
        const Worker::Leaks leaks = worker.leaks();
        return leaks.connections == 0 && leaks.buffers == 0 && leaks.timers == 0;
    }
};

/// The first host on two links: the usual one and 10.1.0.0/24, where it is 10.1.0.1 with
/// mac_of(0x11) and knows 10.1.0.2.
struct TwoLinkedHost {
    TwoLinkedHost() : worker{config()} {}
    static WorkerConfig config() {
        WorkerConfig config = config_of(1, 2);
        InterfaceConfig second;
        second.mac = mac_of(0x11);
        second.addresses = {{IpAddress::v4(10, 1, 0, 1), 32}};
        second.on_link = {{IpAddress::v4(10, 1, 0, 0), 24}};
        second.static_neighbors = {{IpAddress::v4(10, 1, 0, 2), mac_of(0x12)}};
        config.interfaces.push_back(second);
        return config;
    }
    Worker worker;
    TestDevice left;
    TestDevice right;
    std::array<TestDevice*, 2> devices{&left, &right};
    Loop<TestDevice> loop{worker, devices};
};

/// Two hosts at the ends of a perfect cable, in one time.
class Cable {
  public:
    Cable(Host& left, Host& right) : left_{left}, right_{right} {}

    /// Frames go back and forth until nobody says anything any more.
    void settle() {
        do {
            left_.loop.run_once(left_.now);
            right_.loop.run_once(right_.now);
            for (Bytes& frame : left_.take_sent())
                right_.device.arriving.push_back(std::move(frame));
            for (Bytes& frame : right_.take_sent())
                left_.device.arriving.push_back(std::move(frame));
        } while (is_busy(left_) || is_busy(right_));
    }
    /// Time passes for both, deadline by deadline.
    void pass(Duration time) {
        const Instant end = left_.now + time;
        settle();
        while (true) {
            Instant next = end;
            for (const Host* host : {&left_, &right_}) {
                const auto deadline = host->worker.next_deadline();
                if (deadline && *deadline < next) next = *deadline;
            }
            left_.now = right_.now = std::max(next, left_.now);
            settle();
            if (left_.now >= end) return;
        }
    }

  private:
    static bool is_busy(const Host& host) {
        return !host.device.arriving.empty() || host.worker.has_output();
    }
    Host& left_;
    Host& right_;
};

// ---- frames by hand

struct HandMade {
    MacAddress from_mac = mac_of(9);
    MacAddress to_mac = mac_of(1);
    IpAddress from = address_of(9);
    IpAddress to = address_of(1);
    uint16_t from_port = 4000;
    uint16_t to_port = 80;
    uint32_t seq = 1000;
    uint32_t ack = 0;
    wire::TcpFlags flags = wire::flag::syn;
    std::string payload = {};
    wire::TcpOptions options = {};
    uint16_t window = 0xffff;
};

inline Bytes segment_frame(const HandMade& made) {
    Bytes bytes(1700);
    const auto l2 =
        wire::make_l2_header(made.to_mac, made.from_mac,
                             made.from.is_v4() ? wire::ethertype::ipv4 : wire::ethertype::ipv6);
    const std::array<std::span<const uint8_t>, 1> pieces{bytes_of(made.payload)};
    wire::SegmentFrame segment;
    segment.l2 = &l2;
    segment.source = made.from;
    segment.destination = made.to;
    segment.source_port = made.from_port;
    segment.destination_port = made.to_port;
    segment.flags = made.flags;
    segment.window = made.window;
    segment.options = &made.options;
    segment.seq = made.seq;
    segment.ack = made.ack;
    segment.pieces = pieces;
    bytes.resize(wire::write_segment(bytes, segment, {}));
    return bytes;
}

inline Bytes arp_frame(wire::ArpOperation operation, uint8_t from_host, const IpAddress& target,
                       const MacAddress& to = MacAddress::broadcast(),
                       std::optional<MacAddress> from_mac = {}, bool is_probe = false) {
    Bytes bytes(64);
    const MacAddress sender = from_mac.value_or(mac_of(from_host));
    const auto l2 = wire::make_l2_header(to, sender, wire::ethertype::arp);
    size_t at = wire::write_l2_header(bytes.data(), l2);
    at += wire::write_arp(bytes.data() + at,
                          {.operation = operation,
                           .sender_mac = sender,
                           .sender = is_probe ? IpAddress::v4(0) : address_of(from_host),
                           .target_mac = {},
                           .target = target});
    return bytes;
}

constexpr size_t message_bytes_max = 65535;

inline Bytes icmp_frame(uint8_t from_host, const IpAddress& to,
                        const std::function<size_t(uint8_t*)>& write_message) {
    Bytes message(message_bytes_max);
    message.resize(write_message(message.data()));
    Bytes bytes(64 + message.size());
    const auto l2 = wire::make_l2_header(mac_of(1), mac_of(from_host), wire::ethertype::ipv4);
    size_t at = wire::write_l2_header(bytes.data(), l2);
    at += wire::write_ipv4_header(
        bytes.data() + at,
        {.source = address_of(from_host), .destination = to, .protocol = wire::ip_protocol::icmp},
        message.size());
    std::copy(message.begin(), message.end(), bytes.begin() + static_cast<ptrdiff_t>(at));
    bytes.resize(at + message.size());
    return bytes;
}

/// ICMPv6 from `from` in a frame of `from_host`; the body is written for its addresses.
struct Icmp6Frame {
    uint8_t from_host = 9;
    IpAddress from = address_of(9, Family::ipv6);
    IpAddress to = address_of(1, Family::ipv6);
    MacAddress to_mac = mac_of(1);
    uint8_t hop_limit = 255;
};
inline Bytes icmp6_frame(
    const Icmp6Frame& made,
    const std::function<size_t(uint8_t*, const IpAddress&, const IpAddress&)>& write_message) {
    Bytes message(message_bytes_max);
    message.resize(write_message(message.data(), made.from, made.to));
    Bytes bytes(64 + message.size());
    const auto l2 =
        wire::make_l2_header(made.to_mac, mac_of(made.from_host), wire::ethertype::ipv6);
    size_t at = wire::write_l2_header(bytes.data(), l2);
    at += wire::write_ipv6_header(bytes.data() + at,
                                  {.source = made.from,
                                   .destination = made.to,
                                   .protocol = wire::ip_protocol::icmp6,
                                   .hop_limit = made.hop_limit},
                                  message.size());
    std::copy(message.begin(), message.end(), bytes.begin() + static_cast<ptrdiff_t>(at));
    bytes.resize(at + message.size());
    return bytes;
}

/// What a frame says; `packet` points into `frame`.
struct Read {
    explicit Read(Bytes bytes) : frame{std::move(bytes)} {
        wire::parse_frame(frame, {}, packet);
        if (packet.kind == wire::PacketKind::arp) {
            arp = wire::ArpView::checked(packet.network)->read();
        }
    }
    Bytes frame;
    wire::Packet packet;
    std::optional<wire::Arp> arp;
    bool is_tcp() const { return packet.kind == wire::PacketKind::tcp; }
    bool is_arp_request() const { return arp && arp->operation == wire::ArpOperation::request; }
};

}  // namespace synfin::stack::test
