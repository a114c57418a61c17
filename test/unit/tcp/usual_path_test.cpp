// The fast paths of input and output, against the general ones: two worlds with the same history,
// one of which never takes a fast path, must not differ in anything.
#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <random>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include <synfin/tcp/core.hpp>
#include <synfin/tcp/history.hpp>
#include <synfin/tcp/internal.hpp>
#include <synfin/tcp/usual_output.hpp>

namespace synfin::tcp {
namespace {

using Random = std::mt19937_64;

/// One end of a connection, in one of the worlds.
struct End {
    explicit End(const Profile& p) : profile{p} {}
    Profile profile;
    Terms terms = terms_of(profile, 1500);
    TransferPool transfers{8, 64};
    BufferPool buffers{64, 64};
    Counters counters;
    Environment env{{&profile, 1}, {&terms, 1}, transfers, buffers, counters, {1, 2}};
    Connection c;
    History history;

    void note(const Departure& departure, Instant now) {
        note_departure(history, c, departure, env, now);
    }
};

struct Sent {
    Segment segment;
    std::vector<uint8_t> payload;
};

Sent as_sent(const OutSegment& o) {
    Sent sent;
    sent.segment.seq = o.seq;
    sent.segment.ack = o.ack;
    sent.segment.window = o.window;
    sent.segment.urgent = o.urgent;
    sent.segment.flags = o.flags;
    sent.segment.ecn = o.ecn;
    sent.segment.options = o.options;
    for (unsigned i = 0; i < o.piece_count; ++i) {
        sent.payload.insert(sent.payload.end(), o.pieces[i].begin(), o.pieces[i].end());
    }
    return sent;
}

/// The usual segment only, and as a worker with sockets has it: noted while it is written.
bool next_usual_as_noted(End& e, OutSegment& out, Instant now) {
    if (e.c.state == State::closed) return false;  // it is not to be asked then
    const auto write = [&](const wire::TcpFields& fields, const auto& options,
                           const wire::SummedBytes& payload) {
        out.seq = Seq{fields.seq};
        out.ack = Seq{fields.ack};
        out.window = fields.window;
        out.urgent = fields.urgent;
        out.flags = fields.flags;
        std::array<uint8_t, wire::usual::OptionsOfSyn::bytes> bytes{};
        wire::usual::Words words{bytes.data()};
        options.put(words);
        EXPECT_TRUE(wire::parse_tcp_options({bytes.data(), options.bytes}, out.options));
        out.pieces[0] = payload.bytes;
        out.piece_count = 1;
        out.payload_length = static_cast<uint32_t>(payload.bytes.size());
        e.note({out.seq, fields.flags, out.payload_length}, now);
    };
    const Usual done = next_usual_segment(e.c, e.env.terms_of(e.c), e.env, now, write);
    if (done != Usual::none) ++e.env.counters.out_segs;
    const bool said_all = done == Usual::ack || done == Usual::armed;
    EXPECT_FALSE(said_all && wants_output(e.c, e.env));
    if (said_all) {
        EXPECT_EQ(e.c.has(Mark::retransmit_armed), done == Usual::armed);
        EXPECT_FALSE(e.c.has(Mark::delayed_ack) || e.c.has(Mark::pacing));
    }
    return done != Usual::none;
}

bool next_as_noted(End& e, OutSegment& out, Instant now) {
    if (!next_segment(e.c, out, e.env, now)) return false;
    e.note({out.seq, out.flags, out.payload_length}, now);
    return true;
}

std::vector<uint64_t> values(const Counters& counters) {
    std::vector<uint64_t> all;
    for_each_counter(counters, [&](auto, auto, uint64_t value) { all.push_back(value); });
    return all;
}

bool same_options(const wire::TcpOptions& a, const wire::TcpOptions& b) {
    return a.kinds() == b.kinds() && a.sack_count == b.sack_count &&
           (!a.has_timestamps || (a.ts_value == b.ts_value && a.ts_echo == b.ts_echo)) &&
           (!a.has_mss || a.mss == b.mss) &&
           (!a.has_window_scale || a.window_scale == b.window_scale) &&
           std::equal(a.sack, a.sack + a.sack_count, b.sack);
}

/// All of a connection, whatever its fields are.
std::array<uint64_t, sizeof(Connection) / 8> words_of(const Connection& c) {
    std::array<uint64_t, sizeof(Connection) / 8> words{};
    std::memcpy(words.data(), static_cast<const void*>(&c), sizeof c);
    return words;
}

/// What of a transfer only some need, but for the free list's link.
std::span<const uint8_t> what_only_some_need(const Transfer& t) {
    const auto* const begin = reinterpret_cast<const uint8_t*>(&t.unread);
    return {begin, reinterpret_cast<const uint8_t*>(&t.link)};
}

/// Each plain transfer of a pool, taken or free, is as it was made where it has to be. Returns how
/// many there are.
unsigned check_plain(const TransferPool& pool) {
    static const Transfer fresh;
    unsigned plain = 0;
    for (uint32_t i = 0; i < pool.transfers.touched(); ++i) {
        const Transfer& t = pool.transfers[i];
        if (!t.plain) continue;
        ++plain;
        EXPECT_TRUE(std::ranges::equal(what_only_some_need(t), what_only_some_need(fresh)));
    }
    return plain;
}

/// One end in both worlds: whatever happens to it happens in both.
struct Twin {
    explicit Twin(const Profile& profile) : fast{profile}, general{profile} {}
    End fast;
    End general;
    bool usual_asked = false;  ///< of the last segment, the fast path itself

