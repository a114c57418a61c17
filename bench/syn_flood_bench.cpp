// What a SYN flood costs a worker: frames in, cookies out, without a device. `items_per_second` are
// SYNs (or ACKs). The yardstick in the same run is the same flood with cookies switched off: each
// SYN is then parsed, looked up, and dropped at the limit.
#include <array>
#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

#include <synfin/base/prng.hpp>
#include <synfin/stack/loop.hpp>
#include <synfin/stack/worker.hpp>
#include <synfin/tcp/syn_cookie.hpp>
#include <synfin/wire/segment_writer.hpp>

#include "flooded.hpp"

namespace {

using namespace synfin;
using wire::IpAddress;

constexpr wire::MacAddress server_mac{{2, 0, 0, 0, 0, 1}}, flood_mac{{2, 0, 0, 0, 0, 9}};

/// Gives the same segments from many sources again and again.
class FloodDevice : public SinkDevice {
  public:
    explicit FloodDevice(wire::TcpFlags flags) : frames_(segment_count) {
        const auto l2 = wire::make_l2_header(server_mac, flood_mac, wire::ethertype::ipv4);
        Prng random{7};
        wire::TcpOptions options;
        options.has_mss = options.has_window_scale = options.sack_permitted = true;
        options.has_timestamps = true;
        options.mss = 1460;
        options.window_scale = 7;
        for (Bytes& frame : frames_) {
            wire::SegmentFrame segment;
            segment.l2 = &l2;
            segment.source =
                IpAddress::v4(static_cast<uint32_t>(0xc612'0000 + random.below(65536)));
            segment.destination = IpAddress::v4(10, 0, 0, 1);
            segment.source_port = static_cast<uint16_t>(1024 + random.below(60'000));
            segment.destination_port = 80;
            segment.flags = flags;
            segment.seq = random.next_u32();
            segment.ack = random.next_u32();
            segment.options = &options;
            length_ = static_cast<uint32_t>(wire::write_segment(frame, segment, {}));
        }
    }
    unsigned receive(stack::Frame* frames, unsigned max) {
        for (unsigned i = 0; i < max; ++i) {
            frames[i] = stack::Frame{};
            frames[i].data = frames_[next_++ % segment_count].data();
            frames[i].length = length_;
        }
        return max;
    }

  private:
    static constexpr size_t segment_count = 4096;
    using Bytes = std::array<uint8_t, 256>;
    std::vector<Bytes> frames_;
    uint32_t length_ = 0;
    size_t next_ = 0;
};

stack::WorkerConfig server_config() {
    stack::WorkerConfig config;
    stack::InterfaceConfig interface;
    interface.mac = server_mac;
    interface.addresses = {{IpAddress::v4(10, 0, 0, 1), 32}};
    interface.on_link = {{IpAddress::v4(0xc612'0000), 15}};
    config.interfaces = {interface};
    config.max_connections = 1 << 16;
    config.max_half_open = 1;
    config.max_time_wait = config.max_transfers = config.max_buffer_chunks = 1024;
    config.secret = {1, 2};
    return config;
}

void flood(benchmark::State& state, stack::SynCookies mode, wire::TcpFlags flags) {
    stack::Worker worker{server_config()};
    NobodyComes service;
    if (!worker.listen({{}, 80}, service, {.syn_cookies = mode})) return;
    FloodDevice device{flags};
    stack::Loop<FloodDevice> loop{worker, device};
    Instant now = Instant::from_us(1'000'000);
    for (auto _ : state) {
        now = now + Duration::microseconds(5);
        loop.run_once(now);
    }
    state.SetItemsProcessed(state.iterations() * worker.receive_burst());
}

void syn_answered_with_cookie(benchmark::State& state) {
    flood(state, stack::SynCookies::always, wire::flag::syn);
}
BENCHMARK(syn_answered_with_cookie);

void syn_dropped_at_the_limit(benchmark::State& state) {
    flood(state, stack::SynCookies::never, wire::flag::syn);
}
BENCHMARK(syn_dropped_at_the_limit);

void cookie_made_and_read(benchmark::State& state) {
    tcp::HandshakeName handshake{
        {IpAddress::v4(10, 0, 0, 1), 80}, {IpAddress::v4(198, 18, 0, 1), 4000}, tcp::Seq{1}};
    const tcp::CookieOffer offered{};
    const tcp::Secret secret{1, 2};
    const Instant now = Instant::from_us(1'000'000);
    for (auto _ : state) {
        handshake.peer_isn += 1;
        const tcp::Seq cookie = tcp::make_syn_cookie(handshake, offered, 1460, secret, now);
        benchmark::DoNotOptimize(tcp::read_syn_cookie(handshake, cookie, 1460, secret, now));
    }
}
BENCHMARK(cookie_made_and_read);

}  // namespace

BENCHMARK_MAIN();
