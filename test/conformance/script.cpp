#include "script.hpp"

#include <algorithm>
#include <cstdlib>

#include <gtest/gtest.h>

namespace synfin::conformance {

namespace {

constexpr tcp::Secret secret{0x0706'0504'0302'0100, 0x0f0e'0d0c'0b0a'0908};

uint32_t isn_from_environment(uint32_t otherwise) {
    const char* text = std::getenv("SYNFIN_TEST_ISN");
    return text == nullptr ? otherwise : static_cast<uint32_t>(std::strtoull(text, nullptr, 0));
}

/// The moment at which the ISN of this tuple is `isn` (RFC 6528: M ticks every 4 us).
Instant moment_of_isn(const flow::FourTuple& tuple, uint32_t isn) {
    constexpr int64_t ticks_of_a_turn = int64_t{1} << 32;
    const Instant turn = Instant::from_us(4 * ticks_of_a_turn);
    const uint32_t at_turn = tcp::initial_sequence(tuple, secret, turn).value();
    return turn + Duration::microseconds(4 * int64_t{isn - at_turn});
}

}  // namespace

uint32_t default_local_isn() { return isn_from_environment(0xffff'fff0); }
uint32_t default_peer_isn() { return isn_from_environment(0x7fff'fff0); }

Script::Script(const Setup& setup)
    : setup_{setup},
      transfers_{setup.transfers, setup.ranges},
      buffers_{setup.nodes, setup.chunks},
      env_{.profiles = {&setup_.profile, 1},
           .terms = {&terms_, 1},
           .transfers = transfers_,
           .buffers = buffers_,
           .counters = counters_,
           .secret = secret,
           .mtu = setup.mtu},
      tuple_{.local_address = setup.ipv6 ? 1u : 0xc612'0001,
             .remote_address = setup.ipv6 ? 2u : 0xc613'0001,
             .local_port = 80,
             .remote_port = 33706},
      begin_{moment_of_isn(tuple_, setup.local_isn)},
      now_{begin_},
      local_isn_{setup.local_isn} {}

Script::~Script() {
    if (!sent_.empty())
        ADD_FAILURE() << "sent, and not expected by the script: " << to_text(sent_.front())
                      << story();
    sent_.clear();
    if (place_ == Place::alive) {
        call_abort();
        sent_.clear();
        EXPECT_NE(place_, Place::alive) << "an aborted connection still lives" << story();
        if (place_ == Place::alive) tcp::release(c_, env_);
    }
    EXPECT_FALSE(user_knows_) << "the user was never told of the connection's end" << story();
    EXPECT_EQ(transfers_.transfers.used(), 0u) << story();
    EXPECT_EQ(transfers_.ranges.used(), 0u) << story();
    EXPECT_EQ(buffers_.nodes.used(), 0u) << story();
    EXPECT_EQ(buffers_.chunks.used(), 0u) << story();
    EXPECT_EQ(counters_.curr_estab.load(), 0u) << story();
}

// ---- the user's calls

void Script::fresh_connection() {
    const uint32_t generation = c_.generation;
    c_ = tcp::Connection{};
    c_.generation = generation + 1;
    c_.local_address = tuple_.local_address;
    c_.remote_address = tuple_.remote_address;
    c_.local_port = tuple_.local_port;
    c_.remote_port = tuple_.remote_port;
    place_ = Place::alive;
    isn_known_ = false;
    sent_end_ = 0;
    right_edge_ = 0;
    we_offered_ts_ = we_offered_scale_ = false;
    our_scale_ = 0;
    announced_edge_.reset();
    last_ack_.reset();
    stream_.clear();
    user_knows_ = false;
    established_count_ = peer_closed_count_ = closed_count_ = 0;
    reason_ = untold_ = CloseReason::none;
}

void Script::listen() { listening_ = true; }

void Script::call_open() {
    story_.push_back("open");
    fresh_connection();
    user_knows_ = true;
    tcp::open_active(c_, std::nullopt, env_, now_);
    settle();
}

uint32_t Script::call_send(std::string_view text) {
    story_.push_back("send " + std::to_string(text.size()));
    const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
    const uint32_t taken = tcp::send(c_, {bytes, text.size()}, env_, now_);
    stream_.append(text.substr(0, taken));
    settle();
    return taken;
}

uint32_t Script::call_send_bytes(uint32_t count) {
    std::string bytes;
    for (uint32_t i = 0; i < count; ++i)
        bytes += static_cast<char>(stream_byte(stream_.size() + i, our_salt));
    return call_send(bytes);
}

uint32_t Script::call_send_static_bytes(uint32_t count) {
    story_.push_back("send static " + std::to_string(count));
    auto& bytes = static_memory_.emplace_back();
    for (uint32_t i = 0; i < count; ++i) bytes.push_back(stream_byte(stream_.size() + i, our_salt));
    const uint32_t taken = tcp::send_static(c_, bytes, env_, now_);
    stream_.append(reinterpret_cast<const char*>(bytes.data()), taken);
    settle();
    return taken;
}

uint32_t Script::call_send_urgent(std::string_view text) {
    story_.push_back("send urgent " + std::to_string(text.size()));
    urgent_given_ = true;
    const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
    const uint32_t taken = tcp::send_urgent(c_, {bytes, text.size()}, env_, now_);
    stream_.append(text.substr(0, taken));
    settle();
    return taken;
}

uint32_t Script::queue(uint32_t count) {
    std::vector<uint8_t> bytes;
    for (uint32_t i = 0; i < count; ++i) bytes.push_back(stream_byte(stream_.size() + i, our_salt));
    const uint32_t taken = tcp::send(c_, bytes, env_, now_);
    stream_.append(reinterpret_cast<const char*>(bytes.data()), taken);
    return taken;
}

uint32_t Script::call_send_record(uint32_t count) {
    story_.push_back("send record " + std::to_string(count));
    const uint32_t taken = queue(count);
    tcp::end_record(c_, env_);
    settle();
    return taken;
}

uint32_t Script::call_send_more(uint32_t count) {
    story_.push_back("send more " + std::to_string(count));
    const uint32_t taken = queue(count);
    tcp::set_pushing(c_, tcp::Pushing::later, env_);
    more_follows_ = true;
    settle();
    return taken;
}

void Script::call_set_pushing(tcp::Pushing pushing) {
    story_.push_back("push");
    more_follows_ = pushing == tcp::Pushing::later;
    tcp::set_pushing(c_, pushing, env_);
    settle();
}

void Script::call_shutdown() {
    story_.push_back("shutdown");
    tcp::shutdown_send(c_, env_, now_);
    settle();
}

void Script::call_close() {
    story_.push_back("close");
    take_events(tcp::close(c_, env_, now_));
    settle();
}

void Script::call_abort() {
    story_.push_back("abort");
    take_events(tcp::abort(c_, env_, now_));
    settle();
}

void Script::change_profile(const tcp::Profile& profile) {
    story_.push_back("change profile");
    setup_.profile = profile;
    terms_ = tcp::terms_of(profile, setup_.mtu);
    tcp::change_profile(c_, 0, env_, now_);
    settle();
}

void Script::call_read(uint32_t count) {
    story_.push_back("read " + std::to_string(count));
    while (count > 0) {
        auto piece = tcp::peek_unread(c_, env_);
        if (piece.empty()) break;
        if (piece.size() > count) piece = piece.first(count);
        const auto size = static_cast<uint32_t>(piece.size());
        take_bytes(piece);
        tcp::consume_unread(c_, size, env_, now_);
        count -= size;
    }
    settle();
}

void Script::resume_reading() {
    reading_ = true;
    call_read(UINT32_MAX);
}

void Script::inject_icmp(uint32_t relative_quoted, tcp::Report error) {
    story_.push_back("icmp error");
    take_events(tcp::on_icmp_error(c_, local_seq(relative_quoted), error, env_, now_));
    settle();
}

// ---- what was sent

void Script::expect(const Packet& packet, Where where) {
    if (sent_.empty()) {
        fail(where, "nothing was sent\n  expected: " + to_text(packet));
        return;
    }
    const Sent sent = std::move(sent_.front());
    sent_.pop_front();
    if (auto why = difference(packet, sent); !why.empty())
        fail(where, why + "\n  expected: " + to_text(packet) + "\n  sent:     " + to_text(sent));
}

void Script::expect_nothing(Where where) {
    if (!sent_.empty()) fail(where, "sent: " + to_text(sent_.front()) + "\n  expected: nothing");
    sent_.clear();
}

void Script::expect_nothing_for(Duration d, Where where) {
    expect_nothing(where);
    advance(now_ + d, false);
    expect_nothing(where);
}

void Script::expect_after(Duration d, const Packet& packet, Where where) {
    const Duration took = expect_between(Duration{}, d, packet, where);
    if (took != d)
        fail(where,
             "sent " + milliseconds_text((d - took).count_us()) + " too early: " + to_text(packet));
}

Duration Script::expect_between(Duration least, Duration most, const Packet& packet, Where where) {
    expect_nothing(where);
    const Instant from = now_;
    advance(from + most, true);
    const Duration took = now_ - from;
    if (sent_.empty()) {
        fail(where, "nothing was sent within " + milliseconds_text(most.count_us()) +
                        "\n  expected: " + to_text(packet));
    } else {
        if (took < least)
            fail(where, "sent after " + milliseconds_text(took.count_us()) + ", too early");
        expect(packet, where);
    }
    return took;
}

void Script::expect_reset(uint32_t relative_seq, Where where) {
    const bool with_ack = !sent_.empty() && sent_.front().flags.ack();
    expect((with_ack ? RstAck() : Rst()).seq(relative_seq), where);
}

std::vector<Sent> Script::take_sent() {
    std::vector<Sent> all{sent_.begin(), sent_.end()};
    sent_.clear();
    return all;
}

// ---- time

std::optional<Instant> Script::deadline() const {
    if (place_ == Place::time_wait) return time_wait_end_;
    if (place_ == Place::alive) return tcp::next_deadline(c_, now_);
    return std::nullopt;
}

std::optional<Duration> Script::next_deadline() const {
    if (auto d = deadline()) return std::max(*d, now_) - now_;
    return std::nullopt;
}

bool Script::advance(Instant until, bool stop_at_output) {
    int at_this_moment = 0;
    for (auto due = deadline(); due && *due <= until; due = deadline()) {
        if (*due > now_) {
            now_ = *due;
            at_this_moment = 0;
        } else if (++at_this_moment > 16) {
            ADD_FAILURE() << "a timer that fired stays due" << story();
            break;
        }
        if (place_ == Place::time_wait) {
            place_ = Place::none;
            continue;
        }
        story_.push_back("timer at " + milliseconds_text((now_ - begin_).count_us()));
        take_events(tcp::on_timer(c_, env_, now_));
        settle();
        if (stop_at_output && !sent_.empty()) return true;
    }
    now_ = std::max(now_, until);
    return false;
}

void Script::fire_timer_before_output() {
    now_ = std::max(now_, deadline().value());
    story_.push_back("timer at " + milliseconds_text((now_ - begin_).count_us()));
    take_events(tcp::on_timer(c_, env_, now_));
}

void Script::wait(Duration d) { advance(now_ + d, false); }

Duration Script::now() const { return now_ - begin_; }

Duration Script::drain(Duration limit, Where where) {
    const Instant from = now_;
    const Instant end = from + limit;
    while (place_ != Place::none) {
        const auto due = deadline();
        if (!due || *due > end) {
            fail(where, "the connection never ends: state " + std::string{tcp::name(state())});
            break;
        }
        advance(*due, false);
    }
    return now_ - from;
}

// ---- short cuts

void Script::establish(const Handshake& h, Where where) {
    peer_window_ = h.window;
    auto dress = [&](Packet p) {
        p.seq(0).window(h.window);
        if (h.mss) p.mss(*h.mss);
        if (h.window_scale) p.window_scale(*h.window_scale);
        if (h.timestamps) p.with_timestamps();
        if (h.sack_permitted) p.sack_permitted();
        return p;
    };
    if (h.active) {
        call_open();
        expect(Syn().seq(0), where);
        wait(h.round_trip);
        inject(dress(SynAck().ack(1)));
        expect(Ack().seq(1).ack(1), where);
    } else {
        listen();
        inject(dress(Syn()));
        expect(SynAck().seq(0).ack(1), where);
        wait(h.round_trip);
        inject(Ack().seq(1).ack(1));
    }
    expect_state(State::established, where);
    expect_nothing(where);
}

void enter(Script& s, State state, Where where) {
    switch (state) {
        case State::closed: return;
        case State::listen: s.listen(); break;
        case State::syn_sent:
            s.call_open();
            s.expect(Syn().seq(0), where);
            break;
        case State::syn_received:
            s.listen();
            s.inject(Syn().seq(0).mss(1460));
            s.expect(SynAck().seq(0).ack(1), where);
            break;
        case State::established: s.establish(where); break;
        case State::fin_wait_1:
            s.establish(where);
            s.call_shutdown();
            s.expect(FinAck().seq(1).ack(1), where);
            break;
        case State::fin_wait_2:
            enter(s, State::fin_wait_1, where);
            s.inject(Ack().seq(1).ack(2));
            break;
        case State::close_wait:
            s.establish(where);
            s.inject(FinAck().seq(1).ack(1));
            s.expect(Ack().seq(1).ack(2), where);
            break;
        case State::closing:
            enter(s, State::fin_wait_1, where);
            s.inject(FinAck().seq(1).ack(1));
            s.expect(Ack().seq(2).ack(2), where);
            break;
        case State::last_ack:
            enter(s, State::close_wait, where);
            s.call_close();
            s.expect(FinAck().seq(1).ack(2), where);
            break;
        case State::time_wait:
            enter(s, State::fin_wait_2, where);
            s.inject(FinAck().seq(1).ack(2));
            s.expect(Ack().seq(2).ack(2), where);
            break;
    }
    s.expect_state(state, where);
    s.expect_nothing(where);
}

// ---- judgments

State Script::state() const {
    if (place_ == Place::time_wait) return State::time_wait;
    if (place_ == Place::alive) return c_.state.load();
    return listening_ ? State::listen : State::closed;
}

void Script::expect_state(State expected, Where where) {
    // A listener goes on when its connection has ended; for the connection's fate that is CLOSED.
    State actual = state();
    if (expected == State::closed && actual == State::listen) actual = State::closed;
    if (actual != expected)
        fail(where, std::string{"the state is "} + tcp::name(actual) + ", expected " +
                        tcp::name(expected));
}

void Script::expect_closed(CloseReason reason, Where where) {
    if (closed_count_ != 1 || reason_ != reason)
        fail(where,
             std::string{"closed: "} + tcp::name(reason_) + ", expected " + tcp::name(reason));
}

void Script::expect_open(Where where) {
    if (place_ != Place::alive || closed_count_ != 0)
        fail(where, std::string{"the connection is over: "} + tcp::name(reason_));
}

void Script::expect_received(std::string_view text, Where where) {
    if (received_ != text)
        fail(where, "received " + std::to_string(received_.size()) + " bytes `" +
                        received_.substr(0, 60) + "`, expected `" + std::string{text} + "`");
    received_.clear();
}

void Script::expect_received_bytes(uint32_t count, Where where) {
    bool right = received_.size() == count;
    const uint64_t first = received_total_ - received_.size();
    for (uint32_t i = 0; right && i < count; ++i)
        right = static_cast<uint8_t>(received_[i]) == stream_byte(first + i, peer_salt);
    if (!right)
        fail(where, "received " + std::to_string(received_.size()) + " bytes, expected " +
                        std::to_string(count) + " of the peer's stream from " +
                        std::to_string(first));
    received_.clear();
}

uint32_t Script::unread() const { return place_ == Place::alive ? tcp::unread_bytes(c_, env_) : 0; }

void Script::fail(Where where, const std::string& text) const {
    ADD_FAILURE_AT(where.file_name(), static_cast<int>(where.line())) << text << story();
}

std::string Script::story() const {
    std::string text = "\n  at " + milliseconds_text((now_ - begin_).count_us()) + " in " +
                       tcp::name(state()) + "; the story so far (> in, < out):";
    const size_t shown = std::min<size_t>(story_.size(), 24);
    for (size_t i = story_.size() - shown; i < story_.size(); ++i) text += "\n    " + story_[i];
    return text;
}

}  // namespace synfin::conformance
