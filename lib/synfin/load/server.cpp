#include <algorithm>
#include <utility>

#include <synfin/base/assert.hpp>
#include <synfin/load/server.hpp>

namespace synfin::load {

namespace {

/// While stopping, this many connections are closed in one pass of the loop.
constexpr uint32_t closes_per_poll = 256;

// RFC 864: lines of 72 characters, each beginning one further in the ring of 95 printable ones.
constexpr size_t ring_size = 95;
constexpr size_t line_characters = 72;

std::vector<uint8_t> make_characters() {
    std::vector<uint8_t> characters;
    for (size_t line = 0; line < ring_size; ++line) {
        for (size_t i = 0; i < line_characters; ++i) {
            characters.push_back(static_cast<uint8_t>(' ' + (line + i) % ring_size));
        }
        characters.push_back('\r');
        characters.push_back('\n');
    }
    return characters;
}

constexpr unsigned sent_bits = 40;
constexpr unsigned refusal_bits = 10;
constexpr uint64_t sent_mask = (uint64_t{1} << sent_bits) - 1;
constexpr unsigned flags_shift = sent_bits + refusal_bits;
/// What is remembered, packed, of a connection of which nothing is: that of a new one.
constexpr uint64_t idle = 0;

}  // namespace

// ---- content

ServerContent::ServerContent(size_t body_bytes, bool close_after_response)
    : close_after_response_{close_after_response},
      keep_alive_{http::make_response(200, true, http::make_body(body_bytes))},
      closing_{http::make_response(200, false, keep_alive_.body())},
      keep_alive_sum_{wire::SummedBytes::of(keep_alive_.all()).sum},
      closing_sum_{wire::SummedBytes::of(closing_.all()).sum},
      refusal_codes_{400, 431, 501, 505},
      characters_{make_characters()} {
    for (const uint16_t code : refusal_codes_) {
        refusals_.push_back(http::make_response(code, false, {}));
    }
}

wire::SummedBytes ServerContent::response(const http::Request& request) const {
    const http::Response& response = request.keep_alive ? keep_alive_ : closing_;
    if (request.method == http::Method::head) return response.header();
    return {response.all(), request.keep_alive ? keep_alive_sum_ : closing_sum_};
}

wire::SummedBytes ServerContent::refusal(uint16_t status_code) const {
    const auto place = std::ranges::find(refusal_codes_, status_code);
    SYNFIN_ASSERT(place != refusal_codes_.end());
    return refusals_[static_cast<size_t>(place - refusal_codes_.begin())].all();
}

// ---- memory

uint64_t Server::Memory::pack() const {
    const uint64_t flags = uint64_t{sending} | uint64_t{to_head} << 1 | uint64_t{keep_alive} << 2 |
                           uint64_t{peer_closed} << 3 | uint64_t{in_request} << 4 |
                           uint64_t{closed_by_us} << 5;
    return (sent & sent_mask) | uint64_t{refusal} << sent_bits | flags << flags_shift;
}

Server::Memory Server::Memory::unpack(uint64_t bits) {
    const uint64_t flags = bits >> flags_shift;
    return {(flags & 1) != 0,
            (flags >> 1 & 1) != 0,
            (flags >> 2 & 1) != 0,
            (flags >> 3 & 1) != 0,
            (flags >> 4 & 1) != 0,
            (flags >> 5 & 1) != 0,
            static_cast<uint16_t>(bits >> sent_bits & ((1u << refusal_bits) - 1)),
            bits & sent_mask};
}

// ---- the life of a connection

Server::Server(ServerConfig config, const ServerContent& content)
    : config_{std::move(config)},
      content_{content},
      live_{config_.max_connections},
      requests_{config_.max_connections} {}

tl::expected<void, stack::Error> Server::listen(stack::Worker& worker) {
    for (const wire::SocketAddress& local : config_.listen) {
        const auto listening = worker.listen(local, *this, config_.listen_options);
        if (!listening) return listening;
    }
    return {};
}

void Server::on_established(stack::Worker& worker, stack::ConnectionId id) {
    live_.add(id);
    ++statistics_.accepted;
    ++statistics_.concurrent;
    if (stage_.load() != Stage::serving) return end(worker, id);
    if (config_.service == Service::chargen) return send_characters(worker, id);
    if (config_.service != Service::close) return;
    if (config_.close == CloseBy::fin) return end(worker, id);
    Memory memory;
    memory.closed_by_us = true;
    worker.set_user_data(id, memory.pack());
    worker.abort(id);
}

size_t Server::on_data(stack::Worker& worker, stack::ConnectionId id,
                       std::span<const uint8_t> data) {
    switch (config_.service) {
        case Service::http: return serve_requests(worker, id, data);
        case Service::echo: return echo(worker, id, data);
        case Service::discard:
        case Service::chargen:
        case Service::close: statistics_.bytes_in += data.size(); return data.size();
    }
    return data.size();
}

void Server::on_peer_closed(stack::Worker& worker, stack::ConnectionId id) {
    Memory memory = Memory::unpack(worker.user_data(id));
    if (memory.closed_by_us) return;
    if (memory.sending && config_.service == Service::http) {
        memory.peer_closed = true;
        worker.set_user_data(id, memory.pack());
        return;
    }
    end(worker, id);
}

void Server::on_writable(stack::Worker& worker, stack::ConnectionId id) {
    const Memory memory = Memory::unpack(worker.user_data(id));
    if (memory.closed_by_us) return;
    if (config_.service == Service::chargen) return send_characters(worker, id);
    if (memory.sending && !send_response(worker, id, memory)) return;
    serve_unread(worker, id);
}

void Server::on_closed(stack::Worker& worker, stack::ConnectionId id, tcp::CloseReason reason) {
    --statistics_.concurrent;
    if (reason == tcp::CloseReason::finished) [[likely]] {
        ++statistics_.closed;
        return;
    }
    switch (reason) {
        case tcp::CloseReason::reset: ++statistics_.reset; return;
        case tcp::CloseReason::timed_out: ++statistics_.timed_out; return;
        case tcp::CloseReason::aborted:
            if (abandoned_) {
                ++statistics_.abandoned;
            } else if (Memory::unpack(worker.user_data(id)).closed_by_us) {
                ++statistics_.closed;
            } else {
                ++statistics_.failed;
            }
            return;
        case tcp::CloseReason::refused:
        case tcp::CloseReason::unreachable:
        case tcp::CloseReason::no_resources:
        case tcp::CloseReason::finished:
        case tcp::CloseReason::none: ++statistics_.failed; return;
    }
}

void Server::end(stack::Worker& worker, stack::ConnectionId id) {
    Memory memory;
    memory.closed_by_us = true;
    worker.set_user_data(id, memory.pack());
    if (worker.unread_bytes(id) != 0) [[unlikely]]
        return end_with_unread(worker, id);
    worker.close(id);
}

// Bytes behind a last request are of no use, but left unread they would make the end a RST.
[[gnu::noinline]] void Server::end_with_unread(stack::Worker& worker, stack::ConnectionId id) {
    worker.consume(id, worker.unread_bytes(id));
    worker.close(id);
}

// Offers what the stack has kept, until the service takes no more.
void Server::serve_unread(stack::Worker& worker, stack::ConnectionId id) {
    for (;;) {
        const std::span<const uint8_t> piece = worker.unread(id);
        if (piece.empty()) return;
        const size_t taken = on_data(worker, id, piece);
        if (!worker.is_open(id) || Memory::unpack(worker.user_data(id)).closed_by_us) return;
        worker.consume(id, taken);
        if (taken < piece.size()) return;
    }
}

// ---- http

size_t Server::serve_requests(stack::Worker& worker, stack::ConnectionId id,
                              std::span<const uint8_t> data) {
    const uint64_t bits = worker.user_data(id);
    if (bits == idle) [[likely]] {
        if (const Answer* known = known_requests_.find(data)) [[likely]] {
            statistics_.bytes_in += data.size();
            ++statistics_.requests;
            send_rest(worker, id, known->response, known->bytes);
            return data.size();
        }
    }
    const Memory memory = Memory::unpack(bits);
    if (memory.closed_by_us) return data.size();
    if (memory.sending) return 0;
    return read_requests(worker, id, data, memory.in_request);
}

[[gnu::noinline]] size_t Server::read_requests(stack::Worker& worker, stack::ConnectionId id,
                                               std::span<const uint8_t> data, bool in_request) {
    http::RequestParser parser = in_request ? requests_.get(id.index) : http::RequestParser{};
    size_t taken = 0;
    while (taken < data.size()) {
        const http::RequestParser::Result result = parser.parse(data.subspan(taken));
        taken += result.consumed;
        statistics_.bytes_in += result.consumed;
        if (result.status == http::RequestParser::Status::need_more) break;
        Memory response;
        if (result.status == http::RequestParser::Status::complete) {
            ++statistics_.requests;
            response = response_to(result.request);
            if (result.consumed == data.size() && !in_request) {
                known_requests_.remember(data, {response, bytes_of(response)});
            }
        } else {
            ++statistics_.refused_requests;
            response.refusal = result.status_code;
        }
        if (!send_response(worker, id, response)) {
            // What follows a last response is not read as a request; what follows a blocked one
            // stays where it is.
            return response.keep_alive ? taken : data.size();
        }
    }
    if (parser.at_start()) return taken;
    Memory memory;
    memory.in_request = true;
    requests_.put(id.index, parser);
    worker.set_user_data(id, memory.pack());
    return taken;
}

Server::Memory Server::response_to(const http::Request& request) const {
    Memory response;
    response.to_head = request.method == http::Method::head;
    response.keep_alive = request.keep_alive && !content_.close_after_response();
    return response;
}

wire::SummedBytes Server::bytes_of(const Memory& memory) const {
    if (memory.refusal != 0) return content_.refusal(memory.refusal);
    return content_.response(
        {memory.to_head ? http::Method::head : http::Method::get, memory.keep_alive});
}

bool Server::send_response(stack::Worker& worker, stack::ConnectionId id, Memory memory) {
    wire::SummedBytes rest = bytes_of(memory);
    if (memory.sent != 0) rest = rest.bytes.subspan(static_cast<size_t>(memory.sent));
    return send_rest(worker, id, memory, rest);
}

bool Server::send_rest(stack::Worker& worker, stack::ConnectionId id, const Memory& memory,
                       const wire::SummedBytes& rest) {
    const size_t taken = worker.send_static(id, rest);
    statistics_.bytes_out += taken;
    if (taken < rest.bytes.size()) [[unlikely]] {
        Memory later = memory;
        later.sending = true;
        later.sent += taken;
        worker.set_user_data(id, later.pack());
        return false;
    }
    if (!memory.keep_alive || memory.peer_closed || stage_.load() != Stage::serving) {
        end(worker, id);
        return false;
    }
    worker.set_user_data(id, idle);
    return true;
}

// ---- the plain services

size_t Server::echo(stack::Worker& worker, stack::ConnectionId id, std::span<const uint8_t> data) {
    const size_t taken = worker.send(id, data);
    statistics_.bytes_in += taken;
    statistics_.bytes_out += taken;
    return taken;
}

void Server::send_characters(stack::Worker& worker, stack::ConnectionId id) {
    Memory memory = Memory::unpack(worker.user_data(id));
    const std::span<const uint8_t> characters = content_.characters();
    for (;;) {
        const auto rest = characters.subspan(static_cast<size_t>(memory.sent));
        const size_t taken = worker.send_static(id, rest);
        statistics_.bytes_out += taken;
        memory.sent = (memory.sent + taken) % characters.size();
        if (taken < rest.size()) break;
    }
    memory.sending = true;
    worker.set_user_data(id, memory.pack());
}

// ---- the end

void Server::on_poll(stack::Worker& worker, Instant now) {
    if (stage_.load() == Stage::serving) {
        if (!stop_requested_ && !stop_at_once_requested_) return;
        for (const wire::SocketAddress& local : config_.listen) worker.close_listener(local);
        drain_deadline_ = now + config_.grace;
        stage_ = Stage::draining;
    }
    if (stage_.load() == Stage::draining) drain(worker, now);
}

void Server::drain(stack::Worker& worker, Instant now) {
    // A response that is on its way goes out first: send_response ends the connection behind it.
    const uint32_t until = closed_up_to_ + closes_per_poll;
    live_.visit(worker, closed_up_to_, until, [&](stack::ConnectionId id) {
        const Memory memory = Memory::unpack(worker.user_data(id));
        if (memory.closed_by_us) return;
        if (memory.sending && config_.service == Service::http) return;
        end(worker, id);
    });
    closed_up_to_ = std::min(until, live_.end());
    if (statistics_.concurrent > 0 && !abandoned_ &&
        (now >= drain_deadline_ || stop_at_once_requested_)) {
        abandoned_ = true;
        live_.visit(worker, 0, live_.end(), [&](stack::ConnectionId id) { worker.abort(id); });
    }
    if (statistics_.concurrent == 0) stage_ = Stage::finished;
}

}  // namespace synfin::load
