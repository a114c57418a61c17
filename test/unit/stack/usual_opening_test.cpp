// The fast paths of opening beside the general ones: same inputs, same outcome.
#include <array>
#include <set>
#include <span>

#include <gtest/gtest.h>

#include <synfin/base/prng.hpp>

#include "stack_world.hpp"

namespace synfin::stack::test {
namespace {

/// One of 64 addresses that a host may have at once.
IpAddress one_of_block(unsigned n, Family family) {
    return address_of(static_cast<uint8_t>(64 + n), family);
}
wire::IpPrefix block_of(Family family) {
    return {one_of_block(0, family), static_cast<uint8_t>(family == Family::ipv4 ? 26 : 122)};
}

/// A host with several sources and profiles, and one that it talks to.
struct Couple {
    static WorkerConfig client_config(Family family = Family::ipv4) {
        WorkerConfig config = config_of(1, 2, family);
        config.interfaces[0].addresses = {block_of(family)};
        tcp::Profile plain;
        plain.timestamps = plain.sack = plain.window_scaling = false;
        tcp::Profile small;
        small.receive_buffer_bytes = 20'000;
        small.mss_clamp = 700;
        small.nagle = false;
        small.keep_alive = true;
        small.user_timeout = Duration::seconds(30);
        small.user_timeout_option = true;
        small.ecn = tcp::EcnUse::ask;
        config.profiles = {{}, plain, small};
        config.time_wait = Duration::milliseconds(20);
        return config;
    }
    explicit Couple(Family family = Family::ipv4) : Couple{client_config(family), family} {}
    explicit Couple(const WorkerConfig& config, Family family = Family::ipv4)
        : client{config}, server{config_of(2, family)} {
        served.when_peer_closed = [](Worker& worker, ConnectionId id) { worker.close(id); };
        used.when_established = [](Worker& worker, ConnectionId id) { worker.close(id); };
        for (const uint16_t port : {uint16_t{80}, uint16_t{81}}) {
            EXPECT_TRUE(server.worker.listen({address_of(2, family), port}, served).has_value());
        }
    }
    Host client;
    Host server;
    Cable cable{client, server};
    Recorder used;
    Recorder served;
};

class UsualOpeningOf : public testing::TestWithParam<Family> {};
INSTANTIATE_TEST_SUITE_P(Families, UsualOpeningOf, testing::Values(Family::ipv4, Family::ipv6),
                         [](const auto& tested) { return name_of(tested.param); });

// Who names the port himself is served in general. So one host opens with whatever port it is
// given, and the other names the same ports.
TEST_P(UsualOpeningOf, OpensWhatTheGeneralWayOpens) {
    Couple usual{GetParam()};
    Couple general{GetParam()};
    Prng random{7};
    ConnectOptions options;
    wire::SocketAddress remote{address_of(2, GetParam()), 80};
    for (unsigned round = 0; round < 300; ++round) {
        if (random.below(4) == 0) remote.port = static_cast<uint16_t>(80 + random.below(2));
        if (random.below(4) == 0) options.profile = static_cast<uint16_t>(random.below(3));
        if (random.below(4) == 0) {
            options.source = one_of_block(1 + static_cast<unsigned>(random.below(9)), GetParam());
        }
        options.user_data = random();
        options.source_port = 0;
        std::array<ConnectionId, 3> ids;
        for (size_t opened = 0; opened < ids.size();) {
            const std::span wanted =
                std::span{ids}.subspan(opened, 1 + random.below(ids.size() - opened));
            const auto together = usual.client.worker.connect(remote, usual.used, options, wanted);
            ASSERT_TRUE(together.has_value());
            opened += *together;
        }
        for (const ConnectionId id : ids) {
            options.source_port = usual.client.worker.local(id).port;
            const auto other = general.client.worker.connect(remote, general.used, options);
            ASSERT_TRUE(other.has_value());
            ASSERT_EQ(id, *other);
            ASSERT_EQ(usual.client.worker.user_data(id), options.user_data);
            ASSERT_EQ(usual.client.worker.state(id), tcp::State::syn_sent);
        }
        if (random.below(3) == 0) {
            usual.client.run();
            general.client.run();
            const std::vector<Bytes> frames = usual.client.take_sent();
            ASSERT_EQ(frames, general.client.take_sent());
            for (Couple* couple : {&usual, &general}) {
                for (const Bytes& frame : frames) couple->server.device.arriving.push_back(frame);
            }
        }
        if (random.below(8) == 0) {
            for (Couple* couple : {&usual, &general}) couple->cable.pass(Duration::seconds(1));
            ASSERT_EQ(usual.used.closed, general.used.closed);
        }
    }
    for (Couple* couple : {&usual, &general}) {
        couple->cable.pass(Duration::seconds(5));
        EXPECT_EQ(couple->used.closed, 900u);
        EXPECT_TRUE(couple->client.holds_nothing());
        const tcp::Counters& counters = couple->client.worker.tcp_counters();
        EXPECT_EQ(counters.active_opens, 900u);
        EXPECT_EQ(counters.retrans_segs, 0u);
    }
    ASSERT_EQ(usual.used.lives.size(), general.used.lives.size());
    for (const auto& [id, life] : usual.used.lives) {
        ASSERT_EQ(life.events, general.used.lives[id].events);
    }
}

/// A host that listens, and peers that are made by hand.
struct Listening {
    static WorkerConfig config(Family family) {
        WorkerConfig config = config_of(1, family);
        for (const uint8_t peer : {uint8_t{7}, uint8_t{8}, uint8_t{9}}) {
            config.interfaces[0].static_neighbors.push_back(
                {address_of(peer, family), mac_of(peer)});
        }
        tcp::Profile small;
        small.receive_buffer_bytes = 20'000;
        small.mss_clamp = 700;
        small.ecn = tcp::EcnUse::off;
        config.profiles = {{}, small};
        config.time_wait = Duration::milliseconds(20);
        return config;
    }
    explicit Listening(Family of = Family::ipv4) : family{of}, host{config(of)} {
        user.when_peer_closed = [](Worker& worker, ConnectionId id) { worker.close(id); };
        EXPECT_TRUE(host.worker.listen({address_of(1, of), 80}, user).has_value());
        EXPECT_TRUE(host.worker.listen({address_of(1, of), 81}, user, {.profile = 1}).has_value());
    }
    /// What the host has to say to a segment.
    std::vector<Bytes> answer(const HandMade& made) {
        host.run(segment_frame(made));
        return host.take_sent();
    }
    /// Another peer comes and goes, so that the next SYN is like none before it.
    void interrupt(unsigned round) {
        HandMade other{
            .from_mac = mac_of(7), .from = address_of(7, family), .to = address_of(1, family)};
        other.from_port = static_cast<uint16_t>(20'000 + round);
        host.run(segment_frame(other));
        other.seq += 1;
        other.flags = wire::flag::rst;
        host.run(segment_frame(other));
        host.take_sent();
    }
    const Family family;
    Host host;
    Recorder user;
};

HandMade random_syn(Prng& random, Family family, HandMade syn) {
    if (random.below(6) == 0) {
        const auto peer = static_cast<uint8_t>(8 + random.below(2));
        syn.from = address_of(peer, family);
        syn.from_mac = mac_of(peer);
    }
    if (random.below(6) == 0) syn.to_port = static_cast<uint16_t>(80 + random.below(2));
    if (random.below(6) == 0) syn.window = static_cast<uint16_t>(1000 + random.below(60'000));
    if (random.below(6) == 0) {
        syn.flags = random.below(2) == 0 ? wire::flag::syn
                                         : wire::flag::syn | wire::flag::ece | wire::flag::cwr;
    }
    if (random.below(6) == 0) {
        wire::TcpOptions& o = syn.options;
        o = {};
        o.has_mss = o.has_window_scale = o.sack_permitted = true;
        o.has_timestamps = random.below(4) != 0;
        o.mss = static_cast<uint16_t>(500 + random.below(1000));
        o.window_scale = static_cast<uint8_t>(random.below(15));
    }
    syn.from_port += 1;
    syn.seq = static_cast<uint32_t>(random());
    syn.options.ts_value = static_cast<uint32_t>(random());
    return syn;
}

// One host is interrupted before each SYN, so that it has to see to it in general.
TEST_P(UsualOpeningOf, PeersAreLetInAsTheGeneralWayLetsThemIn) {
    const size_t seq_at = 14 + (GetParam() == Family::ipv4 ? 20 : 40) + 4;
    Listening usual{GetParam()};
    Listening general{GetParam()};
    Prng random{11};
    HandMade syn{.from = address_of(9, GetParam()), .to = address_of(1, GetParam())};
    for (unsigned round = 0; round < 600; ++round) {
        const Duration passed = Duration::microseconds(static_cast<int64_t>(random.below(30'000)));
        usual.host.now = general.host.now = usual.host.now + passed;
        general.interrupt(round);
        syn = random_syn(random, GetParam(), syn);
        HandMade next = syn;
        const std::vector<Bytes> syn_ack = usual.answer(next);
        ASSERT_EQ(syn_ack.size(), 1u);
        ASSERT_EQ(syn_ack, general.answer(next));

        const uint32_t iss = wire::load_be32(syn_ack[0].data() + seq_at);
        next.seq += 1;
        next.ack = iss + 1;
        next.flags = wire::flag::ack | wire::flag::fin;
        const bool stamped = next.options.has_timestamps;
        const uint32_t stamp = next.options.ts_value;
        next.options = {};
        next.options.has_timestamps = stamped;
        next.options.ts_value = stamp + 1;
        ASSERT_EQ(usual.answer(next), general.answer(next));
        next.seq += 1;
        next.ack += 1;
        next.flags = wire::flag::ack;
        ASSERT_EQ(usual.answer(next), general.answer(next));
        ASSERT_EQ(usual.user.closed, round + 1);
    }
    ASSERT_EQ(general.user.closed, 600u);
    for (Listening* listening : {&usual, &general}) {
        EXPECT_TRUE(listening->host.holds_nothing());
        EXPECT_EQ(listening->host.worker.gauges().half_open, 0u);
    }
    EXPECT_EQ(usual.host.worker.tcp_counters().passive_opens, 600u);
    EXPECT_EQ(general.host.worker.tcp_counters().passive_opens, 1200u);
}

// A listener that is closed takes what is remembered of it along.
TEST(UsualOpening, ListenerWithAnotherProfileLetsInByIt) {
    Listening listening;
    HandMade syn;
    syn.options.has_mss = syn.options.has_window_scale = syn.options.sack_permitted = true;
    syn.options.has_timestamps = true;
    syn.options.mss = 1460;
    for (const uint16_t profile : {uint16_t{0}, uint16_t{1}}) {
        listening.host.worker.close_listener({address_of(1), 80});
        ASSERT_TRUE(
            listening.host.worker.listen({address_of(1), 80}, listening.user, {.profile = profile})
                .has_value());
        for (unsigned n = 0; n < 2; ++n) {
            ++syn.from_port;
            const std::vector<Bytes> frames = listening.answer(syn);
            ASSERT_EQ(frames.size(), 1u);
            const uint16_t mss = wire::load_be16(frames[0].data() + 14 + 20 + 20 + 2);
            EXPECT_EQ(mss, profile == 0 ? 1460 : 700);
        }
    }
}

/// As most hosts send it.
HandMade usual_syn() {
    HandMade syn;
    syn.options.has_mss = syn.options.has_window_scale = syn.options.sack_permitted = true;
    syn.options.has_timestamps = true;
    syn.options.mss = 1460;
    return syn;
}
/// Two usual SYNs, the second of which is like the last one; the second is returned.
HandMade let_in_two(Listening& listening) {
    HandMade syn = usual_syn();
    for (unsigned n = 0; n < 2; ++n) {
        ++syn.from_port;
        EXPECT_EQ(listening.answer(syn).size(), 1u);
    }
    return syn;
}

TEST(UsualOpening, PeersGoToTheMoreExactListenerAsSoonAsThereIsOne) {
    Host host{config_of(1, 9)};
    Recorder user;
    Recorder exact;
    ASSERT_TRUE(host.worker.listen({{}, 80}, user).has_value());
    HandMade syn = usual_syn();
    const auto establish = [&] {
        ++syn.from_port;
        host.run(segment_frame(syn));
        HandMade last = syn;
        last.seq += 1;
        last.ack = Read{host.take_one()}.packet.seq + 1;
        last.flags = wire::flag::ack;
        host.run(segment_frame(last));
    };
    establish();
    establish();
    EXPECT_EQ(user.ids.size(), 2u);
    ASSERT_TRUE(host.worker.listen({address_of(1), 80}, exact).has_value());
    establish();
    EXPECT_EQ(user.ids.size(), 2u);
    EXPECT_EQ(exact.ids.size(), 1u);
}

TEST(UsualOpening, PeersOfAListenerThatHasClosedAreReset) {
    Listening listening;
    HandMade syn = let_in_two(listening);
    listening.host.worker.close_listener({address_of(1), 80});
    listening.host.take_sent();
    ++syn.from_port;
    const std::vector<Bytes> frames = listening.answer(syn);
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_TRUE(Read{frames[0]}.packet.flags.rst());
}

TEST(UsualOpening, PeerWhoseAddressHasBecomeOursIsNotLetIn) {
    Listening listening;
    HandMade syn = let_in_two(listening);
    listening.host.worker.add_addresses(0, {syn.from, 32});
    ++syn.from_port;
    EXPECT_TRUE(listening.answer(syn).empty());
    EXPECT_EQ(listening.host.worker.stack_counters().drop_from_ourselves, 1u);
}

TEST(UsualOpening, SynIsHeldAgainstTheRecordOfItsTuple) {
    Listening listening;
    listening.user.when_established = [](Worker& worker, ConnectionId id) { worker.close(id); };
    const HandMade syn = usual_syn();
    const std::vector<Bytes> syn_ack = listening.answer(syn);
    ASSERT_EQ(syn_ack.size(), 1u);
    HandMade next = syn;
    next.options = {};
    next.options.has_timestamps = true;
    next.seq += 1;
    next.ack = Read{syn_ack[0]}.packet.seq + 1;
    next.flags = wire::flag::ack;
    ASSERT_EQ(listening.answer(next).size(), 1u) << "a FIN";
    next.ack += 1;
    next.flags = wire::flag::fin | wire::flag::ack;
    ASSERT_EQ(listening.answer(next).size(), 1u);
    ASSERT_EQ(listening.host.worker.gauges().time_wait, 1u);
    const std::vector<Bytes> frames = listening.answer(syn);
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(Read{frames[0]}.packet.flags, wire::flag::ack);
    EXPECT_EQ(listening.host.worker.gauges().half_open, 0u);
}

TEST(UsualOpening, HalfOpenConnectionsOfPeersRunOutAtTheBacklog) {
    Host host{config_of(1, 9)};
    Recorder user;
    ASSERT_TRUE(
        host.worker
            .listen({address_of(1), 80}, user, {.backlog = 5, .syn_cookies = SynCookies::never})
            .has_value());
    HandMade syn;
    syn.options.has_mss = syn.options.has_window_scale = syn.options.sack_permitted = true;
    syn.options.has_timestamps = true;
    for (unsigned n = 0; n < 8; ++n) {
        ++syn.from_port;
        host.run(segment_frame(syn));
    }
    EXPECT_EQ(host.take_sent().size(), 5u);
    EXPECT_EQ(host.worker.gauges().half_open, 5u);
    EXPECT_EQ(host.worker.tcp_counters().half_open_drops, 3u);
}

// With few ports, what was foreseen for one opening is often taken by the one before.
TEST(UsualOpening, PortsForeseenTwiceAreTakenOnce) {
    WorkerConfig config = Couple::client_config();
    config.first_port = 50000;
    config.last_port = 50039;
    Couple couple{config};
    for (unsigned round = 1; round <= 20; ++round) {
        std::set<uint16_t> ports;
        for (unsigned n = 0; n < 40; ++n) {
            const auto id = couple.client.worker.connect({address_of(2), 80}, couple.used);
            ASSERT_TRUE(id.has_value());
            ports.insert(couple.client.worker.local(*id).port);
        }
        EXPECT_EQ(ports.size(), 40u);
        EXPECT_FALSE(couple.client.worker.connect({address_of(2), 80}, couple.used).has_value());
        couple.cable.pass(Duration::seconds(1));
        ASSERT_EQ(couple.used.closed, 40u * round);
    }
    EXPECT_EQ(couple.client.worker.tcp_counters().retrans_segs, 0u);
    EXPECT_TRUE(couple.client.holds_nothing());
}

// Each of the two has its own idea of what a connection of it is told.
TEST(UsualOpening, EachApplicationGetsItsOwnConnections) {
    Couple couple;
    Recorder other;
    for (unsigned n = 0; n < 20; ++n) {
        Recorder& user = n % 3 == 0 ? other : couple.used;
        ASSERT_TRUE(couple.client.worker.connect({address_of(2), 80}, user).has_value());
    }
    couple.cable.settle();
    EXPECT_EQ(other.ids.size(), 7u);
    EXPECT_EQ(couple.used.ids.size(), 13u);
}

// A profile of one's own is counted by its connections, and may change behind them.
TEST(UsualOpening, OwnProfileIsHeldByEachConnection) {
    Couple couple;
    tcp::Profile profile;
    profile.time_to_live = 7;
    const auto number = couple.client.worker.take_profile(profile);
    ASSERT_TRUE(number.has_value());
    ConnectOptions options;
    options.profile = *number;
    std::vector<ConnectionId> ids;
    for (unsigned n = 0; n < 3; ++n) {
        ids.push_back(
            couple.client.worker.connect({address_of(2), 80}, couple.used, options).value());
    }
    couple.client.worker.release_profile(*number);
    for (unsigned n = 0; n < 2; ++n) couple.client.worker.abort(ids[n]);
    couple.client.run();
    EXPECT_EQ(couple.client.worker.profile(ids[2]).time_to_live, 7);
    EXPECT_TRUE(couple.client.worker.take_profile({.time_to_live = 8}).has_value());
    EXPECT_EQ(couple.client.worker.profile(ids[2]).time_to_live, 7);
}

TEST(UsualOpening, ConnectionsRunOutAtTheLimit) {
    WorkerConfig config = config_of(1, 2);
    config.max_connections = 5;
    Host host{config};
    Recorder user;
    for (unsigned n = 0; n < 5; ++n) {
        ASSERT_TRUE(host.worker.connect({address_of(2), 80}, user).has_value());
    }
    const auto refused = host.worker.connect({address_of(2), 80}, user);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error(), Error::no_resources);
}

// What is remembered names IPv6 addresses by ids, which are lent.
TEST(UsualOpening, GoesWhereItIsAskedToThoughAnotherHasTheIdOfItsPeer) {
    const auto address = [](uint8_t host) { return address_of(host, Family::ipv6); };
    WorkerConfig config = config_of(1, Family::ipv6);
    for (const uint8_t peer : {uint8_t{7}, uint8_t{8}, uint8_t{9}}) {
        config.interfaces[0].static_neighbors.push_back({address(peer), mac_of(peer)});
    }
    config.max_ipv6_addresses = 3;  // ours, and those of two peers
    Host host{config};
    Recorder user;
    Recorder service;
    ASSERT_TRUE(host.worker.listen({address(1), 80}, service).has_value());
    const auto open = [&](uint8_t peer) { return host.worker.connect({address(peer), 80}, user); };
    ASSERT_TRUE(open(7).has_value());
    host.worker.abort(open(9).value());
    host.run();

    HandMade eight{.from_mac = mac_of(8), .from = address(8), .to = address(1)};
    host.run(segment_frame(eight));
    EXPECT_EQ(open(9).error(), Error::no_resources);
    eight.seq += 1;
    eight.flags = wire::flag::rst;
    host.run(segment_frame(eight));
    host.run();
    host.take_sent();
    ASSERT_TRUE(open(9).has_value());
    host.run();
    EXPECT_EQ(Read{host.take_one()}.packet.destination, address(9));
}

// A listener in the ephemeral range may have connections that the allocator of ports knows nothing
// of.
TEST(UsualOpening, PortOfAPeersConnectionIsPassedOver) {
    WorkerConfig config = config_of(1, 9);
    config.first_port = 50000;
    config.last_port = 50009;
    Host host{config};
    Recorder user;
    ASSERT_TRUE(host.worker.connect({address_of(9), 4000}, user).has_value());
    const auto first = host.worker.connect({address_of(9), 4000}, user);
    ASSERT_TRUE(first.has_value());
    uint16_t listening = 50000;
    while (host.worker.local(*first).port == listening) ++listening;
    ASSERT_TRUE(host.worker.listen({address_of(1), listening}, user).has_value());
    host.run(segment_frame({.to_port = listening}));
    std::set<uint16_t> ports;
    while (const auto id = host.worker.connect({address_of(9), 4000}, user)) {
        ports.insert(host.worker.local(*id).port);
    }
    EXPECT_EQ(ports.count(listening), 0u);
}

}  // namespace
}  // namespace synfin::stack::test
