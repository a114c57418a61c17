// One queue pair of a memif, worked on in the shared memory itself.
//
// DPDK's driver copies each frame between a slot and a packet buffer, taking buffers from the pool
// and giving them back one by one, and waits for each line that comes from the other core when it
// gets there: that is half of what a short connection costs. Here what leaves is written where it
// will be read, what has come is copied once, into a buffer that this core has just used, and the
// lines of both are asked for before they are needed.
//
// What has come is copied before anybody looks at it, because the peer can write into the slot at
// any time: what was checked must be what is used. For the same reason each field of a descriptor
// is read once, and no number of the peer's is believed beyond the size of its ring or slot.
//
// Of both rings the client counts up the head and the server the tail, as slots are sent or have
// been read. What the client has read it gives back as room for the server, so the head of the
// ring to the client is ahead by all slots.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>

#include <synfin/base/assert.hpp>
#include <synfin/dpdk/memif_memory.hpp>

namespace synfin::dpdk {

class MemifQueue {
  public:
    /// `memory` must outlive this.
    MemifQueue(uint8_t* memory, const MemifLayout& layout, bool server, unsigned queue)
        : mask_{static_cast<uint16_t>(layout.slots - 1)},
          slot_bytes_{layout.slot_bytes},
          gives_lengths_back_{!server} {
        const unsigned to_server = queue;
        const unsigned to_client = layout.queues + queue;
        in_ = way(memory, layout, server ? to_server : to_client, server);
        out_ = way(memory, layout, server ? to_client : to_server, server);
        read_lead_ = server ? 0 : size();
        room_lead_ = server ? size() : 0;
        written_ = load(out_.ours);
        room_until_ = load(out_.theirs);
        // Of a link that has just come up all indices are 0.
        const uint16_t in = load(in_.ours);
        read_ = arrived_ = asked_ = in == 0 ? in : minus(in, read_lead_);
        if (gives_lengths_back_) {
            for (unsigned i = 0; i < size(); ++i) give_length_back(static_cast<uint16_t>(i));
            store(in_.ours, plus(read_, read_lead_));
        }
    }

    uint32_t slot_bytes() const { return slot_bytes_; }

    /// How many slots wait to be read, up to `most`.
    unsigned arrived(unsigned most) {
        if (waiting() < most) look();
        return std::min(waiting(), most);
    }

    /// Copies the frame of the next slot, in whole lines, to `to`, where slot_bytes() fit. Returns
    /// its length, 0 if it is no whole frame. Only so often as arrived() has said.
    uint32_t read(uint8_t* to) {
        constexpr uint32_t line = 64;
        const unsigned slot = read_ & mask_;
        MemifDescriptor& descriptor = in_.descriptors[slot];
        const uint32_t length = std::atomic_ref{descriptor.length}.load(std::memory_order_relaxed);
        const bool continues = (std::atomic_ref{descriptor.flags}.load(std::memory_order_relaxed) &
                                MemifDescriptor::continues) != 0;
        read_ = plus(read_, 1);
        const bool whole = !continues && !in_pieces_ && length <= slot_bytes_;
        in_pieces_ = continues;
        if (!whole) [[unlikely]]
            return 0;
        const uint8_t* const from = in_.slots + size_t{slot} * slot_bytes_;
        for (uint32_t at = 0; at < length; at += line) std::memcpy(to + at, from + at, line);
        return length;
    }

    /// The peer may fill again what has been read since the last time.
    void give_back(unsigned count) {
        if (gives_lengths_back_) {
            for (unsigned i = count; i > 0; --i) give_length_back(minus(read_, i));
        }
        store(in_.ours, plus(read_, read_lead_));
    }

    /// What has come meanwhile counts for arrived, and can be asked for.
    void look() {
        arrived_ = load(in_.theirs);
        // Nobody can have sent more than the ring holds.
        if (waiting() > size()) [[unlikely]]
            arrived_ = plus(read_, size());
    }

    /// Asks for the lines of the next `count` frames that have arrived and were not asked for yet.
    void ask_ahead(unsigned count) {
        for (; count > 0 && asked_ != arrived_; --count) {
            const unsigned slot = asked_ & mask_;
            ask_for_descriptor<true>(in_, slot);
            const uint8_t* const from = in_.slots + size_t{slot} * slot_bytes_;
            __builtin_prefetch(from);
            __builtin_prefetch(from + 64);
            __builtin_prefetch(from + 128);
            asked_ = plus(asked_, 1);
        }
    }
    /// Asks for those among the next `count` to be read that were not asked for yet.
    void ask_until(unsigned count) {
        const unsigned ahead = minus(asked_, read_);
        if (ahead < count) ask_ahead(count - ahead);
    }

