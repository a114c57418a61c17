#include <algorithm>
#include <string_view>

#include <synfin/http/request_parser.hpp>

namespace synfin::http {

namespace {

constexpr uint16_t bad_request = 400;
constexpr uint16_t header_too_large = 431;
constexpr uint16_t not_implemented = 501;
constexpr uint16_t version_not_supported = 505;

// In the order of Method.
constexpr std::string_view methods[] = {"GET", "HEAD", "POST"};
constexpr std::string_view version_names[] = {"HTTP/1."};

}  // namespace

RequestParser::Result RequestParser::parse(std::span<const uint8_t> input) {
    size_t at = 0;
    while (at < input.size() && !complete_ && step_ != Step::refused) {
        if (step_ == Step::body) {
            const auto skipped = std::min<uint64_t>(body_left_, input.size() - at);
            body_left_ -= skipped;
            at += static_cast<size_t>(skipped);
            complete_ = body_left_ == 0;
            continue;
        }
        const size_t allowed =
            std::min<size_t>(input.size() - at, max_header_bytes - header_bytes_);
        if (allowed == 0) {
            refuse(header_too_large);
            break;
        }
        size_t taken = step_ == Step::fields ? fields_.skip(input.subspan(at, allowed)) : 0;
        if (taken == 0) {
            taken = 1;
            add(input[at]);
        }
        at += taken;
        header_bytes_ = static_cast<uint16_t>(header_bytes_ + taken);
    }
    if (step_ == Step::refused) return {Status::refused, at, status_code_, {}};
    if (!complete_) return {Status::need_more, at, 0, {}};
    const Request request = request_;
    *this = RequestParser{};
    return {Status::complete, at, 0, request};
}

void RequestParser::add(uint8_t byte) {
    switch (step_) {
        case Step::line_start:
            if (byte == '\r' || byte == '\n') return;
            step_ = Step::method;
            [[fallthrough]];
        case Step::method:
            if (byte == ' ' && matcher_.length() > 0) return end_method();
            if (!is_token_byte(byte)) return refuse(bad_request);
            return matcher_.add(methods, byte);
        case Step::target:
            if (byte == ' ' && target_seen_) {
                step_ = Step::version;
                matcher_.restart();
                return;
            }
            if (!is_visible(byte)) return refuse(bad_request);
            target_seen_ = true;
            return;
        case Step::version:
            matcher_.add(version_names, byte);
            if (matcher_.length() < version_names[0].size()) return;
            if (matcher_.result(version_names) < 0) return refuse(version_not_supported);
            step_ = Step::minor_version;
            return;
        case Step::minor_version:
            if (!is_digit(byte)) return refuse(bad_request);
            minor_version_ = static_cast<uint8_t>(byte - '0');
            step_ = Step::version_end;
            return;
        case Step::version_end:
            if (byte != '\r' && byte != '\n') return refuse(bad_request);
            step_ = byte == '\r' ? Step::line_feed : Step::fields;
            return;
        case Step::line_feed:
            if (byte != '\n') return refuse(bad_request);
            step_ = Step::fields;
            return;
        case Step::fields: return add_to_fields(byte);
        case Step::body:
        case Step::refused: return;
    }
}

void RequestParser::end_method() {
    const int index = matcher_.result(methods);
    if (index < 0) return refuse(not_implemented);
    request_.method = static_cast<Method>(index);
    step_ = Step::target;
}

void RequestParser::add_to_fields(uint8_t byte) {
    switch (fields_.add(byte)) {
        case FieldParser::Outcome::going_on: return;
        case FieldParser::Outcome::end: return end_fields();
        case FieldParser::Outcome::malformed: return refuse(bad_request);
        case FieldParser::Outcome::too_many: return refuse(header_too_large);
    }
}

void RequestParser::end_fields() {
    const Fields& fields = fields_.fields();
    // RFC 9112 section 3.2: exactly one Host in HTTP/1.1, at most one in HTTP/1.0.
    if (fields.hosts > 1 || (minor_version_ >= 1 && fields.hosts == 0)) return refuse(bad_request);
    if (fields.chunked || fields.unknown_encoding) return refuse(not_implemented);
    request_.keep_alive = minor_version_ >= 1 ? !fields.close : fields.keep_alive && !fields.close;
    body_left_ = fields.content_length;
    complete_ = body_left_ == 0;
    step_ = Step::body;
}

void RequestParser::refuse(uint16_t status_code) {
    step_ = Step::refused;
    status_code_ = status_code;
}

}  // namespace synfin::http
