#include <algorithm>

#include <rte_byteorder.h>
#include <rte_flow.h>
#include <rte_thash.h>

#include <synfin/base/assert.hpp>
#include <synfin/dpdk/steering.hpp>

namespace synfin::dpdk {

namespace {

constexpr unsigned byte_bits = 8;
// Where TCP over IPv4 places its ports in the hash's input: after two addresses.
constexpr unsigned first_port_bit = 64;
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
    constexpr unsigned port_bits = 16;
    for (unsigned port = 0; port < 2; ++port) {
        const unsigned end = first_port_bit + (port + 1) * port_bits + hash_bits - 1;
        set_bit(key, end - bits);
    }
    return key;
}

uint32_t receive_hash(std::span<const uint8_t> key, const flow::FourTuple& tuple) {
    SYNFIN_ASSERT(key.size() >= RTE_THASH_V4_L4_LEN * 4 + 4);
    // As the packet comes in: its source is our remote side.
    uint32_t input[RTE_THASH_V4_L4_LEN] = {
        tuple.remote_address, tuple.local_address,
        static_cast<uint32_t>(tuple.remote_port) << 16 | tuple.local_port};
    return rte_softrss(input, RTE_THASH_V4_L4_LEN, key.data());
}

Steering::Steering(unsigned workers, const std::vector<const ReceiveHash*>& ports,
                   const std::function<bool()>& install_rules)
    : workers_{workers} {
    if (workers <= 1) return;
    const auto all = [&](auto condition) {
        return !ports.empty() && std::all_of(ports.begin(), ports.end(), condition);
    };
    const bool hash_known = all([](const ReceiveHash* hash) {
        return hash->tcp_over_ipv4 && !hash->key.empty() && !hash->queue_of.empty() &&
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

bool Steering::reaches(unsigned worker, const flow::FourTuple& tuple) const {
    switch (means_) {
        case Means::single_queue: return true;
        case Means::flow_rules: return flow_rule_worker(tuple.local_port, workers_) == worker;
        case Means::handoff:
            return handoff_owner(tuple.local_port, tuple.remote_port, workers_) == worker;
        case Means::ports_key:
        case Means::device_key:
            return std::all_of(ports_.begin(), ports_.end(), [&](const HashedPort& port) {
                const uint32_t hash = receive_hash(port.key, tuple);
                return port.queue_of[hash & (port.queue_of.size() - 1)] == worker;
            });
    }
    return false;
}

bool Steering::port_filter(const void* context, const flow::FourTuple& tuple) {
    const auto& view = *static_cast<const View*>(context);
    return view.steering->reaches(view.worker, tuple);
}

unsigned flow_rule_worker(uint16_t local_port, unsigned workers) {
    const unsigned block = local_port & ((1u << block_bits(workers)) - 1);
    return block % workers;
}

bool install_flow_rules(uint16_t port_id, unsigned workers) {
    const unsigned blocks = 1u << block_bits(workers);
    std::vector<rte_flow*> rules;
    for (unsigned block = 0; block < blocks; ++block) {
        rte_flow_item_tcp spec{};
        rte_flow_item_tcp mask{};
        spec.hdr.dst_port = rte_cpu_to_be_16(static_cast<uint16_t>(block));
        mask.hdr.dst_port = rte_cpu_to_be_16(static_cast<uint16_t>(blocks - 1));
        rte_flow_item pattern[4]{};
        pattern[0].type = RTE_FLOW_ITEM_TYPE_ETH;
        pattern[1].type = RTE_FLOW_ITEM_TYPE_IPV4;
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
        rte_flow* const rule =
            rte_flow_validate(port_id, &attributes, pattern, actions, &error) == 0
                ? rte_flow_create(port_id, &attributes, pattern, actions, &error)
                : nullptr;
        if (rule == nullptr) {
            for (rte_flow* installed : rules) rte_flow_destroy(port_id, installed, &error);
            return false;
        }
        rules.push_back(rule);
    }
    return true;
}

}  // namespace synfin::dpdk
