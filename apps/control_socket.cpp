#include "control_socket.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <ostream>
#include <sstream>
#include <streambuf>
#include <string_view>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "option_table.hpp"

namespace synfin::apps {

namespace {

constexpr std::string_view suffix = ".sock";
constexpr int patience_ms = 2000;  // for a client that connects and says nothing

std::string socket_path(pid_t pid) {
    return fmt::format("{}/{}{}", control_directory(), pid, suffix);
}

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof(address.sun_path)) {
        throw RunError{fmt::format("the control socket's path is too long: {}", path)};
    }
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

const sockaddr* as_sockaddr(const sockaddr_un& address) {
    return static_cast<const sockaddr*>(static_cast<const void*>(&address));
}

// One line, without its end; empty if none comes in time.
std::string read_line(int fd) {
    std::string line;
    char c = 0;
    pollfd waiting{fd, POLLIN, 0};
    while (line.size() < 256 && ::poll(&waiting, 1, patience_ms) == 1 && ::read(fd, &c, 1) == 1) {
        if (c == '\n') break;
        line += c;
    }
    return line;
}

/// Waits for a reader for as long as it likes, but not when `end` (-1: nothing) becomes readable.
/// False then, and when the reader has left.
bool write_all(int fd, int end, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (written >= 0) {
            text.remove_prefix(static_cast<size_t>(written));
            continue;
        }
        if (errno != EAGAIN && errno != EINTR) return false;
        pollfd waiting[2] = {{fd, POLLOUT, 0}, {end, POLLIN, 0}};
        if (::poll(waiting, 2, -1) > 0 && waiting[1].revents != 0) return false;
    }
    return true;
}

/// A stream into a socket: an answer may have a line for each of millions of connections, so it is
/// never held as a whole.
class SocketBuffer : public std::streambuf {
  public:
    SocketBuffer(int fd, int end) : fd_{fd}, end_{end} {
        setp(bytes_.data(), bytes_.data() + bytes_.size());
    }
    ~SocketBuffer() override { flush(); }

  protected:
    int_type overflow(int_type c) override {
        flush();
        if (traits_type::eq_int_type(c, traits_type::eof())) return traits_type::not_eof(c);
        return sputc(traits_type::to_char_type(c));
    }
    int sync() override { return flush() ? 0 : -1; }

  private:
    // What a reader that has left would have got is dropped.
    bool flush() {
        const auto pending = static_cast<size_t>(pptr() - pbase());
        connected_ = connected_ && write_all(fd_, end_, {pbase(), pending});
        setp(bytes_.data(), bytes_.data() + bytes_.size());
        return connected_;
    }

    int fd_;
    int end_;
    bool connected_ = true;
    std::array<char, 65536> bytes_;
};

}  // namespace

std::string control_directory() {
    if (const char* runtime = std::getenv("XDG_RUNTIME_DIR");
        runtime != nullptr && *runtime == '/') {
        return fmt::format("{}/synfin", runtime);
    }
    if (::geteuid() == 0) return "/run/synfin";
    return fmt::format("/tmp/synfin-{}", ::geteuid());
}

ControlServer::ControlServer(Handler handler) : handler_{std::move(handler)} {
    const std::string directory = control_directory();
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    // No link either: /tmp is everybody's.
    struct stat status{};
    if (::lstat(directory.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) ||
        status.st_uid != ::geteuid()) {
        throw RunError{fmt::format("the folder {} for the control socket is not ours", directory)};
    }
    ::chmod(directory.c_str(), 0700);
    path_ = socket_path(::getpid());
    ::unlink(path_.c_str());
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_un address = address_of(path_);
    if (listener_ < 0 || ::bind(listener_, as_sockaddr(address), sizeof(address)) != 0 ||
        ::chmod(path_.c_str(), 0600) != 0 || ::listen(listener_, 8) != 0 || ::pipe(wake_) != 0) {
        throw RunError{
            fmt::format("the control socket {} cannot be made: {}", path_, std::strerror(errno))};
    }
    thread_ = std::thread{[this] { serve(); }};
}

ControlServer::~ControlServer() {
    if (thread_.joinable()) {
        const char end = 0;
        static_cast<void>(!::write(wake_[1], &end, 1));
        thread_.join();
    }
    for (const int fd : {listener_, wake_[0], wake_[1]}) {
        if (fd >= 0) ::close(fd);
    }
    ::unlink(path_.c_str());
}

void ControlServer::serve() {
    while (true) {
        pollfd waiting[2] = {{listener_, POLLIN, 0}, {wake_[0], POLLIN, 0}};
        if (::poll(waiting, 2, -1) < 0 && errno != EINTR) return;
        if (waiting[1].revents != 0) return;
        if (waiting[0].revents == 0) continue;
        const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (connection < 0) continue;
        answer(connection);
        ::close(connection);
    }
}

void ControlServer::answer(int connection) {
    std::istringstream words{read_line(connection)};
    std::vector<std::string> request;
    for (std::string word; words >> word;) request.push_back(word);
    SocketBuffer buffer{connection, wake_[0]};
    std::ostream out{&buffer};
    if (!request.empty()) handler_(request, out);
}

std::vector<pid_t> running_processes() {
    std::vector<pid_t> found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(control_directory(), error)) {
        const std::string name = entry.path().filename();
        if (!name.ends_with(suffix)) continue;
        const auto pid = static_cast<pid_t>(std::atol(name.c_str()));
        if (pid > 0 && (::kill(pid, 0) == 0 || errno == EPERM)) found.push_back(pid);
    }
    std::sort(found.begin(), found.end());
    return found;
}

void ask(pid_t pid, const std::string& request, std::ostream& out) {
    const std::string path = socket_path(pid);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_un address = address_of(path);
    if (fd < 0 || ::connect(fd, as_sockaddr(address), sizeof(address)) != 0) {
        const std::string reason = std::strerror(errno);
        if (fd >= 0) ::close(fd);
        throw RunError{fmt::format("process {} cannot be asked through {}: {}", pid, path, reason)};
    }
    write_all(fd, -1, request + "\n");
    char buffer[65536];
    for (ssize_t count = 0; (count = ::read(fd, buffer, sizeof(buffer))) > 0;) {
        out.write(buffer, count);
    }
    ::close(fd);
}

}  // namespace synfin::apps
