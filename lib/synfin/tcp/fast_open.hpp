// TCP Fast Open (RFC 7413): data on the SYN, for peers that have been here before.
//
// A server gives a client a cookie, a keyed hash of both addresses, on its SYN,ACK; a SYN that
// brings the cookie back comes from where it says, and its data may be given to the application
// before the handshake is complete. Keys change with each epoch; the cookie of the last epoch is
// still believed, and replaced.
//
// A client keeps cookies in a FastOpenCache of fixed size. Each pair of addresses has one place in
// it; who comes later takes the place. What is not there is asked for with the next connection.
// Where a SYN with the option was not answered and one without was, something on the way may not
// bear it: connections to there are ordinary ones for some time (section 4.1.3.1).
//
// Data on a SYN may be delivered twice, when the network duplicates the SYN and the first
// connection has ended meanwhile: it is for applications that can bear that, so it is off unless
// asked for.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <synfin/base/instant.hpp>
#include <synfin/base/siphash.hpp>
#include <synfin/tcp/isn.hpp>
#include <synfin/wire/address.hpp>
#include <synfin/wire/tcp_fields.hpp>

namespace synfin::tcp {

inline constexpr Duration fast_open_epoch = Duration::hours(1);
/// How long a client asks a server for nothing that did not answer.
inline constexpr Duration fast_open_pause = Duration::hours(1);
/// How long a server counts a connection as pending that a RST has ended (section 5.1): whoever
/// uses another's cookie has that one's host send the RST, and the limit must hold all the same.
inline constexpr Duration fast_open_reset_hold = Duration::seconds(60);

// ---- the server's side

struct AddressPair {
    wire::IpAddress local;
    wire::IpAddress remote;
    friend bool operator==(const AddressPair&, const AddressPair&) = default;
};

/// Puts the cookie of this pair of addresses into `options`.
void write_fast_open_cookie(const AddressPair& pair, const Secret& secret, Instant now,
                            wire::TcpOptions& options);

enum class FastOpenCookie : uint8_t {
    none,  ///< asked for, wrong, or too old
    expiring,
    valid,
};
/// What `options` of a SYN is worth.
FastOpenCookie check_fast_open_cookie(const AddressPair& pair, const Secret& secret, Instant now,
                                      const wire::TcpOptions& options);

// ---- the client's side

class FastOpenCache {
  public:
    struct Entry {
        AddressPair pair;
        uint16_t mss = 0;          ///< the peer's
        uint8_t cookie_bytes = 0;  ///< 0: none
        uint8_t cookie[wire::TcpOptions::fast_open_bytes_max] = {};
        Instant paused_until;  ///< until then the option is not sent
    };

    /// `capacity` places, a power of two; peers choose their addresses, so the hash is keyed.
    FastOpenCache(uint32_t capacity, const SipKey& key) : key_{key}, entries_(capacity) {}

    /// The cookie for `pair`; nullptr if none is kept.
    const Entry* find(const AddressPair& pair) const {
        const Entry& entry = entries_[place_of(pair)];
        return entry.cookie_bytes != 0 && entry.pair == pair ? &entry : nullptr;
    }
    bool is_paused(const AddressPair& pair, Instant now) const {
        const Entry& entry = entries_[place_of(pair)];
        return entry.pair == pair && now < entry.paused_until;
    }
    /// How much data the next SYN to `pair` takes from one whose own segments are at most
    /// `own_mss` long: a SYN's options may take all the room that they can.
    uint32_t room(const AddressPair& pair, uint16_t own_mss, Instant now) const;
    void keep(const AddressPair& pair, uint16_t mss, const wire::TcpOptions& options);
    /// Forgets the cookie, and pauses.
    void pause(const AddressPair& pair, Instant now);

  private:
    size_t place_of(const AddressPair& pair) const {
        constexpr uint64_t length = 32;
        SipHash13 hash{key_};
        hash.block(pair.local.high());
        hash.block(pair.local.low());
        hash.block(pair.remote.high());
        hash.block(pair.remote.low());
        return hash.finish(length << 56) & (entries_.size() - 1);
    }
    SipKey key_;
    std::vector<Entry> entries_;
};

}  // namespace synfin::tcp
