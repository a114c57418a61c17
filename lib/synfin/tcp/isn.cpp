#include <synfin/base/siphash.hpp>
#include <synfin/tcp/isn.hpp>

namespace synfin::tcp {

namespace {

// Each use of the secret has a domain of its own, so that what one use shows (an ISN, a timestamp)
// says nothing about another.
enum class Domain : uint64_t { initial_sequence = 1, timestamp_offset = 2 };

uint64_t keyed_hash(const flow::FourTuple& t, const Secret& secret, Domain domain) {
    const uint64_t addresses = uint64_t{t.local_address} << 32 | t.remote_address;
    const uint64_t rest =
        static_cast<uint64_t>(domain) << 32 | uint64_t{t.local_port} << 16 | t.remote_port;
    return SipHash24::of_16_bytes(secret, addresses, rest);
}

}  // namespace

Seq initial_sequence(const flow::FourTuple& tuple, const Secret& secret, Instant now) {
    const auto clock = static_cast<uint32_t>(now.us() / 4);
    return Seq{clock + static_cast<uint32_t>(keyed_hash(tuple, secret, Domain::initial_sequence))};
}

uint32_t timestamp_offset(const flow::FourTuple& tuple, const Secret& secret) {
    return static_cast<uint32_t>(keyed_hash(tuple, secret, Domain::timestamp_offset));
}

}  // namespace synfin::tcp
