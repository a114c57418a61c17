// The profiles of a worker: those of its configuration, which live as long as it does, and behind
// them a bounded number of own ones, for connections and listeners whose user has changed an
// option.
//
// A profile is never changed while somebody else refers to it: who wants another value takes
// another profile. Own ones are counted by those who refer to them and are free again when nobody
// does; for the configured ones counting is one comparison.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <synfin/base/assert.hpp>
#include <synfin/tcp/profile.hpp>
#include <synfin/tcp/terms.hpp>

namespace synfin::stack {

class ProfilePool {
  public:
    /// `mtu` is what the terms go by.
    ProfilePool(const std::vector<tcp::Profile>& configured, uint16_t own_max, uint16_t mtu)
        : configured_{configured.size()},
          profiles_{configured},
          mtu_{mtu},
          references_(configured.size() + own_max, 0) {
        profiles_.resize(configured.size() + own_max);
        for (const tcp::Profile& profile : profiles_) {
            terms_.push_back(tcp::terms_of(profile, mtu_));
            note_deferral(profile);
        }
    }

    /// By number; the memory stays where it is.
    std::span<const tcp::Profile> all() const { return profiles_; }
    std::span<const tcp::Terms> terms() const { return terms_; }
    const tcp::Terms& terms(uint16_t number) const { return terms_[number]; }
    const tcp::Profile& operator[](uint16_t number) const { return profiles_[number]; }
    bool is_valid(uint16_t number) const {
        return number < configured_ || (number < profiles_.size() && references_[number] > 0);
    }
    /// Whether any has ever been one for listeners that wait for text.
    bool any_defers() const { return any_defers_; }
    /// Whether it is one of those that never change.
    bool is_configured(uint16_t number) const { return number < configured_; }

    /// A profile of these values, with one reference for the caller: a configured one if there is
    /// such, else an own one. Nothing when all own ones are taken.
    std::optional<uint16_t> take(const tcp::Profile& wanted) {
        const auto known =
            std::find(profiles_.begin(), profiles_.begin() + place(configured_), wanted);
        if (known != profiles_.begin() + place(configured_)) return number_of(known);
        if (own_used_ == profiles_.size() - configured_) return std::nullopt;
        while (references_[next_] != 0) advance();
        const auto number = static_cast<uint16_t>(next_);
        advance();
        ++own_used_;
        references_[number] = 1;
        set(number, wanted);
        return number;
    }

    void hold(uint16_t number) {
        if (number < configured_) return;
        SYNFIN_ASSERT(references_[number] > 0);
        ++references_[number];
    }
    void release(uint16_t number) {
        if (number < configured_) return;
        SYNFIN_ASSERT(references_[number] > 0);
        if (--references_[number] == 0) --own_used_;
    }
    /// Whether the only reference to an own profile is the caller's, who may then change it.
    bool is_exclusive(uint16_t number) const {
        return number >= configured_ && references_[number] == 1;
    }
    void change(uint16_t number, const tcp::Profile& values) {
        SYNFIN_ASSERT(is_exclusive(number));
        set(number, values);
    }

  private:
    using Iterator = std::vector<tcp::Profile>::iterator;
    static ptrdiff_t place(size_t number) { return static_cast<ptrdiff_t>(number); }
    uint16_t number_of(Iterator at) { return static_cast<uint16_t>(at - profiles_.begin()); }
    void set(uint16_t number, const tcp::Profile& values) {
        profiles_[number] = values;
        terms_[number] = tcp::terms_of(values, mtu_);
        note_deferral(values);
    }
    void note_deferral(const tcp::Profile& profile) {
        if (profile.deferred_syn_acks != 0) any_defers_ = true;
    }
    // Own places are looked through in turn, so that a free one is found soon.
    void advance() { next_ = next_ + 1 < profiles_.size() ? next_ + 1 : configured_; }

    size_t configured_;
    std::vector<tcp::Profile> profiles_;
    std::vector<tcp::Terms> terms_;
    uint16_t mtu_;
    std::vector<uint32_t> references_;
    size_t own_used_ = 0;
    size_t next_ = configured_;
    bool any_defers_ = false;
};

}  // namespace synfin::stack
