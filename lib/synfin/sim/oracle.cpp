#include <algorithm>

#include <synfin/sim/oracle.hpp>

namespace synfin::sim {

namespace {

// The streams of all connections are windows into one pattern, so that sending by reference needs
// no memory per connection. A prime period keeps any shift by a power of two from going unnoticed.
constexpr uint64_t pattern_period = 65'521;
constexpr size_t most_failures = 20;
constexpr size_t slow_read_bytes = 700;
constexpr Duration slow_read_pause = Duration::milliseconds(3);

uint64_t stream_start(uint64_t life, bool from_client) {
    uint64_t state = life * 2 + (from_client ? 1 : 0);
    return splitmix64(state) % pattern_period;
}

}  // namespace

const char* name(Closing closing) {
    switch (closing) {
        case Closing::client_first: return "client first";
        case Closing::server_first: return "server first";
        case Closing::both: return "both";
        case Closing::client_half_close: return "client half-close";
        case Closing::server_half_close: return "server half-close";
        case Closing::client_aborts: return "client aborts";
        case Closing::server_aborts: return "server aborts";
    }
    return "?";
}

Plan Plan::draw(Prng& random, uint32_t most_bytes) {
    // Sizes spread over all magnitudes, nothing at all included.
    const auto draw_bytes = [&]() -> uint32_t {
        const uint64_t magnitude = random.below(6);
        if (magnitude == 0) return 0;
        return static_cast<uint32_t>(random.below((most_bytes >> (5 - magnitude) * 2) + 1) + 1);
    };
    Plan plan;
    plan.client_bytes = draw_bytes();
    plan.server_bytes = draw_bytes();
    plan.closing = static_cast<Closing>(random.below(closing_count));
    plan.piece_bytes = static_cast<uint32_t>(1 + random.below(20'000));
    plan.static_memory = random.chance(1, 2);
    plan.client_reads_slowly = random.chance(1, 8);
    plan.server_reads_slowly = random.chance(1, 8);
    return plan;
}

/// The application at one end; the connection's user data is the number of its life.
class Oracle::EndApplication : public stack::Application {
  public:
    EndApplication(Oracle& oracle, bool client) : oracle_{oracle}, client_{client} {}

    void on_established(stack::Worker& worker, stack::ConnectionId id) override {
        if (!client_) {
            const auto found = oracle_.by_tuple_.find({worker.remote(id), worker.local(id)});
            if (found == oracle_.by_tuple_.end()) {
                oracle_.failures_.push_back("a connection was accepted that nobody opened");
                return;
            }
            worker.set_user_data(id, found->second);
            End& end = oracle_.lives_[found->second].server;
            if (end.known) oracle_.fail(found->second, false, "was accepted twice");
            end.id = id;
            end.known = true;
        }
        oracle_.established(worker, worker.user_data(id), client_);
    }
    size_t on_data(stack::Worker& worker, stack::ConnectionId id,
                   std::span<const uint8_t> data) override {
        return oracle_.take(worker, worker.user_data(id), client_, data);
    }
    void on_peer_closed(stack::Worker& worker, stack::ConnectionId id) override {
        const uint64_t life = worker.user_data(id);
        End& end = end_of(life);
        if (end.peer_closed) oracle_.fail(life, client_, "was told twice of the peer's FIN");
        if (end.closed_count > 0) oracle_.fail(life, client_, "heard of a FIN after the end");
        const Plan& plan = oracle_.lives_[life].plan;
        const uint64_t planned = client_ ? plan.server_bytes : plan.client_bytes;
        if (!aborts(plan.closing) && end.received != planned)
            oracle_.fail(life, client_, "saw the peer's FIN before its last byte");
        end.peer_closed = true;
        oracle_.act(worker, life, client_);
    }
    void on_writable(stack::Worker& worker, stack::ConnectionId id) override {
        oracle_.act(worker, worker.user_data(id), client_);
    }
    void on_closed(stack::Worker& worker, stack::ConnectionId id,
                   tcp::CloseReason reason) override {
        oracle_.closed(worker.user_data(id), client_, reason);
    }

  private:
    End& end_of(uint64_t life) {
        return client_ ? oracle_.lives_[life].client : oracle_.lives_[life].server;
    }
    Oracle& oracle_;
    bool client_;
};

Oracle::Oracle(World& world)
    : world_{world},
      client_{std::make_unique<EndApplication>(*this, true)},
      server_{std::make_unique<EndApplication>(*this, false)} {
    Prng random{0x5eed};
    pattern_.resize(2 * pattern_period);
    for (size_t i = 0; i < pattern_period; ++i)
        pattern_[i] = pattern_[i + pattern_period] = static_cast<uint8_t>(random());
}

Oracle::~Oracle() = default;

void Oracle::serve(Host& host, uint16_t port, const stack::ListenOptions& options) {
    if (!host.worker().listen({host.address(), port}, *server_, options))
        failures_.push_back("the server could not listen");
}

bool Oracle::open(Host& client, const wire::SocketAddress& server, const Plan& plan,
                  stack::ConnectOptions options) {
    options.user_data = lives_.size();
    const auto id = client.worker().connect(server, *client_, options);
    if (!id) {
        ++refused_;
        return false;
    }
    Life life{.plan = plan, .client = {}, .server = {}};
    life.client.id = *id;
    life.client.known = true;
    by_tuple_[{client.worker().local(*id), server}] = lives_.size();
    lives_.push_back(life);
    return true;
}

std::span<const uint8_t> Oracle::expected(uint64_t life, bool from_client, uint64_t offset,
                                          size_t most) const {
    const uint64_t at = (stream_start(life, from_client) + offset) % pattern_period;
    return std::span{pattern_}.subspan(at, std::min<size_t>(most, pattern_period));
}

void Oracle::established(stack::Worker& worker, uint64_t number, bool client) {
    End& end = client ? lives_[number].client : lives_[number].server;
    if (end.established) fail(number, client, "was established twice");
    if (end.closed_count > 0) fail(number, client, "was established after its end");
    end.established = true;
    act(worker, number, client);
}

size_t Oracle::take(stack::Worker& worker, uint64_t number, bool client,
                    std::span<const uint8_t> data) {
    const Plan& plan = lives_[number].plan;
    const bool slowly = client ? plan.client_reads_slowly : plan.server_reads_slowly;
    if (slowly && data.size() > slow_read_bytes) {
        data = data.first(slow_read_bytes);
        read_later(worker, number, client);
    }
    check(number, client, data);
    act(worker, number, client);
    return data.size();
}

void Oracle::check(uint64_t number, bool client, std::span<const uint8_t> data) {
    Life& life = lives_[number];
    End& end = client ? life.client : life.server;
    if (!end.established) fail(number, client, "got data before it was established");
    if (end.peer_closed) fail(number, client, "got data after the peer's FIN");
    if (end.done) fail(number, client, "got data after it had closed");
    if (end.closed_count > 0) fail(number, client, "got data after the end");
    const uint64_t planned = client ? life.plan.server_bytes : life.plan.client_bytes;
    if (end.received + data.size() > planned) fail(number, client, "got more than was sent");
    while (!data.empty()) {
        const auto right = expected(number, !client, end.received, data.size());
        if (!std::equal(right.begin(), right.end(), data.begin()))
            fail(number, client, "got wrong bytes at offset " + std::to_string(end.received));
        end.received += right.size();
        bytes_checked_ += right.size();
        data = data.subspan(right.size());
    }
}

void Oracle::read_later(stack::Worker& worker, uint64_t number, bool client) {
    End& end = client ? lives_[number].client : lives_[number].server;
    if (end.read_pending) return;
    end.read_pending = true;
    world_.schedule(slow_read_pause, [this, &worker, number, client] {
        End& e = client ? lives_[number].client : lives_[number].server;
        e.read_pending = false;
        if (e.done || e.closed_count > 0) return;
        auto piece = worker.unread(e.id);
        if (piece.empty()) return;
        piece = piece.first(std::min(piece.size(), slow_read_bytes));
        check(number, client, piece);
        worker.consume(e.id, piece.size());
        if (!worker.unread(e.id).empty()) read_later(worker, number, client);
        act(worker, number, client);
    });
}

void Oracle::send_more(stack::Worker& worker, uint64_t number, bool client) {
    const Plan& plan = lives_[number].plan;
    End& end = client ? lives_[number].client : lives_[number].server;
    const uint64_t planned = client ? plan.client_bytes : plan.server_bytes;
    while (end.sent < planned) {
        const size_t left =
            static_cast<size_t>(std::min<uint64_t>(planned - end.sent, plan.piece_bytes));
        const auto piece = expected(number, client, end.sent, left);
        const size_t taken =
            plan.static_memory ? worker.send_static(end.id, piece) : worker.send(end.id, piece);
        end.sent += taken;
        if (taken < piece.size()) return;
    }
}

// Does what the plan says next, at whatever moment it is asked.
void Oracle::act(stack::Worker& worker, uint64_t number, bool client) {
    const Plan& plan = lives_[number].plan;
    End& end = client ? lives_[number].client : lives_[number].server;
    if (!end.established || end.done || end.closed_count > 0) return;

    const bool answers_after_fin =
        plan.closing == (client ? Closing::server_half_close : Closing::client_half_close);
    if (!answers_after_fin || end.peer_closed) send_more(worker, number, client);

    const uint64_t to_send = client ? plan.client_bytes : plan.server_bytes;
    const uint64_t to_receive = client ? plan.server_bytes : plan.client_bytes;
    const bool sent_all = end.sent == to_send;
    const bool received_all = end.received == to_receive;

    if (plan.closing == (client ? Closing::client_aborts : Closing::server_aborts)) {
        if (end.received * 2 >= to_receive && end.sent * 2 >= to_send) {
            end.done = true;
            worker.abort(end.id);
        }
        return;
    }
    if (plan.closing == (client ? Closing::client_half_close : Closing::server_half_close) &&
        sent_all && !end.shut_down) {
        end.shut_down = true;
        worker.shutdown_send(end.id);
    }
    const bool first = plan.closing == Closing::both ||
                       plan.closing == (client ? Closing::client_first : Closing::server_first);
    if (aborts(plan.closing) ? end.peer_closed
                             : sent_all && received_all && (first || end.peer_closed)) {
        end.done = true;
        worker.close(end.id);
    }
}

void Oracle::closed(uint64_t number, bool client, tcp::CloseReason reason) {
    Life& life = lives_[number];
    End& end = client ? life.client : life.server;
    ++end.closed_count;
    end.reason = reason;
    if (end.closed_count > 1) fail(number, client, "was told twice of its end");
    if (reason == tcp::CloseReason::none) fail(number, client, "ended for no reason");
    if (!failures_are_tolerated_ && !aborts(life.plan.closing) &&
        reason != tcp::CloseReason::finished)
        fail(number, client, std::string{"ended as "} + tcp::name(reason));
    count_if_finished(life);
}

void Oracle::count_if_finished(Life& life) {
    const bool over =
        life.client.closed_count > 0 && (!life.server.known || life.server.closed_count > 0);
    if (over == life.counted) return;
    life.counted = over;
    finished_ += over ? 1u : uint64_t(-1);
}

uint64_t Oracle::ended_with(tcp::CloseReason reason) const {
    return static_cast<uint64_t>(std::count_if(
        lives_.begin(), lives_.end(), [&](const Life& l) { return l.client.reason == reason; }));
}

void Oracle::judge_end(const std::vector<Host*>& hosts) {
    for (uint64_t number = 0; number < lives_.size(); ++number) {
        const Life& life = lives_[number];
        if (life.client.closed_count != 1) fail(number, true, "was not told of its end");
        if (life.server.known && life.server.closed_count != 1)
            fail(number, false, "was not told of its end");
        const bool clean = life.client.reason == tcp::CloseReason::finished &&
                           life.server.reason == tcp::CloseReason::finished;
        if (!aborts(life.plan.closing) && clean) {
            if (life.server.received != life.plan.client_bytes)
                fail(number, false, "has not got everything");
            if (life.client.received != life.plan.server_bytes)
                fail(number, true, "has not got everything");
        }
    }
    for (Host* host : hosts) {
        const auto gauges = host->worker().gauges();
        const auto leaks = host->worker().leaks();
        const auto report = [&](uint64_t value, const char* what) {
            if (value != 0)
                failures_.push_back(wire::to_string(host->address()) + ": " +
                                    std::to_string(value) + " " + what);
        };
        report(gauges.connections, "connections left");
        report(gauges.half_open, "half-open connections left");
        report(gauges.time_wait, "TIME_WAIT records left");
        report(leaks.connections, "connections leaked");
        report(leaks.buffers, "buffers leaked");
        report(leaks.timers, "timers leaked");
        report(host->worker().tcp_counters().curr_estab.load(), "counted as established");
    }
}

void Oracle::fail(uint64_t number, bool client, const std::string& what) {
    if (failures_.size() >= most_failures) return;
    const Plan& plan = lives_[number].plan;
    failures_.push_back("connection " + std::to_string(number) + " (" + name(plan.closing) + ", " +
                        std::to_string(plan.client_bytes) + " bytes to the server, " +
                        std::to_string(plan.server_bytes) + " back): the " +
                        (client ? "client " : "server ") + what + ", at " +
                        std::to_string(world_.elapsed().count_us()) + " us");
}

}  // namespace synfin::sim
