// The fast path of the parse: a frame as nearly all are, read in one go.
//
// Usual is an untagged IPv4 packet to one station, without IP options, whole, with a TCP segment
// that carries no options, timestamps alone, or what the SYNs of most hosts carry, in their order;
// and with nothing in it that would have to be refused. Whatever differs in any way is left to
// parse_frame_slowly, which looks at it from the beginning and knows the names of all reasons. So
// this file decides nothing: what it accepts, parse_frame_slowly would read in the same way.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include <synfin/wire/bytes.hpp>
#include <synfin/wire/checksum.hpp>
#include <synfin/wire/ethernet.hpp>
#include <synfin/wire/ipv4.hpp>
#include <synfin/wire/packet.hpp>
#include <synfin/wire/tcp.hpp>

namespace synfin::wire {

/// What a usual frame begins with, in two words under a mask: from one station to one station,
/// EtherType, version and header length.
class UsualBeginning {
  public:
    /// To whatever station.
    UsualBeginning() {
        mask_[0] = mask_[6] = 1;
        mask_[12] = mask_[13] = mask_[14] = 0xff;
        value_[12] = 0x08;
        value_[14] = 0x45;
    }
    /// To this station only.
    explicit UsualBeginning(const MacAddress& station) : UsualBeginning{} {
        for (size_t i = 0; i < station.bytes.size(); ++i) {
            mask_[i] = 0xff;
            value_[i] = station.bytes[i];
        }
    }
    /// No frame begins like this.
    static UsualBeginning none() {
        UsualBeginning beginning;
        beginning.excluded_ = 1;
        return beginning;
    }

    /// `frame` has 16 bytes at least.
    bool fits(const uint8_t* frame) const {
        const auto wrong = [&](size_t at) {
            return (load_native<uint64_t>(frame + at) ^ load_native<uint64_t>(&value_[at])) &
                   load_native<uint64_t>(&mask_[at]);
        };
        return (wrong(0) | wrong(8) | excluded_) == 0;
    }

