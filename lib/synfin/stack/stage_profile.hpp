// Where a worker's time goes, stage by stage: what `synfin pair --profile` prints.
//
// A worker without a profile asks once per stage and burst whether it has one. With one, the time
// is read at each change of stage. The clock is the caller's, because there is none in this room.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace synfin::stack {

enum class Stage : uint8_t {
    rx,           ///< frames from the device, and consumed ones back to it
    parse,        ///< lengths, checksums, addresses, hashes
    lookup,       ///< asking for the lines of connections
    input,        ///< finding the connection, tcp::input
    application,  ///< what the handlers do, and what comes of their calls
    timers,
    poll,    ///< the application's own work: opening connections
    output,  ///< tcp::next_segment, and writing frames
    tx,      ///< empty frames from the device, and full ones to it
};
inline constexpr size_t stage_count = 9;

constexpr const char* name(Stage stage) {
    constexpr std::array<const char*, stage_count> names{
        "rx", "parse", "lookup", "input", "application", "timers", "poll", "output", "tx"};
    return names[static_cast<size_t>(stage)];
}

/// One thread writes; read it when that thread has ended.
class StageProfile {
  public:
    using Ticks = uint64_t (*)();
    explicit StageProfile(Ticks ticks) : ticks_{ticks} {}

    void begin_pass(Stage stage) {
        pass_ = {};
        current_ = stage;
        since_ = ticks_();
    }
    void enter(Stage stage) {
        const uint64_t now = ticks_();
        pass_[static_cast<size_t>(current_)] += now - since_;
        current_ = stage;
        since_ = now;
    }
    /// A pass that moved nothing was waiting, and counts for nothing.
    void end_pass(unsigned received, unsigned transmitted) {
        enter(current_);
        if (received + transmitted == 0) return;
        ++passes_;
        received_ += received;
        transmitted_ += transmitted;
        for (size_t i = 0; i < stage_count; ++i) spent_[i] += pass_[i];
    }

    uint64_t ticks_in(Stage stage) const { return spent_[static_cast<size_t>(stage)]; }
    uint64_t passes() const { return passes_; }
    uint64_t received() const { return received_; }
    uint64_t transmitted() const { return transmitted_; }

  private:
    Ticks ticks_;
    Stage current_ = Stage::rx;
    uint64_t since_ = 0;
    std::array<uint64_t, stage_count> pass_{};
    std::array<uint64_t, stage_count> spent_{};
    uint64_t passes_ = 0;
    uint64_t received_ = 0;
    uint64_t transmitted_ = 0;
};

}  // namespace synfin::stack
