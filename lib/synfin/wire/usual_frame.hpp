// The fast path of the parse: a frame as nearly all are, read in one go.
//
// Usual is a packet to one station, untagged or in our VLAN, IPv4 without options or IPv6 without
// extension headers, whole, with a TCP segment that carries no options, timestamps alone, or what
// the SYNs of most hosts carry, in their order; and with nothing in it that would have to be
// refused. Whatever differs in any way is left to parse_frame_slowly, which looks at it from the
// beginning and knows the names of all reasons. So this file decides nothing: what it accepts,
// parse_frame_slowly would read in the same way.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include <synfin/wire/bytes.hpp>
#include <synfin/wire/checksum.hpp>
#include <synfin/wire/ethernet.hpp>
#include <synfin/wire/ipv4.hpp>
#include <synfin/wire/ipv6.hpp>
#include <synfin/wire/packet.hpp>
#include <synfin/wire/tcp.hpp>

namespace synfin::wire {

/// What a usual frame begins with, under a mask: from one station to one station, EtherType,
/// version and, of IPv4, header length; that it is no fragment, and TCP.
class UsualBeginning {
  public:
    static constexpr size_t bytes = 32;

    /// No usual frame begins like this: where the lengths of both families stand, and the type
    /// behind a tag, there is 0.
    UsualBeginning() {
        for (size_t at = 16; at < 20; ++at) ask_for(at, 0xff, 0);
    }
    /// To whatever station.
    static UsualBeginning ipv4() {
        UsualBeginning beginning{ethertype::ipv4, {0xff, 0}, {0x45, 0}};
        beginning.ask_for(20, 0x3f, 0);  // neither MF nor an offset
        beginning.ask_for(21, 0xff, 0);
        beginning.ask_for(23, 0xff, ip_protocol::tcp);
        return beginning;
    }
    static UsualBeginning ipv6() {
        UsualBeginning beginning{ethertype::ipv6, {0xf0, 0}, {0x60, 0}};
        beginning.ask_for(20, 0xff, ip_protocol::tcp);
        return beginning;
    }
    /// One with the tag of this VLAN, of whatever priority, and whatever is behind it.
    static UsualBeginning tag_of(uint16_t vlan) {
        return {ethertype::vlan,
                {0x0f, 0xff},
                {static_cast<uint8_t>(vlan >> 8), static_cast<uint8_t>(vlan)}};
    }
    /// The same to this station only.
    UsualBeginning to(const MacAddress& station) const {
        UsualBeginning beginning = *this;
        for (size_t i = 0; i < station.bytes.size(); ++i)
            beginning.ask_for(i, 0xff, station.bytes[i]);
        return beginning;
    }
    /// The same for without_tag(), which leaves nothing of the stations.
    UsualBeginning behind_tag() const {
        UsualBeginning beginning = *this;
        std::fill_n(beginning.mask_.begin(), EthernetView::header_bytes - 2, uint8_t{0});
        std::fill_n(beginning.value_.begin(), EthernetView::header_bytes - 2, uint8_t{0});
        return beginning;
    }

    /// `frame` has that many bytes at least.
    [[gnu::always_inline]] bool fits(const uint8_t* frame) const {
#if defined(__AVX2__)
        const __m256i found = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(frame));
        const auto* const value = reinterpret_cast<const __m256i*>(value_.data());
        const auto* const mask = reinterpret_cast<const __m256i*>(mask_.data());
        return _mm256_testz_si256(_mm256_xor_si256(found, *value), *mask) != 0;
#else
        uint64_t wrong = 0;
        for (size_t at = 0; at < bytes; at += 8) {
            wrong |= (load_native<uint64_t>(frame + at) ^ load_native<uint64_t>(&value_[at])) &
                     load_native<uint64_t>(&mask_[at]);
        }
        return wrong == 0;
#endif
    }