    /// How many frames may be written, up to `wanted`.
    unsigned room(unsigned wanted) {
        if (known_room() < wanted) room_until_ = load(out_.theirs);
        return std::min(known_room(), wanted);
    }

    /// The place of the `number`th frame of those for which there is room, to be written soon.
    uint8_t* place(unsigned number) {
        const unsigned slot = (written_ + number) & mask_;
        ask_for_descriptor<true>(out_, slot);
        uint8_t* const to = out_.slots + size_t{slot} * slot_bytes_;
        __builtin_prefetch(to, 1);
        __builtin_prefetch(to + 64, 1);
        return to;
    }

    /// The next frame has been written, with this length.
    void finish(uint32_t length) {
        SYNFIN_ASSERT(length <= slot_bytes_);
        MemifDescriptor& descriptor = out_.descriptors[written_ & mask_];
        std::atomic_ref{descriptor.length}.store(length, std::memory_order_relaxed);
        std::atomic_ref{descriptor.flags}.store(0, std::memory_order_relaxed);
        written_ = plus(written_, 1);
    }

    /// Shows the peer what is finished. Whether it wants to be told, too.
    [[nodiscard]] bool publish() {
        store(out_.ours, written_);
        return (std::atomic_ref{*out_.flags}.load(std::memory_order_relaxed) & MemifRing::polled) ==
               0;
    }

  private:
    /// One direction.
    struct Way {
        MemifDescriptor* descriptors = nullptr;
        uint8_t* slots = nullptr;
        uint16_t* flags = nullptr;
        uint16_t* ours = nullptr;  ///< the index that this side counts up
        uint16_t* theirs = nullptr;
    };

    static Way way(uint8_t* memory, const MemifLayout& layout, unsigned number, bool server) {
        auto& ring = *reinterpret_cast<MemifRing*>(memory + layout.ring_at(number));
        return {.descriptors = ring.descriptors(),
                .slots = memory + layout.slots_at(number),
                .flags = &ring.flags,
                .ours = server ? &ring.tail : &ring.head,
                .theirs = server ? &ring.head : &ring.tail};
    }
    static uint16_t plus(uint16_t index, unsigned count) {
        return static_cast<uint16_t>(index + count);
    }
    static uint16_t minus(uint16_t index, unsigned count) {
        return static_cast<uint16_t>(index - count);
    }
    static uint16_t load(uint16_t* index) {
        return std::atomic_ref{*index}.load(std::memory_order_acquire);
    }
    static void store(uint16_t* index, uint16_t value) {
        std::atomic_ref{*index}.store(value, std::memory_order_release);
    }
    /// Four descriptors share a line.
    template <bool to_be_written>
    [[gnu::always_inline]] static void ask_for_descriptor(const Way& way, unsigned slot) {
        if (slot % 4 == 0) __builtin_prefetch(&way.descriptors[slot], to_be_written);
    }

    unsigned size() const { return mask_ + 1u; }
    unsigned waiting() const { return minus(arrived_, read_); }
    unsigned known_room() const {
        const unsigned underway = minus(plus(written_, room_lead_), room_until_);
        // More than the ring holds is nothing that a peer could have read.
        return underway <= size() ? size() - underway : 0;
    }
    void give_length_back(uint16_t index) {
        std::atomic_ref{in_.descriptors[index & mask_].length}.store(slot_bytes_,
                                                                     std::memory_order_relaxed);
    }

    Way in_;
    Way out_;
    uint16_t mask_;
    uint16_t read_ = 0;
    uint16_t arrived_ = 0;  ///< when looked last
    uint16_t asked_ = 0;
    uint16_t written_ = 0;
    uint16_t room_until_ = 0;
    unsigned read_lead_ = 0;  ///< of our index over what has been read
    unsigned room_lead_ = 0;  ///< of the peer's over what it has read
    uint32_t slot_bytes_;
    bool gives_lengths_back_;
    bool in_pieces_ = false;  ///< what comes next is not the beginning of a frame
};

}  // namespace synfin::dpdk
