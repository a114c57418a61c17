// TCP Fast Open (RFC 7413): cookies, data on the SYN, and every way back to an ordinary handshake.
#include <gtest/gtest.h>

#include <synfin/tcp/fast_open.hpp>

#include "stack_world.hpp"

namespace synfin::stack::test {
namespace {

using tcp::State;
namespace flag = wire::flag;

/// Host 1 listens on port 80 and allows Fast Open to two at a time; the peers are played by hand.
class FastOpenServer : public ::testing::Test {
  protected:
    FastOpenServer() {
        EXPECT_TRUE(host.worker.listen({{}, 80}, service, {.fast_open = 2}));
        service.when_data = [](Worker& worker, ConnectionId c, std::span<const uint8_t> data) {
            worker.send(c, bytes_of("response"));
            return data.size();
        };
    }
    static wire::TcpOptions request() {
        wire::TcpOptions options;
        options.has_mss = true;
        options.mss = 1460;
        options.has_fast_open = true;
        return options;
    }
    /// A SYN with data, and the segments of the answer.
    std::vector<Read> syn(const wire::TcpOptions& options, uint16_t port = 4000,
                          const std::string& data = "request") {
        host.run(segment_frame({.from_port = port, .payload = data, .options = options}));
        std::vector<Read> answers;
        for (Bytes& frame : host.take_sent()) answers.emplace_back(std::move(frame));
        return answers;
    }
    /// What a first connection leaves the peer with.
    wire::TcpOptions learn_cookie() {
        const auto answers = syn(request(), 3999);
        EXPECT_EQ(answers.size(), 1u);
        host.run(segment_frame({.from_port = 3999, .seq = 1001, .flags = flag::rst}));
        return answers.empty() ? request() : answers[0].packet.options;
    }
    void ack(uint32_t iss, uint16_t port = 4000, uint32_t seq = 1008) {
        host.run(
            segment_frame({.from_port = port, .seq = seq, .ack = iss + 1, .flags = flag::ack}));
    }
    /// The data of the SYN was not taken: it comes again with the end of the handshake.
    void expect_request_with_the_last_ack(uint32_t iss) {
        host.run(
            segment_frame({.seq = 1001, .ack = iss + 1, .flags = flag::ack, .payload = "request"}));
        ASSERT_EQ(service.ids.size(), 1u);
        EXPECT_EQ(service.life(service.ids[0]).data, "request");
    }
    const tcp::Counters& counters() const { return host.worker.tcp_counters(); }

