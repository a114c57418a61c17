// A path that takes less than the links at its ends, with and without a router that says so.
#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "fragment_frames.hpp"

namespace synfin::stack::test {
namespace {

bool may_be_divided(const Bytes& frame) {
    return is_ipv4_frame(frame) && (frame[link_bytes + 6] & 0x40) == 0;
}
uint16_t identification_of(const Bytes& frame) { return wire::load_be16(&frame[link_bytes + 4]); }

/// Two hosts with a router between them, which passes on what is not too large, or divides it.
class PathMtu : public ::testing::TestWithParam<Family> {
  protected:
    PathMtu() {
        EXPECT_TRUE(right.worker.listen({{}, 80}, service).has_value());
        user.when_writable = [this](Worker&, ConnectionId id) { feed(id); };
    }
    bool v4() const { return GetParam() == Family::ipv4; }
    uint32_t headers() const { return v4() ? 40 : 60; }

    ConnectionId connect() {
        const auto id = left.worker.connect({address_of(2, GetParam()), 80}, user);
        EXPECT_TRUE(id.has_value());
        settle();
        return id.value_or(ConnectionId{});
    }
    void send(ConnectionId id, size_t bytes) {
        to_send += bytes;
        feed(id);
        settle();
    }
    void feed(ConnectionId id) {
        const Bytes zeros(4096);
        while (to_send > 0) {
            const size_t taken =
                left.worker.send(id, std::span{zeros}.first(std::min(to_send, zeros.size())));
            if (taken == 0) return;
            to_send -= taken;
        }
    }
    size_t received() {
        return service.ids.empty() ? 0 : service.life(service.ids.back()).data.size();
    }

    void settle() {
        do {
            left.loop.run_once(left.now);
            right.loop.run_once(right.now);
            for (Bytes& frame : right.take_sent()) left.device.arriving.push_back(std::move(frame));
            for (Bytes& frame : left.take_sent()) {
                largest = std::max(largest, frame.size() - link_bytes);
                if (frame.size() <= path_mtu + link_bytes) {
                    right.device.arriving.push_back(std::move(frame));
                    continue;
                }
                if (may_be_divided(frame) && path_mtu >= 68) {
                    divide(frame);
                    continue;
                }
                ++refused;
                if (router_speaks) left.device.arriving.push_back(too_big(frame, path_mtu));
            }
        } while (!left.device.arriving.empty() || !right.device.arriving.empty() ||
                 left.worker.has_output() || right.worker.has_output());
    }
    void divide(const Bytes& frame) {
        identifications.push_back(identification_of(frame));
        const auto whole = static_cast<uint32_t>(divisible_bytes(frame));
        const uint32_t part = (path_mtu - 20) / 8 * 8;
        for (uint32_t from = 0; from < whole; from += part) {
            right.device.arriving.push_back(
                fragment_of(frame, from, std::min(from + part, whole), identification_of(frame)));
        }
    }
    void pass(Duration time) {
        const Instant end = left.now + time;
        while (left.now < end) {
            settle();
            Instant next = end;
            for (const Host* host : {&left, &right}) {
                const auto deadline = host->worker.next_deadline();
                if (deadline && *deadline < next) next = *deadline;
            }
            left.now = right.now = std::max(next, left.now);
        }
        settle();
    }
    const tcp::Counters& counters() const { return left.worker.tcp_counters(); }
    uint64_t ignored() const { return left.worker.stack_counters().too_big_ignored; }
    /// A connection with one full segment in flight, which is returned.
    Bytes full_segment(ConnectionId& id) {
        id = connect();
        to_send = 1400;
        feed(id);
        left.run();
        return left.take_one();
    }

