// The kernel's form of a socket address, and ours.
#pragma once

#include <optional>

#include <sys/socket.h>

#include <synfin/wire/address.hpp>

namespace synfin::socket {

/// Nothing if `length` is too short for the family, or the family is neither IPv4 nor IPv6.
std::optional<wire::SocketAddress> from_sockaddr(const sockaddr* address, socklen_t length);

/// Writes `address` as one of `domain` (AF_INET, or AF_INET6 with IPv4 mapped) and cuts it off at
/// `*length`, which then says how long it is in full. Null pointers ask for nothing.
void to_sockaddr(const wire::SocketAddress& address, int domain, sockaddr* out, socklen_t* length);

}  // namespace synfin::socket
