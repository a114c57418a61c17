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
#include <synfin/stack/worker.hpp>

namespace synfin::load {

/// Which connections of a worker its application has open: 32 bits for each. A place is named by
/// the last connection that was there; whether it still is open, the worker knows.
class LiveConnections {
  public:
    explicit LiveConnections(uint32_t max_connections)
        : memory_{size_t{max_connections} * sizeof(uint32_t)}, capacity_{max_connections} {}

    void add(stack::ConnectionId id) {
        if (id.index >= end_) [[unlikely]] {
            SYNFIN_ASSERT(id.index < capacity_);
            end_ = id.index + 1;
        }
        last_in(id.index) = id.generation + 1;
    }

    /// One past the largest index that was ever added.
    uint32_t end() const { return end_; }

    /// Calls `act(id)` for what is open among indices [from, to). `act` may end it.
    template <typename Action>
    void visit(const stack::Worker& worker, uint32_t from, uint32_t to, Action&& act) {
        for (uint32_t index = from; index < std::min(to, end_); ++index) {
            if (last_in(index) == 0) continue;
            const stack::ConnectionId id{index, last_in(index) - 1};
            if (worker.is_open(id)) act(id);
        }
    }

  private:
    /// The generation of the last one, plus one; 0: there was none.
    uint32_t& last_in(uint32_t index) const {
        return static_cast<uint32_t*>(memory_.data())[index];
    }

    Region memory_;
    uint32_t capacity_;
    uint32_t end_ = 0;
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
