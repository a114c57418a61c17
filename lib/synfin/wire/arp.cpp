#include <synfin/wire/arp.hpp>
#include <synfin/wire/ethernet.hpp>
#include <synfin/wire/ipv4.hpp>

namespace synfin::wire {

namespace {
constexpr uint16_t hardware_ethernet = 1;
constexpr uint16_t lengths_mac_and_ipv4 = 0x0604;  // six bytes, four bytes
}  // namespace

tl::expected<ArpView, Drop> ArpView::checked(std::span<const uint8_t> packet) {
    if (packet.size() < packet_bytes) return tl::unexpected{Drop::arp_too_short};
    const uint8_t* at = packet.data();
    const ArpView view{at};
    if (load_be16(at) != hardware_ethernet || load_be16(at + 2) != ethertype::ipv4 ||
        load_be16(at + 4) != lengths_mac_and_ipv4 ||
        (view.operation() != ArpOperation::request && view.operation() != ArpOperation::reply)) {
        return tl::unexpected{Drop::arp_bad_format};
    }
    const MacAddress mac = view.sender_mac();
    if (mac.is_multicast() || mac == MacAddress{} ||
        !(view.is_probe() || is_possible_ipv4_source(view.sender().v4()))) {
        return tl::unexpected{Drop::arp_bad_sender};
    }
    return view;
}

size_t write_arp(uint8_t* out, const Arp& arp) {
    store_be16(out, hardware_ethernet);
    store_be16(out + 2, ethertype::ipv4);
    store_be16(out + 4, lengths_mac_and_ipv4);
    store_be16(out + 6, static_cast<uint16_t>(arp.operation));
    store_mac(out + 8, arp.sender_mac);
    store_ipv4(out + 14, arp.sender);
    store_mac(out + 18, arp.target_mac);
    store_ipv4(out + 24, arp.target);
    return ArpView::packet_bytes;
}

}  // namespace synfin::wire
