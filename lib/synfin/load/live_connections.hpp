// What an application remembers of the connections that it has open, beyond the 64 bits of user
// data that the stack keeps: which they are, so that all of them can be ended, and a place for
// each.
//
// All are arrays over the connection's index. The stack takes indices last in, first out, so the
// part that is touched is as large as the most connections that were ever open at once; memory that
// is never touched costs nothing (base/region.hpp).
#pragma once

#include <algorithm>
#include <cstdint>
#include <new>
#include <type_traits>

#include <synfin/base/assert.hpp>
#include <synfin/base/region.hpp>
#include <synfin/stack/application.hpp>

namespace synfin::load {

/// The set of open connections of one worker: 33 bits for each. Each operation is O(1).
class LiveConnections {
  public:
    explicit LiveConnections(uint32_t max_connections)
        : generations_{size_t{max_connections} * sizeof(uint32_t)},
          open_{(size_t{max_connections} + 63) / 64 * sizeof(uint64_t)},
          capacity_{max_connections} {}

    void add(stack::ConnectionId id) {
        if (id.index >= end_) [[unlikely]] {
            SYNFIN_ASSERT(id.index < capacity_);
            end_ = id.index + 1;
        }
        generation(id.index) = id.generation;
        open_word(id.index) |= bit(id.index);
        ++count_;
    }

    void remove(stack::ConnectionId id) {
        SYNFIN_ASSERT(id.index < end_ && is_open(id.index));
        open_word(id.index) &= ~bit(id.index);
        --count_;
    }

    uint32_t count() const { return count_; }
    /// One past the largest index that was ever added.
    uint32_t end() const { return end_; }

    /// Calls `act(id)` for what is open among indices [from, to). `act` may remove it.
    template <typename Action>
    void visit(uint32_t from, uint32_t to, Action&& act) {
        for (uint32_t index = from; index < std::min(to, end_); ++index) {
            if (is_open(index)) act(stack::ConnectionId{index, generation(index)});
        }
    }

  private:
    uint32_t& generation(uint32_t index) const {
        return static_cast<uint32_t*>(generations_.data())[index];
    }
    uint64_t& open_word(uint32_t index) const {
        return static_cast<uint64_t*>(open_.data())[index / 64];
    }
    static uint64_t bit(uint32_t index) { return uint64_t{1} << index % 64; }
    bool is_open(uint32_t index) const { return (open_word(index) & bit(index)) != 0; }

    Region generations_;
    Region open_;
    uint32_t capacity_;
    uint32_t end_ = 0;
    uint32_t count_ = 0;
};

/// A `State` for each connection that needs one for a while; whether it does is the user's to know.
template <typename State>
class ConnectionStates {
    static_assert(std::is_trivially_copyable_v<State> && std::is_trivially_destructible_v<State>);

  public:
    explicit ConnectionStates(uint32_t max_connections)
        : memory_{size_t{max_connections} * sizeof(State)}, capacity_{max_connections} {}

    void put(uint32_t index, const State& state) {
        SYNFIN_ASSERT(index < capacity_);
        new (static_cast<State*>(memory_.data()) + index) State{state};
    }
    /// Only what was put.
    State get(uint32_t index) const {
        SYNFIN_ASSERT(index < capacity_);
        return static_cast<const State*>(memory_.data())[index];
    }

  private:
    Region memory_;
    uint32_t capacity_;
};

}  // namespace synfin::load
