#include <algorithm>

#include <synfin/base/assert.hpp>
#include <synfin/tcp/flight.hpp>

namespace synfin::tcp {

void Flight::leave_fate(const FlightRange& range, uint32_t bytes) {
    if (range.fate == Fate::sacked) sacked_bytes_ -= bytes;
    if (range.fate == Fate::lost) lost_bytes_ -= bytes;
}

// The part of `range` up to `end` is known to have arrived, and was not before.
void Flight::note_delivered(const FlightRange& range, Seq end, Delivery& d) {
    d.bytes += end.distance_from(range.begin);
    if (range.fate == Fate::lost && !range.retransmitted) d.undead = true;
    Delivery::Latest& latest = range.retransmitted ? d.again : d.original;
    if (!latest.any || sent_after(range.sent_us, end, latest.sent_us, latest.end)) {
        latest = {range.sent_us, end, true};
    }
    if (end.after(highest_delivered_)) {
        highest_delivered_ = end;
    } else if (!range.retransmitted && end.before(highest_delivered_)) {
        d.reordered = true;
    }
}

void Flight::restart(Seq at, FlightPool& pool) {
    while (!empty()) pop_first(pool);
    first_ = FlightRange{};
    first_.begin = first_.end = at;
    highest_delivered_ = at;
    sacked_bytes_ = lost_bytes_ = 0;
}

// Takes the first range out; the next one moves to its place.
void Flight::pop_first(FlightPool& pool) {
    if (first_.next == no_index) {
        const Seq at = first_.end;
        first_ = FlightRange{};
        first_.begin = first_.end = at;
        return;
    }
    const uint32_t gone = first_.next;
    first_ = pool[gone];
    pool.give_back(gone);
    --count_;
    if (last_ == gone) last_ = no_index;
}

// Divides `range`; the part from `at` on becomes a range of its own behind it.
bool Flight::split(FlightRange& range, Seq at, FlightPool& pool) {
    SYNFIN_ASSERT(at.after(range.begin) && at.before(range.end));
    if (count_ == max_ranges) return false;
    const uint32_t index = pool.take();
    if (index == no_index) return false;
    FlightRange& rest = pool[index];
    rest = range;
    rest.begin = at;
    range.end = at;
    range.next = index;
    ++count_;
    if (rest.next == no_index) last_ = index;
    return true;
}

void Flight::absorb_next(FlightRange& range, FlightPool& pool) {
    const uint32_t gone = range.next;
    range.end = pool[gone].end;
    range.next = pool[gone].next;
    pool.give_back(gone);
    --count_;
    if (last_ == gone) {
        last_ = &range == &first_ ? no_index : static_cast<uint32_t>(&range - &pool[0]);
    }
}

// Joins neighbours between which there is no difference that will ever count. Moments do not count
// any more for what is sacked or lost.
void Flight::merge_alike(FlightPool& pool) {
    for (FlightRange* r = &first_; r != nullptr;) {
        FlightRange* next = next_of(*r, pool);
        const bool alike =
            next != nullptr && r->fate == next->fate &&
            (r->fate == Fate::sacked || (r->retransmitted == next->retransmitted &&
                                         (r->fate == Fate::lost || r->sent_us == next->sent_us)));
        if (!alike) {
            r = next;
            continue;
        }
        r->retransmitted |= next->retransmitted;
        absorb_next(*r, pool);
    }
}

bool Flight::can_append_range(const FlightPool& pool) const {
    return count_ < max_ranges && pool.used() < pool.capacity();
}

bool Flight::append_range(FlightRange& back, Seq end, uint32_t now_us, FlightPool& pool) {
    const uint32_t index = count_ < max_ranges ? pool.take() : no_index;
    if (index == no_index) {
        SYNFIN_ASSERT(back.fate == Fate::outstanding);
        back.end = end;
        back.sent_us = now_us;
        return false;
    }
    pool[index] = FlightRange{};
    pool[index].begin = back.end;
    pool[index].end = end;
    pool[index].sent_us = last_began_us_ = now_us;
    back.next = index;
    last_ = index;
    ++count_;
    return true;
}

void Flight::acknowledge_ranges(Seq ack, Delivery& delivery, FlightPool& pool) {
    while (!empty() && first_.begin.before(ack)) {
        const Seq cut = earlier_of(first_.end, ack);
        if (first_.fate != Fate::sacked) note_delivered(first_, cut, delivery);
        leave_fate(first_, cut.distance_from(first_.begin));
        if (cut == first_.end) {
            pop_first(pool);
        } else {
            first_.begin = cut;
        }
    }
}

bool Flight::sack(Seq left, Seq right, Delivery& delivery, FlightPool& pool) {
    if (empty()) return true;
    bool complete = true;
    for (FlightRange* r = &first_; r != nullptr && r->begin.before(right); r = next_of(*r, pool)) {
        if (r->fate == Fate::sacked || r->end.at_or_before(left)) continue;
        if (r->begin.before(left)) {
            if (!split(*r, left, pool)) complete = false;
            continue;  // the part behind the cut comes next
        }
        if (r->end.after(right) && !split(*r, right, pool)) {
            complete = false;
            continue;
        }
        note_delivered(*r, r->end, delivery);
        leave_fate(*r, r->bytes());
        r->fate = Fate::sacked;
        sacked_bytes_ += r->bytes();
    }
    merge_alike(pool);
    return complete;
}

bool Flight::is_sacked(Seq left, Seq right, const FlightPool& pool) const {
    bool all = true;
    for_each(pool, [&](const FlightRange& r) {
        if (r.begin.before(right) && r.end.after(left) && r.fate != Fate::sacked) all = false;
    });
    return all;
}

void Flight::lose_before(Seq until, FlightPool& pool) {
    if (empty()) return;
    for (FlightRange* r = &first_; r != nullptr && r->begin.before(until); r = next_of(*r, pool)) {
        if (r->fate != Fate::outstanding) continue;
        // Without a range for the rest, the rest is held for lost, too.
        if (r->end.after(until)) split(*r, until, pool);
        r->fate = Fate::lost;
        lost_bytes_ += r->bytes();
    }
    merge_alike(pool);
}

void Flight::lose_all(FlightPool& pool) {
    sacked_bytes_ = lost_bytes_ = 0;
    if (empty()) return;
    for (FlightRange* r = &first_; r != nullptr; r = next_of(*r, pool)) {
        // What had arrived proves nothing when it is reported once more.
        r->retransmitted |= r->fate == Fate::sacked;
        r->fate = Fate::lost;
        lost_bytes_ += r->bytes();
    }
    merge_alike(pool);
}

void Flight::revive(FlightPool& pool) {
    for (FlightRange* r = &first_; r != nullptr; r = next_of(*r, pool)) {
        if (r->fate == Fate::lost) r->fate = Fate::outstanding;
    }
    lost_bytes_ = 0;
    merge_alike(pool);
}

const FlightRange* Flight::first_lost(const FlightPool& pool) const {
    if (lost_bytes_ == 0) return nullptr;
    const FlightRange* r = &first_;
    while (r->fate != Fate::lost) r = &pool[r->next];
    return r;
}

bool Flight::resend(Seq begin, Seq end, uint32_t now_us, FlightPool& pool) {
    bool exact = true;
    for (FlightRange* r = &first_; r != nullptr && r->begin.before(end); r = next_of(*r, pool)) {
        if (r->fate == Fate::sacked || r->end.at_or_before(begin)) continue;
        if (r->begin.before(begin)) {
            if (!split(*r, begin, pool)) exact = false;
            continue;
        }
        if (r->end.after(end) && !split(*r, end, pool)) exact = false;
        leave_fate(*r, r->bytes());
        r->fate = Fate::outstanding;
        r->retransmitted = true;
        r->sent_us = now_us;
    }
    merge_alike(pool);
    return exact;
}

void Flight::check(Seq una, Seq nxt, const FlightPool& pool) const {
    SYNFIN_ASSERT(first_.begin == una);
    Seq at = una;
    uint32_t sacked = 0;
    uint32_t lost = 0;
    uint32_t count = 0;
    uint32_t last = no_index;
    for (const FlightRange* r = &first_;;) {
        SYNFIN_ASSERT(r->begin == at && (r->end.after(at) || empty()));
        at = r->end;
        if (r->fate == Fate::sacked) sacked += r->bytes();
        if (r->fate == Fate::lost) lost += r->bytes();
        if (r->next == no_index) break;
        last = r->next;
        r = &pool[last];
        ++count;
    }
    SYNFIN_ASSERT(at == nxt && sacked == sacked_bytes_ && lost == lost_bytes_);
    SYNFIN_ASSERT(count == count_ && last == last_ && count_ <= max_ranges);
}

}  // namespace synfin::tcp
