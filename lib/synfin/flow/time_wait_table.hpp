// What is in TIME_WAIT: 24 bytes of record, and 8 bytes for finding it and for knowing its end.
//
// 2MSL is the same for all, so records end in the order in which they came: no timer per record,
// but a queue of blocks that expires at its head and grows at its tail.
//
//   head -> [ block ] <-> [ block ] <-> ... <-> [ block ] <- tail      free blocks: a stack
//
//   block   sequence counter | prev, next, used | bit per record: is it live? | base: a microsecond
//           64 x 16 bits: when a record came, in microseconds after base
//           64 x 24 bytes: the records
//
// A block ends when it is full or when 16 bits can no longer say how far from its base the time has
// come (65.5 ms), so the end of each record is exact to the microsecond: never early, and late only
// by rounding up to a whole one. Removed records leave holes. A block without a live record is free
// at once; and when free blocks become few while holes are many, neighbours are packed together, a
// bounded number of records with each block that is needed. So tuples that are reused over and over
// (RFC 6191) do not push others out.
//
// The index (position_index.hpp) stores a position per record: block * 64 + place. Block 0 is not
// used.
//
// Memory per record when full: 26.5 bytes in its block and 5.3 in the index, 31.9 in all. What is
// never used is reserved, not touched; freed blocks are used again first.
//
// Limits: `capacity` records. When they are all live, the oldest give way to the newest: in a large
// table sixteen at once, so that their lines of the index are waited for together. When blocks run
// out although fewer are live (holes below an eighth of all places are not worth packing), the
// oldest block gives way. Who gives way is handed to the caller.
//
// Threads: one owner; any thread may walk over the records (for_each) and sees each whole or not at
// all. One that is moved meanwhile (restarted, packed) may be seen twice or not at all.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include <synfin/base/assert.hpp>
#include <synfin/base/index_pool.hpp>
#include <synfin/base/instant.hpp>
#include <synfin/base/region.hpp>
#include <synfin/base/relaxed.hpp>
#include <synfin/base/sequence_counter.hpp>
#include <synfin/flow/four_tuple.hpp>
#include <synfin/flow/position_index.hpp>
#include <synfin/flow/tuple_hash.hpp>

namespace synfin::flow {

/// `Record` is 24 trivially copyable bytes with a member `FourTuple tuple`.
template <typename Record>
class TimeWaitTable {
    static_assert(sizeof(Record) == 24 && std::is_trivially_copyable_v<Record>);

  public:
    static constexpr uint32_t records_per_block = 64;
    static constexpr uint32_t max_capacity = 1u << 27;

    /// `time_wait` is 2MSL. `key` is that of tuple_hash, by which the caller hashes, too.
    TimeWaitTable(uint32_t capacity, Duration time_wait, const HashKey& key)
        : key_{key},
          time_wait_us_{time_wait.count_us()},
          capacity_{capacity},
          block_count_{blocks_for(capacity, time_wait)},
          index_{capacity, (block_count_ + 1) * records_per_block - 1},
          memory_{(size_t{block_count_} + 1) * sizeof(Block)},
          blocks_{static_cast<Block*>(memory_.data())} {
        SYNFIN_ASSERT(capacity > 0 && capacity <= max_capacity);
    }

    // ---- for the owner

    /// Asks for the index's line, to be used a few packets later.
    [[gnu::always_inline]] void prefetch(uint32_t hash) const { index_.prefetch(hash); }

    /// Asks for the records that find() will look at, which are not always the right ones, and for
    /// what read() and remove() need of their blocks. The index's line should be here.
    [[gnu::always_inline]] void prefetch_records(uint32_t hash) const {
        index_.visit_likely(hash, [&](uint32_t entry) {
            const Block& block = block_of(entry);
            const auto& record = block.records[place_of(entry)];
            __builtin_prefetch(&record.front());
            __builtin_prefetch(&record.back());
            __builtin_prefetch(&block, 1);
        });
    }

    /// The entry of `tuple`, whose tuple_hash is `hash`, or no_index. It names the record until the
    /// next call that changes the table.
    uint32_t find(uint32_t hash, const FourTuple& tuple) const {
        return index_.find(hash, [&](uint32_t entry) { return tuple_at(entry) == tuple; });
    }

    Record read(uint32_t entry) const {
        SYNFIN_ASSERT(is_live(entry));
        return load(block_of(entry), place_of(entry));
    }

    /// The moment at which `entry` ends.
    Instant expiry(uint32_t entry) const {
        SYNFIN_ASSERT(is_live(entry));
        return expiry_at(block_of(entry), place_of(entry));
    }

