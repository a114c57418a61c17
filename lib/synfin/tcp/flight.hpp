// What is in flight, and what became of it: SACK's scoreboard (RFC 6675) and RACK's list of
// transmission times (RFC 8985) in one.
//
//   snd_una                                                              snd_nxt
//      | lost      | outstanding, again | sacked   | outstanding          |
//      |first range|                    |          |                 last |
//
// The ranges cover all of it without a gap, in order of sequence. What was sent at the same moment
// and met the same fate is one range, however many segments it was: a flight that goes out in one
// piece and is acknowledged in one piece, like any short request, is the one range that lies in the
// Flight itself. Further ranges come from a pool.
//
// Bound: a flight has at most 1 + max_ranges ranges. When these or the pool are used up, the
// bookkeeping gets coarser, never wrong: new data joins the range before it, with the later
// moment; a SACK block that would have to divide a range is not noted, so its data stays counted
// as in flight. `coarse` tells the caller to count it.
//
// Cost: acknowledging and appending are O(1) per range; the rest walks the list.
#pragma once

#include <cstdint>

#include <synfin/base/index_pool.hpp>
#include <synfin/tcp/seq.hpp>

namespace synfin::tcp {

enum class Fate : uint8_t {
    outstanding,  ///< under way, as far as we know
    sacked,       ///< arrived, by the peer's word, which it may take back (RFC 2018 section 8)
    lost,         ///< to be sent again
};

struct FlightRange {
    Seq begin;
    Seq end;
    uint32_t sent_us = 0;  ///< the last transmission, low 32 bits of microseconds
    uint32_t next = no_index;
    Fate fate = Fate::outstanding;
    bool retransmitted = false;  ///< sent more than once: says nothing about the round trip (Karn)
    uint32_t bytes() const { return end.distance_from(begin); }
};
inline uint32_t& pool_link(FlightRange& r) { return r.next; }

using FlightPool = IndexPool<FlightRange>;

/// What one ACK, cumulative and selective, says has arrived that was not known to have arrived.
struct Delivery {
    struct Latest {
        uint32_t sent_us = 0;
        Seq end;
        bool any = false;
    };
    uint32_t bytes = 0;
    Latest original;         ///< the last that was sent, of what was sent once
    Latest again;            ///< and of what was sent more than once
    bool reordered = false;  ///< something arrived after what was sent later (RFC 8985 step 3)
    bool undead = false;     ///< something that was held for lost and had not been sent again
};

/// Whether what ends at `a_end` left after what ends at `b_end` (RACK_sent_after).
constexpr bool sent_after(uint32_t a_us, Seq a_end, uint32_t b_us, Seq b_end) {
    return static_cast<int32_t>(a_us - b_us) > 0 || (a_us == b_us && a_end.after(b_end));
}

class Flight {
  public:
    static constexpr uint16_t max_ranges = 256;

    bool empty() const { return first_.begin == first_.end; }
    Seq begin() const { return first_.begin; }
    uint32_t sacked_bytes() const { return sacked_bytes_; }
    uint32_t lost_bytes() const { return lost_bytes_; }
    /// When the first octet in flight was sent last.
    uint32_t first_sent_us() const { return first_.sent_us; }
    /// Whether something under way may have left before what left at `us` and ends at `end`. No, if
    /// the first range, sent but once, did not: what follows it left no earlier, once or again.
    bool may_precede(uint32_t us, Seq end) const {
        return first_.fate != Fate::outstanding || first_.retransmitted ||
               sent_after(us, end, first_.sent_us, first_.end);
    }

    /// Nothing is in flight, and what comes begins at `at`.
    void restart(Seq at, FlightPool& pool);
    /// The same for a flight as it was made.
    void start(Seq at) { first_.begin = first_.end = highest_delivered_ = at; }
    /// Gives back what the pool has lent: nobody will ask this flight again.
    void end(FlightPool& pool) {
        if (count_ != 0) restart(Seq{}, pool);
    }

    /// Whether new data can be accounted for. If not, something has to be acknowledged first.
    bool can_append(const FlightPool& pool) const {
        return last(pool).fate == Fate::outstanding || can_append_range(pool);
    }
    /// [end of the flight, `end`) is sent for the first time. It joins the range before it if that
    /// began less than `together_us` before. Returns false if it joined something older for lack of
    /// ranges.
    bool append(Seq end, uint32_t now_us, uint32_t together_us, FlightPool& pool) {
        if (empty()) {
            first_.end = end;
            first_.sent_us = last_began_us_ = now_us;
            return true;
        }
        FlightRange& back = last(pool);
        if (back.fate != Fate::outstanding || back.retransmitted ||
            now_us - last_began_us_ > together_us) {
            return append_range(back, end, now_us, pool);
        }
        back.end = end;
        back.sent_us = now_us;
        return true;
    }

