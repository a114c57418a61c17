// The door through which `synfin ss` and `synfin counters` look into a running synfin: a Unix
// socket named by the process id, open to the same user only. One request line in, text out,
// closed.
//
// The answers are produced on a thread of its own from what workers publish lock-free; no worker
// ever waits for it.
#pragma once

#include <atomic>
#include <functional>
#include <iosfwd>
#include <string>
#include <thread>
#include <vector>

#include <sys/types.h>

namespace synfin::apps {

/// The folder of the sockets: $XDG_RUNTIME_DIR/synfin, /run/synfin for root, else /tmp/synfin-UID.
std::string control_directory();

class ControlServer {
  public:
    /// Answers one request, already split at spaces, by writing to the stream.
    using Handler = std::function<void(const std::vector<std::string>&, std::ostream&)>;

    /// Throws RunError when the socket cannot be made.
    explicit ControlServer(Handler handler);
    ~ControlServer();
    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;

  private:
    void serve();
    void answer(int connection);

    Handler handler_;
    std::string path_;
    int listener_ = -1;
    int wake_[2] = {-1, -1};
    std::thread thread_;
};

/// The running processes that can be asked, those that have ended without cleaning up left out.
std::vector<pid_t> running_processes();

/// Sends `request` to process `pid` and copies the answer to `out`. Throws RunError.
void ask(pid_t pid, const std::string& request, std::ostream& out);

}  // namespace synfin::apps
