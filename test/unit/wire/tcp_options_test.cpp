#include <optional>

#include <gtest/gtest.h>

#include <synfin/wire/tcp_options.hpp>

#include "frames.hpp"

namespace synfin::wire {
namespace {

using test::Bytes;

std::optional<TcpOptions> parse(const Bytes& bytes) {
    // In memory that ends with the options, so that a sanitizer sees a read beyond.
    const auto exact = std::make_unique<uint8_t[]>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), exact.get());
    TcpOptions options;
    if (!parse_tcp_options({exact.get(), bytes.size()}, options)) return std::nullopt;
    return options;
}

bool is_refused(const Bytes& bytes) { return !parse(bytes).has_value(); }

TEST(TcpOptionsParser, AbsentOptionsKeepTheirDefaults) {
    const auto options = parse({});
    ASSERT_TRUE(options);
    EXPECT_FALSE(options->has_mss || options->has_window_scale || options->has_timestamps ||
                 options->sack_permitted);
    EXPECT_EQ(options->sack_count, 0);
}

TEST(TcpOptionsParser, Must4_EachKnownOptionIsRead) {
    EXPECT_EQ(parse({2, 4, 0x05, 0xb4})->mss, 1460);
    EXPECT_TRUE(parse({2, 4, 0x05, 0xb4})->has_mss);
    EXPECT_EQ(parse({1, 3, 3, 7})->window_scale, 7);
    EXPECT_TRUE(parse({1, 3, 3, 7})->has_window_scale);
    EXPECT_TRUE(parse({4, 2, 1, 1})->sack_permitted);
    const auto timestamps = parse({8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1});
    EXPECT_TRUE(timestamps->has_timestamps);
    EXPECT_EQ(timestamps->ts_value, 0x01020304u);
    EXPECT_EQ(timestamps->ts_echo, 0x05060708u);
    const auto sack = parse({1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xff, 0, 0, 4});
    ASSERT_EQ(sack->sack_count, 2);
    EXPECT_EQ(sack->sack[0], (SackBlock{1, 2}));
    EXPECT_EQ(sack->sack[1], (SackBlock{3, 0xff000004}));
}

TEST(TcpOptionsParser, Rfc7413_FastOpenIsReadAndIllegalLengthsAreIgnored) {
    const auto request = parse({34, 2, 1, 1});
    EXPECT_TRUE(request->has_fast_open);
    EXPECT_EQ(request->fast_open_bytes, 0);
    const auto cookie = parse({1, 1, 34, 6, 9, 8, 7, 6});
    EXPECT_TRUE(cookie->has_fast_open);
    ASSERT_EQ(cookie->fast_open_bytes, 4);
    EXPECT_EQ(cookie->fast_open_cookie[0], 9);
    EXPECT_EQ(cookie->fast_open_cookie[3], 6);
    for (const uint8_t length : {uint8_t{3}, uint8_t{4}, uint8_t{5}, uint8_t{7}, uint8_t{20}}) {
        Bytes bytes(20, 1);
        bytes[0] = 34;
        bytes[1] = length;
        const auto options = parse(bytes);
        ASSERT_TRUE(options) << int{length};
        EXPECT_FALSE(options->has_fast_open) << int{length};
    }
}

TEST(TcpOptions, Rfc5482_UserTimeoutIsReadAndWrittenAndHasOneLength) {
    const std::vector<uint8_t> bytes{28, 4, 0x80, 10};
    const auto read = parse(bytes);
    ASSERT_TRUE(read);
    EXPECT_TRUE(read->has_user_timeout);
    EXPECT_EQ(read->user_timeout, 0x800a);
    EXPECT_FALSE(parse({28, 3, 0}));
    uint8_t written[40] = {};
    EXPECT_EQ(write_tcp_options(written, *read).length, 4u);
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), written));
}

TEST(TcpOptionsWriter, Rfc7413_FastOpenIsReadAsItWasWritten) {
    for (const uint8_t length : std::initializer_list<uint8_t>{0, 4, 6, 8, 10, 12, 14, 16}) {
        TcpOptions options;
        options.has_mss = options.has_timestamps = options.sack_permitted = true;
        options.has_window_scale = options.has_fast_open = true;
        options.mss = 1460;
        options.fast_open_bytes = length;
        for (uint8_t i = 0; i < length; ++i) {
            options.fast_open_cookie[i] = static_cast<uint8_t>(100 + i);
        }
        Bytes bytes(tcp_options_length(options));
        EXPECT_LE(bytes.size(), tcp_options_bytes_max);
        const WrittenOptions written = write_tcp_options(bytes.data(), options);
        EXPECT_EQ(written.length, bytes.size());
        const auto read = parse(bytes);
        ASSERT_TRUE(read && read->has_fast_open) << int{length};
        EXPECT_EQ(read->window_scale, options.window_scale);
        ASSERT_EQ(read->fast_open_bytes, length);
        EXPECT_TRUE(std::equal(options.fast_open_cookie, options.fast_open_cookie + length,
                               read->fast_open_cookie));
    }
}

