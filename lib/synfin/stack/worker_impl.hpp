// The inside of a worker: what it holds, and the steps that its files take. Nobody else includes
// it.
//
//   receive.cpp    a burst in stages: parse, hash, prefetch, look up, tcp::input
//   reassembly.hpp fragments, until their datagram is whole
//   datagrams.cpp  what is not TCP: ARP, ICMP, ICMPv6
//   neighbor_discovery.cpp  solicitations and advertisements (IPv6)
//   opening.cpp    how connections come into being: connect, a SYN at a listener
//   usual_opening.cpp  once more what was opened last
//   syn_cookies.cpp  a listener at its limits: SYN,ACKs that leave nothing behind
//   delivery.hpp, delivery.cpp  what happened, told to the application
//   calls.cpp      what the application asks for
//   lifecycle.cpp  ready list, timers, TIME_WAIT, the end of a connection
//   next_hop.cpp   a connection's way out: routes, and waiting for a neighbor
//   own_addresses.cpp  our own addresses: asked for, announced, defended
//   transmit.cpp   frames, from replies and from ready connections
//   snapshot.cpp   `synfin ss`, from any thread
//   worker.cpp     construction, and what anyone may ask
//
// A connection is in at most one list, linked through Connection::next: the ready list of its
// interface, or the waiting list of its neighbor. One that ends while it is linked is let go when
// its turn comes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <synfin/base/apart.hpp>
#include <synfin/base/index_pool.hpp>
#include <synfin/base/moment.hpp>
#include <synfin/base/region.hpp>
#include <synfin/flow/address_book.hpp>
#include <synfin/flow/connection_table.hpp>
#include <synfin/flow/port_allocator.hpp>
#include <synfin/flow/time_wait_table.hpp>
#include <synfin/flow/tuple_hash.hpp>
#include <synfin/stack/addressing.hpp>
#include <synfin/stack/arrived.hpp>
#include <synfin/stack/connection_paths.hpp>
#include <synfin/stack/interface.hpp>
#include <synfin/stack/listener_table.hpp>
#include <synfin/stack/neighbor_cache.hpp>
#include <synfin/stack/notices.hpp>
#include <synfin/stack/profile_pool.hpp>
#include <synfin/stack/reassembly.hpp>
#include <synfin/stack/token_bucket.hpp>
#include <synfin/stack/worker.hpp>
#include <synfin/tcp/core.hpp>
#include <synfin/tcp/fast_open.hpp>
#include <synfin/tcp/history.hpp>
#include <synfin/tcp/usual_close.hpp>
#include <synfin/tcp/usual_send.hpp>
#include <synfin/timer/wheel.hpp>
#include <synfin/wire/icmp6.hpp>
#include <synfin/wire/packet.hpp>
#include <synfin/wire/quoted.hpp>

namespace synfin::tcp {
enum class Usual : uint8_t;
}

namespace synfin::stack {

struct alignas(apart) Worker::Impl {
    Impl(Worker& worker, const WorkerConfig& worker_config);
    void set_now(Instant t) {
        now = t;
        moment = t;
    }

    // Hot is what each segment goes through: behind a dozen conditions a compiler holds the usual
    // way for an unlikely one, and makes it small instead of quick.

