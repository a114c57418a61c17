// Both ends of a memif over memory that is laid out as DPDK's driver does it, in one process.
#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <rte_mempool.h>
#include <rte_ring.h>
#include <sys/mman.h>
#include <unistd.h>

#include <synfin/base/region.hpp>
#include <synfin/dpdk/memif_memory.hpp>
#include <synfin/dpdk/memif_queue.hpp>
#include <synfin/dpdk/packet_pool.hpp>
#include <synfin/dpdk/queue_device.hpp>

#include "environment.hpp"
#include "ring_port.hpp"

namespace synfin::dpdk {
namespace {

constexpr unsigned slots = 8;
constexpr uint32_t slot_bytes = 2048;

void lay_out(uint8_t* memory, const MemifLayout& layout) {
    for (unsigned number = 0; number < 2 * layout.queues; ++number) {
        auto* const ring = reinterpret_cast<MemifRing*>(memory + layout.ring_at(number));
        ring->cookie = MemifRing::right_cookie;
        ring->flags = MemifRing::polled;
        for (unsigned slot = 0; slot < layout.slots; ++slot) {
            ring->descriptors()[slot].length = layout.slot_bytes;
            ring->descriptors()[slot].offset =
                static_cast<uint32_t>(layout.slots_at(number) + size_t{slot} * layout.slot_bytes);
        }
    }
}

/// Memory of a process of its own, as aligned as shared memory is.
class Memory {
  public:
    explicit Memory(const MemifLayout& layout) : region_{layout.bytes()}, size_{layout.bytes()} {}
    uint8_t* data() { return static_cast<uint8_t*>(region_.data()); }
    std::span<uint8_t> bytes() { return {data(), size_}; }

  private:
    Region region_;
    size_t size_;
};

class MemifQueueTest : public testing::Test {
  protected:
    static constexpr unsigned queues = 2;

    MemifQueueTest() : memory_{layout_} {
        lay_out(memory_.data(), layout_);
        // The client comes first: it is what gives the server room.
        client_.emplace(memory_.data(), layout_, false, 1u);
        server_.emplace(memory_.data(), layout_, true, 1u);
    }

    /// Sends frames of 100 bytes, whose first bytes are `first`, `first` + 1, ... Returns how many.
    static unsigned send(MemifQueue& queue, unsigned count, uint8_t first = 0) {
        count = queue.room(count);
        for (unsigned i = 0; i < count; ++i) *queue.place(i) = static_cast<uint8_t>(first + i);
        for (unsigned i = 0; i < count; ++i) queue.finish(100);
        EXPECT_FALSE(queue.publish());
        return count;
    }
    /// The first bytes of up to `most` frames.
    static std::vector<unsigned> receive(MemifQueue& queue, unsigned most = 64) {
        std::vector<unsigned> first_bytes;
        std::array<uint8_t, slot_bytes> frame{};
        const unsigned count = queue.arrived(most);
        for (unsigned i = 0; i < count; ++i) {
            if (queue.read(frame.data()) != 0) first_bytes.push_back(frame[0]);
        }
        queue.give_back(count);
        return first_bytes;
    }
    MemifRing& ring_to_server() {
        return *reinterpret_cast<MemifRing*>(memory_.data() + layout_.ring_at(1));
    }

