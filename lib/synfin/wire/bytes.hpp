// Big-endian values and addresses in memory: the one place where byte order exists.
//
// Nothing here checks a length; the views do that once, before they read.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include <synfin/wire/address.hpp>

namespace synfin::wire {

constexpr uint16_t swap_bytes(uint16_t v) { return __builtin_bswap16(v); }
constexpr uint32_t swap_bytes(uint32_t v) { return __builtin_bswap32(v); }
constexpr uint64_t swap_bytes(uint64_t v) { return __builtin_bswap64(v); }

/// Between the host's order and the network's, either way.
template <typename T>
constexpr T network_order(T value) {
    if constexpr (std::endian::native == std::endian::little) return swap_bytes(value);
    return value;
}

/// The value as it lies in memory, whatever its alignment.
template <typename T>
inline T load_native(const uint8_t* p) {
    T value;
    std::memcpy(&value, p, sizeof value);
    return value;
}
template <typename T>
inline void store_native(uint8_t* p, T value) {
    std::memcpy(p, &value, sizeof value);
}

inline uint16_t load_be16(const uint8_t* p) { return network_order(load_native<uint16_t>(p)); }
inline uint32_t load_be32(const uint8_t* p) { return network_order(load_native<uint32_t>(p)); }
inline uint64_t load_be64(const uint8_t* p) { return network_order(load_native<uint64_t>(p)); }
inline void store_be16(uint8_t* p, uint16_t value) { store_native(p, network_order(value)); }
inline void store_be32(uint8_t* p, uint32_t value) { store_native(p, network_order(value)); }
inline void store_be64(uint8_t* p, uint64_t value) { store_native(p, network_order(value)); }

inline IpAddress load_ipv4(const uint8_t* p) { return IpAddress::v4(load_be32(p)); }
inline IpAddress load_ipv6(const uint8_t* p) {
    return IpAddress::v6(load_be64(p), load_be64(p + 8));
}
/// Only for an address that is_v4().
inline void store_ipv4(uint8_t* p, const IpAddress& address) { store_be32(p, address.v4()); }
inline void store_ipv6(uint8_t* p, const IpAddress& address) {
    store_be64(p, address.high());
    store_be64(p + 8, address.low());
}

inline MacAddress load_mac(const uint8_t* p) {
    MacAddress address;
    std::memcpy(address.bytes.data(), p, address.bytes.size());
    return address;
}
inline void store_mac(uint8_t* p, const MacAddress& address) {
    std::memcpy(p, address.bytes.data(), address.bytes.size());
}

}  // namespace synfin::wire