    // ---- receive.cpp
    [[gnu::hot]] void receive(uint8_t port, std::span<const Frame> frames, StageProfile* profile);
    void ask_for_connections();
    /// The next segment in line that has no connection may have a record in TIME_WAIT.
    void ask_for_next_record();
    /// Reads the segments of a burst, and asks for where the tables know of their connections.
    void parse(uint8_t port, std::span<const Frame> frames);
    bool may_concern_time_wait(wire::TcpFlags flags) const;
    bool read_usual_ipv6_or_tagged(uint8_t port, const Frame& frame, Arrived& a);
    /// A frame in our VLAN.
    bool read_usual_tagged(uint8_t port, const Frame& frame, Arrived& a);
    /// What is not a usual segment: parsed slowly, and dealt with at once. True: it is a segment
    /// all the same, and `a` is filled in.
    bool classify(uint8_t port, const Frame& frame, Arrived& a);
    void take_datagram(wire::Packet& packet, uint8_t port);
    /// Whether the frame is one of our end of the link; counts what is not.
    bool is_for_our_end(uint8_t port, const wire::Packet& packet);
    void count_drop(wire::Drop reason);
    void fill_in(Arrived& a, const wire::Packet& packet) const;
    void fill_in(Arrived& a, const wire::UsualIpv4Ends& ends, const uint8_t* ethernet) const;
    void fill_in(Arrived& a, const wire::UsualIpv6Ends& ends, const uint8_t* ethernet) const;
    /// What the fragment has made whole goes its way at once, before the burst.
    void take_fragment(wire::Packet& packet, uint8_t port);
    /// Whether the segment is one of a connection of this worker, be it in TIME_WAIT.
    bool is_ours_to_take(const Arrived& a) const;
    /// The addresses of a packet that is for us; counts what is not. Not asked for a segment whose
    /// connection is found: it is, or there would be no connection.
    [[gnu::always_inline]] bool is_between_us_and_a_peer(const wire::IpAddress& destination,
                                                         const wire::IpAddress& source) {
        return was_between_us_and_a_peer(destination, source) ||
               may_be_between_us_and_a_peer(destination, source);
    }
    /// Whoever opens many connections opens them one behind the other.
    [[gnu::always_inline]] bool was_between_us_and_a_peer(const wire::IpAddress& destination,
                                                          const wire::IpAddress& source) const {
        return last_asked.destination == destination && last_asked.source == source;
    }
    bool may_be_between_us_and_a_peer(const wire::IpAddress& destination,
                                      const wire::IpAddress& source);
    /// The same of a segment.
    bool is_between_us_and_a_peer(const Arrived& a);
    /// For the historian: the segment is about to be taken.
    void note_arrival(uint32_t index, const Arrived& a);
    struct Watching;
    template <typename Watcher>
    void take_segments(const Watcher& watcher);
    template <typename Watcher>
    [[gnu::hot]] void take_segment(Arrived& a, const Watcher& watcher);
    /// What tcp::take_usual_segment leaves.
    template <typename Watcher>
    void take_unusual_segment(uint32_t index, const Arrived& a, const Watcher& watcher);
    /// In the table there is none for it.
    [[gnu::hot]] void take_stray(const Arrived& a);
    /// The connection of a segment whose addresses had no ids, or others, when the burst began.
    uint32_t look_up_anew(Arrived& a);
    void take_segment_without_connection(const Arrived& a);
    /// There is a record of its tuple. True if the segment was dealt with; else it goes on to the
    /// listeners, with the last sequence number of the incarnation that gave way.
    bool take_segment_in_time_wait(uint32_t entry, const Arrived& a,
                                   std::optional<tcp::Seq>& last_seq);
    /// A segment that belongs to no connection (any more), as its profile sends them (MUST-48,
    /// MUST-49); the first profile is that of whom nobody listens for.
    SegmentReply reply_to(const Arrived& a, uint16_t profile) const;
    void reply_with(const tcp::Reply& reply, const Arrived& a, uint16_t profile);
    void push_reply(uint8_t port, const Reply& reply);

    // ---- datagrams.cpp
    void take_arp(const wire::Packet& packet, uint8_t port);
    void take_icmp4(const wire::Packet& packet, uint8_t port);
    void take_icmp6(const wire::Packet& packet, uint8_t port);
    template <typename View>
    void take_echo_request(const View& message, const wire::Packet& packet, uint8_t port);
    /// `mtu` is at most the interface's.
    void push_in_parts(const EchoReply& echo, uint32_t identification, uint32_t mtu, uint8_t port);
    /// The connection that a quoted segment came from; no_index, and counted, if there is none.
    uint32_t find_quoted(const std::optional<wire::QuotedTcp>& quoted);
    void take_icmp_error(std::span<const uint8_t> quoted, tcp::Report error);
    void take_too_big(std::span<const uint8_t> quoted, uint32_t mtu);
    void take_too_big_echo(const wire::QuotedEchoReply& quoted, uint32_t mtu);
    /// Tells the sender of a packet for us that nobody here takes it.
    void refuse_protocol(const wire::Packet& packet, uint8_t port);
    /// Tells the sender of a packet for us what was wrong with it.
    void tell_problem(const wire::Packet& packet, uint8_t port);
    /// `error` says what; where to and about what is seen from the packet.
    void push_icmp_error(IcmpError error, const wire::Packet& packet, uint8_t port);
    void ask_for_neighbor(const NeighborCache::Action& action);

    // ---- neighbor_discovery.cpp
    /// Only neighbor discovery and listener queries are taken from a group address.
    void take_group_message(const wire::Packet& packet, uint8_t port);
    void take_solicitation(const wire::Packet& packet, const wire::Icmp6View& message,
                           uint8_t port);
    void take_advertisement(const wire::Packet& packet, const wire::Icmp6View& message,
                            uint8_t port);
    void solicit_neighbor(const Neighbor& neighbor, const wire::IpAddress& source, bool directly);

