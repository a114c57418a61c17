// The yardstick of all packet rates: what the bare device passes when nothing is done with a packet
// but writing 64 bytes into it.
//
// Two ends, each on its own core, both sending and receiving as fast as they can:
//
//   allocate   each packet in a buffer fresh from the pool; received buffers are freed
//   reuse      what was received is written and sent back: a fixed number of buffers is under way
//   device     the same as reuse, through QueueDevice: what the stack has at its disposal
//
// Over `ring` both ends are in this process, and so they are when two devices are given. With one
// device of another kind, this process is one end and a second process is the other.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <synfin/dpdk/clock.hpp>
#include <synfin/dpdk/eal.hpp>
#include <synfin/dpdk/packet_pool.hpp>
#include <synfin/dpdk/port.hpp>
#include <synfin/dpdk/queue_device.hpp>
#include <synfin/dpdk/ring_link.hpp>
#include <synfin/dpdk/worker_launch.hpp>

namespace {

using namespace synfin;
using dpdk::Lane;

constexpr unsigned most_in_burst = stack::TransmitBatch::capacity;
constexpr uint32_t frame_bytes = 64;

enum class Mode { allocate, reuse, device };
const char* name(Mode mode) {
    return mode == Mode::allocate ? "allocate" : mode == Mode::reuse ? "reuse" : "device";
}

struct Settings {
    unsigned burst = 32;
    unsigned in_flight = 256;  ///< buffers that each end brings into play in `reuse` and `device`
    unsigned seconds = 2;
};

struct Count {
    uint64_t sent = 0;
    uint64_t received = 0;
};

/// A frame that no host takes for its own: an unused EtherType, and a number that changes.
void write_frame(uint8_t* bytes, uint64_t number) {
    std::array<uint8_t, frame_bytes> frame{0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x88, 0xb5};
    std::memcpy(frame.data() + 16, &number, sizeof number);
    std::memcpy(bytes, frame.data(), frame.size());
}

unsigned receive(const Lane& lane, rte_mbuf** buffers, unsigned count) {
    if (lane.receive_ring == nullptr) {
        return rte_eth_rx_burst(lane.port_id, lane.queue_id, buffers, static_cast<uint16_t>(count));
    }
    std::array<void*, most_in_burst> words;
    const unsigned received =
        rte_ring_sc_dequeue_burst(lane.receive_ring, words.data(), count, nullptr);
    for (unsigned i = 0; i < received; ++i) buffers[i] = dpdk::LinkWord{words[i]}.buffer();
    return received;
}

unsigned send(const Lane& lane, rte_mbuf** buffers, unsigned count) {
    if (lane.transmit_ring == nullptr) {
        return rte_eth_tx_burst(lane.port_id, lane.queue_id, buffers, static_cast<uint16_t>(count));
    }
    std::array<void*, most_in_burst> words;
    for (unsigned i = 0; i < count; ++i) {
        words[i] = dpdk::LinkWord{buffers[i], frame_bytes}.stored();
    }
    return rte_ring_sp_enqueue_burst(lane.transmit_ring, words.data(), count, nullptr);
}

uint8_t* data_of(rte_mbuf* buffer) {
    return reinterpret_cast<uint8_t*>(buffer) + sizeof(rte_mbuf) + RTE_PKTMBUF_HEADROOM;
}

void fill(const Lane& lane, rte_mbuf& buffer, uint64_t number) {
    if (lane.transmit_ring == nullptr) {  // a driver reads the descriptor
        buffer.data_off = RTE_PKTMBUF_HEADROOM;
        buffer.ol_flags = 0;
        buffer.data_len = frame_bytes;
        buffer.pkt_len = frame_bytes;
    }
    write_frame(data_of(&buffer), number);
}

/// Reads what a stack would read: the first bytes of each packet.
uint64_t look_at(rte_mbuf* const* buffers, unsigned count) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < count; ++i) {
        uint64_t word = 0;
        std::memcpy(&word, data_of(buffers[i]) + 16, sizeof word);
        sum += word;
    }
    return sum;
}