    /// The oldest entry for which `wanted(record)` holds among those that came at or before
    /// `latest`, of which at most `looks` are looked at; no_index if there is none.
    template <typename Wanted>
    uint32_t find_oldest(Instant latest, uint32_t looks, Wanted&& wanted) const {
        for (uint32_t number = head_; number != 0; number = blocks_[number].next) {
            const Block& block = blocks_[number];
            for (uint64_t live = block.live; live != 0; live &= live - 1) {
                const uint32_t place = static_cast<uint32_t>(std::countr_zero(live));
                if (looks-- == 0 || start_us(block, place) > latest.us()) return no_index;
                if (wanted(load(block, place))) return number * records_per_block + place;
            }
        }
        return no_index;
    }

    /// Adds a record that ends 2MSL after `now`. There must be none of the same tuple. Calls
    /// `evicted(record)` for whatever has to give way.
    template <typename Evicted>
    void insert(const Record& record, uint32_t hash, Instant now, Evicted&& evicted) {
        if (size_ == capacity_) [[unlikely]]
            evict_oldest(evicted);
        if (now != latest_) [[unlikely]]
            go_on_to(now);
        const int64_t start_us = latest_us_;
        uint32_t number = tail_;
        if (!has_room(number, start_us)) [[unlikely]]
            number = open_next_block(start_us, evicted);
        Block& block = blocks_[number];
        // Without room in the index the record is as if it had given way at once.
        if (!index_.insert(hash, number * records_per_block + block.used)) [[unlikely]] {
            if (block.live == 0) free_block(number);
            evicted(Record{record});
            return;
        }
        append(block, record, start_us);
    }

    /// insert() of what `make()` returns where another has come at the same moment, nothing has to
    /// give way, and there is room where the record belongs: nearly always, and without a call.
    /// False: nothing was done.
    template <typename Make>
    [[gnu::always_inline]] bool insert_again(uint32_t hash, Instant now, Make&& make) {
        const uint32_t number = tail_;
        if (size_ == capacity_ || now != latest_ || !has_room(number, latest_us_)) [[unlikely]]
            return false;
        Block& block = blocks_[number];
        if (!index_.insert_at_home(hash, number * records_per_block + block.used)) [[unlikely]]
            return false;
        append(block, make(), latest_us_);
        return true;
    }

    /// Ends an entry early, without telling anyone.
    void remove(uint32_t entry) {
        SYNFIN_ASSERT(is_live(entry));
        index_.erase(tuple_hash(tuple_at(entry), key_), entry);
        bury(block_of(entry), uint64_t{1} << place_of(entry));
        --size_;
    }

    /// 2MSL starts over for `entry`.
    template <typename Evicted>
    void restart(uint32_t entry, Instant now, Evicted&& evicted) {
        const Record record = read(entry);
        remove(entry);
        insert(record, tuple_hash(record.tuple, key_), now, evicted);
    }

    /// Ends what is due at `now`, at most `budget` entries, and calls `expired(record)` for each,
    /// the oldest first. Returns whether more is due.
    template <typename Expired>
    bool expire(Instant now, uint32_t budget, Expired&& expired) {
        const int64_t latest = now.us() - time_wait_us_;
        if (head_ == 0 || start_us(blocks_[head_], first_live(blocks_[head_])) > latest) {
            return false;
        }
        return end_oldest(latest, budget, expired);
    }

    /// Exact. Nothing if the table is empty.
    std::optional<Instant> next_expiry() const {
        if (head_ == 0) return std::nullopt;
        const Block& block = blocks_[head_];
        return expiry_at(block, first_live(block));
    }

    /// Ends all entries at once; calls `ended(record)` for each.
    template <typename Ended>
    void clear(Ended&& ended) {
        end_oldest(INT64_MAX, UINT32_MAX, ended);
    }

    // ---- for any thread

    uint32_t size() const { return size_; }
    uint32_t capacity() const { return capacity_; }
    size_t memory_bytes() const { return memory_.size() + index_.memory_bytes(); }
    /// Takes the memory of the index now, and that of the first eight million records: a page may
    /// take milliseconds to be found, unless it comes from the system's pool of huge ones.
    void touch() const {
        index_.touch();
        if (!Region::uses_huge_pages()) memory_.touch(112 * Region::huge_page);
    }

