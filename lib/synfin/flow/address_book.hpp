// IPv6 addresses as 32-bit ids (four_tuple.hpp), counted by who uses them.
//
// Only this file knows that an id may stand for something longer. IPv4 addresses are their own ids
// and pass through without a look at the table. An IPv6 address has the id `place + 1` as long as
// somebody holds a reference; after that it names nobody until reclaim(), and then the place is
// free for another. So an id that was looked up at the beginning of a burst cannot come to mean
// another address before its end.
//
// The hash is keyed: peers choose their addresses. Those that were asked for last are found without
// it, by a few bits of the address itself: whoever chooses addresses that meet there gains that the
// hash is computed. Limits: `capacity` different addresses in use;
// then intern() fails and the caller refuses the connection. Whoever only gets an answer without
// state takes no reference, so nobody fills the book by sending from many addresses.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include <synfin/base/assert.hpp>
#include <synfin/base/index_pool.hpp>
#include <synfin/base/relaxed.hpp>
#include <synfin/base/siphash.hpp>
#include <synfin/flow/connection_table.hpp>
#include <synfin/flow/four_tuple.hpp>
#include <synfin/wire/address.hpp>

namespace synfin::flow {

class AddressBook {
  public:
    /// Ids 1 .. 2^24 - 1 exist.
    static constexpr uint32_t max_capacity = (1u << 24) - 1;

    AddressBook(uint32_t capacity, const SipKey& key)
        : key_{key}, entries_{capacity}, table_{capacity} {
        SYNFIN_ASSERT(capacity > 0 && capacity <= max_capacity);
    }

    /// The id of `address`, with one more reference to it. Nothing when the book is full, and for
    /// an IPv4 address of 0.0.0.0/8, which no peer can have.
    std::optional<AddressId> intern(const wire::IpAddress& address) {
        if (address.is_v4()) return v4_id(address);
        uint32_t place = find(address);
        if (place == no_index) {
            const uint32_t hash = hash_of(address);
            place = entries_.take();
            if (place == no_index) return std::nullopt;
            Entry& entry = entries_[place];
            entry.high = address.high();
            entry.low = address.low();
            entry.hash = hash;
            entry.references = 0;
            if (!table_.insert(hash, place)) {
                entries_.give_back(place);
                return std::nullopt;
            }
        }
        ++entries_[place].references;
        return place + 1;
    }

    /// One more reference to an id that stood for the address before. False: it does not any more.
    bool hold_again(AddressId id, const wire::IpAddress& address) {
        if (!is_interned(id)) return true;
        if (!stands_for(place_of(id), address)) return false;
        ++entries_[place_of(id)].references;
        return true;
    }

    /// The id of an address that is not one of IPv4, or no_address; takes no reference.
    [[gnu::always_inline]] AddressId lookup_v6(const wire::IpAddress& address) const {
        static_assert(no_index + 1 == no_address);
        return find(address) + 1;
    }

    /// Gives back one reference that intern() took. Nothing to do for IPv4.
    void release(AddressId id) {
        if (is_interned(id)) release_interned(id);
    }
    [[gnu::noinline]] void release_interned(AddressId id) {
        Entry& entry = entries_[place_of(id)];
        SYNFIN_ASSERT(entry.references > 0);
        if (--entry.references > 0) return;
        table_.erase(entry.hash, place_of(id));
        entry.next_free = forgotten_;
        forgotten_ = place_of(id);
        ++forgotten_count_;
    }

    /// The places of addresses that nobody references any more may be given to others. To be called
    /// when no id is held without a reference.
    void reclaim() {
        while (forgotten_ != no_index) {
            const uint32_t place = forgotten_;
            forgotten_ = entries_[place].next_free;
            entries_.give_back(place);
        }
        forgotten_count_ = 0;
    }

    /// What stands for an address in what is computed from a secret (initial sequence numbers,
    /// timestamp offsets, cookies): 32 keyed bits of the address itself, because an id is lent to
    /// one address after the other, and what one peer has learned must not help against the next.
    AddressId fingerprint(const wire::IpAddress& address) const {
        return address.is_v4() ? address.v4() : hash_of(address);
    }
    FourTuple fingerprint(const FourTuple& tuple) const {
        return {fingerprint_of(tuple.local_address), fingerprint_of(tuple.remote_address),
                tuple.local_port, tuple.remote_port};
    }

    /// The address behind an id that is referenced. Any thread may ask; one that holds no reference
    /// must find out afterwards whether the connection that does was still there.
    wire::IpAddress resolve(AddressId id) const {
        if (!is_interned(id)) [[likely]]
            return wire::IpAddress::v4(id);
        if (id == no_address) return {};  // a connection that is just being filled in
        const Entry& entry = entries_[place_of(id)];
        return wire::IpAddress::v6(entry.high, entry.low);
    }

    /// Addresses that are referenced.
    uint32_t size() const { return entries_.used() - forgotten_count_; }
    uint32_t capacity() const { return entries_.capacity(); }

  private:
    struct Entry {
        Relaxed<uint64_t> high;
        Relaxed<uint64_t> low;
        uint32_t hash = 0;
        uint32_t references = 0;
        uint32_t next_free = no_index;
        friend uint32_t& pool_link(Entry& entry) { return entry.next_free; }
    };

    static std::optional<AddressId> v4_id(const wire::IpAddress& address) {
        if (is_interned(address.v4())) return std::nullopt;
        return address.v4();
    }

    static uint32_t place_of(AddressId id) {
        SYNFIN_ASSERT(id != 0);
        return id - 1;
    }

    AddressId fingerprint_of(AddressId id) const {
        return is_interned(id) && id != no_address ? entries_[place_of(id)].hash : id;
    }

    uint32_t hash_of(const wire::IpAddress& address) const {
        return static_cast<uint32_t>(SipHash13::of_16_bytes(key_, address.high(), address.low()));
    }

    bool is(uint32_t place, const wire::IpAddress& address) const {
        const Entry& entry = entries_[place];
        return entry.high == address.high() && entry.low == address.low();
    }
    bool stands_for(uint32_t place, const wire::IpAddress& address) const {
        return is(place, address) && entries_[place].references > 0;
    }

    [[gnu::always_inline]] uint32_t find(const wire::IpAddress& address) const {
        const uint64_t bits = address.high() ^ address.low();
        uint32_t& last = last_found_[(bits ^ bits >> 32) % last_found_.size()];
        if (stands_for(last, address)) [[likely]]
            return last;
        return search(address, last);
    }
    [[gnu::noinline]] uint32_t search(wire::IpAddress address, uint32_t& last) const {
        const uint32_t place =
            table_.find(hash_of(address), [&](uint32_t p) { return is(p, address); });
        if (place != no_index) last = place;
        return place;
    }

    SipKey key_;
    IndexPool<Entry> entries_;
    ConnectionTable table_;
    uint32_t forgotten_ = no_index;  ///< places without references, linked by next_free
    uint32_t forgotten_count_ = 0;
    /// Places, some of them of addresses that have gone since, or that nobody has used.
    mutable std::array<uint32_t, 256> last_found_{};
};

}  // namespace synfin::flow
