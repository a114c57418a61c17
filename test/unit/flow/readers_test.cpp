// Other threads read the tables while their owner changes them as fast as it can. Under
// ThreadSanitizer these tests also show that there is no data race.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <synfin/base/index_pool.hpp>
#include <synfin/base/prng.hpp>
#include <synfin/base/relaxed.hpp>
#include <synfin/flow/connection_table.hpp>
#include <synfin/flow/time_wait_table.hpp>

namespace synfin::flow {
namespace {

/// A stand-in for a connection. While it is in the table, the three fields belong together.
struct Object {
    Relaxed<uint64_t> value;
    Relaxed<uint64_t> complement;
    Relaxed<uint32_t> own_index;
};

TEST(Readers, SeeEachConnectionWholeAndEachStableOneExactlyOnce) {
    constexpr uint32_t stable = 200;
    constexpr uint32_t changing = 200;
    ConnectionTable table{stable + changing};
    std::vector<Object> objects(stable + changing);
    std::vector<uint32_t> hashes(stable + changing);
    Prng random{1};
    const auto fill_in = [&](uint32_t index) {
        const uint64_t value = random();
        objects[index].value = value;
        objects[index].complement = ~value;
        objects[index].own_index = index;
    };
    for (uint32_t index = 0; index < stable; ++index) {
        fill_in(index);
        hashes[index] = random.next_u32();
        ASSERT_TRUE(table.insert(hashes[index], index));
    }

    std::atomic<bool> stop{false};
    std::atomic<uint64_t> rounds{0};
    std::thread owner{[&] {
        std::vector<bool> present(stable + changing);
        while (!stop.load(std::memory_order_relaxed)) {
            const auto index = stable + static_cast<uint32_t>(random.below(changing));
            if (present[index]) {
                table.erase(hashes[index], index);
                // Out of the table, an object is free to become something else.
                objects[index].own_index = no_index;
                objects[index].value = 1;
                objects[index].complement = 1;
            } else {
                fill_in(index);
                hashes[index] = random.next_u32();
                ASSERT_TRUE(table.insert(hashes[index], index));
            }
            present[index] = !present[index];
            rounds.fetch_add(1, std::memory_order_relaxed);
        }
    }};

    struct Copy {
        uint64_t value;
        uint64_t complement;
        uint32_t own_index;
        uint32_t index;
    };
    uint64_t torn = 0;
    uint64_t changing_seen = 0;
    std::vector<int> visits(stable);
    // Only walks that the owner has disturbed prove anything.
    for (int disturbed = 0; disturbed < 300 || changing_seen < 1000;) {
        const uint64_t rounds_before = rounds.load();
        std::fill(visits.begin(), visits.end(), 0);
        table.for_each(
            [&](uint32_t index) {
                const Object& object = objects[index];
                return Copy{object.value, object.complement, object.own_index, index};
            },
            [&](const Copy& copy) {
                torn += (copy.complement != ~copy.value || copy.own_index != copy.index) ? 1u : 0u;
                if (copy.index < stable) {
                    ++visits[copy.index];
                } else {
                    ++changing_seen;
                }
            });
        for (int n : visits) EXPECT_EQ(n, 1);
        disturbed += rounds.load() != rounds_before ? 1 : 0;
    }
    stop = true;
    owner.join();
    EXPECT_EQ(torn, 0u);
}

struct Record {
    FourTuple tuple;
    uint32_t a = 0;
    uint32_t b = 0;
    uint32_t c = 0;
};

TEST(Readers, SeeEachTimeWaitRecordWhole) {
    constexpr HashKey key{1, 2};
    const Duration time_wait = Duration::milliseconds(5);
    TimeWaitTable<Record> table{100, time_wait, key};
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> inserted{0};
    std::thread owner{[&] {
        Prng random{2};
        Instant now;
        const auto ignore = [](const Record&) {};
        while (!stop.load(std::memory_order_relaxed)) {
            now = now + Duration::microseconds(static_cast<int64_t>(random.below(12)));
            const uint32_t word = random.next_u32();
            const Record record{{word, word + 1, 1, 2}, word + 2, word + 3, word + 4};
            const uint32_t hash = tuple_hash(record.tuple, key);
            if (table.find(hash, record.tuple) != no_index) continue;
            table.insert(record, hash, now, ignore);
            // Nearly all go at once, so that the same places are written again and again.
            if (!random.chance(1, 100)) table.remove(table.find(hash, record.tuple));
            table.expire(now, 10, ignore);
            inserted.fetch_add(1, std::memory_order_relaxed);
        }
    }};
    uint64_t torn = 0;
    uint64_t seen = 0;
    for (int disturbed = 0; disturbed < 100'000 || seen < 10'000;) {
        const uint64_t inserted_before = inserted.load();
        table.for_each([&](const Record& record, Instant expiry) {
            const uint32_t word = record.tuple.local_address;
            const bool whole = record.tuple.remote_address == word + 1 && record.a == word + 2 &&
                               record.b == word + 3 && record.c == word + 4;
            torn += whole && expiry >= Instant{} + time_wait ? 0u : 1u;
            ++seen;
        });
        disturbed += inserted.load() != inserted_before ? 1 : 0;
    }
    stop = true;
    owner.join();
    EXPECT_EQ(torn, 0u);
}

}  // namespace
}  // namespace synfin::flow
