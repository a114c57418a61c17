// A burst of frames, in stages, so that the memory latency of one packet hides behind the work on
// the others: all are parsed and hashed first, which asks for their table buckets; then the likely
// connections are asked for; then each segment runs through the protocol. The lookup that counts is
// made last, because a segment of the same burst may have opened or ended the connection.
#include <synfin/stack/delivery.hpp>
#include <synfin/tcp/usual_input.hpp>

namespace synfin::stack {

using tcp::Seq;

namespace {

constexpr size_t parse_ahead = 4;
constexpr size_t records_ahead = 16;
// The index of TIME_WAIT is the largest of all tables, and the core seldom knows the pages of it. A
// prefetch lasts until its page is known, so it costs a third when several follow each other: then
// their pages are looked up at once.
constexpr size_t asked_together = 8;
const auto ipv4_behind_tag = wire::UsualBeginning::ipv4().behind_tag();
const auto ipv6_behind_tag = wire::UsualBeginning::ipv6().behind_tag();
/// Nearly always nobody watches what becomes of a segment.
struct Unwatched {
    void before_lookup() const {}
    void before_input(uint32_t, const Arrived&) const {}
    void before_delivery() const {}
};

tcp::Segment segment_of(const wire::Packet& p) {
    tcp::Segment s;
    s.control() = static_cast<const wire::TcpControl&>(p);
    s.ack = Seq{p.ack};
    s.seq = Seq{p.seq};
    s.ecn = wire::ecn_of(p.traffic_class);
    s.options = p.options;
    s.payload = p.payload;
    return s;
}

bool is_segment_error(wire::Drop drop) {
    return drop == wire::Drop::tcp_too_short || drop == wire::Drop::tcp_bad_offset ||
           drop == wire::Drop::tcp_bad_checksum || drop == wire::Drop::tcp_bad_options;
}

}  // namespace

/// For the historian, and for who wants to know where the time goes.
struct Worker::Impl::Watching {
    Impl& impl;
    StageProfile* profile;
    void before_lookup() const {
        if (profile != nullptr) profile->enter(Stage::input);
    }
    void before_input(uint32_t index, const Arrived& a) const { impl.note_arrival(index, a); }
    void before_delivery() const {
        if (profile != nullptr) profile->enter(Stage::application);
    }
};

void Worker::Impl::receive(uint8_t port, std::span<const Frame> frames, StageProfile* profile) {
    const auto enter = [profile](Stage stage) {
        if (profile != nullptr) [[unlikely]]
            profile->enter(stage);
    };
    receiving_port = port;
    while (!frames.empty()) {
        const auto burst = frames.first(std::min<size_t>(frames.size(), receive_burst_max));
        frames = frames.subspan(burst.size());
        addresses.reclaim();
        enter(Stage::parse);
        parse(port, burst);
        enter(Stage::lookup);
        ask_for_connections();
        if (profile == nullptr && historian == nullptr) [[likely]] {
            take_segments(Unwatched{});
        } else {
            take_segments(Watching{*this, profile});
        }
    }
    tell_notices();
}

template <typename Watcher>
void Worker::Impl::take_segments(const Watcher& watcher) {
    records_asked = 0;
    for (size_t i = 0; i < records_ahead; ++i) ask_for_next_record();
    for (Arrived& a : std::span<Arrived>{arrived.data(), segment_count}) {
        if (a.likely == no_index) ask_for_next_record();
        watcher.before_lookup();
        take_segment(a, watcher);
    }
}

// What has no connection may belong to one that was. The lines of such records come from memory,
// of which only so many are on their way at once: so they are asked for one by one, during the work
// on others. Inline, because g++ leaves out the call of a function that does no more than ask.
[[gnu::always_inline]] inline void Worker::Impl::ask_for_next_record() {
    if (records_asked == stray_count) return;
    time_waits.prefetch_records(strays[records_asked++]->hash);
}

void Worker::Impl::ask_for_connections() {
    const bool may_have_records = time_waits.size() != 0;
    // g++ would load both anew for each.
    const tcp::Connection* const all = &connections[0];
    const OwnerNumber* const owner_numbers = owner_of;
    uint32_t count = 0;
    for (Arrived& a : std::span<Arrived>{arrived.data(), segment_count}) {
        const uint32_t likely = table.candidate(a.home, a.hash);
        a.likely = likely;
        if (likely == no_index) {
            if (may_have_records) strays[count++] = &a;
            continue;
        }
        __builtin_prefetch(&all[likely], 1);
        __builtin_prefetch(reinterpret_cast<const char*>(&all[likely]) + 64, 1);
        __builtin_prefetch(&owner_numbers[likely]);
    }
    stray_count = count;
}

// A SYN is looked for in TIME_WAIT, and a FIN may lead there.
[[gnu::always_inline]] inline bool Worker::Impl::may_concern_time_wait(wire::TcpFlags flags) const {
    if (!flags.has_any(wire::flag::syn | wire::flag::fin)) return false;
    return !flags.syn() || (!flags.ack() && time_waits.size() != 0);
}

void Worker::Impl::parse(uint8_t port, std::span<const Frame> frames) {
    const wire::UsualBeginning& usual_ipv4 = interfaces[port].usual_ipv4;
    Arrived* next = arrived.data();
    uint64_t octets = 0;
    std::array<uint32_t, asked_together> to_ask;
    uint32_t* asked_end = to_ask.data();
    const auto ask_for_time_waits = [&] {
        for (const uint32_t* hash = to_ask.data(); hash != asked_end; ++hash)
            time_waits.prefetch(*hash);
        asked_end = to_ask.data();
    };
    const Frame* const end = frames.data() + frames.size();
    for (const Frame& frame : frames) {
        if (const Frame* ahead = &frame + parse_ahead; ahead < end) __builtin_prefetch(ahead->data);
        octets += frame.length;
        Arrived& a = *next;
        const uint8_t* const data = frame.data;
        if (wire::read_usual_ipv4({data, frame.length}, frame.verified, usual_ipv4, a.segment))
            [[likely]] {
            fill_in(a, wire::UsualIpv4Ends{data}, data);
        } else if (!read_usual_ipv6_or_tagged(port, frame, a) && !classify(port, frame, a)) {
            continue;
        }
        a.home = table.prefetch(a.hash);
        if (may_concern_time_wait(a.segment.flags)) {
            *asked_end++ = a.hash;
            if (asked_end == to_ask.data() + asked_together) ask_for_time_waits();
        }
        ++next;
    }
    ask_for_time_waits();
    segment_count = static_cast<uint32_t>(next - arrived.data());
    counters.frames_in += frames.size();
    counters.octets_in += octets;
}

[[gnu::always_inline]] inline void Worker::Impl::fill_in(Arrived& a,
                                                         const wire::UsualIpv4Ends& ends,
                                                         const uint8_t* ethernet) const {
    a.segment.ecn = wire::ecn_of(ends.traffic_class());
    flow::read_ipv4_ends(ends.all(), hash_key, a);
    a.ethernet = ethernet;
}

[[gnu::always_inline]] inline void Worker::Impl::fill_in(Arrived& a,
                                                         const wire::UsualIpv6Ends& ends,
                                                         const uint8_t* ethernet) const {
    a.segment.ecn = wire::ecn_of(ends.traffic_class());
    a.tuple = {.local_address = addresses.lookup_v6(ends.destination()),
               .remote_address = addresses.lookup_v6(ends.source()),
               .local_port = ends.destination_port(),
               .remote_port = ends.source_port()};
    a.hash = flow::tuple_hash(a.tuple, hash_key);
    a.ethernet = ethernet;
    a.addresses_v6 = ends.addresses();
}

[[gnu::noinline]] bool Worker::Impl::read_usual_ipv6_or_tagged(uint8_t port, const Frame& frame,
                                                               Arrived& a) {
    if (!wire::read_usual_ipv6({frame.data, frame.length}, frame.verified,
                               interfaces[port].usual_ipv6, a.segment)) {
        return read_usual_tagged(port, frame, a);
    }
    fill_in(a, wire::UsualIpv6Ends{frame.data}, frame.data);
    return true;
}

[[gnu::noinline]] bool Worker::Impl::read_usual_tagged(uint8_t port, const Frame& frame,
                                                       Arrived& a) {
    const auto bytes = wire::without_tag({frame.data, frame.length}, interfaces[port].usual_tag);
    const wire::VerifiedChecksums& verified = frame.verified;
    if (wire::read_usual_ipv4(bytes, verified, ipv4_behind_tag, a.segment)) {
        fill_in(a, wire::UsualIpv4Ends{bytes.data()}, frame.data);
        return true;
    }
    if (!wire::read_usual_ipv6(bytes, verified, ipv6_behind_tag, a.segment)) return false;
    fill_in(a, wire::UsualIpv6Ends{bytes.data()}, frame.data);
    return true;
}

bool Worker::Impl::is_for_our_end(uint8_t port, const wire::Packet& p) {
    const LinkEnd& end = interfaces[port].end;
    if (p.vlan() != end.vlan) {
        ++counters.drop_vlan;
        return false;
    }
    if (!p.link_group && !p.is_to(end.mac)) {
        ++counters.drop_other_mac;
        return false;
    }
    return true;
}

// The checks that need to know who we are (RFC 1122 section 3.2.1.3); what is not TCP is dealt with
// at once.
bool Worker::Impl::classify(uint8_t port, const Frame& frame, Arrived& a) {
    wire::Packet& packet = unusual;
    wire::parse_frame_slowly({frame.data, frame.length}, frame.verified, packet);
    if (packet.kind == wire::PacketKind::drop) {
        count_drop(packet.drop);
        if (packet.problem.is_to_be_told) tell_problem(packet, port);
        return false;
    }
    if (!is_for_our_end(port, packet)) return false;
    if (packet.kind == wire::PacketKind::tcp && !packet.link_group) {
        fill_in(a, packet);
        return true;
    }
    take_datagram(packet, port);
    return false;
}

void Worker::Impl::take_datagram(wire::Packet& packet, uint8_t port) {
    if (packet.kind == wire::PacketKind::arp) return take_arp(packet, port);
    if (packet.link_group) return take_group_message(packet, port);
    if (!is_between_us_and_a_peer(packet.destination, packet.source)) return;
    if (packet.kind == wire::PacketKind::fragment) return take_fragment(packet, port);
    if (packet.kind == wire::PacketKind::icmp4) return take_icmp4(packet, port);
    if (packet.kind == wire::PacketKind::icmp6) return take_icmp6(packet, port);
    ++counters.drop_protocol;
    refuse_protocol(packet, port);
}

void Worker::Impl::count_drop(wire::Drop reason) {
    drops.add(reason);
    if (is_segment_error(reason)) {
        ++tcp_counters.in_segs;
        ++tcp_counters.in_errs;
    }
}

void Worker::Impl::fill_in(Arrived& a, const wire::Packet& p) const {
    a.segment = segment_of(p);
    a.tuple = {.local_address = known_id(p.destination),
               .remote_address = known_id(p.source),
               .local_port = p.destination_port,
               .remote_port = p.source_port};
    a.hash = flow::tuple_hash(a.tuple, hash_key);
    a.likely = no_index;
    a.ethernet = p.ethernet;
    a.addresses_v6 = p.network.data() + wire::Ipv6View::addresses_at;
}

void Worker::Impl::take_fragment(wire::Packet& p, uint8_t port) {
    const wire::Fragment fragment = wire::read_fragment(p.network);
    const std::span<const uint8_t> link_header{p.ethernet, p.network.data()};
    const auto whole = reassembly.take(fragment, now, counters);
    if (whole.empty()) return;
    switch (wire::parse_whole(whole, fragment.identification, p)) {
        case wire::PacketKind::drop: return count_drop(p.drop);
        case wire::PacketKind::tcp: {
            Arrived a;
            fill_in(a, p);
            if (config.colleagues != nullptr && !is_ours_to_take(a) &&
                config.colleagues->take(port, a.local(), a.remote(), link_header, whole)) {
                ++counters.segments_to_colleagues;
                return;
            }
            return take_segment(a, Watching{*this, nullptr});
        }
        case wire::PacketKind::icmp4: return take_icmp4(p, port);
        case wire::PacketKind::icmp6: return take_icmp6(p, port);
        default: ++counters.drop_protocol; return;
    }
}

bool Worker::Impl::is_ours_to_take(const Arrived& a) const {
    return look_up(a.tuple, a.hash) != no_index || time_waits.find(a.hash, a.tuple) != no_index;
}

[[gnu::noinline]] bool Worker::Impl::may_be_between_us_and_a_peer(
    const wire::IpAddress& destination, const wire::IpAddress& source) {
    if (!addressing.owns(destination)) {
        ++counters.drop_other_address;
        return false;
    }
    if (addressing.is_broadcast(source)) {
        ++counters.drop_from_broadcast;
        return false;
    }
    if (addressing.owns(source)) {
        ++counters.drop_from_ourselves;
        return false;
    }
    last_asked = {destination, source};
    return true;
}

tcp::History* Worker::Impl::history_of(uint32_t index) {
    const OwnerNumber owner = owner_of[index];
    if (historian == nullptr || owner == no_owner || owners[owner].application != historian)
        return nullptr;
    return historian->history(self, id_of(index));
}

void Worker::Impl::note_arrival(uint32_t index, const Arrived& a) {
    if (tcp::History* history = history_of(index)) {
        tcp::note_arrival(*history, connections[index], a.segment, env, now);
    }
}

template <typename Watcher>
[[gnu::always_inline]] inline void Worker::Impl::take_segment(Arrived& a, const Watcher& watcher) {
    uint32_t index = a.likely;
    if (index == no_index || !is_in_table(connections[index], a)) {
        index = look_up(a.tuple, a.hash);
        if (index == no_index && a.is_v6()) index = look_up_anew(a);
        if (index == no_index) return take_stray(a);
    }
    tcp::Connection& c = connections[index];
    watcher.before_input(index, a);
    ++tcp_counters.in_segs;
    if (c.state == tcp::State::syn_received && may_put_off() && is_put_off(index, a.segment))
        [[unlikely]]
        return;
    tcp::InputResult result;
    if (!tcp::take_usual_segment(c, a.segment, env, moment, result)) [[unlikely]]
        return take_unusual_segment(index, a, watcher);
    if (result.reply) [[unlikely]] {
        // Field by field: a copy of the whole would keep the result in memory.
        const auto& [seq, ack, flags] = *result.reply;
        reply_with({seq, ack, flags}, a, c.profile);
    }
    watcher.before_delivery();
    deliver_now(c, index, result);
}

template <typename Watcher>
[[gnu::noinline]] void Worker::Impl::take_unusual_segment(uint32_t index, const Arrived& a,
                                                          const Watcher& watcher) {
    tcp::InputResult result;
    tcp::take_other_segment(connections[index], a.segment, env, moment, result);
    if (result.reply) reply_with(*result.reply, a, connections[index].profile);
    watcher.before_delivery();
    deliver(index, result);
}

[[gnu::noinline]] void Worker::Impl::take_stray(const Arrived& a) {
    if (is_like_last_syn(a) && open_passive_again(a)) [[likely]]
        return;
    if (!is_between_us_and_a_peer(a)) return;
    ++tcp_counters.in_segs;
    take_segment_without_connection(a);
}

// The parse of a usual frame leaves open whether IPv4 addresses may be those of two hosts.
bool Worker::Impl::is_between_us_and_a_peer(const Arrived& a) {
    const wire::IpAddress destination = a.destination();
    const wire::IpAddress source = a.source();
    if (was_between_us_and_a_peer(destination, source)) return true;
    if (!a.is_v6()) {
        const wire::Drop problem = wire::problem_of_ipv4_ends(source.v4(), destination.v4());
        if (problem != wire::Drop::none) {
            count_drop(problem);
            return false;
        }
    }
    return may_be_between_us_and_a_peer(destination, source);
}

// An IPv6 address may have got its id from an earlier segment of the same burst.
uint32_t Worker::Impl::look_up_anew(Arrived& a) {
    const flow::AddressId local = known_id(a.destination());
    const flow::AddressId remote = known_id(a.source());
    if (local == a.tuple.local_address && remote == a.tuple.remote_address) return no_index;
    a.tuple.local_address = local;
    a.tuple.remote_address = remote;
    a.hash = flow::tuple_hash(a.tuple, hash_key);
    return look_up(a.tuple, a.hash);
}

void Worker::Impl::take_segment_without_connection(const Arrived& a) {
    std::optional<Seq> last_seq;
    const uint32_t entry = time_waits.size() == 0 ? no_index : time_waits.find(a.hash, a.tuple);
    if (entry != no_index && take_segment_in_time_wait(entry, a, last_seq)) return;
    const OwnerNumber listener = owners.find(a.local());
    if (listener == no_owner) {
        if (const auto reply = tcp::reply_in_closed(a.segment)) reply_with(*reply, a, 0);
        return;
    }
    const wire::TcpFlags flags = a.segment.flags;
    if (flags.syn() && !flags.ack() && !flags.rst()) [[likely]] {
        if (flags.fin()) [[unlikely]] {
            ++tcp_counters.drop_illegal_flags;
            return;
        }
        open_passive(listener, a, last_seq);
        return;
    }
    if (take_cookie(listener, a)) return;
    if (const auto reply = tcp::reply_in_listen(a.segment)) {
        reply_with(*reply, a, owners[listener].profile);
    } else if (!flags.rst()) {
        ++(flags.fin() ? tcp_counters.drop_fin_before_syn : tcp_counters.drop_no_ack);
    }
}

SegmentReply Worker::Impl::reply_to(const Arrived& a, uint16_t profile) const {
    const tcp::Profile& p = profiles[profile];
    return {.destination = a.source_mac(),
            .local = a.local(),
            .remote = a.remote(),
            .hop_limit = p.time_to_live,
            .traffic_class = static_cast<uint8_t>(p.diffserv << 2)};
}

void Worker::Impl::reply_with(const tcp::Reply& reply, const Arrived& a, uint16_t profile) {
    if (!reset_limit.take(now)) {
        ++counters.resets_limited;
        return;
    }
    if (reply.flags.rst()) ++tcp_counters.out_rsts;
    ++tcp_counters.out_segs;
    SegmentReply segment = reply_to(a, profile);
    segment.seq = reply.seq;
    segment.ack = reply.ack;
    segment.flags = reply.flags;
    push_reply(receiving_port, segment);
}

void Worker::Impl::push_reply(uint8_t port, const Reply& reply) {
    if (!interfaces[port].replies.push(reply)) ++counters.replies_dropped;
}

}  // namespace synfin::stack
