#include <algorithm>
#include <array>

#include <rte_byteorder.h>
#include <rte_flow.h>
#include <rte_thash.h>

#include <synfin/base/assert.hpp>
#include <synfin/dpdk/steering.hpp>

namespace synfin::dpdk {

namespace {

constexpr unsigned byte_bits = 8;
// Where TCP places its ports in the hash's input: after two addresses.
constexpr unsigned first_port_bits[] = {64, 256};
constexpr unsigned hash_bits = 32;

void set_bit(std::vector<uint8_t>& key, unsigned bit) {
    key[bit / byte_bits] = static_cast<uint8_t>(key[bit / byte_bits] | 0x80u >> bit % byte_bits);
}

/// The number of low port bits that the blocks of flow rules are told apart by.
unsigned block_bits(unsigned workers) {
    unsigned bits = 0;
    while ((1u << bits) < workers) ++bits;
    return bits;
}

}  // namespace

std::vector<uint8_t> ports_only_key(unsigned bits, size_t length) {
    // Bit i of the input, counted from the most significant of the first byte, contributes key bits
    // [i, i + 32) to the hash. So key bit b stands in the lowest `bits` bits of what input bit i
    // contributes exactly if b is in [i + 32 - bits, i + 32). With one key bit per port, at the
    // place that only the port's own last bits reach, nothing else has a say: the addresses and the
    // upper bits of the ports end before it.
    SYNFIN_ASSERT(bits >= 1 && bits <= 11 && length >= 16);
    std::vector<uint8_t> key(length);
    // What stands there for IPv6 lies behind all that IPv4 reads; the other way round it adds what
    // the addresses say.
    constexpr unsigned port_bits = 16;
    for (const unsigned first : first_port_bits) {
        for (unsigned port = 0; port < 2; ++port) {
            const unsigned bit = first + (port + 1) * port_bits + hash_bits - 1 - bits;
            if (bit < length * byte_bits) set_bit(key, bit);
        }
    }
    return key;
}

uint32_t receive_hash(std::span<const uint8_t> key, const wire::SocketAddress& local,
                      const wire::SocketAddress& remote) {
    // As the packet comes in: its source is our remote side.
    std::array<uint32_t, RTE_THASH_V6_L4_LEN> input{};
    uint32_t words = 0;
    for (const wire::IpAddress& address : {remote.address, local.address}) {
        if (address.is_v6()) {
            for (const uint64_t half : {address.high(), address.low()}) {
                input[words++] = static_cast<uint32_t>(half >> 32);
                input[words++] = static_cast<uint32_t>(half);
            }
        } else {
            input[words++] = address.v4();
        }
    }
    input[words++] = static_cast<uint32_t>(remote.port) << 16 | local.port;
    SYNFIN_ASSERT(key.size() >= size_t{words} * 4 + 4);
    return rte_softrss(input.data(), words, key.data());
}

Steering::Steering(unsigned workers, const std::vector<const ReceiveHash*>& ports,
                   const std::function<bool()>& install_rules)
    : workers_{workers} {
    if (workers <= 1) return;
    const auto all = [&](auto condition) {
        return !ports.empty() && std::all_of(ports.begin(), ports.end(), condition);
    };
    const bool hash_known = all([](const ReceiveHash* hash) {
        return hash->tcp_over_ipv4 && hash->tcp_over_ipv6 && !hash->key.empty() &&
               !hash->queue_of.empty() &&
               (hash->queue_of.size() & (hash->queue_of.size() - 1)) == 0;
    });
    if (hash_known) {
        const bool ours = all([](const ReceiveHash* hash) { return hash->key_is_ours; });
        means_ = ours ? Means::ports_key : Means::device_key;
        for (const ReceiveHash* hash : ports) ports_.push_back({hash->key, hash->queue_of});
    } else {
        means_ = install_rules() ? Means::flow_rules : Means::handoff;
    }
}

std::string Steering::description() const {
    switch (means_) {
        case Means::single_queue: return "single queue, no steering needed";
        case Means::ports_key: return "receive hash over the ports, with a key set by us";
        case Means::device_key: return "receive hash with the device's own key and table";
        case Means::flow_rules: return "flow rules for blocks of local ports";
        case Means::handoff: return "software hand-off between workers";
    }
    return {};
}

bool Steering::reaches(unsigned worker, const wire::SocketAddress& local,
                       const wire::SocketAddress& remote) const {
    switch (means_) {
        case Means::single_queue: return true;
        case Means::flow_rules: return flow_rule_worker(local.port, workers_) == worker;
        case Means::handoff: return handoff_owner(local.port, remote.port, workers_) == worker;
        case Means::ports_key:
        case Means::device_key:
            return std::all_of(ports_.begin(), ports_.end(), [&](const HashedPort& port) {
                const uint32_t hash = receive_hash(port.key, local, remote);
                return port.queue_of[hash & (port.queue_of.size() - 1)] == worker;
            });
    }
    return false;
}

std::optional<unsigned> Steering::owner(const wire::SocketAddress& local,
                                        const wire::SocketAddress& remote) const {
    for (unsigned worker = 0; worker < workers_; ++worker) {
        if (reaches(worker, local, remote)) return worker;
    }
    return std::nullopt;
}

bool Steering::port_filter(const void* context, const wire::SocketAddress& local,
                           const wire::SocketAddress& remote) {
    const auto& view = *static_cast<const View*>(context);
    return view.steering->reaches(view.worker, local, remote);
}

unsigned flow_rule_worker(uint16_t local_port, unsigned workers) {
    const unsigned block = local_port & ((1u << block_bits(workers)) - 1);
    return block % workers;
}

namespace {

/// A rule that sends TCP over `network` with local ports of `block` to a queue.
rte_flow* install_rule(uint16_t port_id, rte_flow_item_type network, unsigned block,
                       unsigned blocks, unsigned workers) {
    rte_flow_item_tcp spec{};
    rte_flow_item_tcp mask{};
    spec.hdr.dst_port = rte_cpu_to_be_16(static_cast<uint16_t>(block));
    mask.hdr.dst_port = rte_cpu_to_be_16(static_cast<uint16_t>(blocks - 1));
    rte_flow_item pattern[4]{};
    pattern[0].type = RTE_FLOW_ITEM_TYPE_ETH;
    pattern[1].type = network;
    pattern[2].type = RTE_FLOW_ITEM_TYPE_TCP;
    pattern[2].spec = &spec;
    pattern[2].mask = &mask;
    pattern[3].type = RTE_FLOW_ITEM_TYPE_END;
    rte_flow_action_queue queue{};
    queue.index = static_cast<uint16_t>(block % workers);
    rte_flow_action actions[2]{};
    actions[0].type = RTE_FLOW_ACTION_TYPE_QUEUE;
    actions[0].conf = &queue;
    actions[1].type = RTE_FLOW_ACTION_TYPE_END;
    rte_flow_attr attributes{};
    attributes.ingress = 1;
    rte_flow_error error{};
    return rte_flow_validate(port_id, &attributes, pattern, actions, &error) == 0
               ? rte_flow_create(port_id, &attributes, pattern, actions, &error)
               : nullptr;
}

}  // namespace

bool install_flow_rules(uint16_t port_id, unsigned workers) {
    const unsigned blocks = 1u << block_bits(workers);
    std::vector<rte_flow*> rules;
    for (const rte_flow_item_type network : {RTE_FLOW_ITEM_TYPE_IPV4, RTE_FLOW_ITEM_TYPE_IPV6}) {
        for (unsigned block = 0; block < blocks; ++block) {
            rte_flow* const rule = install_rule(port_id, network, block, blocks, workers);
            if (rule == nullptr) {
                rte_flow_error error{};
                for (rte_flow* installed : rules) rte_flow_destroy(port_id, installed, &error);
                return false;
            }
            rules.push_back(rule);
        }
    }
    return true;
}

}  // namespace synfin::dpdk
