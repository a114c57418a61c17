// The services of load/server, seen by a hand-made client.
#include <algorithm>
#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "two_hosts.hpp"

namespace synfin::load::test {
namespace {

/// Sends `outgoing` as fast as it is taken, keeps what comes, ends when told.
class Peer : public stack::Application {
  public:
    std::vector<uint8_t> outgoing;
    size_t sent = 0;
    std::vector<uint8_t> received;
    bool half_close_when_sent = false;
    size_t reads_at_most = SIZE_MAX;  ///< bytes that are read before the peer turns deaf
    bool established = false;
    bool peer_closed = false;
    std::optional<tcp::CloseReason> end;
    stack::ConnectionId id;

    void start(stack::Worker& worker) {
        id = *worker.connect({server_address, server_port}, *this, {});
    }
    void on_established(stack::Worker& worker, stack::ConnectionId) override {
        established = true;
        send_more(worker);
    }
    size_t on_data(stack::Worker&, stack::ConnectionId, std::span<const uint8_t> data) override {
        const size_t taken = std::min(data.size(), reads_at_most - received.size());
        received.insert(received.end(), data.begin(), data.begin() + static_cast<ptrdiff_t>(taken));
        return taken;
    }
    void on_peer_closed(stack::Worker& worker, stack::ConnectionId) override {
        peer_closed = true;
        worker.close(id);
    }
    void on_writable(stack::Worker& worker, stack::ConnectionId) override { send_more(worker); }
    void on_closed(stack::Worker&, stack::ConnectionId, tcp::CloseReason reason) override {
        end = reason;
    }
    void send_more(stack::Worker& worker) {
        sent += worker.send(id, std::span{outgoing}.subspan(sent));
        if (sent == outgoing.size() && half_close_when_sent) worker.shutdown_send(id);
    }
    std::string text() const { return {received.begin(), received.end()}; }
};

class ServiceTest : public testing::Test {
  protected:
    void serve(Service service, size_t body_bytes = 100, CloseBy close = CloseBy::fin) {
        content.emplace(body_bytes, false);
        ServerConfig config;
        config.service = service;
        config.close = close;
        config.listen = {{server_address, server_port}};
        config.max_connections = 4096;
        server.emplace(config, *content);
        ASSERT_TRUE(server->listen(*hosts.server_worker).has_value());
        hosts.server_worker->set_poller(&*server);
        peer.start(*hosts.client_worker);
    }
    void say(const std::string& text) { peer.outgoing.assign(text.begin(), text.end()); }
    bool run_to_end() {
        return hosts.run_until(
            [&] { return peer.end.has_value() && server->statistics().concurrent == 0; });
    }

