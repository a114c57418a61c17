// Any bytes, cut at any place, into both parsers: they consume no more than there is, always come
// to an end, and say the same wherever the input was cut.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>

#include <synfin/http/request_parser.hpp>
#include <synfin/http/response_parser.hpp>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using namespace synfin::http;

void require(bool condition) {
    if (!condition) std::abort();
}

struct Summary {
    size_t complete = 0;
    size_t consumed = 0;
    size_t body_bytes = 0;
    bool refused = false;
    friend bool operator==(const Summary&, const Summary&) = default;
};

Summary read_requests(std::span<const uint8_t> input, size_t piece_bytes) {
    RequestParser parser;
    Summary summary;
    while (!input.empty() && !summary.refused) {
        const auto piece = input.first(std::min(piece_bytes, input.size()));
        const RequestParser::Result result = parser.parse(piece);
        require(result.consumed <= piece.size());
        if (result.status == RequestParser::Status::need_more) {
            require(result.consumed == piece.size());
        }
        summary.consumed += result.consumed;
        summary.complete += result.status == RequestParser::Status::complete ? 1 : 0;
        summary.refused = result.status == RequestParser::Status::refused;
        require(result.consumed > 0 || summary.refused);
        input = input.subspan(result.consumed);
    }
    return summary;
}

Summary read_responses(std::span<const uint8_t> input, size_t piece_bytes) {
    ResponseParser parser;
    Summary summary;
    while (!input.empty() && !summary.refused) {
        auto piece = input.first(std::min(piece_bytes, input.size()));
        ResponseParser::Result result = parser.parse(piece);
        require(result.consumed <= piece.size());
        require(result.body.size() <= result.consumed);
        summary.consumed += result.consumed;
        summary.body_bytes += result.body.size();
        summary.refused = result.status == ResponseParser::Status::malformed;
        // A response whose body is over is told to be complete without needing another byte.
        if (result.status == ResponseParser::Status::body) {
            const ResponseParser::Result end = parser.parse({});
            require(end.consumed == 0);
            result.status = end.status;
        }
        summary.complete += result.status == ResponseParser::Status::complete ? 1 : 0;
        require(result.consumed > 0 || summary.refused);
        input = input.subspan(result.consumed);
    }
    return summary;
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 1) return 0;
    const size_t piece_bytes = size_t{data[0]} + 1;
    const std::span<const uint8_t> input{data + 1, size - 1};
    require(read_requests(input, piece_bytes) == read_requests(input, size));
    require(read_responses(input, piece_bytes) == read_responses(input, size));
    return 0;
}
