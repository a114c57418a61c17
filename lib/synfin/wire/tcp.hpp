// The TCP header (RFC 9293 section 3.1).
#pragma once

#include <cstdint>
#include <span>

#include <tl/expected.hpp>

#include <synfin/wire/bytes.hpp>
#include <synfin/wire/checksum.hpp>
#include <synfin/wire/drop.hpp>
#include <synfin/wire/tcp_fields.hpp>
#include <synfin/wire/tcp_options.hpp>

namespace synfin::wire {

/// A segment whose header is complete and lies within it. The checksum and the options are looked
/// at separately: one needs the IP header, the other has a result of its own.
class TcpView {
  public:
    static constexpr size_t header_bytes_min = 20;

    static tl::expected<TcpView, Drop> checked(std::span<const uint8_t> segment) {
        if (segment.size() < header_bytes_min) [[unlikely]] {
            return tl::unexpected{Drop::tcp_too_short};
        }
        const size_t header = size_t{4} * (segment[12] >> 4);
        if (header < header_bytes_min || header > segment.size()) [[unlikely]] {
            return tl::unexpected{Drop::tcp_bad_offset};
        }
        return TcpView{segment, header};
    }

    uint16_t source_port() const { return load_be16(at()); }
    uint16_t destination_port() const { return load_be16(at() + 2); }
    uint32_t seq() const { return load_be32(at() + 4); }
    uint32_t ack() const { return load_be32(at() + 8); }
    size_t header_length() const { return header_; }
    TcpControl control() const { return TcpControl::of(load_be64(at() + 12)); }
    TcpFlags flags() const { return TcpFlags{at()[13]}; }
    uint16_t window() const { return load_be16(at() + 14); }
    uint16_t checksum() const { return load_be16(at() + 16); }
    uint16_t urgent() const { return load_be16(at() + 18); }
    std::span<const uint8_t> options() const {
        return {at() + header_bytes_min, header_ - header_bytes_min};
    }
    std::span<const uint8_t> payload() const { return segment_.subspan(header_); }

    /// Whether the checksum is right for this pseudo header.
    bool checksum_is_right(PartialSum pseudo_header) const {
        return is_complete(pseudo_header + sum_bytes(segment_.data(), segment_.size()));
    }

  private:
    TcpView(std::span<const uint8_t> segment, size_t header) : segment_{segment}, header_{header} {}
    const uint8_t* at() const { return segment_.data(); }
    std::span<const uint8_t> segment_;
    size_t header_;
};

/// The meaning of a header, for the writer.
struct TcpFields {
    uint16_t source_port = 0;
    uint16_t destination_port = 0;
    uint32_t seq = 0;
    uint32_t ack = 0;
    TcpFlags flags;
    uint16_t window = 0;
    uint16_t urgent = 0;
};

/// Writes the fixed header at `out`, in front of options that stand there already, and returns the
/// length of both. `rest` is the sum of all that the checksum covers besides header and options:
/// the pseudo header (with the right length) and the payload. If the device completes the checksum,
/// `rest` is the pseudo header alone, and the field holds its sum, not inverted.
inline size_t write_tcp_header(uint8_t* out, const TcpFields& fields, const WrittenOptions& options,
                               PartialSum rest, bool device_completes = false) {
    const size_t length = TcpView::header_bytes_min + options.length;
    const uint32_t ports =
        network_order(static_cast<uint32_t>(fields.source_port) << 16 | fields.destination_port);
    const uint32_t seq = network_order(fields.seq);
    const uint32_t ack = network_order(fields.ack);
    const uint32_t control =
        network_order(static_cast<uint32_t>(length / 4) << 28 |
                      static_cast<uint32_t>(fields.flags.bits()) << 16 | fields.window);
    const uint16_t urgent = network_order(fields.urgent);
    const PartialSum header{uint64_t{ports} + seq + ack + control + urgent};
    store_native(out, ports);
    store_native(out + 4, seq);
    store_native(out + 8, ack);
    store_native(out + 12, control);
    store_native(out + 16, device_completes ? rest.folded() : finish(rest + header + options.sum));
    store_native(out + 18, urgent);
    return length;
}

}  // namespace synfin::wire
