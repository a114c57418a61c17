#include <gtest/gtest.h>

#include <synfin/dpdk/control.hpp>

namespace synfin::dpdk {
namespace {

TEST(Channel, MessagesArriveInOrder) {
    Channel<int> channel;
    ASSERT_TRUE(channel.send(1));
    ASSERT_TRUE(channel.send(2));
    EXPECT_EQ(channel.receive(), 1);
    EXPECT_EQ(channel.receive(), 2);
}

TEST(Channel, AnEmptyOneGivesNothing) {
    Channel<int> channel;
    ASSERT_TRUE(channel.send(1));
    channel.receive();
    EXPECT_EQ(channel.receive(), std::nullopt);
}

TEST(Channel, AFullOneRefusesAndKeepsWhatItHas) {
    Channel<int, 2> channel;
    ASSERT_TRUE(channel.send(1));
    ASSERT_TRUE(channel.send(2));
    EXPECT_FALSE(channel.send(3));
    EXPECT_EQ(channel.receive(), 1);
    EXPECT_TRUE(channel.send(3));
}

TEST(ControlChannel, CommandsAndReportsDoNotMeet) {
    ControlChannel<int> channel;
    ASSERT_TRUE(channel.to_worker.send({Command::Kind::set_rate, 1000}));
    EXPECT_EQ(channel.from_worker.receive(), std::nullopt);
    const auto command = channel.to_worker.receive();
    ASSERT_TRUE(command);
    EXPECT_EQ(command->kind, Command::Kind::set_rate);
    EXPECT_EQ(command->value, 1000);
}

}  // namespace
}  // namespace synfin::dpdk