    template <typename Act>
    auto both(Act&& act) {
        act(general);
        return act(fast);
    }

    void expect_same() {
        const Connection& a = fast.c;
        const Connection& b = general.c;
        ASSERT_EQ(name(a.state), name(b.state));
        ASSERT_EQ(a.flags, b.flags);
        ASSERT_EQ(a.transfer.load(), b.transfer.load());
        ASSERT_EQ(words_of(a), words_of(b));
        ASSERT_TRUE(fast.history == general.history);
        ASSERT_EQ(values(fast.counters), values(general.counters));
        ASSERT_EQ(fast.buffers.nodes.used(), general.buffers.nodes.used());
        ASSERT_EQ(fast.buffers.chunks.used(), general.buffers.chunks.used());
        ASSERT_EQ(fast.transfers.transfers.used(), general.transfers.transfers.used());
        ASSERT_EQ(fast.transfers.flights.used(), general.transfers.flights.used());
        check_invariants(a, fast.env);
        plain_seen += check_plain(fast.transfers);
    }
    unsigned plain_seen = 0;

    void take(const Segment& s, Instant now, std::span<const uint8_t>& data) {
        both([&](End& e) { note_arrival(e.history, e.c, s, e.env, now); });
        const InputResult a = input(fast.c, s, fast.env, now);
        InputResult b;
        input_in_general(general.c, s, general.env, now, b);
        ASSERT_EQ(a.data.data(), b.data.data());
        ASSERT_EQ(a.data.size(), b.data.size());
        ASSERT_EQ(a.events.happened, b.events.happened);
        ASSERT_EQ(a.events.closed, b.events.closed);
        ASSERT_EQ(a.reply.has_value(), b.reply.has_value());
        data = a.data;
        expect_same();
    }

