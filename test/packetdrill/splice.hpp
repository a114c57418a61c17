// splice() between one of our sockets and a pipe of the kernel's.
#pragma once

#include <sys/types.h>

#include "virtual_host.hpp"

namespace synfin::packetdrill {

/// As splice(2); -errno where it fails. An offset other than zero is refused: neither side can
/// seek.
ssize_t splice(VirtualHost& host, int from, const loff_t* from_offset, int to,
               const loff_t* to_offset, size_t count, unsigned flags);

}  // namespace synfin::packetdrill
