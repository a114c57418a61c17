#include <algorithm>

#include <synfin/tcp/internal.hpp>
#include <synfin/tcp/terms.hpp>

namespace synfin::tcp {

namespace {

uint32_t marks_of(const Profile& p) {
    const auto mark = [](Mark m, bool set) { return set ? static_cast<uint32_t>(m) : 0u; };
    return mark(Mark::window_scaling, p.window_scaling) | mark(Mark::timestamps, p.timestamps) |
           mark(Mark::sack_permitted, p.sack) | mark(Mark::no_nagle, !p.nagle) |
           mark(Mark::keep_alive, p.keep_alive);
}

int64_t rounded_up_us(Duration d) { return d.count_us() + (d.count_ns() % 1'000 > 0 ? 1 : 0); }

// Deadlines of 32 bits lie within 35 minutes of now, on one side or the other.
uint32_t deadline_us(Duration d) {
    return static_cast<uint32_t>(std::clamp<int64_t>(rounded_up_us(d), 0, INT32_MAX));
}

}  // namespace

Terms terms_of(const Profile& p, uint16_t mtu) {
    const uint32_t space = receive_space(p, 0);
    const uint8_t shift = p.window_scaling ? window_shift_for(p.receive_buffer_bytes) : uint8_t{0};
    const uint32_t whole_window = whole_units(space, shift);
    const auto traffic_class = static_cast<uint8_t>(p.diffserv << 2);
    return {.marks = marks_of(p),
            .mss_v4 = receive_mss(p, false, mtu),
            .mss_v6 = receive_mss(p, true, mtu),
            .syn_window = static_cast<uint16_t>(std::min<uint32_t>(space, 0xffff)),
            .window_shift = shift,
            .ecn_active = offers_ecn(p, false),
            .ecn_passive = offers_ecn(p, true),
            .user_timeout_option = p.user_timeout_option,
            .user_timeout = p.user_timeout != Duration::forever(),
            .cork = p.cork,
            .time_to_live = p.time_to_live,
            .traffic_class = traffic_class,
            .initial_window_segments = p.initial_window_segments,
            .whole_window_shift = space < p.receive_buffer_bytes ? uint8_t{UINT8_MAX} : shift,
            .whole_window_field = static_cast<uint16_t>(whole_window >> shift),
            .usual_send_bytes = static_cast<uint16_t>(
                has_model(p.congestion) ? 0 : std::min<uint32_t>(p.send_buffer_bytes, 0xffff)),
            .whole_window = whole_window,
            .delayed_ack_us = deadline_us(p.delayed_ack),
            .prompt_ack_us = deadline_us(std::min(p.delayed_ack, p.prompt_ack)),
            .rto_initial_us = deadline_us(p.rto_initial),
            .rto_margin_us = deadline_us(p.rto_margin_min),
            .rto_min_us = deadline_us(p.rto_min),
            .rto_max_us = deadline_us(p.rto_max),
            .fin_wait_2_us = rounded_up_us(p.fin_wait_2_timeout),
            .ip = wire::IpWords::of(traffic_class, p.time_to_live, wire::ip_protocol::tcp)};
}

}  // namespace synfin::tcp
