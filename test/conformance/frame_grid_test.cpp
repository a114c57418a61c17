// The grid of state_grid.hpp once more, over whole frames of both families: parsed, looked up,
// answered and written by a worker, with its listeners, its TIME_WAIT table and its replies that
// belong to no connection. At each corner of the sequence space: our own initial number ticks with
// the clock, so the moment of the opening decides it.
#include <map>
#include <tuple>

#include <gtest/gtest.h>

#include "../unit/stack/stack_world.hpp"
#include "state_grid.hpp"

namespace synfin::conformance {
namespace {

using stack::ConnectionId;
using stack::test::address_of;
using stack::test::Family;
using tcp::State;

constexpr uint16_t our_port = 80;
constexpr uint16_t peer_port = 4000;
constexpr uint32_t corner_isns[] = {0, 0x7fff'ffff, 0x8000'0000, 0xffff'ffff};

/// One worker and its peer, who is written by hand; sequence numbers are those of the wire.
class Exchange {
  public:
    Exchange(Family family, uint32_t peer_isn, Instant begin)
        : family_{family}, peer_next_{peer_isn}, host_{config(family)} {
        host_.now = begin;
        host_.run();  // calls are made at the time of the last pass
    }

    /// What has been sent since the last call.
    std::vector<Essence> take_sent() {
        std::vector<Essence> all;
        for (stack::test::Bytes& frame : host_.take_sent()) {
            const stack::test::Read read{std::move(frame)};
            const wire::Packet& p = read.packet;
            EXPECT_TRUE(read.is_tcp());
            all.push_back({p.flags, p.seq, p.ack, p.payload.size()});
            if (p.flags.syn()) isn = p.seq;
            const uint32_t length = (p.flags.syn() ? 1u : 0u) + (p.flags.fin() ? 1u : 0u);
            if (length > 0) sent_end_ = p.seq + length;
        }
        return all;
    }
    void inject(const Essence& e) {
        host_.run(stack::test::segment_frame({.from = address_of(9, family_),
                                              .to = address_of(1, family_),
                                              .from_port = peer_port,
                                              .to_port = our_port,
                                              .seq = e.seq,
                                              .ack = e.ack,
                                              .flags = e.flags,
                                              .payload = std::string(e.payload_bytes, 'x')}));
    }
    void enter(State state);
    Essence segment(Event event, State state) const {
        const bool nothing_sent = state == State::closed || state == State::listen;
        return segment_of(event, peer_next_, nothing_sent ? 7 : sent_end_);
    }
    State state(State before) const {
        State found = State::closed;
        size_t count = 0;
        host_.worker.for_each_connection(
            [&](const stack::ConnectionInfo& info) {
                found = info.state;
                ++count;
            },
            host_.now);
        EXPECT_LE(count, 1u);
        if (count == 1) return found;
        // Of a connection that was synchronized nothing remains, though its listener goes on.
        return listening_ && !tcp::is_synchronized(before) ? State::listen : State::closed;
    }

    uint32_t isn = 0;  ///< ours

  private:
    static stack::WorkerConfig config(Family family) {
        stack::WorkerConfig small = stack::test::config_of(1, 9, family);
        small.max_connections = small.max_time_wait = small.max_transfers = 16;
        small.max_buffer_chunks = 16;
        return small;
    }
    void listen() {
        listening_ = true;
        EXPECT_TRUE(host_.worker.listen({{}, our_port}, service_).has_value());
    }
    void say(wire::TcpFlags flags) {
        inject({flags, peer_next_, flags.ack() ? sent_end_ : 0});
        if (flags.syn() || flags.fin()) ++peer_next_;
        take_sent();
    }
    void shut_down() {
        host_.worker.shutdown_send(service_.ids.at(0));
        host_.run();
        take_sent();
    }

    Family family_;
    uint32_t peer_next_;
    uint32_t sent_end_ = 0;
    bool listening_ = false;
    stack::test::Recorder service_;
    stack::test::Host host_;
};

void Exchange::enter(State state) {
    namespace flag = wire::flag;
    stack::ConnectOptions options;
    switch (state) {
        case State::closed: return;
        case State::listen: return listen();
        case State::syn_sent:
            options.source_port = our_port;
            EXPECT_TRUE(host_.worker.connect({address_of(9, family_), peer_port}, service_, options)
                            .has_value());
            host_.run();
            take_sent();
            return;
        case State::syn_received: listen(); return say(flag::syn);
        case State::established: enter(State::syn_received); return say(flag::ack);
        case State::fin_wait_1: enter(State::established); return shut_down();
        case State::fin_wait_2: enter(State::fin_wait_1); return say(flag::ack);
        case State::close_wait: enter(State::established); return say(flag::fin | flag::ack);
        case State::last_ack: enter(State::close_wait); return shut_down();
        case State::time_wait: enter(State::fin_wait_2); return say(flag::fin | flag::ack);
        case State::closing: {
            enter(State::established);
            const uint32_t before_fin = sent_end_;
            shut_down();
            inject({flag::fin | flag::ack, peer_next_++, before_fin});
            take_sent();
            return;
        }
    }
}

// When to open so that the initial number is the one wanted.
Instant moment_for(Family family, bool active, uint32_t peer_isn, uint32_t wanted) {
    const Instant begin = Instant::from_us(1'000'000);
    Exchange probe{family, peer_isn, begin};
    probe.enter(active ? State::syn_sent : State::syn_received);
    constexpr int64_t tick_us = 4;
    return begin + Duration::microseconds(tick_us * int64_t{wanted - probe.isn});
}

using Corner = std::tuple<Family, uint32_t, uint32_t>;  ///< our initial number, the peer's

std::string name_of_corner(const ::testing::TestParamInfo<Corner>& corner) {
    const auto& [family, local, peer] = corner.param;
    return name_of(family) + "_" + std::to_string(local) + "_" + std::to_string(peer);
}

class FrameGrid : public ::testing::TestWithParam<Corner> {};
INSTANTIATE_TEST_SUITE_P(Corners, FrameGrid,
                         ::testing::Combine(::testing::Values(Family::ipv4, Family::ipv6),
                                            ::testing::ValuesIn(corner_isns),
                                            ::testing::ValuesIn(corner_isns)),
                         name_of_corner);

TEST_P(FrameGrid, EachSegmentIsDecided) {
    const auto& [family, local_isn, peer_isn] = GetParam();
    const Instant passive = moment_for(family, false, peer_isn, local_isn);
    const Instant active = moment_for(family, true, peer_isn, local_isn);
    for (const auto& [state, row] : state_grid) {
        for (size_t i = 0; i < event_count; ++i) {
            const auto event = static_cast<Event>(i);
            Exchange e{family, peer_isn, state == State::syn_sent ? active : passive};
            e.enter(state);
            if (state != State::closed && state != State::listen) {
                ASSERT_EQ(e.isn, local_isn);
            }
            ASSERT_EQ(e.state(state), state) << tcp::name(state);
            const Essence segment = e.segment(event, state);
            e.inject(segment);
            const std::string why = judge(row[i].answer, e.take_sent(), segment);
            EXPECT_TRUE(why.empty()) << tcp::name(state) << " + " << name_of(event) << ": " << why;
            EXPECT_EQ(e.state(state), row[i].then)
                << tcp::name(state) << " + " << name_of(event) << " leads to "
                << tcp::name(e.state(state)) << ", expected " << tcp::name(row[i].then);
        }
    }
}

}  // namespace
}  // namespace synfin::conformance