TEST(TcpOptionsParser, TheUsualLayoutOfTimestampsIsReadAsAnyOther) {
    const auto options = parse({1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8});
    EXPECT_TRUE(options->has_timestamps);
    EXPECT_EQ(options->ts_value, 0x01020304u);
    EXPECT_EQ(options->ts_echo, 0x05060708u);
}

TEST(TcpOptionsParser, TimestampsAndMoreAreBothRead) {
    const auto options =
        parse({1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 5, 10, 0, 0, 0, 9, 0, 0, 0, 10});
    EXPECT_EQ(options->ts_value, 0x01020304u);
    ASSERT_EQ(options->sack_count, 1);
    EXPECT_EQ(options->sack[0], (SackBlock{9, 10}));
}

TEST(TcpOptionsParser, Must64_OptionsNeedNotBeginOnAWordBoundary) {
    const auto options = parse({1, 2, 4, 1, 2, 3, 3, 5});
    EXPECT_EQ(options->mss, 0x0102);
    EXPECT_EQ(options->window_scale, 5);
}

TEST(TcpOptionsParser, Must6_UnknownOptionsAreSkippedByTheirLength) {
    const auto options = parse({253, 6, 2, 4, 9, 9, 2, 4, 1, 2, 99, 2});
    EXPECT_EQ(options->mss, 0x0102);
}

TEST(TcpOptionsParser, Must4_NothingBehindEndIsRead) {
    const auto options = parse({0, 2, 4, 1});
    ASSERT_TRUE(options);
    EXPECT_FALSE(options->has_mss);
    EXPECT_FALSE(is_refused({3, 3, 2, 0, 2, 0, 0, 0}));
}

TEST(TcpOptionsParser, Must7_LengthZeroOrOneIsRefused) {
    for (const uint8_t kind : Bytes{2, 3, 4, 5, 8, 99, 255}) {
        EXPECT_TRUE(is_refused({kind, 0, 0, 0})) << int{kind};
        EXPECT_TRUE(is_refused({kind, 1, 0, 0})) << int{kind};
    }
}

TEST(TcpOptionsParser, Must7_LengthBeyondTheHeaderIsRefused) {
    EXPECT_TRUE(is_refused({99, 5, 0, 0}));
    EXPECT_TRUE(is_refused({1, 2, 4, 5}));
    EXPECT_TRUE(is_refused({8, 10, 0, 0}));
    EXPECT_TRUE(is_refused({1, 1, 1, 99}));  // the kind is the last byte
    EXPECT_TRUE(is_refused({1, 1, 99, 255}));
}

TEST(TcpOptionsParser, Must7_WrongLengthOfAKnownOptionIsRefused) {
    for (uint8_t length = 2; length <= 40; ++length) {
        for (const uint8_t kind : Bytes{2, 3, 4, 5, 8}) {
            Bytes bytes(40, 1);
            bytes[0] = kind;
            bytes[1] = length;
            const bool right =
                (kind == 2 && length == 4) || (kind == 3 && length == 3) ||
                (kind == 4 && length == 2) || (kind == 8 && length == 10) ||
                (kind == 5 && (length == 10 || length == 18 || length == 26 || length == 34));
            EXPECT_EQ(is_refused(bytes), !right) << int{kind} << ' ' << int{length};
        }
    }
}

TEST(TcpOptionsParser, ValuesAreReportedAsReceived) {
    EXPECT_EQ(parse({2, 4, 0, 0})->mss, 0);
    EXPECT_TRUE(parse({2, 4, 0, 0})->has_mss);
    EXPECT_EQ(parse({1, 3, 3, 15})->window_scale, 15);
    EXPECT_EQ(parse({1, 3, 3, 255})->window_scale, 255);
}

TEST(TcpOptionsParser, OfAnOptionThatComesTwiceTheLastCounts) {
    EXPECT_EQ(parse({2, 4, 0, 1, 2, 4, 0, 2})->mss, 2);
}

TEST(TcpOptionsParser, HeaderFullOfAnythingIsReadWithinItsBounds) {
    for (unsigned first = 0; first < 256; ++first) {
        for (unsigned second = 0; second < 256; ++second) {
            Bytes bytes(40);
            for (size_t i = 0; i < bytes.size(); ++i) {
                bytes[i] = static_cast<uint8_t>(i % 2 == 0 ? first : second);
            }
            parse(bytes);  // the sanitizers are the judges
        }
    }
}

