#include <algorithm>
#include <cstring>

#include <synfin/stack/reassembly.hpp>

namespace synfin::stack {

namespace {

constexpr uint32_t chunks_per_slot = 4;

}  // namespace

Reassembly::Reassembly(uint32_t max_bytes)
    : chunks_{std::max(max_bytes / static_cast<uint32_t>(sizeof(Chunk)), 1u)},
      held_{chunks_.capacity()},
      slots_(max_bytes / (chunks_per_slot * sizeof(Chunk))),
      whole_(slots_.empty() ? 0 : wire::ipv6_datagram_bytes_max) {}

size_t Reassembly::waiting() const {
    return static_cast<size_t>(
        std::count_if(slots_.begin(), slots_.end(), [](const Datagram& d) { return d.used; }));
}

std::span<const uint8_t> Reassembly::take(const wire::Fragment& fragment, Instant now,
                                          Counters& counters) {
    ++counters.fragments_in;
    if (slots_.empty() || fragment.header.size() > header_bytes_max) {
        ++counters.fragments_refused;
        return {};
    }
    Datagram& d = *find_or_begin(fragment, now, counters);
    const auto refuse = [&] {
        condemn(d);
        ++counters.fragments_refused;
        return std::span<const uint8_t>{};
    };
    if (d.condemned) return refuse();
    uint32_t previous = no_index;
    switch (find_place(d, fragment, previous)) {
        case Place::repeated: ++counters.fragments_repeated; return {};
        case Place::overlapping: return refuse();
        case Place::free: break;
    }
    const auto chunks =
        static_cast<uint32_t>((fragment.data.size() + Chunk::capacity - 1) / Chunk::capacity);
    d.marked |= fragment.ecn == wire::Ecn::ce;
    d.seen_not_capable |= fragment.ecn == wire::Ecn::not_capable;
    if ((d.marked && d.seen_not_capable) || d.held_count == fragments_max ||
        !agree_on_length(d, fragment, last_end(d)) || !make_room(d, chunks, counters)) {
        return refuse();
    }
    keep(d, fragment, previous);
    if (d.header_length == 0 || d.held_bytes != d.length) return {};
    if (d.header_length + d.length > wire::datagram_bytes_max(d.source))
        return refuse();  // the headers differ
    ++counters.datagrams_reassembled;
    return put_together(d);
}

// ---- slots

bool Reassembly::is_of(const Datagram& d, const wire::Fragment& fragment) {
    return d.used && d.identification == fragment.identification && d.source == fragment.source &&
           d.destination == fragment.destination &&
           (d.source.is_v6() || d.protocol == fragment.protocol);
}

Reassembly::Datagram* Reassembly::find_or_begin(const wire::Fragment& fragment, Instant now,
                                                Counters& counters) {
    Datagram* unused = nullptr;
    for (Datagram& d : slots_) {
        if (d.used && d.deadline <= now) {
            if (!d.condemned) ++counters.reassembly_timeouts;
            release(d);
        }
        if (is_of(d, fragment)) return &d;
        if (!d.used) unused = &d;
    }
    if (unused == nullptr) {
        unused = &oldest_to_go(fragment.source);
        if (!unused->condemned) ++counters.reassembly_evictions;
        release(*unused);
    }
    unused->used = true;
    unused->identification = fragment.identification;
    unused->source = fragment.source;
    unused->destination = fragment.destination;
    unused->protocol = fragment.protocol;
    unused->deadline = now + lifetime;
    return unused;
}

// All slots are used, or all of the memory by some of them.
Reassembly::Datagram& Reassembly::oldest_to_go(const wire::IpAddress& source) {
    Datagram* oldest = nullptr;
    Datagram* oldest_of_source = nullptr;
    size_t of_source = 0;
    const auto is_older = [](const Datagram& d, const Datagram* than) {
        return than == nullptr || d.deadline < than->deadline;
    };
    for (Datagram& d : slots_) {
        if (!d.used) continue;
        if (is_older(d, oldest)) oldest = &d;
        if (d.source != source) continue;
        ++of_source;
        if (is_older(d, oldest_of_source)) oldest_of_source = &d;
    }
    return of_source * 4 >= slots_.size() && oldest_of_source != nullptr ? *oldest_of_source
                                                                         : *oldest;
}

void Reassembly::drop_data(Datagram& d) {
    while (d.held != no_index) {
        const uint32_t gone = d.held;
        uint32_t chunk = held_[gone].chunks;
        d.held = held_[gone].next;
        held_.give_back(gone);
        while (chunk != no_index) {
            const uint32_t next = chunks_[chunk].next;
            chunks_.give_back(chunk);
            chunk = next;
        }
    }
    d.held_count = 0;
    d.held_bytes = 0;
}

void Reassembly::condemn(Datagram& d) {
    drop_data(d);
    d.condemned = true;
}

void Reassembly::release(Datagram& d) {
    drop_data(d);
    d.used = d.condemned = d.marked = d.seen_not_capable = false;
    d.length = 0;
    d.header_length = 0;
}

// ---- one datagram

Reassembly::Place Reassembly::find_place(const Datagram& d, const wire::Fragment& fragment,
                                         uint32_t& previous) const {
    previous = no_index;
    for (uint32_t i = d.held; i != no_index; i = held_[i].next) {
        const Held& held = held_[i];
        if (held.begin >= fragment.end()) break;
        if (held.end() > fragment.offset) {
            return held.begin == fragment.offset && held.end() == fragment.end()
                       ? Place::repeated
                       : Place::overlapping;
        }
        previous = i;
    }
    return Place::free;
}

uint32_t Reassembly::last_end(const Datagram& d) const {
    uint32_t end = 0;
    for (uint32_t i = d.held; i != no_index; i = held_[i].next) end = held_[i].end();
    return end;
}

bool Reassembly::agree_on_length(Datagram& d, const wire::Fragment& fragment, uint32_t last_end) {
    if (fragment.more) return d.length == 0 || fragment.end() < d.length;
    if (d.length != 0 || last_end > fragment.end()) return false;
    d.length = fragment.end();
    return true;
}

bool Reassembly::make_room(Datagram& d, uint32_t chunks, Counters& counters) {
    while (chunks_.capacity() - chunks_.used() < chunks) {
        Datagram& gone = oldest_to_go(d.source);
        if (&gone == &d) return false;
        if (!gone.condemned) ++counters.reassembly_evictions;
        release(gone);
    }
    return true;
}

void Reassembly::keep(Datagram& d, const wire::Fragment& fragment, uint32_t previous) {
    const uint32_t index = held_.take();
    Held& held = held_[index];
    held = {.begin = fragment.offset, .length = static_cast<uint32_t>(fragment.data.size())};
    uint32_t* link = &held.chunks;
    for (std::span<const uint8_t> rest = fragment.data; !rest.empty();) {
        const size_t count = std::min<size_t>(rest.size(), Chunk::capacity);
        *link = chunks_.take();
        Chunk& chunk = chunks_[*link];
        chunk.next = no_index;
        std::memcpy(chunk.bytes.data(), rest.data(), count);
        link = &chunk.next;
        rest = rest.subspan(count);
    }
    uint32_t& place = previous == no_index ? d.held : held_[previous].next;
    held.next = place;
    place = index;
    ++d.held_count;
    d.held_bytes += held.length;
    if (fragment.offset != 0) return;
    std::copy(fragment.header.begin(), fragment.header.end(), d.header.begin());
    d.header_length = fragment.header.size();
    d.protocol_at = fragment.protocol_at;
    d.protocol = fragment.protocol;
}

// Nothing overlaps, and there is as much as there is to be: so nothing lacks.
std::span<const uint8_t> Reassembly::put_together(Datagram& d) {
    const std::span<uint8_t> header{d.header.data(), d.header_length};
    wire::make_header_whole(header, d.protocol_at, d.protocol, d.length);
    if (d.marked) wire::mark_congestion(header);
    uint8_t* out = std::copy(header.begin(), header.end(), whole_.data());
    for (uint32_t i = d.held; i != no_index; i = held_[i].next) {
        uint32_t left = held_[i].length;
        for (uint32_t c = held_[i].chunks; c != no_index; c = chunks_[c].next) {
            const uint32_t count = std::min(left, Chunk::capacity);
            out = std::copy_n(chunks_[c].bytes.data(), count, out);
            left -= count;
        }
    }
    const size_t total = header.size() + d.length;
    release(d);
    return {whole_.data(), total};
}

}  // namespace synfin::stack
