// The scoreboard (tcp/flight.hpp) beside a naive one that remembers every single octet. Both are
// told the same: what is sent, acknowledged, reported, held for lost and sent again, in any order.
// Whatever the naive one knows must be what the scoreboard says; where that has run out of ranges,
// it may know less, but must never say what is not so.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include <synfin/base/assert.hpp>
#include <synfin/tcp/flight.hpp>

namespace synfin::tcp {

class Scoreboards {
  public:
    Scoreboards(uint32_t isn, uint32_t ranges) : pool{ranges}, una{isn}, nxt{isn} {
        flight.restart(una, pool);
    }
    ~Scoreboards() {
        flight.restart(una, pool);
        SYNFIN_ASSERT(pool.used() == 0);
    }
    Scoreboards(const Scoreboards&) = delete;
    Scoreboards& operator=(const Scoreboards&) = delete;

    void send(uint32_t count, uint32_t together_us) {
        if (!flight.can_append(pool)) return;
        const bool mixes = !flight.append(nxt + count, now_us, together_us, pool);
        // Without ranges, new data joins what was sent before it, and shares its history.
        const bool again = mixes && octets_.back().retransmitted;
        for (uint32_t i = 0; i < count; ++i) {
            octets_.push_back({Fate::outstanding, again, now_us});
        }
        nxt += count;
    }

    Delivery acknowledge(uint32_t count) {
        const News expected = news(0, count);
        Delivery d;
        una += count;
        flight.acknowledge(una, d, pool);
        octets_.erase(octets_.begin(), octets_.begin() + count);
        SYNFIN_ASSERT(d.bytes == expected.bytes);
        judge(d, expected);
        return d;
    }

    Delivery sack(uint32_t from, uint32_t to) {
        const News expected = news(from, to);
        Delivery d;
        const bool complete = flight.sack(una + from, una + to, d, pool);
        judge(d, expected);
        if (complete) {
            SYNFIN_ASSERT(d.bytes == expected.bytes);
            SYNFIN_ASSERT(from == to || flight.is_sacked(una + from, una + to, pool));
            for (uint32_t i = from; i < to; ++i) octets_[i].fate = Fate::sacked;
        } else {
            SYNFIN_ASSERT(d.bytes <= expected.bytes);
            learn();  // what could not be noted is the implementation's choice
        }
        return d;
    }

    void lose_before(uint32_t count) {
        const bool tight = is_tight();
        flight.lose_before(una + count, pool);
        for (uint32_t i = 0; i < count; ++i) {
            if (octets_[i].fate == Fate::outstanding) octets_[i].fate = Fate::lost;
        }
        if (tight) learn();
    }

    /// As RACK does: what was sent before `moment` is lost.
    void lose_sent_before(uint32_t moment) {
        flight.lose_if(pool, [&](const FlightRange& r) { return is_before(r.sent_us, moment); });
        for_each_octet([&](const FlightRange& r, Octet& octet) {
            if (r.fate != Fate::lost || octet.fate != Fate::outstanding) return;
            SYNFIN_ASSERT(revived_ || is_before(octet.sent_us, moment));
            octet.fate = Fate::lost;
        });
    }

    void lose_all() {
        flight.lose_all(pool);
        for (Octet& octet : octets_) {
            octet.retransmitted |= octet.fate == Fate::sacked;
            octet.fate = Fate::lost;
        }
    }

    void revive() {
        revived_ = true;
        flight.revive(pool);
        for (Octet& octet : octets_) {
            if (octet.fate == Fate::lost) octet.fate = Fate::outstanding;
        }
    }

    void resend_first_lost(uint32_t most) {
        const FlightRange* r = flight.first_lost(pool);
        const auto first = std::find_if(octets_.begin(), octets_.end(),
                                        [](const Octet& o) { return o.fate == Fate::lost; });
        SYNFIN_ASSERT((r != nullptr) == (first != octets_.end()));
        if (r == nullptr) return;
        SYNFIN_ASSERT(r->begin.distance_from(una) == first - octets_.begin());
        const uint32_t from = r->begin.distance_from(una);
        const uint32_t to = from + std::min(most, r->bytes());
        const bool exact = flight.resend(una + from, una + to, now_us, pool);
        for (uint32_t i = from; i < to; ++i) octets_[i] = {Fate::outstanding, true, now_us};
        if (!exact) learn();
    }

