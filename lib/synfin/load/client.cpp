#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include <synfin/base/assert.hpp>
#include <synfin/http/message.hpp>
#include <synfin/load/client.hpp>

namespace synfin::load {

namespace {

/// How many held connections are being opened, or released, at once.
constexpr uint32_t held_changes_at_once = 512;

bool is_success(uint16_t status_code) { return status_code >= 200 && status_code < 300; }

}  // namespace

Client::Client(ClientConfig config, AddressPlan plan)
    : config_{std::move(config)},
      end_{config_.close == CloseBy::rst && config_.first == First::client
               ? tcp::CloseReason::aborted
               : tcp::CloseReason::finished},
      plan_{std::move(plan)},
      live_{config_.max_connections},
      partial_{config_.max_connections} {
    SYNFIN_ASSERT(config_.requests <= ClientConfig::max_requests);
    SYNFIN_ASSERT(config_.rate > 0 || config_.concurrency > 0 || config_.held > 0);
    if (config_.requests == 0) config_.early_data = false;
    if (config_.close == CloseBy::rst) to_be_reset_.reserve(config_.max_connections);
    // A request that says `close` makes the server end the connection first.
    request_bytes_ = http::make_request(config_.host, config_.target, true);
    last_request_bytes_ =
        http::make_request(config_.host, config_.target, config_.first == First::client);
    request_ = wire::SummedBytes::of(request_bytes_);
    last_request_ = wire::SummedBytes::of(last_request_bytes_);
}

// ---- opening

void Client::on_poll(stack::Worker& worker, Instant now) {
    reset_established(worker);
    switch (stage_.load()) {
        case Stage::idle:
            if (config_.held > 0) {
                stage_ = Stage::holding;
                return open_held(worker, now);
            }
            begin(now);
            return open_due(worker, now);
        case Stage::holding: return open_held(worker, now);
        case Stage::opening:
            if (stop_requested_ || stop_at_once_requested_ ||
                (config_.duration > Duration{} && now - begin_ >= config_.duration)) {
                measure(now);
                end_opening(now);
                return drain(worker, now);
            }
            return open_due(worker, now);
        case Stage::draining: return drain(worker, now);
        case Stage::finished: return;
    }
}

void Client::begin(Instant now) {
    begin_ = now;
    if (config_.rate > 0) pacer_.emplace(config_.rate, config_.max_debt, now);
    stage_ = Stage::opening;
}

// Those that fail are counted, and not waited for.
void Client::open_held(stack::Worker& worker, Instant now) {
    const bool all_are_there = held_opened_ == config_.held && coming_and_going() == 0;
    if (stop_requested_ || stop_at_once_requested_ || all_are_there) return begin(now);
    if (coming_and_going() >= held_changes_at_once) return;
    const uint32_t count = open(worker, {&now, 1}, Phase::to_be_held,
                                std::min({config_.opens_per_poll, config_.held - held_opened_,
                                          held_changes_at_once - coming_and_going()}));
    held_opened_ += count;
    statistics_.were_held += count;
}

// As many at a time as come and go elsewhere: what they ask for must find memory.
void Client::release_held(stack::Worker& worker, Instant now) {
    while (statistics_.held > 0 && released_up_to_ < live_.end() &&
           coming_and_going() < held_changes_at_once) {
        const uint32_t index = released_up_to_++;
        live_.visit(worker, index, index + 1, [&](stack::ConnectionId id) {
            if (memory_of(worker, id).phase() != Phase::held) return;
            --statistics_.held;
            config_.requests > 0 ? ask(worker, id, 1) : leave(worker, id);
        });
        drain_deadline_ = now + config_.grace;
    }
}

void Client::end_opening(Instant now) {
    drain_deadline_ = now + config_.grace;
    stage_ = Stage::draining;
}

void Client::measure(Instant now) {
    measured_ = true;
    ClientStatistics::Measured& m = statistics_.measured;
    m.ns = static_cast<uint64_t>((now - begin_).count_ns());
    m.closed = statistics_.closed;
    m.responses = statistics_.responses;
    m.body_bytes = statistics_.body_bytes;
}

void Client::open_due(stack::Worker& worker, Instant now) {
    if (pacer_) {
        open_by_pace(worker, now);
    } else if (coming_and_going() < config_.concurrency) {
        open(worker, {&now, 1}, Phase::opening,
             static_cast<uint32_t>(std::min({uint64_t{config_.opens_per_poll}, left_to_open(),
                                             uint64_t{config_.concurrency} - coming_and_going()})));
    }
    if (left_to_open() == 0) end_opening(now);
}

// What is refused, and what finds no room, has missed its time.
void Client::open_by_pace(stack::Worker& worker, Instant now) {
    statistics_.missed += pacer_->forgive(now);
    const uint64_t most = std::min<uint64_t>(config_.opens_per_poll, left_to_open());
    for (uint64_t taken = 0; taken < most;) {
        const std::span times =
            std::span{intended_}.first(std::min<size_t>(intended_.size(), most - taken));
        const uint32_t due = pacer_->take_due(now, times);
        if (due == 0) return;
        taken += due;
        const uint32_t room =
            config_.concurrency - std::min(coming_and_going(), config_.concurrency);
        uint32_t opened = 0;
        for (std::span left = times.first(std::min(due, room)); !left.empty();) {
            const uint32_t count =
                open(worker, left, Phase::opening, static_cast<uint32_t>(left.size()));
            opened += count;
            left = left.subspan(std::min<size_t>(count + 1, left.size()));
        }
        statistics_.missed += due - opened;
    }
}

uint64_t Client::left_to_open() const {
    if (config_.connections == 0) return UINT64_MAX;
    return config_.connections - (statistics_.opened - statistics_.were_held);
}

uint32_t Client::open(stack::Worker& worker, std::span<const Instant> intended, Phase phase,
                      uint32_t count) {
    const bool early = config_.early_data && phase == Phase::opening;
    stack::ConnectOptions options{.source = {},
                                  .source_port = 0,
                                  .profile = config_.profile,
                                  .user_data = Memory{phase, config_.requests, intended[0]}.bits(),
                                  .fast_open = early};
    uint32_t opened = 0;
    while (opened < count) {
        const AddressPlan::Pair pair = plan_.next();
        options.source = pair.source;
        const std::span ids = std::span{opened_ids_}.first(
            std::min<size_t>({opened_ids_.size(), count - opened, 1 + plan_.repeats()}));
        const auto together = worker.connect(pair.target, *this, options, ids);
        if (!together) [[unlikely]] {
            count_refused(together.error());
            break;
        }
        plan_.repeat(*together - 1);
        if (intended.size() > 1) {
            for (uint32_t i = 0; i < *together; ++i) {
                const Memory memory{phase, config_.requests, intended[opened + i]};
                worker.set_user_data(ids[i], memory.bits());
            }
        }
        opened += *together;
        statistics_.opened += *together;
        statistics_.concurrent += *together;
        for (const stack::ConnectionId id : ids.first(*together)) {
            live_.add(id);
            if (early) [[unlikely]]
                ask_early(worker, id);
        }
    }
    return opened;
}

[[gnu::noinline]] void Client::count_refused(stack::Error reason) {
    switch (reason) {
        case stack::Error::address_not_available:
            ++statistics_.no_port;
            plan_.leave_source();
            return;
        case stack::Error::no_resources: ++statistics_.no_room; return;
        default: ++statistics_.unreachable; return;
    }
}

[[gnu::noinline]] void Client::ask_early(stack::Worker& worker, stack::ConnectionId id) {
    const bool sent = send_request(worker, id, config_.requests);
    const Phase phase = sent ? Phase::asking : Phase::to_ask;
    worker.set_user_data(id, memory_of(worker, id).in(phase).bits());
}

// ---- the life of a connection

void Client::on_established(stack::Worker& worker, stack::ConnectionId id) {
    const Memory memory = memory_of(worker, id);
    if (memory.phase() != Phase::opening) [[unlikely]]
        return take_other_established(worker, id, memory.phase());
    note_established(worker, memory);
    if (memory.requests_left() > 0) return ask(worker, id, memory.requests_left());
    if (config_.first == First::server) return put(worker, id, Phase::awaiting_end, 0);
    if (config_.close == CloseBy::fin) return leave(worker, id);
    reset_soon(worker, id);
}

void Client::note_established(stack::Worker& worker, Memory memory) {
    ++statistics_.established;
    statistics_.handshake.record(memory.waited_ns(worker.now()));
}

[[gnu::noinline]] void Client::take_other_established(stack::Worker& worker, stack::ConnectionId id,
                                                      Phase phase) {
    if (phase == Phase::to_be_held) {
        ++statistics_.established;
        if (stage_.load() == Stage::draining) return leave(worker, id);
        ++statistics_.held;
        return put(worker, id, Phase::held, 0);
    }
    const bool early = phase == Phase::asking || phase == Phase::to_ask;
    if (!early || !config_.early_data) return condemn(worker, id);
    note_established(worker, memory_of(worker, id));
}

[[gnu::noinline]] void Client::reset_soon(stack::Worker& worker, stack::ConnectionId id) {
    put(worker, id, Phase::to_be_reset, 0);
    to_be_reset_.push_back(id);
}

// A RST that left in place of the third ACK would end a connection that the peer has never seen
// established.
void Client::reset_established(stack::Worker& worker) {
    std::erase_if(to_be_reset_, [&](stack::ConnectionId id) {
        if (worker.awaits_output(id)) return false;
        const bool waits =
            worker.is_open(id) && memory_of(worker, id).phase() == Phase::to_be_reset;
        if (waits) leave(worker, id);
        return true;
    });
}

void Client::ask(stack::Worker& worker, stack::ConnectionId id, uint32_t requests_left) {
    put(worker, id, Phase::asking, requests_left);
    if (!send_request(worker, id, requests_left)) [[unlikely]]
        worker.set_user_data(id, memory_of(worker, id).in(Phase::to_ask).bits());
}

// One request is outstanding at a time, so it fits into any send buffer. It is not taken when too
// many other connections have something to send.
bool Client::send_request(stack::Worker& worker, stack::ConnectionId id, uint32_t requests_left) {
    const wire::SummedBytes& request = requests_left == 1 ? last_request_ : request_;
    if (worker.send_static(id, request) != request.bytes.size()) return false;
    ++statistics_.requests;
    return true;
}

size_t Client::on_data(stack::Worker& worker, stack::ConnectionId id,
                       std::span<const uint8_t> data) {
    const Memory memory = memory_of(worker, id);
    if (memory.phase() == Phase::asking) {
        statistics_.first_byte.record(memory.waited_ns(worker.now()));
        if (const RightResponse* known = right_responses_.find(data)) {
            statistics_.body_bytes += known->body_bytes;
            take_response(worker, id, memory.requests_left(), known->keep_alive);
            return data.size();
        }
    } else if (memory.phase() != Phase::receiving) {
        condemn(worker, id);
        return data.size();
    }
    read_response(worker, id, memory, data);
    return data.size();
}

[[gnu::noinline]] void Client::read_response(stack::Worker& worker, stack::ConnectionId id,
                                             Memory memory, std::span<const uint8_t> data) {
    Partial partial;
    if (memory.phase() == Phase::receiving) partial = partial_.get(id.index);
    std::span<const uint8_t> rest = data;
    for (;;) {
        const http::ResponseParser::Result result = partial.parser.parse(rest);
        rest = rest.subspan(result.consumed);
        switch (result.status) {
            case http::ResponseParser::Status::body:
                if (check_body(partial, result.body)) continue;
                return condemn(worker, id);
            case http::ResponseParser::Status::need_more:
                partial_.put(id.index, partial);
                return put(worker, id, Phase::receiving, memory.requests_left());
            case http::ResponseParser::Status::complete:
                // Nothing was asked that could still be answered.
                if (!rest.empty() || !is_right(result, partial)) return condemn(worker, id);
                if (memory.phase() == Phase::asking) {  // so all of it is here
                    right_responses_.remember(data, {result.keep_alive, partial.body_bytes});
                }
                return take_response(worker, id, memory.requests_left(), result.keep_alive);
            case http::ResponseParser::Status::malformed: return condemn(worker, id);
        }
    }
}

inline void Client::take_response(stack::Worker& worker, stack::ConnectionId id,
                                  uint32_t requests_left, bool keep_alive) {
    ++statistics_.responses;
    if (requests_left > 1) {
        // The server was asked to keep the connection.
        if (!keep_alive) return condemn(worker, id);
        return ask(worker, id, requests_left - 1);
    }
    if (config_.first == First::client) return leave(worker, id);
    put(worker, id, Phase::awaiting_end, 0);
}

bool Client::check_body(Partial& partial, std::span<const uint8_t> piece) {
    const uint64_t at = partial.body_bytes;
    partial.body_bytes += piece.size();
    statistics_.body_bytes += piece.size();
    if (!config_.expected_body) return true;
    const std::span<const uint8_t> expected = *config_.expected_body;
    return partial.body_bytes <= expected.size() &&
           std::memcmp(expected.data() + at, piece.data(), piece.size()) == 0;
}

bool Client::is_right(const http::ResponseParser::Result& result, const Partial& partial) const {
    return is_success(result.status_code) &&
           (!config_.expected_body || partial.body_bytes == config_.expected_body->size());
}

void Client::on_peer_closed(stack::Worker& worker, stack::ConnectionId id) {
    const Memory memory = memory_of(worker, id);
    if (memory.phase() == Phase::awaiting_end) [[likely]]
        return leave(worker, id);
    switch (memory.phase()) {
        case Phase::receiving: {
            // The body may last until the connection closes.
            Partial partial = partial_.get(id.index);
            const http::ResponseParser::Result end = partial.parser.end_of_stream();
            if (end.status != http::ResponseParser::Status::complete || !is_right(end, partial) ||
                memory.requests_left() > 1) {
                return condemn(worker, id);
            }
            ++statistics_.responses;
            return leave(worker, id);
        }
        case Phase::awaiting_end:
        case Phase::leaving:
        case Phase::condemned:
        case Phase::abandoned: return;
        case Phase::opening:
        case Phase::to_be_held:
        case Phase::held:
        case Phase::to_be_reset:
        case Phase::to_ask:
        case Phase::asking: return condemn(worker, id);
    }
}

// What a request has waited belongs to the time until its first byte.
void Client::on_writable(stack::Worker& worker, stack::ConnectionId id) {
    const Memory memory = memory_of(worker, id);
    if (memory.phase() != Phase::to_ask || !send_request(worker, id, memory.requests_left()))
        return;
    worker.set_user_data(id, memory.in(Phase::asking).bits());
}

void Client::leave(stack::Worker& worker, stack::ConnectionId id) {
    put(worker, id, Phase::leaving, 0);
    if (end_ == tcp::CloseReason::aborted) {
        worker.abort(id);
    } else {
        worker.close(id);
    }
}

void Client::condemn(stack::Worker& worker, stack::ConnectionId id) {
    const Phase phase = memory_of(worker, id).phase();
    if (phase == Phase::condemned) return;
    if (phase == Phase::held) --statistics_.held;
    ++statistics_.violations;
    put(worker, id, Phase::condemned, 0);
    worker.abort(id);
}

void Client::on_closed(stack::Worker& worker, stack::ConnectionId id, tcp::CloseReason reason) {
    const Memory memory = memory_of(worker, id);
    --statistics_.concurrent;
    if (memory.phase() != Phase::leaving || reason != end_) [[unlikely]]
        return count_other_end(memory.phase(), reason);
    ++statistics_.closed;
    statistics_.close.record(memory.waited_ns(worker.now()));
}

[[gnu::noinline]] void Client::count_other_end(Phase phase, tcp::CloseReason reason) {
    if (phase == Phase::held) --statistics_.held;
    if (phase == Phase::abandoned) {
        ++statistics_.abandoned;
        return;
    }
    if (phase == Phase::condemned) {
        ++statistics_.failed;
        return;
    }
    switch (reason) {
        case tcp::CloseReason::finished:
        case tcp::CloseReason::aborted:
            ++statistics_.violations;
            ++statistics_.failed;
            return;
        case tcp::CloseReason::reset:
            ++(reset_is_due(phase) ? statistics_.closed : statistics_.reset);
            return;
        case tcp::CloseReason::timed_out: ++statistics_.timed_out; return;
        case tcp::CloseReason::refused:
        case tcp::CloseReason::unreachable:
        case tcp::CloseReason::no_resources:
        case tcp::CloseReason::none: ++statistics_.failed; return;
    }
}

bool Client::reset_is_due(Phase phase) const {
    return config_.close == CloseBy::rst && config_.first == First::server &&
           phase == Phase::awaiting_end;
}

// ---- the end

void Client::drain(stack::Worker& worker, Instant now) {
    const auto is_too_late = [&] { return now >= drain_deadline_ || stop_at_once_requested_; };
    if (!measured_) {
        if (coming_and_going() > 0 && !is_too_late()) return;
        measure(now);
    }
    if (!abandoned_ && !stop_at_once_requested_) release_held(worker, now);
    if (statistics_.concurrent > 0 && !abandoned_ && is_too_late()) abandon_all(worker);
    if (statistics_.concurrent == 0) stage_ = Stage::finished;
}

void Client::abandon_all(stack::Worker& worker) {
    abandoned_ = true;
    statistics_.held = 0;
    live_.visit(worker, 0, live_.end(), [&](stack::ConnectionId id) {
        put(worker, id, Phase::abandoned, 0);
        worker.abort(id);
    });
}

// ---- memory

void Client::put(stack::Worker& worker, stack::ConnectionId id, Phase phase,
                 uint32_t requests_left) {
    worker.set_user_data(id, Memory{phase, requests_left, worker.now()}.bits());
}

}  // namespace synfin::load
