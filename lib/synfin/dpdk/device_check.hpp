// Looks at the system before DPDK does, for the mistakes that users make: an interface that does
// not exist, a missing permission, a NIC that the kernel still holds. A driver's own words for
// these are several lines of its internals; here it is one sentence.
#pragma once

#include <optional>
#include <string>

#include <synfin/dpdk/device_spec.hpp>

namespace synfin::dpdk {

/// Why the device cannot be used with `queues` queue pairs as things stand, in one sentence;
/// nothing when no reason is seen.
std::optional<std::string> why_unusable(const DeviceSpec& spec, unsigned queues = 1);

}  // namespace synfin::dpdk
