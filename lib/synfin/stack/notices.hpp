// What an application is to be told later: the outcome of its own calls.
//
// A handler is never called from within a call of the application, so that no application sees
// itself interrupted by itself. What a call brings about is noted here and told before the loop
// goes on: after the burst, the timers or the poll in which the call was made.
#pragma once

#include <cstdint>

#include <synfin/base/assert.hpp>
#include <synfin/base/index_pool.hpp>
#include <synfin/base/region.hpp>
#include <synfin/tcp/core.hpp>

namespace synfin::stack {

struct Notice {
    enum class Kind : uint8_t {
        closed,       ///< the connection is over, for `reason`
        peer_closed,  ///< the last unread byte has been taken, and the peer's FIN comes next
        writable,     ///< memory ran out for a send; told as soon as there is some again
    };
    uint32_t index = no_index;
    uint32_t generation = 0;
    Kind kind = Kind::closed;
    tcp::CloseReason reason = tcp::CloseReason::none;
};

/// A ring with room for every notice that can be outstanding: one of each kind per connection.
class NoticeQueue {
  public:
    explicit NoticeQueue(uint32_t max_connections)
        : capacity_{size_t{max_connections} * kinds}, memory_{capacity_ * sizeof(Notice)} {}

    size_t size() const { return count_; }
    /// Whether there is one that can be told at once: memory comes back only with a packet, a call
    /// or a timer, so `writable` is nothing to hurry for.
    bool any_due() const { return count_ > writable_; }

    void push(const Notice& notice) {
        SYNFIN_ASSERT(count_ < capacity_);
        at(wrapped(head_ + count_++)) = notice;
        if (notice.kind == Notice::Kind::writable) ++writable_;
    }
    Notice pop() {
        SYNFIN_ASSERT(count_ > 0);
        const Notice notice = at(head_);
        --count_;
        if (notice.kind == Notice::Kind::writable) --writable_;
        // An empty queue begins at the front again: it stays within the lines that it has touched.
        head_ = count_ == 0 ? 0 : wrapped(head_ + 1);
        return notice;
    }

  private:
    static constexpr size_t kinds = 3;
    size_t wrapped(size_t place) const { return place < capacity_ ? place : place - capacity_; }
    Notice& at(size_t place) { return static_cast<Notice*>(memory_.data())[place]; }

    size_t capacity_;
    Region memory_;
    size_t head_ = 0;
    size_t count_ = 0;
    size_t writable_ = 0;  ///< of them
};

}  // namespace synfin::stack
