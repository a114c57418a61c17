// Segments that arrive ahead of a hole wait here, as ranges in order of sequence that never touch
// each other. What is already held wins over what comes again; so a peer that sends two versions of
// the same bytes gets the first one delivered, and each segment costs at most one walk over a
// bounded list.
#include <algorithm>

#include <synfin/base/assert.hpp>
#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

// Enough for any loss pattern of a window of 10 Gbit/s; an attacker with one-byte segments gets no
// further than this (CVE-2018-5390).
constexpr uint16_t max_held_ranges = 64;

uint32_t& next_link(Transfer& t, uint32_t previous, Environment& env) {
    return previous == no_index ? t.held : env.transfers.ranges[previous].next;
}

// Joins `index` with its successor if they touch.
void merge_with_next(Transfer& t, uint32_t index, Environment& env) {
    HeldRange& range = env.transfers.ranges[index];
    if (range.next == no_index) return;
    HeldRange& next = env.transfers.ranges[range.next];
    if (range.end() != next.begin) return;
    range.queue.append_queue(next.queue, env.buffers);
    range.changed = std::max(range.changed, next.changed);
    const uint32_t gone = range.next;
    range.next = next.next;
    env.transfers.ranges.give_back(gone);
    --t.held_count;
}

// Puts a piece that overlaps nothing between `previous` and its successor.
bool insert_piece(Transfer& t, uint32_t previous, Seq begin, std::span<const uint8_t> piece,
                  Environment& env) {
    if (previous != no_index && env.transfers.ranges[previous].end() == begin) {
        HeldRange& range = env.transfers.ranges[previous];
        const uint32_t taken = range.queue.append_copy(piece, env.buffers);
        t.held_bytes += taken;
        range.changed = ++t.held_changes;
        if (taken < piece.size()) return false;
        merge_with_next(t, previous, env);
        return true;
    }
    if (t.held_count == max_held_ranges) return false;
    const uint32_t index = env.transfers.ranges.take();
    if (index == no_index) return false;
    HeldRange& range = env.transfers.ranges[index];
    range = HeldRange{};
    range.begin = begin;
    const uint32_t taken = range.queue.append_copy(piece, env.buffers);
    if (taken == 0) {
        env.transfers.ranges.give_back(index);
        return false;
    }
    uint32_t& link = next_link(t, previous, env);
    range.next = link;
    link = index;
    ++t.held_count;
    t.held_bytes += taken;
    range.changed = ++t.held_changes;
    if (taken < piece.size()) return false;
    merge_with_next(t, index, env);
    return true;
}

}  // namespace

bool hold(Transfer& t, Seq begin, std::span<const uint8_t> payload, Environment& env) {
    const Seq end = begin + static_cast<uint32_t>(payload.size());
    uint32_t previous = no_index;
    uint32_t current = t.held;
    while (begin.before(end)) {
        // Skip what lies wholly before the rest of the payload.
        while (current != no_index && env.transfers.ranges[current].end().at_or_before(begin)) {
            previous = current;
            current = env.transfers.ranges[current].next;
        }
        const bool more = current != no_index && env.transfers.ranges[current].begin.before(end);
        const Seq piece_end = more ? later_of(env.transfers.ranges[current].begin, begin) : end;
        const Seq resume = more ? env.transfers.ranges[current].end() : end;
        if (begin.before(piece_end)) {
            const size_t offset = payload.size() - end.distance_from(begin);
            if (!insert_piece(t, previous, begin,
                              payload.subspan(offset, piece_end.distance_from(begin)), env)) {
                return false;
            }
            // The list has changed around here: find the place again from its start.
            previous = no_index;
            current = t.held;
        } else {
            env.transfers.ranges[current].changed = ++t.held_changes;
        }
        begin = later_of(begin, resume);
    }
    return true;
}

Seq take_contiguous(Transfer& t, Seq rcv_nxt, Environment& env) {
    while (t.held != no_index) {
        HeldRange& range = env.transfers.ranges[t.held];
        if (range.begin.after(rcv_nxt)) break;
        t.held_bytes -= range.queue.bytes;
        const uint32_t overlap =
            std::min(rcv_nxt.distance_from(range.begin), range.queue.bytes.load());
        const Seq end = range.end();
        range.queue.remove_front(overlap, env.buffers);
        t.unread.append_queue(range.queue, env.buffers);
        rcv_nxt = later_of(rcv_nxt, end);
        const uint32_t gone = t.held;
        t.held = range.next;
        env.transfers.ranges.give_back(gone);
        --t.held_count;
    }
    return rcv_nxt;
}

void release_held(Transfer& t, Environment& env) {
    while (t.held != no_index) {
        HeldRange& range = env.transfers.ranges[t.held];
        range.queue.clear(env.buffers);
        const uint32_t gone = t.held;
        t.held = range.next;
        env.transfers.ranges.give_back(gone);
    }
    t.held_count = 0;
    t.held_bytes = 0;
}

void check_held(const Transfer& t, Seq rcv_nxt, const Environment& env) {
    uint32_t count = 0;
    uint32_t bytes = 0;
    Seq behind = rcv_nxt;
    for (uint32_t i = t.held; i != no_index; i = env.transfers.ranges[i].next) {
        const HeldRange& range = env.transfers.ranges[i];
        SYNFIN_ASSERT(range.begin.after(behind));
        SYNFIN_ASSERT(!range.queue.empty());
        behind = range.end();
        bytes += range.queue.bytes;
        ++count;
    }
    SYNFIN_ASSERT(count == t.held_count && bytes == t.held_bytes);
}

void note_duplicate(Transfer& t, Seq begin, Seq end) {
    if (t.owes_dsack()) return;
    t.duplicate_begin = begin;
    t.duplicate_end = end;
}

// RFC 2883 section 4.2: of several parts that are held already, the first is reported.
void note_held_part(Transfer& t, Seq begin, Seq end, Environment& env) {
    for (uint32_t i = t.held; i != no_index; i = env.transfers.ranges[i].next) {
        const HeldRange& range = env.transfers.ranges[i];
        if (range.begin.at_or_after(end)) return;
        if (range.end().at_or_before(begin)) continue;
        return note_duplicate(t, later_of(begin, range.begin), earlier_of(end, range.end()));
    }
}

// A duplicate comes first (RFC 2883 section 4). Then what changed last: so each block is told
// several times, in ACK after ACK, until others have changed after it (RFC 2018 section 4).
uint8_t sack_blocks(const Transfer& t, const Environment& env, unsigned max, wire::SackBlock* out) {
    uint8_t count = 0;
    if (t.owes_dsack()) out[count++] = {t.duplicate_begin.value(), t.duplicate_end.value()};
    uint32_t before = UINT32_MAX;
    while (count < max) {
        const HeldRange* latest = nullptr;
        for (uint32_t i = t.held; i != no_index; i = env.transfers.ranges[i].next) {
            const HeldRange& r = env.transfers.ranges[i];
            if (r.changed < before && (latest == nullptr || r.changed > latest->changed)) {
                latest = &r;
            }
        }
        if (latest == nullptr) break;
        out[count++] = {latest->begin.value(), latest->end().value()};
        before = latest->changed;
    }
    return count;
}

}  // namespace synfin::tcp
