#include <algorithm>

#include <synfin/tcp/fast_open.hpp>
#include <synfin/tcp/internal.hpp>
#include <synfin/wire/tcp_options.hpp>

namespace synfin::tcp {

namespace {

constexpr uint8_t server_cookie_bytes = 8;

uint64_t epoch_of(Instant now) {
    return static_cast<uint64_t>(now.ns() / fast_open_epoch.count_ns());
}

// 39 bytes: no other use of the secret has a message of that length.
uint64_t server_cookie(const AddressPair& pair, const Secret& secret, uint64_t epoch) {
    constexpr uint64_t length = 39;
    constexpr uint64_t epoch_mask = (uint64_t{1} << 56) - 1;
    SipHash24 hash{secret};
    hash.block(pair.local.high());
    hash.block(pair.local.low());
    hash.block(pair.remote.high());
    hash.block(pair.remote.low());
    return hash.finish(length << 56 | (epoch & epoch_mask));
}

void write_cookie(uint64_t cookie, wire::TcpOptions& options) {
    options.has_fast_open = true;
    options.fast_open_bytes = server_cookie_bytes;
    for (unsigned i = 0; i < server_cookie_bytes; ++i) {
        options.fast_open_cookie[i] = static_cast<uint8_t>(cookie >> 8 * i);
    }
}

bool equals(uint64_t cookie, const wire::TcpOptions& options) {
    if (options.fast_open_bytes != server_cookie_bytes) return false;
    uint64_t read = 0;
    for (unsigned i = 0; i < server_cookie_bytes; ++i) {
        read |= uint64_t{options.fast_open_cookie[i]} << 8 * i;
    }
    return read == cookie;
}

}  // namespace

void write_fast_open_cookie(const AddressPair& pair, const Secret& secret, Instant now,
                            wire::TcpOptions& options) {
    write_cookie(server_cookie(pair, secret, epoch_of(now)), options);
}

FastOpenCookie check_fast_open_cookie(const AddressPair& pair, const Secret& secret, Instant now,
                                      const wire::TcpOptions& options) {
    const uint64_t epoch = epoch_of(now);
    if (equals(server_cookie(pair, secret, epoch), options)) return FastOpenCookie::valid;
    if (equals(server_cookie(pair, secret, epoch - 1), options)) return FastOpenCookie::expiring;
    return FastOpenCookie::none;
}

// ---- the client's cookies

uint32_t FastOpenCache::room(const AddressPair& pair, uint16_t own_mss, Instant now) const {
    const Entry* entry = find(pair);
    if (entry == nullptr || is_paused(pair, now)) return 0;
    const auto mss = static_cast<uint32_t>(std::min(entry->mss, own_mss));
    return mss - std::min<uint32_t>(mss, wire::tcp_options_bytes_max);
}

void FastOpenCache::keep(const AddressPair& pair, uint16_t mss, const wire::TcpOptions& options) {
    if (options.fast_open_bytes == 0) return;
    Entry& entry = entries_[place_of(pair)];
    entry = Entry{};
    entry.pair = pair;
    entry.mss = mss;
    entry.cookie_bytes = options.fast_open_bytes;
    std::copy_n(options.fast_open_cookie, options.fast_open_bytes, entry.cookie);
}

void FastOpenCache::pause(const AddressPair& pair, Instant now) {
    Entry& entry = entries_[place_of(pair)];
    entry = Entry{};
    entry.pair = pair;
    entry.paused_until = now + fast_open_pause;
}

AddressPair addresses_of(const Connection& c, const Environment& env) {
    return {env.address_of(c.local_address), env.address_of(c.remote_address)};
}

// ---- the server's side of a connection

bool takes_early_data(const Connection& c) {
    return c.state == State::syn_received && c.has(Mark::passive_open) && c.early_data;
}

InputResult take_fast_open(Connection& c, const Segment& syn, bool has_room, Environment& env,
                           Instant now) {
    InputResult result;
    const FastOpenCookie cookie =
        check_fast_open_cookie(addresses_of(c, env), env.secret, now, syn.options);
    if (cookie != FastOpenCookie::valid) c.set(Mark::extra_option);
    if (syn.options.fast_open_bytes == 0) {
        ++env.counters.fast_open_cookie_requests;
        return result;
    }
    if (cookie == FastOpenCookie::none) {
        ++env.counters.fast_open_passive_fails;
        return result;
    }
    if (syn.payload.empty()) return result;
    if (!has_room) {
        ++env.counters.fast_open_overflows;
        return result;
    }
    ++env.counters.fast_open_passive;
    const uint32_t space = std::min<uint32_t>(receive_buffer_space(c, env), 0xffff);
    result.data = syn.payload.first(std::min<size_t>(syn.payload.size(), space));
    c.rcv_nxt = c.rcv_nxt.load() + static_cast<uint32_t>(result.data.size());
    c.rcv_edge = c.rcv_nxt;
    c.early_data = true;
    start_congestion_control(c, env.terms_of(c));
    result.events.add(Event::established);
    return result;
}

// ---- the client's side of a connection

uint32_t early_data_room(const AddressPair& pair, const Profile& profile, const Environment& env,
                         Instant now) {
    if (env.fast_open == nullptr) return 0;
    return env.fast_open->room(pair, receive_mss(profile, pair.remote.is_v6(), env.mtu), now);
}

void write_early_data(Connection& c, OutSegment& out, Environment& env, Instant now) {
    if (env.fast_open == nullptr) return;
    const AddressPair pair = addresses_of(c, env);
    if (env.fast_open->is_paused(pair, now)) return;
    const FastOpenCache::Entry* entry = env.fast_open->find(pair);
    out.options.has_fast_open = true;
    if (entry == nullptr) return;  // asks for one
    out.options.fast_open_bytes = entry->cookie_bytes;
    std::copy_n(entry->cookie, entry->cookie_bytes, out.options.fast_open_cookie);
    const uint32_t length = std::min(queued_bytes(c, env), env.fast_open->room(pair, c.mss, now));
    if (length == 0) return;
    gather_queued(c, 0, length, out, env);
    c.cwnd = out.payload_length;
    ++env.counters.fast_open_active;
}

void take_fast_open_answer(Connection& c, const Segment& syn_ack, Environment& env, Instant now,
                           Events& events) {
    const uint32_t early = syn_ack.ack.distance_from(c.snd_nxt);
    if (c.cwnd > 0 && early < c.cwnd) ++env.counters.fast_open_active_fails;
    if (c.has(Mark::extra_option) && env.fast_open != nullptr) {
        const AddressPair pair = addresses_of(c, env);
        if (syn_ack.options.has_fast_open) {
            env.fast_open->keep(pair, c.mss, syn_ack.options);
        } else if (c.has(Mark::syn_retransmitted) && early == 0) {
            env.fast_open->pause(pair, now);
        }
    }
    Transfer* t = transfer_of(c, env);
    if (early == 0 || t == nullptr) return;
    c.early_data = true;
    // The SYN has grown by these octets, as it were; what follows counts from their end.
    remove_acknowledged(*t, early, env);
    c.snd_una = c.snd_una.load() + early;
    c.snd_nxt = syn_ack.ack;
    events.add(Event::acknowledged);
    drop_idle_transfer(c, env);
}

}  // namespace synfin::tcp
