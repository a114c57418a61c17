// Attacks on what IPv6 needs below TCP, and on the size of the path: neighbor discovery (RFC 4861,
// RFC 6583) and ICMP (RFC 5927), each over the whole stack.
#include <vector>

#include <gtest/gtest.h>

#include <synfin/sim/oracle.hpp>
#include <synfin/sim/world.hpp>
#include <synfin/wire/ethernet.hpp>
#include <synfin/wire/icmp4.hpp>
#include <synfin/wire/icmp6.hpp>
#include <synfin/wire/ipv4.hpp>
#include <synfin/wire/ipv6.hpp>

namespace synfin::security {
namespace {

using namespace synfin::literals;
using Bytes = std::vector<uint8_t>;

constexpr wire::MacAddress attacker_mac{{2, 0, 0, 0, 0, 9}};
constexpr wire::MacAddress victim_mac{{2, 0, 0, 0, 0, 1}};

/// A client under attack, whose transfer to a server goes on meanwhile.
struct Scene {
    explicit Scene(sim::Family family)
        : v4{family == sim::Family::ipv4},
          victim{world.add_host(sim::World::simple_host(1, 4096, family))},
          server{world.add_host(sim::World::simple_host(2, 4096, family))},
          link{world.connect(victim, server, {.delay = 10_ms})},
          oracle{world} {
        oracle.serve(server, 80);
        link.set_tap([this](std::span<const uint8_t> frame) {
            if (frame[11] == 1 && frame.size() > 1000)
                last_large.assign(frame.begin(), frame.end());
            ++frames;
        });
    }
    void transfer(uint32_t bytes) {
        EXPECT_TRUE(oracle.open(victim, {server.address(), 80}, {.client_bytes = bytes}));
    }
    /// ICMP to the victim; the body is written for the addresses.
    template <typename Write>
    void say(Write&& write, const wire::IpAddress& from) {
        Bytes frame(1600);
        size_t at = wire::write_l2_header(
            frame.data(), wire::make_l2_header(victim_mac, attacker_mac,
                                               v4 ? wire::ethertype::ipv4 : wire::ethertype::ipv6));
        const size_t header = v4 ? 20 : 40;
        const size_t length = write(frame.data() + at + header);
        const wire::IpFields ip{.source = from,
                                .destination = victim.address(),
                                .protocol = v4 ? wire::ip_protocol::icmp : wire::ip_protocol::icmp6,
                                .hop_limit = 255};
        at += v4 ? wire::write_ipv4_header(frame.data() + at, ip, length)
                 : wire::write_ipv6_header(frame.data() + at, ip, length);
        frame.resize(at + length);
        link.inject(frame);
    }
    /// A forged message about the size of the last large packet, with `change` made to its quote.
    template <typename Change>
    void lie_about_size(uint32_t mtu, Change&& change) {
        Bytes quoted{last_large.begin() + 14, last_large.end()};
        change(quoted);
        say(
            [&](uint8_t* out) {
                return v4 ? wire::write_icmp4_error(out, wire::Icmp4Type::destination_unreachable,
                                                    wire::icmp4_code::fragmentation_needed, mtu,
                                                    quoted)
                          : wire::write_icmp6_error(out, wire::Icmp6Type::packet_too_big, 0, mtu,
                                                    quoted, server.address(), victim.address());
            },
            server.address());
    }
    size_t seq_at() const { return (v4 ? 20 : 40) + 4; }
    const stack::Counters& counters() const { return victim.worker().stack_counters(); }
    void judge_afterwards() {
        EXPECT_TRUE(world.run_while_busy(Duration::hours(1), [&] {
            return oracle.all_finished() && victim.worker().gauges().time_wait == 0 &&
                   server.worker().gauges().time_wait == 0;
        }));
        oracle.judge_end({&victim, &server});
        for (const auto& failure : oracle.failures()) ADD_FAILURE() << failure;
    }

