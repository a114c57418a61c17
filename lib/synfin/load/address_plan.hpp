// Which source address and which target the next connection uses: all pairs, round and round, so
// that ports, which are scarce per pair, are used evenly. A source is kept for some rounds of the
// targets, because then the map of its free ports stays in the cache.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include <synfin/base/assert.hpp>
#include <synfin/wire/address.hpp>

namespace synfin::load {

class AddressPlan {
  public:
    /// Network and broadcast addresses of an IPv4 block are left out, the first one of an IPv6
    /// block (its routers', RFC 4291 section 2.6.1), and every address in `reserved` (the gateway,
    /// the targets themselves). All are of one family. On error: one sentence for the user.
    static tl::expected<AddressPlan, std::string> make(
        const std::vector<wire::IpPrefix>& sources, std::vector<wire::SocketAddress> targets,
        const std::vector<wire::IpAddress>& reserved);

    /// So many that opening elsewhere, where nothing is foreseen, costs nothing.
    static constexpr unsigned rounds_per_source = 1024;

    /// Until the plan is asked for the next one.
    struct Pair {
        const wire::IpAddress& source;
        const wire::SocketAddress& target;
    };
    /// O(1), but for a look at every block where the source changes.
    Pair next() {
        if (pairs_left_ == 0) [[unlikely]]
            leave_source();
        --pairs_left_;
        const auto target = targets_.begin() + static_cast<ptrdiff_t>(target_);
        target_ = target + 1 == targets_.end() ? 0 : target_ + 1;
        return {source_, *target};
    }
    /// How often next() would go on to return what it has just returned.
    size_t repeats() const { return targets_.size() == 1 ? pairs_left_ : 0; }
    /// As if next() had been called so often; no more often than that.
    void repeat(size_t times) {
        SYNFIN_ASSERT(times <= repeats());
        pairs_left_ -= times;
    }
    /// Begins the round at another place: workers that share sources do not move in step.
    void skip(uint64_t pairs);

    /// Goes on with the next source: the present one has no free port towards some target. Blocks
    /// take turns by their size, so that several, on several devices perhaps, are in use all the
    /// time.
    void leave_source();

    uint64_t source_count() const { return source_count_; }
    uint64_t pair_count() const { return source_count_ * targets_.size(); }

  private:
    /// Addresses one after another; all of one family.
    struct Block {
        wire::IpAddress first;
        uint64_t count;
        uint64_t left;  ///< already, in this round of all sources
    };
    AddressPlan() = default;
    void add_block(const wire::IpAddress& first, uint64_t count);

    std::vector<Block> blocks_;
    std::vector<wire::SocketAddress> targets_;
    wire::IpAddress source_;  ///< the present one
    uint64_t source_count_ = 0;
    uint64_t sources_left_ = 0;
    size_t block_ = 0;
    size_t target_ = 0;      ///< the next one
    size_t pairs_left_ = 0;  ///< of the present source
};

}  // namespace synfin::load
