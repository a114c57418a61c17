// Ethernet II with at most one 802.1Q tag.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include <tl/expected.hpp>

#include <synfin/wire/address.hpp>
#include <synfin/wire/bytes.hpp>
#include <synfin/wire/drop.hpp>

namespace synfin::wire {

namespace ethertype {
inline constexpr uint16_t ipv4 = 0x0800;
inline constexpr uint16_t arp = 0x0806;
inline constexpr uint16_t vlan = 0x8100;
inline constexpr uint16_t ipv6 = 0x86dd;
}  // namespace ethertype

/// A frame whose header is known to be there.
class EthernetView {
  public:
    static constexpr size_t header_bytes = 14;
    static constexpr size_t tag_bytes = 4;

    static tl::expected<EthernetView, Drop> checked(std::span<const uint8_t> frame) {
        if (frame.size() < header_bytes) [[unlikely]]
            return tl::unexpected{Drop::frame_too_short};
        const bool tagged = load_be16(&frame[12]) == ethertype::vlan;
        if (tagged && frame.size() < header_bytes + tag_bytes) [[unlikely]] {
            return tl::unexpected{Drop::frame_too_short};
        }
        return EthernetView{frame, tagged};
    }

    MacAddress destination() const { return load_mac(frame_.data()); }
    MacAddress source() const { return load_mac(frame_.data() + 6); }
    bool destination_is_group() const { return (frame_[0] & 1) != 0; }
    bool source_is_group() const { return (frame_[6] & 1) != 0; }
    bool has_tag() const { return tagged_; }
    /// Priority, DEI and VLAN identifier as they stand in the tag; 0 without one.
    uint16_t tag() const { return tagged_ ? load_be16(&frame_[14]) : uint16_t{0}; }
    /// What the payload is; a second tag shows up here as `ethertype::vlan`.
    uint16_t type() const { return load_be16(&frame_[header_length() - 2]); }
    size_t header_length() const { return tagged_ ? header_bytes + tag_bytes : header_bytes; }
    /// All that follows the header, padding included.
    std::span<const uint8_t> payload() const { return frame_.subspan(header_length()); }

  private:
    EthernetView(std::span<const uint8_t> frame, bool tagged) : frame_{frame}, tagged_{tagged} {}
    std::span<const uint8_t> frame_;
    bool tagged_;
};

/// A header that stands ready to be put in front of many packets to one neighbor.
struct L2Header {
    std::array<uint8_t, EthernetView::header_bytes + EthernetView::tag_bytes> bytes{};
    uint8_t length = 0;  ///< 14, or 18 with a tag
};

/// `tag` is the whole tag control field: priority, DEI and VLAN identifier.
L2Header make_l2_header(const MacAddress& destination, const MacAddress& source, uint16_t type,
                        std::optional<uint16_t> tag = std::nullopt);

/// Writes `header` at `out` and returns its length. `out` must have room for 18 bytes even if the
/// header has 14: a copy of fixed size is one without a branch.
inline size_t write_l2_header(uint8_t* out, const L2Header& header) {
    std::memcpy(out, header.bytes.data(), header.bytes.size());
    return header.length;
}

}  // namespace synfin::wire
