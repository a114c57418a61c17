// What we tell the sender of a packet that nobody here takes: RFC 1122 section 3.2.2, RFC 4443.
#include <gtest/gtest.h>

#include "stack_world.hpp"

namespace synfin::stack::test {
namespace {

constexpr uint8_t udp = wire::ip_protocol::udp;
constexpr uint8_t unknown_protocol = 253;  // for experiments (RFC 3692)

class Refusals : public ::testing::TestWithParam<Family> {
  protected:
    bool v4() const { return GetParam() == Family::ipv4; }
    Bytes datagram(uint8_t protocol, size_t payload_bytes = 32) const {
        const wire::IpFields ip{.source = address_of(9, GetParam()),
                                .destination = address_of(1, GetParam()),
                                .protocol = protocol};
        Bytes frame(14 + 40 + payload_bytes, 0x5a);
        size_t at = wire::write_l2_header(
            frame.data(),
            wire::make_l2_header(mac_of(1), mac_of(9),
                                 v4() ? wire::ethertype::ipv4 : wire::ethertype::ipv6));
        at += v4() ? wire::write_ipv4_header(frame.data() + at, ip, payload_bytes)
                   : wire::write_ipv6_header(frame.data() + at, ip, payload_bytes);
        frame.resize(at + payload_bytes);
        return frame;
    }
    struct Error {
        unsigned type = 0;
        unsigned code = 0;
        uint32_t pointer = 0;
        Bytes quoted;
        wire::IpAddress to;
        size_t packet_bytes = 0;
    };
    Error only_error() {
        const Read read{host.take_one()};
        Error e;
        e.to = read.packet.destination;
        e.packet_bytes = read.packet.network.size();
        const auto take = [&](const auto& view) {
            ASSERT_TRUE(view.has_value());
            e.type = static_cast<unsigned>(view->type());
            e.code = view->code();
            e.pointer = view->pointer();
            e.quoted = Bytes{view->quoted().begin(), view->quoted().end()};
        };
        if (v4()) {
            take(wire::Icmp4View::checked(read.packet.payload));
        } else {
            take(wire::Icmp6View::checked(read.packet.payload, read.packet.source,
                                          read.packet.destination, read.packet.hop_limit));
        }
        return e;
    }
    const Counters& counters() const { return host.worker.stack_counters(); }
    Host host{config_of(1, GetParam())};
};
INSTANTIATE_TEST_SUITE_P(Families, Refusals, ::testing::Values(Family::ipv4, Family::ipv6),
                         [](const auto& p) { return name_of(p.param); });

TEST_P(Refusals, Rfc1122_Icmp_1_DatagramIsAnsweredByPortUnreachable) {
    const Bytes sent = datagram(udp);
    host.run(sent);
    const Error e = only_error();
    EXPECT_EQ(e.type, v4() ? 3u : 1u);
    EXPECT_EQ(e.code, v4() ? 3u : 4u);
    EXPECT_EQ(e.to, address_of(9, GetParam()));
    EXPECT_EQ(e.quoted, (Bytes{sent.begin() + 14, sent.end()}));
    EXPECT_EQ(counters().icmp_errors_out, 1u);
    EXPECT_EQ(counters().drop_protocol, 1u);
}

TEST_P(Refusals, ProtocolThatNobodySpeaksIsNamedToItsSender) {
    host.run(datagram(unknown_protocol));
    const Error e = only_error();
    EXPECT_EQ(e.type, v4() ? 3u : 4u);
    EXPECT_EQ(e.code, v4() ? 2u : 1u);
    if (!v4()) {
        EXPECT_EQ(e.pointer, 6u);
    }
}

TEST_P(Refusals, Rfc4443_1_ErrorIsNoLongerThanAnyPathTakes) {
    host.run(datagram(udp, 1400));
    const Error e = only_error();
    EXPECT_EQ(e.packet_bytes, v4() ? 576u : 1280u);
}

TEST_P(Refusals, Rfc4443_1_ErrorsStopAtTheRateAndGoOnLater) {
    WorkerConfig config = config_of(1, GetParam());
    config.icmp_errors_per_second = 10;
    Host limited{config};
    for (int i = 0; i < 30; ++i) limited.run(datagram(udp));
    const size_t at_once = limited.take_sent().size();
    EXPECT_GE(at_once, 1u);
    EXPECT_LE(at_once, 2u);
    EXPECT_EQ(limited.worker.stack_counters().icmp_errors_limited, 30 - at_once);
    limited.now = limited.now + Duration::seconds(1);
    limited.run(datagram(udp));
    EXPECT_EQ(limited.take_sent().size(), 1u);
}

TEST_P(Refusals, Rfc1122_Ip_1_NothingIsSaidAboutWhatCameToAGroup) {
    Bytes frame = datagram(udp);
    std::fill_n(frame.begin(), 6, uint8_t{0xff});
    host.run(std::move(frame));
    EXPECT_TRUE(host.take_sent().empty());
}

TEST_P(Refusals, Rfc1122_Ip_1_NothingIsSaidAboutAnIcmpError) {
    const Bytes about = datagram(udp);
    const std::span<const uint8_t> quoted = std::span{about}.subspan(14);
    if (v4()) {
        host.run(icmp_frame(9, address_of(1), [&](uint8_t* out) {
            return wire::write_icmp4_error(out, wire::Icmp4Type::destination_unreachable, 2, 0,
                                           quoted);
        }));
    } else {
        host.run(icmp6_frame({}, [&](uint8_t* out, const IpAddress& from, const IpAddress& to) {
            return wire::write_icmp6_error(out, wire::Icmp6Type::parameter_problem, 1, 6, quoted,
                                           from, to);
        }));
    }
    EXPECT_TRUE(host.take_sent().empty());
    EXPECT_EQ(counters().icmp_errors_ignored, 1u);
}

// ---- what an IPv6 packet says wrongly, or so that it is not understood (RFC 8200)

class Ipv6Problems : public ::testing::Test {
  protected:
    static constexpr uint8_t hop_by_hop = wire::ipv6_extension::hop_by_hop;
    static constexpr uint8_t destination_options = wire::ipv6_extension::destination_options;
    static constexpr uint8_t routing = wire::ipv6_extension::routing;
    static constexpr uint8_t fragment = wire::ipv6_extension::fragment;

