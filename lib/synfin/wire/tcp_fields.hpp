// The fields of a TCP header that more than one room of the house speaks of: flags and options.
#pragma once

#include <bit>
#include <cstdint>

namespace synfin::wire {

/// The control bits of RFC 9293 section 3.1, as they stand in byte 13 of the header.
class TcpFlags {
  public:
    constexpr TcpFlags() = default;
    explicit constexpr TcpFlags(uint8_t bits) : bits_{bits} {}
    constexpr uint8_t bits() const { return bits_; }
    constexpr bool fin() const { return (bits_ & 0x01) != 0; }
    constexpr bool syn() const { return (bits_ & 0x02) != 0; }
    constexpr bool rst() const { return (bits_ & 0x04) != 0; }
    constexpr bool psh() const { return (bits_ & 0x08) != 0; }
    constexpr bool ack() const { return (bits_ & 0x10) != 0; }
    constexpr bool urg() const { return (bits_ & 0x20) != 0; }
    constexpr bool ece() const { return (bits_ & 0x40) != 0; }
    constexpr bool cwr() const { return (bits_ & 0x80) != 0; }
    constexpr bool has_all(TcpFlags f) const { return (bits_ & f.bits_) == f.bits_; }
    constexpr bool has_any(TcpFlags f) const { return (bits_ & f.bits_) != 0; }
    friend constexpr TcpFlags operator|(TcpFlags a, TcpFlags b) {
        return TcpFlags{static_cast<uint8_t>(a.bits_ | b.bits_)};
    }
    friend constexpr TcpFlags operator&(TcpFlags a, TcpFlags b) {
        return TcpFlags{static_cast<uint8_t>(a.bits_ & b.bits_)};
    }
    constexpr TcpFlags operator~() const { return TcpFlags{static_cast<uint8_t>(~bits_)}; }
    constexpr TcpFlags& operator|=(TcpFlags b) { return *this = *this | b; }
    friend constexpr bool operator==(TcpFlags, TcpFlags) = default;

  private:
    uint8_t bits_ = 0;
};

namespace flag {
inline constexpr TcpFlags none{0x00};
inline constexpr TcpFlags fin{0x01};
inline constexpr TcpFlags syn{0x02};
inline constexpr TcpFlags rst{0x04};
inline constexpr TcpFlags psh{0x08};
inline constexpr TcpFlags ack{0x10};
inline constexpr TcpFlags urg{0x20};
inline constexpr TcpFlags ece{0x40};
inline constexpr TcpFlags cwr{0x80};
}  // namespace flag

/// The last eight bytes of the fixed header, from behind: as they lie in a word of the host's, so
/// that a parser reads and keeps all of them at once.
struct TcpControl {
    uint16_t urgent = 0;  ///< urgent pointer, meaningful if flags.urg()
    uint16_t checksum = 0;
    uint16_t window = 0;  ///< as it stands in the header, not scaled
    TcpFlags flags;
    uint8_t data_offset = 0;  ///< the byte with it: in words, in the upper half

    constexpr TcpControl& control() { return *this; }
    /// `word` in host order.
    static constexpr TcpControl of(uint64_t word) {
        if constexpr (std::endian::native == std::endian::little)
            return std::bit_cast<TcpControl>(word);
        return {.urgent = static_cast<uint16_t>(word),
                .checksum = static_cast<uint16_t>(word >> 16),
                .window = static_cast<uint16_t>(word >> 32),
                .flags = TcpFlags{static_cast<uint8_t>(word >> 48)},
                .data_offset = static_cast<uint8_t>(word >> 56)};
    }
};
static_assert(sizeof(TcpControl) == 8);

/// The two lower bits of IPv4's TOS and IPv6's traffic class (RFC 3168 section 5).
enum class Ecn : uint8_t { not_capable = 0, ect_1 = 1, ect_0 = 2, ce = 3 };
constexpr Ecn ecn_of(uint8_t traffic_class) { return static_cast<Ecn>(traffic_class & 3); }

/// One block of a SACK option (RFC 2018): [left, right) in sequence space.
struct SackBlock {
    uint32_t left;
    uint32_t right;
    friend constexpr bool operator==(SackBlock, SackBlock) = default;
};

/// Which options a segment carries, and how many SACK blocks: so small that it is compared as one
/// number.
struct TcpOptionKinds {
    bool has_mss : 1 = false;
    bool has_window_scale : 1 = false;
    bool has_timestamps : 1 = false;
    bool sack_permitted : 1 = false;
    bool has_user_timeout : 1 = false;  ///< RFC 5482
    bool has_fast_open : 1 = false;     ///< RFC 7413
    uint8_t unused : 2 = 0;
    uint8_t sack_count = 0;  ///< 0..4

    /// Plain segments with timestamps.
    static constexpr TcpOptionKinds timestamps_alone() {
        TcpOptionKinds kinds;
        kinds.has_timestamps = true;
        return kinds;
    }
    /// What the SYNs of most hosts carry.
    static constexpr TcpOptionKinds usual_syn() {
        TcpOptionKinds kinds;
        kinds.has_mss = kinds.has_window_scale = true;
        kinds.has_timestamps = kinds.sack_permitted = true;
        return kinds;
    }
    friend constexpr bool operator==(TcpOptionKinds a, TcpOptionKinds b) {
        return std::bit_cast<uint16_t>(a) == std::bit_cast<uint16_t>(b);
    }
};

/// The options of one segment, after their lengths were checked. What is absent keeps its default.
struct TcpOptions : TcpOptionKinds {
    static constexpr uint8_t max_sack_blocks = 4;
    static constexpr uint8_t fast_open_bytes_max = 16;

    uint8_t window_scale = 0;     ///< valid if has_window_scale; as received, not clamped
    uint8_t fast_open_bytes = 0;  ///< of the cookie, 4..16; 0: one is asked for
    uint16_t mss = 0;             ///< valid if has_mss
    uint16_t user_timeout = 0;    ///< as it stands there: unit and number
    // The one that comes first in the option is the second here, so that both are one word.
    uint32_t ts_echo = 0;   ///< TSecr, valid if has_timestamps
    uint32_t ts_value = 0;  ///< TSval
    /// What no SYN carries, and what only a SYN carries: one place for both.
    union {
        SackBlock sack[max_sack_blocks] = {};  ///< only the first sack_count are written
        uint8_t fast_open_cookie[fast_open_bytes_max];
    };

    constexpr TcpOptionKinds& kinds() { return *this; }
    constexpr const TcpOptionKinds& kinds() const { return *this; }

    /// No option. What is not valid then keeps what stood there.
    constexpr void clear() {
        kinds() = TcpOptionKinds{};
        fast_open_bytes = 0;
    }
};

}  // namespace synfin::wire
