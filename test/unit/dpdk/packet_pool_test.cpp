#include <algorithm>
#include <array>
#include <vector>

#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <synfin/dpdk/packet_pool.hpp>
#include <synfin/stack/frame.hpp>

#include "environment.hpp"

namespace synfin::dpdk {
namespace {

TEST(PacketPool, HasAllItsBuffersAndCountsThoseInUse) {
    PacketPool pool{test::environment(), 4096};
    EXPECT_EQ(pool.in_use(), 0u);
    std::vector<rte_mbuf*> buffers(4096);
    ASSERT_EQ(rte_pktmbuf_alloc_bulk(pool.get(), buffers.data(), 4096), 0);
    EXPECT_EQ(pool.in_use(), 4096u);
    EXPECT_EQ(rte_pktmbuf_alloc(pool.get()), nullptr);
    rte_pktmbuf_free_bulk(buffers.data(), 4096);
    EXPECT_EQ(pool.in_use(), 0u);
}

TEST(PacketPool, WhatOneCoreGivesBackIsWhatAnotherTakesNext) {
    PacketPool pool{test::environment(), 4096};
    // Without the cache of this thread, which would say nothing of another.
    std::array<void*, 64> given{};
    ASSERT_EQ(rte_mempool_generic_get(pool.get(), given.data(), given.size(), nullptr), 0);
    rte_mempool_generic_put(pool.get(), given.data(), given.size(), nullptr);
    std::array<void*, 64> taken{};
    ASSERT_EQ(rte_mempool_generic_get(pool.get(), taken.data(), taken.size(), nullptr), 0);
    EXPECT_TRUE(std::is_permutation(given.begin(), given.end(), taken.begin()));
    rte_mempool_generic_put(pool.get(), taken.data(), taken.size(), nullptr);
}

TEST(PacketPool, LiesPackedAndNotOneBufferPerPage) {
    PacketPool pool{test::environment(), 1024};
    std::vector<rte_mbuf*> buffers(1024);
    ASSERT_EQ(rte_pktmbuf_alloc_bulk(pool.get(), buffers.data(), 1024), 0);
    const auto [first, last] = std::minmax_element(buffers.begin(), buffers.end());
    const auto span = reinterpret_cast<uintptr_t>(*last) - reinterpret_cast<uintptr_t>(*first);
    EXPECT_LT(span, 1024u * 2560);
    rte_pktmbuf_free_bulk(buffers.data(), 1024);
}

TEST(PacketPool, ABufferHoldsAFrameOfItsMtu) {
    for (const uint32_t mtu : {1500u, 3000u, 9000u}) {
        EXPECT_GE(buffer_bytes(mtu), mtu + stack::TransmitBatch::slack_bytes);
    }
    PacketPool pool{test::environment(), 1024, 9000};
    rte_mbuf* const buffer = rte_pktmbuf_alloc(pool.get());
    ASSERT_NE(buffer, nullptr);
    EXPECT_GE(rte_pktmbuf_tailroom(buffer), 9000 + stack::TransmitBatch::slack_bytes);
    rte_pktmbuf_free(buffer);
}

TEST(PacketPool, TooManyBuffersAreRefusedInASentence) {
    try {
        PacketPool pool{test::environment(), 2'000'000'000};
        FAIL() << "4 TB of buffers were granted";
    } catch (const SetupError& error) {
        EXPECT_NE(std::string{error.what()}.find("packet buffers"), std::string::npos);
    }
}

TEST(PoolSize, GrowsWithWorkersPortsAndDescriptors) {
    const uint32_t one = pool_size(1, 1, 1024, 1024);
    EXPECT_GT(pool_size(1, 4, 1024, 1024), one);
    EXPECT_GT(pool_size(2, 4, 1024, 1024), pool_size(1, 4, 1024, 1024));
    EXPECT_GT(pool_size(1, 4, 4096, 1024), pool_size(1, 4, 1024, 1024));
}

}  // namespace
}  // namespace synfin::dpdk
