// What is known of the paths, as the protocol asks for it: by a connection, in segment sizes. Under
// it lies the table by destination, in packet sizes.
#pragma once

#include <algorithm>
#include <cstdint>

#include <synfin/base/index_pool.hpp>
#include <synfin/base/region.hpp>
#include <synfin/flow/address_book.hpp>
#include <synfin/stack/counters.hpp>
#include <synfin/stack/path_mtu_table.hpp>
#include <synfin/tcp/connection.hpp>
#include <synfin/tcp/path.hpp>

namespace synfin::stack {

class ConnectionPaths final : public tcp::Paths {
  public:
    /// All that is lent must outlive this.
    ConnectionPaths(uint32_t capacity, uint16_t link_mtu, const SipKey& key,
                    const IndexPool<tcp::Connection>& connections,
                    const flow::AddressBook& addresses, Counters& counters)
        : table_{capacity, link_mtu, key},
          connections_{connections},
          addresses_{addresses},
          counters_{counters},
          agreed_{size_t{connections.capacity()} * sizeof(uint16_t)} {}

    /// Whether routers may divide what the connection sends: its path takes less than the smallest
    /// packets that we make of its bytes, or just so much. A probe for more is larger.
    static bool may_be_divided(const tcp::Connection& c, size_t packet_bytes) {
        return !flow::is_interned(c.remote_address) &&
               c.mss <= PathMtuTable::smallest_v4 - tcp::header_bytes(false) &&
               packet_bytes <= PathMtuTable::smallest_v4;
    }
    uint16_t next_identification(const tcp::Connection& c, Instant now) {
        bool evicted = false;
        const uint16_t next = table_.next_identification(destination_of(c), now, evicted);
        if (evicted) ++counters_.path_evictions;
        any_ = true;
        return next;
    }

    /// A router's word was believed: no more than `mtu` passes.
    void reduce(const wire::IpAddress& destination, uint16_t mtu, Instant now) {
        if (!table_.reduce(destination, mtu, now)) ++counters_.path_evictions;
        any_ = true;
    }

    uint16_t segment_size(const tcp::Connection& c, Instant now) override {
        const wire::IpAddress destination = destination_of(c);
        const uint16_t mtu = table_.find(destination, now);
        any_ = !table_.empty();
        return size_of(mtu, destination);
    }
    void remember_agreed_size(const tcp::Connection& c) override { agreed(c) = c.mss; }
    uint16_t agreed_size(const tcp::Connection& c) const override { return agreed(c); }
    uint16_t on_black_hole(const tcp::Connection& c, uint16_t size, Instant now) override {
        const wire::IpAddress destination = destination_of(c);
        bool evicted = false;
        const uint16_t mtu = table_.suspect(
            destination, static_cast<uint16_t>(size + tcp::header_bytes(destination.is_v6())), now,
            evicted);
        if (evicted) ++counters_.path_evictions;
        any_ = !table_.empty();
        return size_of(mtu, destination);
    }
    uint16_t size_to_probe(const tcp::Connection& c, Instant now) override {
        const wire::IpAddress destination = destination_of(c);
        return std::min(size_of(table_.probe(destination, now), destination), agreed(c));
    }
    void on_probe(const tcp::Connection& c, uint16_t size, bool arrived, Instant now) override {
        const wire::IpAddress destination = destination_of(c);
        const auto mtu = static_cast<uint16_t>(size + tcp::header_bytes(destination.is_v6()));
        const auto present = static_cast<uint16_t>(c.mss + tcp::header_bytes(destination.is_v6()));
        if (arrived) {
            table_.probe_arrived(destination, mtu, now);
        } else if (!table_.probe_lost(destination, mtu, present, now)) {
            ++counters_.path_evictions;
        }
        any_ = !table_.empty();
    }

  private:
    wire::IpAddress destination_of(const tcp::Connection& c) const {
        return addresses_.resolve(c.remote_address);
    }
    static uint16_t size_of(uint16_t mtu, const wire::IpAddress& destination) {
        return mtu == 0 ? 0 : static_cast<uint16_t>(mtu - tcp::header_bytes(destination.is_v6()));
    }
    /// The MSS that was agreed on; of meaning only while the connection is marked narrow_path.
    uint16_t& agreed(const tcp::Connection& c) const {
        return static_cast<uint16_t*>(agreed_.data())[&c - &connections_[0]];
    }

    PathMtuTable table_;
    const IndexPool<tcp::Connection>& connections_;
    const flow::AddressBook& addresses_;
    Counters& counters_;
    Region agreed_;
};

}  // namespace synfin::stack
