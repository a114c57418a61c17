// One interface's side of a worker: our end of its link, what waits to leave by it, and its
// routers.
#pragma once

#include <bit>
#include <cstdint>

#include <synfin/base/apart.hpp>
#include <synfin/base/index_pool.hpp>
#include <synfin/stack/neighbor_cache.hpp>
#include <synfin/stack/reply_queue.hpp>
#include <synfin/stack/worker.hpp>
#include <synfin/wire/segment_writer.hpp>
#include <synfin/wire/usual_frame.hpp>

namespace synfin::stack {

/// Its size is a power of two: what is ready finds its interface by its number, for each segment.
struct alignas(4 * apart) Interface {
    explicit Interface(const InterfaceConfig& config)
        : end{config.mac, config.vlan},
          device{config.device},
          checksums{config.device.transmit_ip_checksum, config.device.transmit_tcp_checksum},
          replies{config.device.mtu} {
        if (config.vlan != 0) {
            usual_tag = wire::UsualBeginning::tag_of(config.vlan).to(config.mac);
            return;
        }
        usual_ipv4 = wire::UsualBeginning::ipv4().to(config.mac);
        usual_ipv6 = wire::UsualBeginning::ipv6().to(config.mac);
    }
    Interface(const Interface&) = delete;  // `ready_end` points into it
    Interface& operator=(const Interface&) = delete;

    LinkEnd end;
    /// Of the frames to our end that the fast path may read: without a tag, or with it.
    wire::UsualBeginning usual_ipv4;
    wire::UsualBeginning usual_ipv6;
    wire::UsualBeginning usual_tag;
    DeviceProperties device;
    wire::DeviceChecksums checksums;  ///< of `device`
    ReplyQueue replies;
    uint32_t ready_head = no_index;
    uint32_t* ready_end = &ready_head;  ///< the link that the next one is appended to
    uint32_t ready_count = 0;
    NeighborIndex router_v4 = no_neighbor;
    NeighborIndex router_v6 = no_neighbor;
    bool has_output() const { return ready_head != no_index || !replies.empty(); }
    uint32_t frames_wanted() const { return ready_count + replies.size(); }
};
static_assert(std::has_single_bit(sizeof(Interface)));

}  // namespace synfin::stack
