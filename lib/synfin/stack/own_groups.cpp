// The groups to which neighbors send when they ask for our IPv6 addresses. A switch that watches
// multicast hands on a group only to those who have said that they listen to it (RFC 4861 section
// 7.2.1): without a word from us nobody behind such a switch would find us.
//
// It is said when a worker starts, once more a little later, and whenever somebody asks, in the
// version of the question. RFC 3810 wants each host to wait for a part of the time that the
// question names, so that not all answer at once; which part follows from the interface's Ethernet
// address. An answer names all of our groups, whichever was asked about; one that is due before the
// repetition takes its place.
#include <algorithm>

#include <synfin/stack/worker_impl.hpp>

namespace synfin::stack {

namespace {

constexpr Duration repeat_after = Duration::seconds(1);  // Unsolicited Report Interval
constexpr uint8_t initial_reports = 2;                   // Robustness Variable

/// No more than a byte of the addresses of a block differs, so their groups follow one another.
std::optional<wire::GroupRange> groups_of(const wire::IpPrefix& block) {
    constexpr int bits_max = 8;
    const int bits = 128 - block.length;
    if (block.address.is_v4() || bits > bits_max) return std::nullopt;
    const uint32_t count = 1u << bits;
    const wire::IpAddress first =
        wire::IpAddress::v6(block.address.high(), block.address.low() & ~uint64_t{count - 1});
    return wire::GroupRange{wire::solicited_node_address(first), count};
}

/// Reports go out from a link-local address, or from nobody (RFC 3590).
wire::IpAddress source_on(const InterfaceConfig& interface) {
    for (const wire::IpPrefix& block : interface.addresses) {
        if (wire::is_ipv6_link_local(block.address) && block.is_one_address()) return block.address;
    }
    return {};
}

/// A part of a time that differs from host to host.
Duration share_of(Duration whole, const wire::MacAddress& mac) {
    return Duration::microseconds(whole.count_us() * wire::load_be16(&mac.bytes[4]) >> 16);
}

}  // namespace

void Worker::Impl::begin_group_reports() {
    for (const InterfaceConfig& interface : config.interfaces) {
        if (interface.introduce_addresses)
            own_groups = {.next = Instant{}, .initial = initial_reports};
    }
}

void Worker::Impl::take_listener_query(const wire::ListenerQuery& query, uint8_t port) {
    ++counters.listener_queries_in;
    if (!config.interfaces[port].introduce_addresses) return;
    const Instant due = now + share_of(query.answer_within, interfaces[port].end.mac);
    own_groups.version = query.version;
    own_groups.next = std::min(own_groups.next.value_or(due), due);
}

void Worker::Impl::report_groups() {
    const bool initial = own_groups.initial > 0;
    const auto record =
        initial ? wire::ListenerRecord::changes_to_exclude : wire::ListenerRecord::is_exclude;
    for (uint8_t port = 0; port < interfaces.size(); ++port) {
        const InterfaceConfig& interface = config.interfaces[port];
        if (!interface.introduce_addresses) continue;
        const wire::IpAddress source = source_on(interface);
        const uint32_t together = own_groups.version == 1 ? 1 : wire::groups_per_report;
        for (const wire::IpPrefix& block : interface.addresses) {
            const auto groups = groups_of(block);
            for (uint32_t i = 0; groups && i < groups->count; i += together) {
                const auto first =
                    wire::IpAddress::v6(groups->first.high(), groups->first.low() + i);
                push_reply(port,
                           ListenerReport{.version = own_groups.version,
                                          .record = record,
                                          .groups = {first, std::min(together, groups->count - i)},
                                          .local = source});
            }
        }
    }
    own_groups.next.reset();
    if (initial && --own_groups.initial > 0) own_groups.next = now + repeat_after;
}

}  // namespace synfin::stack
