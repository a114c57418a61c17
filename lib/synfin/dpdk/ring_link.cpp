#include <atomic>
#include <string>

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <synfin/dpdk/ring_link.hpp>

namespace synfin::dpdk {

namespace {

rte_ring* create_ring(unsigned entries) {
    static std::atomic<unsigned> number{0};
    const std::string name = "synfin_link_" + std::to_string(number++);
    rte_ring* const ring =
        rte_ring_create(name.c_str(), entries, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    if (ring == nullptr) {
        throw SetupError{"an in-process link of " + std::to_string(entries) +
                         " entries cannot be made (" + rte_strerror(rte_errno) +
                         "): it takes a power of two"};
    }
    return ring;
}

}  // namespace

RingLink::RingLink(const Eal& /*running*/, const RingLinkOptions& options)
    : trust_checksums_{options.trust_checksums} {
    properties_.mtu = options.mtu;
    properties_.transmit_ip_checksum = options.trust_checksums;
    properties_.transmit_tcp_checksum = options.trust_checksums;
    for (unsigned pair = 0; pair < options.pairs; ++pair) {
        to_server_.push_back(create_ring(options.entries));
        to_client_.push_back(create_ring(options.entries));
    }
}

RingLink::~RingLink() {
    drain();
    for (rte_ring* ring : to_server_) rte_ring_free(ring);
    for (rte_ring* ring : to_client_) rte_ring_free(ring);
}

Lane RingLink::lane(Side side, unsigned pair) const {
    Lane lane;
    const bool client = side == Side::client;
    lane.receive_ring = client ? to_client_.at(pair) : to_server_.at(pair);
    lane.transmit_ring = client ? to_server_.at(pair) : to_client_.at(pair);
    lane.checksums_are_good = trust_checksums_;
    lane.properties = properties_;
    return lane;
}

wire::MacAddress RingLink::mac(Side side, unsigned pair) const {
    // Locally administered (the second-lowest bit of the first byte).
    return {{0x02, 0x5f, static_cast<uint8_t>(side == Side::client ? 0xc0 : 0x50), 0x00,
             static_cast<uint8_t>(pair >> 8), static_cast<uint8_t>(pair)}};
}

void RingLink::drain() {
    const auto drain_ring = [](rte_ring* ring) {
        void* word = nullptr;
        while (rte_ring_sc_dequeue(ring, &word) == 0) rte_pktmbuf_free(LinkWord{word}.buffer());
    };
    for (rte_ring* ring : to_server_) drain_ring(ring);
    for (rte_ring* ring : to_client_) drain_ring(ring);
}

}  // namespace synfin::dpdk
