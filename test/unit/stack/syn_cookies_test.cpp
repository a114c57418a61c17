// SYN cookies at a listener, the limits of half-open connections, and an application that accepts
// no more (RFC 4987). The peer is played by hand from 10.0.0.9:4000.
#include <gtest/gtest.h>

#include <synfin/tcp/syn_cookie.hpp>

#include "stack_world.hpp"

namespace synfin::stack::test {
namespace {

using tcp::State;
namespace flag = wire::flag;

class SynCookiesTest : public ::testing::Test {
  protected:
    void listen(const ListenOptions& options) {
        ASSERT_TRUE(host.worker.listen({{}, 80}, service, options).has_value());
    }
    /// A SYN from this port, and the initial sequence number of the answer.
    uint32_t syn(uint16_t port = 4000, const wire::TcpOptions& options = {}) {
        host.run(segment_frame({.from_port = port, .options = options}));
        answer.emplace(host.take_one());
        EXPECT_EQ(answer->packet.flags, flag::syn | flag::ack);
        EXPECT_EQ(answer->packet.ack, 1001u);
        return answer->packet.seq;
    }
    void ack(uint32_t iss, wire::TcpFlags flags = flag::ack, const std::string& payload = "") {
        host.run(segment_frame({.seq = 1001, .ack = iss + 1, .flags = flags, .payload = payload}));
    }
    void expect_established(unsigned count) {
        EXPECT_EQ(service.ids.size(), count);
        EXPECT_EQ(host.worker.gauges().connections, count);
    }
    const tcp::Counters& counters() const { return host.worker.tcp_counters(); }