    static Bytes packet(uint8_t first_header, const Bytes& payload,
                        const IpAddress& to = address_of(1, Family::ipv6),
                        const IpAddress& from = address_of(9, Family::ipv6)) {
        Bytes frame(14 + 40 + payload.size());
        size_t at = wire::write_l2_header(
            frame.data(), wire::make_l2_header(mac_of(1), mac_of(9), wire::ethertype::ipv6));
        at += wire::write_ipv6_header(frame.data() + at,
                                      {.source = from, .destination = to, .protocol = first_header},
                                      payload.size());
        std::copy(payload.begin(), payload.end(), frame.begin() + static_cast<ptrdiff_t>(at));
        return frame;
    }
    /// An options header of 8 bytes with one option of this type, before `next`.
    static Bytes option(uint8_t type, uint8_t next) { return {next, 0, type, 4, 0, 0, 0, 0}; }

    struct Told {
        unsigned code = 0;
        uint32_t pointer = 0;
        bool operator==(const Told&) const = default;
    };
    /// The parameter problem that the packet is answered with; nothing if there is silence.
    std::optional<Told> told_about(const Bytes& frame) {
        host.run(frame);
        const std::vector<Bytes> sent = host.take_sent();
        if (sent.size() != 1) return std::nullopt;
        const Read read{sent[0]};
        const auto view = wire::Icmp6View::checked(read.packet.payload, read.packet.source,
                                                   read.packet.destination, read.packet.hop_limit);
        if (!view || view->type() != wire::Icmp6Type::parameter_problem) return std::nullopt;
        EXPECT_TRUE(std::equal(view->quoted().begin(), view->quoted().end(), frame.begin() + 14));
        return Told{view->code(), view->pointer()};
    }
    Host host{config_of(1, Family::ipv6)};
};

TEST_F(Ipv6Problems, PointerNamesTheLastExtensionHeader) {
    const Bytes padding{unknown_protocol, 0, 1, 4, 0, 0, 0, 0, 0x11, 0x22};
    EXPECT_EQ(told_about(packet(destination_options, padding)), (Told{1, 40}));
}

TEST_F(Ipv6Problems, Rfc8200_1_UnknownOptionIsSkippedRefusedOrNamedAsItsTopBitsSay) {
    for (const uint8_t header : {hop_by_hop, destination_options}) {
        // Skipped: what is named is the protocol that follows.
        EXPECT_EQ(told_about(packet(header, option(0x1e, unknown_protocol))), (Told{1, 40}));
        EXPECT_EQ(told_about(packet(header, option(0x5e, unknown_protocol))), std::nullopt);
        EXPECT_EQ(told_about(packet(header, option(0x9e, unknown_protocol))), (Told{2, 42}));
        EXPECT_EQ(told_about(packet(header, option(0xde, unknown_protocol))), (Told{2, 42}));
    }
    EXPECT_EQ(host.worker.drop_counters().of(wire::Drop::ip_unknown_option), 6u);
}

TEST_F(Ipv6Problems, Rfc8200_1_SegmentsLeftOfARouteAreNamed) {
    const Bytes route{wire::ip_protocol::tcp, 0, 0, 1, 0, 0, 0, 0};
    EXPECT_EQ(told_about(packet(routing, route)), (Told{0, 42}));
}

TEST_F(Ipv6Problems, Rfc8200_1_HopByHopOptionsBehindAnotherHeaderAreNamed) {
    Bytes headers = option(0, hop_by_hop);
    const Bytes second = option(0, wire::ip_protocol::tcp);
    headers.insert(headers.end(), second.begin(), second.end());
    EXPECT_EQ(told_about(packet(destination_options, headers)), (Told{1, 40}));
}

TEST_F(Ipv6Problems, Rfc8200_1_FragmentThatNoPacketCanBeMadeOfIsNamed) {
    const Bytes part_of_a_word{wire::ip_protocol::tcp, 0, 0, 1, 0, 0, 0, 9, 1, 2, 3};
    EXPECT_EQ(told_about(packet(fragment, part_of_a_word)), (Told{0, 4}));
    Bytes too_long{wire::ip_protocol::tcp, 0, 0xff, 0xf8, 0, 0, 0, 9};
    too_long.resize(8 + 64);
    EXPECT_EQ(told_about(packet(fragment, too_long)), (Told{0, 42}));
}

TEST_F(Ipv6Problems, Rfc4443_1_NothingIsSaidToOrAboutGroupsNorAboutErrors) {
    const Bytes refused = option(0x9e, unknown_protocol);
    const IpAddress group = IpAddress::v6(0xff02'0000'0000'0000, 1);
    EXPECT_EQ(told_about(packet(destination_options, refused, group)), std::nullopt);
    EXPECT_EQ(told_about(packet(destination_options, refused, address_of(1, Family::ipv6), group)),
              std::nullopt);
    EXPECT_EQ(told_about(packet(destination_options, refused, address_of(5, Family::ipv6))),
              std::nullopt);
    Bytes about_an_error = option(0x9e, wire::ip_protocol::icmp6);
    about_an_error.push_back(1);
    EXPECT_EQ(told_about(packet(destination_options, about_an_error)), std::nullopt);
    about_an_error.back() = 128;
    EXPECT_EQ(told_about(packet(destination_options, about_an_error)), (Told{2, 42}));
}

TEST_F(Ipv6Problems, Rfc4443_1_TheirRateIsLimited) {
    WorkerConfig config = config_of(1, Family::ipv6);
    config.icmp_errors_per_second = 10;
    Host limited{config};
    for (int i = 0; i < 30; ++i) {
        limited.run(packet(destination_options, option(0x9e, wire::ip_protocol::tcp)));
    }
    const size_t said = limited.take_sent().size();
    EXPECT_GE(said, 1u);
    EXPECT_LE(said, 2u);
    EXPECT_EQ(limited.worker.stack_counters().icmp_errors_limited, 30 - said);
}

}  // namespace
}  // namespace synfin::stack::test
