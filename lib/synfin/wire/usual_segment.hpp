// The fast path of transmission: a segment as nearly all are, written in one go.
//
// Usual is a segment with the payload in one piece or none, and the options of usual_frame.hpp:
// none, timestamps alone, or all that a SYN offers. Headers are composed in registers and summed
// there in the host's order, in which each 32-bit word is one store; a sum does not care (RFC 1071
// section 2). Whatever differs is left to write_segment. So this file decides nothing: what it
// writes, write_segment would write in the same way.
#pragma once

#include <cstdint>
#include <span>
#include <type_traits>

#include <synfin/wire/bytes.hpp>
#include <synfin/wire/checksum.hpp>
#include <synfin/wire/ethernet.hpp>
#include <synfin/wire/ipv4.hpp>
#include <synfin/wire/ipv6.hpp>
#include <synfin/wire/segment_writer.hpp>
#include <synfin/wire/summed_bytes.hpp>
#include <synfin/wire/tcp.hpp>
#include <synfin/wire/usual_frame.hpp>

namespace synfin::wire {

namespace usual {

/// Writes words of the host's order one behind the other and sums them.
class Words {
  public:
    explicit Words(uint8_t* at, uint64_t sum = 0) : at_{at}, sum_{sum} {}
    [[gnu::always_inline]] void put(uint32_t word) {
        store_be32(at_, word);
        sum_ += word;
        // At once, and each by itself: g++ would keep all words until the end to sum them there, in
        // more registers than there are, and put two of them into a vector to store them as one.
        asm("" : "+r"(sum_), "+m"(*at_));
        at_ += 4;
    }
    /// A word that is accounted for elsewhere.
    [[gnu::always_inline]] void put_known(uint32_t word) {
        store_be32(at_, word);
        at_ += 4;
    }
    uint64_t sum() const { return sum_; }