    // ---- own_addresses.cpp
    void begin_address_check();
    /// The next step, which is due.
    void check_addresses();
    /// Asks whether another host has one of our addresses.
    void ask_for_duplicates(uint8_t port, const wire::IpAddress& address);
    void announce(uint8_t port, const wire::IpAddress& address);
    void say_by_arp(uint8_t port, const wire::IpAddress& sender, const wire::IpAddress& target);
    bool is_own(const wire::MacAddress& mac) const;
    /// A host with this MAC speaks for an address of ours.
    void note_conflict(const wire::IpAddress& address, const wire::MacAddress& other);

    // ---- own_groups.cpp
    void begin_group_reports();
    void take_listener_query(const wire::ListenerQuery& query, uint8_t port);
    /// Those that are due.
    void report_groups();

    // ---- opening.cpp
    void open_passive(OwnerNumber listener, const Arrived& syn, std::optional<tcp::Seq> last_seq);
    void take_fast_open(uint32_t index, const tcp::Segment& syn);
    tl::expected<ConnectionId, Error> connect_in_general(const wire::SocketAddress& remote,
                                                         Application& application,
                                                         const ConnectOptions& options);
    /// How connections from `source` (unspecified: chosen) reach a destination.
    struct Path {
        wire::IpAddress source;
        NeighborIndex neighbor = no_neighbor;
    };
    tl::expected<Path, Error> find_path(const wire::IpAddress& destination,
                                        const wire::IpAddress& source);
    /// The same for connections that follow each other to one destination, in a moment.
    tl::expected<Path, Error> path_to(const wire::IpAddress& destination,
                                      const wire::IpAddress& source);
    /// The local port for an active open: the tuple's own, or an ephemeral one if that is 0.
    tl::expected<uint16_t, Error> take_port(flow::FourTuple tuple);
    /// The record whose place `tuple` (of any port, if it has none) may take, or nothing.
    std::optional<tcp::TimeWait> take_over_time_wait(const flow::FourTuple& tuple,
                                                     uint16_t profile);
    tl::expected<uint32_t, Error> add_active(flow::FourTuple tuple, NeighborIndex neighbor,
                                             Application& application,
                                             const ConnectOptions& options);
    bool is_ephemeral(uint16_t port) const {
        return port >= config.first_port && port <= config.last_port;
    }
    /// Whether the replies of such a connection come to this worker.
    bool is_ours(const flow::FourTuple& t) const {
        return config.port_filter == nullptr ||
               config.port_filter(config.port_filter_context,
                                  {address_of(t.local_address), t.local_port},
                                  {address_of(t.remote_address), t.remote_port});
    }
    bool may_hold_port(const flow::FourTuple& t) const {
        return is_ephemeral(t.local_port) && is_ours(t);
    }
    /// Whether the port was taken for the tuple that is a connection's or a record's. Not if a peer
    /// has opened it: a tuple names at most one of them, so what is taken is taken for it.
    bool holds_port(const flow::FourTuple& t) const {
        return may_hold_port(t) && ports.is_taken(scope_of(t), t.local_port);
    }
    bool is_taken(const flow::FourTuple& tuple) const;
    /// A fresh connection that has its name, but is not in the table yet; no_index if there is no
    /// room.
    uint32_t make_connection(const flow::FourTuple& tuple, uint32_t hash, OwnerNumber owner,
                             uint16_t profile, NeighborIndex neighbor);
    bool enter_table(uint32_t index);
    /// For one that could not enter the table.
    void unmake_connection(uint32_t index);
    /// The connection of a peer who was let in by `listener`, its addresses interned; no_index, and
    /// counted, if there is no room for it or no way back.
    uint32_t add_passive(OwnerNumber listener, const Arrived& a);
    /// A fresh connection in the table; no_index if there is no room.
    uint32_t add_connection(const flow::FourTuple& tuple, uint32_t hash, OwnerNumber owner,
                            uint16_t profile, NeighborIndex neighbor);

