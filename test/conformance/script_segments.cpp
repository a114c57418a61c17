// The way of segments through a script: in, as the stack would pass them on, and out, each held
// against the rules that every segment has to keep.
#include <algorithm>

#include <gtest/gtest.h>

#include "script.hpp"

namespace synfin::conformance {

// ---- segments in

uint32_t Script::milliseconds_of_peer() const {
    return 1000 + static_cast<uint32_t>((now_ - begin_).count_ms());
}

tcp::Segment Script::segment_of(const Packet& p, std::string& storage) {
    tcp::Segment s;
    s.flags = p.flags;
    if (p.push_presence == Presence::required) s.flags |= wire::flag::psh;
    const uint32_t relative = p.sequence.value_or(p.flags.syn() ? 0 : peer_next_);
    s.seq = peer_seq(relative);
    // The field is there without the flag, too: a forged segment may fill it in.
    if (p.flags.ack() || p.acknowledgment) s.ack = local_seq(p.acknowledgment.value_or(sent_end_));
    s.window = p.window_field.value_or(peer_window_);
    s.urgent = p.urgent_pointer;
    s.ecn = p.ecn.value_or(wire::Ecn::not_capable);
    if (p.content) {
        storage = *p.content;
    } else {
        const uint32_t first = relative + (p.flags.syn() ? 1u : 0u) - 1u;
        for (uint32_t i = 0; i < p.length_bytes; ++i)
            storage += static_cast<char>(stream_byte(uint32_t{first + i}, peer_salt));
    }
    s.payload = {reinterpret_cast<const uint8_t*>(storage.data()), storage.size()};
    auto& o = s.options;
    if (p.mss_option) o.has_mss = true, o.mss = *p.mss_option;
    if (p.scale_option) o.has_window_scale = true, o.window_scale = *p.scale_option;
    if (p.user_timeout_option) {
        o.has_user_timeout = true;
        o.user_timeout = *p.user_timeout_option;
    }
    o.sack_permitted = p.sack_permitted_presence == Presence::required;
    const bool negotiated = peer_offered_ts_ && we_offered_ts_ && !p.flags.rst();
    if (p.timestamp_presence == Presence::required ||
        (p.timestamp_presence == Presence::unspecified && negotiated && !p.flags.syn())) {
        o.has_timestamps = true;
        o.ts_value = p.ts_value.value_or(milliseconds_of_peer());
        o.ts_echo = p.ts_echo.value_or(p.flags.ack() ? last_ts_value_ : 0);
    }
    if (p.sack_blocks) {
        for (const auto& b : *p.sack_blocks)
            o.sack[o.sack_count++] = {local_isn_ + b.left, local_isn_ + b.right};
    }
    return s;
}

void Script::note_injected(const Packet& p, const tcp::Segment& s) {
    const uint32_t end = s.end().value() - setup_.peer_isn;
    if (!s.flags.rst() && end < 0x8000'0000 && end > peer_next_) peer_next_ = end;
    const State at = state();
    if (s.flags.syn() && (at <= State::syn_sent || at == State::time_wait)) {
        peer_mss_ = p.mss_option;
        peer_offered_ts_ = s.options.has_timestamps;
        peer_offered_scale_ = s.options.has_window_scale;
        peer_scale_ = std::min<uint8_t>(s.options.window_scale, 14);
    }
    if (s.flags.rst()) return;
    const bool scaled = !s.flags.syn() && peer_offered_scale_ && we_offered_scale_;
    const uint64_t window = uint64_t{s.window} << (scaled ? peer_scale_ : 0);
    const uint32_t ack = s.flags.ack() ? s.ack.value() - local_isn_ : 1;
    if (ack <= sent_end_ || !s.flags.ack()) right_edge_ = std::max(right_edge_, ack + window);
}

void Script::inject(const Packet& packet) { inject_burst({packet}); }

void Script::inject_burst(const std::vector<Packet>& packets) {
    for (const auto& packet : packets) {
        story_.push_back("> " + to_text(packet));
        std::string storage;
        const auto segment = segment_of(packet, storage);
        note_injected(packet, segment);
        arrive(segment);
    }
    settle();
}

void Script::arrive(const tcp::Segment& segment) {
    switch (place_) {
        case Place::alive:
            take_result(tcp::input(c_, segment, env_, now_));
            tcp::check_invariants(c_, env_);
            return;
        case Place::time_wait:
            switch (tcp::on_segment_in_time_wait(record_, segment)) {
                case tcp::TimeWaitVerdict::ignore: return;
                case tcp::TimeWaitVerdict::restart_and_acknowledge:
                    time_wait_end_ = now_ + setup_.time_wait;
                    [[fallthrough]];
                case tcp::TimeWaitVerdict::acknowledge:
                    record_reply({record_.snd_nxt, record_.rcv_nxt, wire::flag::ack});
                    return;
                case tcp::TimeWaitVerdict::reopen:
                    if (!listening_) return;
                    place_ = Place::none;
                    arrive_at_listener(segment, record_.snd_nxt);
                    return;
            }
            return;
        case Place::none:
            if (listening_) {
                arrive_at_listener(segment, std::nullopt);
            } else if (auto reply = tcp::reply_in_closed(segment)) {
                record_reply(*reply);
            }
            return;
    }
}

void Script::arrive_at_listener(const tcp::Segment& segment, std::optional<tcp::Seq> last_seq) {
    const auto f = segment.flags;
    if (f.syn() && !f.ack() && !f.rst() && !f.fin()) {
        fresh_connection();
        tcp::open_passive(c_, segment, last_seq, env_, now_);
        tcp::check_invariants(c_, env_);
    } else if (auto reply = tcp::reply_in_listen(segment)) {
        record_reply(*reply);
    }
}

void Script::take_result(const tcp::InputResult& result) {
    if (result.events.has(tcp::Event::urgent)) urgent_told_.push_back(result.urgent_bytes);
    if (!result.data.empty()) {
        if (reading_) {
            take_bytes(result.data);
        } else if (tcp::keep_unread(c_, result.data, env_) < result.data.size()) {
            take_events(tcp::abort(c_, env_, now_));
        }
    }
    take_events(result.events);
    if (result.reply) record_reply(*result.reply);
}

void Script::take_events(const tcp::Events& e) {
    if (e.has(tcp::Event::acknowledged)) ++room_told_count_;
    if (e.has(tcp::Event::established)) {
        ++established_count_;
        user_knows_ = true;
        EXPECT_EQ(established_count_, 1u) << "established twice" << story();
        react(when_established);
    }
    if (e.has(tcp::Event::readable) && reading_) read_unread();
    if (e.has(tcp::Event::peer_closed)) {
        ++peer_closed_count_;
        EXPECT_EQ(peer_closed_count_, 1u) << "the peer's FIN was taken twice" << story();
        react(when_peer_closed);
    }
    if (e.report != tcp::Report::none) reports_.push_back(e.report);
    if (e.report == tcp::Report::retrying) ++retrying_count_;
    if (e.closed == CloseReason::finished && unread() > 0) {
        untold_ = e.closed;
    } else if (e.closed != CloseReason::none) {
        tell_closed(e.closed);
    }
}

void Script::tell_closed(CloseReason reason) {
    untold_ = CloseReason::none;
    ++closed_count_;
    EXPECT_EQ(closed_count_, 1u) << "closed twice, now: " << tcp::name(reason) << story();
    reason_ = reason;
    user_knows_ = false;
    story_.push_back(std::string{"closed: "} + tcp::name(reason));
}

void Script::react(const std::function<void()>& reaction) {
    in_event_ = true;
    reaction();
    in_event_ = false;
}

void Script::read_unread() {
    for (auto piece = tcp::peek_unread(c_, env_); !piece.empty();
         piece = tcp::peek_unread(c_, env_)) {
        const auto size = static_cast<uint32_t>(piece.size());
        take_bytes(piece);
        tcp::consume_unread(c_, size, env_, now_);
    }
}

void Script::take_bytes(std::span<const uint8_t> bytes) {
    received_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    received_total_ += bytes.size();
}

// ---- segments out

void Script::record_reply(const tcp::Reply& reply) {
    Sent sent;
    sent.at_us = (now_ - begin_).count_us();
    sent.seq = reply.seq.value() - local_isn_;
    sent.ack = reply.ack.value() - setup_.peer_isn;
    sent.flags = reply.flags;
    sent.reply_without_connection = true;
    // A RST without ACK carries 0 by section 3.10.7.1, which has no meaning relative to an ISN.
    if (reply.flags.rst() && reply.flags.ack()) {
        EXPECT_EQ(reply.seq.value(), 0u) << "RST,ACK of a closed port has sequence 0" << story();
        sent.seq = 0;
    }
    story_.push_back("< " + to_text(sent));
    sent_.push_back(sent);
}

void Script::record(const tcp::OutSegment& out, bool wanted) {
    if (out.flags.syn() && !isn_known_) {
        local_isn_ = out.seq.value();
        isn_known_ = true;
    }
    Sent sent;
    sent.at_us = (now_ - begin_).count_us();
    sent.seq = out.seq.value() - local_isn_;
    sent.ack = out.flags.ack() ? out.ack.value() - setup_.peer_isn : 0;
    sent.window = out.window;
    sent.urgent = out.urgent;
    sent.flags = out.flags;
    sent.ecn = out.ecn;
    sent.options = out.options;
    for (unsigned i = 0; i < out.options.sack_count; ++i)
        sent.sack_blocks.push_back({out.options.sack[i].left - setup_.peer_isn,
                                    out.options.sack[i].right - setup_.peer_isn});
    EXPECT_LE(out.piece_count, tcp::OutSegment::max_pieces) << story();
    for (unsigned i = 0; i < out.piece_count; ++i)
        sent.payload.append(reinterpret_cast<const char*>(out.pieces[i].data()),
                            out.pieces[i].size());
    story_.push_back("< " + to_text(sent) + " at " + milliseconds_text(sent.at_us));
    EXPECT_TRUE(wanted) << "wants_output said no, and yet there was a segment" << story();
    EXPECT_EQ(sent.payload.size(), out.payload_length) << "pieces and payload_length" << story();
    judge_segment(sent, out);
    if (sent.flags.syn()) {
        we_offered_ts_ = sent.options.has_timestamps;
        we_offered_scale_ = sent.options.has_window_scale;
        our_scale_ = sent.options.window_scale;
    }
    if (sent.options.has_timestamps) last_ts_value_ = sent.options.ts_value;
    if (!sent.flags.rst()) sent_end_ = std::max(sent_end_, sent.end());
    sent_.push_back(std::move(sent));
}

void Script::judge_segment(const Sent& s, const tcp::OutSegment& out) {
    judge_header(s);
    if (!s.payload.empty()) judge_payload(s);
    if (s.flags.ack() && !s.flags.rst()) judge_promises(s);
    EXPECT_TRUE(!s.flags.fin() || s.end() == 1 + stream_.size() + 1)
        << "a FIN follows all queued data" << story();
    EXPECT_TRUE(s.flags.urg() || out.urgent == 0) << story();
}

void Script::judge_header(const Sent& s) {
    const auto& o = s.options;
    const auto f = s.flags;
    if (!f.syn()) {
        EXPECT_FALSE(o.has_mss) << "MUST-65: MSS only on SYN" << story();
        EXPECT_FALSE(o.has_window_scale) << "RFC 7323: window scale only on SYN" << story();
        EXPECT_FALSE(o.sack_permitted) << "RFC 2018: SACK-permitted only on SYN" << story();
    }
    if (!f.syn() && !f.rst()) {
        EXPECT_EQ(o.has_timestamps, peer_offered_ts_ && we_offered_ts_)
            << "RFC 7323 section 3.2: timestamps on each segment or on none" << story();
        EXPECT_TRUE(f.ack()) << "RFC 9293 section 3.1: ACK is always sent once established"
                             << story();
    }
    const bool new_data = !f.syn() && !f.rst() && !s.payload.empty() && s.seq >= sent_end_;
    EXPECT_TRUE(new_data || s.ecn == wire::Ecn::not_capable)
        << "RFC 3168 section 6.1: ECT on new data only" << story();
    EXPECT_TRUE(setup_.profile.user_timeout_option || !o.has_user_timeout) << story();
    EXPECT_TRUE(urgent_given_ || !f.urg()) << "SHLD-13" << story();
    EXPECT_FALSE(f.syn() && (f.fin() || f.rst())) << story();
    EXPECT_FALSE(f.fin() && f.rst()) << story();
}

/// The user's bytes, in segments that the peer's MSS and its window allow.
void Script::judge_payload(const Sent& s) {
    const auto length = static_cast<uint32_t>(s.payload.size());
    const uint32_t offset = s.seq + (s.flags.syn() ? 1u : 0u) - 1u;
    EXPECT_FALSE(s.flags.rst()) << "a RST of ours carries no payload" << story();
    EXPECT_TRUE(offset + uint64_t{length} <= stream_.size() &&
                stream_.compare(offset, length, s.payload) == 0)
        << "the payload is not what the user gave at that offset" << story();
    const uint32_t offered = peer_mss_.value_or(setup_.ipv6 ? 1220 : 536);
    const uint32_t allowed = std::min<uint32_t>(offered, setup_.mtu - (setup_.ipv6 ? 60u : 40u));
    EXPECT_LE(length + (s.options.has_timestamps ? 12u : 0u), std::max(allowed, 48u))
        << "MUST-16: longer than the effective send MSS" << story();
    const bool last_for_the_first_time =
        s.end() > sent_end_ && offset + uint64_t{length} == stream_.size();
    EXPECT_TRUE(s.flags.psh() || more_follows_ || !last_for_the_first_time)
        << "MUST-61: PSH on the last of the queued bytes" << story();
    const uint64_t data_end = uint64_t{offset} + 1 + length;
    EXPECT_TRUE(data_end <= right_edge_ || data_end <= sent_end_ || length == 1)
        << "new data beyond the peer's window (right edge " << right_edge_ << ")" << story();
}

/// What we told the peer is not taken back.
void Script::judge_promises(const Sent& s) {
    EXPECT_GE(s.ack, last_ack_.value_or(0)) << "the acknowledgment went back" << story();
    last_ack_ = s.ack;
    const bool scaled = !s.flags.syn() && peer_offered_scale_ && we_offered_scale_;
    const uint32_t edge = s.ack + (uint32_t{s.window} << (scaled ? our_scale_ : 0));
    EXPECT_GE(edge, announced_edge_.value_or(0)) << "SHLD-14: the window shrank" << story();
    announced_edge_ = edge;
}

void Script::settle() {
    if (in_event_) return;
    constexpr int most_segments_of_one_event = 20'000;
    for (int i = 0; place_ == Place::alive; ++i) {
        tcp::check_invariants(c_, env_);
        const bool wanted = tcp::wants_output(c_, env_);
        tcp::OutSegment out;
        if (!tcp::next_segment(c_, out, env_, now_)) break;
        record(out, wanted);
        if (i == most_segments_of_one_event) {
            ADD_FAILURE() << "output does not come to an end" << story();
            break;
        }
    }
    if (place_ != Place::alive) return;
    tcp::check_invariants(c_, env_);
    if (untold_ != CloseReason::none) {
        if (unread() > 0) return;
        tell_closed(untold_);
    }
    if (c_.state.load() == State::time_wait) {
        record_ = tcp::make_time_wait(c_);
        let_go();
        if (setup_.time_wait > Duration{}) {
            place_ = Place::time_wait;
            time_wait_end_ = now_ + setup_.time_wait;
        }
    } else if (c_.state.load() == State::closed) {
        let_go();
    }
}

void Script::let_go() {
    place_ = Place::none;
    // A half-open connection of a listener ends without a word to anybody.
    EXPECT_TRUE(closed_count_ == 1 || established_count_ == 0)
        << "the connection is gone and the user does not know" << story();
    tcp::release(c_, env_);
}

}  // namespace synfin::conformance
