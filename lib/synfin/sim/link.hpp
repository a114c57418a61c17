// A link of the simulated world: an Ethernet segment with any number of devices plugged in, and all
// that can happen to a frame on its way.
//
// Each frame is decided on its own, in the order of transmission, from the world's one source of
// pseudo-randomness: so the same seed gives the same fate to each frame.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <synfin/base/instant.hpp>
#include <synfin/base/prng.hpp>
#include <synfin/sim/device.hpp>
#include <synfin/wire/address.hpp>
#include <synfin/wire/pcap.hpp>
#include <synfin/wire/tcp_fields.hpp>

namespace synfin::sim {

/// What a link does to frames. Probabilities are per frame and receiver, 0 to 1.
struct LinkFaults {
    Duration delay = Duration::microseconds(50);  ///< at least 1 us: cause comes before effect
    Duration jitter{};                            ///< added, uniform in [0, jitter]
    double loss = 0;
    double duplication = 0;
    double marking = 0;     ///< CE on what is ECN-capable (RFC 3168)
    double corruption = 0;  ///< one bit behind the Ethernet header is flipped; ARP is spared
    /// Frames that stay behind for `reordering_delay`, so that later ones overtake them.
    double reordering = 0;
    Duration reordering_delay = Duration::milliseconds(1);
    /// Larger IP packets vanish, as behind a tunnel whose ICMP is filtered; 0: none does.
    uint32_t largest_packet = 0;
    /// A bottleneck in front of each receiver; 0: none. What its queue has no room for is lost.
    uint64_t bytes_per_second = 0;
    uint32_t queue_bytes = 64 * 1024;
};

/// What became of the frames of a link.
struct LinkCounters {
    uint64_t transmitted = 0;
    uint64_t delivered = 0;  ///< duplicates included
    uint64_t lost = 0;
    uint64_t too_large = 0;
    uint64_t duplicated = 0;
    uint64_t marked = 0;
    uint64_t corrupted = 0;
    uint64_t reordered = 0;
    uint64_t overflowed = 0;  ///< no room in the bottleneck's queue
    uint32_t queue_most = 0;  ///< octets that have waited there at once
};

class Link {
  public:
    /// Called for each frame that will arrive: at the device, after the delay.
    using Schedule = std::function<void(Duration delay, Device& to, FrameBytes frame)>;
    /// Called for each decision, for the world's trace.
    using Trace = std::function<void(uint64_t)>;

    Link(const LinkFaults& faults, Prng& random, Schedule schedule, Trace trace);
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    /// Frames to `mac` and to groups go to `device`. The device must outlive the link.
    void plug(Device& device, const wire::MacAddress& mac);

    /// From now on; frames on their way keep their fate.
    void set_faults(const LinkFaults& faults) { faults_ = faults; }
    const LinkFaults& faults() const { return faults_; }
    /// A link that is down loses everything.
    void set_down(bool down) { down_ = down; }
    const LinkCounters& counters() const { return counters_; }

    /// Writes what is transmitted from now on, as it leaves its sender, into a pcap file. Throws
    /// std::system_error.
    void capture(const std::string& path);
    /// `now` gives the time, for the capture and the bottleneck.
    void set_clock(std::function<Instant()> now) { now_ = std::move(now); }
    /// Sees each frame that is transmitted, before its fate; for tests that judge what is said.
    void set_tap(std::function<void(std::span<const uint8_t>)> tap) { tap_ = std::move(tap); }

    /// Puts a frame on the wire as if a device had sent it: an attacker's way in.
    void inject(std::span<const uint8_t> frame) { transmit(nullptr, frame); }

  private:
    struct Plug {
        Device* device;
        wire::MacAddress mac;
        Instant free_at;  ///< when the bottleneck has carried what waits there
    };
    void transmit(const Device* from, std::span<const uint8_t> frame);
    void send_to(Plug& plug, std::span<const uint8_t> frame);
    /// How long a frame takes through the bottleneck; nothing if it finds no room.
    std::optional<Duration> pass_bottleneck(Plug& plug, size_t bytes);
    bool happens(double probability) { return probability > 0 && random_.unit() < probability; }
    Duration draw_delay();

    LinkFaults faults_;
    Prng& random_;
    Schedule schedule_;
    Trace trace_;
    std::function<Instant()> now_;
    std::function<void(std::span<const uint8_t>)> tap_;
    std::vector<Plug> plugs_;
    std::unique_ptr<wire::PcapWriter> capture_;
    LinkCounters counters_;
    bool down_ = false;
};

}  // namespace synfin::sim