  private:
    alignas(16) std::array<uint8_t, 16> value_{};
    std::array<uint8_t, 16> mask_{};
    uint64_t excluded_ = 0;
};

/// Where a usual frame comes from and goes to.
struct UsualEnds {
    uint32_t source = 0;
    uint32_t destination = 0;
    uint16_t source_port = 0;
    uint16_t destination_port = 0;
};

/// Of a usual frame: the byte with the code point and ECN.
inline uint8_t usual_traffic_class(const uint8_t* frame) { return frame[15]; }

namespace usual {

inline constexpr size_t link_bytes = EthernetView::header_bytes;
inline constexpr size_t ip_bytes = Ipv4View::header_bytes_min;
inline constexpr size_t tcp_bytes = TcpView::header_bytes_min;
/// With NOP NOP timestamps, and with all that the SYNs of most hosts carry.
inline constexpr size_t timestamps_header_bytes = tcp_bytes + 12;
inline constexpr size_t syn_header_bytes = tcp_bytes + 20;

namespace word = tcp_option_word;

/// The options after a header of `header` bytes, if they are of one of the usual layouts.
template <size_t header>
inline bool read_options(const uint8_t* tcp, TcpOptions& options) {
    const uint8_t* const at = tcp + tcp_bytes;
    options.kinds() = header == syn_header_bytes ? TcpOptionKinds::usual_syn()
                      : header == tcp_bytes      ? TcpOptionKinds{}
                                                 : TcpOptionKinds::timestamps_alone();
    options.sack_count = 0;
    if constexpr (header == timestamps_header_bytes) {
        if (load_be32(at) != word::timestamps) return false;
        options.ts_value = load_be32(at + 4);
        options.ts_echo = load_be32(at + 8);
    } else if constexpr (header == syn_header_bytes) {
        if ((load_be32(at) & 0xffff'0000) != word::mss) return false;
        if (load_be32(at + 4) != word::sack_permitted_timestamps) return false;
        if ((load_be32(at + 16) & 0xffff'ff00) != word::window_scale) return false;
        options.mss = load_be16(at + 2);
        options.ts_value = load_be32(at + 8);
        options.ts_echo = load_be32(at + 12);
        options.window_scale = at[19];
    }
    return true;
}

/// By the first byte of an address: is_possible_ipv4_source.
inline constexpr auto possible_sources = [] {
    std::array<uint8_t, 256> possible{};
    for (uint32_t top = 0; top < possible.size(); ++top) {
        possible[top] = is_possible_ipv4_source(top << 24) ? 1 : 0;
    }
    return possible;
}();

/// The segment of `bytes` bytes behind the IPv4 header at `ip`, with a TCP header of `header`.
template <size_t header, typename Segment>
inline bool read_segment(const uint8_t* ip, size_t bytes, bool verified, Segment& segment) {
    const uint8_t* const tcp = ip + ip_bytes;
    if (header > bytes) return false;
    if (!verified) {
        PartialSum sum =
            sum_of<8>(ip + 12) +
            PartialSum::of32(uint32_t{ip_protocol::tcp} << 16 | static_cast<uint32_t>(bytes)) +
            sum_of<header>(tcp);
        if (bytes > header) sum += sum_bytes(tcp + header, bytes - header);
        if (!is_complete(sum)) return false;
    }
    if (!read_options<header>(tcp, segment.options)) return false;
    using Number = decltype(segment.seq);
    segment.seq = Number{load_be32(tcp + 4)};
    segment.ack = Number{load_be32(tcp + 8)};
    segment.flags = TcpFlags{tcp[13]};
    segment.window = load_be16(tcp + 14);
    segment.urgent = load_be16(tcp + 18);
    segment.payload = {tcp + header, bytes - header};
    return true;
}

}  // namespace usual

/// True: the frame begins so, is a TCP segment, and all of that is read. False: nothing is said;
/// ask parse_frame_slowly. `Segment` has what a segment says under the names of Packet, with
/// sequence numbers of whatever type.
template <typename Segment>
[[gnu::always_inline]] inline bool read_usual_frame(std::span<const uint8_t> frame,
                                                    VerifiedChecksums verified,
                                                    const UsualBeginning& beginning,
                                                    Segment& segment, UsualEnds& ends) {
    using namespace usual;
    constexpr size_t least = ip_bytes + tcp_bytes;
    if (frame.size() < link_bytes + least) return false;
    if (!beginning.fits(frame.data())) return false;
    const uint8_t* const ip = frame.data() + link_bytes;

    // Below the least, the difference is huge.
    const size_t total = load_be16(ip + 2);
    if (total - least > frame.size() - link_bytes - least) return false;
    // Neither MF nor an offset, and the protocol, in one word.
    constexpr uint32_t fragment_and_protocol = 0x3fff'00ff;
    if ((load_be32(ip + 6) & fragment_and_protocol) != ip_protocol::tcp) return false;
    // What no source may be, no single station's address is.
    if ((possible_sources[ip[12]] & possible_sources[ip[16]]) == 0) return false;
    ends.source = load_be32(ip + 12);
    ends.destination = load_be32(ip + 16);
    if (ends.source == ends.destination) return false;
    if (!verified.ip && !is_complete(sum_of<ip_bytes>(ip))) return false;
    ends.source_port = load_be16(ip + ip_bytes);
    ends.destination_port = load_be16(ip + ip_bytes + 2);

    const size_t bytes = total - ip_bytes;
    switch (size_t{4} * (ip[ip_bytes + 12] >> 4)) {
        case timestamps_header_bytes:
            return read_segment<timestamps_header_bytes>(ip, bytes, verified.tcp, segment);
        case tcp_bytes: return read_segment<tcp_bytes>(ip, bytes, verified.tcp, segment);
        case syn_header_bytes:
            return read_segment<syn_header_bytes>(ip, bytes, verified.tcp, segment);
        default: return false;
    }
}

/// The same, with all that a packet is.
inline bool parse_usual_frame(std::span<const uint8_t> frame, VerifiedChecksums verified,
                              Packet& packet) {
    UsualEnds ends;
    if (!read_usual_frame(frame, verified, UsualBeginning{}, packet, ends)) return false;
    const uint8_t* const ip = frame.data() + usual::link_bytes;
    packet.kind = PacketKind::tcp;
    packet.drop = Drop::none;
    packet.has_vlan_tag = false;
    packet.link_group = false;
    packet.vlan_tag = 0;
    packet.ethernet = frame.data();
    packet.protocol = ip_protocol::tcp;
    packet.hop_limit = ip[8];
    packet.traffic_class = ip[1];
    packet.source = IpAddress::v4(ends.source);
    packet.destination = IpAddress::v4(ends.destination);
    packet.source_port = ends.source_port;
    packet.destination_port = ends.destination_port;
    packet.network = {ip, load_be16(ip + 2)};
    return true;
}

}  // namespace synfin::wire
