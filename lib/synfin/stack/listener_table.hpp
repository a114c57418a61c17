// To whom connections belong: the listeners of a worker, found by local address and port, and the
// applications that open connections actively.
//
// A connection names its owner by a 16-bit number, so that a million of them pay two bytes each. A
// listener that is closed stays in its place until its last connection is gone.
//
// Lookup is one array access by port, then the few listeners of that port: an exact address wins
// over any of its family (0.0.0.0), and that over any at all (::) (RFC 9293 section 3.10.1: a fully
// specified passive OPEN comes first).
#pragma once

#include <cstdint>
#include <vector>

#include <synfin/base/assert.hpp>
#include <synfin/stack/application.hpp>
#include <synfin/stack/worker.hpp>
#include <synfin/wire/address.hpp>

namespace synfin::stack {

using OwnerNumber = uint16_t;
inline constexpr OwnerNumber no_owner = UINT16_MAX;

/// Two lines each, so that a number leads to one by a shift.
struct alignas(64) Owner {
    Application* application = nullptr;
    uint32_t connections = 0;  ///< that name this owner
    // listeners only
    wire::SocketAddress local;
    bool listening = false;
    bool has_room_always = true;  ///< so its application need not be asked
    uint16_t profile = 0;
    uint32_t backlog = 0;
    uint32_t half_open = 0;
    SynCookies syn_cookies = SynCookies::automatic;
    uint32_t fast_open = 0;          ///< limit of the next two together
    uint32_t fast_open_pending = 0;  ///< half-open, and the application has them already
    uint32_t fast_open_held = 0;     ///< were so when a RST came; they count until the next
    Instant fast_open_hold_end;
    Instant cookies_end;          ///< until then a cookie that was sent may come back
    OwnerNumber next = no_owner;  ///< the next listener of the same port
};

class ListenerTable {
  public:
    static constexpr size_t capacity = 4096;

    ListenerTable() : by_port_(size_t{1} << 16, no_owner) { owners_.reserve(capacity); }

    Owner& operator[](OwnerNumber number) { return owners_[number]; }
    const Owner& operator[](OwnerNumber number) const { return owners_[number]; }

    /// The number of a new listener; `no_owner` when the table is full. The caller has made sure
    /// with find_exact that there is none yet.
    OwnerNumber listen(const wire::SocketAddress& local, Application& application,
                       const ListenOptions& options) {
        const OwnerNumber number = take();
        if (number == no_owner) return no_owner;
        Owner& owner = owners_[number];
        owner = Owner{};
        owner.application = &application;
        owner.local = local;
        owner.listening = true;
        owner.profile = options.profile;
        owner.backlog = options.backlog;
        owner.syn_cookies = options.syn_cookies;
        owner.fast_open = options.fast_open;
        owner.next = by_port_[local.port];
        by_port_[local.port] = number;
        return number;
    }

    /// Stops listening. Connections that name the owner keep it.
    void close(OwnerNumber number) {
        Owner& owner = owners_[number];
        SYNFIN_ASSERT(owner.listening);
        OwnerNumber* link = &by_port_[owner.local.port];
        while (*link != number) link = &owners_[*link].next;
        *link = owner.next;
        owner.listening = false;
    }

    /// The owner that stands for the active opens of `application`; `no_owner` when the table is
    /// full.
    OwnerNumber active(Application& application) {
        if (last_active_ != no_owner && is_active_of(last_active_, application))
            return last_active_;
        for (size_t i = 0; i < owners_.size(); ++i) {
            const auto number = static_cast<OwnerNumber>(i);
            if (is_active_of(number, application)) return last_active_ = number;
        }
        const OwnerNumber number = take();
        if (number == no_owner) return no_owner;
        owners_[number] = Owner{};
        owners_[number].application = &application;
        return last_active_ = number;
    }

    bool is_active_of(OwnerNumber number, const Application& application) const {
        const Owner& owner = owners_[number];
        return owner.application == &application && !owner.listening && owner.local.port == 0;
    }

    OwnerNumber find_exact(const wire::SocketAddress& local) const {
        OwnerNumber number = by_port_[local.port];
        while (number != no_owner && owners_[number].local != local) number = owners_[number].next;
        return number;
    }

    /// The listener for a segment to `local`.
    OwnerNumber find(const wire::SocketAddress& local) const {
        constexpr auto any_v4 = wire::IpAddress::v4(0);
        OwnerNumber any = no_owner;
        for (OwnerNumber n = by_port_[local.port]; n != no_owner; n = owners_[n].next) {
            const wire::IpAddress& address = owners_[n].local.address;
            if (address == local.address) return n;
            if (address == wire::IpAddress{} && any == no_owner) any = n;
            if (address == any_v4 && local.address.is_v4()) any = n;
        }
        return any;
    }

    uint64_t half_open() const {
        uint64_t sum = 0;
        for (const Owner& owner : owners_) sum += owner.half_open;
        return sum;
    }

  private:
    /// A place that nobody uses any more, or a fresh one.
    OwnerNumber take() {
        for (size_t i = 0; i < owners_.size(); ++i) {
            if (!owners_[i].listening && owners_[i].connections == 0) {
                if (last_active_ == i) last_active_ = no_owner;
                return static_cast<OwnerNumber>(i);
            }
        }
        if (owners_.size() == capacity) return no_owner;
        owners_.emplace_back();
        return static_cast<OwnerNumber>(owners_.size() - 1);
    }

    std::vector<OwnerNumber> by_port_;
    std::vector<Owner> owners_;
    OwnerNumber last_active_ = no_owner;
};

}  // namespace synfin::stack