    MemifLayout layout_{.queues = queues, .slots = slots, .slot_bytes = slot_bytes};
    Memory memory_;
    std::optional<MemifQueue> client_;
    std::optional<MemifQueue> server_;
};

TEST_F(MemifQueueTest, WhatTheClientSendsTheServerReceivesInOrder) {
    EXPECT_EQ(send(*client_, 3, 10), 3u);
    EXPECT_EQ(receive(*server_), (std::vector<unsigned>{10, 11, 12}));
}

TEST_F(MemifQueueTest, WhatTheServerSendsTheClientReceivesInOrder) {
    EXPECT_EQ(send(*server_, 3, 10), 3u);
    EXPECT_EQ(receive(*client_), (std::vector<unsigned>{10, 11, 12}));
}

TEST_F(MemifQueueTest, OtherQueuesOfTheLinkHearNothingOfIt) {
    MemifQueue other{memory_.data(), layout_, true, 0};
    send(*client_, 3);
    EXPECT_EQ(other.arrived(64), 0u);
}

TEST_F(MemifQueueTest, AFullRingHasNoRoomUntilThePeerHasRead) {
    for (MemifQueue* sender : {&*client_, &*server_}) {
        MemifQueue& receiver = sender == &*client_ ? *server_ : *client_;
        EXPECT_EQ(send(*sender, 64), slots);
        EXPECT_EQ(sender->room(1), 0u);
        EXPECT_EQ(receive(receiver, 3).size(), 3u);
        EXPECT_EQ(sender->room(64), 3u);
    }
}

TEST_F(MemifQueueTest, IndicesWrapWithoutLossInBothDirections) {
    for (unsigned round = 0; round < 3 * 65536 / 5; ++round) {
        const auto first = static_cast<uint8_t>(round);
        ASSERT_EQ(send(*client_, 5, first), 5u);
        ASSERT_EQ(send(*server_, 5, first), 5u);
        ASSERT_EQ(receive(*server_).at(4), static_cast<uint8_t>(first + 4));
        ASSERT_EQ(receive(*client_).at(4), static_cast<uint8_t>(first + 4));
    }
}

TEST_F(MemifQueueTest, ANewQueueGoesOnWhereTheIndicesStand) {
    send(*client_, 5);
    receive(*server_, 2);
    send(*server_, 5);
    receive(*client_, 2);
    MemifQueue server{memory_.data(), layout_, true, 1};
    MemifQueue client{memory_.data(), layout_, false, 1};
    EXPECT_EQ(receive(server), (std::vector<unsigned>{2, 3, 4}));
    EXPECT_EQ(receive(client), (std::vector<unsigned>{2, 3, 4}));
    EXPECT_EQ(client.room(64), slots);
    EXPECT_EQ(server.room(64), slots);
}

TEST_F(MemifQueueTest, AFrameLongerThanItsSlotIsNone) {
    send(*client_, 2, 10);
    ring_to_server().descriptors()[0].length = slot_bytes + 1;
    EXPECT_EQ(receive(*server_), std::vector<unsigned>{11});
}

TEST_F(MemifQueueTest, AFrameInPiecesIsNoneAndTheNextOneIsWhole) {
    send(*client_, 3, 10);
    ring_to_server().descriptors()[0].flags = MemifDescriptor::continues;
    EXPECT_EQ(receive(*server_), std::vector<unsigned>{12});
}

TEST_F(MemifQueueTest, AnIndexBeyondTheRingCountsForAFullRing) {
    ring_to_server().head = 20'000;
    EXPECT_EQ(server_->arrived(64), slots);
}

TEST_F(MemifQueueTest, AnIndexOfWhatWasNeverSentGivesNoRoom) {
    send(*client_, 1);
    ring_to_server().tail = 100;
    EXPECT_EQ(client_->room(slots), 0u);
}

TEST_F(MemifQueueTest, APeerThatDoesNotPollIsToBeTold) {
    ring_to_server().flags = 0;
    client_->place(0);
    client_->finish(100);
    EXPECT_TRUE(client_->publish());
}

TEST(MemifLayout, IsReadFromTheMemory) {
    for (const unsigned queues : {1u, 3u}) {
        const MemifLayout layout{.queues = queues, .slots = 512, .slot_bytes = 2048};
        Memory memory{layout};
        lay_out(memory.data(), layout);
        const auto read = memif_layout(memory.bytes(), queues);
        ASSERT_TRUE(read.has_value());
        EXPECT_EQ(read->slots, 512u);
        EXPECT_EQ(read->slot_bytes, 2048u);
        EXPECT_FALSE(memif_layout(memory.bytes(), queues + 1).has_value());
    }
}

TEST(MemifLayout, OfAnythingElseThereIsNone) {
    const MemifLayout layout{.queues = 1, .slots = 8, .slot_bytes = 2048};
    Memory memory{layout};
    EXPECT_FALSE(memif_layout(memory.bytes(), 1).has_value()) << "no rings";
    EXPECT_FALSE(memif_layout({}, 1).has_value()) << "no memory";
    lay_out(memory.data(), layout);
    auto& ring = *reinterpret_cast<MemifRing*>(memory.data() + layout.ring_at(1));
    ring.descriptors()[7].region = 1;
    EXPECT_FALSE(memif_layout(memory.bytes(), 1).has_value()) << "a slot elsewhere";
    ring.descriptors()[7] = {.flags = 0, .region = 0, .length = 0, .offset = 64, .metadata = 0};
    EXPECT_FALSE(memif_layout(memory.bytes(), 1).has_value()) << "a slot out of order";
}

/// Memory as the driver has it: a file of memory with its name, open in this process.
class SharedMemory {
  public:
    explicit SharedMemory(const MemifLayout& layout, bool sealed = true)
        : descriptor_{::memfd_create("memif_region_0", MFD_ALLOW_SEALING | MFD_CLOEXEC)} {
        SYNFIN_ASSERT(::ftruncate(descriptor_, static_cast<off_t>(layout.bytes())) == 0);
        if (sealed) SYNFIN_ASSERT(::fcntl(descriptor_, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
        void* const place =
            ::mmap(nullptr, layout.bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
        SYNFIN_ASSERT(place != MAP_FAILED);
        bytes_ = {static_cast<uint8_t*>(place), layout.bytes()};
        lay_out(bytes_.data(), layout);
    }
    ~SharedMemory() {
        ::munmap(bytes_.data(), bytes_.size());
        ::close(descriptor_);
    }
    SharedMemory(const SharedMemory&) = delete;
    SharedMemory& operator=(const SharedMemory&) = delete;
    uint8_t* data() { return bytes_.data(); }

  private:
    int descriptor_;
    std::span<uint8_t> bytes_;
};

constexpr MemifLayout one_queue{.queues = 1, .slots = 64, .slot_bytes = slot_bytes};

TEST(MemifMemory, IsFoundAndIsTheSameMemory) {
    SharedMemory shared{one_queue};
    const auto found = MemifMemory::find();
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->bytes().size(), one_queue.bytes());
    shared.data()[one_queue.slots_at(0)] = 77;
    EXPECT_EQ(found->bytes()[one_queue.slots_at(0)], 77);
}

TEST(MemifMemory, IsNotFoundWhereThereIsNoneOrMoreThanOne) {
    EXPECT_FALSE(MemifMemory::find().has_value());
    const SharedMemory one{one_queue};
    const SharedMemory other{one_queue};
    EXPECT_FALSE(MemifMemory::find().has_value());
}

TEST(MemifMemory, ThatThePeerCouldShrinkIsNotTouched) {
    const SharedMemory shared{one_queue, false};
    EXPECT_FALSE(MemifMemory::find().has_value());
}

TEST(MemifMemory, IsInUseUntilTheDriverLetsGo) {
    std::optional<SharedMemory> shared{std::in_place, one_queue};
    const auto found = MemifMemory::find();
    ASSERT_TRUE(found.has_value());
    EXPECT_TRUE(found->in_use());
    shared.reset();
    EXPECT_FALSE(found->in_use());
    shared.emplace(one_queue);
    EXPECT_FALSE(found->in_use()) << "another memory under the same number";
}

/// A device of the server's role on a port whose link is up, and whose driver receives what it has
/// been given to send: so it shows what is left to it.
class MemifDeviceTest : public testing::Test {
  protected:
    MemifDeviceTest() {
        Lane lane;
        lane.port_id = port_.id();
        lane.memif = MemifEnd{.server = true, .queues = 1};
        device_.emplace(pool_.get(), lane);
    }
    void TearDown() override {
        device_->close();
        EXPECT_EQ(pool_.in_use(), left_to_driver());
    }

    /// How many frames the driver has been given.
    unsigned left_to_driver() { return rte_ring_count(port_.ring()); }
    /// What one pass of a loop does: receives, and sends `count` frames. Returns how many came.
    unsigned pass(unsigned count) {
        const unsigned received = device_->receive(frames_.data(), 64);
        device_->recycle(frames_.data(), received);
        stack::TransmitBatch batch;
        sent_ = device_->prepare(batch, count);
        for (unsigned i = 0; i < sent_; ++i) {
            std::memset(batch.frames[i].data, static_cast<int>(i), 60);
            batch.frames[i].length = 60;
        }
        batch.filled = sent_;
        device_->transmit(batch);
        return received;
    }

    PacketPool pool_{test::environment(), 4096};
    test::RingPort port_{pool_.get()};
    std::optional<QueueDevice> device_;
    std::array<stack::Frame, 64> frames_;
    unsigned sent_ = 0;
};

TEST_F(MemifDeviceTest, BeforeTheLinkIsUpNothingIsSentAndNothingReceived) {
    const SharedMemory shared{one_queue};
    EXPECT_EQ(pass(10), 0u);
    EXPECT_EQ(sent_, 0u);
    EXPECT_FALSE(device_->congested());
}

TEST_F(MemifDeviceTest, FramesGoThroughTheSharedMemoryAndNotThroughTheDriver) {
    SharedMemory shared{one_queue};
    MemifQueue client{shared.data(), one_queue, false, 0};
    port_.start();
    pass(0);
    std::memset(client.place(0), 7, 1500);
    client.finish(1500);
    ASSERT_FALSE(client.publish());
    EXPECT_EQ(pass(10), 1u);
    EXPECT_EQ(frames_[0].length, 1500u);
    EXPECT_EQ(frames_[0].data[1499], 7);
    EXPECT_EQ(sent_, 10u);
    EXPECT_EQ(left_to_driver(), 0u);
    EXPECT_EQ(device_->counters().received, 1u);
    EXPECT_EQ(device_->counters().transmitted, 10u);

    ASSERT_EQ(client.arrived(64), 10u);
    std::array<uint8_t, slot_bytes> frame{};
    for (unsigned i = 0; i < 10; ++i) {
        EXPECT_EQ(client.read(frame.data()), 60u);
        EXPECT_EQ(frame[59], i);
    }
}

TEST_F(MemifDeviceTest, WhatIsNoWholeFrameIsDroppedAndCounted) {
    SharedMemory shared{one_queue};
    MemifQueue client{shared.data(), one_queue, false, 0};
    port_.start();
    pass(0);
    client.finish(60);
    client.finish(60);
    ASSERT_FALSE(client.publish());
    auto* const ring = reinterpret_cast<MemifRing*>(shared.data());
    ring->descriptors()[0].length = 1'000'000;
    EXPECT_EQ(pass(0), 1u);
    EXPECT_EQ(device_->counters().dropped_pieces, 1u);
}

TEST_F(MemifDeviceTest, AFullRingTakesNoMoreThanItHasSlots) {
    SharedMemory shared{one_queue};
    const MemifQueue client{shared.data(), one_queue, false, 0};
    port_.start();
    pass(40);
    pass(40);
    EXPECT_EQ(sent_, 64u - 40u);
    pass(40);
    EXPECT_EQ(sent_, 0u);
}

TEST_F(MemifDeviceTest, APeerThatComesBackIsServedInItsNewMemory) {
    std::optional<SharedMemory> shared{std::in_place, one_queue};
    port_.start();
    pass(0);
    shared.emplace(one_queue);
    MemifQueue client{shared->data(), one_queue, false, 0};
    client.finish(60);
    ASSERT_FALSE(client.publish());
    unsigned received = 0;
    for (unsigned polls = 0; polls < 10'000 && received == 0; ++polls) received = pass(0);
    EXPECT_EQ(received, 1u);
}

TEST_F(MemifDeviceTest, MemoryThatIsLaidOutDifferentlyIsLeftToTheDriver) {
    const SharedMemory shared{{.queues = 2, .slots = 64, .slot_bytes = slot_bytes}};
    port_.start();
    pass(0);
    pass(10);
    EXPECT_EQ(left_to_driver(), 10u);
    EXPECT_EQ(pass(0), 10u);
}

TEST_F(MemifDeviceTest, SlotsThatDoNotTakeAFrameAreLeftToTheDriver) {
    const SharedMemory shared{{.queues = 1, .slots = 64, .slot_bytes = 1024}};
    port_.start();
    pass(0);
    pass(10);
    EXPECT_EQ(left_to_driver(), 10u);
}

TEST_F(MemifDeviceTest, SlotsLargerThanABufferAreLeftToTheDriver) {
    const SharedMemory shared{{.queues = 1, .slots = 64, .slot_bytes = 4096}};
    port_.start();
    pass(0);
    pass(10);
    EXPECT_EQ(left_to_driver(), 10u);
}

}  // namespace
}  // namespace synfin::dpdk