void prefetch(const Lane& lane, rte_mbuf* const* buffers, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
        if (lane.receive_ring == nullptr) __builtin_prefetch(buffers[i], 1);
        __builtin_prefetch(data_of(buffers[i]), 1);
    }
}

Count run_allocate(const Lane& lane, rte_mempool* pool, const Settings& settings,
                   const std::atomic<bool>& stop) {
    Count count;
    std::array<rte_mbuf*, most_in_burst> buffers;
    volatile uint64_t seen = 0;
    while (!stop.load(std::memory_order_relaxed)) {
        if (rte_pktmbuf_alloc_bulk(pool, buffers.data(), settings.burst) == 0) {
            for (unsigned i = 0; i < settings.burst; ++i) fill(lane, *buffers[i], count.sent + i);
            const unsigned sent = send(lane, buffers.data(), settings.burst);
            rte_pktmbuf_free_bulk(buffers.data() + sent, settings.burst - sent);
            count.sent += sent;
        }
        const unsigned received = receive(lane, buffers.data(), settings.burst);
        if (received == 0) continue;
        prefetch(lane, buffers.data(), received);
        seen = seen + look_at(buffers.data(), received);
        rte_pktmbuf_free_bulk(buffers.data(), received);
        count.received += received;
    }
    return count;
}

Count run_reuse(const Lane& lane, rte_mempool* pool, const Settings& settings,
                const std::atomic<bool>& stop) {
    Count count;
    std::array<rte_mbuf*, most_in_burst> buffers;
    volatile uint64_t seen = 0;
    // What the queue has refused is first to be sent, and until then nothing is received.
    unsigned waiting = 0;
    unsigned to_bring = settings.in_flight;
    while (!stop.load(std::memory_order_relaxed)) {
        if (waiting == 0) {
            waiting = receive(lane, buffers.data(), settings.burst);
            count.received += waiting;
            if (waiting != 0) {
                prefetch(lane, buffers.data(), waiting);
                seen = seen + look_at(buffers.data(), waiting);
            } else if (to_bring >= settings.burst &&
                       rte_pktmbuf_alloc_bulk(pool, buffers.data(), settings.burst) == 0) {
                waiting = settings.burst;
                to_bring -= settings.burst;
            }
            for (unsigned i = 0; i < waiting; ++i) fill(lane, *buffers[i], count.sent + i);
        }
        if (waiting == 0) continue;
        const unsigned sent = send(lane, buffers.data(), waiting);
        count.sent += sent;
        waiting -= sent;
        std::memmove(buffers.data(), buffers.data() + sent, waiting * sizeof(rte_mbuf*));
    }
    rte_pktmbuf_free_bulk(buffers.data(), waiting);
    return count;
}

Count run_device(const Lane& lane, rte_mempool* pool, const Settings& settings,
                 const std::atomic<bool>& stop) {
    Count count;
    dpdk::QueueDevice device{pool, lane};
    std::array<stack::Frame, most_in_burst> frames;
    stack::TransmitBatch batch;
    volatile uint64_t seen = 0;
    unsigned credit = settings.in_flight;
    while (!stop.load(std::memory_order_relaxed)) {
        const unsigned received = device.receive(frames.data(), settings.burst);
        uint64_t sum = 0;
        for (unsigned i = 0; i < received; ++i) {
            uint64_t word = 0;
            std::memcpy(&word, frames[i].data + 16, sizeof word);
            sum += word;
        }
        seen = seen + sum;
        if (received != 0) device.recycle(frames.data(), received);
        count.received += received;
        credit += received;
        const unsigned ready = device.prepare(batch, std::min(credit, settings.burst));
        for (unsigned i = 0; i < ready; ++i) {
            write_frame(batch.frames[i].data, count.sent + i);
            batch.frames[i].length = frame_bytes;
        }
        batch.filled = ready;
        credit -= ready;
        count.sent += ready;
        if (ready != 0) device.transmit(batch);
    }
    return count;
}

