// The load generator's side of a connection: opens, asks, checks, closes, measures.
//
// The life of one synthetic user:
//
//     opening --established--> [ asking --response--> ... N times ] --> leaving --closed--> done
//                                                        |
//                                 first == server: waiting for the peer's end
//
// The client is its own oracle: every event must come in this order, each response must be
// complete, with the body that is expected, and the end must be the one that was chosen. What
// differs is counted as a violation, and a run with a violation is a failed run.
//
// Open loop (`rate`): starts come at times fixed beforehand (pacer.hpp), whatever the peer does,
// and handshake latency counts from the intended start. A generator that measures from the actual
// start omits just the waits that its own delay has caused (coordinated omission). Closed loop
// (`concurrency`): as soon as one connection ends, another begins.
//
// Held connections (`held`) come before all that: they are opened, stay idle while the others come
// and go, and at the end each asks one request (if any are asked at all) and is closed in order.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <synfin/base/apart.hpp>
#include <synfin/base/instant.hpp>
#include <synfin/http/message_memo.hpp>
#include <synfin/http/response_parser.hpp>
#include <synfin/load/address_plan.hpp>
#include <synfin/load/live_connections.hpp>
#include <synfin/load/pacer.hpp>
#include <synfin/load/statistics.hpp>
#include <synfin/stack/application.hpp>
#include <synfin/stack/worker.hpp>

namespace synfin::load {

enum class CloseBy : uint8_t { fin, rst };
enum class First : uint8_t { client, server };

struct ClientConfig {
    /// Requests on one connection; 0: handshake and teardown without a byte.
    uint32_t requests = 0;
    CloseBy close = CloseBy::fin;
    First first = First::client;
    /// Connections per second, open loop; 0: closed loop.
    double rate = 0;
    /// Closed loop: how many are open at once. Open loop: starts beyond this are missed.
    uint32_t concurrency = 1;
    /// Connections that are opened first and held until the end. They are no part of `concurrency`
    /// and `connections`, and the time counts from the moment when all are established or failed.
    /// With held ones, `rate` and `concurrency` may both be 0: then there are no others.
    uint32_t held = 0;
    /// No new connections after this, and no more is measured. 0: no such limit.
    Duration duration;
    /// No more connections than these; what is measured ends with the last of them. 0: no limit.
    uint64_t connections = 0;
    /// How long what is open may take to end, before it is reset and counted as abandoned.
    Duration grace = Duration::seconds(5);
    /// Open loop: how far the starts may lag before they are given up.
    Duration max_debt = Duration::milliseconds(10);
    /// Starts in one pass of the loop at most; the next ones wait for the next pass.
    uint32_t opens_per_poll = 64;
    /// WorkerConfig::max_connections of the worker.
    uint32_t max_connections = 1u << 20;
    uint16_t profile = 0;
    /// The first request goes with the SYN where the server has given a cookie (RFC 7413). The time
    /// to its first byte then counts from the opening.
    bool early_data = false;
    /// What the requests ask for.
    std::string host = "synfin";
    std::string target = "/";
    /// The body that every response must have; without it only its framing is checked. Must outlive
    /// the client.
    std::optional<std::span<const uint8_t>> expected_body;

    static constexpr uint32_t max_requests = (1u << 20) - 1;
};

class alignas(apart) Client final : public stack::Application {
  public:
    Client(ClientConfig config, AddressPlan plan);

    void on_established(stack::Worker& worker, stack::ConnectionId id) override;
    size_t on_data(stack::Worker& worker, stack::ConnectionId id,
                   std::span<const uint8_t> data) override;
    void on_peer_closed(stack::Worker& worker, stack::ConnectionId id) override;
    void on_writable(stack::Worker& worker, stack::ConnectionId id) override;
    void on_closed(stack::Worker& worker, stack::ConnectionId id, tcp::CloseReason reason) override;
    void on_poll(stack::Worker& worker, Instant now) override;

    // ---- from any thread

    /// Opens no more; what is open goes on to its end within the grace period.
    void stop() { stop_requested_ = true; }
    /// Resets what is open.
    void stop_at_once() { stop_at_once_requested_ = true; }
    /// No more connections are opened, and none is open.
    bool finished() const { return stage_.load() == Stage::finished; }
    const ClientStatistics& statistics() const { return statistics_; }

