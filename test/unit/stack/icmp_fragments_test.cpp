// ICMP and ICMPv6 messages that come in fragments, and replies that leave in fragments.
#include <array>
#include <set>

#include <gtest/gtest.h>

#include <synfin/stack/reassembly.hpp>

#include "fragment_frames.hpp"

namespace synfin::stack::test {
namespace {

class IcmpFragments : public ::testing::TestWithParam<Family> {
  protected:
    bool v4() const { return GetParam() == Family::ipv4; }
    static Bytes data_of(size_t count) {
        Bytes data(count);
        for (size_t i = 0; i < count; ++i) data[i] = static_cast<uint8_t>(i % 251);
        return data;
    }
    Bytes echo_request(const Bytes& data, uint16_t sequence = 1) const {
        if (v4()) {
            return icmp_frame(9, address_of(1), [&](uint8_t* out) {
                return wire::write_icmp4_echo(out, wire::Icmp4Type::echo_request, 7, sequence,
                                              data);
            });
        }
        return icmp6_frame({}, [&](uint8_t* out, const IpAddress& from, const IpAddress& to) {
            return wire::write_icmp6_echo(out, wire::Icmp6Type::echo_request, 7, sequence, data,
                                          from, to);
        });
    }
    /// All fragments of `frame`, of at most `bytes` each, in one burst.
    void arrive_in_parts(const Bytes& frame, uint32_t bytes, uint32_t id) {
        const auto whole = static_cast<uint32_t>(divisible_bytes(frame));
        for (uint32_t from = 0; from < whole; from += bytes) {
            host.device.arriving.push_back(
                fragment_of(frame, from, std::min(from + bytes, whole), id));
        }
    }
    /// What a peer makes of the frames that were sent: the data of an echo reply.
    Bytes echoed(const std::vector<Bytes>& frames) const {
        Reassembly peer{1u << 20};
        Counters counted;
        for (const Bytes& frame : frames) {
            Read read{frame};
            if (read.packet.kind != wire::PacketKind::fragment) return {};
            const wire::Fragment part = wire::read_fragment(read.packet.network);
            const auto whole = peer.take(part, host.now, counted);
            if (whole.empty()) continue;
            const auto kind = wire::parse_whole(whole, part.identification, read.packet);
            if (kind != (v4() ? wire::PacketKind::icmp4 : wire::PacketKind::icmp6)) return {};
            const auto message = read.packet.payload;
            EXPECT_EQ(message[0], v4() ? 0 : 129);  // a reply
            return {message.begin() + 8, message.end()};
        }
        return {};
    }
    const Counters& counters() const { return host.worker.stack_counters(); }
    Host host{config_of(1, GetParam())};
};
INSTANTIATE_TEST_SUITE_P(Both, IcmpFragments, ::testing::Values(Family::ipv4, Family::ipv6),
                         [](const auto& family) { return name_of(family.param); });

TEST_P(IcmpFragments, Rfc1122_Icmp_1_EchoRequestInFragmentsIsAnsweredInFragments) {
    const Bytes data = data_of(3000);
    arrive_in_parts(echo_request(data), 1448, 0x1234);
    host.run();
    const std::vector<Bytes> sent = host.take_sent();
    EXPECT_EQ(sent.size(), 3u);
    for (const Bytes& frame : sent) {
        const Read read{frame};
        EXPECT_LE(read.packet.network.size(), v4() ? 1500u : 1280u);
        EXPECT_EQ(read.packet.destination, address_of(9, GetParam()));
        EXPECT_EQ(wire::read_fragment(read.packet.network).identification, 0x1234u);
    }
    EXPECT_EQ(echoed(sent), data);
    EXPECT_EQ(counters().echo_requests_in, 1u);
    EXPECT_EQ(counters().echo_replies_out, 1u);
}

TEST_P(IcmpFragments, EchoRequestLargerThanWeMaySendIsAnsweredInFragments) {
    const Bytes data = data_of(v4() ? 1500 - 28 + 1 : 1500 - 48 + 1);
    host.run(echo_request(data));
    const std::vector<Bytes> sent = host.take_sent();
    EXPECT_EQ(sent.size(), 2u);
    EXPECT_EQ(echoed(sent), data);
}

TEST_P(IcmpFragments, EchoRequestLargerThanWeMaySendIsAnsweredWithoutMemoryForReassembly) {
    WorkerConfig config = config_of(1, GetParam());
    config.max_reassembly_bytes = 0;
    Host forgetful{config};
    const Bytes data = data_of(1473);
    forgetful.run(echo_request(data));
    EXPECT_EQ(echoed(forgetful.take_sent()), data);
}

// ---- echo replies over a path that takes less than the link

TEST_P(IcmpFragments, Rfc8201_1_EchoReplyThatARouterRefusedIsDividedFromThenOn) {
    const Bytes data = data_of(1400);
    host.run(echo_request(data));
    const Bytes whole = host.take_one();
    host.run(too_big(whole, 1300));
    EXPECT_TRUE(host.take_sent().empty());
    host.run(echo_request(data));
    const std::vector<Bytes> sent = host.take_sent();
    EXPECT_EQ(sent.size(), 2u);
    for (const Bytes& part : sent) EXPECT_LE(part.size() - link_bytes, 1300u);
    EXPECT_EQ(echoed(sent), data);
    EXPECT_EQ(counters().icmp_errors_in, 1u);
    EXPECT_EQ(counters().too_big_ignored, 0u);
}

TEST_P(IcmpFragments, PartsOfDifferentEchoRepliesBearDifferentIdentifications) {
    const Bytes data = data_of(1400);
    host.run(echo_request(data));
    host.run(too_big(host.take_one(), 1300));
    std::set<uint32_t> identifications;
    for (const uint16_t sequence : std::array<uint16_t, 3>{1, 2, 3}) {
        host.run(echo_request(data, sequence));
        for (const Bytes& part : host.take_sent()) {
            const Read read{part};
            identifications.insert(wire::read_fragment(read.packet.network).identification);
        }
    }
    EXPECT_EQ(identifications.size(), 3u);
}

TEST_P(IcmpFragments, EchoReplyIsTriedAsAWholeAgainAfterTenMinutes) {
    const Bytes data = data_of(1400);
    host.run(echo_request(data));
    host.run(too_big(host.take_one(), 1300));
    host.now = host.now + Duration::seconds(599);
    host.run(echo_request(data));
    EXPECT_EQ(host.take_sent().size(), 2u);
    host.now = host.now + Duration::seconds(2);
    host.run(echo_request(data));
    EXPECT_EQ(host.take_sent().size(), 1u);
}

TEST_P(IcmpFragments, NothingImpossibleIsBelievedOfThePathOfAnEchoReply) {
    const Bytes data = data_of(1400);
    host.run(echo_request(data));
    const Bytes whole = host.take_one();
    Bytes of_another_source = whole;
    of_another_source[link_bytes + (v4() ? 15 : 23)] = 77;
    host.run(too_big(of_another_source, 1300));
    host.run(too_big(whole, 1500));
    if (!v4()) host.run(too_big(whole, 1279));
    EXPECT_EQ(counters().too_big_ignored, v4() ? 2u : 3u);
    host.run(echo_request(data));
    EXPECT_EQ(host.take_sent().size(), 1u);
}

TEST_P(IcmpFragments, LargestEchoRequestIsAnswered) {
    const Bytes data = data_of(v4() ? 65535 - 20 - 8 : 65535 - 8);
    arrive_in_parts(echo_request(data), 1480, 5);
    host.run();
    EXPECT_EQ(echoed(host.take_sent()), data);
}

TEST_P(IcmpFragments, ReplyForWhichThereIsNoRoomIsDroppedAsAWhole) {
    const Bytes data = data_of(60'000);
    arrive_in_parts(echo_request(data), 30'000, 1);
    arrive_in_parts(echo_request(data), 30'000, 2);
    host.run();
    EXPECT_EQ(echoed(host.take_sent()), data);
    EXPECT_EQ(counters().echo_replies_out, 1u);
    EXPECT_EQ(counters().replies_dropped, 1u);
}

TEST_P(IcmpFragments, WrongChecksumOfTheWholeIsDropped) {
    Bytes request = echo_request(data_of(3000));
    request.back() ^= 1;
    arrive_in_parts(request, 1448, 5);
    host.run();
    EXPECT_TRUE(host.take_sent().empty());
    EXPECT_EQ(host.worker.drop_counters().of(wire::Drop::icmp_bad_checksum), 1u);
}

TEST_P(IcmpFragments, ErrorInFragmentsIsTaken) {
    const Bytes about = segment_frame({.from = address_of(1, GetParam()),
                                       .to = address_of(9, GetParam()),
                                       .payload = std::string(500, 'x')});
    const std::span<const uint8_t> quoted = std::span{about}.subspan(link_bytes);
    const Bytes error =
        v4() ? icmp_frame(9, address_of(1),
                          [&](uint8_t* out) {
                              return wire::write_icmp4_error(
                                  out, wire::Icmp4Type::destination_unreachable, 1, 0, quoted);
                          })
             : icmp6_frame({}, [&](uint8_t* out, const IpAddress& from, const IpAddress& to) {
                   return wire::write_icmp6_error(out, wire::Icmp6Type::destination_unreachable, 0,
                                                  0, quoted, from, to);
               });
    arrive_in_parts(error, 256, 5);
    host.run();
    EXPECT_EQ(counters().icmp_errors_in, 1u);
}

TEST(IcmpFragments6, Rfc6980_NeighborDiscoveryInFragmentsIsDropped) {
    Host host{config_of(1, Family::ipv6)};
    const auto solicitation = [](uint8_t* out, const IpAddress& from, const IpAddress& to) {
        return wire::write_neighbor_solicitation(out, address_of(1, Family::ipv6), mac_of(9), from,
                                                 to);
    };
    const Bytes whole = icmp6_frame({}, solicitation);
    host.run(whole);
    EXPECT_EQ(host.take_sent().size(), 1u);
    host.run(fragment_of(whole, 0, 16));
    host.run(fragment_of(whole, 16, 32));
    EXPECT_TRUE(host.take_sent().empty());
    EXPECT_EQ(host.worker.drop_counters().of(wire::Drop::ip_fragment), 1u);
}

}  // namespace
}  // namespace synfin::stack::test
