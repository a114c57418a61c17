#include <utility>

#include <rte_ethdev.h>

#include <synfin/dpdk/memif_link.hpp>

namespace synfin::dpdk {

MemifLink::MemifLink(const std::optional<MemifEnd>& end, uint16_t port_id, uint16_t queue_id,
                     uint32_t frame_bytes, uint32_t buffer_bytes)
    : end_{end.value_or(MemifEnd{})},
      port_id_{port_id},
      queue_id_{queue_id},
      frame_bytes_{frame_bytes},
      buffer_bytes_{buffer_bytes},
      state_{end ? State::waiting : State::drivers} {}

void MemifLink::attach() {
    rte_eth_link link{};
    if (rte_eth_link_get_nowait(port_id_, &link) != 0 || link.link_status != RTE_ETH_LINK_UP) {
        return;
    }
    state_ = State::drivers;
    auto memory = MemifMemory::find();
    if (!memory) return;
    const auto layout = memif_layout(memory->bytes(), end_.queues);
    if (!layout || layout->slot_bytes < frame_bytes_ || layout->slot_bytes > buffer_bytes_) return;
    memory_ = std::move(memory);
    queue_.emplace(memory_->bytes().data(), *layout, end_.server, queue_id_);
    state_ = State::ours;
}

void MemifLink::detach_if_let_go() {
    if (memory_->in_use()) return;
    queue_.reset();
    memory_.reset();
    state_ = State::waiting;
}

}  // namespace synfin::dpdk
