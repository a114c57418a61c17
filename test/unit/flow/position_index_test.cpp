#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include <synfin/flow/position_index.hpp>

namespace synfin::flow {
namespace {

TEST(PositionIndex, LikelyPositionsAreThoseThatASearchAtHomeAsksAbout) {
    PositionIndex index{100, 100};
    ASSERT_TRUE(index.insert(0x12345678, 7));
    ASSERT_TRUE(index.insert(0x12345678, 9));
    ASSERT_TRUE(index.insert(0x12345679, 11));
    std::vector<uint32_t> likely;
    index.visit_likely(0x12345678, [&](uint32_t position) { likely.push_back(position); });
    EXPECT_EQ(likely, (std::vector<uint32_t>{7, 9}));
    std::vector<uint32_t> asked;
    index.find(0x12345678, [&](uint32_t position) {
        asked.push_back(position);
        return false;
    });
    EXPECT_EQ(likely, asked);
}

}  // namespace
}  // namespace synfin::flow
