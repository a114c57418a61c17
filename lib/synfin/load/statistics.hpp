// What the applications of load generation count. The worker's thread writes, any thread reads at
// any time; the worker never waits for a reader.
#pragma once

#include <algorithm>
#include <cstdint>

#include <synfin/base/histogram.hpp>
#include <synfin/base/instant.hpp>
#include <synfin/base/relaxed.hpp>

namespace synfin::load {

using Count = Relaxed<uint64_t>;

/// Every connection that was opened ends in exactly one of closed, failed, reset, timed_out and
/// abandoned: opened == their sum + concurrent, at any quiet moment.
struct ClientStatistics {
    Count opened;
    Count established;
    Count closed;  ///< went through its whole life in order
    Count failed;  ///< refused, unreachable, out of resources, or out of order (violations)
    Count reset;   ///< by the peer, when no reset was due
    Count timed_out;
    Count abandoned;  ///< still open when the grace period was over
    Count concurrent;
    Count held;       ///< now: established, and idle until the end
    Count were_held;  ///< of `opened`

    Count violations;   ///< events out of order, wrong or incomplete responses
    Count missed;       ///< open loop: intended starts that were given up under overload
    Count no_port;      ///< connect refused: every local port of the pair is taken
    Count no_room;      ///< connect refused: max_connections reached
    Count unreachable;  ///< connect refused: no way to the target
    Count requests;
    Count responses;  ///< complete and right
    Count body_bytes;

    /// What rates are computed from: how much had been done when the measured time was over. What
    /// was still open then goes on to its end, and counts above only.
    struct Measured {
        Count ns;
        Count closed;
        Count responses;
        Count body_bytes;
    };
    Measured measured;

    /// Nanoseconds. From the start (open loop: the intended one) to the end of the handshake.
    Histogram handshake;
    /// From the request to the first byte of its response.
    Histogram first_byte;
    /// From our close to the end of the connection.
    Histogram close;
};

struct ServerStatistics {
    Count accepted;
    Count closed;  ///< both FINs through, or ended as configured
    Count reset;   ///< by the peer
    Count timed_out;
    Count failed;     ///< ended by any other reason
    Count abandoned;  ///< still open when the grace period was over
    Count concurrent;
    Count requests;
    Count refused_requests;
    Count bytes_in;
    Count bytes_out;  ///< handed to the stack
};

/// How a worker's thread has spent its time.
///
/// A pass takes microseconds, however much there is to do. One that takes very much longer is a
/// stall: the core was not the worker's meanwhile, because a hypervisor or another thread had it,
/// or the kernel was making memory. What arrives during a stall waits for its end, so latencies up
/// to its length tell of this machine, and not of the peer.
struct WorkerTime {
    static constexpr Duration stall = Duration::microseconds(500);

    Count ns;           ///< all of it, known when the thread has ended
    Count busy_cycles;  ///< of the time stamp counter, in passes that moved a packet
    Count stalls;       ///< passes that took longer than `stall`
    Count stalled_ns;   ///< in all
    Count longest_stall_ns;

    /// A pass that took so long.
    void judge(Duration pass) {
        if (pass <= stall) [[likely]]
            return;
        const auto took = static_cast<uint64_t>(pass.count_ns());
        ++stalls;
        stalled_ns += took;
        longest_stall_ns = std::max(longest_stall_ns.load(), took);
    }
};

}  // namespace synfin::load
