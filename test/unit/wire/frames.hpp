// Frames made by hand, byte by byte, with a checksum of its own: what the tests of the parser are
// made of must not come from the writers that stand beside it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <ostream>
#include <span>
#include <string_view>
#include <vector>

#include <synfin/wire/packet.hpp>

namespace synfin::wire::test {

using Bytes = std::vector<uint8_t>;

inline Bytes operator+(Bytes a, const Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

inline Bytes from_hex(std::string_view hex) {
    const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    Bytes bytes;
    for (size_t i = 0; i + 1 < hex.size(); i += 2) {
        bytes.push_back(static_cast<uint8_t>(digit(hex[i]) * 16 + digit(hex[i + 1])));
    }
    return bytes;
}

inline void put16(Bytes& bytes, size_t at, size_t value) {
    bytes[at] = static_cast<uint8_t>(value >> 8);
    bytes[at + 1] = static_cast<uint8_t>(value);
}

/// RFC 1071 section 4.1, two bytes at a time: the reference.
inline uint16_t naive_checksum(std::span<const uint8_t> bytes) {
    uint32_t sum = 0;
    for (size_t i = 0; i < bytes.size(); ++i) sum += i % 2 == 0 ? bytes[i] * 256u : bytes[i];
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>(~sum);
}

inline const Bytes our_mac{0x02, 0, 0, 0, 0, 1};
inline const Bytes peer_mac{0x02, 0, 0, 0, 0, 2};
inline constexpr size_t ip_at = 14;

inline Bytes ethernet(uint16_t type) {
    return our_mac + peer_mac + Bytes{static_cast<uint8_t>(type >> 8), static_cast<uint8_t>(type)};
}

/// The transport checksum of an unfragmented packet without extension headers. `at` is where its IP
/// header begins, `header` that header's length, `end` the end of the packet.
inline uint16_t transport_checksum(const Bytes& frame, size_t at, size_t header, size_t end) {
    const bool v4 = frame[at] >> 4 == 4;
    const uint8_t protocol = v4 ? frame[at + 9] : frame[at + 6];
    const size_t addresses = v4 ? at + 12 : at + 8;
    const size_t length = end - at - header;
    Bytes covered(frame.begin() + static_cast<long>(addresses),
                  frame.begin() + static_cast<long>(addresses + (v4 ? 8 : 32)));
    covered = covered +
              Bytes{0, protocol, static_cast<uint8_t>(length >> 8), static_cast<uint8_t>(length)};
    covered.insert(covered.end(), frame.begin() + static_cast<long>(at + header),
                   frame.begin() + static_cast<long>(end));
    return naive_checksum(covered);
}

/// Makes both checksums of an IPv4 frame without VLAN tag right for what stands in it.
inline Bytes sealed_ipv4(Bytes frame) {
    const size_t header = size_t{4} * (frame[ip_at] & 0xfu);
    const size_t end = ip_at + size_t{256} * frame[ip_at + 2] + frame[ip_at + 3];
    put16(frame, ip_at + 10, 0);
    put16(frame, ip_at + 10, naive_checksum(std::span{frame}.subspan(ip_at, header)));
    if (frame[ip_at + 9] == 6 && end <= frame.size() && end >= ip_at + header + 20) {
        put16(frame, ip_at + header + 16, 0);
        put16(frame, ip_at + header + 16, transport_checksum(frame, ip_at, header, end));
    }
    return frame;
}

/// 198.18.0.2 > 198.18.0.1.
inline Bytes ipv4_frame(uint8_t protocol, const Bytes& payload, const Bytes& ip_options = {}) {
    const size_t header = 20 + ip_options.size();
    Bytes frame = ethernet(0x0800) +
                  Bytes{static_cast<uint8_t>(0x40 + header / 4),
                        0x10,
                        0,
                        0,
                        0,
                        0,
                        0x40,
                        0,
                        64,
                        protocol,
                        0,
                        0,
                        198,
                        18,
                        0,
                        2,
                        198,
                        18,
                        0,
                        1} +
                  ip_options + payload;
    put16(frame, ip_at + 2, header + payload.size());
    return sealed_ipv4(frame);
}

/// 2001:db8::2 > 2001:db8::1. The checksum of `payload` has to be right already.
inline Bytes ipv6_frame(uint8_t next_header, const Bytes& payload) {
    Bytes frame = ethernet(0x86dd) + Bytes{0x61, 0x23, 0x45, 0x67, 0, 0, next_header, 64} +
                  from_hex("20010db8000000000000000000000002") +
                  from_hex("20010db8000000000000000000000001") + payload;
    put16(frame, ip_at + 4, payload.size());
    return frame;
}

/// 40000 > 80, PSH and ACK, without checksum. `options` must be a multiple of four bytes.
inline Bytes tcp_segment(const Bytes& options = {}, const Bytes& payload = {}) {
    return Bytes{0x9c,
                 0x40,
                 0x00,
                 0x50,
                 0x11,
                 0x22,
                 0x33,
                 0x44,
                 0x55,
                 0x66,
                 0x77,
                 0x88,
                 static_cast<uint8_t>((5 + options.size() / 4) << 4),
                 0x18,
                 0x12,
                 0x34,
                 0,
                 0,
                 0xab,
                 0xcd} +
           options + payload;
}

inline Bytes ipv4_tcp(const Bytes& options = {}, const Bytes& payload = {}) {
    return ipv4_frame(6, tcp_segment(options, payload));
}

/// `extensions` stands between the IPv6 header and TCP; its first header has the number `first`.
inline Bytes ipv6_tcp(const Bytes& options = {}, const Bytes& payload = {},
                      const Bytes& extensions = {}, uint8_t first = 6) {
    Bytes plain = ipv6_frame(6, tcp_segment(options, payload));
    const uint16_t checksum = transport_checksum(plain, ip_at, 40, plain.size());
    Bytes frame = ipv6_frame(first, extensions + tcp_segment(options, payload));
    put16(frame, ip_at + 40 + extensions.size() + 16, checksum);
    return frame;
}

/// A frame in memory that ends exactly where the frame does, so that a sanitizer sees each byte
/// read beyond, and what the parser makes of it.
class Parsed {
  public:
    explicit Parsed(const Bytes& frame, VerifiedChecksums verified = {})
        : bytes_{std::make_unique<uint8_t[]>(frame.size())} {
        std::copy(frame.begin(), frame.end(), bytes_.get());
        returned = parse_frame({bytes_.get(), frame.size()}, verified, packet);
    }
    Packet packet;
    PacketKind returned;

  private:
    std::unique_ptr<uint8_t[]> bytes_;
};

/// Why `frame` is refused; Drop::none if it is not.
inline Drop drop_of(const Bytes& frame, VerifiedChecksums verified = {}) {
    return Parsed{frame, verified}.packet.drop;
}

}  // namespace synfin::wire::test

namespace synfin::wire {
/// For GoogleTest's messages.
inline void PrintTo(Drop drop, std::ostream* out) { *out << name(drop); }
inline void PrintTo(const IpAddress& address, std::ostream* out) { *out << to_string(address); }
inline void PrintTo(const MacAddress& address, std::ostream* out) { *out << to_string(address); }
}  // namespace synfin::wire
