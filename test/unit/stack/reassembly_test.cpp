// Segments that come in fragments, over both families, and those who send such fragments on
// purpose.
#include <algorithm>

#include <gtest/gtest.h>

#include <synfin/stack/reassembly.hpp>

#include "fragment_frames.hpp"

namespace synfin::stack::test {
namespace {

class Fragments : public ::testing::TestWithParam<Family> {
  protected:
    static constexpr uint16_t payload_bytes = 108;  ///< 128 with the TCP header

    Fragments() { EXPECT_TRUE(host.worker.listen({{}, 80}, service).has_value()); }

    static WorkerConfig config() { return config_of(1, 9, GetParam()); }
    static IpAddress of(uint8_t number) { return address_of(number, GetParam()); }
    /// What the peer sends when its handshake with a listener here is through.
    static Bytes data_of_connection_to(Host& listening) {
        listening.run(segment_frame({.from = of(9), .to = of(1)}));
        const uint32_t isn = Read{listening.take_one()}.packet.seq;
        return segment_frame({.from = of(9),
                              .to = of(1),
                              .seq = 1001,
                              .ack = isn + 1,
                              .flags = wire::flag::ack,
                              .payload = std::string(1400, 'y')});
    }
    static Bytes syn(uint8_t from = 9, uint16_t from_port = 4000) {
        return segment_frame({.from = of(from),
                              .to = of(1),
                              .from_port = from_port,
                              .payload = std::string(payload_bytes, 'x')});
    }
    const Counters& counters() const { return host.worker.stack_counters(); }
    bool is_answered() { return !host.take_sent().empty(); }
    Recorder service;
    Host host{config()};
};
INSTANTIATE_TEST_SUITE_P(Both, Fragments, ::testing::Values(Family::ipv4, Family::ipv6),
                         [](const auto& family) { return name_of(family.param); });

TEST_P(Fragments, SegmentIsPutTogetherInWhateverOrderItsPartsCome) {
    std::array<int, 3> order{0, 1, 2};
    uint16_t port = 4000;
    do {
        const Bytes whole = syn(9, ++port);
        const std::array parts{fragment_of(whole, 0, 24, port), fragment_of(whole, 24, 64, port),
                               fragment_of(whole, 64, 128, port)};
        host.run(parts[static_cast<size_t>(order[0])]);
        host.run(parts[static_cast<size_t>(order[1])]);
        EXPECT_FALSE(is_answered());
        host.run(parts[static_cast<size_t>(order[2])]);
        const Read answer{host.take_one()};
        ASSERT_TRUE(answer.is_tcp());
        EXPECT_EQ(answer.packet.flags, wire::flag::syn | wire::flag::ack);
        EXPECT_EQ(answer.packet.destination_port, port);
    } while (std::next_permutation(order.begin(), order.end()));
    EXPECT_EQ(counters().datagrams_reassembled, 6u);
    EXPECT_EQ(counters().fragments_in, 18u);
}

TEST_P(Fragments, PartsOfDifferentDatagramsInOneBurstAreKeptApart) {
    const Bytes one = syn(9, 4001);
    const Bytes other = syn(9, 4002);
    host.device.arriving = {fragment_of(one, 0, 64, 1), fragment_of(other, 64, 128, 2),
                            fragment_of(other, 0, 64, 2), fragment_of(one, 64, 128, 1)};
    host.run();
    EXPECT_EQ(host.take_sent().size(), 2u);
    EXPECT_EQ(counters().datagrams_reassembled, 2u);
}

TEST_P(Fragments, Rfc5722_OverlapCondemnsTheDatagramAndWhatFollowsOfIt) {
    const Bytes whole = syn();
    for (const auto& [from, to] : {std::pair{16u, 48u}, {56u, 72u}, {24u, 56u}, {0u, 72u}}) {
        Host fresh{config()};
        ASSERT_TRUE(fresh.worker.listen({{}, 80}, service).has_value());
        fresh.run(fragment_of(whole, 0, 64));
        fresh.run(
            fragment_with(whole, std::max(from, 24u), Bytes(to - std::max(from, 24u)), true, 7));
        fresh.run(fragment_of(whole, 64, 128));
        fresh.run(fragment_of(whole, 0, 64));
        EXPECT_TRUE(fresh.take_sent().empty());
        EXPECT_EQ(fresh.worker.stack_counters().fragments_refused, 3u);
    }
}

TEST_P(Fragments, ExactCopyIsIgnored) {
    const Bytes whole = syn();
    host.run(fragment_of(whole, 0, 64));
    host.run(fragment_of(whole, 0, 64));
    EXPECT_FALSE(is_answered());
    host.run(fragment_of(whole, 64, 128));
    EXPECT_TRUE(is_answered());
    EXPECT_EQ(counters().fragments_repeated, 1u);
}

TEST_P(Fragments, DatagramWithTwoEndsIsRefused) {
    const Bytes whole = syn();
    host.run(fragment_with(whole, 64, Bytes(32), false, 7));
    host.run(fragment_with(whole, 104, Bytes(24), false, 7));
    host.run(fragment_of(whole, 0, 64));
    EXPECT_EQ(counters().fragments_refused, 2u);

    host.run(fragment_with(whole, 64, Bytes(64), true, 8));
    host.run(fragment_with(whole, 32, Bytes(32), false, 8));  // the end, before what is there
    EXPECT_EQ(counters().fragments_refused, 3u);

    host.run(fragment_with(whole, 64, Bytes(32), false, 9));
    host.run(fragment_with(whole, 96, Bytes(32), true, 9));  // more, behind the end
    EXPECT_EQ(counters().fragments_refused, 4u);
    EXPECT_FALSE(is_answered());
}

TEST_P(Fragments, DatagramThatIsNotWholeAfterAMinuteIsForgotten) {
    const Bytes whole = syn();
    host.run(fragment_of(whole, 0, 64));
    host.now = host.now + Reassembly::lifetime;
    host.run(fragment_of(whole, 64, 128));
    EXPECT_FALSE(is_answered());
    EXPECT_EQ(counters().reassembly_timeouts, 1u);

    host.now = host.now + (Reassembly::lifetime - Duration::microseconds(1));
    host.run(fragment_of(whole, 0, 64));
    EXPECT_TRUE(is_answered());
}

TEST_P(Fragments, ChecksumOfTheWholeIsVerified) {
    Bytes whole = syn();
    whole.back() ^= 1;
    host.run(fragment_of(whole, 0, 64));
    host.run(fragment_of(whole, 64, 128));
    EXPECT_FALSE(is_answered());
    EXPECT_EQ(host.worker.drop_counters().of(wire::Drop::tcp_bad_checksum), 1u);
}

TEST_P(Fragments, FragmentsToAndFromAddressesThatNoSegmentMayHaveAreDropped) {
    const Bytes elsewhere = segment_frame({.from = of(9), .to = of(5), .payload = "12345678"});
    host.run(fragment_of(elsewhere, 0, 24));
    EXPECT_EQ(counters().drop_other_address, 1u);
    const Bytes from_us = segment_frame({.from = of(1), .to = of(1), .payload = "12345678"});
    host.run(fragment_of(from_us, 0, 24));
    EXPECT_EQ(counters().drop_from_ourselves, 1u);
    EXPECT_EQ(counters().fragments_in, 0u);
}

TEST_P(Fragments, WithoutABudgetNoneWaits) {
    WorkerConfig without = config();
    without.max_reassembly_bytes = 0;
    Host fresh{without};
    ASSERT_TRUE(fresh.worker.listen({{}, 80}, service).has_value());
    const Bytes whole = syn();
    fresh.run(fragment_of(whole, 0, 64));
    fresh.run(fragment_of(whole, 64, 128));
    EXPECT_TRUE(fresh.take_sent().empty());
    EXPECT_EQ(fresh.worker.stack_counters().fragments_refused, 2u);
}

TEST_P(Fragments, ConnectionTakesDataInFragments) {
    const Bytes data = data_of_connection_to(host);
    host.run(fragment_of(data, 0, 800));
    host.run(fragment_of(data, 800, 1420));
    ASSERT_EQ(service.ids.size(), 1u);
    EXPECT_EQ(service.life(service.ids[0]).data, std::string(1400, 'y'));
}

/// Another worker of the same host, which owns all connections from `port`.
struct Colleague final : Colleagues {
    explicit Colleague(Host& host, uint16_t port) : owner{host}, owned{port} {}
    bool take(uint8_t, const wire::SocketAddress& local, const wire::SocketAddress& remote,
              std::span<const uint8_t> link_header, std::span<const uint8_t> datagram) override {
        ++asked;
        EXPECT_EQ(local.port, 80);
        if (remote.port != owned) return false;
        Bytes frame(link_header.begin(), link_header.end());
        frame.insert(frame.end(), datagram.begin(), datagram.end());
        if (is_ipv4_frame(frame)) {  // a device would say that the header is right
            uint8_t* ip = &frame[link_bytes];
            wire::store_be16(ip + 10, 0);
            wire::store_checksum(ip + 10, wire::sum_words(ip, 20));
        }
        owner.run(frame);
        return true;
    }
    Host& owner;
    uint16_t owned;
    int asked = 0;
};

TEST_P(Fragments, SegmentOfAnotherWorkersConnectionGoesThere) {
    Host owner{config()};
    ASSERT_TRUE(owner.worker.listen({{}, 80}, service).has_value());
    Colleague colleague{owner, 4000};
    WorkerConfig with_colleague = config();
    with_colleague.colleagues = &colleague;
    Host assembler{with_colleague};
    const Bytes data = data_of_connection_to(owner);
    assembler.run(fragment_of(data, 800, 1420));
    assembler.run(fragment_of(data, 0, 800));
    EXPECT_TRUE(assembler.take_sent().empty());
    ASSERT_EQ(service.ids.size(), 1u);
    EXPECT_EQ(service.life(service.ids[0]).data, std::string(1400, 'y'));
    EXPECT_EQ(colleague.asked, 1);
    EXPECT_EQ(assembler.worker.stack_counters().segments_to_colleagues, 1u);
}

TEST_P(Fragments, SegmentForARecordInTimeWaitIsAnsweredByTheWorkerThatHasIt) {
    Colleague colleague{host, 4000};
    WorkerConfig with_colleague = config();
    with_colleague.colleagues = &colleague;
    Host assembler{with_colleague};
    ASSERT_TRUE(assembler.worker.listen({{}, 80}, service).has_value());
    assembler.run(segment_frame({.from = of(9), .to = of(1)}));
    const uint32_t isn = Read{assembler.take_one()}.packet.seq;
    const auto from_peer = [](uint32_t ack, wire::TcpFlags flags, std::string payload) {
        return segment_frame({.from = of(9),
                              .to = of(1),
                              .seq = 1001,
                              .ack = ack,
                              .flags = flags,
                              .payload = std::move(payload)});
    };
    assembler.run(from_peer(isn + 1, wire::flag::ack, ""));
    assembler.worker.close(service.ids.at(0));
    assembler.run();
    const auto fin = wire::flag::fin | wire::flag::ack;
    assembler.run(from_peer(isn + 2, fin, ""));
    ASSERT_EQ(assembler.worker.gauges().time_wait, 1u);
    assembler.take_sent();
    const Bytes late = from_peer(isn + 2, fin, std::string(payload_bytes, 'y'));
    assembler.run(fragment_of(late, 0, 64));
    assembler.run(fragment_of(late, 64, 128));
    EXPECT_EQ(colleague.asked, 0);
    EXPECT_EQ(Read{assembler.take_one()}.packet.flags, wire::flag::ack);
}

TEST_P(Fragments, SegmentThatIsNoOtherWorkersIsAnswered) {
    Colleague colleague{host, 5000};
    WorkerConfig with_colleague = config();
    with_colleague.colleagues = &colleague;
    Host assembler{with_colleague};
    ASSERT_TRUE(assembler.worker.listen({{}, 80}, service).has_value());
    const Bytes whole = syn();
    assembler.run(fragment_of(whole, 0, 64));
    assembler.run(fragment_of(whole, 64, 128));
    EXPECT_EQ(colleague.asked, 1);
    const Read answer{assembler.take_one()};
    ASSERT_TRUE(answer.is_tcp());
    EXPECT_EQ(answer.packet.flags, wire::flag::syn | wire::flag::ack);
    const Bytes data = segment_frame({.from = of(9),
                                      .to = of(1),
                                      .seq = 1001,
                                      .ack = answer.packet.seq + 1,
                                      .flags = wire::flag::ack,
                                      .payload = std::string(1400, 'y')});
    assembler.run(fragment_of(data, 0, 800, 8));
    assembler.run(fragment_of(data, 800, 1420, 8));
    EXPECT_EQ(colleague.asked, 1);  // the connection is here
}

TEST_P(Fragments, Rfc3168_1_MarkOfAFragmentIsTheWholesUnlessAnotherCouldBearNone) {
    constexpr auto none = wire::Ecn::not_capable;
    constexpr auto ect = wire::Ecn::ect_0;
    constexpr auto ce = wire::Ecn::ce;
    const auto whole_of = [](wire::Ecn first, wire::Ecn second) -> std::optional<wire::Ecn> {
        Reassembly store{1u << 20};
        Counters counted;
        const auto take = [&](const Bytes& frame) {
            return store.take(wire::read_fragment(Read{frame}.packet.network), {}, counted);
        };
        EXPECT_TRUE(take(with_ecn(fragment_of(syn(), 0, 64), first)).empty());
        const auto whole = take(with_ecn(fragment_of(syn(), 64, 128), second));
        wire::Packet packet;
        if (whole.empty()) return std::nullopt;
        EXPECT_EQ(wire::parse_whole(whole, 0, packet), wire::PacketKind::tcp);
        return wire::ecn_of(packet.traffic_class);
    };
    EXPECT_EQ(whole_of(none, none), none);
    EXPECT_EQ(whole_of(ect, ect), ect);
    EXPECT_EQ(whole_of(ect, ce), ce);
    EXPECT_EQ(whole_of(ce, ect), ce);
    EXPECT_EQ(whole_of(none, ce), std::nullopt);
    EXPECT_EQ(whole_of(ce, none), std::nullopt);
}

// ---- the store alone: floods

wire::Fragment part(const IpAddress& from, uint32_t id, uint32_t offset, const Bytes& data,
                    bool more = true) {
    static const Bytes header = [] {
        Bytes bytes(20);
        bytes[0] = 0x45;
        return bytes;
    }();
    return {.source = from,
            .destination = address_of(1),
            .identification = id,
            .protocol = wire::ip_protocol::tcp,
            .more = more,
            .offset = offset,
            .header = header,
            .protocol_at = 9,
            .data = data};
}

class ReassemblyStore : public ::testing::Test {
  protected:
    bool completes(const wire::Fragment& fragment) {
        now = now + Duration::microseconds(1);
        return !store.take(fragment, now, counters).empty();
    }
    const Bytes some = Bytes(1480);
    Instant now = Instant::from_us(1'000'000);
    Counters counters;
    Reassembly store{1u << 20};
};

TEST_F(ReassemblyStore, FloodFromOneSourceLeavesOthersAlone) {
    EXPECT_FALSE(completes(part(address_of(9), 1, 0, some)));
    for (uint32_t id = 0; id < 100'000; ++id) completes(part(address_of(8), id, 0, some));
    EXPECT_TRUE(completes(part(address_of(9), 1, 1480, some, false)));
    EXPECT_LE(store.waiting(), store.slots());
}

TEST_F(ReassemblyStore, FloodFromManySourcesKeepsWithinTheBudgetAndLetsTheNewestThrough) {
    for (uint32_t i = 0; i < 100'000; ++i) {
        completes(part(IpAddress::v4(0x0b00'0000u + i), i, 0, some));
        if (i % 1000 != 0) continue;
        EXPECT_FALSE(completes(part(address_of(9), i, 0, some)));
        EXPECT_TRUE(completes(part(address_of(9), i, 1480, some, false)));
    }
    EXPECT_EQ(store.waiting(), store.slots());
    EXPECT_GT(counters.reassembly_evictions, 90'000u);
}

TEST_F(ReassemblyStore, DatagramOfManyTinyFragmentsIsRefused) {
    const Bytes tiny(8);
    for (uint32_t i = 0; i < 1000; ++i) completes(part(address_of(9), 1, 24 + 16 * i, tiny));
    EXPECT_EQ(store.chunks_used(), 0u);
    EXPECT_EQ(counters.fragments_refused, 1000u - Reassembly::fragments_max);
}

TEST_F(ReassemblyStore, BytesOfFewLargeDatagramsStayWithinTheBudget) {
    const Bytes large(9000);
    for (uint32_t id = 0; id < 1000; ++id) {
        for (uint32_t i = 0; i < 6; ++i) completes(part(address_of(9), id, 9000 * i, large));
    }
    EXPECT_GT(store.chunks_used(), 0u);
    EXPECT_LE(store.chunks_used() * 1532u, 1u << 20);
    EXPECT_GT(counters.reassembly_evictions, 0u);
}

TEST_F(ReassemblyStore, LargestDatagramFitsAndALargerOneIsRefused) {
    const Bytes most(9000);
    for (uint32_t i = 0; i < 7; ++i) {
        EXPECT_FALSE(completes(part(address_of(9), 1, 9000 * i, most)));
        EXPECT_FALSE(completes(part(address_of(9), 2, 9000 * i, most)));
    }
    EXPECT_TRUE(completes(part(address_of(9), 1, 63000, Bytes(65535 - 20 - 63000), false)));
    EXPECT_FALSE(completes(part(address_of(9), 2, 63000, Bytes(65535 - 63000), false)));
    EXPECT_EQ(counters.fragments_refused, 1u);
}

TEST_F(ReassemblyStore, NothingIsLeftBehind) {
    for (uint32_t id = 0; id < 1000; ++id) {
        EXPECT_FALSE(completes(part(address_of(9), id, 1480, some, false)));
        EXPECT_TRUE(completes(part(address_of(9), id, 0, some)));
    }
    EXPECT_EQ(store.waiting(), 0u);
    EXPECT_EQ(store.chunks_used(), 0u);
}

}  // namespace
}  // namespace synfin::stack::test
