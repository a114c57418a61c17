// How large a packet may be on its way to a destination (RFC 1191, RFC 8201), for those
// destinations whose path is known to take less than our link. All others have no entry.
//
//   mtu      passes: a router has named it, a probe of it arrived, or it is small enough for any
//   ceiling  does not pass, as far as is known
//
// An entry comes into being when a router says that a packet was too large, or when large packets
// vanish without a word (a black hole: RFC 8899 section 4.3). Then it is searched upwards between
// the two by probes (RFC 8899 section 5): in a black hole at once, since the smallest size was
// taken on suspicion; after a router's word, and after each search, only when `search_interval` is
// over. A size is held for too large when `probes_max` probes of it are lost. An entry whose path
// has been found to take what the link takes goes, and so does one that nobody has used for
// `lifetime`. When the table is full the oldest entry goes, counted; a connection that has made its
// segments smaller keeps them so.
//
// Cost: one keyed hash and a walk over a short chain, for connections over such paths only.
#pragma once

#include <cstdint>
#include <vector>

#include <synfin/base/instant.hpp>
#include <synfin/base/siphash.hpp>
#include <synfin/wire/address.hpp>

namespace synfin::stack {

class PathMtuTable {
  public:
    static constexpr Duration search_interval = Duration::seconds(600);  ///< RFC 1191 section 6.3
    static constexpr Duration lifetime = Duration::seconds(600);
    static constexpr Duration probe_interval = Duration::seconds(1);  ///< after one was lost
    static constexpr uint8_t probes_max = 3;                          ///< MAX_PROBES (RFC 8899)
    static constexpr uint16_t precision_bytes = 16;  ///< a search ends when it knows so much

    /// Packets are made no smaller. Who says that an IPv6 path takes less lies (RFC 8201 section
    /// 4). An IPv4 path may, down to 68 bytes, or somebody wants to make us send mostly headers
    /// (RFC 5927 section 7); either way what we send there is this large, and routers may divide
    /// it, as RFC 1191 section 3 allows in place of smaller packets.
    static constexpr uint16_t smallest_v4 = 552;
    static constexpr uint16_t smallest_v6 = 1280;
    /// What is tried first in a black hole (RFC 4821 section 7.2).
    static constexpr uint16_t first_guess_v4 = 1024;

    PathMtuTable(uint32_t capacity, uint16_t link_mtu, const SipKey& key);

    bool empty() const { return used_ == 0; }
    uint32_t size() const { return used_; }

    /// What passes to `destination`, 0 if nothing is known. Keeps the entry alive.
    uint16_t find(const wire::IpAddress& destination, Instant now);
    /// A router says that no more than `mtu` passes. Returns false if an entry had to go for it.
    bool reduce(const wire::IpAddress& destination, uint16_t mtu, Instant now);
    /// Packets of `size` vanish. Returns what to go on with, 0 if it is small enough already.
    uint16_t suspect(const wire::IpAddress& destination, uint16_t size, Instant now, bool& evicted);
    /// The size of a probe that is due, 0 if none is.
    uint16_t probe(const wire::IpAddress& destination, Instant now);
    void probe_arrived(const wire::IpAddress& destination, uint16_t size, Instant now);
    /// `passes` is what the connection goes on with. Returns false if an entry had to go for it.
    bool probe_lost(const wire::IpAddress& destination, uint16_t size, uint16_t passes,
                    Instant now);
    /// For the next datagram that routers may divide on its way to `destination`: counted for each
    /// destination by itself (RFC 6864 section 4.3), from a number that nobody knows.
    uint16_t next_identification(const wire::IpAddress& destination, Instant now, bool& evicted);

  private:
    static constexpr uint32_t none = UINT32_MAX;
    struct Entry {
        wire::IpAddress destination;
        Instant used;
        Instant search_at;  ///< or the next probe
        uint16_t mtu = 0;
        uint16_t ceiling = 0;
        uint16_t identification = 0;  ///< of the next datagram that may be divided
        uint8_t lost = 0;             ///< probes of the present size
        bool searching = false;
        bool taken = false;
        uint32_t next = none;  ///< in the bucket
    };

    uint32_t& bucket(const wire::IpAddress& destination);
    Entry* look_up(const wire::IpAddress& destination, Instant now);
    Entry& take(const wire::IpAddress& destination, Instant now, bool& evicted);
    void give_back(Entry& entry);
    void end_search(Entry& entry, Instant now) const;

    uint16_t link_mtu_;
    SipKey key_;
    std::vector<Entry> entries_;
    std::vector<uint32_t> buckets_;
    uint32_t capacity_;
    uint32_t used_ = 0;
    uint32_t hand_ = 0;  ///< the oldest, once all places have been used
};

}  // namespace synfin::stack
