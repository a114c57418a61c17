// Round-trip time and the retransmission timeout (RFC 6298).
#include <algorithm>
#include <cstdlib>

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

constexpr unsigned most_doublings = 15;

}  // namespace

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
