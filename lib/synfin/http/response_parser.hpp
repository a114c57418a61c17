// Reads HTTP/1.1 responses out of a byte stream, in whatever pieces it comes (RFC 9112), as a
// client has to: bodies by Content-Length, chunked, until the connection closes, or none.
//
// It keeps no bytes; a body is handed out in the pieces in which it came, so that whoever checks it
// compares it where it lies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <synfin/http/field_parser.hpp>

namespace synfin::http {

class ResponseParser {
  public:
    enum class Status : uint8_t {
        need_more,  ///< all input was consumed and the response is not over
        body,       ///< `body` is a piece of the body; call again with what follows `consumed`
        complete,   ///< the response ended behind `consumed`; the parser is ready for the next one
        malformed,  ///< this is no HTTP/1 response, or one beyond a bound
    };
    struct Result {
        Status status = Status::need_more;
        size_t consumed = 0;
        std::span<const uint8_t> body;  ///< inside of the input; its bytes count as consumed
        uint16_t status_code = 0;       ///< when complete
        bool keep_alive = false;        ///< when complete: the peer will take another request
    };

    /// `to_head`: the request was HEAD, so no body follows whatever the fields say.
    explicit ResponseParser(bool to_head = false) : to_head_{to_head} {}

    /// Reads on, up to the next thing worth telling.
    Result parse(std::span<const uint8_t> input);
    /// The peer has closed: complete if the body lasts until then, malformed if anything is
    /// missing. Between two responses it is malformed, too: nothing is complete that never began.
    Result end_of_stream();

  private:
    enum class Step : uint8_t {
        version,
        minor_version,
        status_space,
        status_code,
        reason,
        line_feed,
        fields,
        counted_body,
        body_until_close,
        chunk_size,
        chunk_extension,
        chunk_line_feed,
        chunk_data,
        chunk_end,
        chunk_end_line_feed,
        trailers,
        done,
        malformed,
    };

    void add(uint8_t byte);
    void add_to_fields(uint8_t byte);
    void add_to_status_line(uint8_t byte);
    void add_to_chunk_line(uint8_t byte);
    void add_to_chunk_size(uint8_t byte);
    void begin_chunk_size();
    void end_fields();
    void end_chunk_line();
    Result body_piece(std::span<const uint8_t> input, size_t at);
    Result finish(size_t consumed);
    bool in_body() const;

    FieldParser fields_;
    NameMatcher matcher_;
    Step step_ = Step::version;
    bool to_head_ = false;
    bool keep_alive_ = false;
    uint8_t minor_version_ = 0;
    uint8_t digits_ = 0;  ///< of the status code or of a chunk's size
    uint16_t status_code_ = 0;
    uint16_t header_bytes_ = 0;
    uint64_t body_left_ = 0;
};

}  // namespace synfin::http