    // ---- usual_opening.cpp
    /// Whether a segment without a connection is a SYN that asks for what the last one has got, of
    /// the same listener, but for port and time.
    bool is_like_last_syn(const Arrived& syn) const;
    /// Then: true, and the connection is open, or it has to be seen to in general.
    bool open_passive_again(const Arrived& syn);
    /// What open_passive() has just opened in general, before anything else has happened to it.
    void remember_passive_opening(uint32_t index, const Arrived& syn);
    /// What a listener does may have changed, or which one it is, or whose the addresses are.
    void forget_passive_opening() { last_passive_opening.listener = no_owner; }
    /// Whether connect() with these would open what it has opened last, but for port and time.
    bool is_like_last(const wire::SocketAddress& remote, const Application& application,
                      const ConnectOptions& options) const;
    /// Then: as many of them as there are `ids`. Returns how many; if fewer, connect() has to see
    /// to the next in general.
    [[gnu::hot]] uint32_t open_again(uint64_t user_data, std::span<ConnectionId> ids);
    /// One of them; `tuple` is that of all, but for the port.
    ConnectionId open_one_again(flow::FourTuple tuple, uint64_t user_data, Interface& interface,
                                Owner& owner);
    /// One more reference to each of a tuple's ids. False if they stand for others by now.
    bool hold_addresses_again(flow::FourTuple tuple, const wire::IpAddress& local,
                              const wire::IpAddress& remote);
    /// The table has no room for it.
    void give_up_opening(tcp::Connection& c, uint32_t index);
    /// What connect() does for it may have changed, or whose number its owner has.
    void forget_opening() { last_opening.application = nullptr; }
    /// What connect() has just opened in general, before anything else has happened to it.
    void remember_opening(uint32_t index, const wire::SocketAddress& remote,
                          const Application& application, const ConnectOptions& options);

    // ---- syn_cookies.cpp
    /// Whether the application of a listener takes one more connection.
    bool has_room(const Owner& owner) {
        return owner.has_room_always || owner.application->room(self, owner.local) != Room::none;
    }
    bool has_room_for_half_open(const Owner& owner) const {
        return owner.half_open < owner.backlog && half_open < half_open_max;
    }
    void send_cookie(OwnerNumber listener, const Arrived& syn);
    /// True if the segment was dealt with: it answers a cookie.
    bool take_cookie(OwnerNumber listener, const Arrived& a);
    /// Whether the segment would end the handshake of a connection for which the application has no
    /// room.
    bool is_put_off(uint32_t index, const tcp::Segment& segment);
    /// Whether that is to be asked of any.
    bool may_put_off() const { return applications_may_lack_room || profiles.any_defers(); }

    // ---- delivery.hpp, delivery.cpp
    void deliver(uint32_t index, const tcp::InputResult& result);
    /// The same, inline.
    void deliver_now(tcp::Connection& c, uint32_t index, const tcp::InputResult& result);
    void deliver_established(tcp::Connection& c, uint32_t index, Owner& owner);
    void deliver_report(uint32_t index, tcp::Report report);
    /// The peer has advised on the user timeout (RFC 5482): the connection gets a profile of its
    /// own.
    void adopt_user_timeout(uint32_t index, uint16_t option);
    void deliver_urgent(uint32_t index, uint32_t bytes);
    void deliver_data(tcp::Connection& c, uint32_t index, Owner& owner,
                      std::span<const uint8_t> data);
    /// What the application has not taken of new data.
    void keep_rest(tcp::Connection& c, uint32_t index, std::span<const uint8_t> rest);
    void deliver_unread(uint32_t index);
    void deliver_peer_closed(tcp::Connection& c, uint32_t index, Owner& owner);
    void deliver_writable(uint32_t index);
    void deliver_end(tcp::Connection& c, uint32_t index, Owner& owner, tcp::CloseReason reason);
    void tell_closed(tcp::Connection& c, uint32_t index, Owner& owner, tcp::CloseReason reason);
    /// The connection has no application any more.
    [[gnu::always_inline]] void disown(tcp::Connection& c, uint32_t index, Owner& owner) {
        leave_backlog(c, owner);
        --owner.connections;
        owner_of[index] = no_owner;
    }
    [[gnu::always_inline]] void leave_backlog(tcp::Connection& c, Owner& owner) {
        if (c.has(tcp::Mark::counted_in_backlog)) leave_backlog_of(owner, c);
    }
    void leave_backlog_of(Owner& owner, tcp::Connection& c);
    /// A RST is about to end it: if its listener counts it as pending by Fast Open, it goes on to.
    void hold_fast_open_place(uint32_t index);
    void note(uint32_t index, Notice::Kind kind, tcp::CloseReason reason = tcp::CloseReason::none);
    void note_closed(uint32_t index, tcp::CloseReason reason);
    void tell_notices();
    void tell(const Notice& notice);

