#include <algorithm>
#include <string_view>

#include <synfin/http/response_parser.hpp>

namespace synfin::http {

namespace {

constexpr std::string_view version_names[] = {"HTTP/1."};

/// A chunk's size has at most this many digits: max_body_bytes needs eleven.
constexpr uint8_t max_chunk_size_digits = 12;

int hexadecimal_digit(uint8_t byte) {
    if (is_digit(byte)) return byte - '0';
    const uint8_t lower = to_lower(byte);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// RFC 9110 section 6.4.1: these have no body, whatever their fields say.
bool never_has_body(uint16_t status_code) {
    return status_code < 200 || status_code == 204 || status_code == 304;
}

}  // namespace

ResponseParser::Result ResponseParser::parse(std::span<const uint8_t> input) {
    size_t at = 0;
    while (step_ != Step::done && step_ != Step::malformed) {
        if (at == input.size()) return {Status::need_more, at, {}, 0, false};
        if (in_body()) return body_piece(input, at);
        const size_t allowed =
            std::min<size_t>(input.size() - at, max_header_bytes - header_bytes_);
        if (allowed == 0) {
            step_ = Step::malformed;
            break;
        }
        const bool in_fields = step_ == Step::fields || step_ == Step::trailers;
        size_t taken = in_fields ? fields_.skip(input.subspan(at, allowed)) : 0;
        if (taken == 0) {
            taken = 1;
            add(input[at]);
        }
        at += taken;
        header_bytes_ = static_cast<uint16_t>(header_bytes_ + taken);
    }
    if (step_ == Step::malformed) return {Status::malformed, at, {}, 0, false};
    return finish(at);
}

ResponseParser::Result ResponseParser::end_of_stream() {
    if (step_ != Step::body_until_close) return {Status::malformed, 0, {}, 0, false};
    return finish(0);
}

bool ResponseParser::in_body() const {
    return step_ == Step::counted_body || step_ == Step::body_until_close ||
           step_ == Step::chunk_data;
}

ResponseParser::Result ResponseParser::body_piece(std::span<const uint8_t> input, size_t at) {
    size_t length = input.size() - at;
    if (step_ != Step::body_until_close) {
        length = static_cast<size_t>(std::min<uint64_t>(length, body_left_));
        body_left_ -= length;
        if (body_left_ == 0) step_ = step_ == Step::chunk_data ? Step::chunk_end : Step::done;
    }
    return {Status::body, at + length, input.subspan(at, length), 0, false};
}

ResponseParser::Result ResponseParser::finish(size_t consumed) {
    const Result result{Status::complete, consumed, {}, status_code_, keep_alive_};
    *this = ResponseParser{to_head_};
    return result;
}

void ResponseParser::add(uint8_t byte) {
    switch (step_) {
        case Step::version:
        case Step::minor_version:
        case Step::status_space:
        case Step::status_code:
        case Step::reason:
        case Step::line_feed: return add_to_status_line(byte);
        case Step::fields:
        case Step::trailers: return add_to_fields(byte);
        case Step::chunk_size:
        case Step::chunk_extension:
        case Step::chunk_line_feed:
        case Step::chunk_end:
        case Step::chunk_end_line_feed: return add_to_chunk_line(byte);
        case Step::counted_body:
        case Step::body_until_close:
        case Step::chunk_data:
        case Step::done:
        case Step::malformed: return;
    }
}

void ResponseParser::add_to_status_line(uint8_t byte) {
    switch (step_) {
        case Step::version:
            matcher_.add(version_names, byte);
            if (matcher_.length() < version_names[0].size()) return;
            step_ = matcher_.result(version_names) < 0 ? Step::malformed : Step::minor_version;
            return;
        case Step::minor_version:
            minor_version_ = static_cast<uint8_t>(byte - '0');
            step_ = is_digit(byte) ? Step::status_space : Step::malformed;
            return;
        case Step::status_space: step_ = byte == ' ' ? Step::status_code : Step::malformed; return;
        case Step::status_code:
            if (!is_digit(byte)) {
                step_ = Step::malformed;
                return;
            }
            status_code_ = static_cast<uint16_t>(status_code_ * 10 + (byte - '0'));
            if (++digits_ == 3) step_ = status_code_ >= 100 ? Step::reason : Step::malformed;
            return;
        case Step::reason:
            if (byte == '\r') step_ = Step::line_feed;
            if (byte == '\n') step_ = Step::fields;
            return;
        default: step_ = byte == '\n' ? Step::fields : Step::malformed; return;
    }
}

// The line before a chunk, and the end of the line behind it.
void ResponseParser::add_to_chunk_line(uint8_t byte) {
    switch (step_) {
        case Step::chunk_size: return add_to_chunk_size(byte);
        case Step::chunk_extension:
            if (byte == '\r') step_ = Step::chunk_line_feed;
            if (byte == '\n') end_chunk_line();
            return;
        case Step::chunk_end:
            step_ = byte == '\r' ? Step::chunk_end_line_feed : Step::malformed;
            return;
        default: break;
    }
    if (byte != '\n') {
        step_ = Step::malformed;
    } else if (step_ == Step::chunk_line_feed) {
        end_chunk_line();
    } else {
        begin_chunk_size();
    }
}

void ResponseParser::begin_chunk_size() {
    step_ = Step::chunk_size;
    digits_ = 0;
    header_bytes_ = 0;
}

void ResponseParser::add_to_fields(uint8_t byte) {
    switch (fields_.add(byte)) {
        case FieldParser::Outcome::going_on: return;
        case FieldParser::Outcome::end:
            if (step_ == Step::trailers) {
                step_ = Step::done;
                return;
            }
            return end_fields();
        case FieldParser::Outcome::malformed:
        case FieldParser::Outcome::too_many: step_ = Step::malformed; return;
    }
}

void ResponseParser::end_fields() {
    const Fields& fields = fields_.fields();
    if (status_code_ < 200) {  // an interim response: the real one follows
        if (status_code_ == 101) {
            step_ = Step::malformed;  // nobody asked for another protocol
            return;
        }
        *this = ResponseParser{to_head_};
        return;
    }
    keep_alive_ = minor_version_ >= 1 ? !fields.close : fields.keep_alive && !fields.close;
    // RFC 9112 section 6.3, in its order.
    if (to_head_ || never_has_body(status_code_)) {
        step_ = Step::done;
    } else if (fields.unknown_encoding || (fields.chunked && fields.has_content_length)) {
        step_ = Step::malformed;
    } else if (fields.chunked) {
        begin_chunk_size();
    } else if (fields.has_content_length) {
        body_left_ = fields.content_length;
        step_ = body_left_ == 0 ? Step::done : Step::counted_body;
    } else {
        keep_alive_ = false;
        step_ = Step::body_until_close;
    }
}

void ResponseParser::add_to_chunk_size(uint8_t byte) {
    const int digit = hexadecimal_digit(byte);
    if (digit >= 0 && digits_ < max_chunk_size_digits) {
        body_left_ = body_left_ * 16 + static_cast<uint64_t>(digit);
        ++digits_;
    } else if (digit >= 0 || digits_ == 0) {
        step_ = Step::malformed;
    } else if (byte == '\r') {
        step_ = Step::chunk_line_feed;
    } else if (byte == '\n') {
        end_chunk_line();
    } else if (byte == ';' || is_blank(byte)) {
        step_ = Step::chunk_extension;
    } else {
        step_ = Step::malformed;
    }
}

void ResponseParser::end_chunk_line() {
    if (body_left_ > max_body_bytes) {
        step_ = Step::malformed;
    } else if (body_left_ > 0) {
        step_ = Step::chunk_data;
    } else {
        step_ = Step::trailers;
        fields_ = FieldParser{};
    }
}

}  // namespace synfin::http
