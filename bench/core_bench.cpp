// What a connection costs in the protocol alone: two connections exchange segments without frames,
// tables or a device. `--connections=N` runs exactly so many and prints nothing else, for
// callgrind:
//
//     valgrind --tool=callgrind build/release/bench/core_bench --connections=100000
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <benchmark/benchmark.h>

#include <synfin/tcp/core.hpp>

namespace {

using namespace synfin;
using namespace synfin::tcp;

struct Side {
    Side() : env{{&profile, 1}, transfers, buffers, counters, {1, 2}, 1500} {}
    Profile profile;
    TransferPool transfers{64, 64};
    BufferPool buffers{64, 64};
    Counters counters;
    Environment env;
    Connection c;
};

Segment as_received(const OutSegment& o) {
    Segment s;
    s.seq = o.seq;
    s.ack = o.ack;
    s.window = o.window;
    s.flags = o.flags;
    s.options = o.options;
    if (o.piece_count > 0) s.payload = o.pieces[0];
    return s;
}

class Pair {
  public:
    /// One connection from SYN to the last ACK; with a request and a response if `text` is not
    /// empty.
    void run(std::span<const uint8_t> text) {
        now_ = now_ + Duration::microseconds(10);
        open();
        flow();  // SYN; SYN,ACK
        tcp::send_static(client_.c, text, client_.env, now_);
        flow();  // ACK with the request
        if (!text.empty()) tcp::send_static(server_.c, text, server_.env, now_);
        if (!text.empty()) tcp::close(server_.c, server_.env, now_);
        flow_back();
        tcp::close(client_.c, client_.env, now_);
        flow();
        if (text.empty()) tcp::close(server_.c, server_.env, now_);
        flow_back();
        flow();
        if (client_.c.state != State::time_wait && client_.c.state != State::closed) std::abort();
        release(client_.c, client_.env);
        release(server_.c, server_.env);
    }

  private:
    void open() {
        ++port_;
        client_.c = Connection{};
        client_.c.local_address = server_remote_;
        client_.c.remote_address = client_remote_;
        client_.c.local_port = port_;
        client_.c.remote_port = 80;
        open_active(client_.c, client_.env, now_);
        server_.c = Connection{};
        server_.c.local_address = client_remote_;
        server_.c.remote_address = server_remote_;
        server_.c.local_port = 80;
        server_.c.remote_port = port_;
    }

    void flow() {
        while (next_segment(client_.c, out_, client_.env, now_)) {
            const Segment s = as_received(out_);
            if (server_.c.state == State::closed && s.flags.syn()) {
                open_passive(server_.c, s, std::nullopt, server_.env, now_);
            } else {
                input(server_.c, s, server_.env, now_);
            }
        }
        if (server_.c.state == State::syn_received) flow_back();
    }

    void flow_back() {
        while (next_segment(server_.c, out_, server_.env, now_)) {
            input(client_.c, as_received(out_), client_.env, now_);
        }
    }

    static constexpr flow::AddressId client_remote_ = 0xc6120001;
    static constexpr flow::AddressId server_remote_ = 0xc6130001;
    Side client_;
    Side server_;
    OutSegment out_;
    Instant now_ = Instant::from_us(1'000'000);
    uint16_t port_ = 1024;
};

constexpr uint8_t text[64] = {};

void connect_mode(benchmark::State& state) {
    Pair pair;
    for (auto _ : state) pair.run({});
}
BENCHMARK(connect_mode);

void request_mode(benchmark::State& state) {
    Pair pair;
    for (auto _ : state) pair.run(text);
}
BENCHMARK(request_mode);

}  // namespace

int main(int argc, char** argv) {
    constexpr std::string_view option = "--connections=";
    if (argc == 2 && std::string_view{argv[1]}.starts_with(option)) {
        Pair pair;
        for (long i = std::atol(argv[1] + option.size()); i > 0; --i) pair.run(text);
        return 0;
    }
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