  private:
    void ask_for(size_t at, uint8_t mask, uint8_t value) {
        mask_[at] = mask;
        value_[at] = value;
    }
    /// `next` is what follows the type.
    UsualBeginning(uint16_t type, std::array<uint8_t, 2> next_mask, std::array<uint8_t, 2> next) {
        mask_[0] = mask_[6] = 1;
        mask_[12] = mask_[13] = 0xff;
        store_be16(&value_[12], type);
        std::copy(next_mask.begin(), next_mask.end(), &mask_[14]);
        std::copy(next.begin(), next.end(), &value_[14]);
    }

    alignas(bytes) std::array<uint8_t, bytes> value_{};
    std::array<uint8_t, bytes> mask_{};
};

namespace usual {

inline constexpr size_t link_bytes = EthernetView::header_bytes;
inline constexpr size_t ipv4_bytes = Ipv4View::header_bytes_min;
inline constexpr size_t ipv6_bytes = Ipv6View::header_bytes;

}  // namespace usual

/// Where a usual frame comes from and goes to, and the byte with its code point and ECN: to be
/// asked of one that has been read. What stands side by side in the headers is read as one, with
/// the source in the upper half.
class UsualIpv4Ends {
  public:
    /// `frame` as it was read, without a tag.
    explicit UsualIpv4Ends(const uint8_t* frame) : ip_{frame + usual::link_bytes} {}
    uint8_t traffic_class() const { return ip_[1]; }
    uint32_t source() const { return static_cast<uint32_t>(load_be64(ip_ + 12) >> 32); }
    uint32_t destination() const { return static_cast<uint32_t>(load_be64(ip_ + 12)); }
    uint16_t source_port() const { return static_cast<uint16_t>(ports() >> 16); }
    uint16_t destination_port() const { return static_cast<uint16_t>(ports()); }
    /// Where all four stand, the sender's first.
    const uint8_t* all() const { return ip_ + 12; }

  private:
    uint32_t ports() const { return load_be32(ip_ + usual::ipv4_bytes); }
    const uint8_t* ip_;
};
class UsualIpv6Ends {
  public:
    explicit UsualIpv6Ends(const uint8_t* frame) : ip_{frame + usual::link_bytes} {}
    uint8_t traffic_class() const { return static_cast<uint8_t>(load_be16(ip_) >> 4); }
    /// Where both stand.
    const uint8_t* addresses() const { return ip_ + Ipv6View::addresses_at; }
    IpAddress source() const { return load_ipv6(ip_ + 8); }
    IpAddress destination() const { return load_ipv6(ip_ + 24); }
    uint16_t source_port() const { return load_be16(ip_ + usual::ipv6_bytes); }
    uint16_t destination_port() const { return load_be16(ip_ + usual::ipv6_bytes + 2); }

  private:
    const uint8_t* ip_;
};

