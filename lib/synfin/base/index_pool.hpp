// A fixed number of objects, named by 32-bit indices, taken and given back in O(1), last in first
// out: what was used a moment ago is still in the cache.
//
// The objects live in one Region and are constructed when first taken. A free object carries the
// link of the free list in a field that it names itself (`uint32_t& pool_link(T&)`, found by
// argument-dependent lookup), so a free object costs nothing more, and all its other fields (a
// generation, say) survive from one use to the next.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

#include <synfin/base/assert.hpp>
#include <synfin/base/region.hpp>

namespace synfin {

/// No object.
inline constexpr uint32_t no_index = UINT32_MAX;

template <typename T>
class IndexPool {
    static_assert(std::is_trivially_destructible_v<T>);

  public:
    explicit IndexPool(uint32_t capacity)
        : memory_{size_t{capacity} * sizeof(T)}, capacity_{capacity} {}

    /// The index of an object that was free, or `no_index` when all are taken.
    uint32_t take() {
        const uint32_t index = free_;
        if (index == no_index) [[unlikely]]
            return take_untouched();
        free_ = pool_link(at(index));
        ++used_;
        return index;
    }

    /// What take() will return, if that is an object that was used before; else `no_index`.
    uint32_t next() const { return free_; }

    [[gnu::always_inline]] void give_back(uint32_t index) {
        SYNFIN_ASSERT(index < touched_ && used_ > 0);
        pool_link(at(index)) = free_;
        free_ = index;
        --used_;
    }

    /// Has the system find the pages of the objects that are taken first, and thus again and again:
    /// a huge page, or as many as `count` need.
    void touch_first(size_t count = 0) const {
        memory_.touch(std::max(count * sizeof(T), Region::huge_page));
    }

    T& operator[](uint32_t index) { return at(index); }
    const T& operator[](uint32_t index) const { return base()[index]; }

    uint32_t used() const { return used_; }
    uint32_t capacity() const { return capacity_; }
    /// Indices below this have been constructed; any of them may be read.
    uint32_t touched() const { return touched_; }

  private:
    T* base() const { return static_cast<T*>(memory_.data()); }
    T& at(uint32_t index) { return base()[index]; }

    [[gnu::noinline]] uint32_t take_untouched() {
        if (touched_ == capacity_) return no_index;
        new (base() + touched_) T{};
        ++used_;
        return touched_++;
    }

    Region memory_;
    uint32_t capacity_;
    uint32_t used_ = 0;
    uint32_t touched_ = 0;  ///< between two that change together: g++ would change them by a vector
    uint32_t free_ = no_index;
};

}  // namespace synfin
