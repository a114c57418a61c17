#include "driver.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <unistd.h>

namespace synfin::packetdrill {

namespace {

using Address = std::vector<uint8_t>;
const Address local_v4{192, 168, 0, 1};
const Address remote_v4{192, 0, 2, 1};
const Address local_v6{0xfd, 0x3d, 0xfa, 0x7b, 0xd1, 0x7d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
const Address remote_v6{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
constexpr uint32_t remote_isn = 0xffff'fff0;  // so that every test wraps
constexpr uint16_t default_window = 65535;

// AddressSanitizer replaces functions of libc, which a deep binding would undo.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int deep_binding = 0;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr int deep_binding = 0;
#else
constexpr int deep_binding = RTLD_DEEPBIND;
#endif
#else
constexpr int deep_binding = RTLD_DEEPBIND;
#endif

void put16(std::vector<uint8_t>& bytes, size_t at, uint32_t value) {
    bytes[at] = static_cast<uint8_t>(value >> 8);
    bytes[at + 1] = static_cast<uint8_t>(value);
}
void put32(std::vector<uint8_t>& bytes, size_t at, uint32_t value) {
    put16(bytes, at, value >> 16);
    put16(bytes, at + 2, value & 0xffff);
}
uint32_t get16(const std::vector<uint8_t>& bytes, size_t at) {
    return static_cast<uint32_t>(bytes[at] << 8 | bytes[at + 1]);
}
uint32_t get32(const std::vector<uint8_t>& bytes, size_t at) {
    return get16(bytes, at) << 16 | get16(bytes, at + 2);
}

/// RFC 1071 over bytes[from, to) and what comes with them.
uint32_t checksum(const std::vector<uint8_t>& bytes, size_t from, size_t to, uint32_t sum = 0) {
    for (size_t i = from; i < to; i += 2) {
        sum += i + 1 < to ? get16(bytes, i) : static_cast<uint32_t>(bytes[i] << 8);
    }
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

// Of the addresses, which are what comes last in both families' headers.
uint32_t pseudo_sum(const std::vector<uint8_t>& bytes, size_t ip) {
    uint32_t sum = IPPROTO_TCP + static_cast<uint32_t>(bytes.size() - ip);
    for (size_t i = ip == 20 ? 12 : 8; i < ip; i += 2) sum += get16(bytes, i);
    return sum;
}

constexpr std::string_view flag_letters = "FSRP.UEW";

uint8_t bits_of(const std::string& flags) {
    uint8_t bits = 0;
    for (const char letter : flags) {
        bits |= static_cast<uint8_t>(1u << flag_letters.find(letter));
    }
    return bits;
}

std::string letters_of(uint8_t bits) {
    std::string letters;
    for (size_t i = 0; i < flag_letters.size(); ++i) {
        if ((bits >> i & 1) != 0) letters += flag_letters[i];
    }
    return letters;
}

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t length = 0;
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress address_of(Family family, const Address& v4, const Address& v6, uint16_t port) {
    SocketAddress result;
    if (family == Family::ipv4) {
        sockaddr_in in{
            .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
        std::memcpy(&in.sin_addr, v4.data(), v4.size());
        std::memcpy(&result.storage, &in, result.length = sizeof in);
        return result;
    }
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port);
    Address bytes = v6;
    if (family == Family::ipv4_mapped_ipv6) {
        bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
        bytes.insert(bytes.end(), v4.begin(), v4.end());
    }
    std::memcpy(&in.sin6_addr, bytes.data(), bytes.size());
    std::memcpy(&result.storage, &in, result.length = sizeof in);
    return result;
}

}  // namespace

std::string to_text(const Packet& p) {
    std::string text = p.flags + " " + std::to_string(p.seq) + ":" +
                       std::to_string(p.seq + p.length) + "(" + std::to_string(p.length) + ")";
    if (p.flags.find('.') != std::string::npos) text += " ack " + std::to_string(p.ack);
    if (p.window) text += " win " + std::to_string(*p.window);
    return text + " at " + std::to_string(p.at.count_us()) + " us";
}

Driver::Driver(const std::string& flags, Family family) : family_{family} {
    object_ = dlopen(SYNFIN_PACKETDRILL_OBJECT, RTLD_NOW | RTLD_LOCAL | deep_binding);
    if (object_ == nullptr) throw std::runtime_error{dlerror()};
    using Init = void (*)(const char*, packetdrill_interface*);
    const auto init = reinterpret_cast<Init>(dlsym(object_, "packetdrill_interface_init"));
    if (init == nullptr) throw std::runtime_error{dlerror()};
    init(flags.c_str(), &table);
    begin_us_ = now().count_us();
}

Driver::~Driver() {
    EXPECT_FALSE(thread_.joinable()) << "a blocking call was never joined";
    table.free(table.userdata);
    if (thread_.joinable()) thread_.join();
    dlclose(object_);
}

// ---- the network

std::vector<uint8_t> Driver::ip_packet(uint8_t protocol, size_t length) const {
    const size_t ip = ip_bytes();
    std::vector<uint8_t> bytes(ip + length);
    if (family_ == Family::ipv6) {
        bytes[0] = 0x60;
        put16(bytes, 4, static_cast<uint32_t>(length));
        bytes[6] = protocol;
        bytes[7] = 64;
        std::copy(remote_v6.begin(), remote_v6.end(), bytes.begin() + 8);
        std::copy(local_v6.begin(), local_v6.end(), bytes.begin() + 24);
    } else {
        bytes[0] = 0x45;
        put16(bytes, 2, static_cast<uint32_t>(bytes.size()));
        bytes[8] = 64;
        bytes[9] = protocol;
        std::copy(remote_v4.begin(), remote_v4.end(), bytes.begin() + 12);
        std::copy(local_v4.begin(), local_v4.end(), bytes.begin() + 16);
        put16(bytes, 10, checksum(bytes, 0, ip));
    }
    return bytes;
}

void Driver::inject_unreachable(uint8_t code, uint32_t seq) {
    const bool v6 = family_ == Family::ipv6;
    const size_t ip = ip_bytes();
    // What is quoted: the header of our packet, with the addresses the other way round, and ports
    // and number of the segment.
    std::vector<uint8_t> quoted = ip_packet(IPPROTO_TCP, 8);
    const auto addresses = quoted.begin() + (v6 ? 8 : 12);
    std::rotate(addresses, addresses + (v6 ? 16 : 4), quoted.begin() + static_cast<ptrdiff_t>(ip));
    put16(quoted, ip, local_port_);
    put16(quoted, ip + 2, remote_port_);
    put32(quoted, ip + 4, local_isn_.value_or(0) + seq);
    const uint8_t protocol = v6 ? uint8_t{IPPROTO_ICMPV6} : uint8_t{IPPROTO_ICMP};
    std::vector<uint8_t> bytes = ip_packet(protocol, 8 + quoted.size());
    bytes[ip] = v6 ? 1 : 3;
    bytes[ip + 1] = code;
    std::copy(quoted.begin(), quoted.end(), bytes.begin() + static_cast<ptrdiff_t>(ip) + 8);
    const uint32_t pseudo = v6 ? pseudo_sum(bytes, ip) - IPPROTO_TCP + IPPROTO_ICMPV6 : 0;
    put16(bytes, ip + 2, checksum(bytes, ip, bytes.size(), pseudo));
    EXPECT_EQ(table.netdev_send(table.userdata, bytes.data(), bytes.size()), 0);
}

std::vector<uint8_t> Driver::bytes_of(const Packet& p) const {
    const size_t ip = ip_bytes();
    std::vector<uint8_t> bytes = ip_packet(IPPROTO_TCP, 20 + p.options.size() + p.length);
    put16(bytes, ip, remote_port_);
    put16(bytes, ip + 2, local_port_);
    put32(bytes, ip + 4, remote_isn + p.seq);
    const bool acknowledges = p.flags.find('.') != std::string::npos;
    if (acknowledges) put32(bytes, ip + 8, local_isn_.value_or(0) + p.ack);
    bytes[ip + 12] = static_cast<uint8_t>((20 + p.options.size()) / 4 << 4);
    bytes[ip + 13] = bits_of(p.flags);
    put16(bytes, ip + 14, p.window.value_or(default_window));
    std::copy(p.options.begin(), p.options.end(), bytes.begin() + static_cast<ptrdiff_t>(ip) + 20);
    put16(bytes, ip + 16, checksum(bytes, ip, bytes.size(), pseudo_sum(bytes, ip)));
    return bytes;
}

void Driver::inject(const Packet& packet) {
    if (packet.flags == "S" && we_listen_) {  // a connection of its own
        ++remote_port_;
        local_isn_.reset();
    }
    const std::vector<uint8_t> bytes = bytes_of(packet);
    EXPECT_EQ(table.netdev_send(table.userdata, bytes.data(), bytes.size()), 0);
}

void Driver::check_ip(const std::vector<uint8_t>& bytes) const {
    const auto holds = [&](size_t at, const Address& address) {
        return std::equal(address.begin(), address.end(),
                          bytes.begin() + static_cast<ptrdiff_t>(at));
    };
    if (family_ == Family::ipv6) {
        EXPECT_EQ(bytes[0] >> 4, 6);
        EXPECT_EQ(get16(bytes, 4), bytes.size() - 40);
        EXPECT_EQ(bytes[6], IPPROTO_TCP);
        EXPECT_TRUE(holds(8, local_v6) && holds(24, remote_v6)) << "the addresses are wrong";
        return;
    }
    EXPECT_EQ(bytes[0], 0x45);
    EXPECT_EQ(get16(bytes, 2), bytes.size());
    EXPECT_EQ(checksum(bytes, 0, 20), 0u) << "the IP checksum is wrong";
    EXPECT_TRUE(holds(12, local_v4) && holds(16, remote_v4)) << "the addresses are wrong";
}

Packet Driver::take(const std::vector<uint8_t>& bytes) {
    const size_t ip = ip_bytes();
    EXPECT_GE(bytes.size(), ip + 20);
    check_ip(bytes);
    EXPECT_EQ(checksum(bytes, ip, bytes.size(), pseudo_sum(bytes, ip)), 0u)
        << "the TCP checksum is wrong";
    if (!we_listen_) local_port_ = static_cast<uint16_t>(get16(bytes, ip));
    EXPECT_EQ(get16(bytes, ip), local_port_);
    EXPECT_EQ(get16(bytes, ip + 2), remote_port_);
    const uint8_t bits = bytes[ip + 13];
    Packet p;
    p.flags = letters_of(bits);
    if ((bits & 2) != 0) local_isn_ = get32(bytes, ip + 4);
    // A reset that answers something unknown carries a number of the sender's choice.
    p.seq = get32(bytes, ip + 4) - local_isn_.value_or(0);
    if ((bits & 0x10) != 0) p.ack = get32(bytes, ip + 8) - remote_isn;
    const size_t header = ip + size_t{4} * (bytes[ip + 12] >> 4);
    p.length = static_cast<uint32_t>(bytes.size() - header);
    p.window = static_cast<uint16_t>(get16(bytes, ip + 14));
    p.options.assign(bytes.begin() + static_cast<ptrdiff_t>(ip) + 20,
                     bytes.begin() + static_cast<ptrdiff_t>(header));
    return p;
}

std::optional<Packet> Driver::receive() {
    std::vector<uint8_t> bytes(4096);
    size_t count = bytes.size();
    long long time_us = 0;
    EXPECT_EQ(table.netdev_receive(table.userdata, bytes.data(), &count, &time_us), 0);
    if (count == 0) return std::nullopt;
    bytes.resize(count);
    Packet p = take(bytes);
    p.at = Duration::microseconds(time_us - begin_us_);
    return p;
}

Packet Driver::expect(const Packet& wanted, Where where) {
    const auto actual = receive();
    if (!actual) {
        ADD_FAILURE_AT(where.file_name(), static_cast<int>(where.line()))
            << "nothing was sent; expected " << to_text(wanted);
        return {};
    }
    const bool same = actual->flags == wanted.flags && actual->seq == wanted.seq &&
                      actual->ack == wanted.ack && actual->length == wanted.length &&
                      (!wanted.window || actual->window == wanted.window) &&
                      (wanted.options.empty() || actual->options == wanted.options);
    if (!same) {
        ADD_FAILURE_AT(where.file_name(), static_cast<int>(where.line()))
            << "expected " << to_text(wanted) << "\n     got " << to_text(*actual);
    }
    return *actual;
}

Packet Driver::expect_at(Duration after, const Packet& since, const Packet& packet, Where where) {
    const Packet actual = expect(packet, where);
    if (actual.at - since.at != after) {
        ADD_FAILURE_AT(where.file_name(), static_cast<int>(where.line()))
            << to_text(actual) << ": expected " << after.count_us() << " us after "
            << since.at.count_us() << " us";
    }
    return actual;
}

void Driver::expect_silence(Where where) {
    if (const auto actual = receive()) {
        ADD_FAILURE_AT(where.file_name(), static_cast<int>(where.line()))
            << "nothing was expected, but there came " << to_text(*actual);
    }
}

Duration Driver::now() {
    timeval time{};
    EXPECT_EQ(table.gettimeofday(table.userdata, &time, nullptr), 0);
    return Duration::microseconds(time.tv_sec * 1'000'000 + time.tv_usec - begin_us_);
}

void Driver::wait(Duration d) {
    constexpr Duration spun = 20_us;
    const Duration end = now() + d;
    if (d > spun) {
        table.usleep(table.userdata, static_cast<useconds_t>((d - spun).count_us()));
    }
    while (now() < end) {
    }
}

// ---- calls

int Driver::socket(int type) {
    const int domain = family_ == Family::ipv4 ? AF_INET : AF_INET6;
    return table.socket(table.userdata, domain, type, IPPROTO_TCP);
}

int Driver::bind(int fd, uint16_t port) {
    const SocketAddress address = address_of(family_, local_v4, local_v6, port);
    return table.bind(table.userdata, fd, address.get(), address.length);
}

int Driver::listen(uint16_t port, int backlog) {
    const int fd = socket();
    EXPECT_EQ(bind(fd, port), 0);
    EXPECT_EQ(table.listen(table.userdata, fd, backlog), 0);
    we_listen_ = true;
    local_port_ = port;
    remote_port_ = 40000;
    return fd;
}

int Driver::accept(int fd) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    return table.accept(table.userdata, fd, reinterpret_cast<sockaddr*>(&address), &length);
}

int Driver::connect(int fd, uint16_t port) {
    remote_port_ = port;
    const SocketAddress address = address_of(family_, remote_v4, remote_v6, port);
    return table.connect(table.userdata, fd, address.get(), address.length);
}

ssize_t Driver::read(int fd, size_t count) {
    std::vector<uint8_t> bytes(count);
    return table.read(table.userdata, fd, bytes.data(), count);
}

ssize_t Driver::write(int fd, size_t count) {
    const std::vector<uint8_t> bytes(count);
    return table.write(table.userdata, fd, bytes.data(), count);
}

int Driver::set(int fd, int level, int name, int value) {
    return table.setsockopt(table.userdata, fd, level, name, &value, sizeof value);
}

int Driver::get(int fd, int level, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    EXPECT_EQ(table.getsockopt(table.userdata, fd, level, name, &value, &length), 0);
    return value;
}

int Driver::block_not(int fd) { return table.fcntl(table.userdata, fd, F_SETFL, O_NONBLOCK); }

short Driver::poll(int fd, short events, int timeout_ms) {
    pollfd watched{.fd = fd, .events = events, .revents = 0};
    table.poll(table.userdata, &watched, 1, timeout_ms);
    return watched.revents;
}

int Driver::establish_server(Duration round_trip) {
    const int listener = listen(8080);
    inject(Packet::syn().mss(1000));
    expect(Packet::syn_ack(0, 1));
    wait(round_trip);
    inject(Packet::of_ack(1, 1));
    return accept(listener);
}

int Driver::establish_client(Duration round_trip) {
    const int fd = socket(SOCK_STREAM | SOCK_NONBLOCK);
    EXPECT_EQ(connect(fd, 8080), -1);
    EXPECT_EQ(errno, EINPROGRESS);
    expect(Packet::syn());
    wait(round_trip);
    inject(Packet::syn_ack(0, 1).mss(1000));
    expect(Packet::of_ack(1, 1));
    return fd;
}

// ---- a second thread

namespace {

/// Whether the system says that the thread sleeps.
bool is_asleep(int thread_id) {
    std::ifstream file{"/proc/self/task/" + std::to_string(thread_id) + "/stat"};
    std::string text;
    std::getline(file, text);
    const size_t name_end = text.rfind(')');
    return name_end != std::string::npos && text.compare(name_end, 3, ") S") == 0;
}

}  // namespace

void Driver::block(std::function<void()> call) {
    std::atomic<int> id{0};
    call_done_ = false;
    thread_ = std::thread{[this, &id, call = std::move(call)] {
        id = gettid();
        call();
        call_end_ = now();
        call_done_ = true;
    }};
    while (id == 0) std::this_thread::yield();
    thread_id_ = id;
    while (!is_asleep(thread_id_) && !call_done_) {
        std::this_thread::yield();
    }
}

bool Driver::blocked() { return !call_done_; }

Duration Driver::join() {
    thread_.join();
    return call_end_;
}

}  // namespace synfin::packetdrill