    uint32_t size() const { return static_cast<uint32_t>(octets_.size()); }

    void compare() {
        flight.check(una, nxt, pool);
        for_each_octet([&](const FlightRange& r, const Octet& octet) {
            SYNFIN_ASSERT(octet.fate == r.fate);
            // What was sent once may pass for sent again, never the other way round (Karn).
            SYNFIN_ASSERT(r.retransmitted || !octet.retransmitted);
            SYNFIN_ASSERT(revived_ || r.fate != Fate::outstanding ||
                          !is_before(r.sent_us, octet.sent_us));
        });
    }

    FlightPool pool;
    Flight flight;
    Seq una, nxt;
    uint32_t now_us = 0;

  private:
    struct Octet {
        Fate fate = Fate::outstanding;
        bool retransmitted = false;
        uint32_t sent_us = 0;
    };
    /// What an ACK of some octets says that was not known.
    struct News {
        uint32_t bytes = 0;
        bool once = false;    ///< of something that was sent once
        bool again = false;   ///< and of something that was sent again
        bool undead = false;  ///< of something that was held for lost
    };

    static bool is_before(uint32_t a_us, uint32_t b_us) {
        return static_cast<int32_t>(a_us - b_us) < 0;
    }
    bool is_tight() const { return pool.used() == pool.capacity(); }

    News news(uint32_t from, uint32_t to) const {
        News n;
        for (uint32_t i = from; i < to; ++i) {
            const Octet& octet = octets_[i];
            if (octet.fate == Fate::sacked) continue;
            ++n.bytes;
            (octet.retransmitted ? n.again : n.once) = true;
            n.undead |= octet.fate == Fate::lost && !octet.retransmitted;
        }
        return n;
    }

    static void judge(const Delivery& d, const News& expected) {
        SYNFIN_ASSERT(expected.once || !d.original.any);
        SYNFIN_ASSERT(expected.undead || !d.undead);
        SYNFIN_ASSERT(!d.reordered || d.original.any);
        SYNFIN_ASSERT((d.bytes > 0) == (d.original.any || d.again.any));
    }

    template <typename Visitor>
    void for_each_octet(Visitor&& visit) {
        flight.for_each(pool, [&](const FlightRange& r) {
            const uint32_t begin = r.begin.distance_from(una);
            for (uint32_t i = 0; i < r.bytes(); ++i) visit(r, octets_[begin + i]);
        });
    }

    void learn() {
        for_each_octet([](const FlightRange& r, Octet& octet) {
            octet = {r.fate, r.retransmitted, r.sent_us};
        });
    }

    std::vector<Octet> octets_;
    bool revived_ = false;  ///< what lay in one range as lost shares one moment since
};

/// A story that any bytes tell: two choose where it begins and how many ranges there are, and each
/// event takes three.
inline void run_scoreboards(const uint8_t* data, size_t size) {
    constexpr uint32_t most_octets = 400;
    if (size < 2) return;
    const uint32_t ranges = data[1] < 128 ? 1000u : data[1] % 16u;
    Scoreboards both{data[0] * 0x0100'0001u - 200, ranges};
    for (size_t at = 2; at + 3 <= size; at += 3) {
        const uint32_t event = data[at];
        const uint32_t a = data[at + 1];
        const uint32_t b = data[at + 2];
        const uint32_t flying = both.size();
        both.now_us += (event >> 4) * 50;
        if (event % 16 < 5) {
            if (flying < most_octets) both.send(1 + a % 32, b % 4 * 50);
        } else if (flying == 0) {
            continue;
        } else if (event % 16 < 7) {
            both.acknowledge(std::min(1 + a, flying));
        } else if (event % 16 < 10) {
            const uint32_t from = (a << 8 | b) % flying;
            both.sack(from, std::min(from + 1 + b % 32, flying));
        } else if (event % 16 == 10) {
            both.lose_before(std::min(1 + a, flying));
        } else if (event % 16 == 11) {
            both.lose_sent_before(both.now_us - a * 10);
        } else if (event % 16 < 15) {
            both.resend_first_lost(1 + a % 32);
        } else if (a % 8 == 0) {
            both.lose_all();
        } else if (a % 8 == 1) {
            both.revive();
        }
        both.compare();
    }
}

}  // namespace synfin::tcp
