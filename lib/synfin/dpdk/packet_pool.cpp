#include <algorithm>
#include <atomic>
#include <string>

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_memzone.h>
#include <unistd.h>

#include <synfin/base/assert.hpp>
#include <synfin/dpdk/packet_pool.hpp>
#include <synfin/stack/frame.hpp>

namespace synfin::dpdk {

namespace {

// Per worker and in front of the pool, so that workers on many cores seldom meet there.
constexpr uint32_t cache_buffers = 128;
constexpr size_t huge_page = size_t{2} << 20;

std::string sentence(uint32_t count, uint32_t bytes) {
    const uint64_t megabytes = (uint64_t{count} * (bytes + sizeof(rte_mbuf)) >> 20) + 1;
    return "no memory for " + std::to_string(count) + " packet buffers (" +
           std::to_string(megabytes) + " MB): give --memory more, or use fewer workers or queues";
}

}  // namespace

uint32_t buffer_bytes(uint32_t mtu) {
    constexpr uint32_t line = 64;
    // Drivers split or drop what exceeds a buffer, and some insist on 2 KB.
    constexpr uint32_t least = 2048;
    return std::max(least, (mtu + stack::TransmitBatch::slack_bytes + line - 1) / line * line);
}

uint32_t pool_size(unsigned ports, unsigned workers, unsigned receive_descriptors,
                   unsigned transmit_descriptors) {
    // Beside what stands in descriptors: the stash, the pending frames and three bursts underway of
    // each device, and the worker's cache of the pool, which may hold half as much again.
    constexpr uint32_t device = 256 + 128 + 192;
    constexpr uint32_t worker = cache_buffers * 3 / 2;
    // What workers hand each other is underway in their mesh; a quarter of its queues is plenty.
    constexpr uint32_t handed_over = 256;
    const uint32_t needed = workers * (ports * (receive_descriptors + transmit_descriptors +
                                                device + handed_over * (workers - 1)) +
                                       worker);
    return std::max(needed, uint32_t{4096});
}

PacketPool::PacketPool(const Eal& eal, uint32_t count, uint32_t mtu) : size_{count} {
    static std::atomic<unsigned> number{0};
    const std::string pool_name = "synfin_packets_" + std::to_string(number++);
    const uint32_t room = buffer_bytes(mtu) + RTE_PKTMBUF_HEADROOM;
    const bool lent_to_others =
        std::any_of(eal.options().devices.begin(), eal.options().devices.end(), needs_eal_memory);

    // Without huge pages every device sees our own addresses (--iova-mode=va), so page boundaries
    // mean nothing to it, and buffers may lie across them.
    const unsigned flags = eal.huge_pages() ? 0 : RTE_MEMPOOL_F_NO_IOVA_CONTIG;
    rte_pktmbuf_pool_private settings{};
    settings.mbuf_data_room_size = static_cast<uint16_t>(room);
    settings.mbuf_priv_size = 0;
    pool_ = rte_mempool_create_empty(pool_name.c_str(), count,
                                     static_cast<unsigned>(sizeof(rte_mbuf)) + room, cache_buffers,
                                     sizeof(rte_pktmbuf_pool_private), SOCKET_ID_ANY, flags);
    if (pool_ == nullptr) throw SetupError{sentence(count, room)};
    if (rte_mempool_set_ops_byname(pool_, "stack", nullptr) != 0) {
        rte_mempool_free(pool_);
        throw SetupError{"DPDK has no mempool of kind \"stack\": install its mempool drivers"};
    }
    rte_pktmbuf_pool_init(pool_, &settings);

    int populated = 0;
    if (eal.huge_pages()) {
        populated = rte_mempool_populate_default(pool_);
    } else {
        const size_t element = pool_->header_size + size_t{pool_->elt_size} + pool_->trailer_size;
        // One buffer more than fits exactly, for the alignment of the first.
        const size_t bytes = std::max(element * (size_t{count} + 1), huge_page);
        void* place = nullptr;
        if (lent_to_others) {
            zone_ = rte_memzone_reserve_aligned(pool_name.c_str(), bytes, SOCKET_ID_ANY, 0,
                                                static_cast<unsigned>(getpagesize()));
            place = zone_ != nullptr ? zone_->addr : nullptr;
        } else {
            memory_ = Region{bytes};
            place = memory_.data();
        }
        if (place != nullptr) {
            populated = rte_mempool_populate_iova(
                pool_, static_cast<char*>(place),
                static_cast<rte_iova_t>(reinterpret_cast<uintptr_t>(place)), bytes, nullptr,
                nullptr);
        }
    }
    if (populated < static_cast<int>(count)) {
        free();
        throw SetupError{sentence(count, room)};
    }
    rte_mempool_obj_iter(pool_, rte_pktmbuf_init, nullptr);
}

PacketPool::~PacketPool() { free(); }

void PacketPool::free() {
    rte_mempool_free(pool_);
    if (zone_ != nullptr) rte_memzone_free(zone_);
}

uint32_t PacketPool::in_use() const { return rte_mempool_in_use_count(pool_); }

}  // namespace synfin::dpdk