    Host host{config_of(1, 9)};
    Recorder service;
};

TEST_F(FastOpenServer, Rfc7413_CookieIsGivenToWhoAsksAndItsDataWaits) {
    const auto answers = syn(request());
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_EQ(answers[0].packet.flags, flag::syn | flag::ack);
    EXPECT_EQ(answers[0].packet.ack, 1001u);
    EXPECT_TRUE(answers[0].packet.options.has_fast_open);
    EXPECT_EQ(answers[0].packet.options.fast_open_bytes, 8u);
    EXPECT_TRUE(service.ids.empty());
    EXPECT_EQ(counters().fast_open_cookie_requests, 1u);
}

TEST_F(FastOpenServer, Rfc7413_DataWithACookieIsTakenAndAnsweredBeforeTheHandshakeEnds) {
    const auto answers = syn(learn_cookie());
    ASSERT_EQ(answers.size(), 2u);
    EXPECT_EQ(answers[0].packet.flags, flag::syn | flag::ack);
    EXPECT_EQ(answers[0].packet.ack, 1008u);
    EXPECT_FALSE(answers[0].packet.options.has_fast_open);
    const uint32_t iss = answers[0].packet.seq;
    EXPECT_EQ(answers[1].packet.seq, iss + 1);
    EXPECT_EQ(answers[1].packet.payload.size(), 8u);
    ASSERT_EQ(service.ids.size(), 1u);
    EXPECT_EQ(service.life(service.ids[0]).data, "request");
    EXPECT_EQ(host.worker.state(service.ids[0]), State::syn_received);
    EXPECT_EQ(host.worker.gauges().half_open, 1u);

    ack(iss + 8);
    EXPECT_EQ(host.worker.state(service.ids[0]), State::established);
    EXPECT_EQ(service.life(service.ids[0]).events, "ed") << "it is told once";
    EXPECT_EQ(host.worker.gauges().half_open, 0u);
    EXPECT_EQ(counters().fast_open_passive, 1u);
    EXPECT_TRUE(host.take_sent().empty());
}

TEST_F(FastOpenServer, AnswerThatWasLostIsSentAgainAfterTheHandshake) {
    const auto answers = syn(learn_cookie());
    ASSERT_EQ(answers.size(), 2u);
    const uint32_t iss = answers[0].packet.seq;
    ack(iss);
    EXPECT_EQ(host.worker.state(service.ids[0]), State::established);
    host.take_sent();
    bool again = false;
    for (int i = 0; i < 40 && !again; ++i) {
        host.now = host.now + Duration::milliseconds(100);
        host.run();
        for (Bytes& frame : host.take_sent()) {
            const Read read{std::move(frame)};
            again = again || (read.packet.seq == iss + 1 && read.packet.payload.size() == 8);
        }
    }
    EXPECT_TRUE(again);
}

TEST_F(FastOpenServer, WrongCookieLeavesAnOrdinaryHandshakeAndANewCookie) {
    wire::TcpOptions forged = learn_cookie();
    forged.fast_open_cookie[3] ^= 1;
    const auto answers = syn(forged);
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_EQ(answers[0].packet.ack, 1001u);
    EXPECT_EQ(answers[0].packet.options.fast_open_bytes, 8u);
    EXPECT_EQ(counters().fast_open_passive_fails, 1u);
    expect_request_with_the_last_ack(answers[0].packet.seq);
}

TEST_F(FastOpenServer, CookieBelongsToItsAddress) {
    const wire::TcpOptions cookie = learn_cookie();
    host.run(segment_frame({.from = address_of(8), .payload = "x", .options = cookie}));
    EXPECT_TRUE(service.ids.empty());
}

TEST_F(FastOpenServer, CookieOfTheLastEpochIsTakenAndReplacedAndAnOlderOneIsNot) {
    const wire::TcpOptions old = learn_cookie();
    host.now = host.now + tcp::fast_open_epoch;
    auto answers = syn(old, 4001);
    ASSERT_FALSE(answers.empty());
    EXPECT_EQ(answers[0].packet.ack, 1008u);
    ASSERT_TRUE(answers[0].packet.options.has_fast_open);
    EXPECT_FALSE(std::equal(old.fast_open_cookie, old.fast_open_cookie + 8,
                            answers[0].packet.options.fast_open_cookie));
    host.now = host.now + tcp::fast_open_epoch;
    answers = syn(old, 4002);
    ASSERT_FALSE(answers.empty());
    EXPECT_EQ(answers.back().packet.ack, 1001u);
}

TEST_F(FastOpenServer, BeyondTheLimitDataWaitsForTheHandshake) {
    const wire::TcpOptions cookie = learn_cookie();
    const auto first = syn(cookie, 4001);
    ASSERT_EQ(first.size(), 2u);
    syn(cookie, 4002);
    const auto third = syn(cookie, 4003);
    ASSERT_EQ(third.size(), 1u);
    EXPECT_EQ(third[0].packet.ack, 1001u);
    EXPECT_EQ(service.ids.size(), 2u);
    EXPECT_EQ(counters().fast_open_overflows, 1u);
    ack(first[0].packet.seq + 8, 4001);
    EXPECT_EQ(syn(cookie, 4004).size(), 2u) << "a place that is free again is used";
}

TEST_F(FastOpenServer, Rfc7413_RstFreesThePlaceOnlyAfterAMinute) {
    const wire::TcpOptions cookie = learn_cookie();
    syn(cookie, 4001);
    syn(cookie, 4002);
    for (uint16_t port = 4001; port <= 4002; ++port) {
        host.run(segment_frame({.from_port = port, .seq = 1008, .flags = flag::rst}));
    }
    EXPECT_EQ(service.life(service.ids[0]).reason, tcp::CloseReason::reset);
    EXPECT_EQ(syn(cookie, 4003).size(), 1u);
    host.now = host.now + tcp::fast_open_reset_hold;
    syn(cookie, 4004);
    EXPECT_EQ(counters().fast_open_passive, 3u);
}

TEST_F(FastOpenServer, RstThatEndsAnEstablishedConnectionHoldsNoPlace) {
    const wire::TcpOptions cookie = learn_cookie();
    for (uint16_t port = 4001; port <= 4003; ++port) {
        const auto answers = syn(cookie, port);
        ASSERT_EQ(answers.size(), 2u);
        ack(answers[0].packet.seq + 8, port);
        host.run(segment_frame({.from_port = port, .seq = 1008, .flags = flag::rst}));
    }
}

TEST_F(FastOpenServer, LimitCanBeChangedWhileListening) {
    const wire::TcpOptions cookie = learn_cookie();
    host.worker.set_fast_open({{}, 80}, 0);
    EXPECT_EQ(syn(cookie, 4001).size(), 1u);
    host.worker.set_fast_open({{}, 80}, 1);
    EXPECT_EQ(syn(cookie, 4002).size(), 2u);
    EXPECT_EQ(syn(cookie, 4003).size(), 1u);
}

TEST_F(FastOpenServer, UnderPressureOfHalfOpenConnectionsTheDataWaitsForASynCookie) {
    const wire::TcpOptions cookie = learn_cookie();
    host.worker.close_listener({{}, 80});
    ASSERT_TRUE(
        host.worker.listen({{}, 80}, service, {.syn_cookies = SynCookies::always, .fast_open = 2}));
    const auto answers = syn(cookie);
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_EQ(answers[0].packet.ack, 1001u);
    EXPECT_FALSE(answers[0].packet.options.has_fast_open);
    EXPECT_TRUE(service.ids.empty());
    expect_request_with_the_last_ack(answers[0].packet.seq);
}

TEST_F(FastOpenServer, DataBeyondTheReceiveBufferIsNotTaken) {
    const wire::TcpOptions cookie = learn_cookie();
    tcp::Profile small;
    small.receive_buffer_bytes = 4;
    ASSERT_TRUE(host.worker.change_profile(wire::SocketAddress{{}, 80}, small));
    const auto answers = syn(cookie);
    ASSERT_FALSE(answers.empty());
    EXPECT_EQ(answers[0].packet.ack, 1005u);
    EXPECT_EQ(service.life(service.ids.at(0)).data, "requ");
}

TEST_F(FastOpenServer, SynThatComesAgainIsAnsweredAgainAndNotReadTwice) {
    const wire::TcpOptions cookie = learn_cookie();
    const auto first = syn(cookie);
    ASSERT_EQ(first.size(), 2u);
    const auto again = syn(request(), 4000, "");
    ASSERT_EQ(again.size(), 1u);
    EXPECT_EQ(again[0].packet.flags, flag::syn | flag::ack);
    EXPECT_EQ(again[0].packet.ack, 1008u);
    EXPECT_EQ(service.life(service.ids[0]).data, "request");
}

TEST_F(FastOpenServer, PeerThatNeverAnswersEndsAsAnyHandshake) {
    syn(learn_cookie());
    for (int i = 0; i < 200; ++i) {
        host.now = host.now + Duration::seconds(1);
        host.run();
    }
    EXPECT_EQ(service.life(service.ids[0]).reason, tcp::CloseReason::timed_out);
    EXPECT_EQ(host.worker.gauges().half_open, 0u);
    EXPECT_TRUE(host.holds_nothing());
}

TEST_F(FastOpenServer, ApplicationMayCloseBeforeTheHandshakeEnds) {
    service.when_data = [](Worker& worker, ConnectionId c, std::span<const uint8_t> data) {
        worker.send(c, bytes_of("bye"));
        worker.close(c);
        return data.size();
    };
    const auto answers = syn(learn_cookie());
    ASSERT_EQ(answers.size(), 2u);
    EXPECT_TRUE(answers[1].packet.flags.fin());
    const uint32_t iss = answers[0].packet.seq;
    host.run(segment_frame({.seq = 1008, .ack = iss + 5, .flags = flag::fin | flag::ack}));
    EXPECT_EQ(service.life(service.ids[0]).reason, tcp::CloseReason::finished);
    EXPECT_EQ(host.worker.gauges().half_open, 0u);
}

TEST(FastOpenOff, ListenerThatDoesNotAllowItIgnoresTheOption) {
    Host host{config_of(1, 9)};
    Recorder service;
    ASSERT_TRUE(host.worker.listen({{}, 80}, service));
    wire::TcpOptions options;
    options.has_fast_open = true;
    host.run(segment_frame({.payload = "x", .options = options}));
    const Read answer{host.take_one()};
    EXPECT_FALSE(answer.packet.options.has_fast_open);
    EXPECT_EQ(answer.packet.ack, 1001u);
}

// ---- the client's side, against a server of ours

class FastOpenClient : public ::testing::TestWithParam<Family> {
  protected:
    FastOpenClient() {
        service.when_data = [this](Worker& worker, ConnectionId c, std::span<const uint8_t> data) {
            worker.send(c, bytes_of(response));
            return data.size();
        };
        listen(16);
    }
    void listen(uint32_t fast_open) {
        server.worker.close_listener({{}, 80});
        ASSERT_TRUE(server.worker.listen({{}, 80}, service, {.fast_open = fast_open}));
    }
    /// Opens with `text` to be sent at once. Returns the SYN.
    Read open(const std::string& text) {
        ConnectOptions options;
        options.fast_open = true;
        const auto id = client.worker.connect({address_of(2, GetParam()), 80}, user, options);
        EXPECT_TRUE(id.has_value());
        last = *id;
        EXPECT_EQ(client.worker.send(last, bytes_of(text)), text.size());
        client.run();
        std::vector<Bytes> sent = client.take_sent();
        EXPECT_EQ(sent.size(), 1u);
        return Read{sent.empty() ? Bytes{} : sent[0]};
    }
    /// Time passes until the SYN leaves again.
    Read next_syn() {
        client.now = server.now = client.now + Duration::milliseconds(1100);
        client.run();
        for (Bytes& frame : client.take_sent()) {
            Read read{std::move(frame)};
            if (read.packet.flags.syn()) return read;
        }
        ADD_FAILURE() << "no SYN";
        return Read{{}};
    }
    void deliver(const Read& read) {
        server.device.arriving.push_back(read.frame);
        cable.settle();
    }
    void expect_answered(const std::string& text) {
        EXPECT_EQ(user.life(last).data, response);
        EXPECT_EQ(service.life(service.ids.back()).data, text);
        EXPECT_EQ(client.worker.state(last), State::established);
    }

