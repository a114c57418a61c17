// From a hash to the indices of what has that hash: the table that every received segment asks.
//
// One cache line per bucket, 12 entries each:
//
//   bytes   0 .. 11   tags: the low byte of the hash, 0 = free
//          12         overflow: how many entries passed this bucket because it was full
//          13 .. 15   sequence counter, for readers of other threads
//          16 .. 63   the 32-bit indices
//
// A lookup compares all tags of a bucket with one instruction, and the caller compares the full key
// behind each index whose tag matches (by chance: one in 255). So a hit touches one line here and
// the object itself, and no key is stored twice. The high bits of the hash choose the bucket, by
// multiplication, so any number of buckets will do.
//
// When a bucket is full, an entry goes to the next one with room, at most `max_probes` further.
// Each bucket that it passes counts it, so a search goes on only while the count is not zero, and
// erasing leaves no tombstones: a table that has been churned for days is as fast as a new one. A
// count that reaches 255 stays there; searches then go one bucket too far, and nothing worse.
//
// The caller's hash must be keyed (tuple_hash.hpp), so that nobody can fill the neighbourhood of
// one bucket on purpose. With a uniform hash and `max_entries` entries (a load of 50 %), one entry
// in 390 lies away from home when the table has just been filled, and one in 79 after it has been
// churned at full load for long; the farthest that 10^8 insertions went then was 6 buckets. Each
// such step is a line that nobody has asked for ahead: opening and ending a connection beside a
// million idle ones took an eighth longer at a load of 62.5 %, where one in 17 was away from home,
// and a third longer at 80 %. Should one find no room within `max_probes`, insert() says so, and
// the caller refuses the connection. Entries beyond what it was made for are taken as long as there
// is room near their home.
//
// Threads: one owner writes and searches. Any other thread may read at any time, without a lock,
// and sees each entry whole or not at all (read_bucket). The owner never waits and does no atomic
// read-modify-write.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>

#include <synfin/base/assert.hpp>
#include <synfin/base/index_pool.hpp>
#include <synfin/base/region.hpp>
#include <synfin/base/relaxed.hpp>
#include <synfin/base/sequence_counter.hpp>
#include <synfin/flow/bucket_match.hpp>

namespace synfin::flow {

class ConnectionTable {
  public:
    static constexpr uint32_t slots_per_bucket = 12;
    static constexpr uint32_t max_probes = 64;
    /// The tag and the choice of the bucket must not share bits of the 32-bit hash.
    static constexpr uint32_t max_buckets = 1u << 24;
    /// 161 million; from 100 million on the load rises, to 80 %.
    static constexpr uint32_t max_entries = (max_buckets - 1) / 10 * 96;

    /// With room for `entries` at a load of 50 %: 10.7 bytes each. Zero memory is an empty
    /// table, so what is not used is not touched.
    explicit ConnectionTable(uint32_t entries)
        : bucket_count_{buckets_for(entries)},
          probes_{std::min(max_probes, bucket_count_)},
          memory_{size_t{bucket_count_} * sizeof(Bucket)},
          buckets_{static_cast<Bucket*>(memory_.data())} {
        SYNFIN_ASSERT(bucket_count_ <= max_buckets);
    }

    // ---- for the owner

    /// Asks for the bucket's line, to be used a few packets later; returns which bucket it is.
    [[gnu::always_inline]] uint32_t prefetch(uint32_t hash) const {
        const uint32_t home = home_of(hash);
        __builtin_prefetch(&buckets_[home]);
        return home;
    }

    /// The first index at `home`, which prefetch() has named, whose tag matches, or no_index:
    /// almost always what find() will return. For asking for the object's memory early.
    [[gnu::always_inline]] uint32_t candidate(uint32_t home, uint32_t hash) const {
        const Bucket& bucket = buckets_[home];
        const uint32_t hits = bucket.slots_with(tag_of(hash));
        if (hits == 0) return no_index;
        const uint32_t index = bucket.indices[static_cast<size_t>(std::countr_zero(hits))];
        if (index == no_index) __builtin_unreachable();  // the caller need not ask again
        return index;
    }