    bool emit(Instant now, Sent& sent) {
        OutSegment a;
        OutSegment b;
        usual_asked = !usual_asked;
        const bool any =
            (usual_asked && next_usual_as_noted(fast, a, now)) || next_as_noted(fast, a, now);
        const bool also = next_segment_in_general(general.c, b, general.env, now);
        if (also) general.note({b.seq, b.flags, b.payload_length}, now);
        EXPECT_EQ(any, also);
        if (any && also) {
            sent = as_sent(a);
            const Sent other = as_sent(b);
            EXPECT_EQ(sent.segment.seq, other.segment.seq);
            EXPECT_EQ(sent.segment.ack, other.segment.ack);
            EXPECT_EQ(sent.segment.window, other.segment.window);
            EXPECT_EQ(sent.segment.urgent, other.segment.urgent);
            EXPECT_EQ(sent.segment.flags.bits(), other.segment.flags.bits());
            EXPECT_EQ(sent.segment.ecn, other.segment.ecn);
            EXPECT_TRUE(same_options(sent.segment.options, other.segment.options));
            EXPECT_EQ(sent.payload, other.payload);
            EXPECT_EQ(a.payload_length, b.payload_length);
        }
        expect_same();
        return any && also;
    }
};

const std::array<uint8_t, 20'000> text{};

Profile drawn_profile(Random& random) {
    Profile p;
    const auto one_in = [&](uint64_t n) { return random() % n == 0; };
    p.timestamps = !one_in(4);
    p.sack = !one_in(4);
    p.window_scaling = !one_in(4);
    p.nagle = !one_in(4);
    p.cork = one_in(16);
    p.keep_alive = one_in(16);
    if (one_in(8)) p.ecn = EcnUse::ask;
    if (one_in(8)) p.congestion = CongestionAlgorithm::new_reno;
    if (one_in(8)) p.congestion = CongestionAlgorithm::dctcp;
    if (one_in(8)) p.congestion = CongestionAlgorithm::bbr;
    if (one_in(8)) p.receive_buffer_bytes = 4096;
    if (one_in(8)) p.window_clamp = one_in(2) ? 3000 : 1000;
    if (one_in(8)) p.user_timeout = Duration::seconds(20);
    if (one_in(8)) p.user_timeout_option = true;
    if (one_in(8)) p.delayed_ack = Duration{};
    return p;
}

/// A connection from its SYN to wherever chance leads it.
class Chance {
  public:
    explicit Chance(uint64_t seed)
        : random_{seed}, client_{drawn_profile(random_)}, server_{drawn_profile(random_)} {}

    void run() {
        client_.both([&](End& e) { open(e); });
        for (int step = 0; step < 120 && !testing::Test::HasFatalFailure(); ++step) {
            now_ = now_ + Duration::microseconds(static_cast<int64_t>(random_() % 300));
            if (one_in(40))
                now_ = now_ + Duration::milliseconds(static_cast<int64_t>(random_() % 900));
            call(one_in(2) ? client_ : server_);
            expire(client_);
            expire(server_);
            flow(client_, server_, to_server_);
            flow(server_, client_, to_client_);
        }
    }

    bool reached_the_end() const { return client_.fast.c.state != State::established; }
    bool saw_plain_transfers() const { return client_.plain_seen > 0 && server_.plain_seen > 0; }

  private:
    bool one_in(uint64_t n) { return random_() % n == 0; }

    void open(End& e) {
        name_ends(e.c, 4000, 80);
        open_active(e.c, std::nullopt, e.env, now_);
    }
    static void name_ends(Connection& c, uint16_t local, uint16_t remote) {
        c.local_address = 0xc6120001 + local;
        c.remote_address = 0xc6120001 + remote;
        c.local_port = local;
        c.remote_port = remote;
    }

    void call(Twin& t) {
        if (t.fast.c.state == State::closed) return;
        t.both([&](End& e) { settle(e.history, e.c, e.env, now_); });
        const size_t length = one_in(3) ? random_() % text.size() : random_() % 200 + 1;
        const std::span<const uint8_t> bytes{text.data(), length};
        switch (random_() % 14) {
            case 0:
            case 1:
            case 2:
                ASSERT_EQ(send_static(t.fast.c, bytes, t.fast.env, now_),
                          send_static_in_general(t.general.c, bytes, t.general.env));
                break;
            case 3: t.both([&](End& e) { send(e.c, bytes, e.env, now_); }); break;
            case 4:
                if (one_in(4)) {
                    close(t.fast.c, t.fast.env, now_);
                    close_in_general(t.general.c, t.general.env, now_);
                }
                break;
            case 5:
                if (one_in(4)) t.both([&](End& e) { shutdown_send(e.c, e.env, now_); });
                break;
            case 6:
                if (one_in(40)) t.both([&](End& e) { abort(e.c, e.env, now_); });
                break;
            case 7:
                if (one_in(8)) t.both([&](End& e) { send_urgent(e.c, bytes, e.env, now_); });
                break;
            case 8:
                t.both([&](End& e) { consume_unread(e.c, unread_bytes(e.c, e.env), e.env, now_); });
                break;
            case 9:
                if (one_in(4)) {
                    const Pushing pushing = one_in(2) ? Pushing::later : Pushing::now;
                    t.both([&](End& e) { set_pushing(e.c, pushing, e.env); });
                }
                break;
            case 10:
                if (one_in(4)) t.both([&](End& e) { end_record(e.c, e.env); });
                break;
            default: break;
        }
        t.expect_same();
    }

