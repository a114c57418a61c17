// What finding a connection costs: the hash, the table, TIME_WAIT, a free port. The same lookups in
// rte_hash: dpdk/hash_comparison.cpp.
#include <array>
#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

#include <synfin/base/prng.hpp>
#include <synfin/base/region.hpp>
#include <synfin/flow/connection_table.hpp>
#include <synfin/flow/port_allocator.hpp>
#include <synfin/flow/time_wait_table.hpp>
#include <synfin/flow/tuple_hash.hpp>

namespace {

using namespace synfin;
using namespace synfin::flow;

constexpr HashKey key{0x0123456789abcdef, 0xfedcba9876543210};

FourTuple tuple_of(uint32_t n) {
    return {0xc6120001, 0xc6130000 + (n >> 15), static_cast<uint16_t>(32768 + (n & 32767)), 80};
}

// ---- hashes

/// By AES, where there is any.
struct Ours {
    static uint32_t of(const FourTuple& tuple) { return tuple_hash(tuple, key); }
};
template <typename Hash>
struct Alternative {
    static uint32_t of(const FourTuple& tuple) {
        const uint64_t addresses = uint64_t{tuple.local_address} << 32 | tuple.remote_address;
        const uint32_t ports = uint32_t{tuple.local_port} << 16 | tuple.remote_port;
        return static_cast<uint32_t>(Hash::of_12_bytes(key, addresses, ports));
    }
};
/// A burst of 32: independent of each other, as the loop hashes them.
template <typename Hash>
void hash_burst(benchmark::State& state) {
    std::array<FourTuple, 32> tuples;
    for (uint32_t i = 0; i < 32; ++i) tuples[i] = tuple_of(i * 977);
    std::array<uint32_t, 32> hashes{};
    for (auto _ : state) {
        benchmark::DoNotOptimize(tuples);
        for (size_t i = 0; i < 32; ++i) hashes[i] = Hash::of(tuples[i]);
        benchmark::DoNotOptimize(hashes);
    }
    state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * 32);
}
BENCHMARK(hash_burst<Ours>);
BENCHMARK(hash_burst<Alternative<SipHash13>>);
BENCHMARK(hash_burst<Alternative<SipHash24>>);

/// The same in one call.
void hash_burst_at_once(benchmark::State& state) {
    std::array<FourTuple, 32> tuples;
    for (uint32_t i = 0; i < 32; ++i) tuples[i] = tuple_of(i * 977);
    std::array<uint32_t, 32> hashes{};
    for (auto _ : state) {
        benchmark::DoNotOptimize(tuples);
        tuple_hash_burst(
            tuples.size(), key, [&](size_t i) -> const FourTuple& { return tuples[i]; },
            [&](size_t i, uint32_t hash) { hashes[i] = hash; });
        benchmark::DoNotOptimize(hashes);
    }
    state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * 32);
}
BENCHMARK(hash_burst_at_once);

/// One that waits for the one before.
template <typename Hash>
void hash_chain(benchmark::State& state) {
    FourTuple tuple = tuple_of(1);
    for (auto _ : state) tuple.remote_address = Hash::of(tuple);
    benchmark::DoNotOptimize(tuple);
}
BENCHMARK(hash_chain<Ours>);
BENCHMARK(hash_chain<Alternative<SipHash13>>);
BENCHMARK(hash_chain<Alternative<SipHash24>>);

// ---- the connection table

/// The size of a connection; a lookup compares its first line.
struct alignas(64) Object {
    FourTuple tuple;
    std::array<uint8_t, 116> rest;
};
static_assert(sizeof(Object) == 128);

struct Population {
    explicit Population(uint32_t count)
        : memory{size_t{count} * sizeof(Object)},
          objects{static_cast<Object*>(memory.data())},
          table{count},
          asked(1 << 20) {
        Prng random{1};
        for (uint32_t i = 0; i < count; ++i) {
            objects[i].tuple = tuple_of(i);
            table.insert(tuple_hash(tuple_of(i), key), i);
        }
        for (FourTuple& tuple : asked) tuple = tuple_of(static_cast<uint32_t>(random.below(count)));
    }
    bool matches(uint32_t index, const FourTuple& tuple) const {
        return objects[index].tuple == tuple;
    }

    Region memory;
    Object* objects;
    ConnectionTable table;
    std::vector<FourTuple> asked;
};

