#include <synfin/flow/tuple_hash.hpp>
#include <synfin/tcp/isn.hpp>

namespace synfin::tcp {

TupleSecrets tuple_secrets(const flow::FourTuple& t, const Secret& secret) {
    const uint64_t hash = flow::wide_tuple_hash(t, secret);
    return {static_cast<uint32_t>(hash), static_cast<uint32_t>(hash >> 32)};
}

Seq initial_sequence(const TupleSecrets& secrets, const Moment& now) {
    return Seq{static_cast<uint32_t>(static_cast<uint64_t>(now.us()) / 4) + secrets.sequence};
}

}  // namespace synfin::tcp