    Host host{config_of(1, 9)};
    Recorder service;
    std::optional<Read> answer;
};

constexpr ListenOptions always{.syn_cookies = SynCookies::always};

TEST_F(SynCookiesTest, SynLeavesNothingBehindAndIsAnsweredOnce) {
    listen(always);
    syn();
    EXPECT_EQ(wire::MacAddress{mac_of(9)}, answer->packet.destination_mac());
    EXPECT_EQ(host.worker.gauges().half_open, 0u);
    EXPECT_EQ(host.worker.gauges().connections, 0u);
    EXPECT_TRUE(host.holds_nothing());
    EXPECT_FALSE(host.worker.next_deadline().has_value());
    host.now = host.now + Duration::minutes(5);
    host.run();
    EXPECT_TRUE(host.take_sent().empty()) << "a cookie's SYN,ACK is not sent again";
    EXPECT_EQ(counters().syn_cookies_sent, 1u);
}

TEST_F(SynCookiesTest, AnswerGoesWhereTheSynCameFromWithoutAskingForANeighbor) {
    listen(always);
    host.run(segment_frame({.from_mac = mac_of(77), .from = address_of(50)}));
    const Read reply{host.take_one()};
    EXPECT_TRUE(reply.is_tcp());
    EXPECT_EQ(reply.packet.destination_mac(), mac_of(77));
}

TEST_F(SynCookiesTest, AckCompletesIt) {
    listen(always);
    ack(syn());
    expect_established(1);
    EXPECT_EQ(host.worker.state(service.ids[0]), State::established);
    EXPECT_EQ(counters().syn_cookies_received, 1u);
    EXPECT_EQ(counters().passive_opens, 1u);
    EXPECT_EQ(host.worker.gauges().half_open, 0u);
    host.worker.send(service.ids[0], bytes_of("hello"));
    host.run();
    const Read sent{host.take_one()};
    EXPECT_EQ(sent.packet.seq, answer->packet.seq + 1);
    EXPECT_EQ(sent.packet.payload.size(), 5u);
}

TEST_F(SynCookiesTest, AckWithDataCompletesItAndTheDataIsTaken) {
    listen(always);
    ack(syn(), flag::ack | flag::psh, "request");
    expect_established(1);
    EXPECT_EQ(service.life(service.ids[0]).data, "request");
}

TEST_F(SynCookiesTest, AckWithFinCompletesItAndEndsThePeersSide) {
    listen(always);
    ack(syn(), flag::ack | flag::fin);
    expect_established(1);
    EXPECT_EQ(service.life(service.ids[0]).events, "ef");
    EXPECT_EQ(host.worker.state(service.ids[0]), State::close_wait);
}

TEST_F(SynCookiesTest, SynAckRstAndRstAckDoNotCompleteIt) {
    listen(always);
    const uint32_t iss = syn();
    ack(iss, flag::syn | flag::ack);
    EXPECT_EQ(Read{host.take_one()}.packet.flags, flag::rst);
    ack(iss, flag::rst);
    ack(iss, flag::rst | flag::ack);
    EXPECT_TRUE(host.take_sent().empty());
    expect_established(0);
    ack(iss);
    expect_established(1);
}

TEST_F(SynCookiesTest, WrongAcknowledgmentIsReset) {
    listen(always);
    const uint32_t iss = syn();
    for (const uint32_t wrong : {iss - 1, iss + 1, iss ^ 0x100}) {
        ack(wrong);
        const Read reset{host.take_one()};
        EXPECT_EQ(reset.packet.flags, flag::rst);
        EXPECT_EQ(reset.packet.seq, wrong + 1);
    }
    EXPECT_EQ(counters().syn_cookies_failed, 3u);
    expect_established(0);
}

TEST_F(SynCookiesTest, ExpiredCookieIsReset) {
    listen(always);
    const uint32_t iss = syn();
    host.now = host.now + tcp::syn_cookie_lifetime;
    ack(iss);
    EXPECT_EQ(Read{host.take_one()}.packet.flags, flag::rst);
    expect_established(0);
}

TEST_F(SynCookiesTest, AckIsNoGuessWhenNoCookieIsOut) {
    listen({});
    ack(5000);
    EXPECT_EQ(Read{host.take_one()}.packet.flags, flag::rst);
    EXPECT_EQ(counters().syn_cookies_failed, 0u);
}

TEST_F(SynCookiesTest, MssScaleSackAndTimestampsAreRecovered) {
    listen(always);
    wire::TcpOptions offered;
    offered.has_mss = true;
    offered.mss = 536;
    offered.has_window_scale = true;
    offered.window_scale = 9;
    offered.sack_permitted = true;
    offered.has_timestamps = true;
    offered.ts_value = 70'000;
    const uint32_t iss = syn(4000, offered);
    const wire::TcpOptions& agreed = answer->packet.options;
    EXPECT_EQ(agreed.mss, 1460);
    EXPECT_TRUE(agreed.has_window_scale);
    EXPECT_TRUE(agreed.sack_permitted);
    ASSERT_TRUE(agreed.has_timestamps);
    EXPECT_EQ(agreed.ts_echo, 70'000u);

    wire::TcpOptions stamps;
    stamps.has_timestamps = true;
    stamps.ts_value = 70'050;
    stamps.ts_echo = agreed.ts_value;
    host.now = host.now + Duration::milliseconds(50);
    host.run(segment_frame(
        {.seq = 1001, .ack = iss + 1, .flags = flag::ack, .options = stamps, .window = 4}));
    ASSERT_EQ(service.ids.size(), 1u);
    host.worker.send(service.ids[0], bytes_of(std::string(5000, 'x')));
    host.run();
    std::vector<Bytes> sent = host.take_sent();
    ASSERT_EQ(sent.size(), 3u) << "a window of 4 * 2^9 bytes takes three full segments";
    const Read first{sent[0]};
    EXPECT_EQ(first.packet.payload.size(), 536u - 12u);
    EXPECT_EQ(first.packet.options.ts_echo, 70'050u);
    EXPECT_EQ(first.packet.options.ts_value, agreed.ts_value + 50) << "one clock for the tuple";

    // What lies behind a hole is reported.
    stamps.ts_value = 70'060;
    host.run(segment_frame(
        {.seq = 2001, .ack = iss + 1, .flags = flag::ack, .payload = "later", .options = stamps}));
    sent = host.take_sent();
    ASSERT_FALSE(sent.empty());
    const Read duplicate{sent.back()};
    ASSERT_EQ(duplicate.packet.options.sack_count, 1u);
    EXPECT_EQ(duplicate.packet.options.sack[0].left, 2001u);
}

TEST_F(SynCookiesTest, WindowIsBoundedByTheProfilesClamp) {
    tcp::Profile clamped;
    clamped.window_clamp = 5000;
    listen(
        {.profile = host.worker.take_profile(clamped).value(), .syn_cookies = SynCookies::always});
    syn();
    EXPECT_EQ(answer->packet.window, 5000);
}

TEST_F(SynCookiesTest, WithoutTimestampsScaleAndSackAreRecoveredToo) {
    listen(always);
    wire::TcpOptions offered;
    offered.has_mss = true;
    offered.mss = 1460;
    offered.has_window_scale = true;
    offered.window_scale = 3;
    offered.sack_permitted = true;
    const uint32_t iss = syn(4000, offered);
    EXPECT_FALSE(answer->packet.options.has_timestamps);
    host.run(segment_frame({.seq = 1001, .ack = iss + 1, .flags = flag::ack, .window = 200}));
    ASSERT_EQ(service.ids.size(), 1u);
    host.worker.send(service.ids[0], bytes_of(std::string(5000, 'x')));
    host.run();
    uint32_t bytes = 0;
    for (Bytes& frame : host.take_sent()) {
        bytes += static_cast<uint32_t>(Read{std::move(frame)}.packet.payload.size());
    }
    EXPECT_EQ(bytes, 1460u) << "200 * 2^3 bytes of window take one full segment";
}

TEST_F(SynCookiesTest, OptionsAreAnsweredOnlyAsOffered) {
    listen(always);
    syn();
    EXPECT_TRUE(answer->packet.options.has_mss);
    EXPECT_FALSE(answer->packet.options.has_window_scale);
    EXPECT_FALSE(answer->packet.options.sack_permitted);
    EXPECT_FALSE(answer->packet.options.has_timestamps);
}

TEST_F(SynCookiesTest, ProfileOfTheListenersOwnGovernsItsCookies) {
    tcp::Profile own;
    own.mss_clamp = 700;
    const auto number = host.worker.take_profile(own);
    ASSERT_TRUE(number.has_value());
    listen({.profile = *number, .syn_cookies = SynCookies::always});
    wire::TcpOptions offered;
    offered.has_mss = true;
    offered.mss = 1460;
    const uint32_t iss = syn(4000, offered);
    EXPECT_EQ(answer->packet.options.mss, 700);
    ack(iss);
    ASSERT_EQ(service.ids.size(), 1u);
    EXPECT_EQ(host.worker.profile(service.ids[0]).mss_clamp, 700);
}

// ---- when

TEST_F(SynCookiesTest, AutomaticBeginsAtTheListenersLimit) {
    listen({.backlog = 3});
    for (uint16_t port = 1; port <= 3; ++port) syn(port);
    EXPECT_EQ(counters().syn_cookies_sent, 0u);
    ack(syn());
    EXPECT_EQ(counters().syn_cookies_sent, 1u);
    EXPECT_EQ(host.worker.gauges().half_open, 3u);
    EXPECT_EQ(service.ids.size(), 1u);
}

TEST_F(SynCookiesTest, NeverDropsAtTheLimit) {
    listen({.backlog = 3, .syn_cookies = SynCookies::never});
    for (uint16_t port = 1; port <= 3; ++port) syn(port);
    host.run(segment_frame({}));
    EXPECT_TRUE(host.take_sent().empty());
    EXPECT_EQ(counters().half_open_drops, 1u);
    EXPECT_EQ(counters().syn_cookies_sent, 0u);
}

TEST_F(SynCookiesTest, ListenerWithRoomAgainKeepsConnectionsAgain) {
    listen({.backlog = 1});
    const uint32_t first = syn(1);
    syn(2);
    EXPECT_EQ(counters().syn_cookies_sent, 1u);
    host.run(segment_frame({.from_port = 1, .seq = 1001, .ack = first + 1, .flags = flag::ack}));
    syn(3);
    EXPECT_EQ(counters().syn_cookies_sent, 1u);
    EXPECT_EQ(host.worker.gauges().half_open, 1u);
}

/// A server at port 80 with other limits than usual.
struct LimitedServer : Host {
    explicit LimitedServer(const std::function<void(WorkerConfig&)>& limit,
                           const ListenOptions& options = {})
        : Host{limited(limit)} {
        EXPECT_TRUE(worker.listen({{}, 80}, service, options));
    }
    static WorkerConfig limited(const std::function<void(WorkerConfig&)>& limit) {
        WorkerConfig config = config_of(1, 9);
        limit(config);
        return config;
    }
    Recorder service;
};

TEST(SynCookiesOfAWorker, AutomaticBeginsAtTheWorkersLimit) {
    LimitedServer host{[](WorkerConfig& config) { config.max_half_open = 4; }};
    ASSERT_TRUE(host.worker.listen({{}, 81}, host.service, {.syn_cookies = SynCookies::never}));
    for (uint16_t i = 0; i < 6; ++i) host.run(segment_frame({.from_port = i}));
    EXPECT_EQ(host.worker.gauges().half_open, 4u);
    EXPECT_EQ(host.worker.tcp_counters().syn_cookies_sent, 2u);
    host.run(segment_frame({.to_port = 81}));
    EXPECT_EQ(host.worker.tcp_counters().half_open_drops, 1u);
    EXPECT_EQ(host.worker.gauges().half_open, 4u);
}

TEST(SynCookiesOfAWorker, FloodLeavesHalfOfTheConnectionsToThoseWhoMeanIt) {
    LimitedServer host{[](WorkerConfig& config) { config.max_connections = 100; }};
    for (uint16_t port = 1; port <= 1000; ++port) host.run(segment_frame({.from_port = port}));
    EXPECT_EQ(host.worker.gauges().half_open, 50u);
    EXPECT_EQ(host.worker.gauges().connections, 50u);
    EXPECT_EQ(host.worker.tcp_counters().syn_cookies_sent, 950u);
}

TEST(SynCookiesOfAWorker, CookieThatFindsNoPlaceIsPutOff) {
    LimitedServer host{[](WorkerConfig& config) { config.max_connections = 1; }, always};
    host.run(segment_frame({.from_port = 1}));
    const uint32_t first = Read{host.take_one()}.packet.seq;
    host.run(segment_frame({.from_port = 2}));
    const uint32_t second = Read{host.take_one()}.packet.seq;
    host.run(segment_frame({.from_port = 1, .seq = 1001, .ack = first + 1, .flags = flag::ack}));
    const HandMade last{.from_port = 2, .seq = 1001, .ack = second + 1, .flags = flag::ack};
    host.run(segment_frame(last));
    EXPECT_TRUE(host.take_sent().empty());
    EXPECT_EQ(host.worker.stack_counters().connections_exhausted, 1u);
    host.worker.abort(host.service.ids[0]);
    host.run();
    host.run(segment_frame(last));
    EXPECT_EQ(host.service.ids.size(), 2u);
}

// ---- an application that accepts no more

TEST_F(SynCookiesTest, LastAckThatFindsNoRoomIsIgnoredAndTheNextSegmentCompletes) {
    service.may_lack_room = true;
    listen({});
    const uint32_t iss = syn();
    bool has_room = false;
    service.when_asked = [&] { return has_room; };
    ack(iss);
    ack(iss, flag::ack | flag::psh, "request");
    EXPECT_TRUE(service.ids.empty());
    EXPECT_TRUE(host.take_sent().empty());
    EXPECT_EQ(counters().listen_overflows, 2u);
    EXPECT_EQ(host.worker.gauges().half_open, 1u);
    has_room = true;
    ack(iss, flag::ack | flag::psh, "request");
    expect_established(1);
    EXPECT_EQ(service.life(service.ids[0]).data, "request");
}

TEST_F(SynCookiesTest, CookieThatFindsNoRoomIsIgnoredAndTheNextSegmentCompletes) {
    service.may_lack_room = true;
    listen(always);
    const uint32_t iss = syn();
    bool has_room = false;
    service.when_asked = [&] { return has_room; };
    ack(iss);
    EXPECT_TRUE(host.take_sent().empty());
    EXPECT_TRUE(host.holds_nothing());
    has_room = true;
    ack(iss, flag::ack | flag::psh, "request");
    expect_established(1);
}

TEST_F(SynCookiesTest, SynIsNotAnsweredWhileNothingIsAccepted) {
    service.may_lack_room = true;
    listen({});
    service.when_asked = [] { return false; };
    host.run(segment_frame({}));
    EXPECT_TRUE(host.take_sent().empty());
    EXPECT_EQ(counters().listen_overflows, 1u);
    EXPECT_EQ(host.worker.gauges().half_open, 0u);
}

TEST_F(SynCookiesTest, ResetReachesAHandshakeThatIsPutOff) {
    service.may_lack_room = true;
    listen({});
    syn();
    service.when_asked = [] { return false; };
    ack(0, flag::rst);
    EXPECT_EQ(host.worker.gauges().half_open, 0u);
}

TEST_F(SynCookiesTest, RoomIsAskedForOnceWhereThereIsAlwaysSome) {
    struct Roomy : Recorder {
        unsigned asked = 0;
        Room room(Worker&, const wire::SocketAddress&) override {
            ++asked;
            return Room::always;
        }
    } roomy;
    ASSERT_TRUE(host.worker.listen({address_of(1), 81}, roomy).has_value());
    host.run(segment_frame({.to_port = 81}));
    const uint32_t iss = Read{host.take_one()}.packet.seq;
    host.run(segment_frame({.to_port = 81, .seq = 1001, .ack = iss + 1, .flags = flag::ack}));
    EXPECT_EQ(roomy.ids.size(), 1u);
    EXPECT_EQ(roomy.asked, 1u);
}

// ---- TIME_WAIT

class SynCookiesAndTimeWait : public SynCookiesTest {
  protected:
    /// Leaves a record of 10.0.0.9:4000; the peer's numbers end at 1002, ours at iss + 2.
    uint32_t leave_time_wait() {
        service.when_established = [](Worker& worker, ConnectionId c) { worker.close(c); };
        const uint32_t iss = syn();
        ack(iss);
        host.run(segment_frame({.seq = 1001, .ack = iss + 2, .flags = flag::fin | flag::ack}));
        host.take_sent();
        EXPECT_EQ(host.worker.gauges().time_wait, 1u);
        service.when_established = {};
        return iss;
    }
};

TEST_F(SynCookiesAndTimeWait, May2_NewerSynGetsAConnectionBeyondTheOldNumbers) {
    listen(always);
    const uint32_t iss = leave_time_wait();
    host.run(segment_frame({.seq = 2000}));
    const Read syn_ack{host.take_one()};
    EXPECT_EQ(syn_ack.packet.flags, flag::syn | flag::ack);
    EXPECT_GT(static_cast<int32_t>(syn_ack.packet.seq - (iss + 2)), 0);
    EXPECT_EQ(host.worker.gauges().half_open, 1u);
}

TEST_F(SynCookiesAndTimeWait, RecordStaysWhileThereIsNoRoomForAnother) {
    listen({.backlog = 1});
    leave_time_wait();
    syn(1);
    host.run(segment_frame({.seq = 2000}));
    EXPECT_EQ(Read{host.take_one()}.packet.flags, flag::ack);
    EXPECT_EQ(host.worker.gauges().time_wait, 1u);
    EXPECT_EQ(host.worker.gauges().half_open, 1u);
}

}  // namespace
}  // namespace synfin::stack::test
