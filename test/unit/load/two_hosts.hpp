// A client's worker and a server's worker on the two ends of a cable that takes some microseconds,
// in virtual time: every run is the same.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <synfin/load/client.hpp>
#include <synfin/load/server.hpp>
#include <synfin/stack/loop.hpp>
#include <synfin/stack/worker.hpp>

namespace synfin::load::test {

inline constexpr uint16_t server_port = 80;
inline const wire::IpAddress server_address = wire::IpAddress::v4(198, 18, 0, 1);
inline const wire::IpPrefix network{wire::IpAddress::v4(198, 18, 0, 0), 15};
inline const wire::IpPrefix source_block{wire::IpAddress::v4(198, 18, 1, 0), 24};
inline const wire::MacAddress client_mac{{0x02, 0, 0, 0, 0, 1}};
inline const wire::MacAddress server_mac{{0x02, 0, 0, 0, 0, 2}};

/// One end of the cable.
class CableEnd {
  public:
    void connect(CableEnd& other) { other_ = &other; }

    unsigned receive(stack::Frame* frames, unsigned max) {
        unsigned count = 0;
        for (; count < max && !arrived_.empty(); ++count) {
            reading_[count] = std::move(arrived_.front());
            arrived_.pop_front();
            frames[count] = stack::Frame{};
            frames[count].data = reading_[count].data();
            frames[count].length = static_cast<uint32_t>(reading_[count].size());
        }
        return count;
    }
    void recycle(stack::Frame*, unsigned) {}
    unsigned prepare(stack::TransmitBatch& batch, unsigned wanted) {
        for (unsigned i = 0; i < wanted; ++i) {
            writing_[i].resize(1500 + stack::TransmitBatch::slack_bytes);
            batch.frames[i] = stack::Frame{};
            batch.frames[i].data = writing_[i].data();
        }
        return batch.available = wanted;
    }
    void transmit(stack::TransmitBatch& batch) {
        for (unsigned i = 0; i < batch.filled; ++i) {
            const stack::Frame& frame = batch.frames[i];
            other_->underway_.emplace_back(frame.data, frame.data + frame.length);
        }
        batch.available = batch.filled = 0;
    }
    bool congested() const { return is_congested; }

    /// What is underway reaches this end.
    void deliver() {
        for (auto& frame : underway_) arrived_.push_back(std::move(frame));
        underway_.clear();
    }
    bool idle() const { return arrived_.empty() && underway_.empty(); }

    bool is_congested = false;

  private:
    using Bytes = std::vector<uint8_t>;
    CableEnd* other_ = nullptr;
    std::deque<Bytes> arrived_;
    std::deque<Bytes> underway_;
    std::array<Bytes, 64> reading_;
    std::array<Bytes, stack::TransmitBatch::capacity> writing_;
};

inline stack::WorkerConfig worker_config(const wire::MacAddress& mac,
                                         const wire::IpPrefix& addresses, uint64_t secret) {
    stack::WorkerConfig config;
    stack::InterfaceConfig interface;
    interface.mac = mac;
    interface.addresses = {addresses};
    interface.on_link = {network};
    config.interfaces = {interface};
    config.max_connections = 4096;
    config.max_time_wait = 1u << 16;
    config.max_transfers = 4096;
    config.max_buffer_chunks = 4096;
    config.max_port_scopes = 1024;
    config.time_wait = Duration::seconds(1);
    config.secret = {secret, 1};
    return config;
}

/// Both hosts; the server's application is given as an Application, so that tests may bring theirs.
class TwoHosts {
  public:
    static constexpr Duration step = Duration::microseconds(10);

    explicit TwoHosts(std::function<void(stack::WorkerConfig&)> change = {}) {
        auto client_config = worker_config(client_mac, source_block, 1);
        auto server_config = worker_config(server_mac, {server_address, 32}, 2);
        if (change) {
            change(client_config);
            change(server_config);
        }
        client_worker = std::make_unique<stack::Worker>(client_config);
        server_worker = std::make_unique<stack::Worker>(server_config);
        client_loop_.emplace(*client_worker, client_end);
        server_loop_.emplace(*server_worker, server_end);
        client_end.connect(server_end);
        server_end.connect(client_end);
    }

    /// One pass of both loops, then time goes on by a step.
    void pass() {
        client_loop_->run_once(now);
        server_loop_->run_once(now);
        now = now + step;
        client_end.deliver();
        server_end.deliver();
    }
    /// Passes until `done()`; false if that takes more than `patience` of virtual time.
    bool run_until(const std::function<bool()>& done, Duration patience = Duration::seconds(30)) {
        const Instant end = now + patience;
        while (!done()) {
            if (now >= end) return false;
            pass();
        }
        return true;
    }
    void run_for(Duration time) {
        run_until([end = now + time, this] { return now >= end; }, time + Duration::seconds(1));
    }
    /// Nothing is left of any connection but TIME_WAIT, which is cleared.
    bool holds_nothing() {
        client_worker->clear_time_wait();
        server_worker->clear_time_wait();
        for (const stack::Worker* worker : {client_worker.get(), server_worker.get()}) {
            const stack::Worker::Leaks leaks = worker->leaks();
            const stack::Worker::Gauges gauges = worker->gauges();
            if (leaks.connections + leaks.buffers + leaks.timers + gauges.connections +
                    gauges.half_open + gauges.time_wait >
                0) {
                return false;
            }
        }
        return true;
    }

    CableEnd client_end;
    CableEnd server_end;
    std::unique_ptr<stack::Worker> client_worker;
    std::unique_ptr<stack::Worker> server_worker;
    Instant now = Instant::from_us(1'000'000);

  private:
    std::optional<stack::Loop<CableEnd>> client_loop_;
    std::optional<stack::Loop<CableEnd>> server_loop_;
};

inline AddressPlan plan() {
    return *AddressPlan::make({source_block}, {{server_address, server_port}}, {});
}

/// A client and a server of load/ on two hosts.
class LoadRun {
  public:
    LoadRun(ClientConfig client_config, ServerConfig server_config, size_t body_bytes = 100,
            bool close_after_response = false,
            std::function<void(stack::WorkerConfig&)> change = {})
        : hosts{std::move(change)}, content{body_bytes, close_after_response} {
        client_config.max_connections = 4096;
        if (client_config.requests > 0) client_config.expected_body = content.body();
        server_config.max_connections = 4096;
        server_config.listen = {{server_address, server_port}};
        client = std::make_unique<Client>(client_config, plan());
        server = std::make_unique<Server>(server_config, content);
        listening = server->listen(*hosts.server_worker).has_value();
        hosts.client_worker->set_poller(client.get());
        hosts.server_worker->set_poller(server.get());
    }
    /// Until the client has finished and the server has seen the end of all.
    bool to_the_end(Duration patience = Duration::seconds(30)) {
        return hosts.run_until(
            [&] {
                return client->finished() && hosts.server_worker->gauges().connections == 0 &&
                       hosts.client_worker->gauges().connections == 0;
            },
            patience);
    }

    TwoHosts hosts;
    ServerContent content;
    std::unique_ptr<Client> client;
    std::unique_ptr<Server> server;
    bool listening = false;
};

}  // namespace synfin::load::test
