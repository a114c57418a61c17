// Region, IndexPool, Relaxed and SequenceCounter: what the tables are made of.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <synfin/base/index_pool.hpp>
#include <synfin/base/region.hpp>
#include <synfin/base/relaxed.hpp>
#include <synfin/base/sequence_counter.hpp>
#include <synfin/base/system_random.hpp>

namespace synfin {
namespace {

TEST(Region, IsZeroAndWritable) {
    Region region{10'000};
    ASSERT_NE(region.data(), nullptr);
    EXPECT_GE(region.size(), 10'000u);
    auto* bytes = static_cast<uint8_t*>(region.data());
    for (size_t i = 0; i < region.size(); ++i) ASSERT_EQ(bytes[i], 0) << i;
    std::memset(bytes, 0xab, region.size());
    EXPECT_EQ(bytes[region.size() - 1], 0xab);
}

TEST(Region, LargeReservationCostsNothingUntilTouched) {
    Region region{size_t{64} << 30};
    auto* bytes = static_cast<uint8_t*>(region.data());
    bytes[size_t{40} << 30] = 1;
    EXPECT_EQ(bytes[size_t{40} << 30], 1);
}

TEST(Region, OfNoBytesHasNoMemory) {
    Region region{0};
    EXPECT_EQ(region.data(), nullptr);
    EXPECT_EQ(region.size(), 0u);
}

TEST(Region, ImpossibleSizeThrows) { EXPECT_THROW(Region{SIZE_MAX / 2}, std::bad_alloc); }

TEST(Region, MovingHandsTheMemoryOver) {
    Region first{4096};
    void* data = first.data();
    Region second{std::move(first)};
    EXPECT_EQ(second.data(), data);
    EXPECT_EQ(first.data(), nullptr);  // NOLINT: the state after a move is defined
    Region third;
    third = std::move(second);
    EXPECT_EQ(third.data(), data);
}

/// The size of the pages on which `address` lies, in kB, by the kernel's word.
uint64_t page_kb_at(const void* address) {
    std::ifstream file{"/proc/self/smaps"};
    const auto wanted = reinterpret_cast<uintptr_t>(address);
    bool found = false;
    for (std::string line; std::getline(file, line);) {
        unsigned long long from = 0;
        unsigned long long to = 0;
        unsigned long long kb = 0;
        if (std::sscanf(line.c_str(), "%llx-%llx ", &from, &to) == 2) {
            found = from <= wanted && wanted < to;
        } else if (found && std::sscanf(line.c_str(), "KernelPageSize: %llu kB", &kb) == 1) {
            return kb;
        }
    }
    return 0;
}

class PlacedRegion : public testing::Test {
  protected:
    ~PlacedRegion() override { Region::use_huge_pages(false); }
    static constexpr size_t page = Region::huge_page;
};

TEST_F(PlacedRegion, IsZeroAndWritableOnThePagesThatItNames) {
    const Region region{4 * page};
    auto* const bytes = static_cast<uint8_t*>(region.data());
    bytes[0] = 1;
    Region::use_huge_pages(true);
    const bool huge = region.place(page, 2 * page);
    EXPECT_EQ(page_kb_at(bytes + page), huge ? 2048u : 4u);
    EXPECT_EQ(page_kb_at(bytes + 3 * page), 4u);
    for (size_t at = page; at < 4 * page; at += 512) {
        ASSERT_EQ(bytes[at], 0) << at;
        bytes[at] = 2;
    }
    EXPECT_EQ(bytes[0], 1);
    EXPECT_EQ(bytes[2 * page], 2);
}

TEST_F(PlacedRegion, StaysAsItIsWhenThePoolHasTooFew) {
    const Region region{size_t{1} << 39};
    Region::use_huge_pages(true);
    ASSERT_FALSE(region.place(0, region.size()));
    auto* const bytes = static_cast<uint8_t*>(region.data());
    bytes[region.size() / 2] = 1;
    EXPECT_EQ(page_kb_at(bytes), 4u);
}

TEST_F(PlacedRegion, LeavesThePoolAloneUnlessAllowed) {
    const Region region{page};
    EXPECT_FALSE(region.place(0, page));
    EXPECT_EQ(page_kb_at(region.data()), 4u);
}

struct Thing {
    uint32_t generation = 0;
    uint32_t value = 77;
    uint32_t next = 0;
};
uint32_t& pool_link(Thing& thing) { return thing.next; }

TEST(IndexPool, HandsOutEachObjectOnceAndThenNone) {
    IndexPool<Thing> pool{5};
    std::vector<bool> seen(5);
    for (int i = 0; i < 5; ++i) {
        const uint32_t index = pool.take();
        ASSERT_LT(index, 5u);
        EXPECT_FALSE(seen[index]);
        seen[index] = true;
        EXPECT_EQ(pool[index].value, 77u);
    }
    EXPECT_EQ(pool.take(), no_index);
    EXPECT_EQ(pool.used(), 5u);
}

TEST(IndexPool, WhatWasGivenBackLastIsTakenFirst) {
    IndexPool<Thing> pool{5};
    const uint32_t a = pool.take();
    const uint32_t b = pool.take();
    pool.give_back(a);
    pool.give_back(b);
    EXPECT_EQ(pool.take(), b);
    EXPECT_EQ(pool.take(), a);
}

TEST(IndexPool, FieldsSurviveFromOneUseToTheNext) {
    IndexPool<Thing> pool{1};
    const uint32_t index = pool.take();
    pool[index].generation = 9;
    pool.give_back(index);
    ASSERT_EQ(pool.take(), index);
    EXPECT_EQ(pool[index].generation, 9u);
}

TEST(IndexPool, TouchedGrowsOnlyWhenNothingWasGivenBack) {
    IndexPool<Thing> pool{10};
    EXPECT_EQ(pool.touched(), 0u);
    pool.give_back(pool.take());
    pool.give_back(pool.take());
    EXPECT_EQ(pool.touched(), 1u);
    EXPECT_EQ(pool.used(), 0u);
}

bool is_in_memory(const void* object) {
    const auto page = reinterpret_cast<uintptr_t>(object) / 4096 * 4096;
    unsigned char found = 0;
    EXPECT_EQ(::mincore(reinterpret_cast<void*>(page), 1, &found), 0);
    return (found & 1) != 0;
}

TEST(IndexPool, TouchingTheFirstFindsTheirPagesAndTakesNone) {
    constexpr uint32_t capacity = 8 * Region::huge_page / sizeof(Thing);
    constexpr uint32_t per_page = Region::huge_page / sizeof(Thing);
    const IndexPool<Thing> pool{capacity};
    EXPECT_FALSE(is_in_memory(&pool[0]));
    pool.touch_first();
    EXPECT_TRUE(is_in_memory(&pool[0]));
    EXPECT_TRUE(is_in_memory(&pool[per_page - 1]));
    EXPECT_FALSE(is_in_memory(&pool[4 * per_page]));
    pool.touch_first(5 * size_t{per_page});
    EXPECT_TRUE(is_in_memory(&pool[4 * per_page]));
    EXPECT_EQ(pool.used() + pool.touched(), 0u);
}

using IndexPoolDeathTest = testing::Test;

TEST(IndexPoolDeathTest, GivingBackWhatWasNeverTakenAborts) {
    IndexPool<Thing> pool{10};
    EXPECT_DEATH(pool.give_back(3), "assertion failed");
}

TEST(Relaxed, CountsLikeAPlainValue) {
    Relaxed<uint64_t> counter;
    EXPECT_EQ(counter, 0u);
    ++counter;
    counter += 10;
    --counter;
    counter -= 3;
    EXPECT_EQ(counter.load(), 7u);
    const Relaxed<uint64_t> copy = counter;
    counter = 100;
    EXPECT_EQ(copy, 7u);
}

TEST(Relaxed, SmallTypesWrapAsTheyDoWithout) {
    Relaxed<uint8_t> byte{255};
    ++byte;
    EXPECT_EQ(byte, 0);
}

TEST(Relaxed, AddsWhateverFitsTheTypeAndTouchesNothingBeside) {
    struct {
        Relaxed<uint32_t> before{0xaaaa'aaaa};
        Relaxed<uint32_t> narrow{0xffff'fffe};
        Relaxed<uint64_t> wide{1};
        Relaxed<uint64_t> after{0xbbbb'bbbb'bbbb'bbbb};
    } fields;
    fields.narrow += 3;
    EXPECT_EQ(fields.narrow, 1u);
    fields.narrow -= 2;
    EXPECT_EQ(fields.narrow, 0xffff'ffffu);
    fields.wide += 0x1'0000'0000;
    fields.wide += 0x8000'0000;  // would be taken for a negative number, were it given in 32 bits
    EXPECT_EQ(fields.wide, 0x1'8000'0001u);
    fields.wide -= 0x1'8000'0002;
    EXPECT_EQ(fields.wide, ~uint64_t{0});
    volatile uint64_t delta = 0xffff'ffff'0000'0001;
    fields.wide += delta;
    EXPECT_EQ(fields.wide, 0xffff'ffff'0000'0000u);
    EXPECT_EQ(fields.before, 0xaaaa'aaaau);
    EXPECT_EQ(fields.after, 0xbbbb'bbbb'bbbb'bbbbu);
}

TEST(SequenceCounter, ReaderLearnsOfAWriteInBetween) {
    SequenceCounter counter;
    const uint32_t before = counter.begin_read();
    EXPECT_TRUE(counter.still(before));
    counter.begin_write();
    EXPECT_FALSE(counter.still(before));
    counter.end_write();
    EXPECT_FALSE(counter.still(before));
    EXPECT_TRUE(counter.still(counter.begin_read()));
}

TEST(SequenceCounter, ANumberBesideItIsNotTouchedByItNorByItsWrap) {
    SequenceCounterAbove<8> counter;
    counter.add_to_number(201);
    const uint32_t before = counter.begin_read();
    for (uint32_t write = 0; write < 1u << 23; ++write) {
        if (write % 4096 == 1) {
            ASSERT_EQ(counter.number(), 201u);
            ASSERT_FALSE(counter.still(before));
        }
        counter.begin_write();
        counter.end_write();
    }
    EXPECT_TRUE(counter.still(before)) << "as many writes as it can count";
    counter.add_to_number(-1);
    EXPECT_EQ(counter.number(), 200u);
    EXPECT_FALSE(counter.still(before));
    EXPECT_TRUE(counter.still(counter.begin_read()));
}

// Two halves that are always written together are never read apart.
TEST(SequenceCounter, ReaderNeverSeesHalfOfAWrite) {
    SequenceCounter counter;
    Relaxed<uint64_t> first;
    Relaxed<uint64_t> second;
    std::atomic<bool> stop{false};
    std::thread writer{[&] {
        for (uint64_t n = 1; !stop.load(std::memory_order_relaxed); ++n) {
            counter.begin_write();
            first = n;
            second = ~n;
            counter.end_write();
        }
    }};
    // Until enough different writes were met, so that an idle writer proves nothing.
    uint64_t wrong = 0;
    uint64_t writes_met = 0;
    for (uint64_t previous = 0; writes_met < 100;) {
        uint64_t a = 0;
        uint64_t b = 0;
        uint32_t before = 0;
        do {
            before = counter.begin_read();
            a = first;
            b = second;
        } while (!counter.still(before));
        if (a == previous) continue;
        previous = a;
        ++writes_met;
        wrong += a != ~b ? 1u : 0u;
    }
    stop = true;
    writer.join();
    EXPECT_EQ(wrong, 0u);
}

TEST(SystemRandom, DoesNotRepeatItself) {
    EXPECT_NE(system_random(), system_random());
    EXPECT_NE(system_random_key(), system_random_key());
}

TEST(Region, TouchingChangesNothingOfWhatStandsInIt) {
    constexpr size_t bytes = size_t{3} << 20;
    const Region region{bytes};
    auto* const data = static_cast<unsigned char*>(region.data());
    data[bytes / 2] = 7;
    region.touch(bytes / 3);
    region.touch();
    EXPECT_EQ(data[bytes / 2], 7);
    EXPECT_EQ(data[0] + data[bytes - 1], 0);
    Region{}.touch();
}

// Several threads share a large one; each page is found by one of them.
TEST(Region, AllPagesThatAreTouchedAreThere) {
    constexpr size_t page = 4096;
    constexpr size_t touched = size_t{67} << 20;
    const Region region{touched + (size_t{8} << 20)};
    auto* const data = static_cast<unsigned char*>(region.data());
    data[touched - 1] = 7;
    region.touch(touched);
    EXPECT_EQ(data[touched - 1], 7);
    std::vector<unsigned char> is_there(touched / page);
    ASSERT_EQ(::mincore(data, touched, is_there.data()), 0);
    EXPECT_EQ(std::count_if(is_there.begin(), is_there.end(), [](auto bits) { return bits & 1; }),
              std::ssize(is_there));
}

}  // namespace
}  // namespace synfin
