// Who is next on the link: from an IP address to an Ethernet header that is ready to be used.
//
//   incomplete --reply--> reachable --60 s, then used--> delayed --5 s--> probing
//       |                     |^ ^                          |                |  |
//       |                     || +----the witness got on----+                |  |
//       |                     |+----------------reply------------------------+  |
//       +--no reply--> failed <----no reply---- incomplete <----no reply--------+
//
// An entry that nobody has confirmed for long is used on for a moment without a question: if the
// bytes of whoever needed it first, the witness, are acknowledged meanwhile, the neighbor is there
// (RFC 4861 section 7.3). So no segment tells the cache anything; it asks once, at the end.
//
// The cache knows the rules, not the packets: what is to be asked comes out of next_action() and
// becomes an ARP request or (for IPv6) a neighbor solicitation elsewhere; what an answer says goes
// into learn(). What waits for an answer is not a frame but a connection, which has its segment
// built once the answer is there; so nothing is lost however many wait, and nothing is kept for
// them but the head and tail of a list that the caller links through the connections.
//
// Against poisoning and floods: only entries that we have asked for ourselves are changed by a
// packet, static ones never; a destination is asked once a second at most; the cache is bounded and
// gives up first what has not been used since the clock hand came by last (routers and static
// entries never).
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <synfin/base/index_pool.hpp>
#include <synfin/base/instant.hpp>
#include <synfin/base/siphash.hpp>
#include <synfin/wire/address.hpp>
#include <synfin/wire/ethernet.hpp>

namespace synfin::stack {

using NeighborIndex = uint16_t;
inline constexpr NeighborIndex no_neighbor = UINT16_MAX;
/// As many as 16 bits of each connection can name.
inline constexpr uint32_t neighbors_max = no_neighbor - 1;

enum class NeighborState : uint8_t {
    idle,        ///< known by name only: nobody has needed it yet
    incomplete,  ///< asked for; not to be used
    reachable,
    delayed,  ///< confirmed long ago: used, and asked again unless its witness gets on
    probing,  ///< the same, while it is being asked
    failed,   ///< did not answer; the next use asks again
    fixed,    ///< configured
};

struct alignas(64) Neighbor {
    wire::L2Header header;  ///< valid if usable()
    NeighborState state = NeighborState::idle;
    uint8_t port = 0;      ///< the interface that it is reached by
    bool router = false;   ///< a configured gateway: stays in its place for ever
    bool used = false;     ///< since the clock hand came by
    uint8_t attempts = 0;  ///< requests without an answer
    NeighborIndex bucket_next = no_neighbor;
    NeighborIndex list_next = no_neighbor;
    NeighborIndex list_previous = no_neighbor;
    uint32_t waiting_head = no_index;  ///< the caller's list of who waits
    uint32_t waiting_tail = no_index;
    /// The caller's, while it is delayed: who needed it, and how far that one had got.
    struct Witness {
        uint32_t index = no_index;
        uint32_t generation = 0;
        uint32_t progress = 0;
    } witness;
    Instant confirmed;  ///< the last answer
    Instant due;        ///< when to ask again, or to give up
    wire::IpAddress address;

    bool usable() const {
        return state == NeighborState::reachable || state == NeighborState::delayed ||
               state == NeighborState::probing || state == NeighborState::fixed;
    }
    /// The waiting list, which is then empty.
    uint32_t take_waiting() {
        waiting_tail = no_index;
        return std::exchange(waiting_head, no_index);
    }
    bool asking() const {
        return state == NeighborState::incomplete || state == NeighborState::probing;
    }
};

/// Our end of an interface's link: what its frames come from.
struct LinkEnd {
    wire::MacAddress mac;
    uint16_t vlan = 0;  ///< 0: untagged

    wire::L2Header header_to(const wire::MacAddress& destination, uint16_t type) const {
        return wire::make_l2_header(destination, mac, type,
                                    vlan == 0 ? std::nullopt : std::optional{vlan});
    }
};

class NeighborCache {
  public:
    static constexpr Duration request_interval = Duration::seconds(1);
    static constexpr Duration reachable_time = Duration::seconds(60);
    /// DELAY_FIRST_PROBE_TIME (RFC 4861 section 10).
    static constexpr Duration delay_time = Duration::seconds(5);
    static constexpr uint8_t attempts_max = 3;
    /// A changed address is believed only if the old one was not confirmed within this time, so the
    /// first of two answers to one request wins.
    static constexpr Duration settle_time = Duration::seconds(1);