void find_one_by_one(benchmark::State& state) {
    const Population p{static_cast<uint32_t>(state.range(0))};
    size_t at = 0;
    for (auto _ : state) {
        const FourTuple& tuple = p.asked[at++ % p.asked.size()];
        benchmark::DoNotOptimize(
            p.table.find(tuple_hash(tuple, key), [&](uint32_t i) { return p.matches(i, tuple); }));
    }
}
BENCHMARK(find_one_by_one)->RangeMultiplier(10)->Range(1'000, 10'000'000);

/// As the worker does it: hashes and buckets of the burst, then candidates, then the comparisons.
void find_burst_of_32(benchmark::State& state) {
    const Population p{static_cast<uint32_t>(state.range(0))};
    constexpr size_t burst = 32;
    std::array<uint32_t, burst> hashes{};
    std::array<uint32_t, burst> homes{};
    size_t at = 0;
    uint64_t found = 0;
    for (auto _ : state) {
        const FourTuple* tuples = &p.asked[at];
        at = (at + burst) % p.asked.size();
        tuple_hash_burst(
            burst, key, [&](size_t i) -> const FourTuple& { return tuples[i]; },
            [&](size_t i, uint32_t hash) {
                hashes[i] = hash;
                homes[i] = p.table.prefetch(hash);
            });
        for (size_t i = 0; i < burst; ++i) {
            const uint32_t candidate = p.table.candidate(homes[i], hashes[i]);
            if (candidate != no_index) __builtin_prefetch(&p.objects[candidate]);
        }
        for (size_t i = 0; i < burst; ++i) {
            const uint32_t index = p.table.find(
                hashes[i], [&](uint32_t candidate) { return p.matches(candidate, tuples[i]); });
            found += index != no_index ? 1u : 0u;
        }
    }
    if (found != static_cast<uint64_t>(state.iterations()) * burst)
        state.SkipWithError("not found");
    state.SetItemsProcessed(static_cast<int64_t>(found));
}
BENCHMARK(find_burst_of_32)->RangeMultiplier(10)->Range(1'000, 10'000'000);

/// A SYN to a table full of others.
void find_absent(benchmark::State& state) {
    const Population p{static_cast<uint32_t>(state.range(0))};
    uint32_t n = 0x80000000;
    for (auto _ : state) {
        const FourTuple tuple = tuple_of(++n);
        benchmark::DoNotOptimize(
            p.table.find(tuple_hash(tuple, key), [&](uint32_t i) { return p.matches(i, tuple); }));
    }
}
BENCHMARK(find_absent)->RangeMultiplier(100)->Range(1'000, 10'000'000);

void erase_and_insert(benchmark::State& state) {
    Population p{static_cast<uint32_t>(state.range(0))};
    const auto count = static_cast<uint32_t>(state.range(0));
    Prng random{2};
    for (auto _ : state) {
        const auto index = static_cast<uint32_t>(random.below(count));
        const uint32_t hash = tuple_hash(p.objects[index].tuple, key);
        p.table.erase(hash, index);
        p.table.insert(hash, index);
    }
}
BENCHMARK(erase_and_insert)->RangeMultiplier(100)->Range(1'000, 10'000'000);

// ---- TIME_WAIT

struct Record {
    FourTuple tuple;
    std::array<uint32_t, 3> rest{};
};

/// A table that stays full: one ends, one comes.
void time_wait_insert_and_expire(benchmark::State& state) {
    const auto count = static_cast<uint32_t>(state.range(0));
    // One every 100 ns: what is inserted now ends `count` insertions later.
    constexpr int64_t gap_ns = 100;
    const Duration two_msl = Duration::nanoseconds(gap_ns) * count;
    TimeWaitTable<Record> table{count + 64, two_msl, key};
    Instant now;
    uint32_t n = 0;
    const auto ignore = [](const Record&) {};
    const auto insert = [&] {
        const FourTuple tuple = tuple_of(n++);
        table.insert(Record{tuple, {}}, tuple_hash(tuple, key), now, ignore);
        now = now + Duration::nanoseconds(gap_ns);
    };
    for (uint32_t i = 0; i < count; ++i) insert();
    for (auto _ : state) {
        insert();
        if (n % 32 == 0) table.expire(now, 64, ignore);
    }
    state.counters["live"] = table.size();
}
BENCHMARK(time_wait_insert_and_expire)->RangeMultiplier(100)->Range(1'000, 10'000'000);

void time_wait_find(benchmark::State& state) {
    const auto count = static_cast<uint32_t>(state.range(0));
    TimeWaitTable<Record> table{count, Duration::seconds(60), key};
    for (uint32_t i = 0; i < count; ++i) {
        table.insert(Record{tuple_of(i), {}}, tuple_hash(tuple_of(i), key), Instant{},
                     [](const Record&) {});
    }
    Prng random{3};
    for (auto _ : state) {
        const FourTuple tuple = tuple_of(static_cast<uint32_t>(random.below(count)));
        benchmark::DoNotOptimize(table.find(tuple_hash(tuple, key), tuple));
    }
}
BENCHMARK(time_wait_find)->RangeMultiplier(100)->Range(1'000, 10'000'000);

// ---- ports

/// Of 32768 ports, so many per thousand are taken.
void take_and_release_port(benchmark::State& state) {
    PortAllocator ports{32768, 65535, 1, key};
    const PortScope scope{1, 2, 80};
    Prng random{4};
    const auto any = [](uint16_t) { return true; };
    std::vector<uint16_t> taken;
    for (int64_t i = 0; i < 32767 * state.range(0) / 1000; ++i) {
        taken.push_back(*ports.take(scope, random.next_u32(), any));
    }
    for (auto _ : state) {
        const uint16_t port = *ports.take(scope, random.next_u32(), any);
        if (taken.empty()) {
            ports.release(scope, port);
            continue;
        }
        uint16_t& other = taken[random.below(taken.size())];
        ports.release(scope, other);
        other = port;
    }
}
BENCHMARK(take_and_release_port)->Arg(0)->Arg(500)->Arg(999)->Arg(1000);

}  // namespace

BENCHMARK_MAIN();
