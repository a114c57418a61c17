// Drawn links under drawn profiles: the combinations that nobody would have thought of. A longer
// run looks at more seeds: SYNFIN_SIM_SEEDS says how many, SYNFIN_SIM_FIRST_SEED where to begin.
#include <cstdlib>

#include "world_of_two.hpp"

namespace synfin::sim {
namespace {

uint64_t from_environment(const char* variable, uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

Duration draw_us(Prng& random, uint64_t below) {
    return Duration::microseconds(static_cast<int64_t>(random.below(below)));
}

LinkFaults draw_link(Prng& random) {
    LinkFaults faults;
    faults.delay = draw_us(random, 20'000);
    faults.jitter = draw_us(random, 10'000);
    faults.loss = random.unit() * 0.06;
    faults.duplication = random.unit() * 0.2;
    faults.corruption = random.unit() * 0.02;
    faults.reordering = random.unit() * 0.2;
    faults.reordering_delay = draw_us(random, 50'000);
    return faults;
}

stack::WorkerConfig draw_host(Prng& random, uint8_t number) {
    auto config = host_config(number);
    // A resolution that is lost three times fails a connect, which is right and not looked at here.
    const auto other = static_cast<uint8_t>(3 - number);
    config.interfaces[0].static_neighbors = {
        {wire::IpAddress::v4(10, 0, 0, other), {{2, 0, 0, 0, 0, other}}}};
    config.max_buffer_chunks = 1u << 17;
    auto& profile = config.profiles[0];
    profile.receive_buffer_bytes = static_cast<uint32_t>(2000 + random.below(200'000));
    profile.send_buffer_bytes = static_cast<uint32_t>(2000 + random.below(200'000));
    profile.timestamps = random.chance(1, 2);
    profile.sack = random.chance(1, 2);
    profile.window_scaling = random.chance(1, 2);
    profile.nagle = random.chance(1, 2);
    if (random.chance(1, 3)) profile.mss_clamp = static_cast<uint16_t>(100 + random.below(1300));
    if (random.chance(1, 4)) profile.delayed_ack = Duration{};
    return config;
}

TEST(Mixtures, EveryConnectionLivesItsWholeLife) {
    const uint64_t first = from_environment("SYNFIN_SIM_FIRST_SEED", 1);
    const uint64_t count = from_environment("SYNFIN_SIM_SEEDS", 40);
    for (uint64_t seed = first; seed < first + count; ++seed) {
        Prng random{seed};
        const LinkFaults faults = draw_link(random);
        const auto client = draw_host(random, 1);
        const auto server = draw_host(random, 2);
        WorldOfTwo w{seed, faults, client, server};
        w.open_many(150, 100'000, 2_s);
        w.run_to_the_end();
        if (HasFailure()) {
            ADD_FAILURE() << "seed " << seed;
            return;
        }
    }
}

}  // namespace
}  // namespace synfin::sim
