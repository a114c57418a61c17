// The fast path of transmission, against the slow one: what it writes is written in the same way.
#include <random>
#include <variant>

#include <gtest/gtest.h>

#include <synfin/wire/usual_segment.hpp>

#include "frames.hpp"

namespace synfin::wire {
namespace {

using namespace test;

IpAddress ip_address(uint32_t v4) { return IpAddress::v4(v4); }
IpAddress ip_address(const IpAddress& v6) { return v6; }

template <typename AddressType>
struct Ends {
    using Address = AddressType;
    Address from{};
    Address to{};
    uint32_t both_ports = 0;
    IpWords ip;
    Address source() const { return from; }
    Address destination() const { return to; }
    uint32_t ports() const { return both_ports; }
    const IpWords& words() const { return ip; }
};

struct Drawn {
    L2Header l2;
    std::variant<Ends<uint32_t>, Ends<IpAddress>> ends;
    TcpFields fields;
    TcpOptions options;
    Bytes payload;
    bool sum_is_known = false;
    DeviceChecksums device;

    Bytes write_usually() const {
        Bytes buffer(segment_headers_bytes_max + payload.size(), 0xee);
        const SummedBytes bytes = sum_is_known ? SummedBytes::of(payload) : SummedBytes{payload};
        buffer.resize(std::visit(
            [&](const auto& e) {
                return write_if_usual(buffer.data(), l2, e, fields, options, bytes, device);
            },
            ends));
        return buffer;
    }
    Bytes write_in_general() const {
        const std::span<const uint8_t> piece{payload};
        SegmentFrame segment;
        segment.l2 = &l2;
        std::visit(
            [&segment](const auto& e) {
                segment.source = ip_address(e.from);
                segment.destination = ip_address(e.to);
                segment.source_port = static_cast<uint16_t>(e.both_ports >> 16);
                segment.destination_port = static_cast<uint16_t>(e.both_ports);
                segment.hop_limit = e.ip.hop_limit();
                segment.traffic_class = e.ip.traffic_class();
            },
            ends);
        segment.flags = fields.flags;
        segment.window = fields.window;
        segment.urgent = fields.urgent;
        segment.seq = fields.seq;
        segment.ack = fields.ack;
        segment.options = &options;
        segment.pieces = {&piece, 1};
        Bytes buffer(segment_headers_bytes_max + payload.size(), 0xee);
        buffer.resize(write_segment(buffer, segment, device));
        return buffer;
    }
};

class Draw {
  public:
    uint32_t bits() {
        // Words of all ones and of all zeros are where carries go wrong.
        const uint32_t kind = generator_() % 4;
        return kind == 0 ? 0 : kind == 1 ? UINT32_MAX : static_cast<uint32_t>(generator_());
    }
    uint32_t below(uint32_t end) { return static_cast<uint32_t>(generator_() % end); }

    Drawn segment() {
        Drawn d;
        const auto tag = below(2) == 0 ? std::nullopt : std::optional<uint16_t>{uint16_t{5}};
        const bool v4 = below(2) == 0;
        d.l2 = make_l2_header({{2, 0, 0, 0, 0, 1}}, {{2, 0, 0, 0, 0, 2}},
                              v4 ? ethertype::ipv4 : ethertype::ipv6, tag);
        if (v4) {
            d.ends = ends_between(bits(), bits());
        } else {
            d.ends = ends_between(v6_address(), v6_address());
        }
        d.fields.seq = bits();
        d.fields.ack = bits();
        d.fields.flags = TcpFlags{static_cast<uint8_t>(bits())};
        d.fields.window = static_cast<uint16_t>(bits());
        d.fields.urgent = static_cast<uint16_t>(bits());
        d.options.mss = static_cast<uint16_t>(bits());
        d.options.window_scale = static_cast<uint8_t>(bits());
        d.options.ts_value = bits();
        d.options.ts_echo = bits();
        d.payload.resize(below(2) == 0 ? 0 : below(200));
        for (uint8_t& byte : d.payload) byte = static_cast<uint8_t>(bits());
        d.sum_is_known = below(2) == 0;
        d.device = {.ip = below(2) == 0, .tcp = below(2) == 0};
        return d;
    }

  private:
    IpAddress v6_address() {
        // Not one that stands for IPv4.
        return IpAddress::v6(uint64_t{bits()} << 32 | 1, uint64_t{bits()} << 32 | bits());
    }
    template <typename Address>
    Ends<Address> ends_between(const Address& source, const Address& destination) {
        return {.from = source,
                .to = destination,
                .both_ports = bits(),
                .ip = IpWords::of(static_cast<uint8_t>(bits()), static_cast<uint8_t>(bits()),
                                  ip_protocol::tcp)};
    }

    std::mt19937 generator_{20};
};

void offer(TcpOptions& options, unsigned shape) {
    options.has_timestamps = (shape & 1) != 0;
    options.has_mss = (shape & 2) != 0;
    options.has_window_scale = (shape & 4) != 0;
    options.sack_permitted = (shape & 8) != 0;
}

TEST(UsualSegment, IsWrittenAsTheGeneralWriterWouldWriteIt) {
    Draw draw;
    for (unsigned round = 0; round < 30'000; ++round) {
        Drawn d = draw.segment();
        offer(d.options, std::array{0u, 1u, 15u}[draw.below(3)]);
        ASSERT_EQ(d.write_usually(), d.write_in_general()) << round;
    }
}

TEST(UsualSegment, OtherOptionsAreLeftToTheGeneralWriter) {
    Draw draw;
    for (unsigned shape = 0; shape < 16; ++shape) {
        Drawn d = draw.segment();
        offer(d.options, shape);
        EXPECT_EQ(d.write_usually().empty(), shape != 0 && shape != 1 && shape != 15) << shape;
        d.options.sack_count = 1;
        EXPECT_TRUE(d.write_usually().empty()) << shape;
        d.options.sack_count = 0;
        d.options.has_fast_open = true;
        EXPECT_TRUE(d.write_usually().empty()) << shape;
    }
}

}  // namespace
}  // namespace synfin::wire
