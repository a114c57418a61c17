// The memory that the two ends of a memif share, as DPDK's driver lays it out.
//
//     [ ring to the server 0 ] ... [ ring to the client 0 ] ... [ slots of each ring, in that order
//     ]
//
// The driver's client makes it, its server gets it through the link's socket, and both keep it as
// long as the link is up. A worker that reads and writes the slots itself (memif_queue.hpp) needs
// to know no more than this. Whatever is laid out differently (zero-copy, an end that is not
// DPDK's) is no layout, and stays the driver's alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace synfin::dpdk {

/// One frame, or a piece of one, as memif's protocol has it.
struct MemifDescriptor {
    static constexpr uint16_t continues = 1;  ///< flag: the frame goes on in the next slot
    uint16_t flags;
    uint16_t region;
    uint32_t length;
    uint32_t offset;
    uint32_t metadata;
};
static_assert(sizeof(MemifDescriptor) == 16);

/// Head and tail count slots and wrap; the descriptors stand behind.
struct MemifRing {
    static constexpr uint32_t right_cookie = 0x3E31F20;
    static constexpr uint16_t polled = 1;  ///< flag: the receiver wants no interrupts
    alignas(64) uint32_t cookie;
    uint16_t flags;
    uint16_t head;
    alignas(64) uint16_t tail;

    MemifDescriptor* descriptors() { return reinterpret_cast<MemifDescriptor*>(this + 1); }
};
static_assert(sizeof(MemifRing) == 128);

/// Where rings and slots are. Worked out once, and never read from the shared memory again.
struct MemifLayout {
    unsigned queues = 0;  ///< queue pairs, each a ring in either direction
    uint32_t slots = 0;   ///< of one ring, a power of two
    uint32_t slot_bytes = 0;

    size_t ring_bytes() const { return sizeof(MemifRing) + slots * sizeof(MemifDescriptor); }
    size_t rings_bytes() const { return 2 * queues * ring_bytes(); }
    size_t bytes() const { return rings_bytes() + size_t{2} * queues * slots * slot_bytes; }
    /// `ring`: those to the server first.
    size_t ring_at(unsigned ring) const { return ring * ring_bytes(); }
    size_t slots_at(unsigned ring) const {
        return rings_bytes() + size_t{ring} * slots * slot_bytes;
    }
};

/// The layout of `memory`, if it is the driver's for `queues` queue pairs.
std::optional<MemifLayout> memif_layout(std::span<uint8_t> memory, unsigned queues);

/// A mapping of our own, so that nobody takes the memory away during a burst when the link goes
/// down.
class MemifMemory {
  public:
    /// What the driver shares with its peer now; nothing if no link is up, or more than one.
    static std::optional<MemifMemory> find();
    MemifMemory(MemifMemory&& other) noexcept;
    MemifMemory& operator=(MemifMemory&& other) noexcept;
    ~MemifMemory();

    /// Whether the driver still has it: when the peer leaves it lets go. One system call.
    bool in_use() const;
    std::span<uint8_t> bytes() const { return bytes_; }

  private:
    struct Identity {
        uint64_t device = 0;
        uint64_t inode = 0;
        uint64_t size = 0;
        bool operator==(const Identity&) const = default;
    };
    static std::optional<Identity> identity_of(int descriptor);
    MemifMemory() = default;

    std::span<uint8_t> bytes_;
    int drivers_descriptor_ = -1;
    Identity identity_;
};

}  // namespace synfin::dpdk
