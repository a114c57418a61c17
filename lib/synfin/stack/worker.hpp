// One worker: a TCP/IP host of its own on one core. It owns its connections, timers, TIME_WAIT
// records, neighbors, ports and counters, and shares none of them.
//
// A packet's way: receive() parses the burst, looks the connections up, runs tcp::input, calls the
// application; run_timers() does the same for what is due; poll() lets the application work;
// transmit() asks each connection on the ready list for its segments and writes them into frames.
// Replies that belong to no connection (RST, TIME_WAIT's ACK, ARP, ICMP echo) wait in a short queue
// and leave first.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include <synfin/base/instant.hpp>
#include <synfin/stack/address_conflict.hpp>
#include <synfin/stack/application.hpp>
#include <synfin/stack/colleagues.hpp>
#include <synfin/stack/counters.hpp>
#include <synfin/stack/frame.hpp>
#include <synfin/stack/stage_profile.hpp>
#include <synfin/tcp/core.hpp>
#include <synfin/tcp/info.hpp>
#include <synfin/wire/address.hpp>
#include <synfin/wire/drop.hpp>

namespace synfin::stack {

/// A network interface of the worker: one queue pair of a device.
struct InterfaceConfig {
    wire::MacAddress mac;
    /// The VLAN that we are in (802.1Q), 1 to 4094: all frames carry its tag, and others are
    /// dropped. 0: none; frames are untagged, or carry a priority alone.
    uint16_t vlan = 0;
    /// Addresses that we answer for, whole blocks included: a load generator's source range.
    std::vector<wire::IpPrefix> addresses;
    /// What is reachable without a gateway, besides the blocks above.
    std::vector<wire::IpPrefix> on_link;
    std::optional<wire::IpAddress> gateway;
    /// Known without asking (ARP, ND): never ages, never changed by a packet.
    struct StaticNeighbor {
        wire::IpAddress address;
        wire::MacAddress mac;
    };
    std::vector<StaticNeighbor> static_neighbors;
    /// Ask at the start whether another host has one of our addresses (RFC 5227, RFC 4862 section
    /// 5.4), and if nobody answers announce those of IPv4. They are used meanwhile (RFC 4429); an
    /// answer is counted. Blocks of addresses are left out. Also tell switches that watch multicast
    /// which groups neighbors ask for our IPv6 addresses (RFC 3810), those of blocks of at most 256
    /// addresses, too. One worker of an interface is enough.
    bool introduce_addresses = false;
    DeviceProperties device;
};

/// Every limit of a worker, with its default. What happens when one is reached stands beside it.
struct WorkerConfig {
    std::vector<InterfaceConfig> interfaces;
    uint32_t max_connections = 1u << 20;  ///< then: connect() fails, SYNs are dropped and counted
    /// Handshakes of all listeners that wait for their last ACK; 0: half of max_connections, so
    /// that a flood leaves room for those who mean it. Then: see SynCookies.
    uint32_t max_half_open = 0;
    uint32_t max_time_wait = 1u << 22;      ///< then: the oldest entry ends early, counted
    uint32_t max_transfers = 1u << 16;      ///< connections with bytes queued, unread or held
    uint32_t max_buffer_chunks = 1u << 14;  ///< of 2 KB, for all queues; then: sends take less
    uint32_t max_port_scopes =
        1u << 16;  ///< (local address, remote address and port); then: connect() fails
    uint32_t max_neighbors = 4096;  ///< at most 65534; then: one not used lately goes
    uint32_t max_ipv6_addresses =
        1u << 20;  ///< ours and peers', at once, at most 2^24-1; then: connect() fails, SYNs drop
    uint32_t max_fast_open_cookies = 1024;  ///< of servers, a power of two; then: one takes the
                                            ///< place of another
    uint32_t max_reassembly_bytes =
        1u << 20;  ///< of fragments; then: the oldest datagram that is not whole goes; 0: none wait
    uint32_t resets_per_second = 100'000;  ///< RST and ACKs without a connection; then: silence
    uint32_t echo_replies_per_second = 10'000;
    uint32_t icmp_errors_per_second = 1'000;  ///< about packets that nobody here takes
    uint32_t max_path_mtus = 4096;  ///< destinations behind a narrow path; then: the oldest goes
    Duration time_wait = Duration::seconds(60);  ///< 2MSL; zero: none, and the report says so
    /// When no port is free, connect() takes the tuple of a TIME_WAIT record that is so old, with a
    /// higher initial sequence number (RFC 6191): timestamps, which the connection must have had
    /// and must offer again, tell its segments from old duplicates.
    Duration time_wait_reuse = Duration::forever();
    uint16_t first_port = 32768;  ///< ephemeral ports (RFC 6056)
    uint16_t last_port = 65535;
    tcp::Secret secret{};  ///< for ISN, table hash, ports; random in production
    std::vector<tcp::Profile> profiles{tcp::Profile{}};
    uint16_t max_own_profiles =
        1024;  ///< of connections whose options were changed; then: take_profile() fails
    /// Which local ports bring a reply back to this worker; empty: all. Asked once per
    /// (local address, remote address and port) when its first connection is opened.
    bool (*port_filter)(const void* context, const wire::SocketAddress& local,
                        const wire::SocketAddress& remote) = nullptr;
    const void* port_filter_context = nullptr;
    /// Whom a segment may belong to that came in parts; nullptr: to nobody else.
    Colleagues* colleagues = nullptr;
    uint32_t receive_burst =
        64;  ///< packets per loop and interface, at most Worker::receive_burst_max
};

/// As wide as what begins a ConnectionId: where one of them is in the place of the other, g++ then
/// keeps both in registers.
enum class Error : uint32_t {
    address_not_available,  ///< EADDRNOTAVAIL: no local port is free for this destination
    address_in_use,         ///< EADDRINUSE: the tuple or the listener exists
    no_resources,           ///< ENOBUFS: max_connections reached
    unreachable,            ///< ENETUNREACH: no interface and no gateway leads there
    invalid,                ///< EINVAL: broadcast, multicast, port 0 (MUST-46)
    stale,                  ///< the id names a connection that is gone
};
const char* name(Error error);

/// Whether a listener answers SYNs with cookies (RFC 4987): without keeping anything until the peer
/// has shown that it exists. Such a SYN,ACK is sent only once.
enum class SynCookies : uint8_t {
    automatic,  ///< at the limit of half-open connections, the listener's own or the worker's
    always,
    never,  ///< at the limit SYNs are dropped, and counted
};

struct ListenOptions {
    uint16_t profile = 0;
    uint32_t backlog = 65536;  ///< half-open connections of this listener; then: see SynCookies
    SynCookies syn_cookies = SynCookies::automatic;
    /// Connections whose SYN's data the application may have before the handshake is complete
    /// (RFC 7413), those of the last minute that a RST has ended included; then, and with 0: the
    /// data waits for the handshake. Such data may come twice when the network duplicates a SYN.
    uint32_t fast_open = 0;
};

struct ConnectOptions {
    wire::IpAddress source;    ///< unspecified: chosen among the interface's addresses (MUST-44)
    uint16_t source_port = 0;  ///< 0: ephemeral
    uint16_t profile = 0;
    uint64_t user_data = 0;
    /// What is sent before this loop's transmit goes with the SYN, if the server has given us a
    /// cookie before (RFC 7413); else the SYN asks for one.
    bool fast_open = false;
};

/// One line of `synfin ss`.
struct ConnectionInfo {
    tcp::State state;
    wire::SocketAddress local;
    wire::SocketAddress remote;
    uint32_t receive_queue_bytes = 0;
    uint32_t send_queue_bytes = 0;
    enum class Timer : uint8_t { off, on, keep_alive, time_wait, persist } timer = Timer::off;
    Duration timer_left;
    uint8_t backoff = 0;
};

class Worker {
  public:
    /// Throws std::bad_alloc when memory cannot be reserved, std::invalid_argument with a sentence
    /// when the configuration contradicts itself.
    explicit Worker(const WorkerConfig& config);
    ~Worker();
    /// Takes the memory of all tables that are searched at random, and that of the first thousands
    /// of connections: a page that is found only when a packet needs it keeps the whole worker
    /// waiting, and in the first moments of a load each packet needs another one. The same for
    /// TIME_WAIT's, which only those need who close first, and for the ports of so many scopes
    /// (local address, remote address and port), which only those need who connect.
    /// Optional; to be called before the worker's thread starts.
    void touch_tables();
    void touch_time_wait();
    void touch_ports(size_t scopes);
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    // ---- for the application, on the worker's thread

