// What the bytes of a packet cost: parsing a frame, writing a segment, checksums. The yardsticks
// stand beside them: memcpy for the copying checksum, a loop over 16-bit words for the plain one.
#include <array>
#include <cstring>
#include <vector>

#include <benchmark/benchmark.h>

#include <synfin/wire/checksum.hpp>
#include <synfin/wire/packet.hpp>
#include <synfin/wire/segment_writer.hpp>

namespace {

using namespace synfin::wire;

enum Options { no_options, timestamps, syn_options };

TcpOptions options_of(Options which) {
    TcpOptions options;
    options.has_timestamps = which != no_options;
    options.ts_value = 0x01020304;
    options.ts_echo = 0x05060708;
    if (which == syn_options) {
        options.has_mss = options.has_window_scale = options.sack_permitted = true;
        options.mss = 1460;
        options.window_scale = 7;
    }
    return options;
}

/// A segment of one family with all that it points to.
class Segment {
  public:
    Segment(bool v6, Options which, size_t payload_bytes)
        : options_{options_of(which)}, payload_(payload_bytes, 0x5a), piece_{{payload_}} {
        l2_ = make_l2_header(MacAddress{{2, 0, 0, 0, 0, 1}}, MacAddress{{2, 0, 0, 0, 0, 2}},
                             v6 ? ethertype::ipv6 : ethertype::ipv4);
        fields.l2 = &l2_;
        fields.source = v6 ? IpAddress::v6(0x20010db800000000, 1) : IpAddress::v4(198, 18, 0, 1);
        fields.destination =
            v6 ? IpAddress::v6(0x20010db800000000, 2) : IpAddress::v4(198, 18, 0, 2);
        fields.source_port = 40000;
        fields.destination_port = 80;
        fields.flags = flag::ack;
        fields.window = 65535;
        fields.options = &options_;
        fields.pieces = std::span{piece_}.first(payload_bytes == 0 ? 0 : 1);
    }
    Segment(const Segment&) = delete;
    Segment& operator=(const Segment&) = delete;
    SegmentFrame fields;

  private:
    TcpOptions options_;
    std::vector<uint8_t> payload_;
    std::array<std::span<const uint8_t>, 1> piece_;
    L2Header l2_;
};

/// A burst of frames, so that the parser reads other bytes each time, all of them in the L1 cache.
class Burst {
  public:
    static constexpr size_t count = 16;
    Burst(bool v6, Options which, size_t payload_bytes) {
        Segment segment{v6, which, payload_bytes};
        for (size_t i = 0; i < count; ++i) {
            segment.fields.seq = static_cast<uint32_t>(i * 12345);
            length_ = write_segment(frames_[i], segment.fields, {});
        }
    }
    std::span<const uint8_t> operator[](size_t i) const {
        return std::span{frames_[i % count]}.first(length_);
    }

  private:
    std::array<std::array<uint8_t, 2048>, count> frames_;
    size_t length_ = 0;
};

void parse(benchmark::State& state, bool v6, Options which, VerifiedChecksums verified) {
    const Burst burst{v6, which, static_cast<size_t>(state.range(0))};
    Packet packet;
    size_t i = 0;
    for (auto _ : state) {
        if (parse_frame(burst[i++], verified, packet) != PacketKind::tcp) {
            state.SkipWithError("a good frame was refused");
        }
        benchmark::DoNotOptimize(packet);
    }
}
BENCHMARK_CAPTURE(parse, ipv4, false, no_options, {})->Arg(0)->Arg(100)->Arg(1460);
BENCHMARK_CAPTURE(parse, ipv4_timestamps, false, timestamps, {})->Arg(0)->Arg(1448);
BENCHMARK_CAPTURE(parse, ipv4_syn, false, syn_options, {})->Arg(0);
BENCHMARK_CAPTURE(parse, ipv4_verified, false, timestamps, {true, true})->Arg(0)->Arg(1448);
BENCHMARK_CAPTURE(parse, ipv6_timestamps, true, timestamps, {})->Arg(0);

void write(benchmark::State& state, bool v6, Options which, DeviceChecksums device) {
    Segment segment{v6, which, static_cast<size_t>(state.range(0))};
    std::array<std::array<uint8_t, 2048>, 16> buffers;
    uint32_t i = 0;
    for (auto _ : state) {
        segment.fields.seq = i;
        benchmark::DoNotOptimize(write_segment(buffers[i++ % 16], segment.fields, device));
        benchmark::ClobberMemory();
    }
}
BENCHMARK_CAPTURE(write, ipv4, false, no_options, {})->Arg(0)->Arg(100)->Arg(1460);
BENCHMARK_CAPTURE(write, ipv4_timestamps, false, timestamps, {})->Arg(0)->Arg(1448);
BENCHMARK_CAPTURE(write, ipv4_syn, false, syn_options, {})->Arg(0);
BENCHMARK_CAPTURE(write, ipv4_device_checksums, false, timestamps, {true, true})->Arg(0)->Arg(1448);
BENCHMARK_CAPTURE(write, ipv6_timestamps, true, timestamps, {})->Arg(0);

void count_bytes(benchmark::State& state) {
    state.SetBytesProcessed(state.iterations() * state.range(0));
}

void sum(benchmark::State& state) {
    const std::vector<uint8_t> bytes(static_cast<size_t>(state.range(0)), 0x5a);
    for (auto _ : state) benchmark::DoNotOptimize(sum_bytes(bytes.data(), bytes.size()));
    count_bytes(state);
}
BENCHMARK(sum)->Arg(20)->Arg(32)->Arg(64)->Arg(256)->Arg(1460)->Arg(8960);

void sum_16_bits_at_a_time(benchmark::State& state) {
    const std::vector<uint8_t> bytes(static_cast<size_t>(state.range(0)), 0x5a);
    for (auto _ : state) {
        uint32_t total = 0;
        for (size_t i = 0; i + 1 < bytes.size(); i += 2) total += load_native<uint16_t>(&bytes[i]);
        benchmark::DoNotOptimize(total);
    }
    count_bytes(state);
}
BENCHMARK(sum_16_bits_at_a_time)->Arg(32)->Arg(1460);

void copying_sum(benchmark::State& state) {
    const std::vector<uint8_t> from(static_cast<size_t>(state.range(0)), 0x5a);
    std::vector<uint8_t> to(from.size());
    for (auto _ : state) {
        benchmark::DoNotOptimize(copy_and_sum(to.data(), from.data(), from.size()));
        benchmark::ClobberMemory();
    }
    count_bytes(state);
}
BENCHMARK(copying_sum)->Arg(64)->Arg(256)->Arg(1460)->Arg(8960);

void memcpy_alone(benchmark::State& state) {
    const std::vector<uint8_t> from(static_cast<size_t>(state.range(0)), 0x5a);
    std::vector<uint8_t> to(from.size());
    for (auto _ : state) {
        std::memcpy(to.data(), from.data(), from.size());
        benchmark::ClobberMemory();
    }
    count_bytes(state);
}
BENCHMARK(memcpy_alone)->Arg(64)->Arg(256)->Arg(1460)->Arg(8960);

}  // namespace

BENCHMARK_MAIN();
