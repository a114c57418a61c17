// The alphabet of RFC 9110, and a matcher that recognizes one of a few names as its bytes come in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace synfin::http {

constexpr bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }
constexpr bool is_blank(uint8_t c) { return c == ' ' || c == '\t'; }
/// VCHAR and obs-text: what a request target is made of.
constexpr bool is_visible(uint8_t c) { return c > 0x20 && c != 0x7f; }
/// What may stand in a field's value (RFC 9110 section 5.5): no control but the tab.
constexpr bool is_value_byte(uint8_t c) { return (c >= 0x20 && c != 0x7f) || c == '\t'; }

constexpr uint8_t to_lower(uint8_t c) {
    return c >= 'A' && c <= 'Z' ? static_cast<uint8_t>(c + ('a' - 'A')) : c;
}

/// tchar (RFC 9110 section 5.6.2): what methods, field names and tokens are made of.
constexpr bool is_token_byte(uint8_t c) {
    const uint8_t lower = to_lower(c);
    if ((lower >= 'a' && lower <= 'z') || is_digit(c) || c == '-') return true;
    constexpr std::string_view others = "!#$%&'*+.^_`|~";
    return others.find(static_cast<char>(c)) != std::string_view::npos;
}

/// Compares bytes that come one at a time with up to eight names; its whole memory is two bytes.
class NameMatcher {
  public:
    void restart() { *this = NameMatcher{}; }

    template <size_t count>
    void add(const std::string_view (&names)[count], uint8_t byte) {
        static_assert(count <= 8);
        for (size_t i = 0; i < count && candidates_ != 0; ++i) {
            const bool agrees =
                length_ < names[i].size() && static_cast<uint8_t>(names[i][length_]) == byte;
            if (!agrees) candidates_ &= static_cast<uint8_t>(~(1u << i));
        }
        if (length_ < UINT8_MAX) ++length_;
    }

    /// The index of the name that was added in full, or -1.
    template <size_t count>
    int result(const std::string_view (&names)[count]) const {
        for (size_t i = 0; i < count; ++i) {
            if ((candidates_ & (1u << i)) != 0 && names[i].size() == length_) {
                return static_cast<int>(i);
            }
        }
        return -1;
    }

    /// Bytes added, up to 255.
    uint8_t length() const { return length_; }

  private:
    uint8_t candidates_ = 0xff;
    uint8_t length_ = 0;
};

/// Reads a Content-Length as its bytes come in (RFC 9110 section 8.6).
class NumberReader {
  public:
    void restart() { *this = NumberReader{}; }
    /// Returns false on what is no digit and beyond 2^60.
    bool add(uint8_t byte) {
        if (!is_digit(byte) || value_ > (uint64_t{1} << 60) / 10) return false;
        value_ = value_ * 10 + static_cast<uint64_t>(byte - '0');
        any_ = true;
        return true;
    }
    bool any() const { return any_; }
    uint64_t value() const { return value_; }

  private:
    uint64_t value_ = 0;
    bool any_ = false;
};

}  // namespace synfin::http
