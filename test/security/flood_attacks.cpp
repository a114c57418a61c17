// SYN floods (RFC 4987): a million SYNs from sources that do not exist leave no state and cost no
// memory, and a client that means it still gets in.
#include <array>

#include <gtest/gtest.h>

#include <synfin/sim/oracle.hpp>
#include <synfin/sim/world.hpp>
#include <synfin/wire/segment_writer.hpp>

#include "../../bench/flooded.hpp"
#include "allocation_count.hpp"

namespace synfin::security {
namespace {

using namespace synfin::literals;
namespace flag = wire::flag;

constexpr uint32_t flood_size = 1'000'000;

/// A SYN to 10.0.0.1:80 from an address on the link that nobody has.
class SpoofedSyn {
  public:
    std::span<const uint8_t> next(Prng& random) {
        constexpr wire::MacAddress victim{{2, 0, 0, 0, 0, 1}}, attacker{{2, 0, 0, 0, 0, 9}};
        static const auto l2 = wire::make_l2_header(victim, attacker, wire::ethertype::ipv4);
        wire::SegmentFrame syn;
        syn.l2 = &l2;
        const auto host = static_cast<uint8_t>(10 + random.below(240));
        syn.source = wire::IpAddress::v4(10, 0, 0, host);
        syn.destination = wire::IpAddress::v4(10, 0, 0, 1);
        syn.source_port = static_cast<uint16_t>(1024 + random.below(60'000));
        syn.destination_port = 80;
        syn.flags = flag::syn;
        syn.window = 65535;
        syn.seq = random.next_u32();
        return {frame_.data(), wire::write_segment(frame_, syn, {})};
    }

  private:
    std::array<uint8_t, 256> frame_{};
};

/// A million SYNs at ten million a second, and every ten milliseconds somebody who means it.
void flood(stack::SynCookies mode) {
    sim::World world{1};
    sim::Host& victim = world.add_host(sim::World::simple_host(1));
    sim::Host& client = world.add_host(sim::World::simple_host(2));
    sim::Link& link = world.connect(victim, client);
    sim::Oracle oracle{world};
    oracle.serve(victim, 80, {.syn_cookies = mode});
    const auto& counters = victim.worker().tcp_counters();
    uint64_t syn_acks = 0;
    link.set_tap([&](std::span<const uint8_t> frame) {
        if (frame[11] == 9 && frame[6] == 2) ++syn_acks;  // to the attacker, from the victim
    });
    SpoofedSyn spoofed;
    const uint64_t limit = mode == stack::SynCookies::always ? 0 : 2048;
    for (uint32_t sent = 0; sent < flood_size; sent += 100) {
        if (sent % (flood_size / 10) == 0) {
            ASSERT_TRUE(oracle.open(client, {victim.address(), 80},
                                    {.client_bytes = 5000, .server_bytes = 5000}));
        }
        for (int i = 0; i < 100; ++i) link.inject(spoofed.next(world.random()));
        world.run_for(10_us);
        ASSERT_LE(victim.worker().gauges().half_open, limit);
    }
    world.run_for(10_ms);
    EXPECT_GE(counters.syn_cookies_sent.load(), flood_size - 2 * limit);
    EXPECT_LE(syn_acks, flood_size) << "one answer for a SYN, at most";
    // The first of those who mean it comes before the flood has reached the limit.
    EXPECT_GE(counters.syn_cookies_received.load(), 9u);
    EXPECT_EQ(counters.syn_cookies_failed.load(), 0u);
    EXPECT_TRUE(world.run_while_busy(Duration::hours(1), [&] {
        return oracle.all_finished() && victim.worker().gauges().connections == 0 &&
               victim.worker().gauges().time_wait == 0 && client.worker().gauges().time_wait == 0;
    }));
    oracle.judge_end({&victim, &client});
    for (const auto& failure : oracle.failures()) ADD_FAILURE() << failure;
}

TEST(SynFlood, MillionSpoofedSynsLeaveNothingAndClientsGetIn) { flood(stack::SynCookies::always); }

TEST(SynFlood, HalfOpenConnectionsStopAtTheirLimitAndClientsGetInByCookies) {
    flood(stack::SynCookies::automatic);
}

/// A device to which SYNs come from nowhere.
class FloodDevice : public SinkDevice {
  public:
    unsigned receive(stack::Frame* frames, unsigned max) {
        for (unsigned i = 0; i < max; ++i) {
            const auto syn = spoofed_.next(random_);
            std::copy(syn.begin(), syn.end(), arriving_[i].begin());
            frames[i] = stack::Frame{};
            frames[i].data = arriving_[i].data();
            frames[i].length = static_cast<uint32_t>(syn.size());
        }
        return max;
    }

  private:
    using Bytes = std::array<uint8_t, 1500 + stack::TransmitBatch::slack_bytes>;
    SpoofedSyn spoofed_;
    Prng random_{7};
    std::array<Bytes, 64> arriving_;
};

TEST(SynFlood, SpoofedSynCostsNoAllocation) {
    stack::Worker worker{sim::World::simple_host(1)};
    NobodyComes service;
    ASSERT_TRUE(worker.listen({{}, 80}, service, {.syn_cookies = stack::SynCookies::always}));
    FloodDevice device;
    stack::Loop<FloodDevice> loop{worker, device};
    Instant now = Instant::from_us(1'000'000);
    loop.run_once(now);
    const uint64_t before = allocation_count();
    while (device.sent < flood_size) {
        now = now + 6_us;
        loop.run_once(now);
    }
    EXPECT_EQ(allocation_count() - before, 0u);
    EXPECT_EQ(worker.tcp_counters().syn_cookies_sent.load(), device.sent);
    EXPECT_EQ(service.reached, 0u);
    EXPECT_EQ(worker.gauges().connections, 0u);
    EXPECT_EQ(worker.leaks().buffers, 0u);
    EXPECT_FALSE(worker.next_deadline().has_value());
}

}  // namespace
}  // namespace synfin::security
