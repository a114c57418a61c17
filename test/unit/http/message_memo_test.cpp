// The memo of whole messages, against the parsers whose work it saves.
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <synfin/base/prng.hpp>
#include <synfin/http/message_memo.hpp>
#include <synfin/http/request_parser.hpp>

#include "text_bytes.hpp"

namespace synfin::http {
namespace {

TEST(MessageMemo, KnowsTheLastTwoMessages) {
    MessageMemo<int> memo;
    memo.remember(bytes_of("one"), 1);
    memo.remember(bytes_of("two"), 2);
    ASSERT_NE(memo.find(bytes_of("one")), nullptr);
    EXPECT_EQ(*memo.find(bytes_of("one")), 1);
    EXPECT_EQ(*memo.find(bytes_of("two")), 2);
    memo.remember(bytes_of("three"), 3);
    EXPECT_EQ(memo.find(bytes_of("one")), nullptr);
    EXPECT_EQ(*memo.find(bytes_of("three")), 3);
}

TEST(MessageMemo, MessageThatIsOnlyTheBeginningOfAKnownOneIsUnknown) {
    MessageMemo<int> memo;
    memo.remember(bytes_of("message"), 1);
    EXPECT_EQ(memo.find(bytes_of("messag")), nullptr);
    EXPECT_EQ(memo.find(bytes_of("messages")), nullptr);
    EXPECT_EQ(memo.find({}), nullptr);
}

TEST(MessageMemo, MessageThatDiffersInOneByteIsUnknown) {
    for (const size_t length : {1u, 8u, 31u, 32u, 33u, 64u, 65u, 200u}) {
        MessageMemo<int> memo;
        const std::string text(length, 'x');
        memo.remember(bytes_of(text), 1);
        EXPECT_NE(memo.find(bytes_of(text)), nullptr);
        for (size_t at = 0; at < length; ++at) {
            std::string other = text;
            other[at] = 'y';
            EXPECT_EQ(memo.find(bytes_of(other)), nullptr) << at << " of " << length;
        }
    }
}

TEST(MessageMemo, MessageBeyondItsBoundIsNotRemembered) {
    MessageMemo<int> memo;
    const std::string longest(MessageMemo<int>::max_bytes, 'x');
    memo.remember(bytes_of(longest + "x"), 1);
    EXPECT_EQ(memo.find(bytes_of(longest + "x")), nullptr);
    memo.remember(bytes_of(longest), 1);
    EXPECT_NE(memo.find(bytes_of(longest)), nullptr);
}

/// What the parser makes of a text that is exactly one request.
std::optional<Request> whole_request(const std::string& text) {
    RequestParser parser;
    const RequestParser::Result result = parser.parse(bytes_of(text));
    if (result.status != RequestParser::Status::complete || result.consumed != text.size()) {
        return std::nullopt;
    }
    return result.request;
}

// Seeded: messages that repeat, some of them changed by a byte.
TEST(MessageMemo, SaysOfEachRequestWhatTheParserSays) {
    const std::vector<std::string> texts = {
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    };
    MessageMemo<Request> memo;
    Prng random{4};
    unsigned known = 0;
    for (int round = 0; round < 20'000; ++round) {
        std::string text = texts[static_cast<size_t>(random.below(texts.size()))];
        if (random.below(4) == 0) {
            text[static_cast<size_t>(random.below(text.size()))] = "GHx1 \r\n:"[random.below(8)];
        }
        const std::optional<Request> slow = whole_request(text);
        if (const Request* fast = memo.find(bytes_of(text))) {
            ++known;
            ASSERT_TRUE(slow.has_value()) << text;
            ASSERT_EQ(fast->method, slow->method) << text;
            ASSERT_EQ(fast->keep_alive, slow->keep_alive) << text;
        } else if (slow) {
            memo.remember(bytes_of(text), *slow);
        }
    }
    EXPECT_GT(known, 1000u);
}

}  // namespace
}  // namespace synfin::http
