// A connection in the protocol alone: two of them exchange segments without frames, tables or a
// device. What core_bench times and core_instructions counts.
#pragma once

#include <cstdlib>
#include <deque>
#include <span>

#include <synfin/tcp/core.hpp>

namespace synfin::bench {

using namespace synfin::tcp;

struct Side {
    Profile profile;
    Terms terms = terms_of(profile, 1500);
    TransferPool transfers{64, 64};
    BufferPool buffers{64, 64};
    Counters counters;
    Environment env{{&profile, 1}, {&terms, 1}, transfers, buffers, counters, {1, 2}};
    Connection c;
};

inline Segment as_received(const OutSegment& o) {
    Segment s;
    s.seq = o.seq;
    s.ack = o.ack;
    s.window = o.window;
    s.flags = o.flags;
    s.options = o.options;
    if (o.piece_count > 0) s.payload = o.pieces[0];
    return s;
}

class CorePair {
  public:
    /// One connection from SYN to the last ACK; with a request and a response if `text` is not
    /// empty.
    void run(std::span<const uint8_t> text) {
        pass_time(Duration::microseconds(10));
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

    /// The middle of a long transfer: at least so many full segments from the client. The window is
    /// always full, nothing is lost, and every second segment is acknowledged.
    void transfer(long segments) {
        pass_time(Duration::microseconds(10));
        open();
        flow();
        flow();
        std::deque<Segment> acknowledgments;
        while (segments > 0) {
            while (send_space(client_.c, client_.env) >= sizeof block) {
                send_static(client_.c, block, client_.env, now_);
            }
            while (emit(client_)) {
                input(server_.c, as_received(out_), server_.env, now_);
                const bool second = --segments % 2 == 0;
                if (second && emit(server_)) acknowledgments.push_back(as_received(out_));
            }
            if (acknowledgments.empty()) std::abort();
            pass_time(time_of_two_segments);
            input(client_.c, acknowledgments.front(), client_.env, now_);
            acknowledgments.pop_front();
        }
        if (client_.env.counters.retrans_segs != 0) std::abort();
        release(client_.c, client_.env);
        release(server_.c, server_.env);
    }

  private:
    /// At 10 Gbit/s and with an MTU of 1500.
    static constexpr Duration time_of_two_segments = Duration::nanoseconds(2400);
    /// Full segments, many of them.
    static constexpr uint8_t block[45 * 1448] = {};

    void open() {
        ++port_;
        client_.c = Connection{};
        client_.c.local_address = server_remote_;
        client_.c.remote_address = client_remote_;
        client_.c.local_port = port_;
        client_.c.remote_port = 80;
        open_active(client_.c, std::nullopt, client_.env, now_);
        server_.c = Connection{};
        server_.c.local_address = client_remote_;
        server_.c.remote_address = server_remote_;
        server_.c.local_port = 80;
        server_.c.remote_port = port_;
    }

    void pass_time(Duration time) { now_ = Instant{now_} + time; }

    /// As the stack does: it asks before it takes a frame.
    bool emit(Side& from) {
        return wants_output(from.c, from.env) && next_segment(from.c, out_, from.env, now_);
    }

    void flow() {
        while (emit(client_)) {
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
        while (emit(server_)) {
            input(client_.c, as_received(out_), client_.env, now_);
        }
    }

    static constexpr flow::AddressId client_remote_ = 0xc6120001;
    static constexpr flow::AddressId server_remote_ = 0xc6130001;
    Side client_;
    Side server_;
    OutSegment out_;
    Moment now_ = Instant::from_us(1'000'000);
    uint16_t port_ = 1024;
};

/// What a request and its response carry.
inline constexpr uint8_t text[64] = {};

}  // namespace synfin::bench
