// SYN cookies: what they remember, for how long, and what does not pass for one (RFC 4987).
#include <array>

#include <gtest/gtest.h>

#include <synfin/base/prng.hpp>
#include <synfin/tcp/syn_cookie.hpp>

namespace synfin::tcp {
namespace {

using wire::IpAddress;

constexpr Secret secret{0x0706'0504'0302'0100, 0x0f0e'0d0c'0b0a'0908};
constexpr uint16_t own_mss = 1460;
/// The first moment of a tick.
const Instant tick_begin = Instant{} + syn_cookie_tick * 1000;

HandshakeName handshake(bool v6 = false) {
    if (v6) {
        return {{IpAddress::v6(0x2001'0db8'0000'0001, 1), 80},
                {IpAddress::v6(0x2001'0db8'0000'0002, 7), 40'000},
                Seq{0xffff'fffe}};
    }
    return {{IpAddress::v4(198, 18, 0, 1), 80}, {IpAddress::v4(198, 19, 0, 7), 40'000}, Seq{12345}};
}

CookieOffer offer(uint16_t mss, int shift, bool sack, bool ecn = false) {
    CookieOffer all;
    all.ecn = ecn;
    wire::TcpOptions& o = all.options;
    o.has_mss = true;
    o.mss = mss;
    o.has_window_scale = shift >= 0;
    o.window_scale = static_cast<uint8_t>(std::max(shift, 0));
    o.sack_permitted = sack;
    return all;
}

bool is_believed(const HandshakeName& h, Seq cookie, Instant now, const Secret& key = secret) {
    return read_syn_cookie(h, cookie, own_mss, key, now).has_value();
}

TEST(SynCookie, Rfc4987_RemembersWindowScaleAndSackOfEachSyn) {
    for (const bool v6 : {false, true}) {
        for (int shift = -1; shift <= 14; ++shift) {
            for (const bool sack : {false, true}) {
                const Seq cookie = make_syn_cookie(handshake(v6), offer(1460, shift, sack), own_mss,
                                                   secret, tick_begin);
                const auto read =
                    read_syn_cookie(handshake(v6), cookie, own_mss, secret, tick_begin);
                ASSERT_TRUE(read) << shift;
                EXPECT_EQ(read->options.has_window_scale, shift >= 0);
                if (shift >= 0) {
                    EXPECT_EQ(read->options.window_scale, shift);
                }
                EXPECT_EQ(read->options.sack_permitted, sack);
                EXPECT_EQ(read->options.mss, own_mss);
            }
        }
    }
}

TEST(SynCookie, RemembersWhetherEcnWasAgreedOn) {
    for (const bool ecn : {false, true}) {
        const Seq cookie =
            make_syn_cookie(handshake(), offer(1460, 7, true, ecn), own_mss, secret, tick_begin);
        EXPECT_EQ(read_syn_cookie(handshake(), cookie, own_mss, secret, tick_begin)->ecn, ecn);
    }
}

TEST(SynCookie, ShiftBeyond14CountsAs14) {  // RFC 7323 section 2.3
    const Seq cookie =
        make_syn_cookie(handshake(), offer(1460, 200, true), own_mss, secret, tick_begin);
    EXPECT_EQ(
        read_syn_cookie(handshake(), cookie, own_mss, secret, tick_begin)->options.window_scale,
        14);
}

TEST(SynCookie, Must16_MssIsNeverLargerThanTheOneOffered) {
    for (const bool v6 : {false, true}) {
        for (const uint16_t own : {uint16_t{300}, uint16_t{536}, uint16_t{1460}, uint16_t{8960}}) {
            for (uint16_t offered = 48; offered < 9100; ++offered) {
                const Seq cookie = make_syn_cookie(handshake(v6), offer(offered, 7, true), own,
                                                   secret, tick_begin);
                const auto read = read_syn_cookie(handshake(v6), cookie, own, secret, tick_begin);
                ASSERT_TRUE(read);
                ASSERT_LE(read->options.mss, offered);
                if (offered >= own) {
                    ASSERT_EQ(read->options.mss, own);
                }
            }
        }
    }
}

TEST(SynCookie, Must15_MssThatIsAbsentIsTheDefault) {
    const CookieOffer none{};
    Seq cookie = make_syn_cookie(handshake(), none, own_mss, secret, tick_begin);
    EXPECT_EQ(read_syn_cookie(handshake(), cookie, own_mss, secret, tick_begin)->options.mss, 536);
    cookie = make_syn_cookie(handshake(true), none, own_mss, secret, tick_begin);
    EXPECT_EQ(read_syn_cookie(handshake(true), cookie, own_mss, secret, tick_begin)->options.mss,
              1220);
}

TEST(SynCookie, IsBelievedInItsTickAndTheNextAndNotLonger) {
    const Instant made = tick_begin + Duration::seconds(17);
    const Seq cookie = make_syn_cookie(handshake(), offer(1460, 7, true), own_mss, secret, made);
    const Instant end = tick_begin + syn_cookie_tick * 2;
    EXPECT_TRUE(is_believed(handshake(), cookie, made));
    EXPECT_TRUE(is_believed(handshake(), cookie, end - Duration::nanoseconds(1)));
    EXPECT_FALSE(is_believed(handshake(), cookie, end));
    EXPECT_FALSE(is_believed(handshake(), cookie, end + syn_cookie_tick));
    EXPECT_LE(end - tick_begin, syn_cookie_lifetime);
}

TEST(SynCookie, BelongsToOneHandshakeOnly) {
    for (const bool v6 : {false, true}) {
        const HandshakeName own = handshake(v6);
        const Seq cookie = make_syn_cookie(own, offer(1460, 7, true), own_mss, secret, tick_begin);
        HandshakeName other = own;
        other.remote.address =
            v6 ? IpAddress::v6(0x2001'0db8'0000'0002, 8) : IpAddress::v4(198, 19, 0, 8);
        EXPECT_FALSE(is_believed(other, cookie, tick_begin));
        other = own;
        other.local.address =
            v6 ? IpAddress::v6(0x2001'0db8'0000'0009, 1) : IpAddress::v4(198, 18, 0, 2);
        EXPECT_FALSE(is_believed(other, cookie, tick_begin));
        other = own;
        ++other.remote.port;
        EXPECT_FALSE(is_believed(other, cookie, tick_begin));
        other = own;
        ++other.local.port;
        EXPECT_FALSE(is_believed(other, cookie, tick_begin));
        other = own;
        other.peer_isn += 1;
        EXPECT_FALSE(is_believed(other, cookie, tick_begin));
        EXPECT_FALSE(is_believed(own, cookie, tick_begin, {secret[0], secret[1] + 1}));
    }
}

TEST(SynCookie, NoBitOfItCanBeChanged) {
    const Seq cookie =
        make_syn_cookie(handshake(), offer(1460, 7, true), own_mss, secret, tick_begin);
    for (unsigned bit = 0; bit < 32; ++bit) {
        EXPECT_FALSE(is_believed(handshake(), Seq{cookie.value() ^ 1u << bit}, tick_begin)) << bit;
    }
}

// One guess in 2^23 is right; a million of them are right about once in eight times, and this
// sequence of guesses is not.
TEST(SynCookie, GuessesAreNotBelieved) {
    Prng random{5};
    unsigned believed = 0;
    for (int i = 0; i < 1'000'000; ++i) {
        if (is_believed(handshake(), Seq{random.next_u32()}, tick_begin)) ++believed;
    }
    EXPECT_EQ(believed, 0u);
}

TEST(SynCookie, NeighboringHandshakesHaveNothingInCommon) {
    constexpr int count = 4096;
    std::array<int, 32> ones{};
    HandshakeName h = handshake();
    uint32_t previous = 0;
    for (int i = 0; i < count; ++i) {
        h.remote.port = static_cast<uint16_t>(1024 + i);
        const uint32_t cookie =
            make_syn_cookie(h, offer(1460, 7, true), own_mss, secret, tick_begin).value();
        for (unsigned bit = 0; bit < 32; ++bit)
            ones[bit] += static_cast<int>((cookie ^ previous) >> bit & 1u);
        previous = cookie;
    }
    // Six standard deviations of a fair coin.
    for (unsigned bit = 0; bit < 32; ++bit) EXPECT_NEAR(ones[bit], count / 2, 192) << bit;
}

}  // namespace
}  // namespace synfin::tcp
