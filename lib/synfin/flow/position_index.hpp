// From a hash to positions, in four bytes each: the index of a table so large that its bytes count.
//
// One cache line per bucket: 15 slots and the overflow count.
//
//   slot   | tag: low bits of the hash | position: as many bits as the largest needs |    0 = free
//
// Otherwise as connection_table.hpp: the high bits of the hash choose the bucket, a full bucket is
// passed over and counts what has passed, and the caller compares the key behind each match. With
// 50 million positions 6 bits are left for the tag, and a search looks at a wrong record in one of
// five cases; with 4 million it has 8 and does in one of twenty.
//
// Only its owner may read it.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>

#include <synfin/base/assert.hpp>
#include <synfin/base/index_pool.hpp>
#include <synfin/base/region.hpp>
#include <synfin/flow/bucket_match.hpp>

namespace synfin::flow {

class PositionIndex {
  public:
    static constexpr uint32_t slots_per_bucket = 15;
    static constexpr uint32_t max_probes = 64;
    static constexpr uint32_t max_position_bits = 28;

    /// Room for `max_entries` at a load of 80 %, with positions 1 .. max_position.
    PositionIndex(uint32_t max_entries, uint32_t max_position)
        : bucket_count_{max_entries / 12 + 2},
          probes_{std::min(max_probes, bucket_count_)},
          position_bits_{std::max(static_cast<uint32_t>(std::bit_width(max_position)), 24u)},
          tag_mask_{~uint32_t{0} << position_bits_},
          memory_{size_t{bucket_count_} * sizeof(Bucket)},
          buckets_{static_cast<Bucket*>(memory_.data())} {
        SYNFIN_ASSERT(position_bits_ <= max_position_bits);
    }

    [[gnu::always_inline]] void prefetch(uint32_t hash) const {
        __builtin_prefetch(&buckets_[home_of(hash)]);
    }

    /// Calls `visit(position)` for what find() will ask about, if it finds it in its home bucket.
    template <typename Visit>
    [[gnu::always_inline]] void visit_likely(uint32_t hash, Visit&& visit) const {
        const Bucket& bucket = buckets_[home_of(hash)];
        uint32_t hits = bucket.matches(tag_mask_, tag_of(hash));
        for (; hits != 0; hits &= hits - 1) {
            visit(bucket.words[static_cast<size_t>(std::countr_zero(hits))] & position_mask());
        }
    }

    /// The position for which `matches(position)` is true among those inserted with `hash`, or
    /// no_index.
    template <typename Matches>
    uint32_t find(uint32_t hash, Matches&& matches) const {
        const Place place = locate(hash, matches);
        return place.slot == nullptr ? no_index : *place.slot & position_mask();
    }

    /// False when no bucket within max_probes of its home has room.
    bool insert(uint32_t hash, uint32_t position) {
        SYNFIN_ASSERT(position != 0 && (position & tag_mask_) == 0);
        const uint32_t home = home_of(hash);
        const uint32_t word = tag_of(hash) | position;
        return buckets_[home].put(word) || insert_behind(home, word);
    }
    /// The same where there is room at its home, without a call; else false, and nothing was done.
    [[gnu::always_inline]] bool insert_at_home(uint32_t hash, uint32_t position) {
        SYNFIN_ASSERT(position != 0 && (position & tag_mask_) == 0);
        return buckets_[home_of(hash)].put(tag_of(hash) | position);
    }

    /// Removes what was inserted with exactly these two. Asserts that it is there.
    void erase(uint32_t hash, uint32_t position) {
        const Place place = locate(hash, [position](uint32_t p) { return p == position; });
        SYNFIN_ASSERT(place.slot != nullptr);
        *place.slot = 0;
        for (uint32_t passed = home_of(hash); passed != place.bucket; passed = after(passed)) {
            --buckets_[passed].overflow();
        }
    }

    /// The entry has moved from one position to another.
    void move(uint32_t hash, uint32_t from, uint32_t to) {
        const Place place = locate(hash, [from](uint32_t p) { return p == from; });
        SYNFIN_ASSERT(place.slot != nullptr);
        *place.slot = tag_of(hash) | to;
    }

    size_t memory_bytes() const { return memory_.size(); }
    void touch() const { memory_.touch(); }

  private:
    struct alignas(64) Bucket {
        std::array<uint32_t, slots_per_bucket + 1> words;

        uint32_t& overflow() { return words[slots_per_bucket]; }
        uint32_t matches(uint32_t bits, uint32_t wanted) const {
            return matching_words(words.data(), bits, wanted) & ((1u << slots_per_bucket) - 1);
        }
        uint32_t free_slots() const { return matches(UINT32_MAX, 0); }
        /// Into a free slot; false if there is none.
        [[gnu::always_inline]] bool put(uint32_t word) {
            const uint32_t free = free_slots();
            if (free == 0) return false;
            words[static_cast<size_t>(std::countr_zero(free))] = word;
            return true;
        }
    };
    static_assert(sizeof(Bucket) == 64);

    /// Into the first bucket with room behind `home`, which is full.
    [[gnu::noinline]] bool insert_behind(uint32_t home, uint32_t word) {
        uint32_t at = home;
        uint32_t probes = 0;
        do {
            if (++probes == probes_) return false;
            at = after(at);
        } while (!buckets_[at].put(word));
        for (uint32_t passed = home; passed != at; passed = after(passed)) {
            ++buckets_[passed].overflow();
        }
        return true;
    }

    struct Place {
        uint32_t* slot;
        uint32_t bucket;
    };

    template <typename Matches>
    Place locate(uint32_t hash, Matches&& matches) const {
        const uint32_t tag = tag_of(hash);
        uint32_t at = home_of(hash);
        uint32_t probes = 0;
        do {
            Bucket& bucket = buckets_[at];
            for (uint32_t hits = bucket.matches(tag_mask_, tag); hits != 0; hits &= hits - 1) {
                uint32_t& slot = bucket.words[static_cast<size_t>(std::countr_zero(hits))];
                if (matches(slot & position_mask())) return {&slot, at};
            }
            if (bucket.overflow() == 0) break;
            at = after(at);
        } while (++probes < probes_);
        return {nullptr, 0};
    }

    uint32_t position_mask() const { return ~tag_mask_; }
    /// Never zero, so that a free slot has no tag.
    uint32_t tag_of(uint32_t hash) const {
        const uint32_t tag = hash << position_bits_;
        return tag == 0 ? tag_mask_ : tag;
    }
    uint32_t home_of(uint32_t hash) const {
        return static_cast<uint32_t>((uint64_t{hash} * bucket_count_) >> 32);
    }
    uint32_t after(uint32_t bucket) const { return bucket + 1 == bucket_count_ ? 0 : bucket + 1; }

    uint32_t bucket_count_;
    uint32_t probes_;
    uint32_t position_bits_;
    uint32_t tag_mask_;
    Region memory_;
    Bucket* buckets_;
};

}  // namespace synfin::flow
