// A burst of frames, in stages, so that the memory latency of one packet hides behind the work on
// the others: all are parsed and hashed first, which asks for their table buckets; then the likely
// connections are asked for; then each segment runs through the protocol. The lookup that counts is
// made last, because a segment of the same burst may have opened or ended the connection.
#include <synfin/stack/worker_impl.hpp>
#include <synfin/wire/usual_frame.hpp>

namespace synfin::stack {

using tcp::Seq;

namespace {

constexpr size_t parse_ahead = 4;

tcp::Segment segment_of(const wire::Packet& p) {
    return {.seq = Seq{p.seq},
            .ack = Seq{p.ack},
            .window = p.window,
            .urgent = p.urgent,
            .flags = p.flags,
            .ecn = wire::ecn_of(p.traffic_class),
            .options = p.options,
            .payload = p.payload};
}

bool is_segment_error(wire::Drop drop) {
    return drop == wire::Drop::tcp_too_short || drop == wire::Drop::tcp_bad_offset ||
           drop == wire::Drop::tcp_bad_checksum || drop == wire::Drop::tcp_bad_options;
}

}  // namespace

void Worker::Impl::receive(std::span<const Frame> frames, StageProfile* profile) {
    const auto enter = [profile](Stage stage) {
        if (profile != nullptr) [[unlikely]]
            profile->enter(stage);
    };
    while (!frames.empty()) {
        const auto burst = frames.first(std::min<size_t>(frames.size(), receive_burst_max));
        frames = frames.subspan(burst.size());
        enter(Stage::parse);
        parse(burst);
        enter(Stage::lookup);
        hash_segments();
        ask_for_connections();
        if (profile == nullptr) [[likely]] {
            for (uint32_t i = 0; i < segment_count; ++i) take_segment(segments[i], [] {});
        } else {
            for (uint32_t i = 0; i < segment_count; ++i) {
                profile->enter(Stage::input);
                take_segment(segments[i], [profile] { profile->enter(Stage::application); });
            }
        }
    }
    tell_notices();
}

void Worker::Impl::ask_for_connections() {
    for (uint32_t i = 0; i < segment_count; ++i) {
        Arrived& a = arrived[segments[i]];
        const uint32_t likely = table.candidate(a.hash);
        a.likely = likely;
        // A FIN may make a TIME_WAIT record; what has no connection may belong to one.
        if (a.packet.flags.fin() || (likely == no_index && time_waits.size() != 0)) {
            time_waits.prefetch(a.hash);
        }
        if (likely == no_index) continue;
        __builtin_prefetch(&connections[likely], 1);
        __builtin_prefetch(reinterpret_cast<const char*>(&connections[likely]) + 64, 1);
        __builtin_prefetch(&owner_of[likely]);
    }
}

void Worker::Impl::hash_segments() {
    std::array<flow::FourTuple, receive_burst_max> tuples;
    std::array<uint32_t, receive_burst_max> hashes;
    for (uint32_t i = 0; i < segment_count; ++i) tuples[i] = arrived[segments[i]].tuple;
    flow::tuple_hash_burst({tuples.data(), segment_count}, hash_key, hashes);
    for (uint32_t i = 0; i < segment_count; ++i) {
        arrived[segments[i]].hash = hashes[i];
        table.prefetch(hashes[i]);
    }
}

void Worker::Impl::parse(std::span<const Frame> frames) {
    addresses.reclaim();
    segment_count = 0;
    uint64_t octets = 0;
    for (size_t i = 0; i < frames.size(); ++i) {
        if (i + parse_ahead < frames.size()) __builtin_prefetch(frames[i + parse_ahead].data);
        const Frame& frame = frames[i];
        wire::Packet& packet = arrived[i].packet;
        // What the device found wrong is looked at again here, and dropped under its own name.
        const wire::VerifiedChecksums verified{
            .ip = frame.ip_checksum_good && !frame.checksum_bad,
            .tcp = frame.tcp_checksum_good && !frame.checksum_bad};
        const std::span<const uint8_t> bytes{frame.data, frame.length};
        const auto place = static_cast<uint32_t>(i);
        octets += frame.length;
        if (wire::parse_usual_frame(bytes, verified, packet)) [[likely]] {
            if (is_for_our_end(frame, packet)) add_segment(frame, place);
        } else {
            wire::parse_frame_slowly(bytes, verified, packet);
            classify(frame, packet, place);
        }
    }
    counters.frames_in += frames.size();
    counters.octets_in += octets;
}

bool Worker::Impl::is_for_our_end(const Frame& frame, const wire::Packet& packet) {
    const LinkEnd& end = interfaces[frame.port].end;
    if (packet.vlan() != end.vlan) {
        ++counters.drop_vlan;
        return false;
    }
    if (!packet.link_group && !packet.is_to(end.mac)) {
        ++counters.drop_other_mac;
        return false;
    }
    return true;
}

void Worker::Impl::add_segment(const Frame& frame, uint32_t place) {
    find_name(place, frame.port);
    segments[segment_count++] = static_cast<uint8_t>(place);
}

// The checks that need to know who we are (RFC 1122 section 3.2.1.3); what is not TCP is dealt with
// at once.
void Worker::Impl::classify(const Frame& frame, const wire::Packet& packet, uint32_t place) {
    if (packet.kind == wire::PacketKind::drop) {
        count_drop(packet.drop);
        if (packet.problem.is_to_be_told) tell_problem(frame, packet);
        return;
    }
    if (!is_for_our_end(frame, packet)) return;
    if (packet.kind == wire::PacketKind::arp) return take_arp(packet, frame.port);
    if (packet.link_group) return take_group_message(packet, frame.port);
    if (packet.kind == wire::PacketKind::tcp) return add_segment(frame, place);
    if (!is_between_us_and_a_peer(packet)) return;
    if (packet.kind == wire::PacketKind::fragment) return take_fragment(place, frame.port);
    if (packet.kind == wire::PacketKind::icmp4) return take_icmp4(packet, frame.port);
    if (packet.kind == wire::PacketKind::icmp6) return take_icmp6(packet, frame.port);
    ++counters.drop_protocol;
    refuse_protocol(packet, frame.port);
}

void Worker::Impl::count_drop(wire::Drop reason) {
    drops.add(reason);
    if (is_segment_error(reason)) {
        ++tcp_counters.in_segs;
        ++tcp_counters.in_errs;
    }
}

void Worker::Impl::find_name(uint32_t place, uint8_t port) {
    Arrived& a = arrived[place];
    a.port = port;
    a.likely = no_index;
    a.tuple = {.local_address = known_id(a.packet.destination),
               .remote_address = known_id(a.packet.source),
               .local_port = a.packet.destination_port,
               .remote_port = a.packet.source_port};
}

void Worker::Impl::take_fragment(uint32_t place, uint8_t port) {
    Arrived& a = arrived[place];
    const wire::Fragment fragment = wire::read_fragment(a.packet.network);
    const auto whole = reassembly.take(fragment, now, counters);
    if (whole.empty()) return;
    switch (wire::parse_whole(whole, fragment.identification, a.packet)) {
        case wire::PacketKind::drop: return count_drop(a.packet.drop);
        case wire::PacketKind::tcp:
            find_name(place, port);
            a.hash = flow::tuple_hash(a.tuple, hash_key);
            return take_segment(place, [] {});
        case wire::PacketKind::icmp4: return take_icmp4(a.packet, port);
        case wire::PacketKind::icmp6: return take_icmp6(a.packet, port);
        default: ++counters.drop_protocol; return;
    }
}

// Not asked for a segment whose connection is found: it is, or there would be no connection.
bool Worker::Impl::is_between_us_and_a_peer(const wire::Packet& packet) {
    if (!addressing.owns(packet.destination)) {
        ++counters.drop_other_address;
        return false;
    }
    if (addressing.is_broadcast(packet.source)) {
        ++counters.drop_from_broadcast;
        return false;
    }
    if (addressing.owns(packet.source)) {
        ++counters.drop_from_ourselves;
        return false;
    }
    return true;
}

template <typename BeforeDelivery>
void Worker::Impl::take_segment(uint32_t place, BeforeDelivery&& before_delivery) {
    Arrived& a = arrived[place];
    const tcp::Segment segment = segment_of(a.packet);
    uint32_t index = a.likely;
    if (!is_in_table(index, a.tuple)) index = look_up(a.tuple, a.hash);
    if (index == no_index && a.packet.source.is_v6()) index = look_up_anew(a);
    if (index == no_index) {
        if (!is_between_us_and_a_peer(a.packet)) return;
        ++tcp_counters.in_segs;
        take_segment_without_connection(a, segment);
        return;
    }
    ++tcp_counters.in_segs;
    if (connections[index].state == tcp::State::syn_received && is_put_off(index, segment))
        [[unlikely]]
        return;
    const tcp::InputResult result = tcp::input(connections[index], segment, env, now);
    if (result.reply) [[unlikely]]
        reply_with(*result.reply, a);
    before_delivery();
    deliver(index, result);
}

// An IPv6 address may have got its id from an earlier segment of the same burst.
uint32_t Worker::Impl::look_up_anew(Arrived& a) {
    a.tuple.local_address = known_id(a.packet.destination);
    a.tuple.remote_address = known_id(a.packet.source);
    a.hash = flow::tuple_hash(a.tuple, hash_key);
    return look_up(a.tuple, a.hash);
}

void Worker::Impl::take_segment_without_connection(const Arrived& a, const tcp::Segment& segment) {
    std::optional<Seq> last_seq;
    if (take_segment_in_time_wait(a, segment, last_seq)) return;
    const wire::SocketAddress local{a.packet.destination, a.packet.destination_port};
    const OwnerNumber listener = owners.find(local);
    if (listener == no_owner) {
        if (const auto reply = tcp::reply_in_closed(segment)) reply_with(*reply, a);
        return;
    }
    const wire::TcpFlags flags = segment.flags;
    if (flags.syn() && !flags.ack() && !flags.rst()) {
        if (flags.fin()) {
            ++tcp_counters.drop_illegal_flags;
            return;
        }
        open_passive(listener, a, segment, last_seq);
        return;
    }
    if (take_cookie(listener, a, segment)) return;
    if (const auto reply = tcp::reply_in_listen(segment)) {
        reply_with(*reply, a);
    } else if (!flags.rst()) {
        ++(flags.fin() ? tcp_counters.drop_fin_before_syn : tcp_counters.drop_no_ack);
    }
}

void Worker::Impl::reply_with(const tcp::Reply& reply, const Arrived& a) {
    if (!reset_limit.take(now)) {
        ++counters.resets_limited;
        return;
    }
    if (reply.flags.rst()) ++tcp_counters.out_rsts;
    ++tcp_counters.out_segs;
    push_reply(a.port, SegmentReply{.destination = a.packet.source_mac(),
                                    .local = {a.packet.destination, a.packet.destination_port},
                                    .remote = {a.packet.source, a.packet.source_port},
                                    .seq = reply.seq,
                                    .ack = reply.ack,
                                    .flags = reply.flags});
}

void Worker::Impl::push_reply(uint8_t port, const Reply& reply) {
    if (!interfaces[port].replies.push(reply)) ++counters.replies_dropped;
}

}  // namespace synfin::stack
