// The fast path of transmission: a segment as nearly all are, written in one go.
//
// Usual is IPv4, with the payload in one piece or none, and the options of usual_frame.hpp: none,
// timestamps alone, or all that a SYN offers. Headers are composed in registers and summed there in
// the host's order, in which each 32-bit word is one store; a sum does not care (RFC 1071 section
// 2). Whatever differs is left to write_segment. So this file decides nothing: what it writes,
// write_segment would write in the same way.
#pragma once

#include <cstdint>
#include <span>

#include <synfin/wire/bytes.hpp>
#include <synfin/wire/checksum.hpp>
#include <synfin/wire/ethernet.hpp>
#include <synfin/wire/ipv4.hpp>
#include <synfin/wire/segment_writer.hpp>
#include <synfin/wire/tcp.hpp>
#include <synfin/wire/usual_frame.hpp>

namespace synfin::wire {

namespace usual {

/// Writes `words` one behind the other, and returns their sum.
template <typename... Words>
inline uint64_t put_words(uint8_t* at, Words... words) {
    uint64_t sum = 0;
    ((store_be32(at, words), sum += words, at += 4), ...);
    return sum;
}

/// The length of the options and, in the host's order, their sum.
struct PutOptions {
    uint32_t length;
    uint64_t sum;
};

/// False: they are not usual.
inline bool put_options(uint8_t* at, const TcpOptions& o, PutOptions& put) {
    put = {0, 0};
    if (o.sack_count != 0) return false;
    if (o.kinds() == TcpOptionKinds::timestamps_alone()) {
        put = {12, put_words(at, nop_nop_timestamps, o.ts_value, o.ts_echo)};
        return true;
    }
    if (o.kinds() == TcpOptionKinds::usual_syn()) {
        put = {20, put_words(at, mss_option | o.mss, sack_permitted_timestamps, o.ts_value,
                             o.ts_echo, nop_window_scale | o.window_scale)};
        return true;
    }
    return o.kinds() == TcpOptionKinds{};
}

}  // namespace usual

/// What all segments of a connection have in common.
struct Ipv4Ends {
    uint32_t source = 0;
    uint32_t destination = 0;
    uint16_t source_port = 0;
    uint16_t destination_port = 0;
    uint8_t hop_limit = 0;
    uint8_t traffic_class = 0;
};

/// Writes the frame at the beginning of `frame` and returns its length; 0 if the segment is not
/// usual, and then what has been written says nothing. The room is the caller's to know: that for
/// all headers, and for the payload behind them. `fields` need no ports.
[[gnu::always_inline]] inline size_t write_usual_segment(
    uint8_t* frame, const L2Header& l2, const Ipv4Ends& ends, const TcpFields& fields,
    const TcpOptions& options, std::span<const uint8_t> payload, DeviceChecksums device) {
    uint8_t* const ip = frame + write_l2_header(frame, l2);
    uint8_t* const tcp = ip + Ipv4View::header_bytes_min;
    usual::PutOptions put;
    if (!usual::put_options(tcp + TcpView::header_bytes_min, options, put)) return 0;
    const uint32_t header = TcpView::header_bytes_min + put.length;
    const uint32_t segment = header + static_cast<uint32_t>(payload.size());

    const uint64_t addresses = uint64_t{ends.source} + ends.destination;
    const uint32_t to_length = 0x45000000u | uint32_t{ends.traffic_class} << 16 |
                               (static_cast<uint32_t>(Ipv4View::header_bytes_min) + segment);
    const uint32_t fragment = 0x4000;  // DF
    const uint32_t hop_limit = uint32_t{ends.hop_limit} << 24 | uint32_t{ip_protocol::tcp} << 16;
    const PartialSum ip_sum{addresses + to_length + fragment + hop_limit};
    usual::put_words(ip, to_length, fragment, hop_limit | (device.ip ? 0u : finish(ip_sum)),
                     ends.source, ends.destination);

    const PartialSum pseudo{addresses + (uint32_t{ip_protocol::tcp} << 16) + segment};
    const uint64_t words = usual::put_words(
        tcp, uint32_t{ends.source_port} << 16 | ends.destination_port, fields.seq, fields.ack,
        header << 26 | uint32_t{fields.flags.bits()} << 16 | fields.window);
    PartialSum sum{pseudo.value() + put.sum + words + fields.urgent};
    if (!payload.empty()) {
        if (device.tcp) {
            std::memcpy(tcp + header, payload.data(), payload.size());
        } else {
            const PartialSum bytes = copy_and_sum(tcp + header, payload.data(), payload.size());
            sum += PartialSum{network_order(bytes.folded())};
        }
    }
    const uint32_t checksum = device.tcp ? pseudo.folded() : finish(sum);
    store_be32(tcp + 16, checksum << 16 | fields.urgent);
    return static_cast<size_t>(tcp - frame) + segment;
}

}  // namespace synfin::wire
