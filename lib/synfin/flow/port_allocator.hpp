// Which local ports are free towards a destination (RFC 6056).
//
// A port is scarce per destination, not globally: the same one may serve any number of connections
// that differ in the remote side. So there is one pool per scope, the three other parts of the
// four-tuple, made when its first port is asked for:
//
//   top      16 bits   which words of `middle` are not zero
//   middle   1024 bits which of the words of free ports are not zero
//   words    two times 65536 bits, one of each per port: may it be taken, and was it given back in
//            this round? Both for 64 ports side by side, on one line        16.7 KB per pool
//
// The next free port at or after a random start takes a look at three words and, at the worst,
// three more after the wrap, whether none or all but one of the ports are taken. The randomness is
// the caller's: this file has none.
//
// A port that is given back rests until all others have been used, and the next round begins. So a
// tuple comes again as late as it can: the peer, if it closed first, may keep it in TIME_WAIT for
// minutes, and nobody knows that here. A round begins with a look at each word in which a port
// rests, 1024 at the most: once for all the ports that it finds there.
//
// Limits: `max_pools`. A pool whose ports are all free again is kept, so that its filter need not
// be asked again, until the limit is reached and another scope takes its place, the longest idle
// first. One whose scope names an IPv6 address is not kept: the id of the address is lent to
// another as soon as nobody uses it (address_book.hpp).
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <tl/expected.hpp>

#include <synfin/base/assert.hpp>
#include <synfin/base/index_pool.hpp>
#include <synfin/flow/connection_table.hpp>
#include <synfin/flow/four_tuple.hpp>
#include <synfin/flow/tuple_hash.hpp>

namespace synfin::flow {

/// A four-tuple without its local port.
struct PortScope {
    AddressId local_address = 0;
    AddressId remote_address = 0;
    uint16_t remote_port = 0;
    friend constexpr bool operator==(const PortScope&, const PortScope&) = default;
};

enum class PortError : uint8_t {
    all_taken,        ///< every port that the scope may use is in use
    too_many_scopes,  ///< max_pools scopes have ports in use
    not_free,         ///< the port asked for is in use, out of range, or not for us
};

/// The filter that lets every port pass; a pool is filled with it in a moment.
struct AnyPort {
    constexpr bool operator()(uint16_t) const { return true; }
};

class PortAllocator {
  public:
    /// Hands out ports first .. last, inclusive, for at most `max_pools` scopes at a time.
    PortAllocator(uint16_t first, uint16_t last, uint32_t max_pools, const HashKey& key)
        : first_{first}, last_{last}, key_{key}, pools_{max_pools}, table_{max_pools} {
        SYNFIN_ASSERT(first > 0 && first <= last && max_pools > 0);
    }

    /// Takes the memory of the first `scopes`, 17 KB each.
    void touch(size_t scopes) const {
        pools_.touch_first(std::min<size_t>(scopes, pools_.capacity()));
    }

    /// Takes the next free port at or after a start that `random` (32 uniform bits) chooses,
    /// wrapping around. O(1), but for a scope's first: then `allowed(port)` is asked once for each
    /// port of the range, and those it refuses are never handed out in this scope. `next_random` is
    /// what the caller will bring soon: should it ask for the same scope, the line that the search
    /// begins with is in the cache by then.
    template <typename Allowed>
    tl::expected<uint16_t, PortError> take(const PortScope& scope, uint32_t random,
                                           Allowed&& allowed, uint32_t next_random = 0) {
        Pool* pool = find_or_make(scope, allowed);
        if (pool == nullptr) return tl::unexpected{PortError::too_many_scopes};
        const uint16_t port = take_next_free(*pool, random, next_random);
        if (port == no_port) {
            forget_if_unnamed(*pool);
            return tl::unexpected{PortError::all_taken};
        }
        return port;
    }

    /// take() for the scope that it was called with last. 0: its pool is gone, or no port of it is
    /// free. `foreseen` is what foresee_again has said for `random`, or 0: while it is free, it
    /// still is the next one.
    uint16_t take_again(uint16_t foreseen, uint32_t random, uint32_t next_random) {
        if (last_taken_ == no_index) return no_port;
        Pool& pool = pools_[last_taken_];
        if (!pool.is_free_in_round(foreseen)) [[unlikely]]
            return take_next_free(pool, random, next_random);
        take_from(pool, foreseen);
        prefetch(pool, next_random);
        return foreseen;
    }

