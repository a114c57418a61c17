// A port whose driver receives what it has been given to send: DPDK's own over one of its rings. So
// a test can stand for the wire, and see what a device leaves to its driver.
#pragma once

#include <cstdint>
#include <string>

#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <synfin/base/assert.hpp>

namespace synfin::dpdk::test {

class RingPort {
  public:
    explicit RingPort(rte_mempool* pool) {
        static int number = 0;
        const std::string name = "ring_port_" + std::to_string(number++);
        ring_ = rte_ring_create(name.c_str(), 64, SOCKET_ID_ANY, 0);
        const int port = rte_eth_from_rings(name.c_str(), &ring_, 1, &ring_, 1, 0);
        SYNFIN_ASSERT(port >= 0);
        id_ = static_cast<uint16_t>(port);
        const rte_eth_conf settings{};
        SYNFIN_ASSERT(rte_eth_dev_configure(id_, 1, 1, &settings) == 0);
        SYNFIN_ASSERT(rte_eth_rx_queue_setup(id_, 0, 64, 0, nullptr, pool) == 0);
        SYNFIN_ASSERT(rte_eth_tx_queue_setup(id_, 0, 64, 0, nullptr) == 0);
    }
    ~RingPort() {
        for (void* buffer = nullptr; rte_ring_dequeue(ring_, &buffer) == 0;)
            rte_pktmbuf_free(static_cast<rte_mbuf*>(buffer));
        rte_eth_dev_stop(id_);
        rte_eth_dev_close(id_);
        rte_ring_free(ring_);
    }
    RingPort(const RingPort&) = delete;
    RingPort& operator=(const RingPort&) = delete;

    /// Brings its link up.
    void start() { SYNFIN_ASSERT(rte_eth_dev_start(id_) == 0); }
    uint16_t id() const { return id_; }
    /// Buffers on their way.
    rte_ring* ring() { return ring_; }

  private:
    rte_ring* ring_ = nullptr;
    uint16_t id_ = 0;
};

}  // namespace synfin::dpdk::test
