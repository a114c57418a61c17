#include <algorithm>
#include <charconv>
#include <climits>
#include <filesystem>
#include <string>
#include <system_error>

#include <sys/socket.h>

#include <synfin/dpdk/packet_sockets.hpp>

namespace synfin::dpdk {

namespace {

bool is_packet_socket(int descriptor) {
    int domain = 0;
    socklen_t length = sizeof domain;
    return ::getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 &&
           domain == AF_PACKET;
}

}  // namespace

unsigned widen_packet_sockets(uint32_t frames, uint32_t frame_bytes) {
    // The kernel doubles this, for what it keeps beside each frame. Beyond the system's limit only
    // who may configure interfaces gets as much as they ask for.
    const auto bytes =
        static_cast<int>(std::min<uint64_t>(uint64_t{frames} * frame_bytes, INT_MAX / 2));
    unsigned found = 0;
    std::error_code failure;
    for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd", failure}) {
        const std::string name = entry.path().filename();
        int descriptor = -1;
        std::from_chars(name.data(), name.data() + name.size(), descriptor);
        if (!is_packet_socket(descriptor)) continue;
        ++found;
        if (::setsockopt(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0) {
            ::setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
        }
    }
    return found;
}

}  // namespace synfin::dpdk
