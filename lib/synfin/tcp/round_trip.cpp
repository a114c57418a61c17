// Round-trip time and the retransmission timeout (RFC 6298).
#include <algorithm>
#include <cstdlib>

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

constexpr unsigned most_doublings = 15;

}  // namespace

void take_round_trip_sample(Connection& c, uint32_t sample_us) {
    const uint32_t r = std::max(sample_us, 1u);
    c.rto_shift = 0;
    if (c.srtt_us == 0) {  // (2.2)
        c.srtt_us = r;
        c.rttvar_us = r / 2;
        return;
    }
    // (2.3), in this order
    const uint32_t error = c.srtt_us > r ? c.srtt_us - r : r - c.srtt_us;
    c.rttvar_us = static_cast<uint32_t>((uint64_t{3} * c.rttvar_us + error) / 4);
    c.srtt_us = std::max<uint32_t>(static_cast<uint32_t>((uint64_t{7} * c.srtt_us + r) / 8), 1);
}

void back_off_rto(Connection& c) {
    if (c.rto_shift < most_doublings) c.rto_shift = (c.rto_shift + 1) & 0xf;
}

Duration time_tried(const Connection& c, const Environment& env) {
    const Duration base = base_rto(c, env);
    const Duration max = env.profile_of(c).rto_max;
    // The first of these tries may have begun with an RTO that was backed off before.
    const unsigned first = c.rto_shift > c.backoff ? c.rto_shift - c.backoff : 0u;
    Duration sum;
    for (unsigned i = 0; i <= c.backoff; ++i) {
        sum = sum + std::min(base * (int64_t{1} << std::min(first + i, most_doublings)), max);
    }
    return sum;
}

}  // namespace synfin::tcp
