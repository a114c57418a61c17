#include <algorithm>

#include <synfin/wire/ipv6.hpp>
#include <synfin/wire/multicast_listener.hpp>

namespace synfin::wire {

namespace {

constexpr size_t query_bytes_v1 = 24;
constexpr size_t query_bytes_v2 = 28;
constexpr size_t record_bytes = 20;
constexpr size_t address_bytes = 16;
// A longer time is written as a floating-point number, and nobody needs it.
constexpr uint16_t longest_plain_delay_ms = 32'767;

}  // namespace

std::optional<ListenerQuery> read_listener_query(const Icmp6View& message, const IpAddress& source,
                                                 uint8_t hop_limit) {
    const size_t length = message.message().size();
    if (length != query_bytes_v1 && length < query_bytes_v2) return std::nullopt;
    if (hop_limit != listener_hop_limit || !is_ipv6_link_local(source)) return std::nullopt;
    const uint16_t delay = load_be16(&message.message()[4]);
    return ListenerQuery{
        .version = length == query_bytes_v1 ? uint8_t{1} : uint8_t{2},
        .answer_within = Duration::milliseconds(std::min(delay, longest_plain_delay_ms))};
}

size_t write_router_alert(uint8_t* out) {
    constexpr uint8_t option_router_alert = 5;
    constexpr uint8_t option_padding = 1;
    const uint8_t header[] = {ip_protocol::icmp6, 0, option_router_alert, 2, 0, 0,
                              option_padding,     0};
    std::copy(std::begin(header), std::end(header), out);
    return sizeof header;
}

size_t write_listener_report(uint8_t* out, const IpAddress& group, const IpAddress& source) {
    store_ipv6(out + Icmp6View::header_bytes, group);
    return complete_icmp6(out, Icmp6Type::listener_report, 0, 0, address_bytes, source, group);
}

size_t write_listener_report_v2(uint8_t* out, const GroupRange& groups, ListenerRecord record,
                                const IpAddress& source) {
    uint8_t* at = out + Icmp6View::header_bytes;
    for (uint32_t i = 0; i < groups.count; ++i, at += record_bytes) {
        store_be32(at, static_cast<uint32_t>(record) << 24);  // no sources, nothing more
        store_ipv6(at + 4, IpAddress::v6(groups.first.high(), groups.first.low() + i));
    }
    return complete_icmp6(out, Icmp6Type::listener_report_v2, 0, groups.count,
                          groups.count * record_bytes, source, all_listener_routers);
}

}  // namespace synfin::wire
