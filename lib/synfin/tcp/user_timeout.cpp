#include <algorithm>

#include <synfin/tcp/user_timeout.hpp>

namespace synfin::tcp {

namespace {

constexpr uint16_t minutes_bit = 0x8000;
constexpr int64_t most = 0x7fff;

}  // namespace

uint16_t encode_user_timeout(Duration timeout) {
    const int64_t seconds = timeout.count_ms() / 1000;
    if (seconds <= most) return static_cast<uint16_t>(std::max<int64_t>(seconds, 1));
    return static_cast<uint16_t>(minutes_bit | std::min(seconds / 60, most));
}

Duration decode_user_timeout(uint16_t option) {
    const int64_t number = option & most;
    return (option & minutes_bit) != 0 ? Duration::minutes(number) : Duration::seconds(number);
}

Duration adopted_user_timeout(const Profile& p, Duration advised) {
    return std::min(p.most_user_timeout,
                    std::max({p.advertised_user_timeout, advised, p.least_user_timeout}));
}

}  // namespace synfin::tcp
