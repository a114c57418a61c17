// What a connection costs in the protocol alone. core_instructions counts the same in instructions.
#include <benchmark/benchmark.h>

#include "core_pair.hpp"

namespace {

using synfin::bench::CorePair;

void connect_mode(benchmark::State& state) {
    CorePair pair;
    for (auto _ : state) pair.run({});
}
BENCHMARK(connect_mode);

void request_mode(benchmark::State& state) {
    CorePair pair;
    for (auto _ : state) pair.run(synfin::bench::text);
}
BENCHMARK(request_mode);

}  // namespace

BENCHMARK_MAIN();
