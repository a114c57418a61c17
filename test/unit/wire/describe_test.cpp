#include <algorithm>

#include <gtest/gtest.h>

#include <synfin/wire/describe.hpp>
#include <synfin/wire/tcp.hpp>

#include "frames.hpp"

namespace synfin::wire {
namespace {

using namespace test;

// A handshake that was captured once, from the TCP header on.
const Bytes captured_syn =
    from_hex("83aa0050339637a200000000a00216d0841d0000020405b40402080a00564a2a0000000001030300");
const Bytes captured_syn_ack =
    from_hex("005083aa46493edd339637a3a01216a0c4c00000020405b40402080ad79b62b700564a2a01030302");
const Bytes captured_ack =
    from_hex("83aa0050339637a346493ede801016d0f34b00000101080a00564a36d79b62b7");

TEST(CapturedHandshake, IsExplained) {
    EXPECT_EQ(describe_tcp(captured_syn),
              "33706 > 80 [SYN] seq 865482658 win 5840 len 0 "
              "<mss 1460, sack ok, ts 5655082 0, wscale 0>");
    EXPECT_EQ(describe_tcp(captured_syn_ack),
              "80 > 33706 [SYN,ACK] seq 1179205341 ack 865482659 win 5792 len 0 "
              "<mss 1460, sack ok, ts 3617284791 5655082, wscale 2>");
    EXPECT_EQ(describe_tcp(captured_ack),
              "33706 > 80 [ACK] seq 865482659 ack 1179205342 win 5840 len 0 "
              "<ts 5655094 3617284791>");
}

/// Whether `second` answers or follows `first`: it acknowledges what `first` occupied.
bool comes_before(const TcpView& first, const TcpView& second) {
    return first.flags().syn() && second.flags().ack() && second.ack() == first.seq() + 1;
}

TEST(CapturedHandshake, IsPutInOrderFromAnyOrder) {
    const std::vector<Bytes> right{captured_syn, captured_syn_ack, captured_ack};
    std::vector<size_t> permutation{0, 1, 2};
    do {
        std::vector<Bytes> segments;
        for (const size_t i : permutation) segments.push_back(right[i]);
        // The first is the one that follows none; then each is followed by the one that answers it.
        for (size_t done = 0; done < segments.size(); ++done) {
            const auto next = std::find_if(
                segments.begin() + static_cast<long>(done), segments.end(), [&](const Bytes& s) {
                    const auto view = *TcpView::checked(s);
                    return done == 0 ? !view.flags().ack()
                                     : comes_before(*TcpView::checked(segments[done - 1]), view);
                });
            ASSERT_NE(next, segments.end());
            std::iter_swap(segments.begin() + static_cast<long>(done), next);
        }
        EXPECT_EQ(segments, right);
    } while (std::next_permutation(permutation.begin(), permutation.end()));
}

TEST(CapturedHandshake, ParsesToItsValues) {
    TcpOptions options;
    const auto syn = TcpView::checked(captured_syn);
    ASSERT_TRUE(syn);
    ASSERT_TRUE(parse_tcp_options(syn->options(), options));
    EXPECT_EQ(syn->source_port(), 33706);
    EXPECT_EQ(syn->destination_port(), 80);
    EXPECT_EQ(syn->flags(), flag::syn);
    EXPECT_EQ(syn->checksum(), 0x841d);
    EXPECT_EQ(options.mss, 1460);
    EXPECT_TRUE(options.sack_permitted);
    EXPECT_TRUE(options.has_window_scale);
    EXPECT_EQ(options.window_scale, 0);
    const uint32_t syn_timestamp = options.ts_value;

    const auto syn_ack = TcpView::checked(captured_syn_ack);
    ASSERT_TRUE(parse_tcp_options(syn_ack->options(), options));
    EXPECT_EQ(syn_ack->flags(), flag::syn | flag::ack);
    EXPECT_EQ(syn_ack->ack(), syn->seq() + 1);
    EXPECT_EQ(options.ts_echo, syn_timestamp);
    EXPECT_EQ(options.window_scale, 2);
    const uint32_t syn_ack_timestamp = options.ts_value;

    const auto ack = TcpView::checked(captured_ack);
    ASSERT_TRUE(parse_tcp_options(ack->options(), options));
    EXPECT_EQ(ack->flags(), flag::ack);
    EXPECT_EQ(ack->seq(), syn_ack->ack());
    EXPECT_EQ(ack->ack(), syn_ack->seq() + 1);
    EXPECT_EQ(options.ts_echo, syn_ack_timestamp);
    EXPECT_FALSE(options.has_mss);
    EXPECT_FALSE(options.has_window_scale);
}

TEST(Describe, UrgentPointerPayloadAndSackAreShown) {
    Bytes segment = tcp_segment({1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 9}, {1, 2, 3});
    segment[13] = 0xff;
    EXPECT_EQ(describe_tcp(segment),
              "40000 > 80 [SYN,FIN,RST,PSH,ACK,URG,ECE,CWR] seq 287454020 ack 1432778632 win 4660 "
              "urg 43981 len 3 <sack 1:9>");
}

TEST(Describe, SegmentWithoutFlagsOrOptionsIsDescribed) {
    Bytes segment = tcp_segment();
    segment[13] = 0;
    EXPECT_EQ(describe_tcp(segment), "40000 > 80 [] seq 287454020 win 4660 len 0");
}

TEST(Describe, WhatIsNoSegmentIsDescribedByTheReason) {
    EXPECT_EQ(describe_tcp(Bytes(19)), "not TCP: TCP segment shorter than 20 bytes");
    EXPECT_EQ(describe_tcp(Bytes(20)), "not TCP: TCP data offset below 5 or beyond the segment");
    EXPECT_EQ(describe_tcp(tcp_segment({2, 0, 0, 0})),
              "40000 > 80 [PSH,ACK] seq 287454020 ack 1432778632 win 4660 len 0 <bad options>");
}

}  // namespace
}  // namespace synfin::wire
