// Captures in the classic pcap format with nanoseconds, for tools that know nothing of us to judge.
#pragma once

#include <cstdint>
#include <fstream>
#include <span>
#include <string>

#include <synfin/base/instant.hpp>

namespace synfin::wire {

/// A capture file of Ethernet frames.
class PcapWriter {
  public:
    /// Creates or truncates `path`. Throws std::system_error if that fails.
    explicit PcapWriter(const std::string& path);

    /// Appends one frame, whole. The time is counted from the clock's own origin.
    void write(std::span<const uint8_t> frame, Instant time);
    /// Brings everything to the file. Returns false if anything could not be written.
    bool flush();

  private:
    std::ofstream file_;
};

}  // namespace synfin::wire
