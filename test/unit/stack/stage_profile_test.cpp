// What a profile of a worker's stages counts.
#include <gtest/gtest.h>

#include "stack_world.hpp"

namespace synfin::stack::test {
namespace {

uint64_t tick = 0;
uint64_t ticks() { return tick; }
/// A clock that goes on by one each time it is looked at.
uint64_t steps() { return tick++; }

TEST(StageProfile, TimeGoesToTheStageThatWasEntered) {
    StageProfile profile{ticks};
    profile.begin_pass(Stage::rx);
    tick += 5;
    profile.enter(Stage::input);
    tick += 7;
    profile.enter(Stage::rx);
    tick += 1;
    profile.end_pass(1, 0);
    EXPECT_EQ(profile.ticks_in(Stage::rx), 6u);
    EXPECT_EQ(profile.ticks_in(Stage::input), 7u);
    EXPECT_EQ(profile.ticks_in(Stage::tx), 0u);
}

TEST(StageProfile, PassThatMovedNothingCountsForNothing) {
    StageProfile profile{ticks};
    profile.begin_pass(Stage::rx);
    tick += 5;
    profile.end_pass(0, 0);
    EXPECT_EQ(profile.ticks_in(Stage::rx), 0u);
    EXPECT_EQ(profile.passes(), 0u);
}

TEST(StageProfile, LoopVisitsEachStageThatHasWork) {
    Host server{config_of(1, 9)};
    Recorder service;
    ASSERT_TRUE(server.worker.listen({{}, 80}, service).has_value());
    server.device.arriving.push_back(segment_frame({}));
    StageProfile profile{steps};
    EXPECT_EQ(server.loop.run_once(server.now, profile), 2u);  // SYN in, SYN,ACK out
    EXPECT_EQ(profile.received(), 1u);
    EXPECT_EQ(profile.transmitted(), 1u);
    for (size_t i = 0; i < stage_count; ++i) {
        const auto stage = static_cast<Stage>(i);
        // A SYN at a listener brings nothing to tell.
        EXPECT_EQ(profile.ticks_in(stage) > 0, stage != Stage::application) << name(stage);
    }
}

TEST(Worker, WantsAFrameForEachReplyAndForEachReadyConnection) {
    Host client{config_of(1, 2)};
    Recorder user;
    EXPECT_EQ(client.worker.frames_wanted(0), 0u);
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(client.worker.connect({address_of(2), 80}, user).has_value());
    }
    EXPECT_EQ(client.worker.frames_wanted(0), 3u);
    client.loop.run_once(client.now);
    EXPECT_EQ(client.device.sent.size(), 3u);
    EXPECT_EQ(client.worker.frames_wanted(0), 0u);
    client.device.arriving.push_back(segment_frame({.flags = wire::flag::ack}));
    client.device.is_congested = true;
    client.loop.run_once(client.now);
    EXPECT_EQ(client.worker.frames_wanted(0), 1u);  // the RST
}

}  // namespace
}  // namespace synfin::stack::test
