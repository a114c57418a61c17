// Strings as the bytes that parsers take.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace synfin::http {

inline std::span<const uint8_t> bytes_of(std::string_view text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

inline std::string_view text_of(std::span<const uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace synfin::http