  private:
    uint8_t* at_;
    uint64_t sum_;
};

// The options of the usual layouts; `known_sum` is that of the words that are always the same.

struct NoOptions {
    static constexpr uint32_t bytes = 0;
    static constexpr uint32_t known_sum = 0;
    void put(Words&) const {}
};

struct Timestamps {
    static constexpr uint32_t bytes = 12;
    static constexpr uint32_t known_sum = word::timestamps;
    uint32_t value = 0;
    uint32_t echo = 0;
    [[gnu::always_inline]] void put(Words& words) const {
        words.put_known(word::timestamps);
        words.put(value);
        words.put(echo);
    }
};

struct OptionsOfSyn {
    static constexpr uint32_t bytes = 20;
    static constexpr uint32_t known_sum = word::sack_permitted_timestamps;
    uint16_t mss = 0;
    uint8_t window_scale = 0;
    Timestamps timestamps;
    [[gnu::always_inline]] void put(Words& words) const {
        words.put(word::mss | mss);
        words.put_known(word::sack_permitted_timestamps);
        words.put(timestamps.value);
        words.put(timestamps.echo);
        words.put(word::window_scale | window_scale);
    }
};

}  // namespace usual

// What all segments of a connection have in common is said by `ends`: an object with source() and
// destination(), both of its type Address (uint32_t for IPv4, or IpAddress), ports() (that of the
// source above that of the destination) and words() (IpWords). They are asked one by one, where
// they are written: what is copied as a whole, g++ keeps in memory.

namespace usual {

template <typename Ends>
inline constexpr bool are_ipv4 = std::is_same_v<typename Ends::Address, uint32_t>;
template <typename Ends>
inline constexpr uint32_t ip_bytes = are_ipv4<Ends> ? ipv4_bytes : ipv6_bytes;
template <typename Options>
constexpr uint32_t tcp_header_bytes = TcpView::header_bytes_min + Options::bytes;

/// Both write the header before a segment of `segment` bytes and return the sum of the addresses.
template <typename Ends>
[[gnu::always_inline]] inline uint64_t write_ipv4(uint8_t* ip, const Ends& ends, uint32_t segment,
                                                  const DeviceChecksums& device) {
    Words addresses{ip + 12};
    addresses.put(ends.source());
    addresses.put(ends.destination());
    const uint32_t first = ends.words().first + static_cast<uint32_t>(ipv4_bytes) + segment;
    const uint32_t fragment = 0x4000;  // DF
    uint32_t third = ends.words().third;
    store_be32(ip, first);
    store_be32(ip + 4, fragment);
    if (device.ip) [[unlikely]] {
        third &= 0xffff'0000;
    } else {
        third ^= PartialSum{addresses.sum() + first + fragment + third}.folded();
    }
    store_be32(ip + 8, third);
    return addresses.sum();
}

template <typename Ends>
[[gnu::always_inline]] inline uint64_t write_ipv6(uint8_t* ip, const Ends& ends, uint32_t segment) {
    const IpWords& words = ends.words();
    store_be32(ip, 0x60000000u | uint32_t{words.traffic_class()} << 20);
    store_be32(ip + 4, segment << 16 | uint32_t{ip_protocol::tcp} << 8 | words.hop_limit());
    Words addresses{ip + 8};
    for (const IpAddress& address : {ends.source(), ends.destination()}) {
        for (const uint64_t half : {address.high(), address.low()}) {
            addresses.put(static_cast<uint32_t>(half >> 32));
            addresses.put(static_cast<uint32_t>(half));
        }
    }
    return addresses.sum();
}

}  // namespace usual

/// How long a frame with options of one layout is.
template <typename Options, typename Ends>
[[gnu::always_inline]] inline uint32_t usual_frame_bytes(const L2Header& l2, const Options&,
                                                         const Ends&, const SummedBytes& payload) {
    return l2.length + usual::ip_bytes<Ends> + usual::tcp_header_bytes<Options> +
           static_cast<uint32_t>(payload.bytes.size());
}

/// Writes the frame at the beginning of `frame`. The room is the caller's to know: that for all
/// headers, and for the payload behind them. `fields` need no ports; `Options` are those of one
/// layout.
///
/// What comes in registers is written first, and the ends are read then: not all of it fits into
/// the registers at once. For the same reason the payload is copied last.
template <typename Options, typename Ends>
[[gnu::always_inline]] inline void write_usual_segment(uint8_t* frame, const L2Header& l2,
                                                       const TcpFields& fields,
                                                       const Options& options, const Ends& ends,
                                                       const SummedBytes& payload,
                                                       const DeviceChecksums& device) {
    uint8_t* const ip = frame + write_l2_header(frame, l2);
    uint8_t* const tcp = ip + usual::ip_bytes<Ends>;
    constexpr uint32_t header = usual::tcp_header_bytes<Options>;
    const std::span<const uint8_t> bytes = payload.bytes;
    const uint32_t segment = header + static_cast<uint32_t>(bytes.size());

    usual::Words written_options{tcp + TcpView::header_bytes_min};
    options.put(written_options);
    usual::Words numbers{tcp + 4, written_options.sum()};
    numbers.put(fields.seq);
    numbers.put(fields.ack);
    numbers.put(header << 26 | uint32_t{fields.flags.bits()} << 16 | fields.window);

    usual::Words ports{tcp, numbers.sum()};
    ports.put(ends.ports());
    uint64_t addresses;
    if constexpr (usual::are_ipv4<Ends>) {
        addresses = usual::write_ipv4(ip, ends, segment, device);
    } else {
        addresses = usual::write_ipv6(ip, ends, segment);
    }

    constexpr uint32_t protocol = uint32_t{ip_protocol::tcp} << 16;
    PartialSum sum{ports.sum() + addresses + fields.urgent + payload.sum + segment +
                   (protocol + Options::known_sum)};
    const auto write_checksum = [&](uint32_t above) __attribute__((always_inline)) {
        store_be32(tcp + 16, (above & 0xffff0000) | fields.urgent);
    };
    if (device.tcp) [[unlikely]] {
        write_checksum(PartialSum{addresses + protocol + segment}.folded_above());
    } else if (payload.sum != 0 || bytes.empty()) [[likely]] {
        write_checksum(~sum.folded_above());
    } else {
        const PartialSum taken = copy_and_sum(tcp + header, bytes.data(), bytes.size());
        sum += PartialSum{network_order(taken.folded())};
        return write_checksum(~sum.folded_above());
    }
    if (!bytes.empty()) std::memcpy(tcp + header, bytes.data(), bytes.size());
}

/// The same with options that may be of one of the usual layouts; 0 if they are not, and then
/// nothing has been written.
template <typename Ends>
size_t write_if_usual(uint8_t* frame, const L2Header& l2, const Ends& ends, const TcpFields& fields,
                      const TcpOptions& o, const SummedBytes& payload,
                      const DeviceChecksums& device) {
    const auto write = [&](const auto& options) {
        write_usual_segment(frame, l2, fields, options, ends, payload, device);
        return size_t{usual_frame_bytes(l2, options, ends, payload)};
    };
    const usual::Timestamps timestamps{o.ts_value, o.ts_echo};
    if (o.kinds() == TcpOptionKinds::timestamps_alone()) return write(timestamps);
    if (o.kinds() == TcpOptionKinds::usual_syn()) {
        return write(usual::OptionsOfSyn{o.mss, o.window_scale, timestamps});
    }
    if (o.kinds() == TcpOptionKinds{}) return write(usual::NoOptions{});
    return 0;
}

}  // namespace synfin::wire
