#include <charconv>

#include <synfin/wire/address.hpp>

namespace synfin::wire {

namespace {

/// A decimal number without sign and without leading zeros, at most `max`.
std::optional<uint32_t> parse_decimal(std::string_view text, uint32_t max) {
    if (text.empty() || (text.size() > 1 && text[0] == '0')) return std::nullopt;
    uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value > max)
        return std::nullopt;
    return value;
}

/// One to `digits_max` hexadecimal digits.
std::optional<uint16_t> parse_hex(std::string_view text, size_t digits_min, size_t digits_max) {
    if (text.size() < digits_min || text.size() > digits_max) return std::nullopt;
    uint16_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<uint32_t> parse_ipv4(std::string_view text) {
    uint32_t address = 0;
    for (int i = 0; i < 4; ++i) {
        const size_t dot = text.find('.');
        if ((dot == std::string_view::npos) != (i == 3)) return std::nullopt;
        const auto octet = parse_decimal(text.substr(0, dot), 255);
        if (!octet) return std::nullopt;
        address = address << 8 | *octet;
        if (i < 3) text.remove_prefix(dot + 1);
    }
    return address;
}

/// Groups of an IPv6 address on one side of `::`.
struct Groups {
    std::array<uint16_t, 8> value{};
    size_t count = 0;
};

/// Reads groups separated by single colons; an IPv4 address may stand for the last two.
std::optional<Groups> parse_groups(std::string_view text, bool ipv4_allowed) {
    Groups groups;
    if (text.empty()) return groups;
    for (;;) {
        const size_t colon = text.find(':');
        const std::string_view part = text.substr(0, colon);
        const bool last = colon == std::string_view::npos;
        if (last && ipv4_allowed && part.find('.') != std::string_view::npos) {
            const auto ipv4 = parse_ipv4(part);
            if (!ipv4 || groups.count > 6) return std::nullopt;
            groups.value[groups.count++] = static_cast<uint16_t>(*ipv4 >> 16);
            groups.value[groups.count++] = static_cast<uint16_t>(*ipv4);
            return groups;
        }
        const auto group = parse_hex(part, 1, 4);
        if (!group || groups.count == 8) return std::nullopt;
        groups.value[groups.count++] = *group;
        if (last) return groups;
        text.remove_prefix(colon + 1);
    }
}

std::optional<IpAddress> parse_ipv6(std::string_view text) {
    const size_t gap = text.find("::");
    const bool compressed = gap != std::string_view::npos;
    const auto front = parse_groups(text.substr(0, gap), !compressed);
    const auto back = compressed ? parse_groups(text.substr(gap + 2), true) : Groups{};
    if (!front || !back) return std::nullopt;
    // `::` stands for one group at least.
    if (compressed ? front->count + back->count > 7 : front->count != 8) return std::nullopt;

    std::array<uint16_t, 8> groups = front->value;
    for (size_t i = 0; i < back->count; ++i) groups[8 - back->count + i] = back->value[i];
    uint64_t high = 0;
    uint64_t low = 0;
    for (size_t i = 0; i < 4; ++i) {
        high = high << 16 | groups[i];
        low = low << 16 | groups[4 + i];
    }
    return IpAddress::v6(high, low);
}

std::string format_ipv6(const IpAddress& address) {
    std::array<uint16_t, 8> groups{};
    for (size_t i = 0; i < 4; ++i) {
        groups[i] = static_cast<uint16_t>(address.high() >> (48 - 16 * i));
        groups[4 + i] = static_cast<uint16_t>(address.low() >> (48 - 16 * i));
    }
    // The longest run of zero groups becomes `::`, the first of equals, never a single group
    // (RFC 5952 section 4.2).
    size_t gap = 8;
    size_t gap_length = 1;
    for (size_t i = 0; i < 8;) {
        size_t end = i;
        while (end < 8 && groups[end] == 0) ++end;
        if (end - i > gap_length) {
            gap = i;
            gap_length = end - i;
        }
        i = end == i ? i + 1 : end;
    }
    std::string text;
    for (size_t i = 0; i < 8; ++i) {
        if (i == gap) {
            text += "::";
            i += gap_length - 1;
            continue;
        }
        if (i != 0 && text.back() != ':') text += ':';
        std::array<char, 4> digits{};
        const auto [end, error] =
            std::to_chars(digits.data(), digits.data() + digits.size(), groups[i], 16);
        text.append(digits.data(), end);
    }
    return text;
}

/// The first `length` bits of 64.
constexpr uint64_t mask64(unsigned length) {
    return length == 0 ? 0 : length >= 64 ? ~uint64_t{0} : ~uint64_t{0} << (64 - length);
}

IpAddress masked(const IpAddress& address, unsigned length) {
    if (address.is_v4()) {
        return IpAddress::v4(address.v4() & static_cast<uint32_t>(mask64(length + 32)));
    }
    return IpAddress::v6(address.high() & mask64(length),
                         address.low() & mask64(length > 64 ? length - 64 : 0));
}

}  // namespace

bool IpPrefix::contains(const IpAddress& a) const {
    return a.is_v4() == address.is_v4() && masked(a, length) == address;
}

std::optional<IpAddress> parse_ip_address(std::string_view text) {
    if (text.find(':') != std::string_view::npos) return parse_ipv6(text);
    if (const auto ipv4 = parse_ipv4(text)) return IpAddress::v4(*ipv4);
    return std::nullopt;
}

std::optional<IpPrefix> parse_ip_prefix(std::string_view text) {
    const size_t slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto address = parse_ip_address(text.substr(0, slash));
    auto length = parse_decimal(text.substr(slash + 1), 128);
    if (!address || !length) return std::nullopt;
    if (address->is_v4()) {
        // Written as IPv4-mapped IPv6, the prefix counts the 96 bits in front as well.
        if (text.substr(0, slash).find(':') != std::string_view::npos) {
            if (*length < 96) return std::nullopt;
            *length -= 96;
        }
        if (*length > 32) return std::nullopt;
    }
    return IpPrefix{masked(*address, *length), static_cast<uint8_t>(*length)};
}

std::optional<SocketAddress> parse_socket_address(std::string_view text) {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    std::string_view host = text.substr(0, colon);
    const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    // Brackets belong around IPv6 and around nothing else (RFC 5952 section 6).
    if (bracketed != (host.find(':') != std::string_view::npos)) return std::nullopt;
    const auto address = parse_ip_address(host);
    const auto port = parse_decimal(text.substr(colon + 1), 65535);
    if (!address || !port) return std::nullopt;
    return SocketAddress{*address, static_cast<uint16_t>(*port)};
}

std::optional<MacAddress> parse_mac_address(std::string_view text) {
    MacAddress address;
    if (text.size() != 17) return std::nullopt;
    for (size_t i = 0; i < 6; ++i) {
        const auto octet = parse_hex(text.substr(3 * i, 2), 2, 2);
        if (!octet || (i < 5 && text[3 * i + 2] != ':')) return std::nullopt;
        address.bytes[i] = static_cast<uint8_t>(*octet);
    }
    return address;
}

std::string to_string(const IpAddress& address) {
    if (address.is_v6()) return format_ipv6(address);
    const uint32_t v = address.v4();
    return std::to_string(v >> 24) + '.' + std::to_string(v >> 16 & 0xff) + '.' +
           std::to_string(v >> 8 & 0xff) + '.' + std::to_string(v & 0xff);
}

std::string to_string(const IpPrefix& prefix) {
    return to_string(prefix.address) + '/' + std::to_string(prefix.length);
}

std::string to_string(const SocketAddress& address) {
    const std::string port = std::to_string(address.port);
    if (address.address.is_v4()) return to_string(address.address) + ':' + port;
    return '[' + to_string(address.address) + "]:" + port;
}

std::string to_string(const MacAddress& address) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const uint8_t byte : address.bytes) {
        if (!text.empty()) text += ':';
        text += digits[byte >> 4];
        text += digits[byte & 0xf];
    }
    return text;
}

}  // namespace synfin::wire