    // ---- calls.cpp
    /// `queue(connection)` is one of tcp's calls to send, and returns what that took.
    template <typename Queue>
    size_t send(ConnectionId id, size_t offered, Queue&& queue) {
        tcp::Connection* c = find(id);
        if (c == nullptr || c->has(tcp::Mark::close_noted)) return 0;
        const size_t taken = queue(*c);
        if (taken < offered) [[unlikely]]
            note_blocked(*c, id.index);
        settle(id.index);
        return taken;
    }
    size_t send_static_in_general(ConnectionId id, const wire::SummedBytes& bytes);
    /// From a handler of the connection, which is settled when that is through: whether all of
    /// `bytes` was queued on the fast path.
    [[gnu::always_inline]] bool send_static_if_usual(ConnectionId id,
                                                     const wire::SummedBytes& bytes) {
        tcp::Connection* c = find(id);
        return c != nullptr && id.index == delivering && !c->has(tcp::Mark::close_noted) &&
               tcp::send_static_if_usual(*c, bytes, env);
    }
    /// Not all was taken: the application is to hear when there is room.
    void note_blocked(tcp::Connection& c, uint32_t index);
    bool has_memory() const;
    void consume(ConnectionId id, size_t count);
    void set_pushing(ConnectionId id, tcp::Pushing pushing);
    void shutdown_send(ConnectionId id);
    void close(ConnectionId id) {
        if (!close_if_usual(id)) close_in_general(id);
    }
    void close_in_general(ConnectionId id);
    /// From a handler of the connection, as send_static_if_usual.
    [[gnu::always_inline]] bool close_if_usual(ConnectionId id) {
        tcp::Connection* c = find(id);
        return c != nullptr && id.index == delivering && id.index != being_read &&
               !c->has(tcp::Mark::close_noted) && tcp::close_if_usual(*c, env);
    }
    void abort(ConnectionId id);
    void close_listener(OwnerNumber number);
    tl::expected<void, Error> change_profile(ConnectionId id, const tcp::Profile& profile);

    // ---- lifecycle.cpp
    /// To be called after anything happened to a connection: puts it on the ready list if it has
    /// something to say, lets go of it if it is over, and sees to its timer. While events are being
    /// delivered to it, that waits for the last of them.
    void settle(uint32_t index) {
        if (index != delivering) settle_undelivered(index);
    }
    void settle_undelivered(uint32_t index);
    /// The same, inline, when nothing is being delivered to it.
    [[gnu::always_inline]] void settle_now(tcp::Connection& c, uint32_t index) {
        if (c.state != tcp::State::closed && !c.is_in_list() && tcp::wants_output(c, env)) {
            // All else comes after that.
            return push_ready(interfaces[neighbors[c.neighbor].port], c, index);
        }
        if (is_over(c)) {
            let_go(c, index);
        } else if (!c.is_in_list()) {
            arm_timer(c, index);
        }
    }
    /// The same when it has said what it had to say.
    void settle_after_output(uint32_t index);
    /// Of one that is over: what can be given back of it at present.
    [[gnu::hot]] void let_go(tcp::Connection& c, uint32_t index);
    [[gnu::hot]] void let_go_into_time_wait(tcp::Connection& c, uint32_t index);
    void let_go_in_general(tcp::Connection& c, uint32_t index);
    void leave_table(tcp::Connection& c, uint32_t index);
    /// The rest of letting go: the place in the table, wherever that is, and its own.
    void leave_table_at_home(tcp::Connection& c, uint32_t index);
    void leave_table_from_behind(tcp::Connection& c, uint32_t index);
    void give_back_place(tcp::Connection& c, uint32_t index);
    void enter_time_wait(tcp::Connection& c);
    /// A record is gone: its port is free, and its addresses may be.
    void forget(const tcp::TimeWait& record);
    void acknowledge_in_time_wait(const tcp::TimeWait& record, const Arrived& a);
    [[gnu::always_inline]] static void push_ready(Interface& interface, tcp::Connection& c,
                                                  uint32_t index) {
        c.next = no_index;
        *interface.ready_end = index;
        interface.ready_end = &c.next;
        ++interface.ready_count;
    }
    void push_ready_front(uint8_t port, uint32_t index);
    /// Takes the first off the list.
    [[gnu::always_inline]] void pop_ready(Interface& interface, tcp::Connection& first) {
        const uint32_t second = first.next;
        interface.ready_head = second;
        --interface.ready_count;
        if (second == no_index) [[unlikely]] {
            interface.ready_end = &interface.ready_head;
        } else {
            const auto* const next = reinterpret_cast<const char*>(&connections[second]);
            __builtin_prefetch(next, 1);
            __builtin_prefetch(next + 64, 1);
        }
        first.next = tcp::in_no_list;
    }
    /// The wheel holds at most one entry per connection, at or before its earliest deadline. A
    /// deadline that moves further away or vanishes leaves it where it is; when it fires, it is
    /// looked at again. Connections that are gone leave theirs behind, too: the next user of the
    /// place profits from it.
    [[gnu::always_inline]] void arm_timer(const tcp::Connection& c, uint32_t index) {
        // Most have no deadline but that of the retransmission timer, and an entry before it.
        if (tcp::has_only_retransmission_deadline(c) &&
            (!c.has(tcp::Mark::retransmit_armed) ||
             wheel.expires_by_low(index, c.retransmit_deadline_us))) [[likely]] {
            return;
        }
        move_timer(index);
    }
    /// The same for one whose retransmission timer runs, and of the short ones no other.
    [[gnu::always_inline]] void arm_retransmission_timer(const tcp::Connection& c, uint32_t index) {
        if (c.long_deadline_us != tcp::never_us ||
            !wheel.expires_by_low(index, c.retransmit_deadline_us)) [[unlikely]] {
            move_timer(index);
        }
    }
    void move_timer(uint32_t index);
    void run_timers();
    void on_wheel_entry(uint32_t index);
    std::optional<Instant> next_deadline() const;
    Leaks leaks() const;