    bool v4;
    sim::World world{1};
    sim::Host& victim;
    sim::Host& server;
    sim::Link& link;
    sim::Oracle oracle;
    Bytes last_large;
    uint64_t frames = 0;
};

class IcmpAttacks : public ::testing::TestWithParam<sim::Family> {};
INSTANTIATE_TEST_SUITE_P(Families, IcmpAttacks,
                         ::testing::Values(sim::Family::ipv4, sim::Family::ipv6),
                         [](const auto& p) {
                             return std::string{p.param == sim::Family::ipv4 ? "ipv4" : "ipv6"};
                         });

TEST_P(IcmpAttacks, Rfc5927_1_GuessedSequenceNumbersMakeNoSegmentSmaller) {
    Scene s{GetParam()};
    s.transfer(2'000'000);
    s.world.run_for(90_ms);
    for (unsigned i = 1; i <= 1000; ++i) {
        s.lie_about_size(s.v4 ? 68 : 1280, [&](Bytes& quoted) {
            quoted[s.seq_at()] = static_cast<uint8_t>(quoted[s.seq_at()] + 1 + i % 254);
        });
        s.world.run_for(10_us);
    }
    s.world.run_for(20_ms);
    EXPECT_EQ(s.victim.worker().tcp_counters().path_reductions.load(), 0u);
    EXPECT_EQ(s.counters().too_big_ignored.load(), 1000u);
    s.judge_afterwards();
}

TEST_P(IcmpAttacks, Rfc5927_1_WhoSeesTheTrafficMakesNoSegmentSmallerThanAnyRealPath) {
    Scene s{GetParam()};
    s.transfer(2'000'000);
    s.world.run_for(90_ms);
    for (const uint32_t mtu : {68u, 0u, 296u, 1u}) {
        s.lie_about_size(mtu, [](Bytes&) {});
        s.world.run_for(1_ms);
    }
    s.last_large.clear();
    s.judge_afterwards();
    EXPECT_LE(s.victim.worker().tcp_counters().retrans_segs.load(), s.v4 ? 6000u : 0u);
}

TEST_P(IcmpAttacks, FloodOfMessagesAboutSizesCausesNoFloodOfSegments) {
    Scene s{GetParam()};
    s.transfer(500'000);
    s.world.run_for(90_ms);
    const Bytes one = s.last_large;
    for (unsigned i = 0; i < 5000; ++i) {
        s.last_large = one;
        s.lie_about_size(1300 + i % 100, [](Bytes&) {});
    }
    s.world.run_for(10_ms);
    EXPECT_LE(s.victim.worker().tcp_counters().path_reductions.load(), 1u);
    s.judge_afterwards();
}

TEST_P(IcmpAttacks, HardErrorsInFlightEndNoConnection) {
    Scene s{GetParam()};
    s.transfer(2'000'000);
    s.world.run_for(90_ms);
    for (uint8_t code = 0; code < 16; ++code) {
        const Bytes quoted{s.last_large.begin() + 14, s.last_large.end()};
        s.say(
            [&](uint8_t* out) {
                if (s.v4 && code == wire::icmp4_code::fragmentation_needed) return size_t{0};
                return s.v4 ? wire::write_icmp4_error(out, wire::Icmp4Type::destination_unreachable,
                                                      code, 0, quoted)
                            : wire::write_icmp6_error(out, wire::Icmp6Type::destination_unreachable,
                                                      code, 0, quoted, s.server.address(),
                                                      s.victim.address());
            },
            s.server.address());
        s.world.run_for(100_us);
    }
    s.judge_afterwards();
}

/// Neighbor discovery, spoken by the attacker.
struct NeighborScene : Scene {
    NeighborScene() : Scene{sim::Family::ipv6} {}
    static wire::IpAddress forged(uint64_t n) {
        return wire::IpAddress::v6(0xfd00'0000'0000'0000, 0x1'0000 + n);
    }
    void advertise(const wire::IpAddress& target, bool solicited) {
        say(
            [&](uint8_t* out) {
                return wire::write_neighbor_advertisement(out, target, attacker_mac, solicited,
                                                          target, victim.address());
            },
            target);
    }
    void solicit(const wire::IpAddress& from) {
        say(
            [&](uint8_t* out) {
                return wire::write_neighbor_solicitation(out, victim.address(), attacker_mac, from,
                                                         victim.address());
            },
            from);
    }
};

TEST(NeighborAttacks, Rfc4861_1_AdvertisementsThatNobodyAskedForTeachNothing) {
    NeighborScene s;
    s.transfer(10'000);
    s.world.run_for(10_ms);
    const uint64_t asked = s.counters().solicitations_out.load();
    for (uint64_t n = 0; n < 10'000; ++n) {
        s.advertise(NeighborScene::forged(n), n % 2 == 0);
        s.world.run_for(1_us);
    }
    s.world.run_for(10_ms);
    EXPECT_EQ(s.counters().advertisements_unsolicited.load(), 10'000u);
    s.transfer(10'000);
    s.world.run_for(10_ms);
    EXPECT_EQ(s.counters().solicitations_out.load(), asked) << "they have taken the peer's place";
    s.judge_afterwards();
}

TEST(NeighborAttacks, AddressOfAPeerInUseIsNotTakenOver) {
    NeighborScene s;
    s.transfer(2'000'000);
    s.world.run_for(90_ms);
    for (unsigned i = 0; i < 100; ++i) {
        s.advertise(s.server.address(), true);
        s.solicit(s.server.address());
        s.world.run_for(10_us);
    }
    s.judge_afterwards();
    EXPECT_EQ(s.victim.worker().tcp_counters().timeouts.load(), 0u);
}

TEST(NeighborAttacks, SolicitationsFromThousandsOfAddressesLeaveNoEntry) {
    NeighborScene s;
    for (uint64_t n = 0; n < 5000; ++n) {
        s.solicit(NeighborScene::forged(n));
        s.world.run_for(1_us);
    }
    s.world.run_for(10_ms);
    EXPECT_EQ(s.counters().neighbor_evictions.load(), 0u);
    EXPECT_EQ(s.counters().advertisements_out.load() + s.counters().replies_dropped.load(), 5000u);
    s.transfer(10'000);
    s.judge_afterwards();
}

}  // namespace
}  // namespace synfin::security