    Host client{config_of(1, 2, GetParam())};
    Host server{config_of(2, 1, GetParam())};
    Cable cable{client, server};
    Recorder user, service;
    std::string response = "response";
    ConnectionId last;
};

TEST_P(FastOpenClient, Rfc7413_FirstConnectionAsksForACookieAndTheSecondUsesIt) {
    const Read first = open("one");
    EXPECT_TRUE(first.packet.options.has_fast_open);
    EXPECT_EQ(first.packet.options.fast_open_bytes, 0u);
    EXPECT_TRUE(first.packet.payload.empty());
    deliver(first);
    expect_answered("one");

    const Read second = open("two");
    EXPECT_EQ(second.packet.options.fast_open_bytes, 8u);
    EXPECT_EQ(second.packet.payload.size(), 3u);
    deliver(second);
    expect_answered("two");
    EXPECT_EQ(client.worker.tcp_counters().fast_open_active, 1u);
    EXPECT_EQ(server.worker.tcp_counters().fast_open_passive, 1u);
    EXPECT_EQ(client.worker.tcp_counters().retrans_segs, 0u);
}

TEST_P(FastOpenClient, SynTakesWhatFitsAndTheRestFollows) {
    deliver(open("one"));
    const std::string text(5000, 'x');
    response = "ok";
    service.when_data = [this](Worker& worker, ConnectionId c, std::span<const uint8_t> data) {
        if (service.life(c).data.size() + data.size() == 5000) worker.send(c, bytes_of(response));
        return data.size();
    };
    const Read syn = open(text);
    EXPECT_GT(syn.packet.payload.size(), 1000u);
    EXPECT_LE(syn.packet.network.size(), 1500u);
    deliver(syn);
    expect_answered(text);
}

TEST_P(FastOpenClient, ServerThatDoesNotTakeTheDataGetsItAfterTheHandshake) {
    deliver(open("one"));
    listen(0);
    deliver(open("two"));
    expect_answered("two");
    EXPECT_EQ(client.worker.tcp_counters().fast_open_active_fails, 1u);
}

TEST_P(FastOpenClient, SynThatIsNotAnsweredIsSentAgainWithoutOptionAndData) {
    deliver(open("one"));
    open("two");  // and the network swallows it
    const Read again = next_syn();
    EXPECT_FALSE(again.packet.options.has_fast_open);
    EXPECT_TRUE(again.packet.payload.empty());
    deliver(again);
    expect_answered("two");
}

TEST_P(FastOpenClient, Rfc7413_ServerThatAnswersOnlyWithoutTheOptionIsNotAskedForSomeTime) {
    deliver(open("one"));
    listen(0);
    open("two");  // and the network swallows it
    deliver(next_syn());
    expect_answered("two");

    const Read third = open("three");
    EXPECT_FALSE(third.packet.options.has_fast_open);
    EXPECT_TRUE(third.packet.payload.empty());
    deliver(third);
    client.now = server.now = client.now + tcp::fast_open_pause;
    EXPECT_TRUE(open("four").packet.options.has_fast_open);
}

TEST_P(FastOpenClient, RoomForEarlyDataIsKnownBeforehand) {
    const tcp::Profile profile;
    EXPECT_EQ(client.worker.early_data_room({}, address_of(2, GetParam()), profile), 0u);
    deliver(open("one"));
    EXPECT_EQ(client.worker.early_data_room({}, address_of(2, GetParam()), profile),
              GetParam() == Family::ipv4 ? 1420u : 1400u);
    EXPECT_EQ(open(std::string(5000, 'x')).packet.payload.size(),
              GetParam() == Family::ipv4 ? 1420u : 1400u);
}

TEST_P(FastOpenClient, BothEndsKnowWhetherTheDataWasTaken) {
    deliver(open("one"));
    EXPECT_FALSE(client.worker.info(last).early_data);
    deliver(open("two"));
    EXPECT_TRUE(client.worker.info(last).early_data);
    EXPECT_TRUE(server.worker.info(service.ids.back()).early_data);
    listen(0);
    deliver(open("three"));
    EXPECT_FALSE(client.worker.info(last).early_data);
    EXPECT_FALSE(server.worker.info(service.ids.back()).early_data);
}

TEST_P(FastOpenClient, OrdinaryConnectionCarriesNoOption) {
    const auto id = client.worker.connect({address_of(2, GetParam()), 80}, user);
    ASSERT_TRUE(id.has_value());
    client.worker.send(*id, bytes_of("x"));
    client.run();
    const Read syn{client.take_one()};
    EXPECT_FALSE(syn.packet.options.has_fast_open);
    EXPECT_TRUE(syn.packet.payload.empty());
}

INSTANTIATE_TEST_SUITE_P(Families, FastOpenClient, ::testing::Values(Family::ipv4, Family::ipv6),
                         [](const auto& p) { return name_of(p.param); });

}  // namespace
}  // namespace synfin::stack::test