    // ---- next_hop.cpp
    NeighborIndex next_hop(const wire::IpAddress& destination, uint8_t preferred_port);
    NeighborIndex find_next_hop(const wire::IpAddress& destination, uint8_t preferred_port);
    /// Whether the connection goes to `last_usable`. Whoever is asked for behind another in one
    /// batch goes the same way: until then nothing is learned of neighbors, and no time passes.
    bool goes_to_last_usable(const tcp::Connection& c) const {
        return c.neighbor == last_usable.index && c.remote_address == last_usable.remote;
    }
    /// The neighbor to write frames to now, also in `last_usable` then; nullptr if the connection
    /// has been put aside to wait, or to another interface's list.
    const Neighbor* find_usable_neighbor(uint32_t index, uint8_t port);
    /// Takes each out of the waiting list; `visit(index)` for those that are still alive.
    template <typename Visit>
    void for_each_waiting(uint32_t waiting_head, Visit&& visit);
    void wake_waiting(NeighborIndex neighbor);
    void wait_for_neighbor(uint32_t index, NeighborIndex neighbor);
    void run_neighbors();
    void judge_neighbor(NeighborIndex neighbor);
    void give_up_neighbor(NeighborIndex neighbor);
    void lose_segments(uint32_t index);

    // ---- transmit.cpp
    [[gnu::hot]] void transmit(TransmitBatch& batch);
    void write_reply(const Reply& reply, Frame& frame, const Interface& interface);
    template <typename Message, typename Write>
    void write_icmp(const Message& message, Frame& frame, const Interface& interface,
                    Write&& write);
    void write_echo_reply(const EchoReply& echo, Frame& frame, const Interface& interface);
    void write_part(const DatagramPart& part, Frame& frame, const Interface& interface);
    void write_icmp_error(const IcmpError& error, Frame& frame, const Interface& interface);
    void write_listener_report(const ListenerReport& report, Frame& frame,
                               const Interface& interface);
    void write_neighbor_message(const NeighborMessage& message, Frame& frame,
                                const Interface& interface);
    void write_connection(tcp::Connection& c, uint32_t index, TransmitBatch& batch,
                          const Interface& interface, const wire::L2Header& header);
    /// Into a frame of a batch that has room.
    tcp::Usual write_if_usual(tcp::Connection& c, Frame& frame, const Interface& interface,
                              const wire::L2Header& header);
    [[gnu::hot]] tcp::Usual write_usual_ipv4(tcp::Connection& c, Frame& frame,
                                             const Interface& interface,
                                             const wire::L2Header& header);
    [[gnu::hot]] tcp::Usual write_usual_ipv6(tcp::Connection& c, Frame& frame,
                                             const Interface& interface,
                                             const wire::L2Header& header);
    template <typename Ends>
    tcp::Usual write_usual_segment(tcp::Connection& c, const tcp::Terms& terms, Frame& frame,
                                   const Interface& interface, const wire::L2Header& header,
                                   const Ends& ends);
    /// What the connection has to say beyond a usual segment.
    void write_more(uint32_t index, TransmitBatch& batch, const Interface& interface,
                    const wire::L2Header& header);
    /// Whatever it has to say, `most` segments at most; the first is not a usual one, and there is
    /// room for it.
    void write_segments(uint32_t index, TransmitBatch& batch, const Interface& interface,
                        const wire::L2Header& header, unsigned most);
    /// For the historian: the connection has said this.
    void note_departure(uint32_t index, const tcp::Departure& departure);
    /// The same, of the usual segment that is the last of the batch.
    void note_last_departure(uint32_t index, const TransmitBatch& batch);
    void let_routers_divide(const tcp::Connection& c, const Frame& frame,
                            const Interface& interface, const wire::L2Header& header);
    size_t write_usually(const tcp::Connection& c, const Frame& frame, const Interface& interface,
                         const wire::L2Header& header);
    size_t write_in_general(const tcp::Connection& c, const Frame& frame,
                            const Interface& interface, const wire::L2Header& header);
    /// All that the batch holds; it has come here empty.
    void count_frames(const TransmitBatch& batch);