    /// The index for which `matches(index)` is true, among those inserted with `hash`; or no_index.
    template <typename Matches>
    uint32_t find(uint32_t hash, Matches&& matches) const {
        const uint8_t tag = tag_of(hash);
        uint32_t at = home_of(hash);
        uint32_t probes = 0;
        do {
            const Bucket& bucket = buckets_[at];
            for (uint32_t hits = bucket.slots_with(tag); hits != 0; hits &= hits - 1) {
                const uint32_t index = bucket.indices[static_cast<size_t>(std::countr_zero(hits))];
                if (matches(index)) return index;
            }
            if (bucket.overflow() == 0) break;
            at = after(at);
        } while (++probes < probes_);
        return no_index;
    }

    /// Adds an entry; whether an equal one is there already is the caller's to know. False when no
    /// bucket within max_probes of its home has room.
    bool insert(uint32_t hash, uint32_t index) {
        const uint32_t home = home_of(hash);
        if (!put(buckets_[home], tag_of(hash), index) && !insert_behind(home, tag_of(hash), index))
            [[unlikely]]
            return false;
        ++size_;
        return true;
    }

    /// Removes the entry that was inserted with exactly these two. Asserts that it is there.
    void erase(uint32_t hash, uint32_t index) {
        if (!erase_at_home(hash, index)) [[unlikely]]
            erase_behind(home_of(hash), tag_of(hash), index);
    }

    /// The same if it is where nearly all are, without a call; else false.
    [[gnu::always_inline]] bool erase_at_home(uint32_t hash, uint32_t index) {
        if (!free_slot(buckets_[home_of(hash)], tag_of(hash), index)) [[unlikely]]
            return false;
        --size_;
        return true;
    }

    // ---- for any thread

    uint32_t size() const { return size_; }
    uint32_t bucket_count() const { return bucket_count_; }
    size_t memory_bytes() const { return memory_.size(); }
    /// Takes all memory now; else each page is taken when it is first needed.
    void touch() const { memory_.touch(); }

    /// What stood in a bucket at one moment.
    struct BucketView {
        uint32_t bucket = 0;
        uint32_t sequence = 0;
        uint32_t count = 0;
        std::array<uint32_t, slots_per_bucket> indices{};
    };

    /// A consistent copy of bucket 0 .. bucket_count()-1. Reads again while the owner is writing
    /// there.
    BucketView read_bucket(uint32_t at) const {
        SYNFIN_ASSERT(at < bucket_count_);
        const Bucket& bucket = buckets_[at];
        BucketView view;
        view.bucket = at;
        do {
            view.sequence = bucket.sequence.begin_read();
            view.count = 0;
            for (size_t slot = 0; slot < slots_per_bucket; ++slot) {
                if (bucket.tags[slot] != free_tag)
                    view.indices[view.count++] = bucket.indices[slot];
            }
        } while (!bucket.sequence.still(view.sequence));
        return view;
    }

    /// Whether the bucket has not changed since `view` was read. If so, what was read meanwhile
    /// from the Relaxed fields of the objects behind its indices belongs to these very entries.
    bool is_current(const BucketView& view) const {
        return buckets_[view.bucket].sequence.still(view.sequence);
    }

    /// Calls `read(index)` for each entry, which copies what it wants from the object, and then
    /// `visit(copy)` if the entry was still there after the copy. A bucket that changed meanwhile
    /// is read again, so an entry that was in the table throughout is visited exactly once.
    template <typename Read, typename Visit>
    void for_each(Read&& read, Visit&& visit) const {
        using Copy = decltype(read(uint32_t{}));
        std::array<Copy, slots_per_bucket> copies{};
        for (uint32_t at = 0; at < bucket_count_; ++at) {
            BucketView view;
            do {
                view = read_bucket(at);
                for (size_t i = 0; i < view.count; ++i) copies[i] = read(view.indices[i]);
            } while (!is_current(view));
            for (size_t i = 0; i < view.count; ++i) visit(copies[i]);
        }
    }

