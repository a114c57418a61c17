#include "state_file.hpp"

#include <cstdio>
#include <fstream>

namespace synfin::packetdrill {

namespace {

void add_line(std::string& text, const stack::ConnectionInfo& info) {
    text += tcp::name(info.state);
    text += ' ' + std::to_string(info.receive_queue_bytes) + ' ' +
            std::to_string(info.send_queue_bytes) + ' ' + wire::to_string(info.local) + ' ' +
            (info.remote.port == 0 ? "*:*" : wire::to_string(info.remote)) + '\n';
}

}  // namespace

std::string describe_states(const stack::Worker& worker, const socket::Sockets& sockets,
                            Instant now) {
    std::string text;
    sockets.for_each_listener(
        [&](const wire::SocketAddress& local, size_t waiting, size_t backlog) {
            stack::ConnectionInfo info{};
            info.state = tcp::State::listen;
            info.local = local;
            info.receive_queue_bytes = static_cast<uint32_t>(waiting);
            info.send_queue_bytes = static_cast<uint32_t>(backlog);
            add_line(text, info);
        });
    worker.for_each_connection([&](const stack::ConnectionInfo& info) { add_line(text, info); },
                               now);
    return text;
}

void replace_file(const std::string& path, const std::string& text) {
    const std::string fresh = path + ".new";
    {
        std::ofstream file{fresh, std::ios::trunc};
        file << text;
    }
    std::rename(fresh.c_str(), path.c_str());
}

}  // namespace synfin::packetdrill