    // ---- small things that all of them need
    [[gnu::always_inline]] bool has_unread(const tcp::Connection& c) const {
        return c.transfer != no_index && tcp::unread_bytes(c, env) > 0;
    }
    tcp::Connection* find(ConnectionId id) {
        if (id.index >= connections.touched()) return nullptr;
        tcp::Connection& c = connections[id.index];
        return c.generation == id.generation ? &c : nullptr;
    }
    ConnectionId id_of(uint32_t index) const { return {index, connections[index].generation}; }
    /// Of a connection of the historian's; nullptr: nobody wants to know.
    tcp::History* history_of(uint32_t index);
    [[gnu::always_inline]] uint32_t look_up(const flow::FourTuple& tuple, uint32_t hash) const {
        return table.find(hash, [&](uint32_t index) { return connections[index].is(tuple); });
    }
    /// What look_up would find, without looking into the table.
    static bool is_in_table(const tcp::Connection& c, const flow::HashedTuple& tuple) {
        return c.is(tuple) && c.has(tcp::Mark::in_table);
    }
    static flow::PortScope scope_of(const flow::FourTuple& t) {
        return {t.local_address, t.remote_address, t.remote_port};
    }
    wire::IpAddress address_of(flow::AddressId id) const { return addresses.resolve(id); }
    /// What an address is called here now, if it has a name at all.
    flow::AddressId known_id(const wire::IpAddress& address) const {
        if (address.is_v4()) [[likely]]
            return address.v4();
        return addresses.lookup_v6(address);
    }
    /// Gives a tuple's addresses their names, with a reference each; false when the book is full.
    bool intern(const wire::IpAddress& local, const wire::IpAddress& remote,
                flow::FourTuple& tuple);
    /// The tuple for what is computed from the secret, also of who has no name.
    flow::FourTuple fingerprint(const Arrived& a) const {
        return {addresses.fingerprint(a.destination()), addresses.fingerprint(a.source()),
                a.tuple.local_port, a.tuple.remote_port};
    }
    [[gnu::always_inline]] void release_addresses(const flow::FourTuple& tuple) {
        if (flow::is_interned(tuple.local_address)) [[unlikely]]
            release_interned(tuple.local_address, tuple.remote_address);
    }
    /// Both are of one family.
    void release_interned(flow::AddressId local, flow::AddressId remote);
    /// Both FINs are through, or it ended otherwise: nothing is received any more.
    [[gnu::always_inline]] static bool is_over(const tcp::Connection& c) {
        return c.state == tcp::State::closed || c.state == tcp::State::time_wait;
    }

    Worker& self;
    WorkerConfig config;
    Addressing addressing;
    std::vector<Interface> interfaces;
    Instant now;
    Moment moment;  ///< `now`, for what every segment asks of it
    Application* poller = nullptr;
    Application* historian = nullptr;

