// Streams through a bottleneck: hosts that send for as long as they are let, and what arrives of
// each.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include <gtest/gtest.h>

#include <synfin/sim/world.hpp>

#include "world_of_two.hpp"

namespace synfin::sim {

/// Sends without end on each connection that it opens.
class Source : public stack::Application {
  public:
    void on_established(stack::Worker& worker, stack::ConnectionId id) override {
        fill(worker, id);
    }
    size_t on_data(stack::Worker&, stack::ConnectionId, std::span<const uint8_t> data) override {
        return data.size();
    }
    void on_peer_closed(stack::Worker&, stack::ConnectionId) override {}
    void on_writable(stack::Worker& worker, stack::ConnectionId id) override { fill(worker, id); }
    void on_closed(stack::Worker&, stack::ConnectionId, tcp::CloseReason) override { ++closed; }
    uint32_t closed = 0;

  private:
    void fill(stack::Worker& worker, stack::ConnectionId id) {
        while (worker.send_static(id, block_) == block_.size()) {
        }
    }
    std::vector<uint8_t> block_ = std::vector<uint8_t>(16 * 1024, 0x5a);
};

/// Takes everything, and counts by the peer's port.
class Sink : public stack::Application {
  public:
    void on_established(stack::Worker&, stack::ConnectionId) override {}
    size_t on_data(stack::Worker&, stack::ConnectionId id, std::span<const uint8_t> data) override {
        taken_[id.index] += data.size();
        return data.size();
    }
    void on_peer_closed(stack::Worker&, stack::ConnectionId) override {}
    void on_writable(stack::Worker&, stack::ConnectionId) override {}
    void on_closed(stack::Worker&, stack::ConnectionId, tcp::CloseReason) override {}
    /// In the order in which the connections came.
    std::vector<uint64_t> taken() const {
        std::vector<uint64_t> all;
        for (const auto& [index, bytes] : taken_) all.push_back(bytes);
        return all;
    }

  private:
    std::map<uint32_t, uint64_t> taken_;
};

/// A sender and a receiver; each flow of the sender has an algorithm of its own.
struct Streams {
    Streams(uint64_t seed, const LinkFaults& faults,
            const std::vector<tcp::CongestionAlgorithm>& algorithms)
        : world{seed},
          sender{world.add_host(config(1, algorithms))},
          receiver{world.add_host(config(2, algorithms))},
          link{world.connect(sender, receiver, faults)} {
        receiver.worker().listen({receiver.address(), server_port}, sink);
        for (size_t i = 0; i < algorithms.size(); ++i) {
            stack::ConnectOptions options;
            options.profile = static_cast<uint16_t>(i);
            const auto id =
                sender.worker().connect({receiver.address(), server_port}, source, options);
            EXPECT_TRUE(id.has_value());
            ids.push_back(*id);
        }
    }

    static stack::WorkerConfig config(uint8_t number,
                                      const std::vector<tcp::CongestionAlgorithm>& algorithms) {
        auto config = host_config(number);
        const auto profile = config.profiles[0];
        config.profiles.clear();
        for (const auto algorithm : algorithms) {
            config.profiles.push_back(profile);
            config.profiles.back().congestion = algorithm;
            config.profiles.back().keep_alive = false;
            config.profiles.back().send_buffer_bytes = 4 << 20;
            config.profiles.back().receive_buffer_bytes = 4 << 20;
        }
        return config;
    }

    /// What each flow gets per second from now on.
    std::vector<double> measure(Duration d) {
        const auto before = sink.taken();
        world.run_for(d);
        std::vector<double> rates;
        const auto after = sink.taken();
        for (size_t i = 0; i < after.size(); ++i) {
            const uint64_t first = i < before.size() ? before[i] : 0;
            rates.push_back(static_cast<double>(after[i] - first) / d.count_seconds());
        }
        return rates;
    }
    tcp::Info info(size_t flow = 0) { return sender.worker().info(ids[flow]); }

    World world;
    Host& sender;
    Host& receiver;
    Link& link;
    Source source;
    Sink sink;
    std::vector<stack::ConnectionId> ids;
};

}  // namespace synfin::sim
