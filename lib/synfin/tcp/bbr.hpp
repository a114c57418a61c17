// BBR's memory (draft-cardwell-iccrg-bbr-congestion-control-00): a model of the path, and where the
// connection stands in the search for it. What BBR does is in bbr.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include <synfin/base/index_pool.hpp>
#include <synfin/tcp/delivery_rate.hpp>
#include <synfin/tcp/pacer.hpp>

namespace synfin::tcp {

/// The largest value of ten rounds: those before the last one that had something to say. Rounds
/// that say nothing make nothing forgotten.
class LargestOfRounds {
  public:
    uint64_t largest() const { return largest_; }
    void begin_round() { ++passed_; }
    void take(uint64_t value) {
        for (size_t i = 0; i < std::min<size_t>(passed_, rounds_.size()); ++i) {
            round_ = (round_ + 1) % rounds_.size();
            rounds_[round_] = 0;
        }
        passed_ = 0;
        rounds_[round_] = std::max(rounds_[round_], value);
        largest_ = *std::max_element(rounds_.begin(), rounds_.end());
    }

  private:
    std::array<uint64_t, 10> rounds_{};
    size_t round_ = 0;
    uint32_t passed_ = 0;  ///< rounds that have begun since
    uint64_t largest_ = 0;
};

struct Bbr {
    enum class Phase : uint8_t {
        startup,          ///< doubles the rate each round, until the bandwidth grows no more
        drain,            ///< what startup has left in the bottleneck's queue
        probe_bandwidth,  ///< a little more for a round trip, then a little less, then as much
        probe_round_trip  ///< nearly nothing, so that the queue is empty for a moment
    };
    Phase phase = Phase::startup;
    // the model
    LargestOfRounds bandwidth;   ///< BtlBw, bytes a second
    uint32_t round_trip_us = 0;  ///< RTprop; 0: not known yet
    uint32_t round_trip_at_us = 0;
    // rounds: from a transmission to its ACK
    uint32_t round_end = 0;  ///< next_round_delivered
    bool round_begins = false;
    // ACKs that come in clumps: by how many octets more than the bandwidth explains (extra_acked)
    LargestOfRounds surplus;
    uint32_t clump_bytes = 0;
    uint32_t clump_began_us = 0;
    // startup
    bool pipe_filled = false;
    uint8_t rounds_without_growth = 0;
    uint64_t full_bandwidth = 0;
    // probing of the bandwidth
    uint8_t cycle_place = 0;
    uint32_t cycle_began_us = 0;
    // probing of the round trip
    bool probe_timed = false;  ///< the flight has become small: `probe_until_us` counts
    bool probe_round_over = false;
    uint32_t probe_until_us = 0;
    bool restarts_from_idle = false;
    // recovery
    bool recovers = false;   ///< at the last ACK
    bool conserves = false;  ///< first round of a fast recovery: what leaves is what has arrived
    uint32_t window_before = 0;
};

/// What an algorithm that knows the path's rate keeps for a connection.
struct PathModel {
    Pacer pacer;
    DeliveryRate rate;
    Bbr bbr;
    uint32_t link = no_index;
};
inline uint32_t& pool_link(PathModel& m) { return m.link; }

}  // namespace synfin::tcp
