// IPv6 addresses as 32-bit ids (four_tuple.hpp), counted by who uses them.
//
// Only this file knows that an id may stand for something longer. IPv4 addresses are their own ids
// and pass through without a look at the table. An IPv6 address has the id `place + 1` as long as
// somebody holds a reference; then the place is free for another.
//
// The hash is keyed: peers choose their addresses. Limits: `capacity` different addresses in use;
// then intern() fails and the caller refuses the connection.
#pragma once

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
        const uint32_t hash = hash_of(address);
        uint32_t place = find(address, hash);
        if (place == no_index) {
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

    /// The id of `address` if it has one; takes no reference.
    std::optional<AddressId> lookup(const wire::IpAddress& address) const {
        if (address.is_v4()) return v4_id(address);
        const uint32_t place = find(address, hash_of(address));
        if (place == no_index) return std::nullopt;
        return place + 1;
    }

    /// Gives back one reference that intern() took. Nothing to do for IPv4.
    void release(AddressId id) {
        if (!is_interned(id)) return;
        Entry& entry = entries_[place_of(id)];
        SYNFIN_ASSERT(entry.references > 0);
        if (--entry.references > 0) return;
        table_.erase(entry.hash, place_of(id));
        entries_.give_back(place_of(id));
    }

    /// The address behind an id that is referenced. Any thread may ask; one that holds no reference
    /// must find out afterwards whether the connection that does was still there.
    wire::IpAddress resolve(AddressId id) const {
        if (!is_interned(id)) return wire::IpAddress::v4(id);
        const Entry& entry = entries_[place_of(id)];
        return wire::IpAddress::v6(entry.high, entry.low);
    }

    /// Addresses that are referenced.
    uint32_t size() const { return entries_.used(); }

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

    uint32_t hash_of(const wire::IpAddress& address) const {
        return static_cast<uint32_t>(SipHash13::of_16_bytes(key_, address.high(), address.low()));
    }

    uint32_t find(const wire::IpAddress& address, uint32_t hash) const {
        return table_.find(hash, [&](uint32_t place) {
            const Entry& entry = entries_[place];
            return entry.high == address.high() && entry.low == address.low();
        });
    }

    SipKey key_;
    IndexPool<Entry> entries_;
    ConnectionTable table_;
};

}  // namespace synfin::flow