  private:
    enum class Stage : uint8_t { idle, holding, opening, draining, finished };
    enum class Phase : uint8_t {
        opening,
        to_ask,        ///< the request is to be sent as soon as there is memory for it
        asking,        ///< the request is sent, nothing has come back
        receiving,     ///< the beginning of a response is here; the parser is in `partial_`
        awaiting_end,  ///< the peer is to close first
        to_be_reset,   ///< the RST comes when the third ACK is out
        leaving,       ///< we have closed
        condemned,     ///< out of order, and aborted
        abandoned,     ///< aborted at the end of the grace period
        to_be_held,    ///< opening, and then
        held,          ///< idle until the end
    };
    /// The 64 bits that the stack keeps for us: the phase, the requests that are left, and since
    /// when, in nanoseconds of which the low 40 bits are kept: 18 minutes.
    class Memory {
      public:
        explicit Memory(uint64_t bits) : bits_{bits} {}
        Memory(Phase phase, uint32_t requests_left, Instant since)
            : bits_{static_cast<uint64_t>(since.ns()) << since_shift |
                    uint64_t{requests_left} << requests_shift | static_cast<uint8_t>(phase)} {}
        uint64_t bits() const { return bits_; }
        Phase phase() const { return static_cast<Phase>(bits_ & ((1u << requests_shift) - 1)); }
        uint32_t requests_left() const {
            return static_cast<uint32_t>(bits_ >> requests_shift) & ClientConfig::max_requests;
        }
        uint64_t waited_ns(Instant now) const {
            // With all ones below, what stands there of the other takes nothing from above.
            const uint64_t ones = (uint64_t{1} << since_shift) - 1;
            return ((static_cast<uint64_t>(now.ns()) << since_shift | ones) - bits_) >> since_shift;
        }
        Memory in(Phase phase) const {
            return Memory{(bits_ >> requests_shift << requests_shift) |
                          static_cast<uint8_t>(phase)};
        }

      private:
        static constexpr unsigned requests_shift = 4;
        static constexpr unsigned since_shift = 24;
        uint64_t bits_;
    };
    struct Partial {
        http::ResponseParser parser;
        uint64_t body_bytes = 0;
    };

    void begin(Instant now);
    void open_held(stack::Worker& worker, Instant now);
    void release_held(stack::Worker& worker, Instant now);
    void open_due(stack::Worker& worker, Instant now);
    void end_opening(Instant now);
    void measure(Instant now);
    void open_by_pace(stack::Worker& worker, Instant now);
    /// How many more the run may open.
    uint64_t left_to_open() const;
    /// Opens `count`, or as many as connect() would, each meant for its time, or all for the only
    /// one there is. Returns how many that was.
    uint32_t open(stack::Worker& worker, std::span<const Instant> intended, Phase phase,
                  uint32_t count);
    /// connect() would not.
    void count_refused(stack::Error reason);
    void ask_early(stack::Worker& worker, stack::ConnectionId id);
    /// Open, and neither held nor on the way to it.
    uint32_t coming_and_going() const {
        return static_cast<uint32_t>(statistics_.concurrent - statistics_.held);
    }
    void ask(stack::Worker& worker, stack::ConnectionId id, uint32_t requests_left);
    bool send_request(stack::Worker& worker, stack::ConnectionId id, uint32_t requests_left);
    /// One that is not known, or a part of one.
    void read_response(stack::Worker& worker, stack::ConnectionId id, Memory memory,
                       std::span<const uint8_t> data);
    [[gnu::always_inline]] void take_response(stack::Worker& worker, stack::ConnectionId id,
                                              uint32_t requests_left, bool keep_alive);
    bool check_body(Partial& partial, std::span<const uint8_t> piece);
    bool is_right(const http::ResponseParser::Result& result, const Partial& partial) const;
    void leave(stack::Worker& worker, stack::ConnectionId id);
    void reset_soon(stack::Worker& worker, stack::ConnectionId id);
    void reset_established(stack::Worker& worker);
    void condemn(stack::Worker& worker, stack::ConnectionId id);
    void drain(stack::Worker& worker, Instant now);
    void abandon_all(stack::Worker& worker);
    void put(stack::Worker& worker, stack::ConnectionId id, Phase phase, uint32_t requests_left);
    Memory memory_of(const stack::Worker& worker, stack::ConnectionId id) const {
        return Memory{worker.user_data(id)};
    }
    void note_established(stack::Worker& worker, Memory memory);
    /// One that is held, or has asked already, or was not expected.
    void take_other_established(stack::Worker& worker, stack::ConnectionId id, Phase phase);
    /// Any but the one that was chosen.
    void count_other_end(Phase phase, tcp::CloseReason reason);
    bool reset_is_due(Phase phase) const;

    ClientConfig config_;
    tcp::CloseReason end_;  ///< the one that was chosen for whoever leaves
    AddressPlan plan_;
    std::vector<uint8_t> request_bytes_;
    std::vector<uint8_t> last_request_bytes_;
    wire::SummedBytes request_;
    wire::SummedBytes last_request_;
    std::array<stack::ConnectionId, 64> opened_ids_;  ///< those that are opened together
    LiveConnections live_;
    ConnectionStates<Partial> partial_;
    /// Responses that were complete and right.
    struct RightResponse {
        bool keep_alive = false;
        uint64_t body_bytes = 0;
    };
    http::MessageMemo<RightResponse> right_responses_;
    /// Established and to be reset once their third ACK is out.
    std::vector<stack::ConnectionId> to_be_reset_;
    std::optional<Pacer> pacer_;
    std::array<Instant, 64> intended_;  ///< of the starts that are due
    Instant begin_;
    Instant drain_deadline_;
    bool measured_ = false;
    bool abandoned_ = false;
    uint32_t held_opened_ = 0;
    uint32_t released_up_to_ = 0;  ///< while draining: held ones below this index were released
    Relaxed<Stage> stage_{Stage::idle};
    Relaxed<bool> stop_requested_;
    Relaxed<bool> stop_at_once_requested_;
    ClientStatistics statistics_;
};

}  // namespace synfin::load
