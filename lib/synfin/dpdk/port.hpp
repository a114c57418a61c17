// One port of DPDK: configured, started, stopped. What the device can do is asked once, here; what
// it cannot do the stack does itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <synfin/base/instant.hpp>
#include <synfin/dpdk/device_spec.hpp>
#include <synfin/dpdk/eal.hpp>
#include <synfin/dpdk/packet_pool.hpp>
#include <synfin/dpdk/queue_device.hpp>
#include <synfin/dpdk/steering.hpp>
#include <synfin/stack/frame.hpp>
#include <synfin/wire/address.hpp>

struct rte_eth_dev_info;

namespace synfin::dpdk {

struct PortOptions {
    unsigned queues = 1;  ///< queue pairs: one per worker
    unsigned receive_descriptors = 1024;
    unsigned transmit_descriptors = 1024;
    uint32_t mtu = 1500;
    std::optional<wire::MacAddress> mac = std::nullopt;  ///< instead of the device's own
    bool checksum_offload = true;                        ///< as far as the device can
    bool promiscuous = false;                            ///< needed when `mac` cannot be set
    /// Ask for a receive hash over the ports alone, so that the queue of a reply follows from the
    /// ports. For the side that opens connections; a server keeps the device's own key.
    bool ports_only_rss = false;
};

struct PortStatistics {
    uint64_t received_packets = 0;
    uint64_t received_bytes = 0;
    uint64_t transmitted_packets = 0;
    uint64_t transmitted_bytes = 0;
    uint64_t missed = 0;  ///< received, but no descriptor was free
    uint64_t receive_errors = 0;
    uint64_t transmit_errors = 0;
    uint64_t no_buffer = 0;  ///< the pool was empty
};

class Port {
  public:
    /// Configures and starts device number `index` of the EAL's options. Throws SetupError.
    Port(const Eal& eal, unsigned index, PacketPool& pool, const PortOptions& options);
    ~Port();
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;

    uint16_t id() const { return id_; }
    const DeviceSpec& spec() const { return spec_; }
    wire::MacAddress mac() const { return mac_; }
    /// The queue pairs in use; what was asked for, or fewer when the device has no more.
    unsigned queues() const { return queues_; }
    const stack::DeviceProperties& properties() const { return properties_; }
    const ReceiveHash& receive_hash() const { return receive_hash_; }
    /// Queue pair `queue`, for QueueDevice.
    Lane lane(unsigned queue) const;

    /// Waits until the link is up, `patience` at most. For memif, vhost and virtio_user this is
    /// when the other side has come.
    bool wait_for_link(Duration patience) const;
    bool link_up() const;
    PortStatistics statistics() const;
    /// One line for the user: driver, queues, offloads, MAC.
    std::string description() const;

    /// Whether the driver gives all its buffers back when it is closed. AF_XDP's does not: what the
    /// kernel holds is lost, and no leak of ours.
    bool returns_buffers() const { return spec_.kind != DeviceKind::af_xdp; }

    /// Stops the device; nothing is received or sent afterwards. Also done by the destructor.
    void stop();

  private:
    struct Offloads;
    static Offloads checksum_offloads(const rte_eth_dev_info& info);

    void configure(const PortOptions& options, PacketPool& pool);
    void configure_device(const PortOptions& options, const rte_eth_dev_info& info,
                          const Offloads& offloads);
    void set_up_queues(const PortOptions& options, const rte_eth_dev_info& info,
                       const Offloads& offloads, PacketPool& pool);
    void set_mtu(uint32_t wanted);
    void set_address(const PortOptions& options);

    /// Both close the device, and throw what `complaint` says of it.
    void require(int result, const std::string& complaint);
    [[noreturn]] void refuse(const std::string& complaint);

    void set_up_receive_hash(const PortOptions& options);

    DeviceSpec spec_;
    std::string driver_;
    uint16_t id_ = 0;
    unsigned queues_ = 0;
    bool running_ = false;
    wire::MacAddress mac_;
    stack::DeviceProperties properties_;
    ReceiveHash receive_hash_;
    std::optional<MemifEnd> memif_;
};

}  // namespace synfin::dpdk