  private:
    static constexpr uint8_t free_tag = 0;
    static constexpr uint32_t overflow_max = UINT8_MAX;

    struct alignas(64) Bucket {
        std::array<Relaxed<uint8_t>, slots_per_bucket> tags;
        SequenceCounterAbove<8> sequence;
        std::array<Relaxed<uint32_t>, slots_per_bucket> indices;

        uint32_t overflow() const { return sequence.number(); }

        /// The owner's: only the owner writes, so it may read the tags in one go.
        uint32_t slots_with(uint8_t tag) const {
            return matching_bytes(this, tag) & ((1u << slots_per_bucket) - 1);
        }
    };
    static_assert(sizeof(Bucket) == 64);

    static uint32_t buckets_for(uint32_t entries) {
        // entries / (12 * 0.5), rounded up, and one more where chance has no law of large numbers.
        const uint64_t wanted = (uint64_t{entries} + 5) / 6 + 1;
        return static_cast<uint32_t>(std::min(wanted, uint64_t{max_buckets}));
    }

    uint32_t home_of(uint32_t hash) const {
        return static_cast<uint32_t>((uint64_t{hash} * bucket_count_) >> 32);
    }
    uint32_t after(uint32_t bucket) const { return bucket + 1 == bucket_count_ ? 0 : bucket + 1; }
    static uint8_t tag_of(uint32_t hash) {
        const uint8_t low = static_cast<uint8_t>(hash);
        return static_cast<uint8_t>(low + (low == free_tag ? 1 : 0));
    }

    /// Into a free slot of this bucket; false if there is none.
    [[gnu::always_inline]] static bool put(Bucket& bucket, uint8_t tag, uint32_t index) {
        const uint32_t free = bucket.slots_with(free_tag);
        if (free == 0) return false;
        const auto slot = static_cast<size_t>(std::countr_zero(free));
        bucket.sequence.begin_write();
        bucket.tags[slot] = tag;
        bucket.indices[slot] = index;
        bucket.sequence.end_write();
        return true;
    }

    /// Into the first bucket with room behind `home`, which is full.
    [[gnu::noinline]] bool insert_behind(uint32_t home, uint8_t tag, uint32_t index) {
        uint32_t at = home;
        uint32_t probes = 0;
        do {
            if (++probes == probes_) return false;
            at = after(at);
        } while (!put(buckets_[at], tag, index));
        for (uint32_t passed = home; passed != at; passed = after(passed)) {
            Bucket& bucket = buckets_[passed];
            if (bucket.overflow() != overflow_max) bucket.sequence.add_to_number(1);
        }
        return true;
    }

    /// Frees the slot of an entry in this bucket; false if it is not here.
    [[gnu::always_inline]] static bool free_slot(Bucket& bucket, uint8_t tag, uint32_t index) {
        for (uint32_t hits = bucket.slots_with(tag); hits != 0; hits &= hits - 1) {
            const auto slot = static_cast<size_t>(std::countr_zero(hits));
            if (bucket.indices[slot] != index) continue;
            bucket.sequence.begin_write();
            bucket.tags[slot] = free_tag;
            bucket.sequence.end_write();
            return true;
        }
        return false;
    }

    /// The same in the buckets behind `home`, where an entry has passed those before its own.
    [[gnu::noinline]] void erase_behind(uint32_t home, uint8_t tag, uint32_t index) {
        uint32_t at = home;
        bool entry_is_in_the_table = false;
        for (uint32_t probes = 1; probes < probes_ && !entry_is_in_the_table; ++probes) {
            at = after(at);
            entry_is_in_the_table = free_slot(buckets_[at], tag, index);
        }
        SYNFIN_ASSERT(entry_is_in_the_table);
        --size_;
        for (uint32_t passed = home; passed != at; passed = after(passed)) {
            Bucket& bucket = buckets_[passed];
            if (bucket.overflow() != overflow_max) bucket.sequence.add_to_number(-1);
        }
    }

    uint32_t bucket_count_;
    uint32_t probes_;
    Region memory_;
    Bucket* buckets_;
    Relaxed<uint32_t> size_;
};

}  // namespace synfin::flow
