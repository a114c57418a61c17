#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <synfin/http/request_parser.hpp>

#include "text_bytes.hpp"

namespace synfin::http {
namespace {

using Status = RequestParser::Status;

/// Parses all of `text`, cut behind its first `cut` bytes; the request must not end before the
/// text.
RequestParser::Result parse_in_two(std::string_view text, size_t cut) {
    RequestParser parser;
    RequestParser::Result result = parser.parse(bytes_of(text.substr(0, cut)));
    if (result.status != Status::need_more) return result;
    result = parser.parse(bytes_of(text.substr(cut)));
    result.consumed += cut;
    return result;
}

struct Accepted {
    const char* name;
    std::string text;
    Method method;
    bool keep_alive;
};

class AcceptedRequest : public testing::TestWithParam<Accepted> {};

TEST_P(AcceptedRequest, IsCompleteAtItsEndWhereverItIsCut) {
    const Accepted& expected = GetParam();
    for (size_t cut = 0; cut <= expected.text.size(); ++cut) {
        const RequestParser::Result result = parse_in_two(expected.text, cut);
        ASSERT_EQ(result.status, Status::complete) << "cut at " << cut;
        EXPECT_EQ(result.consumed, expected.text.size()) << "cut at " << cut;
        EXPECT_EQ(result.request.method, expected.method) << "cut at " << cut;
        EXPECT_EQ(result.request.keep_alive, expected.keep_alive) << "cut at " << cut;
    }
}

INSTANTIATE_TEST_SUITE_P(
    RequestParser, AcceptedRequest,
    testing::Values(
        Accepted{"Plain", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", Method::get, true},
        Accepted{"Head", "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n", Method::head, true},
        Accepted{"PostWithBody", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
                 Method::post, true},
        Accepted{"BodyThatLooksLikeARequest",
                 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                 Method::post, true},
        Accepted{"Close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", Method::get,
                 false},
        Accepted{"CloseInAListAndInCapitals",
                 "GET / HTTP/1.1\r\nHost: a\r\nCONNECTION: te ,\tCLOSE\r\n\r\n", Method::get,
                 false},
        Accepted{"TokenThatOnlyBeginsLikeClose",
                 "GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", Method::get, true},
        Accepted{"OldVersion", "GET / HTTP/1.0\r\n\r\n", Method::get, false},
        Accepted{"OldVersionKeptAlive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
                 Method::get, true},
        Accepted{"BareLineFeeds", "GET / HTTP/1.1\nHost: a\n\n", Method::get, true},
        Accepted{"EmptyLinesInFront", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Method::get,
                 true},
        Accepted{"NoBlankBehindTheColon", "GET / HTTP/1.1\r\nHost:a\r\nConnection:close\r\n\r\n",
                 Method::get, false},
        Accepted{"BlanksAroundTokens",
                 "GET / HTTP/1.1\r\nHost: a\r\nConnection: \tfoo , close \r\n\r\n", Method::get,
                 false},
        Accepted{"EmptyValue", "GET / HTTP/1.1\r\nHost:\r\nX-Empty: \r\n\r\n", Method::get, true},
        Accepted{"LengthTwiceTheSame",
                 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 \r\nContent-Length: 1\r\n\r\nx",
                 Method::post, true},
        Accepted{"LengthZero", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
                 Method::post, true}),
    [](const auto& tested) { return tested.param.name; });

struct Refused {
    const char* name;
    std::string text;
    uint16_t status_code;
};

class RefusedRequest : public testing::TestWithParam<Refused> {};

TEST_P(RefusedRequest, IsRefusedWhereverItIsCut) {
    const Refused& expected = GetParam();
    for (size_t cut = 0; cut <= std::min<size_t>(expected.text.size(), 300); ++cut) {
        const RequestParser::Result result = parse_in_two(expected.text, cut);
        ASSERT_EQ(result.status, Status::refused) << "cut at " << cut;
        EXPECT_EQ(result.status_code, expected.status_code) << "cut at " << cut;
    }
}

std::string fields(size_t count) {
    std::string text = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (size_t i = 0; i < count; ++i) text += "A: b\r\n";
    return text + "\r\n";
}

const std::string host = "GET / HTTP/1.1\r\nHost: a\r\n";

INSTANTIATE_TEST_SUITE_P(
    RequestParser, RefusedRequest,
    testing::Values(
        Refused{"NoHost", "GET / HTTP/1.1\r\n\r\n", 400},
        Refused{"TwoHosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        Refused{"UnknownMethod", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
        Refused{"MethodInSmallLetters", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
        Refused{"NoTarget", "GET  HTTP/1.1\r\n\r\n", 400},
        Refused{"NoVersion", "GET /\r\n\r\n", 400},
        Refused{"OtherVersion", "GET / HTTP/2.0\r\n\r\n", 505},
        Refused{"OtherProtocol", "GET / SIP/2.0 \r\n\r\n", 505},
        Refused{"TextBehindTheVersion", "GET / HTTP/1.1 x\r\n\r\n", 400},
        Refused{"ControlInTheTarget", "GET /\x01 HTTP/1.1\r\n\r\n", 400},
        Refused{"Chunked", host + "Transfer-Encoding: chunked\r\n\r\n", 501},
        Refused{"ChunkedWithLength",
                host + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 501},
        Refused{"BlankInACoding", host + "Transfer-Encoding: chun ked\r\n\r\n", 400},
        Refused{"BlankInAToken", host + "Connection: keep-alive close\r\n\r\n", 400},
        Refused{"FoldedLine", host + "A: b\r\n c\r\n\r\n", 400},
        Refused{"BlankBeforeTheColon", host + "A : b\r\n\r\n", 400},
        Refused{"NoColon", host + "A\r\n\r\n", 400}, Refused{"NoName", host + ": b\r\n\r\n", 400},
        Refused{"BareCarriageReturn", host + "A: b\rc\r\n\r\n", 400},
        Refused{"NulInAValue", host + std::string{"A: b\0c\r\n\r\n", 10}, 400},
        Refused{"LengthsThatDiffer", host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
        Refused{"NegativeLength", host + "Content-Length: -1\r\n\r\n", 400},
        Refused{"SignedLength", host + "Content-Length: +1\r\n\r\n", 400},
        Refused{"LengthInParts", host + "Content-Length: 1 2\r\n\r\n", 400},
        Refused{"LengthAsAList", host + "Content-Length: 1, 1\r\n\r\n", 400},
        Refused{"EmptyLength", host + "Content-Length:\r\n\r\n", 400},
        Refused{"LengthBeyond64Bits", host + "Content-Length: 18446744073709551617\r\n\r\n", 400},
        Refused{"LengthBeyondTheBound", host + "Content-Length: 1099511627777\r\n\r\n", 400},
        Refused{"TooManyFields", fields(max_header_fields), 431},
        Refused{"TooLongATarget", "GET /" + std::string(max_header_bytes, 'a'), 431},
        Refused{"TooLongAValue", host + "A: " + std::string(max_header_bytes, 'a'), 431},
        Refused{"EmptyLinesWithoutEnd", std::string(max_header_bytes + 1, '\n'), 431}),
    [](const auto& tested) { return tested.param.name; });

TEST(RequestParser, ReadsPipelinedRequestsOneAtATime) {
    const std::string one = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
    const std::string two = "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy";
    const std::string three = "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    const std::string all = one + two + three;
    RequestParser parser;

    RequestParser::Result result = parser.parse(bytes_of(all));
    ASSERT_EQ(result.status, Status::complete);
    EXPECT_EQ(result.consumed, one.size());
    size_t at = result.consumed;

    result = parser.parse(bytes_of(all.substr(at)));
    ASSERT_EQ(result.status, Status::complete);
    EXPECT_EQ(result.consumed, two.size());
    EXPECT_EQ(result.request.method, Method::post);
    at += result.consumed;

    result = parser.parse(bytes_of(all.substr(at)));
    ASSERT_EQ(result.status, Status::complete);
    EXPECT_FALSE(result.request.keep_alive);
    EXPECT_TRUE(parser.at_start());
}

TEST(RequestParser, IsNotAtItsStartInTheMiddleOfARequest) {
    RequestParser parser;
    EXPECT_TRUE(parser.at_start());
    parser.parse(bytes_of("G"));
    EXPECT_FALSE(parser.at_start());
}

TEST(RequestParser, RefusesAllThatFollowsARefusedRequest) {
    RequestParser parser;
    ASSERT_EQ(parser.parse(bytes_of(" ")).status, Status::refused);
    EXPECT_EQ(parser.parse(bytes_of(host + "\r\n")).status, Status::refused);
}

TEST(RequestParser, AcceptsExactlyAsManyFieldsAsItsBoundSays) {
    RequestParser parser;
    EXPECT_EQ(parser.parse(bytes_of(fields(max_header_fields - 1))).status, Status::complete);
}

}  // namespace
}  // namespace synfin::http
