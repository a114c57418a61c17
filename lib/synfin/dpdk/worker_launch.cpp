#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <utility>

#include <poll.h>
#include <pthread.h>
#include <rte_lcore.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <synfin/base/assert.hpp>
#include <synfin/dpdk/eal.hpp>
#include <synfin/dpdk/worker_launch.hpp>

namespace synfin::dpdk {

namespace {

// What a signal handler may touch: lock-free atomics, and a descriptor to write to.
std::atomic<int> requests{0};
std::atomic<int> wake_up{-1};
static_assert(std::atomic<int>::is_always_lock_free);

struct sigaction previous_interrupt;
struct sigaction previous_terminate;

void count_request() {
    requests.fetch_add(1, std::memory_order_relaxed);
    const uint64_t one = 1;
    const int descriptor = wake_up.load(std::memory_order_relaxed);
    // A full counter wakes up as well.
    if (descriptor >= 0) static_cast<void>(!::write(descriptor, &one, sizeof one));
}

extern "C" void on_signal(int /*number*/) {
    const int saved = errno;
    count_request();
    errno = saved;
}

void pin_to(unsigned core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    // Refused only when the core has gone meanwhile; then the thread runs where it may.
    ::pthread_setaffinity_np(::pthread_self(), sizeof set, &set);
}

/// Signals are for the main thread; a worker would lose microseconds to each. A thread inherits
/// what is blocked when it is started.
class SignalsBlocked {
  public:
    SignalsBlocked() {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &previous_);
    }
    ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &previous_, nullptr); }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

  private:
    sigset_t previous_;
};

}  // namespace

ThreadRegistration::ThreadRegistration()
    : is_ours_{rte_lcore_id() == LCORE_ID_ANY && rte_thread_register() == 0},
      done_{is_ours_ || rte_lcore_id() != LCORE_ID_ANY} {}

ThreadRegistration::~ThreadRegistration() {
    if (is_ours_) rte_thread_unregister();
}

Shutdown::Shutdown() {
    SYNFIN_ASSERT(wake_up.load() == -1);
    requests.store(0);
    wake_up.store(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    struct sigaction action{};
    action.sa_handler = on_signal;
    ::sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGINT, &action, &previous_interrupt);
    ::sigaction(SIGTERM, &action, &previous_terminate);
}

Shutdown::~Shutdown() {
    ::sigaction(SIGINT, &previous_interrupt, nullptr);
    ::sigaction(SIGTERM, &previous_terminate, nullptr);
    ::close(wake_up.exchange(-1));
}

int Shutdown::level() const { return requests.load(std::memory_order_relaxed); }

void Shutdown::request() { count_request(); }

void Shutdown::request_immediate() {
    while (!immediate()) count_request();
}

void Shutdown::wait(Duration patience) const {
    using std::chrono::steady_clock;
    const auto end = steady_clock::now() + std::chrono::nanoseconds{patience.count_ns()};
    pollfd descriptor{wake_up.load(), POLLIN, 0};
    // Other signals interrupt the sleep (the tap driver uses one for each packet), but do not end
    // it.
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - steady_clock::now());
        const auto milliseconds = std::clamp<int64_t>(left.count(), 0, INT32_MAX);
        const int ready = ::poll(&descriptor, 1, static_cast<int>(milliseconds));
        if (ready > 0) break;
        if (ready == 0) return;
    }
    uint64_t count = 0;
    static_cast<void>(!::read(descriptor.fd, &count, sizeof count));
}

WorkerThreads::~WorkerThreads() {
    stop();
    for (std::thread& thread : threads_) {
        if (thread.joinable()) thread.join();
    }
}

void WorkerThreads::start(unsigned core, const std::string& name,
                          std::function<void(const std::atomic<bool>& stop)> body) {
    failures_.push_back(std::make_unique<std::exception_ptr>());
    running_.fetch_add(1, std::memory_order_relaxed);
    try {
        const SignalsBlocked blocked;
        threads_.emplace_back(
            [this, core, name, body = std::move(body), failure = failures_.back().get()] {
                // The kernel keeps 15 characters of a thread's name.
                ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());
                pin_to(core);
                try {
                    const ThreadRegistration registration;
                    if (!registration.done()) {
                        throw SetupError{"worker '" + name +
                                         "' finds no room among DPDK's threads: use fewer workers"};
                    }
                    body(stop_);
                } catch (...) {
                    *failure = std::current_exception();
                }
                running_.fetch_sub(1, std::memory_order_release);
            });
    } catch (const std::system_error& error) {
        running_.fetch_sub(1, std::memory_order_relaxed);
        throw SetupError{"the thread of worker '" + name + "' cannot be started (" + error.what() +
                         ")"};
    }
}

void WorkerThreads::join() {
    for (std::thread& thread : threads_) {
        if (thread.joinable()) thread.join();
    }
    for (const auto& failure : failures_) {
        if (*failure) std::rethrow_exception(std::exchange(*failure, nullptr));
    }
}

std::vector<unsigned> assign_cores(unsigned workers, const std::vector<unsigned>& wanted) {
    const std::vector<unsigned> cores = wanted.empty() ? allowed_cores() : wanted;
    SYNFIN_ASSERT(!cores.empty());
    std::vector<unsigned> assigned;
    for (unsigned worker = 0; worker < workers; ++worker) {
        assigned.push_back(cores[worker % cores.size()]);
    }
    return assigned;
}

}  // namespace synfin::dpdk
