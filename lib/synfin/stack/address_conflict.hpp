// Another host on the link claims an address of ours (RFC 5227, RFC 4862 section 5.4): the last of
// them, written by the worker and read from any thread.
#pragma once

#include <cstdint>
#include <optional>

#include <synfin/base/relaxed.hpp>
#include <synfin/base/sequence_counter.hpp>
#include <synfin/wire/address.hpp>
#include <synfin/wire/bytes.hpp>

namespace synfin::stack {

struct AddressConflict {
    wire::IpAddress address;  ///< ours
    wire::MacAddress other;   ///< who claims it
};

class LastConflict {
  public:
    void write(const AddressConflict& conflict) {
        sequence_.begin_write();
        high_ = conflict.address.high();
        low_ = conflict.address.low();
        const uint8_t* mac = conflict.other.bytes.data();
        mac_ = uint64_t{1} << 48 | uint64_t{wire::load_be16(mac)} << 32 | wire::load_be32(mac + 2);
        sequence_.end_write();
    }
    /// Nothing if there was none.
    std::optional<AddressConflict> read() const {
        uint64_t high = 0;
        uint64_t low = 0;
        uint64_t mac = 0;
        uint32_t before = 0;
        do {
            before = sequence_.begin_read();
            high = high_;
            low = low_;
            mac = mac_;
        } while (!sequence_.still(before));
        if (mac == 0) return std::nullopt;
        AddressConflict conflict{.address = wire::IpAddress::v6(high, low), .other = {}};
        wire::store_be16(conflict.other.bytes.data(), static_cast<uint16_t>(mac >> 32));
        wire::store_be32(conflict.other.bytes.data() + 2, static_cast<uint32_t>(mac));
        return conflict;
    }

  private:
    SequenceCounter sequence_;
    Relaxed<uint64_t> high_;
    Relaxed<uint64_t> low_;
    Relaxed<uint64_t> mac_;  ///< with a bit that says that there is one
};

}  // namespace synfin::stack
