#include <gtest/gtest.h>

#include <synfin/wire/icmp4.hpp>
#include <synfin/wire/icmp6.hpp>
#include <synfin/wire/quoted.hpp>

#include "frames.hpp"

namespace synfin::wire {
namespace {

using namespace test;

const IpAddress host = *parse_ip_address("2001:db8::1");
const IpAddress peer = *parse_ip_address("2001:db8::2");
const MacAddress mac{{0x02, 0, 0, 0, 0, 9}};

Bytes icmp4(Bytes message) {
    put16(message, 2, 0);
    put16(message, 2, naive_checksum(message));
    return message;
}

/// An IPv6 frame from peer to host with the checksum of `message` made right.
Bytes icmp6_frame(Bytes message, const IpAddress& source = peer,
                  const IpAddress& destination = host, uint8_t hop_limit = 255) {
    put16(message, 2, 0);
    Bytes frame = ipv6_frame(58, message);
    frame[ip_at + 7] = hop_limit;
    store_ipv6(&frame[ip_at + 8], source);
    store_ipv6(&frame[ip_at + 24], destination);
    put16(frame, ip_at + 42, transport_checksum(frame, ip_at, 40, frame.size()));
    return frame;
}

Icmp6View icmp6_of(const Parsed& parsed) {
    EXPECT_EQ(parsed.returned, PacketKind::icmp6);
    return *Icmp6View::checked(parsed.packet.payload, parsed.packet.source,
                               parsed.packet.destination, parsed.packet.hop_limit);
}

/// A solicitation for `host` with a source link-layer address, as RFC 4861 section 4.3 draws it.
Bytes solicitation() {
    return from_hex("8700000000000000") + from_hex("20010db8000000000000000000000001") +
           from_hex("0101020000000009");
}

TEST(ParseIcmp4, EchoRequestIsRead) {
    const Parsed parsed{ipv4_frame(1, icmp4({8, 0, 0, 0, 0x12, 0x34, 0, 7, 'd', 'a', 't'}))};
    ASSERT_EQ(parsed.returned, PacketKind::icmp4);
    const auto message = Icmp4View::checked(parsed.packet.payload);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->type(), Icmp4Type::echo_request);
    EXPECT_FALSE(message->is_error());
    EXPECT_EQ(message->identifier(), 0x1234);
    EXPECT_EQ(message->sequence(), 7);
    EXPECT_EQ(message->echo_data().size(), 3u);
}

TEST(ParseIcmp4, MessageShorterThanItsHeaderIsDropped) {
    for (size_t length = 4; length < 8; ++length) {
        EXPECT_EQ(drop_of(ipv4_frame(1, icmp4(Bytes(length, 8)))), Drop::icmp_too_short);
    }
    EXPECT_EQ(drop_of(ipv4_frame(1, {})), Drop::icmp_too_short);
}

TEST(ParseIcmp4, WrongChecksumIsDropped) {
    Bytes message = icmp4({8, 0, 0, 0, 0, 1, 0, 1, 5});
    message[8] ^= 0x10;
    EXPECT_EQ(drop_of(ipv4_frame(1, message)), Drop::icmp_bad_checksum);
    EXPECT_EQ(drop_of(ipv4_frame(1, Bytes(8))), Drop::icmp_bad_checksum);  // all zero
}

TEST(ParseIcmp4, ErrorsAreToldFromQueries) {
    for (const uint8_t type : Bytes{3, 4, 5, 11, 12}) {
        const Bytes message = icmp4({type, 0, 0, 0, 0, 0, 0, 0});
        EXPECT_TRUE(Icmp4View::checked(message)->is_error()) << int{type};
    }
    for (const uint8_t type : Bytes{0, 8, 13, 14, 42, 255}) {
        const Bytes message = icmp4({type, 0, 0, 0, 0, 0, 0, 0});
        EXPECT_FALSE(Icmp4View::checked(message)->is_error()) << int{type};
    }
}

TEST(ParseIcmp4, FragmentationNeededTellsTheMtuAndTheSegment) {
    const Bytes quoted = ipv4_tcp();
    const Bytes message = icmp4(Bytes{3, 4, 0, 0, 0, 0, 0x05, 0x78} +
                                Bytes(quoted.begin() + 14, quoted.begin() + 14 + 28));
    const Parsed parsed{ipv4_frame(1, message)};
    ASSERT_EQ(parsed.returned, PacketKind::icmp4);
    const auto view = Icmp4View::checked(parsed.packet.payload);
    EXPECT_EQ(view->code(), icmp4_code::fragmentation_needed);
    EXPECT_EQ(view->next_hop_mtu(), 1400);
    const auto tcp = read_quoted_tcp(view->quoted());
    ASSERT_TRUE(tcp);
    EXPECT_EQ(tcp->source, IpAddress::v4(198, 18, 0, 2));
    EXPECT_EQ(tcp->destination, IpAddress::v4(198, 18, 0, 1));
    EXPECT_EQ(tcp->source_port, 40000);
    EXPECT_EQ(tcp->destination_port, 80);
    EXPECT_EQ(tcp->seq, 0x11223344u);
}

TEST(ParseIcmp4, ParameterProblemPointsAtAnOctet) {
    const Bytes message = icmp4({12, 0, 0, 0, 20, 0, 0, 0});
    const auto view = Icmp4View::checked(message);
    EXPECT_EQ(view->type(), Icmp4Type::parameter_problem);
    EXPECT_EQ(view->pointer(), 20);
}

TEST(WriteIcmp4, EchoReplyHasARightChecksumAndTheSameData) {
    const Bytes data{'p', 'i', 'n', 'g', '!'};
    Bytes out(13);
    ASSERT_EQ(write_icmp4_echo(out.data(), Icmp4Type::echo_reply, 0xbeef, 3, data), 13u);
    EXPECT_EQ(naive_checksum(out), 0);
    const auto view = Icmp4View::checked(out);
    ASSERT_TRUE(view);
    EXPECT_EQ(view->type(), Icmp4Type::echo_reply);
    EXPECT_EQ(view->identifier(), 0xbeef);
    EXPECT_EQ(view->sequence(), 3);
    EXPECT_TRUE(std::equal(data.begin(), data.end(), view->echo_data().begin()));
}

TEST(WriteIcmp4, ErrorQuotesNoMoreThanItsLimit) {
    const Bytes datagram(1400, 0x45);
    Bytes out(1500);
    const size_t length = write_icmp4_error(out.data(), Icmp4Type::destination_unreachable,
                                            icmp4_code::port_unreachable, 0, datagram);
    EXPECT_EQ(length, 8 + icmp4_quote_bytes_max);
    out.resize(length);
    EXPECT_EQ(naive_checksum(out), 0);
    EXPECT_EQ(Icmp4View::checked(out)->code(), icmp4_code::port_unreachable);
}

TEST(Quoted, WhatIsNoFirstPieceOfTcpIsNotRead) {
    const Bytes frame = ipv4_tcp();
    const Bytes good(frame.begin() + 14, frame.end());
    ASSERT_TRUE(read_quoted_tcp(good));
    for (size_t length = 0; length < 28; ++length) {
        EXPECT_FALSE(read_quoted_tcp(std::span{good}.first(length))) << length;
    }
    const auto changed = [&](size_t at, uint8_t value) {
        Bytes bytes = good;
        bytes[at] = value;
        return bytes;
    };
    EXPECT_FALSE(read_quoted_tcp(changed(9, 17)));    // UDP
    EXPECT_FALSE(read_quoted_tcp(changed(7, 1)));     // a later fragment
    EXPECT_TRUE(read_quoted_tcp(changed(6, 0x20)));   // the first fragment
    EXPECT_FALSE(read_quoted_tcp(changed(0, 0x44)));  // header of 16 bytes
    EXPECT_FALSE(read_quoted_tcp(changed(0, 0x4f)));  // header beyond the quotation
    EXPECT_FALSE(read_quoted_tcp(changed(0, 0x55)));  // version 5
}

TEST(Quoted, OptionsOfTheQuotedHeaderAreSkipped) {
    const Bytes frame = ipv4_frame(6, tcp_segment(), Bytes(12, 1));
    EXPECT_EQ(read_quoted_tcp(std::span{frame}.subspan(14))->seq, 0x11223344u);
}

TEST(Quoted, Ipv6IsReadFromTheFixedHeader) {
    const Bytes frame = ipv6_tcp();
    const auto tcp = read_quoted_tcp(std::span{frame}.subspan(14, 48));
    ASSERT_TRUE(tcp);
    EXPECT_EQ(tcp->source, peer);
    EXPECT_EQ(tcp->destination, host);
    EXPECT_EQ(tcp->destination_port, 80);
    EXPECT_EQ(tcp->seq, 0x11223344u);
    EXPECT_FALSE(read_quoted_tcp(std::span{frame}.subspan(14, 47)));
    const Bytes extended = ipv6_tcp({}, {}, {6, 0, 1, 4, 0, 0, 0, 0}, 60);
    EXPECT_FALSE(read_quoted_tcp(std::span{extended}.subspan(14)));
}

TEST(Quoted, EchoReplyIsReadAndNothingElseOfItsFamily) {
    const auto quoted = [](const Bytes& frame) {
        return read_quoted_echo_reply(std::span{frame}.subspan(14));
    };
    const Bytes reply4{0, 0, 0, 0, 0, 7, 0, 1};
    const Bytes reply6{129, 0, 0, 0, 0, 7, 0, 1};
    const auto v4 = quoted(ipv4_frame(1, reply4));
    ASSERT_TRUE(v4);
    EXPECT_EQ(v4->packet_bytes, 28u);
    const auto v6 = quoted(ipv6_frame(58, reply6));
    ASSERT_TRUE(v6);
    EXPECT_EQ(v6->source, peer);
    EXPECT_EQ(v6->destination, host);
    EXPECT_EQ(v6->packet_bytes, 48u);
    EXPECT_FALSE(quoted(ipv4_frame(1, reply6)));
    EXPECT_FALSE(quoted(ipv6_frame(58, reply4)));
    EXPECT_FALSE(quoted(ipv4_frame(58, reply6)));
    EXPECT_FALSE(quoted(ipv4_frame(1, {8, 0, 0, 0, 0, 7, 0, 1})));
    EXPECT_FALSE(quoted(ipv4_tcp()));
    EXPECT_FALSE(read_quoted_echo_reply({}));
}

TEST(ParseIcmp6, EchoRequestIsRead) {
    const Parsed parsed{icmp6_frame({128, 0, 0, 0, 0xaa, 0xbb, 0, 2, 'x'}, peer, host, 64)};
    const Icmp6View message = icmp6_of(parsed);
    EXPECT_EQ(message.type(), Icmp6Type::echo_request);
    EXPECT_EQ(message.identifier(), 0xaabb);
    EXPECT_EQ(message.sequence(), 2);
    EXPECT_EQ(message.echo_data().size(), 1u);
    EXPECT_FALSE(message.is_error());
}

TEST(ParseIcmp6, PacketTooBigTellsTheMtuAndTheSegment) {
    const Bytes quoted = ipv6_tcp();
    const Parsed parsed{
        icmp6_frame(from_hex("0200000000000514") + Bytes(quoted.begin() + 14, quoted.end()))};
    const Icmp6View message = icmp6_of(parsed);
    EXPECT_TRUE(message.is_error());
    EXPECT_EQ(message.mtu(), 1300u);
    EXPECT_EQ(read_quoted_tcp(message.quoted())->seq, 0x11223344u);
}

TEST(ParseIcmp6, MessageShorterThanItsHeaderIsDropped) {
    EXPECT_EQ(drop_of(icmp6_frame(Bytes(7, 128))), Drop::icmp_too_short);
}

TEST(ParseIcmp6, WrongChecksumIsDropped) {
    Bytes frame = icmp6_frame({128, 0, 0, 0, 0, 0, 0, 1});
    frame.back() ^= 1;
    EXPECT_EQ(drop_of(frame), Drop::icmp_bad_checksum);
}

TEST(ParseNeighborDiscovery, SolicitationIsRead) {
    const Parsed parsed{icmp6_frame(solicitation(), peer, solicited_node_address(host))};
    const Icmp6View message = icmp6_of(parsed);
    EXPECT_EQ(message.type(), Icmp6Type::neighbor_solicitation);
    EXPECT_EQ(message.target(), host);
    EXPECT_EQ(message.link_layer_address(), mac);
}

TEST(ParseNeighborDiscovery, HopLimitOtherThan255IsDropped) {
    EXPECT_EQ(drop_of(icmp6_frame(solicitation(), peer, host, 254)), Drop::nd_invalid);
}

TEST(ParseNeighborDiscovery, CodeOtherThanZeroIsDropped) {
    Bytes message = solicitation();
    message[1] = 1;
    EXPECT_EQ(drop_of(icmp6_frame(message)), Drop::nd_invalid);
}

TEST(ParseNeighborDiscovery, MessageThatEndsWithinTheTargetIsDropped) {
    Bytes message = solicitation();
    message.resize(23);
    EXPECT_EQ(drop_of(icmp6_frame(message)), Drop::icmp_too_short);
}

TEST(ParseNeighborDiscovery, MulticastTargetIsDropped) {
    Bytes message = solicitation();
    message[8] = 0xff;
    EXPECT_EQ(drop_of(icmp6_frame(message)), Drop::nd_invalid);
}

TEST(ParseNeighborDiscovery, OptionOfLengthZeroOrBeyondTheMessageIsDropped) {
    for (const uint8_t length : Bytes{0, 2, 255}) {
        Bytes message = solicitation();
        message[25] = length;
        EXPECT_EQ(drop_of(icmp6_frame(message)), Drop::nd_invalid) << int{length};
    }
    EXPECT_EQ(drop_of(icmp6_frame(solicitation() + Bytes{14, 1, 0})), Drop::nd_invalid);
}

TEST(ParseNeighborDiscovery, UnknownOptionIsSkipped) {
    const Bytes message = solicitation();
    const Bytes nonce = from_hex("0e02") + Bytes(14, 7);
    const Parsed parsed{icmp6_frame(Bytes(message.begin(), message.begin() + 24) + nonce +
                                    Bytes(message.begin() + 24, message.end()))};
    EXPECT_EQ(icmp6_of(parsed).link_layer_address(), mac);
}

TEST(ParseNeighborDiscovery, GroupAddressAsLinkLayerAddressIsDropped) {
    Bytes message = solicitation();
    message[26] = 0x03;
    EXPECT_EQ(drop_of(icmp6_frame(message)), Drop::nd_invalid);
}

TEST(ParseNeighborDiscovery, DuplicateAddressDetectionIsLetThroughOnlyAsRfc4861Says) {
    const IpAddress nobody = *parse_ip_address("::");
    Bytes bare = solicitation();
    bare.resize(24);
    EXPECT_EQ(drop_of(icmp6_frame(bare, nobody, solicited_node_address(host))), Drop::none);
    EXPECT_EQ(drop_of(icmp6_frame(bare, nobody, host)), Drop::nd_invalid);
    EXPECT_EQ(drop_of(icmp6_frame(solicitation(), nobody, solicited_node_address(host))),
              Drop::nd_invalid);
}

TEST(ParseNeighborDiscovery, SolicitedAdvertisementToAGroupIsDropped) {
    Bytes message = solicitation();
    message[0] = 136;
    message[4] = 0x40;
    EXPECT_EQ(drop_of(icmp6_frame(message, peer, host)), Drop::none);
    EXPECT_EQ(drop_of(icmp6_frame(message, peer, *parse_ip_address("ff02::1"))), Drop::nd_invalid);
}

TEST(ParseNeighborDiscovery, Rfc6980_MessageBehindAFragmentHeaderIsDropped) {
    const auto behind_a_fragment_header = [](const Bytes& message) {
        Bytes frame = icmp6_frame(message, peer, host);
        const Bytes atomic{58, 0, 0, 0, 0, 0, 0, 1};
        frame.insert(frame.begin() + ip_at + 40, atomic.begin(), atomic.end());
        frame[ip_at + 6] = 44;
        store_be16(&frame[ip_at + 4], static_cast<uint16_t>(atomic.size() + message.size()));
        return frame;
    };
    EXPECT_EQ(drop_of(behind_a_fragment_header(solicitation())), Drop::ip_fragment);
    const Bytes echo_request{128, 0, 0, 0, 0, 7, 0, 1};
    EXPECT_EQ(drop_of(behind_a_fragment_header(echo_request)), Drop::none);
}

TEST(WriteIcmp6, WhatIsWrittenIsRead) {
    const auto frame_of = [](std::span<const uint8_t> message, const IpAddress& destination) {
        Bytes frame = ipv6_frame(58, Bytes(message.begin(), message.end()));
        frame[ip_at + 7] = 255;
        store_ipv6(&frame[ip_at + 8], host);
        store_ipv6(&frame[ip_at + 24], destination);
        return frame;
    };
    Bytes out(1500);
    const std::span<const uint8_t> written{out};

    size_t length =
        write_icmp6_echo(out.data(), Icmp6Type::echo_reply, 1, 2, Bytes{9, 8, 7}, host, peer);
    const Parsed echo{frame_of(written.first(length), peer)};
    EXPECT_EQ(icmp6_of(echo).type(), Icmp6Type::echo_reply);
    EXPECT_EQ(icmp6_of(echo).identifier(), 1);
    EXPECT_EQ(icmp6_of(echo).echo_data().size(), 3u);

    length =
        write_icmp6_error(out.data(), Icmp6Type::parameter_problem, 1, 6, Bytes(1400), host, peer);
    EXPECT_EQ(length, 8 + icmp6_quote_bytes_max);
    const Parsed error{frame_of(written.first(length), peer)};
    EXPECT_EQ(icmp6_of(error).code(), 1);
    EXPECT_EQ(icmp6_of(error).pointer(), 6u);

    const IpAddress group = solicited_node_address(peer);
    length = write_neighbor_solicitation(out.data(), peer, mac, host, group);
    const Parsed asked{frame_of(written.first(length), group)};
    EXPECT_EQ(icmp6_of(asked).type(), Icmp6Type::neighbor_solicitation);
    EXPECT_EQ(icmp6_of(asked).target(), peer);
    EXPECT_EQ(icmp6_of(asked).link_layer_address(), mac);

    length = write_neighbor_advertisement(out.data(), host, mac, true, host, peer);
    const Parsed answered{frame_of(written.first(length), peer)};
    EXPECT_EQ(icmp6_of(answered).type(), Icmp6Type::neighbor_advertisement);
    EXPECT_EQ(icmp6_of(answered).target(), host);
    EXPECT_EQ(icmp6_of(answered).link_layer_address(), mac);
    EXPECT_TRUE(icmp6_of(answered).solicited());
    EXPECT_TRUE(icmp6_of(answered).overriding());
    EXPECT_FALSE(icmp6_of(answered).router());
}

TEST(Multicast, GroupsOfASolicitationFollowFromTheAddress) {
    const IpAddress group = solicited_node_address(*parse_ip_address("2001:db8::1:2aa:bbcc"));
    EXPECT_EQ(to_string(group), "ff02::1:ffaa:bbcc");
    EXPECT_EQ(to_string(multicast_mac(group)), "33:33:ff:aa:bb:cc");
}

}  // namespace
}  // namespace synfin::wire