    /// Accepts connections to `local` for `application`. 0.0.0.0 stands for any IPv4 address of
    /// ours, :: for any of either family; the more specific of two listeners wins.
    tl::expected<void, Error> listen(const wire::SocketAddress& local, Application& application,
                                     const ListenOptions& options = {});
    /// Stops listening; half-open connections of the listener are forgotten, without a word.
    void close_listener(const wire::SocketAddress& local);

    /// Active OPEN. The connection's fate comes as on_established or on_closed.
    tl::expected<ConnectionId, Error> connect(const wire::SocketAddress& remote,
                                              Application& application,
                                              const ConnectOptions& options = {});
    /// The same for many at once that differ in nothing but their port: as many as there are `ids`,
    /// at least one. Returns how many were opened; if fewer, the next has to be asked for on its
    /// own. Fails if not even the first was.
    tl::expected<uint32_t, Error> connect(const wire::SocketAddress& remote,
                                          Application& application, const ConnectOptions& options,
                                          std::span<ConnectionId> ids);

    /// How many bytes connect() with Fast Open would send on its SYN; 0: it would ask for a cookie.
    /// `source` as in ConnectOptions.
    uint32_t early_data_room(const wire::IpAddress& source, const wire::IpAddress& remote,
                             const tcp::Profile& profile);
    /// ListenOptions::fast_open of a listener, from now on.
    void set_fast_open(const wire::SocketAddress& listener, uint32_t limit);