    void expire(Twin& t) {
        const auto deadline = next_deadline(t.fast.c, now_);
        if (!deadline || *deadline > now_) return;
        t.both([&](End& e) { on_timer(e.c, e.env, now_); });
        t.expect_same();
    }

    void flow(Twin& from, Twin& to, std::deque<Sent>& link) {
        Sent sent;
        for (;;) {
            // Where it says no, there must be nothing to say.
            const bool wants = wants_output(from.fast.c, from.fast.env);
            if (!wants && !one_in(4)) break;
            if (!from.emit(now_, sent)) break;
            ASSERT_TRUE(wants);
            if (!one_in(30)) link.push_back(sent);
            if (one_in(40)) link.push_back(sent);
        }
        if (link.size() > 1 && one_in(10)) std::swap(link[0], link[link.size() - 1]);
        for (size_t n = one_in(5) ? random_() % 3 : link.size(); n > 0 && !link.empty(); --n) {
            Sent arrived = link.front();
            link.pop_front();
            if (one_in(25)) change(arrived.segment);
            arrived.segment.payload = arrived.payload;
            deliver(to, arrived.segment);
            if (testing::Test::HasFatalFailure()) return;
        }
    }

    void deliver(Twin& to, const Segment& s) {
        const bool is_syn = s.flags == wire::flag::syn;
        if (to.fast.c.state == State::closed && is_syn && &to == &server_ && !opened_) {
            opened_ = true;
            to.both([&](End& e) {
                name_ends(e.c, 80, 4000);
                open_passive(e.c, s, std::nullopt, e.env, now_);
            });
            return to.expect_same();
        }
        std::span<const uint8_t> data;
        to.take(s, now_, data);
        // A user that leaves some of it for later.
        if (data.empty() || !one_in(6)) return;
        to.both([&](End& e) { keep_unread(e.c, data.first(data.size() / 2), e.env); });
        to.expect_same();
    }

    void change(Segment& s) {
        switch (random_() % 8) {
            case 0: s.seq = s.seq + static_cast<uint32_t>(random_() % 5) - 2; break;
            case 1: s.ack = s.ack + static_cast<uint32_t>(random_() % 5) - 2; break;
            case 2: s.window = static_cast<uint16_t>(random_() % 3 * 100); break;
            case 3: s.flags = wire::TcpFlags{static_cast<uint8_t>(random_())}; break;
            case 4: s.options.ts_value -= static_cast<uint32_t>(random_() % 3); break;
            case 5: s.options.has_timestamps = !s.options.has_timestamps; break;
            case 6: s.ecn = wire::Ecn::ce; break;
            default: s.flags = s.flags | wire::flag::fin; break;
        }
    }

    Random random_;
    Twin client_;
    Twin server_;
    std::deque<Sent> to_server_;
    std::deque<Sent> to_client_;
    Instant now_ = Instant::from_us(1'000'000);
    bool opened_ = false;
};

TEST(UsualPath, DiffersInNothingFromTheGeneralOneAndLeavesTheSameHistory) {
    unsigned ended = 0;
    unsigned with_plain_transfers = 0;
    for (uint64_t seed = 1; seed <= 1000; ++seed) {
        SCOPED_TRACE(seed);
        Chance chance{seed};
        chance.run();
        if (HasFatalFailure() || HasNonfatalFailure()) return;
        if (chance.reached_the_end()) ++ended;
        if (chance.saw_plain_transfers()) ++with_plain_transfers;
    }
    EXPECT_GT(ended, 250u);
    EXPECT_GT(with_plain_transfers, 250u);
}

}  // namespace
}  // namespace synfin::tcp