    Host left{config_of(1, 2, GetParam())};
    Host right{config_of(2, 1, GetParam())};
    Recorder user;
    Recorder service;
    size_t to_send = 0;
    uint32_t path_mtu = 1500;
    bool router_speaks = true;
    size_t refused = 0;
    size_t largest = 0;                     ///< packet sent since it was last set to 0
    std::vector<uint16_t> identifications;  ///< of what was divided
};
INSTANTIATE_TEST_SUITE_P(Families, PathMtu, ::testing::Values(Family::ipv4, Family::ipv6),
                         [](const auto& p) { return name_of(p.param); });

TEST_P(PathMtu, Rfc1191_1_Rfc8201_1_RouterThatNamesItsSizeIsFollowedAtOnce) {
    path_mtu = 1400;
    const ConnectionId id = connect();
    send(id, 100'000);
    EXPECT_EQ(received(), 100'000u);
    EXPECT_EQ(left.worker.info(id).path_mtu, 1400u);
    EXPECT_EQ(left.worker.info(id).snd_mss, 1400 - headers());
    EXPECT_EQ(counters().path_reductions, 1u);
    largest = 0;
    send(id, 100'000);
    EXPECT_EQ(received(), 200'000u);
    EXPECT_EQ(largest, 1400u);
}

TEST_P(PathMtu, SegmentThatWasTooLargeIsNoSignOfCongestion) {
    const ConnectionId id = connect();
    send(id, 50'000);
    const tcp::Info before = left.worker.info(id);
    path_mtu = 1400;
    send(id, 50'000);
    pass(Duration::seconds(1));
    EXPECT_EQ(received(), 100'000u);
    EXPECT_EQ(left.worker.info(id).ssthresh, before.ssthresh);
    EXPECT_GE(left.worker.info(id).cwnd, before.cwnd);
    EXPECT_EQ(counters().timeouts, 0u);
    EXPECT_EQ(counters().fast_retransmits, 0u);
}

TEST_P(PathMtu, NextConnectionToTheSameDestinationBeginsSmallOrIsDivided) {
    for (const uint32_t size : {1400u, v4() ? 296u : 1280u}) {
        path_mtu = size;
        send(connect(), 20'000);
        refused = 0;
        send(connect(), 20'000);
        EXPECT_EQ(received(), 20'000u);
        EXPECT_EQ(refused, 0u);
    }
}

TEST_P(PathMtu, Rfc8899_1_LargeSegmentsThatVanishWithoutAWordMakeSmallerOnes) {
    path_mtu = 1300;
    router_speaks = false;
    const ConnectionId id = connect();
    send(id, 200'000);
    EXPECT_EQ(received(), 0u);
    pass(Duration::seconds(20));
    EXPECT_EQ(received(), 200'000u);
    EXPECT_EQ(counters().path_black_holes, 1u);
    EXPECT_LE(left.worker.info(id).path_mtu, 1300u);
}

TEST_P(PathMtu, Rfc8899_1_LargestSizeThatPassesABlackHoleIsFoundByProbes) {
    path_mtu = 1400;
    router_speaks = false;
    const ConnectionId id = connect();
    send(id, 100'000);
    pass(Duration::seconds(10));
    const uint64_t recoveries = counters().fast_retransmits;
    const uint64_t timeouts = counters().timeouts;
    for (int second = 0; second < 60; ++second) {
        send(id, 100'000);
        pass(Duration::seconds(1));
    }
    EXPECT_EQ(received(), 6'100'000u);
    EXPECT_GT(left.worker.info(id).path_mtu, 1400u - 16u);
    EXPECT_LE(left.worker.info(id).path_mtu, 1400u);
    EXPECT_GT(counters().path_probes_arrived, 0u);
    EXPECT_GT(counters().path_probes_lost, 0u);
    EXPECT_EQ(counters().fast_retransmits, recoveries);
    EXPECT_EQ(counters().timeouts, timeouts);
}

TEST_P(PathMtu, PathThatHasBecomeWideIsUsedAfterTenMinutes) {
    path_mtu = 1300;
    const ConnectionId id = connect();
    send(id, 50'000);
    path_mtu = 1500;
    for (int minute = 0; minute < 9; ++minute) {
        pass(Duration::seconds(60));
        send(id, 50'000);
        EXPECT_EQ(left.worker.info(id).path_mtu, 1300u);
    }
    pass(Duration::seconds(61));
    send(id, 50'000);
    EXPECT_EQ(left.worker.info(id).path_mtu, 1500u);
    EXPECT_EQ(counters().path_probes_arrived, 1u);
}

TEST_P(PathMtu, DestinationWithoutAnAnswerIsGivenUpAsEver) {
    router_speaks = false;
    const ConnectionId id = connect();
    path_mtu = 0;
    send(id, 10'000);
    pass(Duration::seconds(1200));
    EXPECT_EQ(user.life(id).reason, tcp::CloseReason::timed_out);
}

TEST_P(PathMtu, Rfc5927_1_MessageAboutWhatIsNotInFlightIsIgnored) {
    ConnectionId id;
    Bytes segment = full_segment(id);
    const size_t seq_at = link_bytes + (v4() ? 20 : 40) + 4;
    segment[seq_at] = static_cast<uint8_t>(segment[seq_at] + 1);
    left.run(too_big(segment, 1300));
    EXPECT_EQ(ignored(), 1u);
    EXPECT_EQ(left.worker.info(id).path_mtu, 1500u);
}

TEST_P(PathMtu, Rfc5927_1_MessageThatNamesALargerSizeThanThePacketsIsIgnored) {
    ConnectionId id;
    const Bytes segment = full_segment(id);
    left.run(too_big(segment, 1500));
    EXPECT_EQ(ignored(), 1u);
    EXPECT_EQ(left.worker.info(id).path_mtu, 1500u);
}

TEST_P(PathMtu, MessageAboutAnEchoReplyMakesNoSegmentSmaller) {
    const ConnectionId id = connect();
    const Bytes data(1400);
    const Bytes reply =
        v4() ? icmp_frame(1, address_of(2),
                          [&](uint8_t* out) {
                              return wire::write_icmp4_echo(out, wire::Icmp4Type::echo_reply, 7, 1,
                                                            data);
                          })
             : icmp6_frame({.from_host = 1,
                            .from = address_of(1, GetParam()),
                            .to = address_of(2, GetParam())},
                           [&](uint8_t* out, const IpAddress& from, const IpAddress& to) {
                               return wire::write_icmp6_echo(out, wire::Icmp6Type::echo_reply, 7, 1,
                                                             data, from, to);
                           });
    left.run(too_big(reply, 1300));
    send(id, 20'000);
    send(connect(), 20'000);
    EXPECT_EQ(left.worker.info(id).path_mtu, 1500u);
    EXPECT_EQ(largest, 1500u);
    EXPECT_EQ(ignored(), 0u);
}

TEST_P(PathMtu, MessageAboutNoConnectionOfOursIsIgnored) {
    ConnectionId id;
    Bytes segment = full_segment(id);
    const size_t port_at = link_bytes + (v4() ? 20 : 40) + 3;
    segment[port_at] = static_cast<uint8_t>(segment[port_at] + 1);
    left.run(too_big(segment, 1300));
    EXPECT_EQ(left.worker.stack_counters().icmp_errors_ignored, 1u);
}

TEST_P(PathMtu, NoWordOfARouterMakesSegmentsSmallerThanAnyRealPath) {
    ConnectionId id;
    const Bytes segment = full_segment(id);
    left.run(too_big(segment, 68));
    EXPECT_EQ(left.worker.info(id).path_mtu, v4() ? 552u : 1500u);
    EXPECT_EQ(ignored(), v4() ? 0u : 1u);
}

TEST_P(PathMtu, RouterCannotMakeSegmentsLarger) {
    ConnectionId id;
    const Bytes segment = full_segment(id);
    left.run(too_big(segment, 1300));
    EXPECT_EQ(left.worker.info(id).path_mtu, 1300u);
    left.run(too_big(segment, 1350));
    EXPECT_EQ(left.worker.info(id).path_mtu, 1300u);
    EXPECT_EQ(ignored(), 1u);
}

/// A connection to `peer`, who offers this MSS.
ConnectionId connect_to(Host& host, const IpAddress& peer, uint16_t mss, Recorder& user) {
    host.take_sent();
    const auto id = host.worker.connect({peer, 80}, user);
    host.run();
    const Read syn{host.take_one()};
    HandMade answer{.from_mac = mac_of(2),
                    .from = peer,
                    .to = syn.packet.source,
                    .from_port = 80,
                    .to_port = syn.packet.source_port,
                    .seq = 1000,
                    .ack = syn.packet.seq + 1,
                    .flags = wire::flag::syn | wire::flag::ack};
    answer.options.has_mss = true;
    answer.options.mss = mss;
    host.run(segment_frame(answer));
    host.take_sent();
    return id.value_or(ConnectionId{});
}

TEST_P(PathMtu, OldestPathIsForgottenAndCountedWhenThereAreTooMany) {
    WorkerConfig config = config_of(1, GetParam());
    config.max_path_mtus = 1;
    for (const uint8_t peer : std::array<uint8_t, 2>{2, 3})
        config.interfaces[0].static_neighbors.push_back({address_of(peer, GetParam()), mac_of(2)});
    Host host{config};
    for (const uint8_t peer : std::array<uint8_t, 2>{2, 3}) {
        const ConnectionId id = connect_to(host, address_of(peer, GetParam()), 1400, user);
        host.worker.send(id, Bytes(1400));
        host.run();
        host.run(too_big(host.take_one(), 1300));
        EXPECT_EQ(host.worker.info(id).path_mtu, 1300u);
    }
    EXPECT_EQ(host.worker.stack_counters().path_evictions, 1u);
}

// ---- IPv4 paths that take less than the smallest packets that we make

using PathMtuIpv4 = PathMtu;
INSTANTIATE_TEST_SUITE_P(Family, PathMtuIpv4, ::testing::Values(Family::ipv4),
                         [](const auto& p) { return name_of(p.param); });

TEST_P(PathMtuIpv4, Rfc1191_1_WhatAPathBelowTheSmallestPacketTakesIsDividedByItsRouters) {
    path_mtu = 68;
    const ConnectionId id = connect();
    send(id, 100'000);
    pass(Duration::seconds(1));
    EXPECT_EQ(received(), 100'000u);
    EXPECT_EQ(counters().path_reductions, 1u);
    EXPECT_EQ(counters().timeouts, 0u);
    largest = refused = 0;
    send(id, 100'000);
    EXPECT_EQ(received(), 200'000u);
    EXPECT_EQ(largest, 552u);
    EXPECT_EQ(refused, 0u);
}

TEST_P(PathMtuIpv4, Rfc1191_1_SilentPathBelowTheSmallestPacketIsPassedToo) {
    path_mtu = 296;
    router_speaks = false;
    send(connect(), 100'000);
    pass(Duration::seconds(30));
    EXPECT_EQ(received(), 100'000u);
}

TEST_P(PathMtuIpv4, Rfc6864_1_IdentificationsOfWhatMayBeDividedDoNotRepeat) {
    path_mtu = 296;
    const ConnectionId id = connect();
    send(id, 200'000);
    const ConnectionId other = connect();
    send(other, 200'000);
    const std::set<uint16_t> different(identifications.begin(), identifications.end());
    EXPECT_GT(identifications.size(), 2 * 200'000u / 512);
    EXPECT_EQ(different.size(), identifications.size());
}

TEST_P(PathMtuIpv4, ProbeForMoreIsNeverDivided) {
    path_mtu = 296;
    const ConnectionId id = connect();
    send(id, 50'000);
    pass(Duration::seconds(601));
    refused = 0;
    path_mtu = 1000;
    send(id, 50'000);
    pass(Duration::seconds(1));
    EXPECT_EQ(received(), 100'000u);
    EXPECT_EQ(refused, 1u);
    path_mtu = 1500;
    pass(Duration::seconds(601));
    send(id, 50'000);
    EXPECT_EQ(left.worker.info(id).path_mtu, 1500u);
}

TEST_P(PathMtuIpv4, Rfc1191_1_PathBelowTheSegmentsOfAPeerWhoTakesLittleIsDividedToo) {
    Host host{config_of(1, 2)};
    const ConnectionId id = connect_to(host, address_of(2), 400, user);
    host.worker.send(id, Bytes(400));
    host.run();
    const Bytes segment = host.take_one();
    EXPECT_FALSE(may_be_divided(segment));
    host.run(too_big(segment, 296));
    const Bytes again = host.take_one();
    EXPECT_EQ(again.size(), segment.size());
    EXPECT_TRUE(may_be_divided(again));
    EXPECT_EQ(Read{again}.packet.kind, wire::PacketKind::tcp) << "the header checksum is wrong";
}

TEST_P(PathMtuIpv4, NothingIsDividedOverAPathThatTakesTheSmallestPacket) {
    path_mtu = 1400;
    send(connect(), 20'000);
    path_mtu = 552 - 1;
    const ConnectionId id = connect();
    to_send = 512;
    feed(id);
    left.run();
    EXPECT_FALSE(may_be_divided(left.take_one()));
}

TEST(PathMtuPlateaus, Rfc1191_1_RouterThatNamesNoSizeMeansTheNextUsualOne) {
    EXPECT_EQ(wire::plateau_below(1500), 1492u);
    EXPECT_EQ(wire::plateau_below(1492), 1006u);
    EXPECT_EQ(wire::plateau_below(65535), 32000u);
    EXPECT_EQ(wire::plateau_below(68), 68u);
}

TEST(PathMtuConfig, NoRoomForAnyPathIsRefusedWithASentence) {
    WorkerConfig config = config_of(1);
    config.max_path_mtus = 0;
    EXPECT_THROW(Host{config}, std::invalid_argument);
}

}  // namespace
}  // namespace synfin::stack::test
