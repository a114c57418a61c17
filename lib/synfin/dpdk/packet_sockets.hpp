// The packet sockets behind af_packet devices, which the driver keeps to itself.
//
// What the driver writes into its ring is sent when it next calls the kernel, and the kernel sends
// no more than the socket's send buffer holds until the other side has taken it: some ninety frames
// by default. What is left stays in the ring, though the driver calls it sent, until there is
// something else to send. When everybody waits for just these frames, nothing moves before a
// retransmission timer expires. So the send buffers are made as large as the rings.
#pragma once

#include <cstdint>

namespace synfin::dpdk {

/// Lets each packet socket of this process send so many frames of so many bytes at once, as far as
/// the system allows it. Returns how many sockets there are.
unsigned widen_packet_sockets(uint32_t frames, uint32_t frame_bytes);

}  // namespace synfin::dpdk
