#include <algorithm>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <synfin/socket/addresses.hpp>
#include <synfin/wire/bytes.hpp>

namespace synfin::socket {

std::optional<wire::SocketAddress> from_sockaddr(const sockaddr* address, socklen_t length) {
    if (address == nullptr || length < sizeof(sa_family_t)) return std::nullopt;
    if (address->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
        sockaddr_in in{};
        std::memcpy(&in, address, sizeof in);
        return wire::SocketAddress{wire::IpAddress::v4(ntohl(in.sin_addr.s_addr)),
                                   ntohs(in.sin_port)};
    }
    if (address->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
        sockaddr_in6 in{};
        std::memcpy(&in, address, sizeof in);
        const uint8_t* bytes = in.sin6_addr.s6_addr;
        return wire::SocketAddress{
            wire::IpAddress::v6(wire::load_be64(bytes), wire::load_be64(bytes + 8)),
            ntohs(in.sin6_port)};
    }
    return std::nullopt;
}

void to_sockaddr(const wire::SocketAddress& address, int domain, sockaddr* out, socklen_t* length) {
    if (out == nullptr || length == nullptr) return;
    if (domain == AF_INET) {
        sockaddr_in in{};
        in.sin_family = AF_INET;
        in.sin_port = htons(address.port);
        in.sin_addr.s_addr = address.address.is_v4() ? htonl(address.address.v4()) : 0;
        std::memcpy(out, &in, std::min<size_t>(*length, sizeof in));
        *length = sizeof in;
        return;
    }
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(address.port);
    wire::store_be64(in.sin6_addr.s6_addr, address.address.high());
    wire::store_be64(in.sin6_addr.s6_addr + 8, address.address.low());
    std::memcpy(out, &in, std::min<size_t>(*length, sizeof in));
    *length = sizeof in;
}

}  // namespace synfin::socket
