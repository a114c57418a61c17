// The link `ring`: queue pairs that are connected back to back inside the process.
//
// Two single-producer single-consumer rings per pair of workers, and nothing else: no driver, no
// descriptor, no copy. What one side transmits is the buffer that the other receives.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <synfin/dpdk/eal.hpp>
#include <synfin/dpdk/queue_device.hpp>
#include <synfin/stack/frame.hpp>
#include <synfin/wire/address.hpp>

struct rte_ring;

namespace synfin::dpdk {

struct RingLinkOptions {
    unsigned pairs = 1;       ///< workers on each side
    unsigned entries = 1024;  ///< per direction, a power of two
    uint32_t mtu = 1500;
    /// No wire, no bit error: both sides may leave the checksums out. Off by default, because a
    /// capture or a benchmark should see real segments.
    bool trust_checksums = false;
};

class RingLink {
  public:
    enum class Side : uint8_t { client, server };

    /// Throws SetupError.
    RingLink(const Eal& eal, const RingLinkOptions& options);
    ~RingLink();
    RingLink(const RingLink&) = delete;
    RingLink& operator=(const RingLink&) = delete;

    unsigned pairs() const { return static_cast<unsigned>(to_server_.size()); }
    Lane lane(Side side, unsigned pair) const;
    wire::MacAddress mac(Side side, unsigned pair) const;
    const stack::DeviceProperties& properties() const { return properties_; }
    /// Frees what is still underway. Call when no worker uses the link any more.
    void drain();

  private:
    std::vector<rte_ring*> to_server_;
    std::vector<rte_ring*> to_client_;
    stack::DeviceProperties properties_;
    bool trust_checksums_ = false;
};

}  // namespace synfin::dpdk
