#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <synfin/base/prng.hpp>
#include <synfin/flow/connection_table.hpp>

namespace synfin::flow {
namespace {

/// Finds by the index itself, where a caller would compare tuples.
uint32_t find_index(const ConnectionTable& table, uint32_t hash, uint32_t index) {
    return table.find(hash, [index](uint32_t i) { return i == index; });
}

std::vector<uint32_t> all_indices(const ConnectionTable& table) {
    std::vector<uint32_t> indices;
    table.for_each([](uint32_t index) { return index; },
                   [&](uint32_t index) { indices.push_back(index); });
    std::sort(indices.begin(), indices.end());
    return indices;
}

TEST(ConnectionTable, EmptyTableFindsNothing) {
    const ConnectionTable table{100};
    EXPECT_EQ(table.size(), 0u);
    EXPECT_EQ(table.find(0, [](uint32_t) { return true; }), no_index);
    EXPECT_EQ(table.candidate(table.prefetch(0xffffffff), 0xffffffff), no_index);
}

TEST(ConnectionTable, InsertedEntryIsFoundByItsHash) {
    ConnectionTable table{100};
    ASSERT_TRUE(table.insert(0xdeadbeef, 42));
    EXPECT_EQ(table.size(), 1u);
    EXPECT_EQ(find_index(table, 0xdeadbeef, 42), 42u);
    EXPECT_EQ(table.candidate(table.prefetch(0xdeadbeef), 0xdeadbeef), 42u);
}

TEST(ConnectionTable, ErasedEntryIsNoLongerFound) {
    ConnectionTable table{100};
    table.insert(0xdeadbeef, 42);
    table.erase(0xdeadbeef, 42);
    EXPECT_EQ(table.size(), 0u);
    EXPECT_EQ(table.candidate(table.prefetch(0xdeadbeef), 0xdeadbeef), no_index);
}

TEST(ConnectionTable, EqualHashesAreToldApartByThePredicate) {
    ConnectionTable table{100};
    for (uint32_t index = 0; index < 5; ++index) ASSERT_TRUE(table.insert(7, index));
    for (uint32_t index = 0; index < 5; ++index) EXPECT_EQ(find_index(table, 7, index), index);
    EXPECT_EQ(find_index(table, 7, 5), no_index);
    table.erase(7, 2);
    EXPECT_EQ(find_index(table, 7, 2), no_index);
    EXPECT_EQ(find_index(table, 7, 4), 4u);
}

TEST(ConnectionTable, TagsZeroAndOneAreBothUsable) {
    ConnectionTable table{100};
    table.insert(0x1000, 1);
    table.insert(0x1001, 2);
    EXPECT_EQ(find_index(table, 0x1000, 1), 1u);
    EXPECT_EQ(find_index(table, 0x1001, 2), 2u);
}

TEST(ConnectionTable, EntriesThatOverflowTheirBucketAreFoundFurtherOn) {
    ConnectionTable table{1000};
    // All have the home bucket 0, three buckets full.
    constexpr uint32_t count = 3 * ConnectionTable::slots_per_bucket;
    for (uint32_t index = 0; index < count; ++index) ASSERT_TRUE(table.insert(index + 1, index));
    for (uint32_t index = 0; index < count; ++index) {
        EXPECT_EQ(find_index(table, index + 1, index), index);
    }
}

TEST(ConnectionTable, SearchEndsAtHomeAgainAfterTheOverflowIsErased) {
    ConnectionTable table{1000};
    constexpr uint32_t full = ConnectionTable::slots_per_bucket;
    for (uint32_t index = 0; index <= full; ++index) table.insert(index + 1, index);
    // The last one passed the home bucket. With it gone, nothing beyond may be looked at: an entry
    // of bucket 1 with the same tag must not even be asked about.
    table.erase(full + 1, full);
    table.erase(1, 0);
    const auto home_of_bucket_1 =
        static_cast<uint32_t>((uint64_t{1} << 32) / table.bucket_count() + 1);
    const uint32_t same_tag = (home_of_bucket_1 | 0xff) + 0x100;
    table.insert(same_tag, 99);
    uint32_t asked = 0;
    table.find(0xff, [&](uint32_t) {
        ++asked;
        return false;
    });
    EXPECT_EQ(asked, 0u);
}

TEST(ConnectionTable, ErasingAtHomeLeavesTheOverflowReachable) {
    ConnectionTable table{1000};
    constexpr uint32_t full = ConnectionTable::slots_per_bucket;
    for (uint32_t index = 0; index <= full; ++index) table.insert(index + 1, index);
    for (uint32_t index = 0; index < full; ++index) table.erase(index + 1, index);
    EXPECT_EQ(find_index(table, full + 1, full), full);
}

TEST(ConnectionTable, ProbingWrapsFromTheLastBucketToTheFirst) {
    ConnectionTable table{1000};
    for (uint32_t i = 0; i < 30; ++i) ASSERT_TRUE(table.insert(0xffffff00 + i, i));
    for (uint32_t i = 0; i < 30; ++i) EXPECT_EQ(find_index(table, 0xffffff00 + i, i), i);
    for (uint32_t i = 0; i < 30; ++i) table.erase(0xffffff00 + i, i);
    EXPECT_EQ(table.size(), 0u);
}

TEST(ConnectionTable, RefusesWhenNoBucketWithinReachHasRoom) {
    ConnectionTable table{100'000};
    uint32_t inserted = 0;
    while (inserted < 10'000 && table.insert(5, inserted)) ++inserted;
    EXPECT_EQ(inserted, ConnectionTable::max_probes * ConnectionTable::slots_per_bucket);
    EXPECT_EQ(table.size(), inserted);
    // One that lives elsewhere is not concerned.
    EXPECT_TRUE(table.insert(0x80000000, 1'000'000));
    // More than 255 have passed the home bucket; all are still found and all can go.
    for (uint32_t index = 0; index < inserted; ++index)
        ASSERT_EQ(find_index(table, 5, index), index);
    for (uint32_t index = 0; index < inserted; ++index) table.erase(5, index);
    EXPECT_EQ(table.size(), 1u);
}

TEST(ConnectionTable, SmallTablesTakeAllThatTheyPromise) {
    for (uint32_t capacity = 1; capacity <= 600; ++capacity) {
        Prng random{capacity};
        ConnectionTable table{capacity};
        for (uint32_t index = 0; index < capacity; ++index) {
            ASSERT_TRUE(table.insert(random.next_u32(), index)) << capacity;
        }
    }
}

TEST(ConnectionTable, MillionRandomEntriesFitAndStillFitAfterChurn) {
    constexpr uint32_t capacity = 1'000'000;
    Prng random{1};
    ConnectionTable table{capacity};
    std::vector<uint32_t> hashes(capacity);
    for (uint32_t index = 0; index < capacity; ++index) {
        hashes[index] = random.next_u32();
        ASSERT_TRUE(table.insert(hashes[index], index));
    }
    for (uint32_t i = 0; i < 2 * capacity; ++i) {
        const auto index = static_cast<uint32_t>(random.below(capacity));
        table.erase(hashes[index], index);
        hashes[index] = random.next_u32();
        ASSERT_TRUE(table.insert(hashes[index], index));
    }
    for (uint32_t index = 0; index < capacity; ++index) {
        ASSERT_EQ(find_index(table, hashes[index], index), index);
    }
    EXPECT_EQ(table.size(), capacity);
    EXPECT_LE(size_t{table.bucket_count()} * 64, size_t{capacity} * 64 / 6 + 128);
}

TEST(ConnectionTable, FewBucketsAreFullWithAllEntriesThatTheTableWasMadeFor) {
    constexpr uint32_t capacity = 200'000;
    Prng random{3};
    ConnectionTable table{capacity};
    for (uint32_t index = 0; index < capacity; ++index) table.insert(random.next_u32(), index);
    // What passes one of them takes a line that nobody has asked for ahead.
    uint32_t full = 0;
    for (uint32_t bucket = 0; bucket < table.bucket_count(); ++bucket) {
        full += table.read_bucket(bucket).count == ConnectionTable::slots_per_bucket ? 1u : 0u;
    }
    EXPECT_LT(full, table.bucket_count() / 40);
}

TEST(ConnectionTable, EntryIsSeldomFarFromHomeAtFullLoad) {
    constexpr uint32_t capacity = 200'000;
    Prng random{2};
    ConnectionTable table{capacity};
    std::vector<uint32_t> hashes(capacity);
    for (uint32_t index = 0; index < capacity; ++index) {
        hashes[index] = random.next_u32();
        table.insert(hashes[index], index);
    }
    // Wrong candidates cost a connection's cache lines: count how many objects a hit asks about.
    uint64_t asked = 0;
    for (uint32_t index = 0; index < capacity; ++index) {
        table.find(hashes[index], [&](uint32_t i) {
            ++asked;
            return i == index;
        });
    }
    EXPECT_LT(static_cast<double>(asked) / capacity, 1.05);
}

TEST(ConnectionTable, AgreesWithAnOrdinaryMapOverRandomOperations) {
    for (uint32_t capacity : {3u, 50u, 1'000u, 20'000u}) {
        Prng random{capacity};
        ConnectionTable table{capacity};
        std::unordered_map<uint32_t, uint32_t> model;  // index -> hash
        std::vector<uint32_t> free_indices;
        for (uint32_t index = 0; index < capacity; ++index) free_indices.push_back(index);
        // Half of the hashes come from a small set, so that equal ones and full buckets are common.
        const auto any_hash = [&] {
            return random.chance(1, 2) ? random.next_u32()
                                       : static_cast<uint32_t>(random.below(capacity)) * 0x10001;
        };
        for (int i = 0; i < 200'000; ++i) {
            if (!free_indices.empty() && random.chance(1, 2)) {
                const size_t pick = random.below(free_indices.size());
                const uint32_t hash = any_hash();
                if (table.insert(hash, free_indices[pick])) {
                    model.emplace(free_indices[pick], hash);
                    std::swap(free_indices[pick], free_indices.back());
                    free_indices.pop_back();
                }
            } else {
                const auto index = static_cast<uint32_t>(random.below(capacity));
                const auto entry = model.find(index);
                if (entry == model.end()) continue;
                ASSERT_EQ(find_index(table, entry->second, index), index);
                table.erase(entry->second, index);
                ASSERT_EQ(find_index(table, entry->second, index), no_index);
                free_indices.push_back(index);
                model.erase(entry);
            }
            ASSERT_EQ(table.size(), model.size());
        }
        std::vector<uint32_t> expected;
        for (const auto& [index, hash] : model) {
            ASSERT_EQ(find_index(table, hash, index), index);
            expected.push_back(index);
        }
        std::sort(expected.begin(), expected.end());
        EXPECT_EQ(all_indices(table), expected);
    }
}

TEST(ConnectionTable, ChangedBucketIsNoLongerCurrent) {
    ConnectionTable table{1};
    table.insert(1, 10);
    const ConnectionTable::BucketView view = table.read_bucket(0);
    ASSERT_EQ(view.count, 1u);
    EXPECT_EQ(view.indices[0], 10u);
    EXPECT_TRUE(table.is_current(view));
    table.erase(1, 10);
    EXPECT_FALSE(table.is_current(view));
    table.insert(1, 10);
    EXPECT_FALSE(table.is_current(view));
}

using ConnectionTableDeathTest = testing::Test;

TEST(ConnectionTableDeathTest, ErasingWhatIsNotThereAborts) {
    ConnectionTable table{10};
    table.insert(5, 1);
    EXPECT_DEATH(table.erase(5, 2), "entry_is_in_the_table");
}

}  // namespace
}  // namespace synfin::flow