    /// `capacity` in 1..neighbors_max. `own` are our ends of the links, by interface.
    NeighborCache(uint32_t capacity, std::vector<LinkEnd> own, const SipKey& key);

    /// A configured neighbor.
    void add_fixed(uint8_t port, const wire::IpAddress& address, const wire::MacAddress& mac);
    /// A gateway: it gets a place that it keeps. Its Ethernet address may be fixed before or after.
    NeighborIndex add_router(uint8_t port, const wire::IpAddress& address);

    struct Found {
        NeighborIndex index = no_neighbor;  ///< none: every place is fixed
        /// The waiting list of an entry that was evicted for this one.
        uint32_t orphans = no_index;
        bool evicted = false;
    };
    Found find_or_add(uint8_t port, const wire::IpAddress& address);
    NeighborIndex find(uint8_t port, const wire::IpAddress& address) const;

    Neighbor& operator[](NeighborIndex index) { return entries_[index]; }
    const Neighbor& operator[](NeighborIndex index) const { return entries_[index]; }

    /// To be called when the neighbor is needed: begins to ask where that is due. True if the entry
    /// is delayed from now on, and needs a witness.
    bool use(NeighborIndex index, Instant now) {
        Neighbor& n = entries_[index];
        n.used = true;
        if (n.state == NeighborState::reachable) {
            if (now - n.confirmed < reachable_time) return false;
            start_delay(index, now);
            return true;
        }
        if (n.state == NeighborState::idle || n.state == NeighborState::failed) {
            start_asking(index, NeighborState::incomplete, now);
        }
        return false;
    }

    /// Somebody behind this neighbor does not answer (RFC 1122 section 2.3.2.1, MUST-20). True if
    /// it is to be asked for now, at most once in a request interval. What is known stays in use
    /// meanwhile, and an answer corrects it: silence may be the fault of what lies behind.
    bool doubt(NeighborIndex index, Instant now) {
        Neighbor& n = entries_[index];
        if (n.state == NeighborState::delayed) probe(index, now);
        if (n.state != NeighborState::reachable || now < n.due) return false;
        n.due = now + request_interval;
        return true;
    }

    /// A packet says that `address` is at `mac`. Returns the entry that was confirmed or changed,
    /// so that the caller can wake who waits for it; none if nobody had asked.
    NeighborIndex learn(uint8_t port, const wire::IpAddress& address, const wire::MacAddress& mac,
                        Instant now);

    struct Action {
        enum class Kind : uint8_t { ask, ask_directly, judge, give_up } kind;
        NeighborIndex index;
    };
    /// What is due, one after the other: ask by broadcast, ask the address that we have, confirm or
    /// probe what was delayed, by the word of its witness, or tell those who wait that there is no
    /// answer.
    std::optional<Action> next_action(Instant now);
    std::optional<Instant> next_deadline() const;
    /// What is to be done to judge: the neighbor was there a moment ago, or nobody knows.
    void confirm(NeighborIndex index, Instant now) { entries_[index].confirmed = now; }
    void probe(NeighborIndex index, Instant now);

  private:
    /// In the order of `due`.
    struct List {
        NeighborIndex head = no_neighbor;
        NeighborIndex tail = no_neighbor;
    };
    uint64_t hash(uint8_t port, const wire::IpAddress& address) const;
    NeighborIndex& bucket(uint8_t port, const wire::IpAddress& address);
    NeighborIndex add(uint8_t port, const wire::IpAddress& address, Found& found);
    NeighborIndex choose_victim();
    void unlink_from_bucket(NeighborIndex index);
    void start_asking(NeighborIndex index, NeighborState state, Instant now);
    void start_delay(NeighborIndex index, Instant now);
    void push(List& list, NeighborIndex index, bool front);
    /// Out of the list that it is in, if any.
    void unlink(NeighborIndex index);
    bool is_due(const List& list, Instant now) const {
        return list.head != no_neighbor && entries_[list.head].due <= now;
    }
    void set_header(Neighbor& n, const wire::MacAddress& mac) const;

    uint32_t capacity_;
    std::vector<LinkEnd> own_;
    SipKey key_;
    std::vector<Neighbor> entries_;
    std::vector<NeighborIndex> buckets_;
    List asking_;
    List delayed_;
    uint32_t hand_ = 0;
    NeighborIndex last_found_ = no_neighbor;
};

}  // namespace synfin::stack
