// Builds what is sent: responses and requests as one immutable piece of memory each, made once at
// start-up and sent by reference from then on.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace synfin::http {

/// A response with its body behind it.
struct Response {
    std::vector<uint8_t> bytes;
    size_t header_bytes = 0;

    std::span<const uint8_t> all() const { return bytes; }
    /// The answer to HEAD.
    std::span<const uint8_t> header() const { return std::span{bytes}.first(header_bytes); }
    std::span<const uint8_t> body() const { return std::span{bytes}.subspan(header_bytes); }
};

/// `keep_alive` false adds `Connection: close`.
Response make_response(uint16_t status_code, bool keep_alive, std::span<const uint8_t> body);

/// GET of `target`; `keep_alive` false adds `Connection: close`.
std::vector<uint8_t> make_request(std::string_view host, std::string_view target, bool keep_alive);

/// A body whose every byte follows from its position, so that whoever receives it can tell a byte
/// that is missing, doubled or exchanged: lines of 64 visible characters, each led by its number.
std::vector<uint8_t> make_body(size_t bytes);

/// `Not Found` for 404; empty for a code that no part of synfin sends.
std::string_view reason_phrase(uint16_t status_code);

}  // namespace synfin::http