    /// What take_again would take with `random` now, or 0.
    uint16_t foresee_again(uint32_t random) const {
        if (last_taken_ == no_index) return no_port;
        return static_cast<uint16_t>(pools_[last_taken_].next_free(start_for(random)));
    }

    /// Asks for the line that take_again begins with.
    [[gnu::always_inline]] void prefetch_again(uint32_t random) const {
        if (last_taken_ != no_index) prefetch(pools_[last_taken_], random);
    }

    /// Takes this very port.
    template <typename Allowed>
    tl::expected<void, PortError> take_exact(const PortScope& scope, uint16_t port,
                                             Allowed&& allowed) {
        Pool* pool = find_or_make(scope, allowed);
        if (pool == nullptr) return tl::unexpected{PortError::too_many_scopes};
        if (!pool->is_free(port)) {
            forget_if_unnamed(*pool);
            return tl::unexpected{PortError::not_free};
        }
        take_from(*pool, port);
        return {};
    }

    /// Whether a port is in use that the scope's filter allows.
    bool is_taken(const PortScope& scope, uint16_t port) const {
        const uint32_t number = find(scope, hash_of(scope));
        return number != no_index && !pools_[number].is_free(port);
    }

    /// Gives back a port if it was taken; for one that the scope's filter allows. Returns whether
    /// it was.
    bool release_if_taken(const PortScope& scope, uint16_t port) {
        SYNFIN_ASSERT(port >= first_ && port <= last_);
        const uint32_t number = find_again(scope, last_released_);
        if (number == no_index || pools_[number].is_free(port)) return false;
        release_of(number, port);
        return true;
    }

    /// Gives back a port that was taken.
    void release(const PortScope& scope, uint16_t port) {
        const bool was_taken = release_if_taken(scope, port);
        SYNFIN_ASSERT(was_taken);
    }

    /// release() for the scope of the last time, whose last port this is not, without a call.
    /// False: it is another, and nothing was done.
    [[gnu::always_inline]] bool release_again(const PortScope& scope, uint16_t port) {
        if (last_released_ == no_index) return false;
        Pool& pool = pools_[last_released_];
        if (pool.scope != scope || pool.is_free(port) || pool.taken <= 1) [[unlikely]]
            return false;
        pool.let_rest(port);
        --pool.taken;
        return true;
    }

    /// Ports in use, of all scopes: a look at each.
    uint64_t taken() const {
        uint64_t sum = 0;
        for (uint32_t number = 0; number < pools_.touched(); ++number) sum += pools_[number].taken;
        return sum;
    }
    /// Ports in use in this scope.
    uint32_t taken(const PortScope& scope) const {
        const uint32_t number = find(scope, hash_of(scope));
        return number == no_index ? 0 : pools_[number].taken;
    }
    /// Scopes that have a pool, idle ones included.
    uint32_t pools() const { return pools_.used(); }

  private:
    static constexpr uint16_t no_port = 0;
    static constexpr uint32_t ports = 65536;

    struct Pool {
        PortScope scope;
        uint32_t hash = 0;
        uint32_t taken = 0;
        uint32_t prev = no_index;  ///< in the list of idle pools
        uint32_t next = no_index;
        uint64_t top = 0;
        std::array<uint64_t, ports / 64 / 64> middle{};
        std::array<uint64_t, ports / 64 / 64> resting_middle{};  ///< words that may not be zero
        struct alignas(16) Word {
            uint64_t free = 0;
            uint64_t resting = 0;
        };
        std::array<Word, ports / 64> words{};

        friend uint32_t& pool_link(Pool& pool) { return pool.next; }

        bool is_free(uint32_t port) const {
            const Word& word = words[port / 64];
            return ((word.free | word.resting) >> (port % 64) & 1) != 0;
        }

        bool is_free_in_round(uint32_t port) const {
            return (words[port / 64].free >> (port % 64) & 1) != 0;
        }