    IndexPool<tcp::Connection> connections;
    Region owner_memory;
    OwnerNumber* owner_of;  ///< by connection; no_owner: the application knows nothing of it
    ListenerTable owners;
    flow::HashKey hash_key;
    flow::AddressBook addresses;
    flow::ConnectionTable table;
    flow::TimeWaitTable<tcp::TimeWait> time_waits;
    ProfilePool profiles;
    flow::PortAllocator ports;
    HashKey port_key;
    struct {
        wire::IpAddress destination;
        wire::IpAddress asked_source;
        Path path;
    } last_path;
    struct {
        wire::IpAddress destination;
        uint8_t preferred_port = 0;
        NeighborIndex neighbor = no_neighbor;
    } last_hop;  ///< what next_hop has answered last
    struct {
        const Neighbor* neighbor = nullptr;
        flow::AddressId remote = flow::no_address;
        NeighborIndex index = no_neighbor;
    } last_usable;  ///< what find_usable_neighbor has found last in this batch
    struct {
        wire::IpAddress destination;
        wire::IpAddress source;
    } last_asked;  ///< the last two that is_between_us_and_a_peer has let pass
    struct {
        const Application* application = nullptr;  ///< nullptr: nothing is remembered
        wire::IpAddress local;
        wire::SocketAddress remote;
        wire::IpAddress asked_source;
        OwnerNumber owner = no_owner;
        flow::FourTuple fingerprint;  ///< what initial sequence numbers are computed from
        tcp::Connection image;        ///< as it was before its SYN left
    } last_opening;
    struct {
        OwnerNumber listener = no_owner;  ///< no_owner: nothing is remembered
        uint8_t port = 0;
        uint8_t window_scale = 0;
        uint16_t mss = 0;
        uint16_t window = 0;
        wire::IpAddress local;
        wire::IpAddress remote;
        flow::FourTuple fingerprint;
        tcp::Connection image;  ///< as it was before its SYN,ACK left
    } last_passive_opening;     ///< and what its SYN said
    uint64_t ports_asked = 0;
    uint64_t port_hash = 0;
    /// What the next openings will choose their ports by, so that what they need can be asked for:
    /// the port map's line when the number is drawn, the bucket of the table when the port can be
    /// foreseen.
    struct alignas(16) Foreseen {
        uint32_t random = 0;
        uint32_t hash = 0;  ///< of an opening like the last, if `port` is the one that it takes
        uint16_t port = 0;
    };
    static constexpr uint32_t openings_ahead = 16;
    std::array<Foreseen, openings_ahead> foreseen;
    uint32_t opening_turn = 0;
    /// 32 uniform bits that nobody outside can foresee (RFC 6056).
    uint32_t draw_port_random();
    /// What was drawn `openings_ahead` openings ago, and foreseen since; `drawn` takes its place.
    Foreseen next_foreseen(uint32_t drawn);
    void foresee_opening(flow::FourTuple tuple);
    /// Set for good: connections of a listener that has gone may live on.
    bool listens_on_ephemeral_port = false;
    bool applications_may_lack_room = false;
    timer::TimerWheel wheel;
    NeighborCache neighbors;
    tcp::TransferPool transfers;
    tcp::BufferPool buffers;
    tcp::FastOpenCache fast_open_cookies;
    tcp::Counters tcp_counters;
    Counters counters;
    wire::DropCounters drops;
    ConnectionPaths paths;
    PathMtuTable echo_paths;  ///< what routers say of echo replies: no connection believes it
    tcp::Environment env;
    NoticeQueue notices;
    uint32_t delivering = no_index;  ///< what its handlers ask for is settled when they are through
    uint32_t being_read = no_index;  ///< the connection whose unread bytes its handler looks at
    bool close_after_reading = false;  ///< and which that handler has closed
    LastConflict last_conflict;
    struct {
        std::optional<Instant> next;
        uint8_t steps = 0;
        Instant defend_next;
    } address_check;
    struct {
        std::optional<Instant> next;
        uint8_t initial = 0;  ///< reports that nobody has to ask for
        uint8_t version = 2;
    } own_groups;
    Reassembly reassembly;
    std::vector<uint8_t> whole_reply;  ///< before it is divided
    TokenBucket reset_limit;
    TokenBucket echo_limit;
    TokenBucket icmp_error_limit;
    Relaxed<uint64_t> half_open;
    uint32_t half_open_max;

    tcp::OutSegment out;               ///< the segment that is being written
    uint32_t segments_in_general = 0;  ///< of this batch; tcp::next_segment has counted them

    // ---- one burst
    uint8_t receiving_port = 0;                              ///< it came by this interface
    std::array<Arrived, Worker::receive_burst_max> arrived;  ///< its segments
    uint32_t segment_count = 0;
    std::array<const Arrived*, Worker::receive_burst_max>
        strays;  ///< those for which none is likely
    uint32_t stray_count = 0;
    uint32_t records_asked = 0;  ///< how many of these have been looked for in TIME_WAIT
    wire::Packet unusual;        ///< what a frame says that is not usual
};

}  // namespace synfin::stack