/// All combinations of options with all counts of SACK blocks.
template <typename Visitor>
void for_each_combination(Visitor&& visit) {
    for (unsigned bits = 0; bits < 16; ++bits) {
        for (uint8_t blocks = 0; blocks <= TcpOptions::max_sack_blocks; ++blocks) {
            TcpOptions options;
            options.has_mss = (bits & 1) != 0;
            options.mss = options.has_mss ? 1460 : 0;
            options.has_window_scale = (bits & 2) != 0;
            options.window_scale = options.has_window_scale ? 7 : 0;
            options.has_timestamps = (bits & 4) != 0;
            options.ts_value = options.has_timestamps ? 0xdeadbeef : 0;
            options.ts_echo = options.has_timestamps ? 0x01020304 : 0;
            options.sack_permitted = (bits & 8) != 0;
            options.sack_count = blocks;
            for (uint32_t i = 0; i < blocks; ++i) options.sack[i] = {100 * i + 1, 100 * i + 51};
            visit(options);
        }
    }
}

TEST(TcpOptionsWriter, WhatIsWrittenIsReadForAllCombinations) {
    for_each_combination([](const TcpOptions& options) {
        Bytes out(60, 0xee);
        const WrittenOptions written = write_tcp_options(out.data(), options);
        ASSERT_EQ(written.length, tcp_options_length(options));
        ASSERT_LE(written.length, tcp_options_bytes_max);
        ASSERT_EQ(written.length % 4, 0u);
        ASSERT_EQ(out[written.length], 0xee);
        out.resize(written.length);
        ASSERT_EQ(network_order(finish(written.sum)), test::naive_checksum(out));
        const auto read = parse(out);
        ASSERT_TRUE(read);
        EXPECT_EQ(read->has_mss, options.has_mss);
        EXPECT_EQ(read->mss, options.mss);
        EXPECT_EQ(read->has_window_scale, options.has_window_scale);
        EXPECT_EQ(read->window_scale, options.window_scale);
        EXPECT_EQ(read->has_timestamps, options.has_timestamps);
        EXPECT_EQ(read->ts_value, options.ts_value);
        EXPECT_EQ(read->ts_echo, options.ts_echo);
        EXPECT_EQ(read->sack_permitted, options.sack_permitted);
        ASSERT_EQ(read->sack_count, sack_blocks_that_fit(options));
        for (size_t i = 0; i < read->sack_count; ++i) EXPECT_EQ(read->sack[i], options.sack[i]);
    });
}

TEST(TcpOptionsWriter, Must68_Must69_AllButNoOperationHasALengthAndNothingStandsBehindAnEnd) {
    for_each_combination([](const TcpOptions& options) {
        Bytes out(40);
        out.resize(write_tcp_options(out.data(), options).length);
        size_t at = 0;
        while (at < out.size()) {
            ASSERT_NE(out[at], tcp_option::end);
            if (out[at] == tcp_option::no_operation) {
                ++at;
                continue;
            }
            ASSERT_LT(at + 1, out.size());
            ASSERT_GE(out[at + 1], 2);
            at += out[at + 1];
        }
        ASSERT_EQ(at, out.size());
    });
}

TEST(TcpOptionsWriter, ThreeSackBlocksFitBesideTimestampsAndFourWithout) {
    TcpOptions options;
    options.sack_count = 4;
    EXPECT_EQ(sack_blocks_that_fit(options), 4);
    options.has_timestamps = true;
    EXPECT_EQ(sack_blocks_that_fit(options), 3);
}

TEST(TcpOptionsWriter, SynLooksAsLinuxWritesIt) {
    TcpOptions options;
    options.has_mss = options.sack_permitted = options.has_timestamps = true;
    options.has_window_scale = true;
    options.mss = 1460;
    options.ts_value = 0x00564a2a;
    options.window_scale = 0;
    Bytes out(20);
    ASSERT_EQ(write_tcp_options(out.data(), options).length, 20u);
    EXPECT_EQ(out, test::from_hex("020405b40402080a00564a2a0000000001030300"));
}

TEST(TcpOptionKinds, TellApartHowManySackBlocksThereAre) {
    TcpOptions options;
    options.has_timestamps = true;
    EXPECT_EQ(options.kinds(), TcpOptionKinds::timestamps_alone());
    options.sack_count = 1;
    EXPECT_FALSE(options.kinds() == TcpOptionKinds::timestamps_alone());
    options.clear();
    EXPECT_EQ(options.kinds(), TcpOptionKinds{});
}

}  // namespace
}  // namespace synfin::wire
