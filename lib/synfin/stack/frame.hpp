// A packet buffer, as the worker sees it: bytes and a length, and whose it is.
//
// The device's own buffer type stays behind `owner`. Received frames that have been consumed are
// the first that transmission takes: a frame is written where another was read a moment ago.
#pragma once

#include <array>
#include <cstdint>

#include <synfin/wire/packet.hpp>

namespace synfin::stack {

struct Frame {
    uint8_t* data = nullptr;
    uint32_t length = 0;
    wire::VerifiedChecksums verified{};  ///< received: by the device
    void* owner = nullptr;               ///< the device's
};

/// Empty frames on their way to being filled, up to a burst.
struct TransmitBatch {
    static constexpr unsigned capacity = 64;
    /// What a frame must hold beyond the MTU: the link header, and room for headers of full length
    /// in front of a full payload, so that the writer need not count.
    static constexpr uint32_t slack_bytes = 128;
    std::array<Frame, capacity> frames;
    unsigned available = 0;  ///< frames[0, available) may be written
    unsigned filled = 0;     ///< frames[0, filled) are complete
    uint8_t port = 0;        ///< the interface that they leave by
    bool full() const { return filled == available; }
};

/// What a device does for its worker. The loop is a template over it; this is the shape.
///
///     unsigned receive(Frame*, unsigned max);      // the frames are the worker's
///     void recycle(Frame*, unsigned count);        // consumed: to the stash
///     unsigned prepare(TransmitBatch&, unsigned);  // from the stash first, then from the pool
///     void transmit(TransmitBatch&);               // sends filled, keeps the rest
///     bool congested() const;                      // refused frames wait: prepares nothing now
///
/// A prepared frame's `data` is where its Ethernet header goes, with room for DeviceProperties::mtu
/// plus TransmitBatch::slack_bytes behind it. The worker sets `length` to what it has written.
struct DeviceProperties {
    uint32_t mtu = 1500;
    bool transmit_ip_checksum = false;  ///< the device fills in the IPv4 header checksum
    bool transmit_tcp_checksum =
        false;  ///< the device completes the TCP checksum from its pseudo sum
};

}  // namespace synfin::stack