    /// Calls `visit(record, expiry)` for each record.
    template <typename Visit>
    void for_each(Visit&& visit) const {
        struct Copy {
            Record record;
            Instant expiry;
        };
        for_each([](const Record& record, Instant expiry) { return Copy{record, expiry}; },
                 [&](const Copy& copy) { visit(copy.record, copy.expiry); });
    }

    /// Calls `read(record, expiry)` for each record, which looks up what belongs to it, and then
    /// `visit(copy)` with what it returned if the record still stood there afterwards.
    template <typename Read, typename Visit>
    void for_each(Read&& read, Visit&& visit) const {
        using Copy = decltype(read(std::declval<const Record&>(), Instant{}));
        std::array<Copy, records_per_block> copies{};
        const uint32_t end = opened_blocks_ + 1;
        for (uint32_t number = 1; number < end; ++number) {
            const Block& block = blocks_[number];
            size_t count = 0;
            uint32_t sequence = 0;
            do {
                sequence = block.sequence.begin_read();
                count = 0;
                for (uint64_t live = block.live; live != 0; live &= live - 1) {
                    const uint32_t place = static_cast<uint32_t>(std::countr_zero(live));
                    copies[count++] = read(load(block, place), expiry_at(block, place));
                }
            } while (!block.sequence.still(sequence));
            for (size_t i = 0; i < count; ++i) visit(copies[i]);
        }
    }

  private:
    static constexpr int64_t longest_delta_us = UINT16_MAX;
    /// How many records may be moved for one block that is needed; bounds the work of one insert.
    static constexpr uint32_t max_moves = 256;

    using Words = std::array<uint64_t, sizeof(Record) / 8>;

    struct alignas(32) Block {
        SequenceCounter sequence;
        uint32_t prev;
        uint32_t next;  ///< in the queue, or in the stack of free blocks; 0: none
        uint32_t used;  ///< places that were given out
        Relaxed<uint64_t> live;
        Relaxed<int64_t> base_us;
        std::array<Relaxed<uint16_t>, records_per_block> delta_us;
        std::array<std::array<Relaxed<uint64_t>, sizeof(Record) / 8>, records_per_block> records;
    };
    static_assert(sizeof(Block) == 1696, "26.5 bytes per record");

    /// Full blocks for all, and one for each time that 16 bits of microseconds run out.
    static uint32_t blocks_for(uint32_t capacity, Duration time_wait) {
        const uint64_t by_count = (uint64_t{capacity} + records_per_block - 1) / records_per_block;
        const uint64_t by_time = static_cast<uint64_t>(time_wait.count_us() / longest_delta_us) + 2;
        return static_cast<uint32_t>(by_count + std::min<uint64_t>(by_time, capacity));
    }

    static int64_t round_up_us(Instant t) { return (t + Duration::nanoseconds(999)).us(); }

    /// Many records come at one moment, which is rounded once.
    [[gnu::noinline]] void go_on_to(Instant now) {
        latest_ = now;
        latest_us_ = std::max(round_up_us(now), latest_us_);
    }

    Block& block_of(uint32_t entry) const { return blocks_[entry / records_per_block]; }
    static uint32_t place_of(uint32_t entry) { return entry % records_per_block; }
    bool is_live(uint32_t entry) const {
        return entry / records_per_block <= block_count_ &&
               (block_of(entry).live >> place_of(entry) & 1) != 0;
    }
    static uint32_t first_live(const Block& block) {
        return static_cast<uint32_t>(std::countr_zero(block.live.load()));
    }

    static int64_t start_us(const Block& block, uint32_t place) {
        return block.base_us + block.delta_us[place];
    }
    Instant expiry_at(const Block& block, uint32_t place) const {
        return Instant::from_us(start_us(block, place) + time_wait_us_);
    }

    static Record load(const Block& block, uint32_t place) {
        Words words;
#pragma GCC unroll 8
        for (size_t i = 0; i < words.size(); ++i) words[i] = block.records[place][i];
        return std::bit_cast<Record>(words);
    }
    FourTuple tuple_at(uint32_t entry) const {
        return load(block_of(entry), place_of(entry)).tuple;
    }

