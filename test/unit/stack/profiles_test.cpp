// Profiles of a worker: shared ones, and own ones for connections whose user has changed an option.
#include <gtest/gtest.h>

#include <synfin/stack/profile_pool.hpp>

#include "stack_world.hpp"

namespace synfin::stack::test {
namespace {

tcp::Profile with_ttl(uint8_t ttl) {
    tcp::Profile profile;
    profile.time_to_live = ttl;
    return profile;
}

TEST(ProfilePool, AConfiguredProfileIsSharedByWhoWantsItsValues) {
    ProfilePool pool{{with_ttl(64), with_ttl(32)}, 4, 1500};
    EXPECT_EQ(pool.take(with_ttl(32)), 1u);
}

TEST(ProfilePool, AnOwnProfileIsFreeWhenNobodyRefersToItAnyMore) {
    ProfilePool pool{{with_ttl(64)}, 1, 1500};
    const auto own = pool.take(with_ttl(9));
    ASSERT_TRUE(own.has_value());
    pool.hold(*own);
    pool.release(*own);
    EXPECT_FALSE(pool.take(with_ttl(10)).has_value());
    EXPECT_TRUE(pool.is_valid(*own));
    pool.release(*own);
    EXPECT_FALSE(pool.is_valid(*own));
    EXPECT_TRUE(pool.take(with_ttl(10)).has_value());
}

TEST(ProfilePool, OnlyTheLastReferenceMayChangeAProfile) {
    ProfilePool pool{{with_ttl(64)}, 2, 1500};
    const auto own = pool.take(with_ttl(9));
    ASSERT_TRUE(own.has_value());
    EXPECT_TRUE(pool.is_exclusive(*own));
    EXPECT_FALSE(pool.is_exclusive(0));
    pool.hold(*own);
    EXPECT_FALSE(pool.is_exclusive(*own));
}

TEST(ProfilePool, OffersFollowTheirProfiles) {
    ProfilePool pool{{with_ttl(64)}, 2, 1400};
    EXPECT_EQ(pool.terms()[0].mss_v4, 1360);
    EXPECT_EQ(pool.terms()[0].mss_v6, 1340);
    tcp::Profile profile;
    profile.mss_clamp = 600;
    const auto own = pool.take(profile);
    ASSERT_TRUE(own.has_value());
    EXPECT_EQ(pool.terms()[*own].mss_v4, 600);
    profile.mss_clamp = 700;
    pool.change(*own, profile);
    EXPECT_EQ(pool.terms()[*own].mss_v4, 700);
}

class Profiles : public ::testing::Test {
  protected:
    Profiles() { EXPECT_TRUE(server.worker.listen({{}, 80}, service).has_value()); }

    ConnectionId connect() {
        const auto id = client.worker.connect({address_of(2), 80}, user);
        cable.settle();
        return id.value_or(ConnectionId{});
    }
    static WorkerConfig small(uint8_t host, uint8_t neighbor) {
        WorkerConfig config = config_of(host, neighbor);
        config.max_own_profiles = 2;
        return config;
    }

    Host client{small(1, 2)};
    Host server{small(2, 1)};
    Cable cable{client, server};
    Recorder user;
    Recorder service;
};

TEST_F(Profiles, AChangedOptionIsTheConnectionsOwn) {
    const ConnectionId changed = connect();
    const ConnectionId other = connect();
    ASSERT_TRUE(client.worker.change_profile(changed, with_ttl(7)).has_value());
    EXPECT_EQ(client.worker.profile(changed).time_to_live, 7);
    EXPECT_EQ(client.worker.profile(other).time_to_live, 64);
    client.worker.send(changed, bytes_of("x"));
    client.run();
    const Bytes frame = client.take_one();
    ASSERT_GT(frame.size(), 22u);
    EXPECT_EQ(frame[22], 7);
}

TEST_F(Profiles, Shld21_DiffservFieldChangesDuringAConnection) {
    const ConnectionId id = connect();
    const auto field_of_next_segment = [&] {
        client.worker.send(id, bytes_of("x"));
        client.run();
        const Bytes frame = client.take_one();
        return frame.size() > 15 ? frame[15] : 0xff;
    };
    EXPECT_EQ(field_of_next_segment(), 0);
    tcp::Profile urgent;
    urgent.diffserv = 46;
    urgent.nagle = false;
    ASSERT_TRUE(client.worker.change_profile(id, urgent).has_value());
    EXPECT_EQ(field_of_next_segment(), 46 << 2);
}

TEST_F(Profiles, TheNextConnectionWithTheSameOwnValuesFailsWhenTheLimitIsReached) {
    std::vector<ConnectionId> ids;
    for (int i = 0; i < 3; ++i) ids.push_back(connect());
    EXPECT_TRUE(client.worker.change_profile(ids[0], with_ttl(7)).has_value());
    EXPECT_TRUE(client.worker.change_profile(ids[1], with_ttl(8)).has_value());
    const auto refused = client.worker.change_profile(ids[2], with_ttl(9));
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error(), Error::no_resources);
    // A change of what is its own already needs no other one.
    EXPECT_TRUE(client.worker.change_profile(ids[0], with_ttl(10)).has_value());
}

TEST_F(Profiles, AConnectionThatIsGoneGivesItsProfileBack) {
    for (int i = 0; i < 5; ++i) {
        const ConnectionId id = connect();
        ASSERT_TRUE(client.worker.change_profile(id, with_ttl(7)).has_value()) << i;
        client.worker.abort(id);
        cable.settle();
    }
}

TEST_F(Profiles, AListenersNewProfileGovernsWhatItAcceptsLater) {
    const ConnectionId before = connect();
    ASSERT_TRUE(server.worker.change_profile(wire::SocketAddress{{}, 80}, with_ttl(5)).has_value());
    const ConnectionId after = connect();
    EXPECT_TRUE(client.worker.is_open(before) && client.worker.is_open(after));
    ASSERT_EQ(service.ids.size(), 2u);
    EXPECT_EQ(server.worker.profile(service.ids[0]).time_to_live, 64);
    EXPECT_EQ(server.worker.profile(service.ids[1]).time_to_live, 5);
}

TEST_F(Profiles, AnAddedBlockOfAddressesIsAnsweredFor) {
    const IpAddress added = IpAddress::v4(10, 0, 0, 77);
    EXPECT_FALSE(server.worker.owns(added));
    server.worker.add_addresses(0, {added, 32});
    EXPECT_TRUE(server.worker.owns(added));
}

}  // namespace
}  // namespace synfin::stack::test
