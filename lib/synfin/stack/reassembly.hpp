// Fragments wait here for the rest of their datagram (RFC 791, RFC 815, RFC 8200 section 4.5).
//
//     slots:   one for each datagram: who, which, how long it is, until when
//       -> held: its fragments in order of offset, which never overlap
//            -> chunks: their bytes
//
// The memory is fixed. A fragment that overlaps another condemns its datagram in both families
// (RFC 5722), and the slot remembers so: what follows is refused too. One that repeats another
// exactly is a copy that the network has made, and is ignored. A mark of congestion on one is the
// whole's, and refused beside a fragment that could bear none (RFC 3168 section 5.3). A datagram
// that is not whole after a minute is forgotten; no ICMP error tells of it, as nothing here answers
// what a stranger can send to us in another's name.
//
// Whoever sends first fragments only fills the slots. When they, or the bytes, are used up, the
// oldest datagram goes: of the same source if that has a quarter of the slots, else of all. So one
// source cannot drive out the others, and many can do so only within the moment that the fragments
// of an honest datagram take to arrive.
//
// Cost: each fragment looks at all slots, 170 of them for a megabyte, and at the fragments of its
// own datagram, 64 at most.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include <synfin/base/index_pool.hpp>
#include <synfin/base/instant.hpp>
#include <synfin/stack/counters.hpp>
#include <synfin/wire/fragment.hpp>

namespace synfin::stack {

class Reassembly {
  public:
    /// RFC 8200: 60 seconds; RFC 1122 section 3.3.2: between 60 and 120.
    static constexpr Duration lifetime = Duration::seconds(60);
    static constexpr uint16_t fragments_max = 64;    ///< of one datagram; then: it is condemned
    static constexpr size_t header_bytes_max = 128;  ///< then: the fragment is refused

    /// Zero bytes: nothing is put together, each fragment is refused.
    explicit Reassembly(uint32_t max_bytes);

    /// The whole datagram if `fragment` was the last part that lacked: valid until the next call.
    /// Empty otherwise.
    std::span<const uint8_t> take(const wire::Fragment& fragment, Instant now, Counters& counters);

    /// For tests: datagrams that wait, condemned ones included, and chunks in use.
    size_t waiting() const;
    uint32_t chunks_used() const { return chunks_.used(); }
    uint32_t slots() const { return static_cast<uint32_t>(slots_.size()); }

  private:
    struct Chunk {
        static constexpr uint32_t capacity = 1532;
        uint32_t next = no_index;
        std::array<uint8_t, capacity> bytes;
    };
    struct Held {
        uint32_t begin = 0;
        uint32_t length = 0;
        uint32_t chunks = no_index;
        uint32_t next = no_index;
        uint32_t end() const { return begin + length; }
    };
    struct Datagram {
        bool used = false;
        bool condemned = false;
        uint8_t protocol = 0;
        bool marked = false;            ///< a fragment bears the mark of congestion
        bool seen_not_capable = false;  ///< a fragment could not bear it
        uint16_t held_count = 0;
        uint32_t identification = 0;
        wire::IpAddress source;
        wire::IpAddress destination;
        Instant deadline;
        uint32_t held = no_index;
        uint32_t held_bytes = 0;
        uint32_t length = 0;       ///< of all data; 0: the last fragment has not come
        size_t header_length = 0;  ///< 0: the first fragment has not come
        size_t protocol_at = 0;
        std::array<uint8_t, header_bytes_max> header{};
    };
    enum class Place : uint8_t { free, repeated, overlapping };

    friend uint32_t& pool_link(Chunk& chunk) { return chunk.next; }
    friend uint32_t& pool_link(Held& held) { return held.next; }

    Datagram* find_or_begin(const wire::Fragment& fragment, Instant now, Counters& counters);
    Datagram& oldest_to_go(const wire::IpAddress& source);
    static bool is_of(const Datagram& d, const wire::Fragment& fragment);
    /// Where the fragment belongs: behind `previous` (no_index: at the front).
    Place find_place(const Datagram& d, const wire::Fragment& fragment, uint32_t& previous) const;
    /// Whether the lengths of the fragments agree with each other; notes what this one tells.
    static bool agree_on_length(Datagram& d, const wire::Fragment& fragment, uint32_t last_end);
    uint32_t last_end(const Datagram& d) const;
    bool make_room(Datagram& d, uint32_t chunks, Counters& counters);
    void keep(Datagram& d, const wire::Fragment& fragment, uint32_t previous);
    std::span<const uint8_t> put_together(Datagram& d);
    void drop_data(Datagram& d);
    void condemn(Datagram& d);
    void release(Datagram& d);

    IndexPool<Chunk> chunks_;
    IndexPool<Held> held_;
    std::vector<Datagram> slots_;
    std::vector<uint8_t> whole_;
};

}  // namespace synfin::stack
