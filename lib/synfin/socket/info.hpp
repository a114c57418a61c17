// What a socket tells of its connection in numbers: TCP_INFO.
#pragma once

#include <linux/tcp.h>

#include <synfin/socket/socket.hpp>
#include <synfin/tcp/info.hpp>

namespace synfin::socket {

/// `from` is of the socket's connection, or of CLOSED. Its history has been settled.
tcp_info info_of(const Socket& socket, const tcp::Info& from, Instant now);

/// How many bytes a segment of the connection carries at most, behind its usual options.
uint32_t payload_max(const tcp::Info& from);

}  // namespace synfin::socket
