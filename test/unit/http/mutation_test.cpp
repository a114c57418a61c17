// The fuzz entry, run over mutations of messages of every kind: short enough for every build, from
// a fixed seed so that a failure comes again.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <synfin/base/prng.hpp>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace synfin::http {
namespace {

const std::vector<std::string> messages = {
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, keep-alive\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbodyHTTP/1.1 204 N\r\n\r\n",
    "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: "
    "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "HTTP/1.0 200 OK\r\n\r\neverything until the end",
};

void mutate(std::string& text, Prng& random) {
    const size_t at = static_cast<size_t>(random.below(text.size()));
    switch (random.below(4)) {
        case 0: text[at] = static_cast<char>(random.below(256)); break;
        case 1: text.erase(at, static_cast<size_t>(random.below(8))); break;
        case 2: text.insert(at, text, static_cast<size_t>(random.below(text.size())), 12); break;
        default: text.insert(at, 1, "\r\n :,0a"[random.below(7)]); break;
    }
    if (text.empty()) text = "x";
}

TEST(HttpParsers, SayTheSameOfMutatedMessagesWhereverTheyAreCut) {
    Prng random{20};
    for (int round = 0; round < 50'000; ++round) {
        std::string text = messages[static_cast<size_t>(random.below(messages.size()))];
        for (uint64_t n = random.below(6); n > 0; --n) mutate(text, random);
        const auto piece_bytes = static_cast<uint8_t>(random.below(24));
        std::vector<uint8_t> input{piece_bytes};
        input.insert(input.end(), text.begin(), text.end());
        LLVMFuzzerTestOneInput(input.data(), input.size());
    }
}

}  // namespace
}  // namespace synfin::http
