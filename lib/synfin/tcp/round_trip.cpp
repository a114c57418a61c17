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
    const Terms& terms = env.terms_of(c);
    const uint64_t base_us = base_rto_us(c, terms);
    // The first of these tries may have begun with an RTO that was backed off before.
    const unsigned first = c.rto_shift > c.backoff ? c.rto_shift - c.backoff : 0u;
    uint64_t sum_us = 0;
    for (unsigned i = 0; i <= c.backoff; ++i) {
        sum_us +=
            std::min<uint64_t>(base_us << std::min(first + i, most_doublings), terms.rto_max_us);
    }
    return Duration::microseconds(static_cast<int64_t>(sum_us));
}

}  // namespace synfin::tcp
