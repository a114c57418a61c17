// Two hosts with sockets, and a world that runs while one of them waits.
#pragma once

#include <cerrno>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <synfin/sim/world.hpp>
#include <synfin/socket/addresses.hpp>
#include <synfin/socket/sockets.hpp>

namespace synfin::socket::test {

/// Descriptors count up; waiting runs the world, at most for ten minutes in all.
class WorldHost : public Host {
  public:
    explicit WorldHost(sim::World& world) : world_{world} {}
    bool wait(std::optional<Instant> deadline) override {
        if (world_.elapsed() > Duration::minutes(10)) return false;
        Duration step = Duration::milliseconds(1);
        if (deadline && *deadline - world_.now() < step) step = *deadline - world_.now();
        world_.run_for(step);
        return true;
    }
    int open_descriptor() override { return next_++; }
    void close_descriptor(int) override { ++closed; }
    int closed = 0;

  private:
    sim::World& world_;
    int next_ = 3;
};

class SocketWorld : public ::testing::Test {
  protected:
    static constexpr uint16_t port = 80;

    sockaddr_in address(const sim::Host& host, uint16_t number = port) const {
        sockaddr_in in{};
        socklen_t length = sizeof in;
        to_sockaddr({host.address(), number}, AF_INET, reinterpret_cast<sockaddr*>(&in), &length);
        return in;
    }
    int bind(Sockets& sockets, int fd, const sim::Host& host, uint16_t number = port) {
        const sockaddr_in in = address(host, number);
        return sockets.bind(fd, reinterpret_cast<const sockaddr*>(&in), sizeof in);
    }
    int connect(int fd, uint16_t number = port) {
        const sockaddr_in in = address(server_host, number);
        return client.connect(fd, reinterpret_cast<const sockaddr*>(&in), sizeof in);
    }
    static int stream(Sockets& sockets, int flags = 0) {
        return sockets.socket(AF_INET, SOCK_STREAM | flags, 0);
    }
    int listening(int backlog = 8) {
        const int fd = stream(server);
        EXPECT_EQ(bind(server, fd, server_host), 0);
        EXPECT_EQ(server.listen(fd, backlog), 0);
        return fd;
    }
    struct Pair {
        int client;
        int server;
    };
    Pair established(int flags = 0) {
        if (listener < 0) listener = listening();
        const int fd = stream(client);
        EXPECT_EQ(connect(fd), 0);
        if (flags != 0) {
            EXPECT_EQ(client.fcntl(fd, F_SETFL, flags), 0);
        }
        return {fd, server.accept(listener, nullptr, nullptr, flags)};
    }
    void settle(Duration d = Duration::milliseconds(100)) { world.run_for(d); }
    static ssize_t write(Sockets& sockets, int fd, std::string_view text) {
        return sockets.write(fd, text.data(), text.size());
    }
    static std::string read(Sockets& sockets, int fd, size_t most = 100, int flags = 0) {
        std::string text(most, '\0');
        const ssize_t count = sockets.recv(fd, text.data(), most, flags);
        if (count < 0) return "error " + std::to_string(-count);
        text.resize(static_cast<size_t>(count));
        return text;
    }
    static int set(Sockets& sockets, int fd, int level, int name, int value) {
        return sockets.setsockopt(fd, level, name, &value, sizeof value);
    }
    static int get(Sockets& sockets, int fd, int level, int name) {
        int value = -1;
        socklen_t length = sizeof value;
        const int result = sockets.getsockopt(fd, level, name, &value, &length);
        return result < 0 ? result : value;
    }

    sim::World world{1};
    sim::Host& client_host = world.add_host(sim::World::simple_host(1));
    sim::Host& server_host = world.add_host(sim::World::simple_host(2));
    sim::Link& link = world.connect(client_host, server_host);
    WorldHost client_waiter{world};
    WorldHost server_waiter{world};
    Sockets client{client_host.worker(), client_waiter};
    Sockets server{server_host.worker(), server_waiter, {.max_descriptors = 16}};
    int listener = -1;
};

}  // namespace synfin::socket::test