    /// Queue bytes to be sent; returns how many were taken. If fewer than offered, on_writable
    /// comes when there is room. A stale id takes nothing.
    size_t send(ConnectionId id, std::span<const uint8_t> bytes);
    /// The same by reference: `bytes` must outlive the connection and not change.
    size_t send_static(ConnectionId id, std::span<const uint8_t> bytes);
    /// And by reference with the sum that the checksum of a segment needs of them.
    size_t send_static(ConnectionId id, const wire::SummedBytes& bytes);
    /// The same as send, and urgent: the peer's user is asked to read up to the end of these bytes
    /// soon. New applications should not (SHLD-13).
    size_t send_urgent(ConnectionId id, std::span<const uint8_t> bytes);
    /// No segment carries what has been queued last together with what send() takes next (MSG_EOR).
    void end_record(ConnectionId id);
    /// Whether what is queued and fills no segment waits for more (MSG_MORE) or leaves now.
    void set_pushing(ConnectionId id, tcp::Pushing pushing);
    /// How far urgent data reaches behind what on_data has been given so far (MUST-33).
    size_t urgent_bytes(ConnectionId id) const;
    /// Unread bytes that on_data has left, the first contiguous piece of them.
    std::span<const uint8_t> unread(ConnectionId id) const;
    void consume(ConnectionId id, size_t count);
    /// How many bytes send() would take now.
    size_t send_space(ConnectionId id) const;
    size_t unread_bytes(ConnectionId id) const;
    /// Copies unread bytes without consuming them; returns how many.
    size_t peek(ConnectionId id, std::span<uint8_t> into) const;
    /// FIN after what is queued; receiving goes on (half close).
    void shutdown_send(ConnectionId id);
    /// FIN after what is queued, and nothing is read any more; unread bytes make it a RST.
    void close(ConnectionId id);
    /// RST (linger 0).
    void abort(ConnectionId id);

