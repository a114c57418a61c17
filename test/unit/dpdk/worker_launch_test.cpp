#include <atomic>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <thread>

#include <gtest/gtest.h>
#include <rte_lcore.h>

#include <synfin/dpdk/worker_launch.hpp>

#include "environment.hpp"

namespace synfin::dpdk {
namespace {

TEST(Shutdown, TheFirstSignalAsksForAGracefulEnd) {
    const Shutdown shutdown;
    EXPECT_FALSE(shutdown.requested());
    std::raise(SIGTERM);
    EXPECT_TRUE(shutdown.requested());
    EXPECT_FALSE(shutdown.immediate());
}

TEST(Shutdown, TheSecondSignalAsksForAnEndAtOnce) {
    const Shutdown shutdown;
    std::raise(SIGINT);
    std::raise(SIGTERM);
    EXPECT_TRUE(shutdown.immediate());
}

TEST(Shutdown, AnotherOneBeginsAnew) {
    {
        Shutdown shutdown;
        shutdown.request_immediate();
        EXPECT_TRUE(shutdown.immediate());
    }
    EXPECT_FALSE(Shutdown{}.requested());
}

TEST(Shutdown, ARequestEndsTheWait) {
    Shutdown shutdown;
    shutdown.request();
    // Were the request not seen, this would not return before the test's own time limit.
    shutdown.wait(Duration::minutes(10));
    EXPECT_TRUE(shutdown.requested());
}

TEST(Shutdown, AnotherSignalDoesNotEndTheWait) {
    std::signal(SIGUSR1, [](int) {});
    const Shutdown shutdown;
    std::atomic<bool> waiting{true};
    const pthread_t self = ::pthread_self();
    std::thread disturber{[&] {
        while (waiting) {
            ::pthread_kill(self, SIGUSR1);
            std::this_thread::yield();
        }
    }};
    const auto start = std::chrono::steady_clock::now();
    shutdown.wait(Duration::milliseconds(50));
    const auto elapsed = std::chrono::steady_clock::now() - start;
    waiting = false;
    disturber.join();
    std::signal(SIGUSR1, SIG_DFL);
    EXPECT_GE(elapsed, std::chrono::milliseconds{50});
}

TEST(WorkerThreads, ABodyRunsUntilItIsAskedToStop) {
    test::environment();
    WorkerThreads threads;
    std::atomic<bool> saw_stop{false};
    threads.start(allowed_cores().front(), "worker", [&](const std::atomic<bool>& stop) {
        while (!stop) std::this_thread::yield();
        saw_stop = true;
    });
    EXPECT_EQ(threads.running(), 1u);
    threads.stop();
    threads.join();
    EXPECT_TRUE(saw_stop);
    EXPECT_EQ(threads.running(), 0u);
}

TEST(WorkerThreads, EachHasAPlaceOfItsOwnInDpdk) {
    test::environment();
    WorkerThreads threads;
    std::atomic<unsigned> first{LCORE_ID_ANY};
    std::atomic<unsigned> second{LCORE_ID_ANY};
    std::atomic<int> arrived{0};
    const auto body = [&](std::atomic<unsigned>& place) {
        return [&](const std::atomic<bool>&) {
            place = rte_lcore_id();
            ++arrived;
            while (arrived < 2) std::this_thread::yield();
        };
    };
    threads.start(allowed_cores().front(), "first", body(first));
    threads.start(allowed_cores().front(), "second", body(second));
    threads.join();
    EXPECT_NE(first, LCORE_ID_ANY);
    EXPECT_NE(second, LCORE_ID_ANY);
    EXPECT_NE(first, second);
}

TEST(WorkerThreads, AnExceptionComesOutOfJoin) {
    test::environment();
    WorkerThreads threads;
    threads.start(allowed_cores().front(), "worker",
                  [](const std::atomic<bool>&) { throw std::runtime_error{"no luck"}; });
    EXPECT_THROW(threads.join(), std::runtime_error);
}

TEST(WorkerThreads, SignalsAreNotForWorkers) {
    test::environment();
    WorkerThreads threads;
    std::atomic<bool> blocked{false};
    threads.start(allowed_cores().front(), "worker", [&](const std::atomic<bool>&) {
        sigset_t mask;
        ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
        blocked = ::sigismember(&mask, SIGINT) == 1;
    });
    threads.join();
    EXPECT_TRUE(blocked);
}

TEST(AssignCores, GoesRoundWhenThereAreFewerCoresThanWorkers) {
    EXPECT_EQ(assign_cores(5, {3, 4}), (std::vector<unsigned>{3, 4, 3, 4, 3}));
}

}  // namespace
}  // namespace synfin::dpdk
