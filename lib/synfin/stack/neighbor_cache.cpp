#include <algorithm>
#include <bit>
#include <utility>

#include <synfin/base/assert.hpp>
#include <synfin/stack/neighbor_cache.hpp>

namespace synfin::stack {

NeighborCache::NeighborCache(uint32_t capacity, std::vector<LinkEnd> own, const SipKey& key)
    : capacity_{capacity}, own_{std::move(own)}, key_{key} {
    SYNFIN_ASSERT(capacity > 0 && capacity <= neighbors_max);
    entries_.reserve(capacity);
    buckets_.assign(std::bit_ceil(size_t{capacity}), no_neighbor);
}

void NeighborCache::add_fixed(uint8_t port, const wire::IpAddress& address,
                              const wire::MacAddress& mac) {
    const NeighborIndex index = find_or_add(port, address).index;
    SYNFIN_ASSERT(index != no_neighbor);
    Neighbor& n = entries_[index];
    n.state = NeighborState::fixed;
    set_header(n, mac);
}

NeighborIndex NeighborCache::add_router(uint8_t port, const wire::IpAddress& address) {
    const NeighborIndex index = find_or_add(port, address).index;
    SYNFIN_ASSERT(index != no_neighbor);
    entries_[index].router = true;
    return index;
}

NeighborIndex NeighborCache::find(uint8_t port, const wire::IpAddress& address) const {
    NeighborIndex index = buckets_[hash(port, address) & (buckets_.size() - 1)];
    while (index != no_neighbor) {
        const Neighbor& n = entries_[index];
        if (n.address == address && n.port == port) break;
        index = n.bucket_next;
    }
    return index;
}

NeighborCache::Found NeighborCache::find_or_add(uint8_t port, const wire::IpAddress& address) {
    Found found;
    if (last_found_ < entries_.size()) {  // connections to one address often follow each other
        const Neighbor& last = entries_[last_found_];
        if (last.address == address && last.port == port) found.index = last_found_;
    }
    if (found.index == no_neighbor) found.index = last_found_ = find(port, address);
    if (found.index == no_neighbor) found.index = add(port, address, found);
    if (found.index != no_neighbor) entries_[found.index].used = true;
    return found;
}

NeighborIndex NeighborCache::add(uint8_t port, const wire::IpAddress& address, Found& found) {
    NeighborIndex index = no_neighbor;
    if (entries_.size() < capacity_) {
        index = static_cast<NeighborIndex>(entries_.size());
        entries_.emplace_back();
    } else {
        index = choose_victim();
        if (index == no_neighbor) return no_neighbor;
        found.evicted = true;
        found.orphans = entries_[index].waiting_head;
        unlink(index);
        unlink_from_bucket(index);
    }
    Neighbor& n = entries_[index];
    n = Neighbor{};
    n.port = port;
    n.address = address;
    NeighborIndex& head = bucket(port, address);
    n.bucket_next = head;
    head = index;
    return index;
}

NeighborIndex NeighborCache::choose_victim() {
    // Two rounds: the first takes from every entry the mark of having been used.
    for (uint32_t step = 0; step < 2 * capacity_; ++step) {
        const auto index = static_cast<NeighborIndex>(hand_);
        hand_ = hand_ + 1 == capacity_ ? 0 : hand_ + 1;
        Neighbor& n = entries_[index];
        if (n.state == NeighborState::fixed || n.router) continue;
        if (!std::exchange(n.used, false)) return index;
    }
    return no_neighbor;
}

NeighborIndex NeighborCache::learn(uint8_t port, const wire::IpAddress& address,
                                   const wire::MacAddress& mac, Instant now) {
    const NeighborIndex index = find(port, address);
    if (index == no_neighbor) return no_neighbor;
    Neighbor& n = entries_[index];
    if (n.state == NeighborState::fixed || n.state == NeighborState::idle) return no_neighbor;
    const bool same = std::equal(mac.bytes.begin(), mac.bytes.end(), n.header.bytes.begin());
    if (n.usable() && !same && now - n.confirmed < settle_time) return no_neighbor;
    unlink(index);
    n.state = NeighborState::reachable;
    n.attempts = 0;
    n.confirmed = now;
    set_header(n, mac);
    return index;
}

std::optional<NeighborCache::Action> NeighborCache::next_action(Instant now) {
    if (is_due(delayed_, now)) {
        const NeighborIndex index = delayed_.head;
        unlink(index);
        entries_[index].state = NeighborState::reachable;
        return Action{Action::Kind::judge, index};
    }
    if (!is_due(asking_, now)) return std::nullopt;
    const NeighborIndex index = asking_.head;
    Neighbor& n = entries_[index];
    unlink(index);
    if (n.attempts == attempts_max) {
        if (n.state == NeighborState::incomplete) {
            n.state = NeighborState::failed;
            return Action{Action::Kind::give_up, index};
        }
        // Nobody at the address that we had: it may have moved.
        n.state = NeighborState::incomplete;
        n.attempts = 0;
    }
    ++n.attempts;
    n.due = now + request_interval;
    push(asking_, index, false);
    const bool directly = n.state == NeighborState::probing;
    return Action{directly ? Action::Kind::ask_directly : Action::Kind::ask, index};
}

std::optional<Instant> NeighborCache::next_deadline() const {
    std::optional<Instant> earliest;
    for (const List* list : {&asking_, &delayed_}) {
        if (list->head == no_neighbor) continue;
        const Instant due = entries_[list->head].due;
        if (!earliest || due < *earliest) earliest = due;
    }
    return earliest;
}

uint64_t NeighborCache::hash(uint8_t port, const wire::IpAddress& address) const {
    return SipHash13::of_16_bytes(key_, address.high() ^ uint64_t{port} << 56, address.low());
}

NeighborIndex& NeighborCache::bucket(uint8_t port, const wire::IpAddress& address) {
    return buckets_[hash(port, address) & (buckets_.size() - 1)];
}

void NeighborCache::unlink_from_bucket(NeighborIndex index) {
    const Neighbor& n = entries_[index];
    NeighborIndex* link = &bucket(n.port, n.address);
    while (*link != index) link = &entries_[*link].bucket_next;
    *link = n.bucket_next;
}

void NeighborCache::start_asking(NeighborIndex index, NeighborState state, Instant now) {
    Neighbor& n = entries_[index];
    n.state = state;
    n.attempts = 0;
    n.due = now;
    // At the front: all others are due a full interval after a moment that was not later than now.
    push(asking_, index, true);
}

void NeighborCache::start_delay(NeighborIndex index, Instant now) {
    Neighbor& n = entries_[index];
    n.state = NeighborState::delayed;
    n.due = now + delay_time;
    n.witness = {};
    push(delayed_, index, false);
}

void NeighborCache::probe(NeighborIndex index, Instant now) {
    unlink(index);
    start_asking(index, NeighborState::probing, now);
}

void NeighborCache::push(List& list, NeighborIndex index, bool front) {
    Neighbor& n = entries_[index];
    n.list_next = front ? list.head : no_neighbor;
    n.list_previous = front ? no_neighbor : list.tail;
    (n.list_next == no_neighbor ? list.tail : entries_[n.list_next].list_previous) = index;
    (n.list_previous == no_neighbor ? list.head : entries_[n.list_previous].list_next) = index;
}

void NeighborCache::unlink(NeighborIndex index) {
    Neighbor& n = entries_[index];
    if (!n.asking() && n.state != NeighborState::delayed) return;
    List& list = n.asking() ? asking_ : delayed_;
    (n.list_next == no_neighbor ? list.tail : entries_[n.list_next].list_previous) =
        n.list_previous;
    (n.list_previous == no_neighbor ? list.head : entries_[n.list_previous].list_next) =
        n.list_next;
    n.list_next = n.list_previous = no_neighbor;
}

void NeighborCache::set_header(Neighbor& n, const wire::MacAddress& mac) const {
    const uint16_t type = n.address.is_v4() ? wire::ethertype::ipv4 : wire::ethertype::ipv6;
    n.header = own_[n.port].header_to(mac, type);
}

}  // namespace synfin::stack
