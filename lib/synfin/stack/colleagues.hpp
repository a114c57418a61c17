// The other workers of the same host, as one of them sees them.
//
// A device spreads segments by their ports, but the parts of a divided datagram, of which only the
// first bears ports, by something else. So what they make may belong to another worker.
#pragma once

#include <cstdint>
#include <span>

#include <synfin/wire/address.hpp>

namespace synfin::stack {

class Colleagues {
  public:
    virtual ~Colleagues() = default;
    /// A TCP segment that came in parts, for which this worker has neither a connection nor a
    /// record in TIME_WAIT: `datagram`, and the link header that stood before its last part. True:
    /// it is another worker's, if anybody's, and on its way there, or was dropped and counted.
    /// False: it is this worker's.
    virtual bool take(uint8_t port, const wire::SocketAddress& local,
                      const wire::SocketAddress& remote, std::span<const uint8_t> link_header,
                      std::span<const uint8_t> datagram) = 0;
};

}  // namespace synfin::stack
