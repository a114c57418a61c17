#include <algorithm>
#include <utility>

#include <synfin/load/address_plan.hpp>

namespace synfin::load {

namespace {

/// IPv6 source blocks are used up to this many addresses: as many as have names at once.
constexpr uint64_t max_block_addresses = uint64_t{1} << 24;

wire::IpAddress add(const wire::IpAddress& address, uint64_t offset) {
    return wire::IpAddress::v6(address.high(), address.low() + offset);
}

}  // namespace

// Addresses given one by one are one block where they follow one another: a look at each of
// hundreds would be the largest part of changing the source.
void AddressPlan::add_block(const wire::IpAddress& first, uint64_t count) {
    if (count == 1 && !blocks_.empty() &&
        add(blocks_.back().first, blocks_.back().count) == first) {
        ++blocks_.back().count;
    } else {
        blocks_.push_back({first, count, 0});
    }
}

tl::expected<AddressPlan, std::string> AddressPlan::make(
    const std::vector<wire::IpPrefix>& sources, std::vector<wire::SocketAddress> targets,
    const std::vector<wire::IpAddress>& reserved) {
    AddressPlan plan;
    plan.targets_ = std::move(targets);
    if (plan.targets_.empty()) return tl::unexpected{std::string{"there is no target"}};

    for (const wire::SocketAddress& target : plan.targets_) {
        for (const wire::IpPrefix& source : sources) {
            if (source.address.is_v4() == target.address.is_v4()) continue;
            return tl::unexpected{"the source " + to_string(source) + " and the target " +
                                  to_string(target) +
                                  " are of different families; give only IPv4 or only IPv6"};
        }
    }

    std::vector<wire::IpAddress> left_out = reserved;
    for (const wire::SocketAddress& target : plan.targets_) left_out.push_back(target.address);
    std::sort(left_out.begin(), left_out.end());
    left_out.erase(std::unique(left_out.begin(), left_out.end()), left_out.end());

    for (const wire::IpPrefix& prefix : sources) {
        const bool v4 = prefix.address.is_v4();
        const unsigned host_bits = (v4 ? 32u : 128u) - prefix.length;
        uint64_t first = 0;
        uint64_t end = !v4 && host_bits >= 24 ? max_block_addresses : uint64_t{1} << host_bits;
        if (host_bits >= 2) {
            first = 1;
            if (v4) end -= 1;
        }
        // What is left out cuts the block in two.
        for (const wire::IpAddress& address : left_out) {
            if (!prefix.contains(address)) continue;
            const uint64_t offset = address.low() - prefix.address.low();
            if (offset < first || offset >= end) continue;
            if (offset > first) plan.add_block(add(prefix.address, first), offset - first);
            first = offset + 1;
        }
        if (end > first) plan.add_block(add(prefix.address, first), end - first);
    }
    for (const Block& block : plan.blocks_) plan.source_count_ += block.count;
    if (plan.source_count_ == 0) {
        return tl::unexpected{std::string{
            "the source ranges hold no address besides the targets' and the gateway's"}};
    }
    plan.source_ = plan.blocks_[0].first;
    plan.pairs_left_ = rounds_per_source * plan.targets_.size();
    return plan;
}

void AddressPlan::leave_source() {
    pairs_left_ = rounds_per_source * targets_.size();
    ++blocks_[block_].left;
    if (++sources_left_ == source_count_) {
        sources_left_ = 0;
        for (Block& block : blocks_) block.left = 0;
    }
    // The block of which the smallest share has been used: left / count, compared crosswise.
    block_ = 0;
    for (size_t i = 1; i < blocks_.size(); ++i) {
        const Block& least = blocks_[block_];
        if (blocks_[i].left * least.count < least.left * blocks_[i].count) block_ = i;
    }
    source_ = add(blocks_[block_].first, blocks_[block_].left);
}

void AddressPlan::skip(uint64_t pairs) {
    for (uint64_t n = pairs % pair_count(); n > 0; --n) {
        if (++target_ < targets_.size()) continue;
        target_ = 0;
        leave_source();
    }
}

}  // namespace synfin::load