    /// Between begin_write and end_write of the block's counter. The words are put together in
    /// registers: a record that has just been made of smaller fields in memory would have to be
    /// waited for to be read back by words.
    [[gnu::always_inline]] static void store(Block& block, uint32_t place, const Record& record,
                                             int64_t start) {
        constexpr size_t low = std::endian::native == std::endian::little ? 0 : 1;
        const auto half = [&record](size_t i) {
            uint32_t value = 0;
            std::memcpy(&value, reinterpret_cast<const uint8_t*>(&record) + i * sizeof value,
                        sizeof value);
            return value;
        };
#pragma GCC unroll 8
        for (size_t i = 0; i < std::tuple_size_v<Words>; ++i) {
            block.records[place][i] = half(2 * i + low) | uint64_t{half(2 * i + 1 - low)} << 32;
        }
        block.delta_us[place] = static_cast<uint16_t>(start - block.base_us);
        block.live = block.live | uint64_t{1} << place;
    }

    /// Behind the others of a block, which has room.
    [[gnu::always_inline]] void append(Block& block, const Record& record, int64_t start) {
        block.sequence.begin_write();
        store(block, block.used, record, start);
        block.sequence.end_write();
        ++block.used;
        ++size_;
    }

    /// Takes the records of `mask` out of a block, and the block out of the queue if it was the
    /// last.
    void bury(Block& block, uint64_t mask) {
        block.sequence.begin_write();
        block.live = block.live & ~mask;
        block.sequence.end_write();
        holes_ += static_cast<uint32_t>(std::popcount(mask));
        if (block.live == 0) free_block(static_cast<uint32_t>(&block - blocks_));
    }

    // ---- the ends of the queue

    bool has_room(uint32_t number, int64_t start) const {
        if (number == 0) return false;
        const Block& block = blocks_[number];
        return block.used < records_per_block && start - block.base_us <= longest_delta_us;
    }

    uint32_t free_blocks() const { return block_count_ - queued_blocks_; }

    template <typename Evicted>
    [[gnu::noinline]] uint32_t open_next_block(int64_t base, Evicted&& evicted) {
        make_free_block(evicted);
        return open_block(base);
    }

    uint32_t open_block(int64_t base) {
        uint32_t number = free_;
        if (number != 0) {
            free_ = blocks_[number].next;
        } else {
            SYNFIN_ASSERT(opened_blocks_ < block_count_);
            place_memory(size_t{opened_blocks_ + 2} * sizeof(Block));
            number = ++opened_blocks_;
        }
        Block& block = blocks_[number];
        block.sequence.begin_write();
        block.base_us = base;
        block.sequence.end_write();
        block.used = 0;
        block.next = 0;
        block.prev = tail_;
        (tail_ != 0 ? blocks_[tail_].next : head_) = number;
        tail_ = number;
        ++queued_blocks_;
        return number;
    }

    /// Sees to it that the first `bytes` of the blocks lie on the best pages there are.
    void place_memory(size_t bytes) {
        constexpr size_t part = 16 * Region::huge_page;
        if (bytes <= placed_bytes_) return;
        const size_t whole = memory_.size() / Region::huge_page * Region::huge_page;
        memory_.place(placed_bytes_, std::min(part, whole - placed_bytes_));
        placed_bytes_ += part;
    }

    void free_block(uint32_t number) {
        Block& block = blocks_[number];
        (block.prev != 0 ? blocks_[block.prev].next : head_) = block.next;
        (block.next != 0 ? blocks_[block.next].prev : tail_) = block.prev;
        if (packing_ == number) packing_ = block.next;
        holes_ -= block.used;
        block.next = free_;
        free_ = number;
        --queued_blocks_;
    }

    /// So many records end together: their lines of the index are on their way at once.
    static constexpr uint32_t ending_batch = 16;

    /// Ends up to `budget` records that started at or before `latest`. Returns whether more did.
    template <typename Ended>
    bool end_oldest(int64_t latest, uint32_t budget, Ended&& ended) {
        struct Ending {
            Record record;
            uint32_t hash;
            uint32_t entry;
        };
        std::array<Ending, ending_batch> batch;
        while (head_ != 0) {
            Block& block = blocks_[head_];
            const uint32_t number = head_;
            size_t count = 0;
            uint64_t mask = 0;
            for (uint64_t live = block.live; live != 0 && count < ending_batch; live &= live - 1) {
                const uint32_t place = static_cast<uint32_t>(std::countr_zero(live));
                if (start_us(block, place) > latest) break;
                if (count == budget) {
                    if (count == 0) return true;
                    break;
                }
                Ending& ending = batch[count++];
                ending.record = load(block, place);
                ending.entry = number * records_per_block + place;
                mask |= uint64_t{1} << place;
            }
            if (count == 0) return false;
            tuple_hash_burst(
                count, key_, [&](size_t i) -> const FourTuple& { return batch[i].record.tuple; },
                [&](size_t i, uint32_t hash) {
                    batch[i].hash = hash;
                    index_.prefetch(hash);
                });
            for (size_t i = 0; i < count; ++i) index_.erase(batch[i].hash, batch[i].entry);
            bury(block, mask);
            budget -= static_cast<uint32_t>(count);
            size_ -= static_cast<uint32_t>(count);
            for (size_t i = 0; i < count; ++i) ended(batch[i].record);
        }
        return false;
    }

