// Our own addresses on the link: asked for at the start, announced, and defended (RFC 5227, RFC
// 4862 section 5.4).
//
// They are used while they are being checked, as RFC 4429 lets IPv6 do: RFC 5227 would wait up to 9
// seconds before the first segment, for a case in which nobody but the user could choose another
// address. One question costs no time, and whoever has the address answers it. What the others on
// the link remember of an IPv4 address is corrected only when nobody has answered for two seconds,
// so a duplicate takes nothing away from its owner.
//
// Blocks of addresses are a load generator's: nobody is asked about millions of them.
#include <algorithm>

#include <synfin/stack/worker_impl.hpp>

namespace synfin::stack {

namespace {

constexpr Duration announce_wait = Duration::seconds(2);     // ANNOUNCE_WAIT, ANNOUNCE_INTERVAL
constexpr uint8_t announcements = 2;                         // ANNOUNCE_NUM
constexpr Duration defend_interval = Duration::seconds(10);  // DEFEND_INTERVAL

}  // namespace

void Worker::Impl::begin_address_check() {
    for (const InterfaceConfig& interface : config.interfaces) {
        if (interface.introduce_addresses) address_check.next = Instant{};
    }
}

void Worker::Impl::check_addresses() {
    for (uint8_t port = 0; port < interfaces.size(); ++port) {
        const InterfaceConfig& interface = config.interfaces[port];
        if (!interface.introduce_addresses) continue;
        for (const wire::IpPrefix& block : interface.addresses) {
            if (!block.is_one_address()) continue;
            if (address_check.steps == 0) {
                ask_for_duplicates(port, block.address);
            } else if (block.address.is_v4()) {
                announce(port, block.address);
            }
        }
    }
    address_check.next = now + announce_wait;
    if (++address_check.steps > announcements) address_check.next.reset();
}

void Worker::Impl::ask_for_duplicates(uint8_t port, const wire::IpAddress& address) {
    if (address.is_v4()) return say_by_arp(port, wire::IpAddress::v4(0), address);
    const wire::IpAddress group = wire::solicited_node_address(address);
    push_reply(port, NeighborMessage{.destination = wire::multicast_mac(group),
                                     .local = {},
                                     .remote = group,
                                     .target = address,
                                     .is_solicitation = true});
}

void Worker::Impl::announce(uint8_t port, const wire::IpAddress& address) {
    say_by_arp(port, address, address);
}

void Worker::Impl::say_by_arp(uint8_t port, const wire::IpAddress& sender,
                              const wire::IpAddress& target) {
    push_reply(port, ArpReply{.destination = wire::MacAddress::broadcast(),
                              .arp = {.operation = wire::ArpOperation::request,
                                      .sender_mac = interfaces[port].end.mac,
                                      .sender = sender,
                                      .target_mac = {},
                                      .target = target}});
}

// Two interfaces on one link hear each other, and a device may hand back what was sent to all.
bool Worker::Impl::is_own(const wire::MacAddress& mac) const {
    return std::any_of(interfaces.begin(), interfaces.end(),
                       [&](const Interface& i) { return i.end.mac == mac; });
}

void Worker::Impl::note_conflict(const wire::IpAddress& address, const wire::MacAddress& other) {
    if (is_own(other)) return;
    ++counters.duplicate_addresses;
    last_conflict.write({address, other});
    if (address_check.steps <= 1) return address_check.next.reset();  // theirs
    // Ours, as it has been announced (RFC 5227 section 2.4).
    const std::optional<uint8_t> port = addressing.owner(address);
    if (!address.is_v4() || !port || now < address_check.defend_next) return;
    address_check.defend_next = now + defend_interval;
    announce(*port, address);
}

}  // namespace synfin::stack
