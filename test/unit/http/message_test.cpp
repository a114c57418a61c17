#include <set>
#include <string>

#include <gtest/gtest.h>

#include <synfin/http/message.hpp>
#include <synfin/http/request_parser.hpp>
#include <synfin/http/response_parser.hpp>

#include "text_bytes.hpp"

namespace synfin::http {
namespace {

TEST(Message, ResponseIsReadBackByTheParserWithItsBody) {
    const std::vector<uint8_t> body = make_body(1000);
    const Response response = make_response(200, true, body);
    ResponseParser parser;
    const ResponseParser::Result piece = parser.parse(response.all());
    ASSERT_EQ(piece.status, ResponseParser::Status::body);
    EXPECT_EQ(text_of(piece.body), text_of(body));
    const ResponseParser::Result end = parser.parse(response.all().subspan(piece.consumed));
    EXPECT_EQ(end.status, ResponseParser::Status::complete);
    EXPECT_TRUE(end.keep_alive);
}

TEST(Message, ResponseThatClosesSaysSo) {
    const Response response = make_response(503, false, {});
    const ResponseParser::Result result = ResponseParser{}.parse(response.all());
    EXPECT_EQ(result.status_code, 503);
    EXPECT_FALSE(result.keep_alive);
}

TEST(Message, HeaderAndBodyOfAResponseAreAllOfIt) {
    const Response response = make_response(200, true, make_body(10));
    EXPECT_EQ(response.header().size() + response.body().size(), response.all().size());
    EXPECT_TRUE(text_of(response.header()).ends_with("\r\n\r\n"));
    EXPECT_EQ(response.body().size(), 10u);
}

TEST(Message, RequestIsReadBackByTheParser) {
    for (const bool keep_alive : {true, false}) {
        const RequestParser::Result result =
            RequestParser{}.parse(make_request("198.18.0.1", "/", keep_alive));
        ASSERT_EQ(result.status, RequestParser::Status::complete);
        EXPECT_EQ(result.request.keep_alive, keep_alive);
    }
}

TEST(Message, BodyHasExactlyTheLengthThatWasAskedFor) {
    for (const size_t length : {0u, 1u, 63u, 64u, 65u, 1024u, 100'000u}) {
        EXPECT_EQ(make_body(length).size(), length);
    }
}

TEST(Message, NoTwoLinesOfABodyAreEqual) {
    const std::vector<uint8_t> body = make_body(64 * 1000);
    std::set<std::string_view> lines;
    for (size_t at = 0; at < body.size(); at += 64) {
        lines.insert(text_of(std::span{body}.subspan(at, 64)));
    }
    EXPECT_EQ(lines.size(), 1000u);
}

}  // namespace
}  // namespace synfin::http
