#include <synfin/base/assert.hpp>
#include <synfin/wire/fragment.hpp>
#include <synfin/wire/ipv4.hpp>
#include <synfin/wire/ipv6.hpp>

namespace synfin::wire {

namespace {

constexpr size_t ipv4_protocol_at = 9;

bool is_ipv4(uint8_t first_octet) { return first_octet >> 4 == 4; }

}  // namespace

Fragment read_fragment(std::span<const uint8_t> datagram) {
    if (is_ipv4(datagram[0])) {
        const auto ip = Ipv4View::checked(datagram, true);
        SYNFIN_ASSERT(ip && ip->is_fragment());
        const uint16_t flags_and_offset = load_be16(datagram.data() + 6);
        return {.source = ip->source(),
                .destination = ip->destination(),
                .identification = load_be16(datagram.data() + 4),
                .protocol = ip->protocol(),
                .ecn = ecn_of(ip->traffic_class()),
                .more = (flags_and_offset & 0x2000u) != 0,
                .offset = (flags_and_offset & 0x1fffu) * 8u,
                .header = datagram.first(ip->header_length()),
                .protocol_at = ipv4_protocol_at,
                .data = ip->payload()};
    }
    const auto ip = Ipv6View::checked(datagram);
    SYNFIN_ASSERT(ip && ip->is_fragment());
    const size_t header = ip->header_length() - Ipv6View::fragment_header_bytes;
    const uint8_t* at = datagram.data() + header;
    const uint16_t offset_and_more = load_be16(at + 2);
    return {.source = ip->source(),
            .destination = ip->destination(),
            .identification = load_be32(at + 4),
            .protocol = at[0],
            .ecn = ecn_of(ip->traffic_class()),
            .more = (offset_and_more & 1u) != 0,
            .offset = offset_and_more & 0xfff8u,
            .header = datagram.first(header),
            .protocol_at = ip->named_at(),
            .data = ip->payload()};
}

void make_header_whole(std::span<uint8_t> header, size_t protocol_at, uint8_t protocol,
                       size_t data_bytes) {
    header[protocol_at] = protocol;
    if (is_ipv4(header[0])) {
        store_be16(&header[2], static_cast<uint16_t>(header.size() + data_bytes));
        store_be16(&header[6], 0);
    } else {
        const size_t extensions = header.size() - Ipv6View::header_bytes;
        store_be16(&header[4], static_cast<uint16_t>(extensions + data_bytes));
    }
}

void mark_congestion(std::span<uint8_t> header) {
    const unsigned mark = is_ipv4(header[0]) ? 0x03 : 0x30;
    header[1] = static_cast<uint8_t>(header[1] | mark);
}

size_t write_fragment_headers(uint8_t* out, const IpFields& fields, const FragmentPlace& place,
                              size_t data_bytes, bool device_checksum) {
    if (fields.source.is_v4()) {
        const size_t header = write_ipv4_header(out, fields, data_bytes, true);
        store_be16(out + 4, static_cast<uint16_t>(place.identification));
        store_be16(out + 6, static_cast<uint16_t>((place.more ? 0x2000u : 0u) | place.offset / 8));
        if (!device_checksum) store_checksum(out + 10, sum_words(out, header));
        return header;
    }
    IpFields fixed = fields;
    fixed.protocol = ipv6_extension::fragment;
    const size_t header =
        write_ipv6_header(out, fixed, Ipv6View::fragment_header_bytes + data_bytes);
    out += header;
    out[0] = fields.protocol;
    out[1] = 0;
    store_be16(out + 2, static_cast<uint16_t>(place.offset | (place.more ? 1u : 0u)));
    store_be32(out + 4, place.identification);
    return header + Ipv6View::fragment_header_bytes;
}

}  // namespace synfin::wire
