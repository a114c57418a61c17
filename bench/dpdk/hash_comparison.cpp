// The connection table's yardstick: the same lookups in rte_hash, in the same process.
//
//   rte_hash   12-byte keys in its own store, bulk lookup of 64, hash by CRC32 (not keyed: an
//              attacker can make keys collide), then one access to the connection that was found
//   ours       hash by AES, lookup in three passes over 64, as a worker makes them, keys compared
//              in the connections
//
// Both with huge pages, as in a worker, if 600 of 2 MB are free; else both without.
#include <array>
#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>

#include <synfin/base/prng.hpp>
#include <synfin/base/region.hpp>
#include <synfin/flow/connection_table.hpp>
#include <synfin/flow/tuple_hash.hpp>

#include "eal_without_network.hpp"

namespace {

using namespace synfin;
using namespace synfin::flow;

constexpr HashKey key{0x0123456789abcdef, 0xfedcba9876543210};
constexpr size_t burst = 64;

FourTuple tuple_of(uint32_t n) {
    return {0xc6120001, 0xc6130000 + (n >> 15), static_cast<uint16_t>(32768 + (n & 32767)), 80};
}

struct alignas(64) Object {
    FourTuple tuple;
    std::array<uint8_t, 116> rest;
};

struct Population {
    explicit Population(uint32_t count)
        : memory{size_t{count} * sizeof(Object)},
          objects{static_cast<Object*>(memory.data())},
          asked(1 << 20) {
        Prng random{1};
        for (uint32_t i = 0; i < count; ++i) objects[i].tuple = tuple_of(i);
        for (FourTuple& tuple : asked) tuple = tuple_of(static_cast<uint32_t>(random.below(count)));
    }
    Region memory;
    Object* objects;
    std::vector<FourTuple> asked;
};

void ours(benchmark::State& state) {
    const auto count = static_cast<uint32_t>(state.range(0));
    const Population p{count};
    ConnectionTable table{count};
    for (uint32_t i = 0; i < count; ++i) table.insert(tuple_hash(tuple_of(i), key), i);
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
                homes[i] = table.prefetch(hash);
            });
        for (size_t i = 0; i < burst; ++i) {
            const uint32_t candidate = table.candidate(homes[i], hashes[i]);
            if (candidate != no_index) __builtin_prefetch(&p.objects[candidate]);
        }
        for (size_t i = 0; i < burst; ++i) {
            const uint32_t index = table.find(hashes[i], [&](uint32_t candidate) {
                return p.objects[candidate].tuple == tuples[i];
            });
            found += index != no_index ? 1u : 0u;
        }
    }
    if (found != static_cast<uint64_t>(state.iterations()) * burst)
        state.SkipWithError("not found");
    state.SetItemsProcessed(static_cast<int64_t>(found));
}

void with_rte_hash(benchmark::State& state) {
    const auto count = static_cast<uint32_t>(state.range(0));
    const Population p{count};
    rte_hash_parameters parameters{};
    parameters.name = "comparison";
    parameters.entries = static_cast<uint32_t>(uint64_t{count} * 8 / 5);  // at most as full as ours
    parameters.key_len = sizeof(FourTuple);
    parameters.hash_func = rte_hash_crc;
    rte_hash* table = rte_hash_create(&parameters);
    if (table == nullptr) {
        state.SkipWithError("rte_hash_create fails: give EAL more memory");
        return;
    }
    for (uint32_t i = 0; i < count; ++i) {
        const FourTuple tuple = tuple_of(i);
        void* data = &p.objects[i];
        if (rte_hash_add_key_data(table, &tuple, data) < 0) {
            state.SkipWithError("rte_hash is full");
            rte_hash_free(table);
            return;
        }
    }
    std::array<const void*, burst> keys{};
    std::array<void*, burst> data{};
    size_t at = 0;
    uint64_t found = 0;
    for (auto _ : state) {
        for (size_t i = 0; i < burst; ++i) keys[i] = &p.asked[at + i];
        at = (at + burst) % p.asked.size();
        uint64_t hits = 0;
        rte_hash_lookup_bulk_data(table, keys.data(), burst, &hits, data.data());
        for (size_t i = 0; i < burst; ++i) __builtin_prefetch(data[i]);
        for (size_t i = 0; i < burst; ++i) {
            found += static_cast<const Object*>(data[i])->tuple.remote_port == 80 ? 1u : 0u;
        }
    }
    if (found != static_cast<uint64_t>(state.iterations()) * burst)
        state.SkipWithError("not found");
    state.SetItemsProcessed(static_cast<int64_t>(found));
    rte_hash_free(table);
}

BENCHMARK(ours)->RangeMultiplier(10)->Range(1'000, 10'000'000);
BENCHMARK(with_rte_hash)->RangeMultiplier(10)->Range(1'000, 10'000'000);

}  // namespace

int main(int argc, char** argv) {
    synfin::bench::start_eal_without_network(argv[0], 1200);
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    rte_eal_cleanup();
    return 0;
}
