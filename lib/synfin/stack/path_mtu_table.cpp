#include <algorithm>
#include <bit>

#include <synfin/base/assert.hpp>
#include <synfin/stack/path_mtu_table.hpp>

namespace synfin::stack {

PathMtuTable::PathMtuTable(uint32_t capacity, uint16_t link_mtu, const SipKey& key)
    : link_mtu_{link_mtu},
      key_{key},
      buckets_(std::bit_ceil(size_t{capacity}), none),
      capacity_{capacity} {
    SYNFIN_ASSERT(capacity > 0);
}

uint32_t& PathMtuTable::bucket(const wire::IpAddress& destination) {
    const uint64_t hash = SipHash13::of_16_bytes(key_, destination.high(), destination.low());
    return buckets_[hash & (buckets_.size() - 1)];
}

PathMtuTable::Entry* PathMtuTable::look_up(const wire::IpAddress& destination, Instant now) {
    for (uint32_t i = bucket(destination); i != none; i = entries_[i].next) {
        Entry& e = entries_[i];
        if (e.destination != destination) continue;
        if (now - e.used < lifetime) {
            e.used = now;
            return &e;
        }
        give_back(e);
        return nullptr;
    }
    return nullptr;
}

// Places are taken in turn, so the hand stands at the one that was taken longest ago.
PathMtuTable::Entry& PathMtuTable::take(const wire::IpAddress& destination, Instant now,
                                        bool& evicted) {
    if (entries_.size() < capacity_) {
        hand_ = static_cast<uint32_t>(entries_.size());
        entries_.emplace_back();
    }
    const uint32_t index = hand_;
    hand_ = hand_ + 1 == capacity_ ? 0 : hand_ + 1;
    Entry& e = entries_[index];
    evicted = e.taken;
    if (e.taken) give_back(e);
    uint32_t& head = bucket(destination);
    e = Entry{};
    e.destination = destination;
    e.used = now;
    e.identification = static_cast<uint16_t>(SipHash13::of_16_bytes(
        key_, destination.high() ^ static_cast<uint64_t>(now.ns()), ~destination.low()));
    e.taken = true;
    e.next = head;
    head = index;
    ++used_;
    return e;
}

void PathMtuTable::give_back(Entry& entry) {
    uint32_t* link = &bucket(entry.destination);
    while (&entries_[*link] != &entry) link = &entries_[*link].next;
    *link = entry.next;
    entry.taken = false;
    --used_;
}

void PathMtuTable::end_search(Entry& entry, Instant now) const {
    entry.searching = false;
    entry.lost = 0;
    entry.search_at = now + search_interval;
}

uint16_t PathMtuTable::find(const wire::IpAddress& destination, Instant now) {
    const Entry* e = look_up(destination, now);
    return e == nullptr ? 0 : e->mtu;
}

bool PathMtuTable::reduce(const wire::IpAddress& destination, uint16_t mtu, Instant now) {
    bool evicted = false;
    Entry* e = look_up(destination, now);
    if (e == nullptr) e = &take(destination, now, evicted);
    e->mtu = mtu;
    e->ceiling = static_cast<uint16_t>(mtu + 1);
    end_search(*e, now);
    return !evicted;
}

uint16_t PathMtuTable::suspect(const wire::IpAddress& destination, uint16_t size, Instant now,
                               bool& evicted) {
    const uint16_t smallest = destination.is_v4() ? smallest_v4 : smallest_v6;
    if (size <= smallest) return 0;
    const bool guess = destination.is_v4() && size > first_guess_v4;
    Entry* e = look_up(destination, now);
    if (e == nullptr) e = &take(destination, now, evicted);
    e->mtu = guess ? first_guess_v4 : smallest;
    e->ceiling = size;
    e->searching = true;
    e->lost = 0;
    e->search_at = now;
    return e->mtu;
}

uint16_t PathMtuTable::probe(const wire::IpAddress& destination, Instant now) {
    Entry* e = look_up(destination, now);
    if (e == nullptr) return link_mtu_;
    if (now < e->search_at) return e->mtu;
    if (!e->searching) {
        // A round begins with the best that can be: the path may have become as wide as the link.
        e->searching = true;
        e->ceiling = static_cast<uint16_t>(std::min<uint32_t>(link_mtu_ + 1u, UINT16_MAX));
        return link_mtu_;
    }
    if (e->ceiling > link_mtu_) return link_mtu_;
    if (e->ceiling - e->mtu <= precision_bytes) {
        end_search(*e, now);
        return e->mtu;
    }
    return static_cast<uint16_t>((e->mtu + e->ceiling) / 2);
}

void PathMtuTable::probe_arrived(const wire::IpAddress& destination, uint16_t size, Instant now) {
    Entry* e = look_up(destination, now);
    if (e == nullptr) return;
    e->mtu = std::max(e->mtu, size);
    e->lost = 0;
    if (e->mtu >= link_mtu_) return give_back(*e);
    if (e->ceiling <= e->mtu) e->ceiling = static_cast<uint16_t>(e->mtu + 1);
}

uint16_t PathMtuTable::next_identification(const wire::IpAddress& destination, Instant now,
                                           bool& evicted) {
    Entry* e = look_up(destination, now);
    if (e == nullptr) {  // forgotten meanwhile
        evicted = !reduce(destination, smallest_v4, now);
        e = look_up(destination, now);
    }
    return e->identification++;
}

bool PathMtuTable::probe_lost(const wire::IpAddress& destination, uint16_t size, uint16_t passes,
                              Instant now) {
    bool evicted = false;
    Entry* e = look_up(destination, now);
    if (e == nullptr) {  // forgotten meanwhile
        e = &take(destination, now, evicted);
        e->mtu = passes;
        e->ceiling = size;
        end_search(*e, now);
    }
    if (!e->searching || size <= e->mtu) return !evicted;
    e->search_at = now + probe_interval;
    if (++e->lost >= probes_max) {
        e->lost = 0;
        e->ceiling = size;
    }
    return true;
}

}  // namespace synfin::stack
