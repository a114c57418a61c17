// The short ways on which a connection ends beside the general one: same inputs, same outcome.
#include <array>

#include <gtest/gtest.h>

#include <synfin/base/prng.hpp>

#include "stack_world.hpp"

namespace synfin::stack::test {
namespace {

/// Two hosts whose connections end in every order. A connection with a profile of its own ends on
/// the general way, whatever else is true of it.
struct Partners {
    static WorkerConfig config(uint8_t host, uint8_t other, Family family) {
        WorkerConfig config = config_of(host, other, family);
        config.time_wait = Duration::milliseconds(20);
        // TIME_WAIT is full now and then, and few ports are free.
        config.max_time_wait = 16;
        config.first_port = 60'000;
        config.last_port = 60'100;
        return config;
    }
    Partners(Family of, bool in_general)
        : family{of}, client{config(1, 2, of)}, server{config(2, 1, of)} {
        if (in_general) {
            tcp::Profile own;
            own.keep_alive_idle = Duration::hours(3);  // keep-alive is off
            for (Host* host : {&client, &server}) {
                const auto number = host->worker.take_profile(own);
                EXPECT_TRUE(number.has_value());
                profile = *number;
            }
        }
        say_what_follows();
        EXPECT_TRUE(server.worker.listen({address_of(2, of), 80}, served, {.profile = profile})
                        .has_value());
    }

    /// What a connection does is a matter of its number, and how the peer takes it of its port.
    void say_what_follows() {
        used.when_established = [](Worker& worker, ConnectionId id) {
            switch (worker.user_data(id) % 5) {
                case 0: return worker.close(id);
                case 1: return worker.abort(id);
                case 2: worker.send(id, bytes_of("last words")); return worker.close(id);
                case 3: worker.send(id, bytes_of("a question")); return;
                default: return;
            }
        };
        const auto close = [](Worker& worker, ConnectionId id) { worker.close(id); };
        used.when_peer_closed = served.when_peer_closed = close;
        served.when_established = [](Worker& worker, ConnectionId id) {
            if (worker.remote(id).port % 3 == 0) worker.close(id);
        };
        served.when_data = [](Worker& worker, ConnectionId id, std::span<const uint8_t> data) {
            switch (worker.remote(id).port % 5) {
                case 0: worker.abort(id); break;
                case 1:
                    worker.send(id, data);
                    worker.close(id);
                    break;
                default: worker.close(id);
            }
            return data.size();
        };
    }

    Family family;
    uint16_t profile = 0;
    Host client;
    Host server;
    Cable cable{client, server};
    Recorder used;
    Recorder served;
};

void expect_alike(const Host& a, const Host& b) {
    const Worker::Gauges gauges = a.worker.gauges();
    const Worker::Gauges others = b.worker.gauges();
    ASSERT_EQ(gauges.connections, others.connections);
    ASSERT_EQ(gauges.time_wait, others.time_wait);
    ASSERT_EQ(gauges.half_open, others.half_open);
#define SYNFIN_COMPARE(name, ...) \
    ASSERT_EQ(a.worker.tcp_counters().name.load(), b.worker.tcp_counters().name.load()) << #name;
    SYNFIN_TCP_COUNTERS(SYNFIN_COMPARE)
#undef SYNFIN_COMPARE
}

class UsualEndingOf : public testing::TestWithParam<Family> {};
INSTANTIATE_TEST_SUITE_P(Families, UsualEndingOf, testing::Values(Family::ipv4, Family::ipv6),
                         [](const auto& tested) { return name_of(tested.param); });

TEST_P(UsualEndingOf, LeavesWhatTheGeneralWayLeaves) {
    Partners usual{GetParam(), false};
    Partners general{GetParam(), true};
    const wire::SocketAddress remote{address_of(2, GetParam()), 80};
    Prng random{11};
    std::vector<ConnectionId> ids;
    unsigned opened = 0;
    unsigned refused = 0;
    for (unsigned round = 0; round < 400; ++round) {
        for (uint64_t n = random.below(12); n > 0; --n) {
            ConnectOptions options;
            options.user_data = random();
            const auto id = usual.client.worker.connect(remote, usual.used, options);
            // The port that one has found free is free for the other. Where there is none, a second
            // time shows that none is.
            if (id) options.source_port = usual.client.worker.local(*id).port;
            options.profile = general.profile;
            const auto other = general.client.worker.connect(remote, general.used, options);
            ASSERT_EQ(id.has_value(), other.has_value());
            id ? ++opened : ++refused;
            if (!id) continue;
            ASSERT_EQ(*id, *other);
            ids.push_back(*id);
        }
        // Now and then one that waits for nothing is reset.
        if (random.below(3) == 0 && !ids.empty()) {
            const ConnectionId id = ids[random.below(ids.size())];
            for (Partners* both : {&usual, &general}) both->client.worker.abort(id);
        }
        const auto time = Duration::milliseconds(static_cast<int64_t>(random.below(8)));
        for (Partners* both : {&usual, &general}) both->cable.pass(time);
        expect_alike(usual.client, general.client);
        expect_alike(usual.server, general.server);
    }
    EXPECT_GT(opened, 1000u);
    EXPECT_GT(refused, 0u);
    EXPECT_GT(usual.client.worker.tcp_counters().time_wait_overflow, 0u);
    for (Partners* both : {&usual, &general}) {
        for (const ConnectionId id : ids) both->client.worker.abort(id);
        both->cable.pass(Duration::seconds(1));
        EXPECT_TRUE(both->client.holds_nothing());
        EXPECT_TRUE(both->server.holds_nothing());
        EXPECT_EQ(both->client.worker.gauges().time_wait, 0u);
    }
    expect_alike(usual.client, general.client);
    for (const auto recorders : {&Partners::used, &Partners::served}) {
        ASSERT_EQ((usual.*recorders).lives.size(), (general.*recorders).lives.size());
        for (const auto& [id, life] : (usual.*recorders).lives) {
            ASSERT_EQ(life.events, (general.*recorders).lives[id].events);
            ASSERT_EQ(life.reason, (general.*recorders).lives[id].reason);
        }
    }
}

}  // namespace
}  // namespace synfin::stack::test
