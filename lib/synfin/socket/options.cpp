// getsockopt and setsockopt. What an option means to the protocol stands in the socket's profile,
// which becomes the connection's own; what it means to the calls stands in the socket.
#include <algorithm>
#include <climits>
#include <cstring>
#include <string_view>

#include <linux/tcp.h>
#include <netinet/in.h>

#include <synfin/socket/info.hpp>
#include <synfin/socket/sockets.hpp>

namespace synfin::socket {

namespace {

// Linux counts its own overhead into the buffers: what is set comes back doubled, and so much can
// be queued to be sent; the window that is announced leaves half of it for the overhead.
constexpr int overhead_factor = 2;
constexpr int min_send_buffer = 2304;
constexpr int min_receive_buffer = 1152;
constexpr int most_linger2 = 120;  // seconds
constexpr int default_mss = 536;

int seconds_of(Duration d) { return static_cast<int>(d.count_ms() / 1000); }

/// Copies an option's value out as getsockopt does: cut off at the caller's length.
int give(const void* from, size_t size, void* value, socklen_t* length) {
    const auto count = static_cast<socklen_t>(std::min<size_t>(*length, size));
    std::memcpy(value, from, count);
    *length = count;
    return 0;
}
int give(int number, void* value, socklen_t* length) {
    return give(&number, sizeof number, value, length);
}

std::optional<int> number_in(const void* value, socklen_t length) {
    if (value == nullptr || length < sizeof(int)) return std::nullopt;
    int number = 0;
    std::memcpy(&number, value, sizeof number);
    return number;
}

// The options of IP also come as a single byte.
std::optional<int> number_or_byte_in(const void* value, socklen_t length) {
    if (value == nullptr || length == 0) return std::nullopt;
    if (length >= sizeof(int)) return number_in(value, length);
    return *static_cast<const uint8_t*>(value);
}

timeval timeval_of(Duration d) {
    if (d >= Duration::forever()) return {};
    return {.tv_sec = d.count_us() / 1'000'000, .tv_usec = d.count_us() % 1'000'000};
}

std::optional<Duration> duration_in(const void* value, socklen_t length) {
    if (value == nullptr || length < sizeof(timeval)) return std::nullopt;
    timeval time{};
    std::memcpy(&time, value, sizeof time);
    if (time.tv_sec < 0 || time.tv_usec < 0 || time.tv_usec >= 1'000'000) return std::nullopt;
    if (time.tv_sec >= Duration::forever() / Duration::seconds(1)) return Duration::forever();
    const Duration d = Duration::seconds(time.tv_sec) + Duration::microseconds(time.tv_usec);
    return d == Duration{} ? Duration::forever() : d;
}

// What has no meaning here is taken without effect, so that programs need not care.
bool has_no_effect(int name) {
    switch (name) {
        case SO_PRIORITY:
        case SO_MARK:
        case SO_OOBINLINE:
        case SO_BROADCAST:
        case SO_DONTROUTE:
        case SO_TIMESTAMP: return true;
        default: return false;
    }
}
bool is_number(int name) { return name == SO_PRIORITY || name == SO_MARK; }

bool is_within(int n, int least, int most) { return n >= least && n <= most; }

// How long it takes until so many SYN,ACKs have been sent again.
int seconds_of_syn_acks(uint8_t count) {
    int told = 0;
    int timeout = 1;
    for (int sent = 0; sent < count; ++sent) {
        told += timeout;
        timeout = std::min(2 * timeout, 120);
    }
    return told;
}

// Linux keeps the time of TCP_DEFER_ACCEPT so: as many as fill it.
uint8_t in_syn_acks(int seconds) {
    uint8_t count = 0;
    while (count < UINT8_MAX && seconds_of_syn_acks(count) < seconds) ++count;
    return count;
}

/// The options that say how long, or how often, something is tried.
int change_patience(tcp::Profile& profile, int name, int n) {
    switch (name) {
        case TCP_KEEPIDLE:
            if (!is_within(n, 1, 32767)) return -EINVAL;
            profile.keep_alive_idle = Duration::seconds(n);
            return 0;
        case TCP_KEEPINTVL:
            if (!is_within(n, 1, 32767)) return -EINVAL;
            profile.keep_alive_interval = Duration::seconds(n);
            return 0;
        case TCP_KEEPCNT:
            if (!is_within(n, 1, 127)) return -EINVAL;
            profile.keep_alive_probes = static_cast<uint8_t>(n);
            return 0;
        case TCP_SYNCNT:
            if (!is_within(n, 1, 127)) return -EINVAL;
            profile.syn_retries = static_cast<uint8_t>(n);
            return 0;
        case TCP_DEFER_ACCEPT: profile.deferred_syn_acks = in_syn_acks(n); return 0;
        case TCP_LINGER2:
            profile.fin_wait_2_timeout =
                n < 0 ? Duration{} : Duration::seconds(n == 0 ? 60 : std::min(n, most_linger2));
            return 0;
        case TCP_USER_TIMEOUT:
            if (n < 0) return -EINVAL;
            profile.user_timeout = n == 0 ? Duration::forever() : Duration::milliseconds(n);
            profile.user_timeout_changeable = n == 0;  // RFC 5482 section 3.1
            return 0;
        default: return -ENOPROTOOPT;
    }
}

/// The options that say when segments and acknowledgments leave, and how large they are.
int change_segments(tcp::Profile& profile, int name, int n, const tcp::Profile& usual) {
    switch (name) {
        case TCP_NODELAY: profile.nagle = n == 0; return 0;
        case TCP_CORK: profile.cork = n != 0; return 0;
        case TCP_MAXSEG:
            if (n != 0 && !is_within(n, 88, 32767)) return -EINVAL;
            profile.mss_clamp = static_cast<uint16_t>(n);
            return 0;
        case TCP_WINDOW_CLAMP:
            if (n < 0) return -EINVAL;
            profile.window_clamp =
                n == 0 ? 0 : static_cast<uint32_t>(std::max(n, min_receive_buffer));
            return 0;
        case TCP_QUICKACK:
            profile.delayed_ack = n != 0 ? Duration{} : usual.delayed_ack;
            profile.prompt_ack = Duration::forever();
            return 0;
        default: return -ENOPROTOOPT;
    }
}

}  // namespace

// ---- reading

namespace {

// What troubles a connection that stands is told, too, if nothing has ended it.
int told_error(Socket& socket) {
    if (socket.error != 0 || socket.role != Role::connected) return std::exchange(socket.error, 0);
    const int trouble = socket.trouble();
    socket.soft_error = 0;
    return trouble;
}

// What a connection's send buffer has grown to.
int told_send_buffer(const Socket& socket, const stack::Worker& worker) {
    const uint32_t grown = worker.info(socket.id).send_buffer_bytes;
    return static_cast<int>(std::max(grown, socket.profile.send_buffer_bytes));
}

int get_socket_option(Socket& socket, int name, void* value, socklen_t* length,
                      const stack::Worker& worker) {
    const tcp::Profile& p = socket.profile;
    switch (name) {
        case SO_REUSEADDR: return give(socket.reuse_address, value, length);
        case SO_REUSEPORT: return give(socket.reuse_port, value, length);
        case SO_KEEPALIVE: return give(p.keep_alive, value, length);
        case SO_SNDBUF: return give(told_send_buffer(socket, worker), value, length);
        case SO_RCVBUF:
            return give(overhead_factor * static_cast<int>(p.receive_buffer_bytes), value, length);
        case SO_RCVLOWAT: return give(static_cast<int>(socket.receive_low_water), value, length);
        case SO_ERROR: return give(told_error(socket), value, length);
        case SO_TYPE: return give(SOCK_STREAM, value, length);
        case SO_DOMAIN: return give(socket.domain, value, length);
        case SO_PROTOCOL: return give(IPPROTO_TCP, value, length);
        case SO_ACCEPTCONN: return give(socket.role == Role::listening, value, length);
        case SO_LINGER: {
            const struct linger l{.l_onoff = socket.lingers,
                                  .l_linger = seconds_of(socket.linger_time)};
            return give(&l, sizeof l, value, length);
        }
        case SO_RCVTIMEO: {
            const timeval t = timeval_of(socket.receive_timeout);
            return give(&t, sizeof t, value, length);
        }
        case SO_SNDTIMEO: {
            const timeval t = timeval_of(socket.send_timeout);
            return give(&t, sizeof t, value, length);
        }
        default: {
            if (!has_no_effect(name)) return -ENOPROTOOPT;
            const auto kept = socket.without_effect.find(name);
            return give(kept == socket.without_effect.end() ? 0 : kept->second, value, length);
        }
    }
}

int get_tcp_option(Socket& socket, int name, void* value, socklen_t* length,
                   stack::Worker& worker) {
    const tcp::Profile& p = socket.profile;
    switch (name) {
        case TCP_NODELAY: return give(!p.nagle, value, length);
        case TCP_CORK: return give(p.cork, value, length);
        case TCP_MAXSEG: {
            const tcp::Info info = worker.info(socket.id);
            const bool open = info.state != tcp::State::closed;
            const int clamp = p.mss_clamp != 0 ? p.mss_clamp : default_mss;
            return give(open ? static_cast<int>(payload_max(info)) : clamp, value, length);
        }
        case TCP_KEEPIDLE: return give(seconds_of(p.keep_alive_idle), value, length);
        case TCP_KEEPINTVL: return give(seconds_of(p.keep_alive_interval), value, length);
        case TCP_KEEPCNT: return give(p.keep_alive_probes, value, length);
        case TCP_SYNCNT: return give(p.syn_retries == 0 ? 6 : p.syn_retries, value, length);
        case TCP_LINGER2: {
            const bool none = p.fin_wait_2_timeout == Duration{};
            return give(none ? -1 : seconds_of(p.fin_wait_2_timeout), value, length);
        }
        case TCP_DEFER_ACCEPT: return give(seconds_of_syn_acks(p.deferred_syn_acks), value, length);
        case TCP_WINDOW_CLAMP: return give(static_cast<int>(p.window_clamp), value, length);
        case TCP_QUICKACK: return give(socket.quick_ack, value, length);
        case TCP_NOTSENT_LOWAT:
            return give(static_cast<int>(socket.unsent_low_water), value, length);
        case TCP_USER_TIMEOUT: {
            const bool none = p.user_timeout >= Duration::forever();
            return give(none ? 0 : static_cast<int>(p.user_timeout.count_ms()), value, length);
        }
        case TCP_INQ: return give(socket.give_queued_bytes, value, length);
        case TCP_FASTOPEN: return give(static_cast<int>(socket.fast_open), value, length);
        case TCP_FASTOPEN_CONNECT: return give(socket.fast_open_connect, value, length);
        case TCP_INFO: {
            worker.settle_history(socket.id, socket.history);
            const tcp_info info = info_of(socket, worker.info(socket.id), worker.now());
            return give(&info, sizeof info, value, length);
        }
        case TCP_CONGESTION: {
            char text[16] = {};
            std::string_view{tcp::name(p.congestion)}.copy(text, sizeof text - 1);
            return give(text, sizeof text, value, length);
        }
        default: return -ENOPROTOOPT;
    }
}

}  // namespace

int Sockets::getsockopt(int descriptor, int level, int name, void* value, socklen_t* length) {
    int failure = 0;
    const SocketPtr socket = find(descriptor, failure);
    if (socket == nullptr) return failure;
    if (value == nullptr || length == nullptr) return -EFAULT;
    if (static_cast<int>(*length) < 0) return -EINVAL;
    if (level == SOL_SOCKET) return get_socket_option(*socket, name, value, length, worker_);
    if (level == IPPROTO_TCP) return get_tcp_option(*socket, name, value, length, worker_);
    if (level == IPPROTO_IP && name == IP_TTL) {
        return give(socket->profile.time_to_live, value, length);
    }
    if (level == IPPROTO_IP && name == IP_TOS) {
        return give(socket->profile.diffserv << 2, value, length);
    }
    return level == IPPROTO_IP || level == IPPROTO_IPV6 ? -ENOPROTOOPT : -EOPNOTSUPP;
}

// ---- writing

// The profile as it is to be from now on, also for what has been opened or listened with already.
int Sockets::apply(Socket& socket, const tcp::Profile& profile) {
    if (profile == socket.profile) return 0;
    if (socket.role == Role::connected || socket.role == Role::connecting) {
        if (!worker_.change_profile(socket.id, profile)) return -ENOBUFS;
    } else if (socket.role == Role::listening) {
        if (!worker_.change_profile(socket.local, profile)) return -ENOBUFS;
    }
    socket.profile = profile;
    return 0;
}

int Sockets::set_socket_option(Socket& socket, int name, const void* value, socklen_t length) {
    if (name == SO_LINGER) {
        if (value == nullptr || length < sizeof(struct linger)) return -EINVAL;
        struct linger l{};
        std::memcpy(&l, value, sizeof l);
        socket.lingers = l.l_onoff != 0;
        socket.linger_time = Duration::seconds(std::max(l.l_linger, 0));
        return 0;
    }
    if (name == SO_RCVTIMEO || name == SO_SNDTIMEO) {
        const auto time = duration_in(value, length);
        if (!time) return length < sizeof(timeval) ? -EINVAL : -EDOM;
        (name == SO_RCVTIMEO ? socket.receive_timeout : socket.send_timeout) = *time;
        return 0;
    }
    const auto number = number_in(value, length);
    if (!number) return -EINVAL;
    tcp::Profile profile = socket.profile;
    switch (name) {
        case SO_REUSEADDR: socket.reuse_address = *number != 0; return 0;
        case SO_REUSEPORT: socket.reuse_port = *number != 0; return 0;
        case SO_RCVLOWAT:
            socket.receive_low_water = static_cast<uint32_t>(std::max(*number, 1));
            return 0;
        case SO_KEEPALIVE: profile.keep_alive = *number != 0; break;
        case SO_SNDBUF:
            profile.send_buffer_bytes = static_cast<uint32_t>(
                std::max(overhead_factor * std::min(*number, INT_MAX / overhead_factor),
                         2 * min_send_buffer));
            profile.send_buffer_most_bytes = 0;  // as the user says, and no longer by itself
            break;
        case SO_RCVBUF:
            profile.receive_buffer_bytes = static_cast<uint32_t>(
                std::clamp(*number, min_receive_buffer, INT_MAX / overhead_factor));
            break;
        default:
            if (!has_no_effect(name)) return -ENOPROTOOPT;
            socket.without_effect[name] = is_number(name) ? *number : *number != 0;
            return 0;
    }
    return apply(socket, profile);
}

int Sockets::set_congestion(Socket& socket, const void* value, socklen_t length) {
    if (value == nullptr || length < 1) return -EINVAL;
    const std::string_view text{static_cast<const char*>(value), length};
    const auto algorithm = tcp::congestion_algorithm_named(text.substr(0, text.find('\0')));
    if (!algorithm) return -ENOENT;
    tcp::Profile profile = socket.profile;
    profile.congestion = *algorithm;
    return apply(socket, profile);
}

// What the calls keep to, and the protocol does not know of.
int Sockets::set_of_calls(Socket& socket, int name, int n) {
    switch (name) {
        case TCP_NOTSENT_LOWAT:
            socket.unsent_low_water = static_cast<uint32_t>(n);
            ++socket.happenings;
            return 0;
        case TCP_INQ:
            if (!is_within(n, 0, 1)) return -EINVAL;
            socket.give_queued_bytes = n != 0;
            return 0;
        case TCP_FASTOPEN:
            if (n < 0 || (socket.role != Role::fresh && socket.role != Role::listening)) {
                return -EINVAL;
            }
            socket.fast_open = std::min(static_cast<uint32_t>(n), config_.max_backlog);
            if (socket.role == Role::listening) {
                worker_.set_fast_open(socket.local, socket.fast_open);
            }
            return 0;
        case TCP_FASTOPEN_CONNECT:
            if (!is_within(n, 0, 1) || socket.role != Role::fresh) return -EINVAL;
            socket.fast_open_connect = n != 0;
            return 0;
        default: return -ENOPROTOOPT;
    }
}

// What the protocol keeps to.
int Sockets::set_of_protocol(Socket& socket, int name, int n) {
    tcp::Profile profile = socket.profile;
    int failure = change_patience(profile, name, n);
    if (failure == -ENOPROTOOPT) {
        failure = change_segments(profile, name, n, worker_.profile(uint16_t{0}));
    }
    if (failure != 0) return failure;
    if (name == TCP_QUICKACK) socket.quick_ack = n != 0;
    // What is queued goes even where TCP_CORK holds it back.
    if (name == TCP_NODELAY && n != 0) worker_.set_pushing(socket.id, tcp::Pushing::now);
    return apply(socket, profile);
}

int Sockets::set_tcp_option(Socket& socket, int name, const void* value, socklen_t length) {
    if (name == TCP_CONGESTION) return set_congestion(socket, value, length);
    const auto number = number_in(value, length);
    if (!number) return -EINVAL;
    const int failure = set_of_calls(socket, name, *number);
    return failure == -ENOPROTOOPT ? set_of_protocol(socket, name, *number) : failure;
}

int Sockets::setsockopt(int descriptor, int level, int name, const void* value, socklen_t length) {
    int failure = 0;
    const SocketPtr socket = find(descriptor, failure);
    if (socket == nullptr) return failure;
    if (level == SOL_SOCKET) return set_socket_option(*socket, name, value, length);
    if (level == IPPROTO_TCP) return set_tcp_option(*socket, name, value, length);
    tcp::Profile profile = socket->profile;
    const auto number = number_or_byte_in(value, length);
    if (level == IPPROTO_IP && (name == IP_TTL || name == IP_TOS)) {
        if (!number || *number > UINT8_MAX) return -EINVAL;
        if (name == IP_TTL) {
            if (*number == 0 || *number < -1) return -EINVAL;
            profile.time_to_live = *number < 0 ? uint8_t{64} : static_cast<uint8_t>(*number);
        } else {
            profile.diffserv = static_cast<uint8_t>((*number & 0xfc) >> 2);
        }
        return apply(*socket, profile);
    }
    if (level == IPPROTO_IP || level == IPPROTO_IPV6) return 0;
    return -ENOPROTOOPT;
}

}  // namespace synfin::socket
