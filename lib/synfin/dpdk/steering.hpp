// How a reply finds the worker that opened its connection.
//
// Each worker has one queue of each port. A worker that opens a connection picks a local port for
// which the device puts the reply into that worker's queue. By what means the device decides
// differs; the best that works is used, in this order:
//
//   ports_key      the device hashes with a key that we have set, over the two ports alone
//   device_key     the device hashes with its own key, which it tells us
//   flow_rules     the device obeys rules of ours: blocks of local ports to queues
//   handoff        the device decides as it likes, and workers hand packets to each other
//
// With one worker there is nothing to decide.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <synfin/wire/address.hpp>

namespace synfin::dpdk {

/// What is known about a port's receive-side scaling (RSS).
struct ReceiveHash {
    bool tcp_over_ipv4 = false;  ///< the device hashes addresses and ports of TCP over IPv4
    bool tcp_over_ipv6 = false;  ///< and over IPv6
    bool key_is_ours = false;
    std::vector<uint8_t> key;        ///< empty: unknown
    std::vector<uint16_t> queue_of;  ///< the redirection table; empty: unknown. Its size: 2^n
};

/// A 40-byte Toeplitz key (or longer, with zeros) under which the low `bits` bits of the hash of a
/// TCP/IPv4 packet are the reversed low bits of source port XOR destination port, and nothing else.
/// Over IPv6 they are the same, XOR something that depends on the addresses alone.
std::vector<uint8_t> ports_only_key(unsigned bits, size_t length);

/// The Toeplitz hash that a device computes for a received packet of this connection.
uint32_t receive_hash(std::span<const uint8_t> key, const wire::SocketAddress& local,
                      const wire::SocketAddress& remote);

/// The worker that owns a connection where workers hand packets to each other. The ports alone
/// decide, so that it can be told from a packet of either family without looking anything up.
inline unsigned handoff_owner(uint16_t local_port, uint16_t remote_port, unsigned workers) {
    const uint32_t mixed = (uint32_t{local_port} << 16 | remote_port) * 0x9e3779b1u;
    return static_cast<unsigned>((uint64_t{mixed} * workers) >> 32);
}

class Steering {
  public:
    enum class Means : uint8_t { single_queue, ports_key, device_key, flow_rules, handoff };

    /// One worker, or workers whose links are separate.
    Steering() = default;
    /// The best means for `workers` workers over all these ports: a connection may use any of them,
    /// so what one port cannot do is not used. `install_rules` installs flow rules on all of them
    /// and says whether they all took them; it is called only when no hash serves, because rules
    /// would overrule it.
    Steering(unsigned workers, const std::vector<const ReceiveHash*>& ports,
             const std::function<bool()>& install_rules);

    Means means() const { return means_; }
    /// For the user, one line.
    std::string description() const;
    /// Whether `worker` gets the replies of a connection between these two.
    bool reaches(unsigned worker, const wire::SocketAddress& local,
                 const wire::SocketAddress& remote) const;
    /// The worker that gets them; none, if the ports of this host do not agree on one.
    std::optional<unsigned> owner(const wire::SocketAddress& local,
                                  const wire::SocketAddress& remote) const;
    /// Whether workers must hand each other TCP packets, not only the neighbor protocols'.
    bool hands_off_connections() const { return means_ == Means::handoff; }

    /// For stack::WorkerConfig::port_filter: `context` is a Steering::View.
    struct View {
        const Steering* steering;
        unsigned worker;
    };
    static bool port_filter(const void* context, const wire::SocketAddress& local,
                            const wire::SocketAddress& remote);

  private:
    struct HashedPort {
        std::vector<uint8_t> key;
        std::vector<uint16_t> queue_of;
    };
    unsigned workers_ = 1;
    Means means_ = Means::single_queue;
    std::vector<HashedPort> ports_;
};

/// Block of local ports -> worker, as the rules of `install_flow_rules` have it.
unsigned flow_rule_worker(uint16_t local_port, unsigned workers);

/// Asks the port to send blocks of local TCP ports to queues, over IPv4 and IPv6. False when it
/// cannot; no rule is left behind then.
bool install_flow_rules(uint16_t port_id, unsigned workers);

}  // namespace synfin::dpdk