Count run(Mode mode, const Lane& lane, rte_mempool* pool, const Settings& settings,
          const std::atomic<bool>& stop) {
    switch (mode) {
        case Mode::allocate: return run_allocate(lane, pool, settings, stop);
        case Mode::reuse: return run_reuse(lane, pool, settings, stop);
        case Mode::device: return run_device(lane, pool, settings, stop);
    }
    return {};
}

struct Result {
    Mode mode;
    double seconds;
    std::vector<Count> ends;
    /// What arrived, the mean over the ends of this process.
    double per_second() const {
        uint64_t received = 0;
        for (const Count& end : ends) received += end.received;
        return static_cast<double>(received) / static_cast<double>(ends.size()) / seconds;
    }
};

Result measure(Mode mode, const std::vector<Lane>& lanes, const std::vector<unsigned>& cores,
               const dpdk::Clock& clock, rte_mempool* pool, const Settings& settings) {
    Result result{mode, 0, std::vector<Count>(lanes.size())};
    dpdk::WorkerThreads threads;
    const Instant start = clock.now();
    for (size_t end = 0; end < lanes.size(); ++end) {
        threads.start(cores[end], "end" + std::to_string(end),
                      [&, end](const std::atomic<bool>& stop) {
                          result.ends[end] = run(mode, lanes[end], pool, settings, stop);
                      });
    }
    const dpdk::Shutdown shutdown;
    shutdown.wait(Duration::seconds(settings.seconds));
    threads.stop();
    threads.join();
    result.seconds = (clock.now() - start).count_seconds();
    return result;
}

std::vector<unsigned> parse_cores(const std::string& text) {
    std::vector<unsigned> cores;
    for (size_t at = 0; at < text.size();) {
        size_t used = 0;
        cores.push_back(static_cast<unsigned>(std::stoul(text.substr(at), &used)));
        at += used + 1;
    }
    return cores;
}

struct Options {
    std::vector<std::string> devices{"ring"};
    std::string huge = "auto";
    std::string cores;
    std::string mode = "all";
    std::string json_file;
    std::string extra;
    unsigned entries = 1024;
    bool server = false;
    Settings settings;

    void add_to(CLI::App& app) {
        app.add_option("--dev", devices, "device, as of synfin; twice for both ends here");
        app.add_option("--huge", huge, "huge pages")->check(CLI::IsMember({"auto", "off"}));
        app.add_option("--cores", cores, "cores of the ends, separated by commas");
        app.add_option("--mode", mode, "what to measure")
            ->check(CLI::IsMember({"allocate", "reuse", "device", "all"}));
        app.add_option("--seconds", settings.seconds, "per mode")->check(CLI::Range(1, 60));
        app.add_option("--burst", settings.burst, "packets")->check(CLI::Range(1u, most_in_burst));
        app.add_option("--in-flight", settings.in_flight, "buffers that an end brings into play");
        app.add_option("--entries", entries, "of a ring, a power of two");
        app.add_option("--json", json_file, "file for the result");
        app.add_option("--eal", extra, "more arguments for EAL");
        app.add_flag("--server", server, "memif: be the server");
    }
    dpdk::EalOptions eal() const {
        dpdk::EalOptions options;
        for (const std::string& text : devices) {
            auto spec = dpdk::parse_device(text);
            if (!spec) throw std::invalid_argument{spec.error()};
            options.devices.push_back(*spec);
        }
        options.huge = huge == "off" ? dpdk::HugePages::off : dpdk::HugePages::automatic;
        options.cores = parse_cores(cores);
        options.memif_role = server ? dpdk::MemifRole::server : dpdk::MemifRole::client;
        options.extra = extra;
        return options;
    }
};

