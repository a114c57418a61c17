// Fuzz target: any bytes at all are parsed, all that the parser promises is touched, and a segment
// that was understood is written again and must be understood as the same.
//
// The first byte says which checksums count as verified and where the payload is cut into pieces; a
// fuzzer that had to guess checksums would never come past them.
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <synfin/base/assert.hpp>
#include <synfin/wire/arp.hpp>
#include <synfin/wire/describe.hpp>
#include <synfin/wire/ethernet.hpp>
#include <synfin/wire/fragment.hpp>
#include <synfin/wire/icmp4.hpp>
#include <synfin/wire/icmp6.hpp>
#include <synfin/wire/packet.hpp>
#include <synfin/wire/quoted.hpp>
#include <synfin/wire/segment_writer.hpp>
#include <synfin/wire/tcp_options.hpp>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using namespace synfin::wire;

constexpr size_t frame_bytes_max = 9018;

/// Reads each byte, so that a sanitizer sees one that is not there.
void touch(std::span<const uint8_t> bytes) {
    volatile uint8_t sink = 0;
    for (const uint8_t byte : bytes) sink = byte;
    static_cast<void>(sink);
}

void write_and_parse_again(const Packet& read, size_t cut) {
    const L2Header l2 =
        make_l2_header(read.destination_mac(), read.source_mac(),
                       read.source.is_v4() ? ethertype::ipv4 : ethertype::ipv6,
                       read.has_vlan_tag ? std::optional{read.vlan_tag} : std::nullopt);
    cut = std::min(cut, read.payload.size());
    const std::array pieces{read.payload.first(cut), read.payload.subspan(cut)};
    SegmentFrame segment;
    segment.l2 = &l2;
    segment.source = read.source;
    segment.destination = read.destination;
    segment.source_port = read.source_port;
    segment.destination_port = read.destination_port;
    segment.hop_limit = read.hop_limit;
    segment.traffic_class = read.traffic_class;
    segment.flags = read.flags;
    segment.window = read.window;
    segment.urgent = read.urgent;
    segment.seq = read.seq;
    segment.ack = read.ack;
    segment.options = &read.options;
    segment.pieces = pieces;

    std::array<uint8_t, frame_bytes_max + segment_headers_bytes_max> buffer;
    const size_t length = write_segment(buffer, segment, {});

    Packet again;
    SYNFIN_ASSERT(parse_frame({buffer.data(), length}, {}, again) == PacketKind::tcp);
    SYNFIN_ASSERT(again.source_mac() == read.source_mac());
    SYNFIN_ASSERT(again.has_vlan_tag == read.has_vlan_tag && again.vlan_tag == read.vlan_tag);
    SYNFIN_ASSERT(again.source == read.source && again.destination == read.destination);
    SYNFIN_ASSERT(again.source_port == read.source_port);
    SYNFIN_ASSERT(again.destination_port == read.destination_port);
    SYNFIN_ASSERT(again.hop_limit == read.hop_limit && again.traffic_class == read.traffic_class);
    SYNFIN_ASSERT(again.seq == read.seq && again.ack == read.ack && again.flags == read.flags);
    SYNFIN_ASSERT(again.window == read.window && again.urgent == read.urgent);
    SYNFIN_ASSERT(std::equal(again.payload.begin(), again.payload.end(), read.payload.begin(),
                             read.payload.end()));
    const TcpOptions& a = again.options;
    const TcpOptions& b = read.options;
    SYNFIN_ASSERT(a.has_mss == b.has_mss && a.mss == b.mss);
    SYNFIN_ASSERT(a.has_window_scale == b.has_window_scale && a.window_scale == b.window_scale);
    SYNFIN_ASSERT(a.sack_permitted == b.sack_permitted);
    SYNFIN_ASSERT(a.has_timestamps == b.has_timestamps && a.ts_value == b.ts_value);
    SYNFIN_ASSERT(a.ts_echo == b.ts_echo && a.sack_count == sack_blocks_that_fit(b));
    SYNFIN_ASSERT(std::equal(a.sack, a.sack + a.sack_count, b.sack));
}

void touch_icmp4(const Packet& packet) {
    const auto message = Icmp4View::checked(packet.payload);
    SYNFIN_ASSERT(message.has_value());
    touch(message->quoted());
    if (message->is_error()) static_cast<void>(read_quoted_tcp(message->quoted()));
}

void touch_icmp6(const Packet& packet) {
    const auto message =
        Icmp6View::checked(packet.payload, packet.source, packet.destination, packet.hop_limit);
    SYNFIN_ASSERT(message.has_value());
    touch(message->quoted());
    if (message->is_error()) static_cast<void>(read_quoted_tcp(message->quoted()));
    if (message->type() == Icmp6Type::neighbor_solicitation ||
        message->type() == Icmp6Type::neighbor_advertisement) {
        static_cast<void>(message->target());
        static_cast<void>(message->link_layer_address());
    }
}

void touch_fragment(const Packet& packet) {
    const Fragment fragment = read_fragment(packet.network);
    touch(fragment.header);
    touch(fragment.data);
    SYNFIN_ASSERT(fragment.protocol_at < fragment.header.size());
    std::vector<uint8_t> header{fragment.header.begin(), fragment.header.end()};
    make_header_whole(header, fragment.protocol_at, fragment.protocol, fragment.data.size());
    header.insert(header.end(), fragment.data.begin(), fragment.data.end());
    Packet whole = packet;
    SYNFIN_ASSERT(parse_whole(header, fragment.identification, whole) != PacketKind::arp);
}

void touch_problem(const Packet& packet) {
    if (!packet.problem.is_to_be_told) return;
    touch(packet.network);
    SYNFIN_ASSERT(packet.problem.pointer < packet.network.size());
    static_cast<void>(carries_icmp6_error(packet.network));
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 1 || size > 1 + frame_bytes_max) return 0;
    const uint8_t control = data[0];
    const std::span<const uint8_t> frame{data + 1, size - 1};
    const VerifiedChecksums verified{.ip = (control & 1) != 0, .tcp = (control & 2) != 0};

    Packet packet;
    const PacketKind kind = parse_frame(frame, verified, packet);
    SYNFIN_ASSERT(kind == packet.kind);
    SYNFIN_ASSERT((kind == PacketKind::drop) == (packet.drop != Drop::none));
    SYNFIN_ASSERT(packet.drop < Drop::count);
    if (kind != PacketKind::drop) touch(packet.network);
    if (kind != PacketKind::drop && kind != PacketKind::arp) touch(packet.payload);
    switch (kind) {
        case PacketKind::tcp: write_and_parse_again(packet, control >> 2); break;
        case PacketKind::arp: SYNFIN_ASSERT(ArpView::checked(packet.network).has_value()); break;
        case PacketKind::icmp4: touch_icmp4(packet); break;
        case PacketKind::icmp6: touch_icmp6(packet); break;
        case PacketKind::fragment: touch_fragment(packet); break;
        case PacketKind::drop: touch_problem(packet); break;
        case PacketKind::other: break;
    }
    static_cast<void>(describe_tcp(frame));
    static_cast<void>(read_quoted_tcp(frame));
    return 0;
}
