// Reads the header section of a message (RFC 9112 section 5): what requests and responses have in
// common. It keeps no bytes, only what it has understood of the few fields that matter.
//
// What could be read in two ways is refused, never guessed: folded lines, blanks before a colon or
// within a token, a bare CR, two Content-Lengths that differ.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <synfin/http/text.hpp>

namespace synfin::http {

/// The bounds of what is accepted.
inline constexpr uint16_t max_header_bytes = 8192;  ///< first line and fields in all
inline constexpr uint16_t max_header_fields = 100;
inline constexpr uint64_t max_body_bytes = uint64_t{1} << 40;

/// What the fields have said.
struct Fields {
    uint64_t content_length = 0;
    bool has_content_length = false;
    bool chunked = false;           ///< Transfer-Encoding is exactly `chunked`
    bool unknown_encoding = false;  ///< Transfer-Encoding is anything else
    bool close = false;             ///< Connection names `close`
    bool keep_alive = false;        ///< Connection names `keep-alive`
    uint8_t hosts = 0;              ///< how many Host fields
};

class FieldParser {
  public:
    enum class Outcome : uint8_t {
        going_on,
        end,  ///< the empty line
        malformed,
        too_many,  ///< beyond max_header_fields
    };

    /// One byte of the section, the end of the empty line included.
    Outcome add(uint8_t byte);
    /// Passes over a run of bytes that no step looks at: the value of a field that does not matter.
    /// Returns how many of `input` that were.
    size_t skip(std::span<const uint8_t> input) const;

    const Fields& fields() const { return fields_; }

  private:
    enum class Step : uint8_t { line_start, name, value_start, value, line_feed, last_line_feed };
    /// Those whose value is looked at come first.
    enum class Field : uint8_t { connection, content_length, transfer_encoding, host, other };

    Outcome add_to_line_start(uint8_t byte);
    Outcome add_to_name(uint8_t byte);
    Outcome add_to_value(uint8_t byte);
    Outcome end_token();
    Outcome end_value();

    Fields fields_;
    NumberReader number_;
    NameMatcher matcher_;
    Step step_ = Step::line_start;
    Field field_ = Field::other;
    bool blank_behind_ = false;  ///< the number or token: only blanks may follow
    uint16_t count_ = 0;
};

}  // namespace synfin::http
