// Reads HTTP/1.1 requests out of a byte stream, in whatever pieces it comes (RFC 9112).
//
// The parser keeps no bytes: its whole memory is this object, so a server keeps one per connection
// only while a request is incomplete, and what a peer may send is bounded by numbers, not by
// memory. Bodies are passed over. Chunked requests are refused with 501, as RFC 9112 section 6.1
// allows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <synfin/http/field_parser.hpp>

namespace synfin::http {

enum class Method : uint8_t { get, head, post };

/// What is known of a request once it is complete.
struct Request {
    Method method = Method::get;
    bool keep_alive = false;  ///< the connection may carry another request after this one
};

class RequestParser {
  public:
    enum class Status : uint8_t {
        need_more,  ///< all input was consumed and the request is not over
        complete,   ///< a request ended behind `consumed`; the parser is ready for the next one
        refused,    ///< malformed or beyond a bound: answer `status_code` and close
    };
    struct Result {
        Status status = Status::need_more;
        size_t consumed = 0;
        uint16_t status_code = 0;  ///< when refused: 400, 431, 501 or 505
        Request request;           ///< when complete
    };

    /// Reads up to the end of one request. O(consumed). After `refused` it refuses all that
    /// follows.
    Result parse(std::span<const uint8_t> input);

    /// Nothing of the next request has been read: the object may be thrown away.
    bool at_start() const { return step_ == Step::line_start && header_bytes_ == 0; }

  private:
    enum class Step : uint8_t {
        line_start,  ///< empty lines in front of a request are passed over (RFC 9112 section 2.2)
        method,
        target,
        version,
        minor_version,
        version_end,
        line_feed,
        fields,
        body,
        refused,
    };

    void add(uint8_t byte);
    void add_to_fields(uint8_t byte);
    void end_fields();
    void end_method();
    void refuse(uint16_t status_code);

    FieldParser fields_;
    NameMatcher matcher_;
    Step step_ = Step::line_start;
    bool complete_ = false;
    bool target_seen_ = false;
    uint8_t minor_version_ = 0;
    Request request_;
    uint16_t header_bytes_ = 0;
    uint16_t status_code_ = 0;
    uint64_t body_left_ = 0;
};

}  // namespace synfin::http
