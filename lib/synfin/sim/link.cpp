#include <algorithm>

#include <synfin/sim/link.hpp>
#include <synfin/wire/checksum.hpp>

namespace synfin::sim {

namespace {

constexpr size_t ethernet_header_bytes = 14;
constexpr uint64_t ethernet_header_bits = uint64_t{ethernet_header_bytes} * 8;

// ARP has no checksum: behind a real link's frame check sequence it never arrives with a wrong bit,
// and one that did would mislead its receiver for minutes.
bool can_be_corrupted(std::span<const uint8_t> frame) {
    if (frame.size() * 8 <= ethernet_header_bits) return false;
    return frame[12] != 0x08 || frame[13] != 0x06;
}

bool is_v4(std::span<const uint8_t> frame) {
    return frame.size() >= 34 && frame[12] == 0x08 && frame[13] == 0x00;
}
bool is_v6(std::span<const uint8_t> frame) {
    return frame.size() >= 54 && frame[12] == 0x86 && frame[13] == 0xdd;
}

wire::Ecn ecn_of(std::span<const uint8_t> frame) {
    if (is_v4(frame)) return wire::ecn_of(frame[15]);
    if (is_v6(frame)) return wire::ecn_of(frame[15] >> 4);
    return wire::Ecn::not_capable;
}

bool is_ecn_capable(std::span<const uint8_t> frame) {
    return ecn_of(frame) != wire::Ecn::not_capable;
}

// What a router does: CE, and IPv4's checksum brought up to date (RFC 1624).
void mark(FrameBytes& frame) {
    if (is_v6(frame)) {
        frame[15] |= 0x30;
        return;
    }
    const uint16_t before = wire::load_be16(&frame[14]);
    frame[15] |= 0x03;
    const uint16_t checksum = wire::load_be16(&frame[24]);
    wire::store_be16(&frame[24],
                     wire::updated_checksum(checksum, before, wire::load_be16(&frame[14])));
}

}  // namespace

Link::Link(const LinkFaults& faults, Prng& random, Schedule schedule, Trace trace)
    : faults_{faults}, random_{random}, schedule_{std::move(schedule)}, trace_{std::move(trace)} {}

void Link::plug(Device& device, const wire::MacAddress& mac) {
    plugs_.push_back({&device, mac, Instant{}});
    device.plug([this, &device](std::span<const uint8_t> frame) { transmit(&device, frame); });
}

void Link::capture(const std::string& path) { capture_ = std::make_unique<wire::PcapWriter>(path); }

void Link::transmit(const Device* from, std::span<const uint8_t> frame) {
    ++counters_.transmitted;
    if (capture_ && now_) capture_->write(frame, now_());
    if (tap_) tap_(frame);
    if (frame.size() < ethernet_header_bytes) return;
    if (faults_.largest_packet != 0 &&
        frame.size() > ethernet_header_bytes + faults_.largest_packet) {
        ++counters_.too_large;
        return;
    }
    wire::MacAddress destination;
    std::copy_n(frame.begin(), destination.bytes.size(), destination.bytes.begin());
    for (Plug& plug : plugs_) {
        if (plug.device == from) continue;
        if (destination.is_multicast() || destination == plug.mac) send_to(plug, frame);
    }
}

std::optional<Duration> Link::pass_bottleneck(Plug& plug, size_t bytes) {
    if (faults_.bytes_per_second == 0 || !now_) return Duration{};
    const auto carrying = [&](uint64_t count) {
        return Duration::nanoseconds(
            static_cast<int64_t>(count * 1'000'000'000 / faults_.bytes_per_second));
    };
    const Instant now = now_();
    plug.free_at = std::max(plug.free_at, now);
    if (plug.free_at - now > carrying(faults_.queue_bytes)) return std::nullopt;
    plug.free_at = plug.free_at + carrying(bytes);
    const auto waiting = static_cast<uint64_t>((plug.free_at - now).count_ns());
    counters_.queue_most =
        std::max(counters_.queue_most,
                 static_cast<uint32_t>(waiting * faults_.bytes_per_second / 1'000'000'000));
    return plug.free_at - now;
}

void Link::send_to(Plug& plug, std::span<const uint8_t> frame) {
    Device& device = *plug.device;
    if (down_ || happens(faults_.loss)) {
        ++counters_.lost;
        trace_(0);
        return;
    }
    const std::optional<Duration> queued = pass_bottleneck(plug, frame.size());
    if (!queued) {
        ++counters_.overflowed;
        ++counters_.lost;
        trace_(0);
        return;
    }
    FrameBytes bytes{frame.begin(), frame.end()};
    if (is_ecn_capable(frame) && happens(faults_.marking)) {
        ++counters_.marked;
        mark(bytes);
        trace_(bytes.size());
    }
    if (can_be_corrupted(frame) && happens(faults_.corruption)) {
        ++counters_.corrupted;
        const uint64_t bit =
            ethernet_header_bits + random_.below(bytes.size() * 8 - ethernet_header_bits);
        bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] ^ (1u << bit % 8));
        trace_(bit);
    }
    if (happens(faults_.duplication)) {
        ++counters_.duplicated;
        ++counters_.delivered;
        schedule_(*queued + draw_delay(), device, bytes);
    }
    ++counters_.delivered;
    schedule_(*queued + draw_delay(), device, std::move(bytes));
}

Duration Link::draw_delay() {
    Duration delay = std::max(faults_.delay, Duration::microseconds(1));
    if (faults_.jitter > Duration{}) {
        const auto span = static_cast<uint64_t>(faults_.jitter.count_ns()) + 1;
        delay = delay + Duration::nanoseconds(static_cast<int64_t>(random_.below(span)));
    }
    if (happens(faults_.reordering)) {
        ++counters_.reordered;
        delay = delay + faults_.reordering_delay;
    }
    trace_(static_cast<uint64_t>(delay.count_ns()));
    return delay;
}

}  // namespace synfin::sim