        void set_free(uint32_t word, uint64_t bits) {
            words[word].free |= bits;
            middle[word / 64] |= uint64_t{1} << (word % 64);
            top |= uint64_t{1} << (word / 64);
        }

        void let_rest(uint32_t port) {
            words[port / 64].resting |= uint64_t{1} << (port % 64);
            resting_middle[port / 64 / 64] |= uint64_t{1} << (port / 64 % 64);
        }

        /// All that rest are free. Returns whether any did.
        bool begin_round() {
            for (uint32_t group = 0; group < resting_middle.size(); ++group) {
                uint64_t& left = resting_middle[group];
                for (; left != 0; left &= left - 1) {
                    const uint32_t word = group * 64 + lowest(left);
                    const uint64_t bits = std::exchange(words[word].resting, 0);
                    if (bits != 0) set_free(word, bits);
                }
            }
            return top != 0;
        }

        /// Of one that is_free.
        void set_taken(uint32_t port) {
            const uint64_t bit = uint64_t{1} << (port % 64);
            Word& word = words[port / 64];
            if (!is_free_in_round(port)) {
                word.resting &= ~bit;
                return;
            }
            word.free &= ~bit;
            if (word.free != 0) return;
            middle[port / 64 / 64] &= ~(uint64_t{1} << (port / 64 % 64));
            if (middle[port / 64 / 64] != 0) return;
            top &= ~(uint64_t{1} << (port / 64 / 64));
        }

        static uint64_t from_bit(uint64_t word, uint32_t bit) {
            return bit >= 64 ? 0 : word & (~uint64_t{0} << bit);
        }
        static uint32_t lowest(uint64_t word) {
            return static_cast<uint32_t>(std::countr_zero(word));
        }

        /// The first free port at or after `start`, without wrapping.
        uint32_t next_free(uint32_t start) const {
            uint32_t word = start / 64;
            uint64_t bits = from_bit(words[word].free, start % 64);
            if (bits != 0) return word * 64 + lowest(bits);
            uint32_t group = word / 64;
            bits = from_bit(middle[group], word % 64 + 1);
            if (bits == 0) {
                bits = from_bit(top, group + 1);
                if (bits == 0) return no_port;
                group = lowest(bits);
                bits = middle[group];
            }
            word = group * 64 + lowest(bits);
            return word * 64 + lowest(words[word].free);
        }
    };

    /// The port at which a search with this random number begins.
    uint32_t start_for(uint32_t random) const {
        const uint32_t range = uint32_t{last_} - first_ + 1;
        return first_ + static_cast<uint32_t>((uint64_t{random} * range) >> 32);
    }

    uint32_t hash_of(const PortScope& scope) const {
        return tuple_hash({scope.local_address, scope.remote_address, 0, scope.remote_port}, key_);
    }

    uint32_t find(const PortScope& scope, uint32_t hash) const {
        return table_.find(hash, [&](uint32_t number) { return pools_[number].scope == scope; });
    }

    /// The same, without a search for the scope of the last time, which stands in `last`. Who opens
    /// connections stays with one scope for a while, and so does who lets them go, with another.
    uint32_t find_again(const PortScope& scope, uint32_t& last) const {
        if (last == no_index || pools_[last].scope != scope) [[unlikely]]
            last = search(scope.local_address, scope.remote_address, scope.remote_port);
        return last;
    }
    /// Of three that are still in registers where no search is needed.
    [[gnu::noinline, gnu::cold]] uint32_t search(AddressId local, AddressId remote,
                                                 uint16_t port) const {
        const PortScope scope{local, remote, port};
        return find(scope, hash_of(scope));
    }

    /// `port` of the pool has been taken.
    void release_of(uint32_t number, uint16_t port) {
        Pool& pool = pools_[number];
        SYNFIN_ASSERT(pool.taken > 0);
        pool.let_rest(port);
        if (--pool.taken == 0) [[unlikely]]
            begin_to_idle(number);
    }
    [[gnu::noinline, gnu::cold]] void begin_to_idle(uint32_t number) {
        append_idle(number);
        forget_if_unnamed(pools_[number]);
    }

