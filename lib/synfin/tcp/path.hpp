// The way to a peer, as far as the protocol must know it: how large a segment may be.
//
// tcp/ knows neither IP nor destinations. It names a path by a connection that goes over it and
// counts in segment sizes, as the MSS does: everything behind the TCP header of 20 bytes. Who owns
// the worker keeps what was learned, for all connections to the same destination together.
#pragma once

#include <cstdint>

#include <synfin/base/instant.hpp>

namespace synfin::tcp {

struct Connection;

/// Of IP and TCP, without options: what stands between the size of a segment and that of a packet.
constexpr uint16_t header_bytes(bool v6) { return v6 ? 60 : 40; }

class Paths {
  public:
    virtual ~Paths() = default;

    /// Whether any path is known that takes less than our link. Asked before everything else.
    bool any() const { return any_; }

    /// The largest segment that is known to pass; 0 if nothing speaks against any.
    virtual uint16_t segment_size(const Connection& c, Instant now) = 0;
    /// `c.mss` is what both ends have agreed to, and is about to be made smaller.
    virtual void remember_agreed_size(const Connection& c) = 0;
    virtual uint16_t agreed_size(const Connection& c) const = 0;

    /// Segments of `size` vanish again and again, without a word (RFC 4821 section 7.7). Returns
    /// the size to go on with, 0 if that is none of the path's size.
    virtual uint16_t on_black_hole(const Connection& c, uint16_t size, Instant now) = 0;

    /// A size larger than the present one that is to be tried now, within what was agreed to, or
    /// known to pass by now; 0: none.
    virtual uint16_t size_to_probe(const Connection& c, Instant now) = 0;
    /// A segment of `size` was acknowledged, or lost while others got through.
    virtual void on_probe(const Connection& c, uint16_t size, bool arrived, Instant now) = 0;

  protected:
    bool any_ = false;
};

}  // namespace synfin::tcp
