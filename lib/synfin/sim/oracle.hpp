// Applications that know what must come: each connection has a plan, both ends follow it, and each
// checks every byte by its offset, every event against what has happened before, and that it is
// told of the end exactly once.
//
// The plan reaches the server without a byte on the wire: the oracle knows which client opened from
// which port. What goes wrong is written down as a sentence; a run was right if there is none.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <synfin/sim/world.hpp>
#include <synfin/stack/application.hpp>
#include <synfin/stack/worker.hpp>

namespace synfin::sim {

/// Who ends a connection, and how.
enum class Closing : uint8_t {
    client_first,       ///< the client closes when everything has been exchanged
    server_first,       ///< the server does
    both,               ///< each closes as soon as it has sent and received everything
    client_half_close,  ///< the client's FIN follows its data; the server answers after that
    server_half_close,  ///< the other way round
    client_aborts,      ///< RST, half-way through
    server_aborts,
};
inline constexpr unsigned closing_count = 7;
const char* name(Closing closing);
constexpr bool aborts(Closing c) {
    return c == Closing::client_aborts || c == Closing::server_aborts;
}

/// What is done with one connection.
struct Plan {
    uint32_t client_bytes = 0;
    uint32_t server_bytes = 0;
    Closing closing = Closing::client_first;
    uint32_t piece_bytes = 4096;  ///< offered in one call of send
    bool static_memory = false;   ///< send by reference
    bool client_reads_slowly = false;
    bool server_reads_slowly = false;
    /// A plan drawn from `random`, up to so many bytes each way.
    static Plan draw(Prng& random, uint32_t most_bytes);
};

/// What the oracle has seen of one end of one connection.
struct End {
    stack::ConnectionId id{};
    bool known = false;  ///< connected, or accepted
    bool established = false;
    bool peer_closed = false;
    bool done = false;  ///< has called close or abort
    bool shut_down = false;
    bool read_pending = false;
    uint64_t sent = 0;  ///< taken by the stack
    uint64_t received = 0;
    uint32_t closed_count = 0;
    tcp::CloseReason reason = tcp::CloseReason::none;
};

class Oracle {
  public:
    explicit Oracle(World& world);
    ~Oracle();
    Oracle(const Oracle&) = delete;
    Oracle& operator=(const Oracle&) = delete;

    /// Accepts at `address` with the plans of the clients that connect to it.
    void serve(Host& host, uint16_t port, const stack::ListenOptions& options = {});
    /// Opens a connection. Returns false (and counts it) when the stack refuses.
    bool open(Host& client, const wire::SocketAddress& server, const Plan& plan,
              stack::ConnectOptions options = {});

    uint64_t opened() const { return lives_.size(); }
    uint64_t refused() const { return refused_; }
    /// Connections whose client has been told of the end, and whose server too if it ever knew.
    uint64_t finished() const { return finished_; }
    bool all_finished() const { return finished_ == lives_.size(); }
    uint64_t bytes_checked() const { return bytes_checked_; }
    uint64_t ended_with(tcp::CloseReason reason) const;

    /// Connections may fail (a link may be cut for minutes): only what is said must be right.
    void tolerate_failures() { failures_are_tolerated_ = true; }

    /// Everything that went wrong so far, at most the first twenty, one sentence each.
    const std::vector<std::string>& failures() const { return failures_; }
    /// To be called when all is over: judges what only the end can show, leaks of `hosts` included.
    void judge_end(const std::vector<Host*>& hosts);

  private:
    struct Life {
        Plan plan;
        End client, server;
        bool counted = false;
    };
    class EndApplication;

    std::span<const uint8_t> expected(uint64_t life, bool from_client, uint64_t offset,
                                      size_t most) const;
    void established(stack::Worker& worker, uint64_t life, bool client);
    size_t take(stack::Worker& worker, uint64_t life, bool client, std::span<const uint8_t> data);
    void check(uint64_t life, bool client, std::span<const uint8_t> data);
    void act(stack::Worker& worker, uint64_t life, bool client);
    void send_more(stack::Worker& worker, uint64_t life, bool client);
    void read_later(stack::Worker& worker, uint64_t life, bool client);
    void closed(uint64_t life, bool client, tcp::CloseReason reason);
    void count_if_finished(Life& life);
    void fail(uint64_t life, bool client, const std::string& what);

    World& world_;
    std::vector<uint8_t> pattern_;
    std::deque<Life> lives_;  ///< references stay good while more are opened
    /// By the client's and the server's address.
    std::map<std::pair<wire::SocketAddress, wire::SocketAddress>, uint64_t> by_tuple_;
    std::unique_ptr<EndApplication> client_, server_;
    uint64_t refused_ = 0, finished_ = 0, bytes_checked_ = 0;
    bool failures_are_tolerated_ = false;
    std::vector<std::string> failures_;
};

}  // namespace synfin::sim