namespace usual {

inline constexpr size_t tcp_bytes = TcpView::header_bytes_min;
/// With NOP NOP timestamps, and with all that the SYNs of most hosts carry.
inline constexpr size_t timestamps_header_bytes = tcp_bytes + 12;
inline constexpr size_t syn_header_bytes = tcp_bytes + 20;

namespace word = tcp_option_word;

inline void read_timestamps(const uint8_t* at, TcpOptions& options) {
    const uint64_t both = load_be64(at);
    options.ts_value = static_cast<uint32_t>(both >> 32);
    options.ts_echo = static_cast<uint32_t>(both);
}

/// The options after a header of `header` bytes, if they are of one of the usual layouts.
template <size_t header>
inline bool read_options(const uint8_t* tcp, TcpOptions& options) {
    const uint8_t* const at = tcp + tcp_bytes;
    options.kinds() = header == syn_header_bytes ? TcpOptionKinds::usual_syn()
                      : header == tcp_bytes      ? TcpOptionKinds{}
                                                 : TcpOptionKinds::timestamps_alone();
    if constexpr (header == timestamps_header_bytes) {
        if (load_be32(at) != word::timestamps) return false;
        read_timestamps(at + 4, options);
    } else if constexpr (header == syn_header_bytes) {
        if ((load_be32(at) & 0xffff'0000) != word::mss) return false;
        if (load_be32(at + 4) != word::sack_permitted_timestamps) return false;
        if ((load_be32(at + 16) & 0xffff'ff00) != word::window_scale) return false;
        options.mss = load_be16(at + 2);
        read_timestamps(at + 8, options);
        options.window_scale = at[19];
    }
    return true;
}

/// Whether an IPv6 address may be a host's: a group's and those that are never on a wire begin with
/// ones or zeros.
inline bool is_possible_ipv6_host(const IpAddress& address) {
    return address.high() != 0 && !is_ipv6_multicast(address);
}

/// The segment of `bytes` bytes at `tcp` with a header of `header`. They may be too few for that,
/// also by an IP header that is longer than its packet: below zero, a size_t is huge.
template <size_t header, size_t address_bytes, typename Segment>
inline bool read_segment(const uint8_t* addresses, const uint8_t* tcp, size_t bytes,
                         const VerifiedChecksums& verified, Segment& segment) {
    const auto protocol_and_length = [](size_t length) {
        return PartialSum::of32(uint32_t{ip_protocol::tcp} << 16 | static_cast<uint32_t>(length));
    };
    const size_t payload_bytes = bytes - header;
    // The addresses stand before the segment, so that all is summed in one go.
    if (payload_bytes == 0) {
        if (!verified.tcp &&
            !is_complete(sum_of<address_bytes + header>(addresses, protocol_and_length(header))))
            return false;
    } else {
        if (payload_bytes > UINT16_MAX) return false;
        if (!verified.tcp &&
            !is_complete(sum_bytes(addresses, address_bytes + bytes) + protocol_and_length(bytes)))
            return false;
    }
    if (!read_options<header>(tcp, segment.options)) return false;
    segment.payload = {tcp + header, payload_bytes};
    return true;
}

/// What is behind an IP header whose last `address_bytes` are the addresses.
template <size_t address_bytes, typename Segment>
[[gnu::always_inline]] inline bool read_tcp(const uint8_t* tcp, size_t bytes,
                                            const VerifiedChecksums& verified, Segment& segment) {
    const uint8_t* const addresses = tcp - address_bytes;
    const auto read = [&]<size_t header>() {
        return read_segment<header, address_bytes>(addresses, tcp, bytes, verified, segment);
    };
    // Some of what is said is read before it is looked at: both are done once for all layouts.
    using Number = decltype(segment.seq);
    const uint64_t numbers = load_be64(tcp + 4);
    segment.seq = Number{static_cast<uint32_t>(numbers >> 32)};
    segment.ack = Number{static_cast<uint32_t>(numbers)};
    segment.control() = TcpControl::of(load_be64(tcp + 12));
    switch (segment.data_offset >> 4) {  // in words
        case timestamps_header_bytes / 4:
            return read.template operator()<timestamps_header_bytes>();
        case tcp_bytes / 4: return read.template operator()<tcp_bytes>();
        case syn_header_bytes / 4: return read.template operator()<syn_header_bytes>();
        default: return false;
    }
}

}  // namespace usual

/// True: the frame begins as one of IPv4, is a TCP segment, and all of that is read. False: nothing
/// is said; ask parse_frame_slowly. `Segment` has what a segment says under the names of Packet,
/// with sequence numbers of whatever type. Whether its addresses may be those of two hosts
/// (problem_of_ipv4_ends) is left to who has no connection of theirs.
template <typename Segment>
[[gnu::always_inline]] inline bool read_usual_ipv4(std::span<const uint8_t> frame,
                                                   const VerifiedChecksums& verified,
                                                   const UsualBeginning& beginning,
                                                   Segment& segment) {
    using namespace usual;
    constexpr size_t least = ipv4_bytes + tcp_bytes;
    if (frame.size() < link_bytes + least) return false;
    if (!beginning.fits(frame.data())) return false;
    const uint8_t* const ip = frame.data() + link_bytes;

    const size_t total = load_be16(ip + 2);
    if (total > frame.size() - link_bytes) return false;
    // Other things than IPv4 addresses have their names there (flow/four_tuple.hpp).
    if (ip[12] == 0) return false;
    if (!verified.ip && !is_complete(sum_of<ipv4_bytes>(ip))) return false;
    return read_tcp<8>(ip + ipv4_bytes, total - ipv4_bytes, verified, segment);
}

/// The same for a frame of IPv6.
template <typename Segment>
[[gnu::always_inline]] inline bool read_usual_ipv6(std::span<const uint8_t> frame,
                                                   const VerifiedChecksums& verified,
                                                   const UsualBeginning& beginning,
                                                   Segment& segment) {
    using namespace usual;
    constexpr size_t least = ipv6_bytes + tcp_bytes;
    if (frame.size() < link_bytes + least) return false;
    if (!beginning.fits(frame.data())) return false;
    const uint8_t* const ip = frame.data() + link_bytes;

    const size_t bytes = load_be16(ip + 4);
    if (bytes > frame.size() - link_bytes - ipv6_bytes) return false;
    const IpAddress source = load_ipv6(ip + 8);
    const IpAddress destination = load_ipv6(ip + 24);
    if (!is_possible_ipv6_host(source) || !is_possible_ipv6_host(destination)) return false;
    if (source == destination) return false;
    return read_tcp<32>(ip + ipv6_bytes, bytes, verified, segment);
}

/// A frame that begins with this tag as it would be without it, but for its stations, for
/// read_usual_ipv4 and read_usual_ipv6; nothing of any other frame.
inline std::span<const uint8_t> without_tag(std::span<const uint8_t> frame,
                                            const UsualBeginning& tag) {
    if (frame.size() < UsualBeginning::bytes) return {};
    if (!tag.fits(frame.data())) return {};
    return frame.subspan(EthernetView::tag_bytes);
}

/// Either, with all that a packet is.
inline bool parse_usual_frame(std::span<const uint8_t> frame, const VerifiedChecksums& verified,
                              Packet& packet) {
    const auto finish = [&](const auto& ends, const uint8_t* ip, uint8_t hop_limit, size_t total) {
        packet.kind = PacketKind::tcp;
        packet.drop = Drop::none;
        packet.has_vlan_tag = false;
        packet.link_group = false;
        packet.vlan_tag = 0;
        packet.ethernet = frame.data();
        packet.protocol = ip_protocol::tcp;
        packet.hop_limit = hop_limit;
        packet.traffic_class = ends.traffic_class();
        packet.source_port = ends.source_port();
        packet.destination_port = ends.destination_port();
        packet.network = {ip, total};
        return true;
    };
    if (read_usual_ipv4(frame, verified, UsualBeginning::ipv4(), packet)) {
        const uint8_t* const ip = frame.data() + usual::link_bytes;
        const UsualIpv4Ends v4{frame.data()};
        if (problem_of_ipv4_ends(v4.source(), v4.destination()) != Drop::none) return false;
        packet.source = IpAddress::v4(v4.source());
        packet.destination = IpAddress::v4(v4.destination());
        return finish(v4, ip, ip[8], load_be16(ip + 2));
    }
    if (read_usual_ipv6(frame, verified, UsualBeginning::ipv6(), packet)) {
        const uint8_t* const ip = frame.data() + usual::link_bytes;
        const UsualIpv6Ends v6{frame.data()};
        packet.source = v6.source();
        packet.destination = v6.destination();
        return finish(v6, ip, ip[7], usual::ipv6_bytes + load_be16(ip + 4));
    }
    return false;
}

}  // namespace synfin::wire
