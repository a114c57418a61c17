#include <synfin/base/siphash.hpp>
#include <synfin/tcp/isn.hpp>

namespace synfin::tcp {

TupleSecrets tuple_secrets(const flow::FourTuple& t, const Secret& secret) {
    const uint64_t addresses = uint64_t{t.local_address} << 32 | t.remote_address;
    const uint32_t ports = uint32_t{t.local_port} << 16 | t.remote_port;
    const uint64_t hash = SipHash24::of_12_bytes(secret, addresses, ports);
    return {static_cast<uint32_t>(hash), static_cast<uint32_t>(hash >> 32)};
}

Seq initial_sequence(const TupleSecrets& secrets, Instant now) {
    return Seq{static_cast<uint32_t>(now.us() / 4) + secrets.sequence};
}

}  // namespace synfin::tcp