    /// The number of a profile with these values, for listen and connect, held for the caller until
    /// release_profile. Fails with `no_resources` when max_own_profiles is reached.
    tl::expected<uint16_t, Error> take_profile(const tcp::Profile& profile);
    void release_profile(uint16_t number);
    const tcp::Profile& profile(uint16_t number) const;
    /// The profile that governs a connection; a stale id has the first one.
    const tcp::Profile& profile(ConnectionId id) const;
    /// Lets other values govern this connection from now on, and no other one. Fails as
    /// take_profile, or with `stale`.
    tl::expected<void, Error> change_profile(ConnectionId id, const tcp::Profile& profile);
    /// The same for the connections that this listener will accept.
    tl::expected<void, Error> change_profile(const wire::SocketAddress& listener,
                                             const tcp::Profile& profile);

    bool is_open(ConnectionId id) const;
    tcp::State state(ConnectionId id) const;  ///< CLOSED for a stale id
    /// Whether a segment of the connection may still wait to leave; false for a stale id.
    bool awaits_output(ConnectionId id) const;
    tcp::Info info(ConnectionId id) const;      ///< of CLOSED for a stale id
    uint64_t user_data(ConnectionId id) const;  ///< 0 of one that was accepted
    void set_user_data(ConnectionId id, uint64_t value);
    wire::SocketAddress local(ConnectionId id) const;
    wire::SocketAddress remote(ConnectionId id) const;

    /// From now on `historian` is asked for the history of its connections with each segment, and
    /// told of nothing by that; nullptr: nobody. Others pay nothing for it.
    void set_historian(Application* historian);
    /// Settles the history as it must be before it is read, and before something is sent.
    void settle_history(ConnectionId id, tcp::History& history);

    Instant now() const;  ///< the time of this loop
    /// Whether we answer for `address`: in one of the blocks, and not its subnet's broadcast.
    bool owns(const wire::IpAddress& address) const;
    /// From now on we answer for this block, too.
    void add_addresses(uint8_t port, const wire::IpPrefix& block);

    // ---- for the loop, in this order

    static constexpr uint32_t receive_burst_max = 64;
    uint32_t receive_burst() const;
    size_t interface_count() const;

    /// Processes a burst that has come by this interface. The frames are consumed on return: their
    /// buffers may be reused at once.
    void receive(uint8_t port, std::span<const Frame> frames, Instant now,
                 StageProfile* profile = nullptr);
    void run_timers(Instant now);
    /// Calls on_poll of the application that was set as the worker's main one, if any.
    void poll(Instant now);
    void set_poller(Application* application);
    /// Whether transmit may have something to say on this interface, or on any.
    bool has_output(uint8_t port) const;
    bool has_output() const;
    /// How many frames transmit can use on this interface, as far as is known beforehand: one for
    /// each reply and for each connection that is ready. 0 if and only if there is no output.
    unsigned frames_wanted(uint8_t port) const;
    /// Fills frames until the batch is full or nothing is left to send by the batch's interface.
    void transmit(TransmitBatch& batch, Instant now);
    /// When run_timers must be called next, at the latest; nothing: only a packet or a call
    /// matters.
    std::optional<Instant> next_deadline() const;

    // ---- for anyone, from any thread, at any time

    const tcp::Counters& tcp_counters() const;
    const Counters& stack_counters() const;
    /// What was malformed, by reason.
    const wire::DropCounters& drop_counters() const;
    /// The last host that has claimed an address of ours; Counters::duplicate_addresses says how
    /// often.
    std::optional<AddressConflict> last_address_conflict() const;
    struct Gauges {
        uint64_t connections;  ///< without TIME_WAIT
        uint64_t time_wait;
        uint64_t half_open;
    };
    Gauges gauges() const;
    /// Calls `visit` for each connection and TIME_WAIT entry that stood in the tables during the
    /// whole walk, lock-free; entries that come or go meanwhile may be seen or not, never torn.
    void for_each_connection(const std::function<void(const ConnectionInfo&)>& visit,
                             Instant now) const;

    // ---- for the end

    /// What is still held: all zero after everything has been closed and 2MSL is over.
    struct Leaks {
        uint64_t connections;
        uint64_t buffers;  ///< chunks, nodes, ranges and transfers
        uint64_t timers;   ///< armed deadlines that the wheel would not come to in their time
    };
    Leaks leaks() const;
    /// Ends all TIME_WAIT entries at once.
    void clear_time_wait();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace synfin::stack
