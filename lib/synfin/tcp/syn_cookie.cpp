#include <array>

#include <synfin/base/siphash.hpp>
#include <synfin/tcp/internal.hpp>
#include <synfin/tcp/syn_cookie.hpp>

namespace synfin::tcp {

namespace {

constexpr uint8_t no_shift = 15;

// The smallest that a peer may ask for, the default (MUST-15), what passes through most tunnels,
// and as much as we announce ourselves.
constexpr std::array<uint16_t, 4> segment_sizes(bool v6, uint16_t own_mss) {
    return v6 ? std::array<uint16_t, 4>{min_send_mss, 1220, 1360, own_mss}
              : std::array<uint16_t, 4>{min_send_mss, 536, 1300, own_mss};
}

uint8_t largest_reached(const std::array<uint16_t, 4>& sizes, uint16_t offered) {
    if (offered >= sizes[3]) return 3;
    if (offered >= sizes[2]) return 2;
    return offered >= sizes[1] ? 1 : 0;
}

uint32_t tick_of(Instant now) {
    return static_cast<uint32_t>(now.ns() / syn_cookie_tick.count_ns());
}

uint32_t authentication(const HandshakeName& h, uint32_t tick, uint8_t low, const Secret& secret) {
    constexpr uint64_t low_tick_bytes = 5;
    SipHash24 hash{secret};
    uint64_t length = 16 + low_tick_bytes;
    if (h.remote.address.is_v4()) {
        hash.block(uint64_t{h.local.address.v4()} << 32 | h.remote.address.v4());
    } else {
        length += 24;
        hash.block(h.local.address.high());
        hash.block(h.local.address.low());
        hash.block(h.remote.address.high());
        hash.block(h.remote.address.low());
    }
    hash.block(uint64_t{h.local.port} << 48 | uint64_t{h.remote.port} << 32 | h.peer_isn.value());
    return static_cast<uint32_t>(hash.finish(length << 56 | uint64_t{low} << 32 | tick)) >> 8;
}

}  // namespace

Seq make_syn_cookie(const HandshakeName& h, const CookieOffer& offer, uint16_t own_mss,
                    const Secret& secret, Instant now) {
    const wire::TcpOptions& agreed = offer.options;
    const bool v6 = h.remote.address.is_v6();
    const auto sizes = segment_sizes(v6, own_mss);
    const uint8_t shift =
        agreed.has_window_scale ? std::min(agreed.window_scale, max_window_shift) : no_shift;
    const uint8_t size = largest_reached(sizes, agreed.has_mss ? agreed.mss : default_send_mss(v6));
    const auto low =
        static_cast<uint8_t>(uint32_t{shift} << 4 | uint32_t{size} << 2 |
                             (agreed.sack_permitted ? 2u : 0u) | (offer.ecn ? 1u : 0u));
    const uint32_t upper = authentication(h, tick_of(now), low, secret);
    return Seq{upper << 8 | (low ^ (upper >> 16))};
}

std::optional<CookieOffer> read_syn_cookie(const HandshakeName& h, Seq cookie, uint16_t own_mss,
                                           const Secret& secret, Instant now) {
    const uint32_t upper = cookie.value() >> 8;
    const auto low = static_cast<uint8_t>(cookie.value() ^ (upper >> 16));
    const uint32_t tick = tick_of(now);
    if (authentication(h, tick, low, secret) != upper &&
        authentication(h, tick - 1, low, secret) != upper) {
        return std::nullopt;
    }
    CookieOffer offer;
    wire::TcpOptions& offered = offer.options;
    offered.has_mss = true;
    offered.mss = segment_sizes(h.remote.address.is_v6(), own_mss)[low >> 2 & 3u];
    offered.sack_permitted = (low & 2u) != 0;
    offered.window_scale = low >> 4;
    offered.has_window_scale = offered.window_scale != no_shift;
    offer.ecn = (low & 1u) != 0;
    return offer;
}

}  // namespace synfin::tcp
