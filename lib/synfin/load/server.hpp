// The answering side: HTTP/1.1 with a fixed body, and the plain services that every TCP tester
// knows.
//
//     http      a fixed response to each request; what is sent is one immutable piece of memory
//     echo      what comes goes back (RFC 862)
//     discard   what comes is thrown away (RFC 863)
//     chargen   characters without end, until the peer has had enough (RFC 864)
//     close     ends each connection as soon as it is established: the server closes first
//
// Nothing is buffered here. What a connection cannot send now stays unread in the stack, whose
// window then stops the peer: the memory that a slow reader can occupy is bounded by its window.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <synfin/base/apart.hpp>
#include <synfin/base/instant.hpp>
#include <synfin/http/message.hpp>
#include <synfin/http/message_memo.hpp>
#include <synfin/http/request_parser.hpp>
#include <synfin/load/client.hpp>
#include <synfin/load/live_connections.hpp>
#include <synfin/load/statistics.hpp>
#include <synfin/stack/application.hpp>
#include <synfin/stack/worker.hpp>

namespace synfin::load {

enum class Service : uint8_t { http, echo, discard, chargen, close };

/// What the workers of a server send, made once and shared: it must outlive all of them.
class ServerContent {
  public:
    /// `close_after_response`: every response says `Connection: close`.
    ServerContent(size_t body_bytes, bool close_after_response);

    /// The bytes that answer a request.
    wire::SummedBytes response(const http::Request& request) const;
    /// The bytes that answer what is refused.
    wire::SummedBytes refusal(uint16_t status_code) const;
    /// Lines of RFC 864, one round of its pattern.
    std::span<const uint8_t> characters() const { return characters_; }
    /// The body of each response.
    std::span<const uint8_t> body() const { return keep_alive_.body(); }
    bool close_after_response() const { return close_after_response_; }

  private:
    bool close_after_response_;
    http::Response keep_alive_;
    http::Response closing_;
    uint16_t keep_alive_sum_;  ///< of all their bytes
    uint16_t closing_sum_;
    std::vector<http::Response> refusals_;
    std::vector<uint16_t> refusal_codes_;
    std::vector<uint8_t> characters_;
};

struct ServerConfig {
    Service service = Service::http;
    /// How `close` ends a connection.
    CloseBy close = CloseBy::fin;
    /// Where the listeners are; they are closed when the server stops.
    std::vector<wire::SocketAddress> listen;
    stack::ListenOptions listen_options;
    /// How long what is open may take to end after stop(), before it is reset.
    Duration grace = Duration::seconds(5);
    /// WorkerConfig::max_connections of the worker.
    uint32_t max_connections = 1u << 20;
};

class alignas(apart) Server final : public stack::Application {
  public:
    Server(ServerConfig config, const ServerContent& content);

    /// Opens the listeners.
    tl::expected<void, stack::Error> listen(stack::Worker& worker);

    void on_established(stack::Worker& worker, stack::ConnectionId id) override;
    size_t on_data(stack::Worker& worker, stack::ConnectionId id,
                   std::span<const uint8_t> data) override;
    void on_peer_closed(stack::Worker& worker, stack::ConnectionId id) override;
    void on_writable(stack::Worker& worker, stack::ConnectionId id) override;
    void on_closed(stack::Worker& worker, stack::ConnectionId id, tcp::CloseReason reason) override;
    void on_poll(stack::Worker& worker, Instant now) override;

    // ---- from any thread

    /// Accepts no more and closes what is open, within the grace period.
    void stop() { stop_requested_ = true; }
    void stop_at_once() { stop_at_once_requested_ = true; }
    bool finished() const { return stage_.load() == Stage::finished; }
    const ServerStatistics& statistics() const { return statistics_; }

  private:
    enum class Stage : uint8_t { serving, draining, finished };
    /// The 64 bits that the stack keeps for us.
    struct Memory {
        bool sending = false;      ///< a response or the characters were not taken in full
        bool to_head = false;      ///< which response: without its body,
        bool keep_alive = false;   ///< and whether another request may follow
        bool peer_closed = false;  ///< close when the response is out
        bool in_request = false;   ///< the parser is in `requests_`
        bool closed_by_us = false;
        uint16_t refusal = 0;  ///< which response, if not 200
        uint64_t sent = 0;     ///< how much of it was taken, below 2^40
        uint64_t pack() const;
        static Memory unpack(uint64_t bits);
    };

    /// A response, and all of its bytes.
    struct Answer {
        Memory response;
        wire::SummedBytes bytes;
    };

    size_t serve_requests(stack::Worker& worker, stack::ConnectionId id,
                          std::span<const uint8_t> data);
    /// Those that are not known; the first has begun earlier if `in_request`.
    size_t read_requests(stack::Worker& worker, stack::ConnectionId id,
                         std::span<const uint8_t> data, bool in_request);
    Memory response_to(const http::Request& request) const;
    /// Goes on with the response that `memory` names. True when it is out and more may follow.
    bool send_response(stack::Worker& worker, stack::ConnectionId id, Memory memory);
    bool send_rest(stack::Worker& worker, stack::ConnectionId id, const Memory& memory,
                   const wire::SummedBytes& rest);
    wire::SummedBytes bytes_of(const Memory& memory) const;
    void send_characters(stack::Worker& worker, stack::ConnectionId id);
    size_t echo(stack::Worker& worker, stack::ConnectionId id, std::span<const uint8_t> data);
    void serve_unread(stack::Worker& worker, stack::ConnectionId id);
    void end(stack::Worker& worker, stack::ConnectionId id);
    void end_with_unread(stack::Worker& worker, stack::ConnectionId id);
    void drain(stack::Worker& worker, Instant now);

    ServerConfig config_;
    const ServerContent& content_;
    LiveConnections live_;
    ConnectionStates<http::RequestParser> requests_;
    http::MessageMemo<Answer> known_requests_;
    uint32_t closed_up_to_ = 0;  ///< while draining: indices below were closed
    bool abandoned_ = false;
    Instant drain_deadline_;
    Relaxed<Stage> stage_{Stage::serving};
    Relaxed<bool> stop_requested_;
    Relaxed<bool> stop_at_once_requested_;
    ServerStatistics statistics_;
};

}  // namespace synfin::load