    template <typename Allowed>
    Pool* find_or_make(const PortScope& scope, Allowed&& allowed) {
        uint32_t number = find_again(scope, last_taken_);
        if (number != no_index) return &pools_[number];
        const uint32_t hash = hash_of(scope);
        number = pools_.take();
        if (number == no_index) number = take_longest_idle();
        if (number == no_index) return nullptr;
        if (!table_.insert(hash, number)) {
            pools_.give_back(number);
            return nullptr;
        }
        Pool& pool = pools_[number];
        pool.scope = scope;
        pool.hash = hash;
        fill(pool, allowed);
        append_idle(number);
        last_taken_ = number;
        return &pool;
    }

    // A word at a time, and without a filter a whole one: with many source addresses this is what a
    // load generator does most in its first second.
    template <typename Allowed>
    void fill(Pool& pool, const Allowed& allowed) const {
        for (uint32_t word = first_ / 64u; word <= last_ / 64u; ++word) {
            const uint32_t begin = std::max<uint32_t>(first_, word * 64);
            const uint32_t end = std::min<uint32_t>(last_, word * 64 + 63);
            uint64_t bits = 0;
            if constexpr (std::is_same_v<Allowed, AnyPort>) {
                bits = (~uint64_t{0} >> (63 - (end - begin))) << (begin % 64);
            } else {
                for (uint32_t port = begin; port <= end; ++port) {
                    bits |= uint64_t{allowed(static_cast<uint16_t>(port))} << (port % 64);
                }
            }
            if (bits == 0) continue;
            pool.set_free(word, bits);
        }
    }

    [[gnu::noinline]] uint16_t take_next_free(Pool& pool, uint32_t random, uint32_t next_random) {
        if (pool.top == 0 && !pool.begin_round()) [[unlikely]]
            return no_port;
        uint32_t port = pool.next_free(start_for(random));
        if (port == no_port) port = pool.next_free(0);
        take_from(pool, port);
        prefetch(pool, next_random);
        return static_cast<uint16_t>(port);
    }

    [[gnu::always_inline]] void prefetch(const Pool& pool, uint32_t random) const {
        __builtin_prefetch(&pool.words[start_for(random) / 64], 1);
    }

    void take_from(Pool& pool, uint32_t port) {
        pool.set_taken(port);
        if (pool.taken++ == 0) unlink_idle(pool);
    }

    // ---- the list of idle pools, the longest idle first

    void append_idle(uint32_t number) {
        Pool& pool = pools_[number];
        pool.prev = last_idle_;
        pool.next = no_index;
        (last_idle_ != no_index ? pools_[last_idle_].next : first_idle_) = number;
        last_idle_ = number;
    }

    void unlink_idle(Pool& pool) {
        (pool.prev != no_index ? pools_[pool.prev].next : first_idle_) = pool.next;
        (pool.next != no_index ? pools_[pool.next].prev : last_idle_) = pool.prev;
    }

    uint32_t take_longest_idle() {
        const uint32_t number = first_idle_;
        if (number != no_index) take_scope_from(number);
        return number;
    }

    /// Lets go of an idle pool whose scope's ids may soon stand for other addresses.
    void forget_if_unnamed(Pool& pool) {
        const PortScope& scope = pool.scope;
        if (pool.taken != 0) return;
        if (!is_interned(scope.local_address) && !is_interned(scope.remote_address)) return;
        const uint32_t number = find(scope, pool.hash);
        take_scope_from(number);
        pools_.give_back(number);
    }

    /// An idle pool is as new.
    void take_scope_from(uint32_t number) {
        Pool& pool = pools_[number];
        unlink_idle(pool);
        table_.erase(pool.hash, number);
        pool = Pool{};
        last_taken_ = last_released_ = no_index;
    }

    uint16_t first_;
    uint16_t last_;
    HashKey key_;
    IndexPool<Pool> pools_;
    ConnectionTable table_;
    uint32_t first_idle_ = no_index;
    uint32_t last_idle_ = no_index;
    uint32_t last_taken_ = no_index;     ///< the pool from which a port was asked for last
    uint32_t last_released_ = no_index;  ///< and to which one was given back
};

}  // namespace synfin::flow
