#include <synfin/base/assert.hpp>
#include <synfin/wire/ipv4.hpp>
#include <synfin/wire/ipv6.hpp>
#include <synfin/wire/segment_writer.hpp>
#include <synfin/wire/tcp.hpp>

namespace synfin::wire {

namespace {

/// Copies the pieces one behind the other and sums them as one.
PartialSum copy_pieces(uint8_t* to, std::span<const std::span<const uint8_t>> pieces) {
    PartialSum sum;
    size_t offset = 0;
    for (const auto& piece : pieces) {
        const PartialSum part = copy_and_sum(to + offset, piece.data(), piece.size());
        sum += (offset & 1) != 0 ? part.at_odd_offset() : part;
        offset += piece.size();
    }
    return sum;
}

void copy_pieces_unsummed(uint8_t* to, std::span<const std::span<const uint8_t>> pieces) {
    for (const auto& piece : pieces) {
        if (piece.empty()) continue;
        std::memcpy(to, piece.data(), piece.size());
        to += piece.size();
    }
}

}  // namespace

size_t write_segment(std::span<uint8_t> buffer, const SegmentFrame& segment,
                     DeviceChecksums device) {
    size_t payload_bytes = 0;
    for (const auto& piece : segment.pieces) payload_bytes += piece.size();
    SYNFIN_ASSERT(buffer.size() >= segment_headers_bytes_max);

    uint8_t* const frame = buffer.data();
    uint8_t* const ip = frame + write_l2_header(frame, *segment.l2);
    const bool v4 = segment.source.is_v4();
    uint8_t* const tcp = ip + (v4 ? Ipv4View::header_bytes_min : Ipv6View::header_bytes);
    const WrittenOptions options =
        segment.options != nullptr
            ? write_tcp_options(tcp + TcpView::header_bytes_min, *segment.options)
            : WrittenOptions{};
    uint8_t* const payload = tcp + TcpView::header_bytes_min + options.length;
    uint8_t* const end = payload + payload_bytes;
    SYNFIN_ASSERT(end <= frame + buffer.size() && end - ip <= 65535);

    const auto tcp_bytes = static_cast<size_t>(end - tcp);
    const IpFields fields{segment.source, segment.destination, ip_protocol::tcp, segment.hop_limit,
                          segment.traffic_class};
    PartialSum sum;
    if (v4) {
        write_ipv4_header(ip, fields, tcp_bytes, device.ip);
        sum = pseudo_header_sum_ipv4(segment.source, segment.destination, ip_protocol::tcp,
                                     static_cast<uint32_t>(tcp_bytes));
    } else {
        write_ipv6_header(ip, fields, tcp_bytes);
        sum = pseudo_header_sum_ipv6(segment.source, segment.destination, ip_protocol::tcp,
                                     static_cast<uint32_t>(tcp_bytes));
    }
    if (payload_bytes != 0) {
        if (device.tcp) {
            copy_pieces_unsummed(payload, segment.pieces);
        } else {
            sum += copy_pieces(payload, segment.pieces);
        }
    }
    write_tcp_header(tcp,
                     {segment.source_port, segment.destination_port, segment.seq, segment.ack,
                      segment.flags, segment.window, segment.urgent},
                     options, sum, device.tcp);
    return static_cast<size_t>(end - frame);
}

}  // namespace synfin::wire
