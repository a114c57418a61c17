#include <gtest/gtest.h>

#include <synfin/stack/neighbor_cache.hpp>

namespace synfin::stack {
namespace {

using wire::IpAddress;
using wire::MacAddress;
using Kind = NeighborCache::Action::Kind;

constexpr MacAddress mac(uint8_t n) { return {{2, 0, 0, 0, 0, n}}; }
constexpr IpAddress address(uint8_t n) { return IpAddress::v4(10, 0, 0, n); }

class Neighbors : public ::testing::Test {
  protected:
    NeighborCache cache{4, {{mac(1)}}, SipKey{1, 2}};
    Instant now = Instant::from_us(1'000'000);

    NeighborIndex ask_for(uint8_t host) {
        const NeighborIndex index = cache.find_or_add(0, address(host)).index;
        cache.use(index, now);
        return index;
    }
    unsigned requests() {
        unsigned count = 0;
        while (const auto action = cache.next_action(now)) count += action->kind != Kind::give_up;
        return count;
    }
    /// As requests(), and nobody bears witness for anybody.
    std::string actions() {
        std::string kinds;
        while (const auto action = cache.next_action(now)) {
            switch (action->kind) {
                case Kind::ask: kinds += 'b'; break;
                case Kind::ask_directly: kinds += 'd'; break;
                case Kind::give_up: kinds += 'x'; break;
                case Kind::judge:
                    kinds += 'j';
                    cache.probe(action->index, now);
                    break;
            }
        }
        return kinds;
    }
    MacAddress mac_of(NeighborIndex index) const {
        return wire::load_mac(cache[index].header.bytes.data());
    }
    NeighborIndex resolve(uint8_t host) {
        const NeighborIndex index = ask_for(host);
        EXPECT_EQ(requests(), 1u);
        EXPECT_EQ(cache.learn(0, address(host), mac(host), now), index);
        return index;
    }
};

TEST_F(Neighbors, AnswerMakesANeighborUsable) {
    const NeighborIndex index = ask_for(2);
    EXPECT_FALSE(cache[index].usable());
    EXPECT_EQ(cache.next_action(now)->kind, Kind::ask);
    cache.learn(0, address(2), mac(2), now);
    EXPECT_TRUE(cache[index].usable());
    EXPECT_EQ(mac_of(index), mac(2));
    EXPECT_FALSE(cache.next_deadline().has_value());
}

TEST_F(Neighbors, NothingIsLearnedUnasked) {
    EXPECT_EQ(cache.learn(0, address(2), mac(2), now), no_neighbor);
    EXPECT_EQ(cache.find(0, address(2)), no_neighbor);
    // Known by name only, as a gateway that nobody has needed yet, is not asked for either.
    const NeighborIndex router = cache.add_router(0, address(3));
    EXPECT_EQ(cache.learn(0, address(3), mac(3), now), no_neighbor);
    EXPECT_FALSE(cache[router].usable());
}

TEST_F(Neighbors, ADestinationIsAskedOnceASecondThenGivenUp) {
    const NeighborIndex index = ask_for(2);
    for (unsigned second = 0; second < NeighborCache::attempts_max; ++second) {
        EXPECT_EQ(requests(), 1u);
        cache.use(index, now);
        now = now + Duration::milliseconds(999);
        EXPECT_EQ(requests(), 0u);
        now = now + Duration::milliseconds(1);
    }
    EXPECT_EQ(cache.next_action(now)->kind, Kind::give_up);
    EXPECT_EQ(cache[index].state, NeighborState::failed);
    EXPECT_FALSE(cache.next_action(now).has_value());
    cache.use(index, now);
    EXPECT_EQ(requests(), 1u);
}

TEST_F(Neighbors, AnOldEntryIsUsedWhileItIsAskedAgain) {
    const NeighborIndex index = resolve(2);
    now = now + NeighborCache::reachable_time;
    EXPECT_TRUE(cache.use(index, now));
    EXPECT_TRUE(cache[index].usable());
    now = now + NeighborCache::delay_time;
    EXPECT_EQ(actions(), "jd");
    EXPECT_TRUE(cache[index].usable());
    cache.learn(0, address(2), mac(2), now);
    EXPECT_EQ(cache[index].state, NeighborState::reachable);
    EXPECT_FALSE(cache.next_deadline().has_value());
}

TEST_F(Neighbors, Rfc4861_1_AnOldEntryIsJudgedFiveSecondsAfterItsFirstUse) {
    const NeighborIndex index = resolve(2);
    now = now + NeighborCache::reachable_time;
    EXPECT_TRUE(cache.use(index, now));
    EXPECT_EQ(cache.next_deadline(), now + NeighborCache::delay_time);
    now = now + (NeighborCache::delay_time - Duration::microseconds(1));
    EXPECT_FALSE(cache.use(index, now)) << "it has its witness";
    EXPECT_EQ(actions(), "");
    now = now + Duration::microseconds(1);
    EXPECT_EQ(actions(), "jd");
}

TEST_F(Neighbors, Rfc4861_1_AnOldEntryWhoseWitnessGotOnIsNotAsked) {
    const NeighborIndex index = resolve(2);
    now = now + NeighborCache::reachable_time;
    cache.use(index, now);
    now = now + NeighborCache::delay_time;
    EXPECT_EQ(cache.next_action(now)->kind, Kind::judge);
    cache.confirm(index, now);
    now = now + (NeighborCache::reachable_time - Duration::microseconds(1));
    EXPECT_FALSE(cache.use(index, now));
    EXPECT_FALSE(cache.next_deadline().has_value());
    now = now + Duration::microseconds(1);
    EXPECT_TRUE(cache.use(index, now));
}

TEST_F(Neighbors, DoubtEndsTheDelay) {
    const NeighborIndex index = resolve(2);
    now = now + NeighborCache::reachable_time;
    cache.use(index, now);
    EXPECT_FALSE(cache.doubt(index, now)) << "next_action() asks";
    EXPECT_EQ(actions(), "d");
}

TEST_F(Neighbors, EntryThatIsForgottenWhileItIsDelayedIsNotJudged) {
    const NeighborIndex index = resolve(2);
    now = now + NeighborCache::reachable_time;
    cache.use(index, now);
    for (uint8_t host = 3; host < 9; ++host) cache.find_or_add(0, address(host));
    EXPECT_EQ(cache.find(0, address(2)), no_neighbor);
    EXPECT_FALSE(cache.next_deadline().has_value());
}

TEST_F(Neighbors, AnOldEntryThatIsSilentIsAskedForByBroadcastAndThenGivenUp) {
    const NeighborIndex index = resolve(2);
    now = now + NeighborCache::reachable_time;
    cache.use(index, now);
    std::string kinds;
    for (int second = 0; second < 13; ++second) {
        kinds += actions();
        now = now + Duration::seconds(1);
    }
    EXPECT_EQ(kinds, "jdddbbbx");
    EXPECT_FALSE(cache[index].usable());
}

TEST_F(Neighbors, StaticEntryIsNeverChangedNorAged) {
    cache.add_fixed(0, address(2), mac(2));
    const NeighborIndex index = cache.find(0, address(2));
    EXPECT_EQ(cache.learn(0, address(2), mac(66), now), no_neighbor);
    EXPECT_EQ(mac_of(index), mac(2));
    now = now + Duration::hours(10);
    cache.use(index, now);
    EXPECT_FALSE(cache.next_action(now).has_value());
}

TEST_F(Neighbors, TheFirstOfTwoAnswersWins) {
    const NeighborIndex index = resolve(2);
    EXPECT_EQ(cache.learn(0, address(2), mac(66), now), no_neighbor);
    EXPECT_EQ(mac_of(index), mac(2));
    now = now + NeighborCache::settle_time;
    EXPECT_EQ(cache.learn(0, address(2), mac(67), now), index) << "a neighbor may move";
    EXPECT_EQ(mac_of(index), mac(67));
}

TEST_F(Neighbors, FullCacheForgetsWhatHasNotBeenUsed) {
    for (uint8_t host = 2; host <= 5; ++host) resolve(host);
    EXPECT_TRUE(cache.find_or_add(0, address(6)).evicted);  // takes everybody's mark
    cache.use(cache.find_or_add(0, address(5)).index, now);
    cache.use(cache.find_or_add(0, address(4)).index, now);
    EXPECT_TRUE(cache.find_or_add(0, address(7)).evicted);
    EXPECT_NE(cache.find(0, address(4)), no_neighbor);
    EXPECT_NE(cache.find(0, address(5)), no_neighbor);
    EXPECT_EQ(cache.find(0, address(2)), no_neighbor);
    EXPECT_EQ(cache.find(0, address(3)), no_neighbor);
}

TEST_F(Neighbors, RoutersAndStaticEntriesAreNeverForgotten) {
    cache.add_router(0, address(2));
    cache.add_fixed(0, address(3), mac(3));
    for (uint8_t host = 10; host < 100; ++host) cache.find_or_add(0, address(host));
    EXPECT_NE(cache.find(0, address(2)), no_neighbor);
    EXPECT_NE(cache.find(0, address(3)), no_neighbor);
}

TEST_F(Neighbors, EvictedEntryHandsOverItsWaitingList) {
    for (uint8_t host = 2; host <= 5; ++host) cache[ask_for(host)].waiting_head = host;
    const auto found = cache.find_or_add(0, address(6));
    EXPECT_TRUE(found.evicted);
    EXPECT_EQ(found.orphans, 2u);
    EXPECT_EQ(cache[found.index].waiting_head, no_index);
    EXPECT_EQ(requests(), 3u) << "nobody asks for the evicted one any more";
}

TEST_F(Neighbors, TheSameAddressOnTwoInterfacesIsTwoNeighbors) {
    NeighborCache two{4, {{mac(1)}, {mac(11)}}, SipKey{}};
    const NeighborIndex left = two.find_or_add(0, address(2)).index;
    const NeighborIndex right = two.find_or_add(1, address(2)).index;
    EXPECT_NE(left, right);
    two.use(left, now);
    two.use(right, now);
    EXPECT_EQ(two.learn(1, address(2), mac(2), now), right);
    EXPECT_FALSE(two[left].usable());
}

}  // namespace
}  // namespace synfin::stack
