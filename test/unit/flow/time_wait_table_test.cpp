#include <cstdint>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <synfin/base/prng.hpp>
#include <synfin/flow/time_wait_table.hpp>

namespace synfin::flow {
namespace {

using namespace synfin::literals;

struct Record {
    FourTuple tuple;
    uint32_t a = 0;
    uint32_t b = 0;
    uint32_t c = 0;
};
using Table = TimeWaitTable<Record>;

constexpr HashKey key{11, 22};
constexpr Duration two_msl = Duration::seconds(60);

Instant at_us(int64_t us) { return Instant::from_us(us); }
FourTuple tuple_of(uint32_t n) { return {0x0a000001, n, static_cast<uint16_t>(n % 7), 80}; }
Record record_of(uint32_t n) { return {tuple_of(n), n, n + 1, n + 2}; }
uint32_t hash_of(uint32_t n) { return tuple_hash(tuple_of(n), key); }
uint32_t find(const Table& table, uint32_t n) { return table.find(hash_of(n), tuple_of(n)); }

/// Inserts record n, every other one on the short way if that is possible; returns who had to give
/// way.
std::vector<uint32_t> insert(Table& table, uint32_t n, Instant now) {
    std::vector<uint32_t> evicted;
    if (n % 2 != 0 && table.insert_again(hash_of(n), now, [n] { return record_of(n); })) {
        return evicted;
    }
    table.insert(record_of(n), hash_of(n), now, [&](const Record& r) { evicted.push_back(r.a); });
    return evicted;
}

std::vector<uint32_t> expire(Table& table, Instant now, uint32_t budget = UINT32_MAX) {
    std::vector<uint32_t> expired;
    table.expire(now, budget, [&](const Record& r) { expired.push_back(r.a); });
    return expired;
}

using Numbers = std::vector<uint32_t>;

TEST(TimeWaitTable, OldestThatIsWantedIsFoundWithinItsAgeAndTheLooks) {
    Table table{1000, two_msl, key};
    for (uint32_t n = 0; n < 200; ++n) insert(table, n, at_us(1000 * int64_t{n}));
    const auto first_from = [&](uint32_t n, int64_t latest_us, uint32_t looks) {
        const uint32_t entry =
            table.find_oldest(at_us(latest_us), looks, [n](const Record& r) { return r.a >= n; });
        return entry == no_index ? UINT32_MAX : table.read(entry).a;
    };
    EXPECT_EQ(first_from(0, 500'000, 1), 0u);
    EXPECT_EQ(first_from(150, 500'000, 200), 150u);
    EXPECT_EQ(first_from(150, 500'000, 150), UINT32_MAX);
    EXPECT_EQ(first_from(150, 150'000, 200), 150u);
    EXPECT_EQ(first_from(150, 149'999, 200), UINT32_MAX);
    table.remove(find(table, 0));
    EXPECT_EQ(first_from(0, 500'000, 1), 1u);
}

TEST(TimeWaitTable, InsertedRecordIsFoundWhole) {
    Table table{100, two_msl, key};
    insert(table, 5, at_us(1));
    const uint32_t entry = find(table, 5);
    ASSERT_NE(entry, no_index);
    const Record record = table.read(entry);
    EXPECT_EQ(record.tuple, tuple_of(5));
    EXPECT_EQ(record.a, 5u);
    EXPECT_EQ(record.b, 6u);
    EXPECT_EQ(record.c, 7u);
    EXPECT_EQ(find(table, 6), no_index);
    EXPECT_EQ(table.size(), 1u);
}

TEST(TimeWaitTable, RecordEndsExactlyAfterTwoMsl) {
    Table table{100, two_msl, key};
    insert(table, 1, at_us(123'456));
    EXPECT_EQ(table.next_expiry(), at_us(60'123'456));
    EXPECT_EQ(table.expiry(find(table, 1)), at_us(60'123'456));
    EXPECT_EQ(expire(table, at_us(60'123'455)), Numbers{});
    EXPECT_EQ(expire(table, at_us(60'123'456)), Numbers{1});
    EXPECT_EQ(find(table, 1), no_index);
    EXPECT_EQ(table.size(), 0u);
    EXPECT_EQ(table.next_expiry(), std::nullopt);
}

TEST(TimeWaitTable, FractionOfAMicrosecondIsRoundedUpNeverDown) {
    Table table{100, two_msl, key};
    insert(table, 1, Instant::from_ns(1'001));
    EXPECT_EQ(expire(table, Instant::from_ns(60'000'001'999)), Numbers{});
    EXPECT_EQ(expire(table, Instant::from_ns(60'000'002'000)), Numbers{1});
}

TEST(TimeWaitTable, EachEndIsExactWhateverThePausesBetween) {
    Prng random{1};
    Table table{1000, two_msl, key};
    std::map<int64_t, uint32_t> ends_us;
    int64_t now_us = 0;
    for (uint32_t n = 0; n < 1000; ++n) {
        now_us += 1 + static_cast<int64_t>(random() >> (63 - random.below(17)));
        ASSERT_EQ(insert(table, n, at_us(now_us)), Numbers{});
        ends_us.emplace(now_us + two_msl.count_us(), n);
    }
    for (const auto& [end_us, n] : ends_us) {
        ASSERT_EQ(table.next_expiry(), at_us(end_us));
        ASSERT_EQ(expire(table, at_us(end_us - 1)), Numbers{});
        ASSERT_EQ(expire(table, at_us(end_us)), Numbers{n});
    }
}

TEST(TimeWaitTable, BudgetBoundsWhatEndsAndTellsThatMoreIsDue) {
    Table table{1000, two_msl, key};
    for (uint32_t n = 0; n < 200; ++n) insert(table, n, at_us(1));
    uint32_t calls = 0;
    const auto count = [&](const Record&) { ++calls; };
    EXPECT_TRUE(table.expire(at_us(60'000'001), 0, count));
    EXPECT_EQ(calls, 0u);
    EXPECT_TRUE(table.expire(at_us(60'000'001), 70, count));
    EXPECT_EQ(calls, 70u);
    EXPECT_FALSE(table.expire(at_us(60'000'001), 1000, count));
    EXPECT_EQ(calls, 200u);
    EXPECT_FALSE(table.expire(at_us(60'000'001), 0, count));
}

TEST(TimeWaitTable, RemovedRecordIsGoneAndNeverEnds) {
    Table table{100, two_msl, key};
    for (uint32_t n : {1u, 2u, 3u}) insert(table, n, at_us(n));
    table.remove(find(table, 2));
    EXPECT_EQ(find(table, 2), no_index);
    EXPECT_EQ(table.size(), 2u);
    EXPECT_EQ(expire(table, at_us(100'000'000)), (Numbers{1, 3}));
}

TEST(TimeWaitTable, RemovingTheOldestMakesTheNextOneTheNextToEnd) {
    Table table{100, two_msl, key};
    insert(table, 1, at_us(10));
    insert(table, 2, at_us(20));
    table.remove(find(table, 1));
    EXPECT_EQ(table.next_expiry(), at_us(60'000'020));
}

TEST(TimeWaitTable, RestartBeginsTwoMslAnew) {
    Table table{100, two_msl, key};
    insert(table, 1, at_us(0));
    insert(table, 2, at_us(5));
    table.restart(find(table, 1), at_us(30'000'000), [](const Record&) {});
    EXPECT_EQ(table.read(find(table, 1)).c, 3u);
    EXPECT_EQ(table.size(), 2u);
    EXPECT_EQ(expire(table, at_us(89'999'999)), Numbers{2});
    EXPECT_EQ(expire(table, at_us(90'000'000)), Numbers{1});
}

TEST(TimeWaitTable, FullTableGivesUpTheOldestForTheNewest) {
    Table table{100, two_msl, key};
    for (uint32_t n = 0; n < 100; ++n) ASSERT_EQ(insert(table, n, at_us(n)), Numbers{});
    EXPECT_EQ(insert(table, 100, at_us(100)), Numbers{0});
    EXPECT_EQ(insert(table, 101, at_us(101)), Numbers{1});
    EXPECT_EQ(table.size(), 100u);
    EXPECT_EQ(find(table, 0), no_index);
    EXPECT_NE(find(table, 2), no_index);
    EXPECT_NE(find(table, 101), no_index);
}

TEST(TimeWaitTable, FullLargeTableGivesUpSixteenOfTheOldestAtOnce) {
    constexpr uint32_t capacity = 16 * 1024;
    Table table{capacity, two_msl, key};
    for (uint32_t n = 0; n < capacity; ++n) ASSERT_EQ(insert(table, n, at_us(n)), Numbers{});
    Numbers oldest(16);
    std::iota(oldest.begin(), oldest.end(), 0);
    EXPECT_EQ(insert(table, capacity, at_us(capacity)), oldest);
    EXPECT_EQ(insert(table, capacity + 1, at_us(capacity + 1)), Numbers{});
    EXPECT_EQ(table.size(), capacity - 14);
    EXPECT_EQ(find(table, 15), no_index);
    EXPECT_NE(find(table, 16), no_index);
}

TEST(TimeWaitTable, HoldsItsCapacityHoweverSlowlyItIsFilled) {
    // One record per 70 ms: each needs a block of its own, since 16 bits of microseconds run out.
    Table table{800, two_msl, key};
    for (uint32_t n = 0; n < 800; ++n) {
        ASSERT_EQ(insert(table, n, at_us(int64_t{n} * 70'000)), Numbers{});
    }
    EXPECT_EQ(table.size(), 800u);
    for (uint32_t n = 0; n < 800; ++n) ASSERT_NE(find(table, n), no_index);
}

TEST(TimeWaitTable, CapacityOfOneHoldsTheNewest) {
    Table table{1, two_msl, key};
    EXPECT_EQ(insert(table, 1, at_us(0)), Numbers{});
    EXPECT_EQ(insert(table, 2, at_us(1)), Numbers{1});
    EXPECT_EQ(insert(table, 3, at_us(1'000'000)), Numbers{2});
    EXPECT_EQ(expire(table, at_us(61'000'000)), Numbers{3});
}

TEST(TimeWaitTable, ClearEndsEverythingAtOnce) {
    Table table{1000, two_msl, key};
    for (uint32_t n = 0; n < 1000; ++n) insert(table, n, at_us(n));
    uint32_t ended = 0;
    table.clear([&](const Record&) { ++ended; });
    EXPECT_EQ(ended, 1000u);
    EXPECT_EQ(table.size(), 0u);
    EXPECT_EQ(insert(table, 7, at_us(2000)), Numbers{});
    EXPECT_NE(find(table, 7), no_index);
}

TEST(TimeWaitTable, ZeroTwoMslEndsAtTheSameInstant) {
    Table table{10, Duration{}, key};
    insert(table, 1, at_us(50));
    EXPECT_EQ(expire(table, at_us(50)), Numbers{1});
}

TEST(TimeWaitTable, WalkVisitsEachRecordWithItsEnd) {
    Table table{1000, two_msl, key};
    for (uint32_t n = 0; n < 500; ++n) insert(table, n, at_us(n * 1000));
    for (uint32_t n = 0; n < 500; n += 3) table.remove(find(table, n));
    std::map<uint32_t, Instant> seen;
    table.for_each([&](const Record& r, Instant expiry) { seen.emplace(r.a, expiry); });
    EXPECT_EQ(seen.size(), table.size());
    for (const auto& [n, expiry] : seen) {
        EXPECT_NE(n % 3, 0u);
        EXPECT_EQ(expiry, at_us(n * 1000) + two_msl);
    }
}

TEST(TimeWaitTable, FiftyMillionRecordsFitIntoThirtyTwoBytesEach) {
    const Table table{50'000'000, two_msl, key};
    EXPECT_LE(table.memory_bytes(), size_t{32} * 50'000'000);
}

// A peer that reopens its tuples over and over leaves holes between the records of the others. They
// must not end early for it.
TEST(TimeWaitTable, ReuseOfATupleDoesNotPushOthersOut) {
    constexpr uint32_t others = 4000;
    Table table{8192, two_msl, key};
    int64_t now_us = 0;
    uint32_t others_evicted = 0;
    for (uint32_t n = 0; n < others; ++n) {
        table.insert(record_of(n), hash_of(n), at_us(++now_us), [](const Record&) { FAIL(); });
        for (uint32_t reuse = 0; reuse < 20; ++reuse) {
            const uint32_t tuple = others + reuse % 50;
            const uint32_t entry = find(table, tuple);
            if (entry != no_index) table.remove(entry);
            table.insert(record_of(tuple), hash_of(tuple), at_us(++now_us),
                         [&](const Record& r) { others_evicted += r.a < others ? 1u : 0u; });
        }
    }
    EXPECT_EQ(others_evicted, 0u);
    for (uint32_t n = 0; n < others; ++n) ASSERT_NE(find(table, n), no_index) << n;
}

using TimeWaitTableDeathTest = testing::Test;

TEST(TimeWaitTableDeathTest, RemovingWhatIsNotThereAborts) {
    Table table{10, two_msl, key};
    EXPECT_DEATH(table.remove(64), "is_live");
}

/// The table's rules, done the slow way: records by the order of their ends.
class Comparison {
  public:
    Comparison(uint64_t seed, uint32_t capacity, uint32_t tuples, uint64_t pace_bits)
        : random_{seed}, capacity_{capacity}, tuples_{tuples}, pace_bits_{pace_bits} {}

    void run(int operations) {
        for (int i = 0; i < operations && !testing::Test::HasFailure(); ++i) {
            now_ = now_ + Duration::nanoseconds(
                              static_cast<int64_t>(random_() >> (63 - random_.below(pace_bits_))));
            step();
            compare();
        }
    }

    uint64_t evicted() const { return evicted_; }

  private:
    using Queue = std::multimap<int64_t, uint32_t>;  // end in microseconds -> number

    int64_t end_us() const { return (now_.ns() + 999) / 1000 + two_msl_.count_us(); }

    void step() {
        const auto n = static_cast<uint32_t>(random_.below(tuples_));
        const auto place = places_.find(n);
        const uint32_t entry = find(table_, n);
        ASSERT_EQ(entry != no_index, place != places_.end());
        const auto evict = [&](const Record& record) {
            // Only the oldest gives way.
            ASSERT_FALSE(queue_.empty());
            ASSERT_EQ(queue_.begin()->second, record.a);
            forget(record.a);
            ++evicted_;
        };
        if (random_.chance(1, 10)) {
            const auto budget = static_cast<uint32_t>(random_.below(200));
            uint32_t calls = 0;
            const bool more = table_.expire(now_, budget, [&](const Record& record) {
                ++calls;
                ASSERT_FALSE(queue_.empty());
                ASSERT_EQ(queue_.begin()->second, record.a);
                ASSERT_LE(queue_.begin()->first, now_.us());
                forget(record.a);
            });
            ASSERT_LE(calls, budget);
            ASSERT_EQ(more, !queue_.empty() && queue_.begin()->first <= now_.us());
        } else if (entry == no_index) {
            table_.insert(record_of(n), hash_of(n), now_, evict);
            places_[n] = queue_.emplace(end_us(), n);
        } else if (random_.chance(1, 2)) {
            table_.remove(entry);
            forget(n);
        } else {
            forget(n);
            table_.restart(entry, now_, evict);
            places_[n] = queue_.emplace(end_us(), n);
        }
    }

    void forget(uint32_t n) {
        queue_.erase(places_.at(n));
        places_.erase(n);
    }

    void compare() {
        ASSERT_EQ(table_.size(), queue_.size());
        ASSERT_LE(table_.size(), capacity_);
        const auto next = table_.next_expiry();
        ASSERT_EQ(next.has_value(), !queue_.empty());
        if (next) {
            ASSERT_EQ(next->us(), queue_.begin()->first);
        }
        const auto n = static_cast<uint32_t>(random_.below(tuples_));
        const uint32_t entry = find(table_, n);
        const auto place = places_.find(n);
        ASSERT_EQ(entry != no_index, place != places_.end());
        if (entry != no_index) {
            ASSERT_EQ(table_.read(entry).b, n + 1);
            ASSERT_EQ(table_.expiry(entry).us(), place->second->first);
        }
    }

    Prng random_;
    Duration two_msl_ = Duration::milliseconds(500);
    uint32_t capacity_;
    uint32_t tuples_;
    uint64_t pace_bits_;
    Table table_{capacity_, two_msl_, key};
    Instant now_;
    Queue queue_;
    std::map<uint32_t, Queue::iterator> places_;
    uint64_t evicted_ = 0;
};

TEST(TimeWaitTableModel, AgreesWhenThereIsRoomForAll) {
    Comparison comparison{1, 3000, 2000, 22};
    comparison.run(400'000);
}

TEST(TimeWaitTableModel, AgreesWhenItIsAlwaysFull) {
    Comparison comparison{2, 500, 100'000, 12};
    comparison.run(400'000);
    EXPECT_GT(comparison.evicted(), 1000u);
}

TEST(TimeWaitTableModel, AgreesWhenItIsLargeAndAlwaysFull) {
    Comparison comparison{2, 5000, 100'000, 12};
    comparison.run(400'000);
    EXPECT_GT(comparison.evicted(), 1000u);
}

TEST(TimeWaitTableModel, AgreesWhenTimePassesSlowlyAndHolesMustBePacked) {
    Comparison comparison{3, 2000, 1500, 10};
    comparison.run(400'000);
    EXPECT_EQ(comparison.evicted(), 0u);
}

// Whole blocks vanish, others are thinned out, the table runs full and empties: what packing was at
// work on may be gone when it goes on.
TEST(TimeWaitTable, KeepsEachRecordThroughPhasesOfFillingAndThinningOut) {
    Prng random{5};
    // A short 2MSL, which is never asked about here, so that there are hardly more blocks than
    // needed.
    Table table{4096, 1_ms, key};
    std::set<uint32_t> live;
    uint32_t next = 0;
    int64_t now_us = 0;
    for (int phase = 0; phase < 600; ++phase) {
        const uint64_t kind = random.below(4);
        if (kind < 2) {
            const uint64_t count = random.below(3000);
            for (uint64_t i = 0; i < count; ++i, ++next) {
                for (uint32_t n : insert(table, next, at_us(++now_us))) live.erase(n);
                live.insert(next);
            }
        } else if (!live.empty()) {
            // A range of neighbours with all, or with every other one, of its records.
            auto from = live.lower_bound(*live.begin() + static_cast<uint32_t>(random.below(4096)));
            for (uint64_t left = random.below(2000); left > 0 && from != live.end(); --left) {
                if (kind == 3 && random.chance(1, 2)) {
                    ++from;
                    continue;
                }
                table.remove(find(table, *from));
                from = live.erase(from);
            }
        }
        ASSERT_EQ(table.size(), live.size());
        for (uint32_t n : live) {
            const uint32_t entry = find(table, n);
            ASSERT_NE(entry, no_index) << n;
            ASSERT_EQ(table.read(entry).a, n);
        }
    }
}

TEST(TimeWaitTableModel, AgreesWhenLongPausesCutTheBlocks) {
    Comparison comparison{4, 300, 400, 28};
    comparison.run(200'000);
}

}  // namespace
}  // namespace synfin::flow