    template <typename Evicted>
    void evict_oldest(Evicted&& evicted) {
        const uint32_t together = std::clamp(capacity_ / 1024, 1u, ending_batch);
        end_oldest(INT64_MAX, together, evicted);
    }

    // ---- holes

    /// Sees to it that open_block() finds a free block.
    template <typename Evicted>
    void make_free_block(Evicted&& evicted) {
        const uint32_t reserve = block_count_ / 16;
        if (free_blocks() <= reserve && holes_ > (size_ + holes_) / 8) {
            uint32_t moves = 0;
            // A full block in the way costs a look; enough looks to get past many of them.
            for (uint32_t looks = 0; looks < max_moves && moves < max_moves; ++looks) {
                moves += pack_step();
                if (free_blocks() > reserve) break;
            }
        }
        const uint32_t oldest = head_;
        while (free_blocks() == 0 && head_ == oldest) evict_oldest(evicted);
    }

    /// Fills the holes of one block with the first records of the next. Returns how many were
    /// moved.
    uint32_t pack_step() {
        if (packing_ == 0) packing_ = head_;
        if (packing_ == 0) return 0;
        const uint32_t number = packing_;
        Block& block = blocks_[number];
        const uint32_t next_number = block.next;
        // The tail is being written to; then it starts over from the head.
        if (next_number == 0 || next_number == tail_) {
            packing_ = 0;
            return 0;
        }
        Block& next = blocks_[next_number];
        SYNFIN_ASSERT(block.live != 0 && next.live != 0);
        packing_ = next_number;
        if (block.live == UINT64_MAX) return 0;
        if (start_us(next, first_live(next)) - block.base_us > longest_delta_us) return 0;

        block.sequence.begin_write();
        next.sequence.begin_write();
        uint32_t moved = close_holes(number);
        while (block.used < records_per_block && next.live != 0) {
            const uint32_t from = first_live(next);
            const int64_t start = start_us(next, from);
            if (start - block.base_us > longest_delta_us) break;
            move_record(next_number, from, number, block.used, start);
            ++block.used;
            ++holes_;
            ++moved;
        }
        next.sequence.end_write();
        block.sequence.end_write();
        if (next.live == 0) {
            free_block(next_number);
            packing_ = number;
        }
        return moved;
    }

    /// Moves the live records of a block to its beginning.
    uint32_t close_holes(uint32_t number) {
        Block& block = blocks_[number];
        uint32_t moved = 0;
        uint32_t to = 0;
        for (uint64_t live = block.live; live != 0; live &= live - 1, ++to) {
            const uint32_t from = static_cast<uint32_t>(std::countr_zero(live));
            if (from == to) continue;
            move_record(number, from, number, to, start_us(block, from));
            ++moved;
        }
        holes_ -= block.used - to;
        block.used = to;
        return moved;
    }

    void move_record(uint32_t from_block, uint32_t from, uint32_t to_block, uint32_t to,
                     int64_t start) {
        const Record record = load(blocks_[from_block], from);
        index_.move(tuple_hash(record.tuple, key_), from_block * records_per_block + from,
                    to_block * records_per_block + to);
        store(blocks_[to_block], to, record, start);
        blocks_[from_block].live = blocks_[from_block].live & ~(uint64_t{1} << from);
    }

    HashKey key_;
    int64_t time_wait_us_;
    Instant latest_;  ///< when the newest record came
    int64_t latest_us_ = 0;
    uint32_t capacity_;
    uint32_t block_count_;
    PositionIndex index_;
    Region memory_;
    Block* blocks_;
    size_t placed_bytes_ = 0;
    Relaxed<uint32_t> size_;
    Relaxed<uint32_t> opened_blocks_;  ///< blocks 1 .. opened_blocks_ have been used
    uint32_t head_ = 0;
    uint32_t tail_ = 0;
    uint32_t free_ = 0;
    uint32_t queued_blocks_ = 0;
    uint32_t holes_ = 0;    ///< places of removed records, in blocks that are queued
    uint32_t packing_ = 0;  ///< the block that is packed next; 0: the head
};

}  // namespace synfin::flow
