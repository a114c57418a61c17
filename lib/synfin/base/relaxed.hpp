// Fields that one thread writes and any thread may read: a plain value to its owner, never torn to
// a reader. On x86-64 and AArch64 a relaxed load and store are the plain instructions, so the owner
// pays nothing, but that compilers do not merge such loads with others. Several such fields read
// one after another are not a snapshot of one moment; where that matters, a sequence counter stands
// beside them.
//
// Inline in any case, and by the compiler's own words for it: in large functions compilers stop,
// also before the functions of std::atomic, and a call for one instruction costs the caller what it
// holds in registers.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace synfin {

namespace detail {

/// `value += delta` of the only thread that writes it. x86-64 has one instruction for it, of which
/// g++ makes three: a relaxed load, an addition and a relaxed store. With `order` release, who has
/// seen the sum sees what was written before.
template <int order = __ATOMIC_RELAXED, typename T>
[[gnu::always_inline]] inline void add_in_place(T& value, T delta) noexcept {
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__)
    if constexpr (order == __ATOMIC_RELEASE) std::atomic_signal_fence(std::memory_order_release);
    if constexpr (std::is_integral_v<T> && sizeof(T) == 8) {
        asm("addq %1, %0" : "+m"(value) : "er"(delta));
        return;
    } else if constexpr (std::is_integral_v<T> && sizeof(T) == 4) {
        asm("addl %1, %0" : "+m"(value) : "ir"(delta));
        return;
    }
#endif
    T present;
    __atomic_load(&value, &present, __ATOMIC_RELAXED);
    present = static_cast<T>(present + delta);
    __atomic_store(&value, &present, order);
}

/// As many words as are stored at once to where this alignment is.
template <size_t alignment>
struct WordsOf {
    using type [[gnu::may_alias, gnu::vector_size(16)]] = uint64_t;
};
#ifdef __AVX__
template <>
struct WordsOf<64> {
    using type [[gnu::may_alias, gnu::vector_size(32)]] = uint64_t;
};
#endif

}  // namespace detail

/// Read by all in the same way.
template <typename T>
class Relaxed {
    static_assert(std::is_trivially_copyable_v<T> && std::atomic<T>::is_always_lock_free);

  public:
    constexpr Relaxed() noexcept : value_{} {}
    constexpr Relaxed(T value) noexcept : value_{value} {}
    Relaxed(const Relaxed& other) noexcept : value_{other.load()} {}
    [[gnu::always_inline]] Relaxed& operator=(const Relaxed& other) noexcept {
        return *this = other.load();
    }
    [[gnu::always_inline]] Relaxed& operator=(T value) noexcept {
        __atomic_store(&value_, &value, __ATOMIC_RELAXED);
        return *this;
    }

    [[gnu::always_inline]] T load() const noexcept {
        T value;
        __atomic_load(&value_, &value, __ATOMIC_RELAXED);
        return value;
    }
    [[gnu::always_inline]] operator T() const noexcept { return load(); }

    // Only the owner writes, so nothing has to be locked.
    [[gnu::always_inline]] Relaxed& operator+=(T delta) noexcept {
        detail::add_in_place(value_, delta);
        return *this;
    }
    [[gnu::always_inline]] Relaxed& operator-=(T delta) noexcept {
        return *this += static_cast<T>(-delta);
    }
    [[gnu::always_inline]] Relaxed& operator++() noexcept { return *this += T{1}; }
    [[gnu::always_inline]] Relaxed& operator--() noexcept { return *this -= T{1}; }

  private:
    alignas(sizeof(T)) T value_;
};

/// The same for a field that its owner reads much more often than anyone else: it reads what only
/// it can have written, so its loads are plain ones. Any other thread must ask for what is `seen`.
template <typename T>
class Shown {
    static_assert(std::is_trivially_copyable_v<T> && std::atomic<T>::is_always_lock_free);

  public:
    constexpr Shown() noexcept : value_{} {}
    constexpr Shown(T value) noexcept : value_{value} {}
    Shown(const Shown& other) noexcept = default;
    [[gnu::always_inline]] Shown& operator=(const Shown& other) noexcept {
        return *this = other.value_;
    }
    [[gnu::always_inline]] Shown& operator=(T value) noexcept {
        __atomic_store(&value_, &value, __ATOMIC_RELAXED);
        return *this;
    }
    [[gnu::always_inline]] constexpr T load() const noexcept { return value_; }
    [[gnu::always_inline]] constexpr operator T() const noexcept { return value_; }

    /// For a value that leads to other data (an index, say): who has seen it sees what was written
    /// before it was published.
    void publish(T value) noexcept { __atomic_store(&value_, &value, __ATOMIC_RELEASE); }
    T seen() const noexcept {
        T value;
        __atomic_load(&value_, &value, __ATOMIC_ACQUIRE);
        return value;
    }

    [[gnu::always_inline]] Shown& operator+=(T delta) noexcept {
        return *this = static_cast<T>(value_ + delta);
    }
    [[gnu::always_inline]] Shown& operator-=(T delta) noexcept {
        return *this = static_cast<T>(value_ - delta);
    }
    [[gnu::always_inline]] Shown& operator++() noexcept { return *this += T{1}; }

  private:
    alignas(sizeof(T)) T value_;
};

/// Makes `to` what `from` is, a vector at a time: one field after the other costs six times as much
/// or more. A reader of another thread sees each word of eight bytes before or after: volatile, so
/// that no compiler makes smaller stores of it; and ThreadSanitizer, which knows no such stores of
/// vectors, is not shown them. For what is made of plain fields and of these, and owns nothing.
template <typename T>
[[gnu::no_sanitize_thread]] inline void become(T& to, const T& from) {
    using Words = typename detail::WordsOf<alignof(T)>::type;
    static_assert(sizeof(T) % sizeof(Words) == 0 && alignof(T) % alignof(Words) == 0);
    static_assert(std::is_trivially_destructible_v<T>);
    auto* const words = reinterpret_cast<volatile Words*>(&to);
    const auto* const source = reinterpret_cast<const Words*>(&from);
#pragma GCC unroll 64
    for (size_t i = 0; i < sizeof(T) / sizeof(Words); ++i) words[i] = source[i];
}

}  // namespace synfin