    TwoHosts hosts;
    std::optional<ServerContent> content;
    std::optional<Server> server;
    Peer peer;
};

TEST_F(ServiceTest, EchoReturnsTwelveMegabytesIntact) {
    peer.outgoing = http::make_body(12'000'000);
    peer.half_close_when_sent = true;
    serve(Service::echo);
    ASSERT_TRUE(run_to_end());
    EXPECT_TRUE(peer.received == peer.outgoing);
    EXPECT_EQ(peer.end, tcp::CloseReason::finished);
    EXPECT_TRUE(hosts.holds_nothing());
}

TEST_F(ServiceTest, EchoToADeafPeerHoldsNoMoreThanTheWindows) {
    peer.outgoing = http::make_body(12'000'000);
    peer.reads_at_most = 0;
    serve(Service::echo);
    hosts.run_for(Duration::milliseconds(200));
    // Each side's receive buffer of 256 KB, and its send buffer, which has grown to no more than
    // twice as much, because what a window does not let out makes no congestion window grow.
    EXPECT_LE(peer.sent, (2u + 2u * 2u) * 256 * 1024);
    EXPECT_LT(server->statistics().bytes_in, 2u * 256 * 1024 + 1);
}

TEST_F(ServiceTest, DiscardTakesAllAndSaysNothing) {
    peer.outgoing = http::make_body(3'000'000);
    peer.half_close_when_sent = true;
    serve(Service::discard);
    ASSERT_TRUE(run_to_end());
    EXPECT_TRUE(peer.received.empty());
    EXPECT_EQ(server->statistics().bytes_in, 3'000'000u);
}

TEST_F(ServiceTest, ChargenSendsThePatternWithoutEndOrGap) {
    serve(Service::chargen);
    ASSERT_TRUE(hosts.run_until([&] { return peer.received.size() > 1'000'000; }));
    const std::span<const uint8_t> pattern = content->characters();
    for (size_t at = 0; at < peer.received.size(); ++at) {
        ASSERT_EQ(peer.received[at], pattern[at % pattern.size()]) << "at " << at;
    }
    EXPECT_EQ(peer.text().substr(0, 5), " !\"#$");
}

TEST_F(ServiceTest, CloseEndsTheConnectionWithAFin) {
    serve(Service::close);
    ASSERT_TRUE(run_to_end());
    EXPECT_TRUE(peer.peer_closed);
    EXPECT_EQ(peer.end, tcp::CloseReason::finished);
}

TEST_F(ServiceTest, CloseEndsTheConnectionWithAReset) {
    serve(Service::close, 0, CloseBy::rst);
    ASSERT_TRUE(run_to_end());
    EXPECT_EQ(peer.end, tcp::CloseReason::reset);
    EXPECT_EQ(server->statistics().closed, 1u);
}

TEST_F(ServiceTest, HttpAnswersAndClosesWhenAskedTo) {
    say("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    serve(Service::http);
    ASSERT_TRUE(run_to_end());
    EXPECT_TRUE(peer.text().starts_with("HTTP/1.1 200 OK\r\n"));
    EXPECT_NE(peer.text().find("Connection: close"), std::string::npos);
    EXPECT_EQ(peer.end, tcp::CloseReason::finished);
}

TEST_F(ServiceTest, HttpAnswersPipelinedRequestsInTurnAlsoWhenTheyBlock) {
    std::string requests;
    for (int i = 0; i < 20; ++i) requests += "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    say(requests + "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    serve(Service::http, 300'000);
    ASSERT_TRUE(run_to_end());
    EXPECT_EQ(server->statistics().requests, 21u);
    EXPECT_GE(peer.received.size(), 21u * 300'000);
    EXPECT_EQ(peer.end, tcp::CloseReason::finished);
    EXPECT_TRUE(hosts.holds_nothing());
}

TEST_F(ServiceTest, HttpAnswersAPeerThatHasHalfClosed) {
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    peer.half_close_when_sent = true;
    serve(Service::http, 1'000'000);
    ASSERT_TRUE(run_to_end());
    EXPECT_GE(peer.received.size(), 1'000'000u);
    EXPECT_EQ(peer.end, tcp::CloseReason::finished);
}

TEST_F(ServiceTest, HttpPutsARequestTogetherThatComesInPieces) {
    serve(Service::http);
    ASSERT_TRUE(hosts.run_until([&] { return peer.established; }));
    const std::string request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for (const char c : request) {
        peer.outgoing.push_back(static_cast<uint8_t>(c));
        peer.send_more(*hosts.client_worker);
        hosts.run_for(Duration::milliseconds(1));
    }
    ASSERT_TRUE(run_to_end());
    EXPECT_TRUE(peer.text().starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_F(ServiceTest, HttpRefusesWhatIsMalformedAndCloses) {
    say("GARBAGE\r\n\r\nand much more");
    serve(Service::http);
    ASSERT_TRUE(run_to_end());
    EXPECT_TRUE(peer.text().starts_with("HTTP/1.1 400 ") ||
                peer.text().starts_with("HTTP/1.1 501 "));
    EXPECT_EQ(server->statistics().refused_requests, 1u);
    EXPECT_EQ(peer.end, tcp::CloseReason::finished);
}

TEST_F(ServiceTest, HttpAnswersHeadWithoutABody) {
    say("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    serve(Service::http, 5000);
    ASSERT_TRUE(run_to_end());
    EXPECT_NE(peer.text().find("Content-Length: 5000"), std::string::npos);
    EXPECT_TRUE(peer.text().ends_with("\r\n\r\n"));
}

}  // namespace
}  // namespace synfin::load::test
