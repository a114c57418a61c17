// What Fast Open keeps (RFC 7413): a server's cookies, which need no memory, and a client's cache.
#include <gtest/gtest.h>

#include <synfin/tcp/fast_open.hpp>

namespace synfin::tcp {
namespace {

TEST(FastOpenCookies, BelongToWholeAddresses) {
    const Secret secret{1, 2};
    const Instant now;
    const wire::IpAddress server = wire::IpAddress::v6(1, 1);
    const wire::IpAddress client = wire::IpAddress::v6(2, 2);
    wire::TcpOptions options;
    write_fast_open_cookie({server, client}, secret, now, options);
    const auto worth = [&](const wire::IpAddress& local, const wire::IpAddress& remote) {
        return check_fast_open_cookie({local, remote}, secret, now, options);
    };
    EXPECT_EQ(worth(server, client), FastOpenCookie::valid);
    EXPECT_EQ(worth(server, wire::IpAddress::v6(3, 2)), FastOpenCookie::none);
    EXPECT_EQ(worth(server, wire::IpAddress::v6(2, 3)), FastOpenCookie::none);
    EXPECT_EQ(worth(wire::IpAddress::v6(0, 1), client), FastOpenCookie::none);
    EXPECT_EQ(worth(client, server), FastOpenCookie::none);
}

class CookieCache : public ::testing::Test {
  protected:
    static wire::TcpOptions cookie() {
        wire::TcpOptions options;
        options.has_fast_open = true;
        options.fast_open_bytes = 4;
        return options;
    }
    AddressPair server{wire::IpAddress::v4(9), wire::IpAddress::v4(10)};
    AddressPair other{wire::IpAddress::v4(8), wire::IpAddress::v4(10)};
    Instant now;
};

TEST_F(CookieCache, PlaceIsTakenByWhoComesLater) {
    FastOpenCache cache{1, {1, 2}};
    cache.keep(server, 1460, cookie());
    ASSERT_NE(cache.find(server), nullptr);
    cache.keep(other, 1460, cookie());
    EXPECT_EQ(cache.find(server), nullptr);
    ASSERT_NE(cache.find(other), nullptr);
}

TEST_F(CookieCache, CookieIsForTheSourceThatHasGotIt) {
    FastOpenCache cache{64, {1, 2}};
    cache.keep(server, 1460, cookie());
    EXPECT_EQ(cache.find(other), nullptr);
}

TEST_F(CookieCache, OptionWithoutACookieIsNotKept) {
    FastOpenCache cache{4, {1, 2}};
    wire::TcpOptions options = cookie();
    options.fast_open_bytes = 0;
    cache.keep(server, 1460, options);
    EXPECT_EQ(cache.find(server), nullptr);
}

TEST_F(CookieCache, RoomIsWhatBothSegmentSizesLeaveBesideAllOptionsThatASynCanHave) {
    FastOpenCache cache{4, {1, 2}};
    EXPECT_EQ(cache.room(server, 1460, now), 0u);
    cache.keep(server, 1400, cookie());
    EXPECT_EQ(cache.room(server, 1460, now), 1360u);
    EXPECT_EQ(cache.room(server, 536, now), 496u);
    cache.keep(server, 30, cookie());
    EXPECT_EQ(cache.room(server, 1460, now), 0u);
}

TEST_F(CookieCache, PauseEndsByTimeOrWithANewCookie) {
    FastOpenCache cache{4, {1, 2}};
    cache.keep(server, 1460, cookie());
    cache.pause(server, now);
    EXPECT_EQ(cache.find(server), nullptr);
    EXPECT_TRUE(cache.is_paused(server, now));
    EXPECT_FALSE(cache.is_paused(other, now));
    EXPECT_FALSE(cache.is_paused(server, now + fast_open_pause));
    cache.keep(server, 1460, cookie());
    EXPECT_FALSE(cache.is_paused(server, now));
}

}  // namespace
}  // namespace synfin::tcp
