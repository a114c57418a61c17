// The packet buffers of the process: one pool for all ports and workers.
//
// One pool, because buffers wander: what a worker receives over an in-process link came from
// another worker, and is what it transmits next. Each worker has its own cache of the pool, and in
// front of that its device's stash, so the pool itself is touched rarely and in bulk.
//
// All three are last in, first out, and the first two are small. In a long transfer the buffers go
// round: filled by one core, read by another, given back, filled again. First in, first out, all
// that the pool has would take turns, and each would come from memory; so it is as many as are
// underway, and they stay in a cache.
//
// With huge pages, or when a device needs it, the buffers lie in EAL's memory. Otherwise they lie
// in a Region of ours, packed, on transparent huge pages: EAL's ordinary memory would place one
// buffer per 4 KB page, and all headers would compete for the same few cache sets.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <synfin/base/region.hpp>
#include <synfin/dpdk/eal.hpp>

struct rte_mempool;
struct rte_memzone;

namespace synfin::dpdk {

/// Bytes of one buffer for packet data, headroom not counted, that hold a frame of this MTU.
uint32_t buffer_bytes(uint32_t mtu);

class PacketPool {
  public:
    /// `count` buffers for frames of `mtu`. Throws SetupError when there is too little memory.
    PacketPool(const Eal& eal, uint32_t count, uint32_t mtu = 1500);
    ~PacketPool();
    PacketPool(const PacketPool&) = delete;
    PacketPool& operator=(const PacketPool&) = delete;

    rte_mempool* get() const { return pool_; }
    uint32_t size() const { return size_; }
    /// Buffers that are not in the pool. After all ports and devices have been closed: leaks.
    uint32_t in_use() const;

  private:
    void free();

    Region memory_;
    const rte_memzone* zone_ = nullptr;
    rte_mempool* pool_ = nullptr;
    uint32_t size_ = 0;
};

/// How many buffers `workers` workers need, each with one queue pair on each of `ports` ports.
uint32_t pool_size(unsigned ports, unsigned workers, unsigned receive_descriptors,
                   unsigned transmit_descriptors);

}  // namespace synfin::dpdk
