#include <string>

#include <gtest/gtest.h>

#include <synfin/http/response_parser.hpp>

#include "text_bytes.hpp"

namespace synfin::http {
namespace {

using Status = ResponseParser::Status;

struct Outcome {
    Status status = Status::need_more;
    std::string body;
    size_t consumed = 0;
    uint16_t status_code = 0;
    bool keep_alive = false;
};

/// Feeds `text` to the parser until it has taken all or said its last word.
void feed(ResponseParser& parser, std::string_view text, Outcome& outcome) {
    while (outcome.status == Status::need_more || outcome.status == Status::body) {
        const ResponseParser::Result result = parser.parse(bytes_of(text));
        outcome.status = result.status;
        outcome.body += text_of(result.body);
        outcome.consumed += result.consumed;
        outcome.status_code = result.status_code;
        outcome.keep_alive = result.keep_alive;
        text.remove_prefix(result.consumed);
        if (result.status == Status::need_more) return;
    }
}

Outcome parse_in_two(std::string_view text, size_t cut, bool to_head = false) {
    ResponseParser parser{to_head};
    Outcome outcome;
    feed(parser, text.substr(0, cut), outcome);
    feed(parser, text.substr(cut), outcome);
    return outcome;
}

struct Accepted {
    const char* name;
    std::string text;
    std::string body;
    uint16_t status_code = 200;
    bool keep_alive = true;
};

class AcceptedResponse : public testing::TestWithParam<Accepted> {};

TEST_P(AcceptedResponse, IsCompleteAtItsEndWithItsBodyWhereverItIsCut) {
    const Accepted& expected = GetParam();
    for (size_t cut = 0; cut <= expected.text.size(); ++cut) {
        const Outcome outcome = parse_in_two(expected.text, cut);
        ASSERT_EQ(outcome.status, Status::complete) << "cut at " << cut;
        EXPECT_EQ(outcome.consumed, expected.text.size()) << "cut at " << cut;
        EXPECT_EQ(outcome.body, expected.body) << "cut at " << cut;
        EXPECT_EQ(outcome.status_code, expected.status_code) << "cut at " << cut;
        EXPECT_EQ(outcome.keep_alive, expected.keep_alive) << "cut at " << cut;
    }
}

INSTANTIATE_TEST_SUITE_P(
    ResponseParser, AcceptedResponse,
    testing::Values(
        Accepted{"CountedBody", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"},
        Accepted{"EmptyBody", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""},
        Accepted{"NoReason", "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", "x"},
        Accepted{"Close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", "x",
                 200, false},
        Accepted{"OldVersion", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "x", 200, false},
        Accepted{"NotModifiedHasNoBody", "HTTP/1.1 304 N\r\nContent-Length: 9\r\n\r\n", "", 304},
        Accepted{"NoContentHasNoBody", "HTTP/1.1 204 N\r\n\r\n", "", 204},
        Accepted{"InterimResponsesInFront",
                 "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n"
                 "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno",
                 "no", 404},
        Accepted{"Chunked",
                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n"
                 "a;ext=\"1\"\r\n, world!!!\r\n0\r\n\r\n",
                 "hello, world!!!"},
        Accepted{"ChunkedWithTrailers",
                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n000\r\n"
                 "Content-Length: 4\r\n\r\n",
                 "x"}),
    [](const auto& tested) { return tested.param.name; });

struct Malformed {
    const char* name;
    std::string text;
};

class MalformedResponse : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedResponse, IsMalformedWhereverItIsCut) {
    const std::string& text = GetParam().text;
    for (size_t cut = 0; cut <= std::min<size_t>(text.size(), 200); ++cut) {
        EXPECT_EQ(parse_in_two(text, cut).status, Status::malformed) << "cut at " << cut;
    }
}

const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

INSTANTIATE_TEST_SUITE_P(
    ResponseParser, MalformedResponse,
    testing::Values(
        Malformed{"OtherProtocol", "SSH-2.0-x\r\n"},
        Malformed{"OtherVersion", "HTTP/2.0 200 OK\r\n"},
        Malformed{"NoStatusCode", "HTTP/1.1 OK\r\n"},
        Malformed{"ShortStatusCode", "HTTP/1.1 20 OK"},
        Malformed{"StatusCodeBelow100", "HTTP/1.1 099 OK\r\n"},
        Malformed{"SwitchOfProtocols", "HTTP/1.1 101 Switch\r\n\r\n"},
        Malformed{"UnknownEncoding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"},
        Malformed{"BlankInACoding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chun ked\r\n\r\n"},
        Malformed{"ChunkedTwice", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n"},
        Malformed{"ChunkedWithLength",
                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"},
        Malformed{"EmptyChunkSize", chunked + "\r\n"},
        Malformed{"ChunkSizeNoNumber", chunked + "x\r\n"},
        Malformed{"ChunkSizeTooLong", chunked + "0000000000001\r\n"},
        Malformed{"ChunkBeyondTheBound", chunked + "10000000001\r\n"},
        Malformed{"ChunkLongerThanItsSize", chunked + "1\r\nxy\r\n"},
        Malformed{"EndlessExtension", chunked + "1;" + std::string(max_header_bytes, 'x')},
        Malformed{"EndlessReason", "HTTP/1.1 200 " + std::string(max_header_bytes, 'x')}),
    [](const auto& tested) { return tested.param.name; });

TEST(ResponseParser, BodyUntilCloseEndsWithTheStream) {
    ResponseParser parser;
    Outcome outcome;
    feed(parser, "HTTP/1.1 200 OK\r\n\r\nall of this", outcome);
    EXPECT_EQ(outcome.status, Status::need_more);
    EXPECT_EQ(outcome.body, "all of this");
    const ResponseParser::Result end = parser.end_of_stream();
    EXPECT_EQ(end.status, Status::complete);
    EXPECT_EQ(end.status_code, 200);
    EXPECT_FALSE(end.keep_alive);
}

TEST(ResponseParser, EndOfTheStreamInsideACountedBodyIsMalformed) {
    ResponseParser parser;
    Outcome outcome;
    feed(parser, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", outcome);
    EXPECT_EQ(parser.end_of_stream().status, Status::malformed);
}

TEST(ResponseParser, EndOfTheStreamBeforeAResponseIsMalformed) {
    EXPECT_EQ(ResponseParser{}.end_of_stream().status, Status::malformed);
}

TEST(ResponseParser, AnswerToHeadHasNoBodyWhateverItsLengthSays) {
    const std::string text = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
    const Outcome outcome = parse_in_two(text, 10, true);
    EXPECT_EQ(outcome.status, Status::complete);
    EXPECT_EQ(outcome.consumed, text.size());
}

TEST(ResponseParser, ReadsPipelinedResponsesOneAtATime) {
    const std::string one = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
    const std::string both = one + "HTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\nb";
    ResponseParser parser;
    Outcome first;
    feed(parser, both, first);
    EXPECT_EQ(first.status, Status::complete);
    EXPECT_EQ(first.consumed, one.size());
    EXPECT_EQ(first.body, "a");
    Outcome second;
    feed(parser, std::string_view{both}.substr(first.consumed), second);
    EXPECT_EQ(second.status_code, 404);
    EXPECT_EQ(second.body, "b");
}

}  // namespace
}  // namespace synfin::http
