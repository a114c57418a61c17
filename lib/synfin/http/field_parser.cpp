#include <algorithm>
#include <string_view>

#include <synfin/http/field_parser.hpp>

namespace synfin::http {

namespace {

// In the order of FieldParser::Field.
constexpr std::string_view field_names[] = {"connection", "content-length", "transfer-encoding",
                                            "host"};
constexpr std::string_view connection_tokens[] = {"close", "keep-alive"};
constexpr std::string_view encoding_tokens[] = {"chunked"};

}  // namespace

FieldParser::Outcome FieldParser::add(uint8_t byte) {
    switch (step_) {
        case Step::line_start: return add_to_line_start(byte);
        case Step::name: return add_to_name(byte);
        case Step::value_start:
            if (is_blank(byte)) return Outcome::going_on;
            step_ = Step::value;
            return add_to_value(byte);
        case Step::value: return add_to_value(byte);
        case Step::line_feed:
            step_ = Step::line_start;
            return byte == '\n' ? Outcome::going_on : Outcome::malformed;
        case Step::last_line_feed: return byte == '\n' ? Outcome::end : Outcome::malformed;
    }
    return Outcome::malformed;
}

size_t FieldParser::skip(std::span<const uint8_t> input) const {
    if (step_ != Step::value || field_ < Field::host) return 0;
    return static_cast<size_t>(std::ranges::find_if_not(input, is_value_byte) - input.begin());
}

FieldParser::Outcome FieldParser::add_to_line_start(uint8_t byte) {
    if (byte == '\r') {
        step_ = Step::last_line_feed;
        return Outcome::going_on;
    }
    if (byte == '\n') return Outcome::end;
    if (++count_ > max_header_fields) return Outcome::too_many;
    step_ = Step::name;
    matcher_.restart();
    return add_to_name(byte);
}

FieldParser::Outcome FieldParser::add_to_name(uint8_t byte) {
    if (is_token_byte(byte)) {
        matcher_.add(field_names, to_lower(byte));
        return Outcome::going_on;
    }
    if (byte != ':' || matcher_.length() == 0) return Outcome::malformed;
    const int index = matcher_.result(field_names);
    field_ = index < 0 ? Field::other : static_cast<Field>(index);
    if (field_ == Field::host && fields_.hosts < UINT8_MAX) ++fields_.hosts;
    matcher_.restart();
    number_.restart();
    blank_behind_ = false;
    step_ = Step::value_start;
    return Outcome::going_on;
}

FieldParser::Outcome FieldParser::add_to_value(uint8_t byte) {
    if (byte == '\r' || byte == '\n') {
        step_ = byte == '\r' ? Step::line_feed : Step::line_start;
        return end_value();
    }
    if (!is_value_byte(byte)) return Outcome::malformed;
    switch (field_) {
        case Field::connection:
        case Field::transfer_encoding:
            if (byte == ',') return end_token();
            if (is_blank(byte)) {
                blank_behind_ = matcher_.length() > 0;
                return Outcome::going_on;
            }
            if (blank_behind_) return Outcome::malformed;
            if (field_ == Field::connection) {
                matcher_.add(connection_tokens, to_lower(byte));
            } else {
                matcher_.add(encoding_tokens, to_lower(byte));
            }
            return Outcome::going_on;
        case Field::content_length:
            if (is_blank(byte)) {
                blank_behind_ = true;
                return Outcome::going_on;
            }
            return !blank_behind_ && number_.add(byte) ? Outcome::going_on : Outcome::malformed;
        case Field::host:
        case Field::other: return Outcome::going_on;
    }
    return Outcome::malformed;
}

FieldParser::Outcome FieldParser::end_token() {
    if (field_ == Field::connection) {
        const int token = matcher_.result(connection_tokens);
        fields_.close |= token == 0;
        fields_.keep_alive |= token == 1;
    } else if (matcher_.length() > 0) {
        const bool is_chunked = matcher_.result(encoding_tokens) == 0 && !fields_.chunked;
        fields_.chunked |= is_chunked;
        fields_.unknown_encoding |= !is_chunked;
    }
    matcher_.restart();
    blank_behind_ = false;
    return Outcome::going_on;
}

FieldParser::Outcome FieldParser::end_value() {
    switch (field_) {
        case Field::connection:
        case Field::transfer_encoding: return end_token();
        case Field::content_length:
            if (!number_.any() || number_.value() > max_body_bytes) return Outcome::malformed;
            if (fields_.has_content_length && fields_.content_length != number_.value()) {
                return Outcome::malformed;
            }
            fields_.has_content_length = true;
            fields_.content_length = number_.value();
            return Outcome::going_on;
        case Field::host:
        case Field::other: return Outcome::going_on;
    }
    return Outcome::malformed;
}

}  // namespace synfin::http