    /// Everything before `ack` has arrived. `delivery` is as it was made.
    void acknowledge(Seq ack, Delivery& delivery, FlightPool& pool) {
        const bool usual = first_.fate == Fate::outstanding && !first_.retransmitted &&
                           ack.before(first_.end) && ack.after(highest_delivered_);
        if (!usual) return acknowledge_ranges(ack, delivery, pool);
        delivery.bytes = ack.distance_from(first_.begin);
        delivery.original = {first_.sent_us, ack, true};
        highest_delivered_ = first_.begin = ack;
    }
    /// [left, right), within the flight, has arrived. Returns false if some of it could not be
    /// noted.
    bool sack(Seq left, Seq right, Delivery& delivery, FlightPool& pool);
    bool is_sacked(Seq left, Seq right, const FlightPool& pool) const;

    /// Holds everything before `until` for lost, unless it has arrived.
    void lose_before(Seq until, FlightPool& pool);
    /// Everything is held for lost, and SACK's word is forgotten: the peer has broken it.
    void lose_all(FlightPool& pool);
    /// What was held for lost, and not sent again, is held for under way.
    void revive(FlightPool& pool);
    /// Those that `is_lost` picks of the ranges that are outstanding are held for lost.
    template <typename Predicate>
    void lose_if(FlightPool& pool, Predicate&& is_lost);

    /// The lowest range that is to be sent again; nullptr if there is none.
    const FlightRange* first_lost(const FlightPool& pool) const;
    /// [begin, end) has been sent again. Returns false if a whole range had to stand for a part.
    bool resend(Seq begin, Seq end, uint32_t now_us, FlightPool& pool);

    /// Asserts that the ranges cover [una, nxt) and the sums are right.
    void check(Seq una, Seq nxt, const FlightPool& pool) const;
    template <typename Visitor>
    void for_each(const FlightPool& pool, Visitor&& visit) const;

  private:
    FlightRange* next_of(const FlightRange& range, FlightPool& pool) {
        return range.next == no_index ? nullptr : &pool[range.next];
    }
    FlightRange& last(FlightPool& pool) { return last_ == no_index ? first_ : pool[last_]; }
    const FlightRange& last(const FlightPool& pool) const {
        return last_ == no_index ? first_ : pool[last_];
    }
    bool can_append_range(const FlightPool& pool) const;
    bool append_range(FlightRange& back, Seq end, uint32_t now_us, FlightPool& pool);
    bool split(FlightRange& range, Seq at, FlightPool& pool);
    void absorb_next(FlightRange& range, FlightPool& pool);
    void acknowledge_ranges(Seq ack, Delivery& delivery, FlightPool& pool);
    void pop_first(FlightPool& pool);
    void merge_alike(FlightPool& pool);
    void leave_fate(const FlightRange& range, uint32_t bytes);
    void note_delivered(const FlightRange& range, Seq end, Delivery& delivery);

    FlightRange first_;
    uint32_t last_ = no_index;    ///< no_index: `first_` is the last
    uint16_t count_ = 0;          ///< ranges from the pool
    uint32_t last_began_us_ = 0;  ///< when the last range was begun
    uint32_t sacked_bytes_ = 0;
    uint32_t lost_bytes_ = 0;
    Seq highest_delivered_;  ///< the highest octet that has arrived, plus one (RACK.fack)
};

template <typename Predicate>
void Flight::lose_if(FlightPool& pool, Predicate&& is_lost) {
    if (empty()) return;
    bool any = false;
    for (FlightRange* r = &first_; r != nullptr; r = next_of(*r, pool)) {
        if (r->fate != Fate::outstanding || !is_lost(*r)) continue;
        r->fate = Fate::lost;
        lost_bytes_ += r->bytes();
        any = true;
    }
    if (any) merge_alike(pool);
}

template <typename Visitor>
void Flight::for_each(const FlightPool& pool, Visitor&& visit) const {
    if (empty()) return;
    visit(first_);
    for (uint32_t i = first_.next; i != no_index; i = pool[i].next) visit(pool[i]);
}

}  // namespace synfin::tcp
