// Sequence numbers on the circle of 2^32.
#include <gtest/gtest.h>

#include <synfin/tcp/seq.hpp>

namespace synfin::tcp {
namespace {

constexpr uint32_t corners[] = {0, 1, 0x7fff'ffff, 0x8000'0000, 0x8000'0001, 0xffff'ffff};

TEST(Seq, BeforeAndAfterHoldAcrossTheWrap) {
    for (uint32_t base : corners) {
        const Seq s{base};
        EXPECT_TRUE(s.before(s + 1)) << base;
        EXPECT_TRUE(s.before(s + 0x7fff'ffff)) << base;
        EXPECT_TRUE((s + 1).after(s)) << base;
        EXPECT_FALSE(s.before(s)) << base;
        EXPECT_FALSE(s.after(s)) << base;
        EXPECT_TRUE(s.at_or_before(s)) << base;
        EXPECT_TRUE(s.at_or_after(s)) << base;
        EXPECT_TRUE((s - 1).before(s)) << base;
    }
}

TEST(Seq, WindowIncludesItsLeftEdgeAndExcludesItsRight) {
    for (uint32_t base : corners) {
        const Seq left{base};
        EXPECT_FALSE((left - 1).in_window(left, 10)) << base;
        EXPECT_TRUE(left.in_window(left, 10)) << base;
        EXPECT_TRUE((left + 9).in_window(left, 10)) << base;
        EXPECT_FALSE((left + 10).in_window(left, 10)) << base;
        EXPECT_FALSE(left.in_window(left, 0)) << base;
    }
}

TEST(Seq, DistanceCountsAcrossTheWrap) {
    EXPECT_EQ(Seq{5}.distance_from(Seq{0xffff'fffb}), 10u);
    EXPECT_EQ(earlier_of(Seq{5}, Seq{0xffff'fffb}), Seq{0xffff'fffb});
    EXPECT_EQ(later_of(Seq{5}, Seq{0xffff'fffb}), Seq{5});
}

}  // namespace
}  // namespace synfin::tcp