/// The ends of this process: both sides of a ring, or a port for each device.
class Ends {
  public:
    Ends(const dpdk::Eal& eal, const dpdk::EalOptions& options, unsigned entries)
        : ring_{options.devices.front().kind == dpdk::DeviceKind::ring},
          count_{ring_ ? 2u : static_cast<unsigned>(options.devices.size())},
          pool_{eal, dpdk::pool_size(1, count_, entries, entries)} {
        if (ring_) {
            link_ =
                std::make_unique<dpdk::RingLink>(eal, dpdk::RingLinkOptions{.entries = entries});
            lanes_ = {link_->lane(dpdk::RingLink::Side::client, 0),
                      link_->lane(dpdk::RingLink::Side::server, 0)};
            return;
        }
        for (unsigned i = 0; i < count_; ++i) {
            ports_.push_back(std::make_unique<dpdk::Port>(eal, i, pool_, dpdk::PortOptions{}));
            lanes_.push_back(ports_.back()->lane(0));
            fmt::print("{}\n", ports_.back()->description());
        }
        for (const auto& port : ports_) {
            if (!port->wait_for_link(Duration::seconds(10))) {
                throw dpdk::SetupError{"device '" + port->spec().text +
                                       "' has no link after 10 s: start the other end"};
            }
        }
    }
    unsigned count() const { return count_; }
    const std::vector<Lane>& lanes() const { return lanes_; }
    rte_mempool* pool() { return pool_.get(); }
    void drain() {
        if (link_) link_->drain();
    }
    /// Returns how many buffers have not come back.
    unsigned stop() {
        for (const auto& port : ports_) port->stop();
        ports_.clear();
        return pool_.in_use();
    }

  private:
    bool ring_;
    unsigned count_;
    dpdk::PacketPool pool_;
    std::unique_ptr<dpdk::RingLink> link_;
    std::vector<std::unique_ptr<dpdk::Port>> ports_;
    std::vector<Lane> lanes_;
};

nlohmann::json to_json(const Result& result) {
    nlohmann::json entry{{"seconds", result.seconds},
                         {"packets_per_second_each_way", result.per_second()}};
    for (const Count& end : result.ends) {
        entry["ends"].push_back({{"sent", end.sent}, {"received", end.received}});
    }
    return entry;
}

void measure_all(const Options& options) {
    const dpdk::EalOptions eal_options = options.eal();
    const dpdk::Eal eal{eal_options};
    const dpdk::Clock clock{eal};
    Ends ends{eal, eal_options, options.entries};
    const std::vector<unsigned> cores = dpdk::assign_cores(ends.count(), eal_options.cores);
    nlohmann::json report{{"tool", "device_ceiling"},
                          {"device", options.devices},
                          {"huge_pages", eal.huge_pages()},
                          {"burst", options.settings.burst}};
    fmt::print("{}\n", eal.description());
    for (const Mode mode : {Mode::allocate, Mode::reuse, Mode::device}) {
        if (options.mode != "all" && options.mode != name(mode)) continue;
        const Result result =
            measure(mode, ends.lanes(), cores, clock, ends.pool(), options.settings);
        ends.drain();
        fmt::print("{:<9} {:8.3f} million packets/s each way\n", name(mode),
                   result.per_second() / 1e6);
        report["modes"][name(mode)] = to_json(result);
    }
    const unsigned leaked = ends.stop();
    report["leaked_buffers"] = leaked;
    fmt::print("buffers leaked: {}\n", leaked);
    if (!options.json_file.empty()) std::ofstream{options.json_file} << report.dump(2) << "\n";
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"The packet rate of a bare device"};
    Options options;
    options.add_to(app);
    CLI11_PARSE(app, argc, argv);
    try {
        measure_all(options);
        return 0;
    } catch (const dpdk::SetupError& error) {
        std::cerr << "device_ceiling: " << error.what() << "\n";
        return 1;
    } catch (const std::exception& error) {
        std::cerr << "device_ceiling: " << error.what() << "\n";
        return 2;
    }
}
