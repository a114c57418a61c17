// Explicit congestion notification (RFC 3168), packet by packet: the agreement and all that is
// none, where ECT stands, from CE to ECE to CWR, one reduction for each window; and DCTCP (RFC
// 8257).
#include <gtest/gtest.h>

#include "script.hpp"

namespace synfin::conformance {
namespace {

Setup using_ecn(tcp::EcnUse use,
                tcp::CongestionAlgorithm algorithm = tcp::CongestionAlgorithm::new_reno) {
    Setup setup;
    setup.profile.ecn = use;
    setup.profile.congestion = algorithm;
    setup.profile.timestamps = false;
    return setup;
}

class Ecn : public ::testing::Test {
  protected:
    static constexpr uint32_t mss = 1460;

    explicit Ecn(const conformance::Setup& setup = using_ecn(tcp::EcnUse::ask)) : s{setup} {}

    /// A listener of ours and a peer that asks.
    void accept(Script& script) {
        script.listen();
        script.inject(Syn().ece().cwr().mss(mss));
        script.expect(SynAck().ece().not_ect());
        script.inject(Ack());
        script.expect_state(State::established);
    }
    void connect() {
        s.call_open();
        s.expect(Syn().ece().cwr().not_ect());
        s.inject(SynAck().ece().mss(mss));
        s.expect(Ack().not_ect());
    }
    /// The SYN is answered, and what is sent then is not capable.
    void expect_no_agreement_after(const Packet& syn_ack) {
        s.inject(syn_ack);
        s.expect(Ack());
        s.call_send("x");
        s.expect(Data().not_ect());
    }
    void expect_new_data(unsigned segments) {
        for (unsigned i = 0; i < segments; ++i) s.expect(Data().ect());
        s.expect_nothing();
    }

    Script s;
};

// ---- the agreement

TEST_F(Ecn, Shld8_SynAsksAndASynAckWithEceAloneAgrees) {
    connect();
    EXPECT_TRUE(s.connection().ecn);
    s.call_send("x");
    s.expect(Data().ect());
}

TEST_F(Ecn, Rfc3168_SynAckWithoutEceIsNoAgreement) {
    s.call_open();
    s.expect(Syn().ece().cwr());
    expect_no_agreement_after(SynAck().mss(mss));
}

TEST_F(Ecn, Rfc3168_SynAckThatReflectsBothFlagsIsNoAgreement) {
    s.call_open();
    s.expect(Syn().ece().cwr());
    expect_no_agreement_after(SynAck().ece().cwr().mss(mss));
}

TEST_F(Ecn, Rfc3168_SynThatIsSentAgainDoesNotAsk) {
    s.call_open();
    s.expect(Syn().ece().cwr());
    s.expect_after(1_s, Syn());
    EXPECT_EQ(s.counters().ecn_fallbacks, 1u);
    expect_no_agreement_after(SynAck().mss(mss));
}

TEST_F(Ecn, Rfc3168_SynThatIsResetIsSentAgainAtOnceAndDoesNotAsk) {
    s.call_open();
    s.expect(Syn().ece().cwr());
    s.inject(RstAck().seq(0).ack(1));
    s.expect(Syn().seq(0));
    s.expect_open();
    EXPECT_EQ(s.counters().ecn_fallbacks, 1u);
    expect_no_agreement_after(SynAck().mss(mss));
}

TEST_F(Ecn, Rfc3168_SecondResetRefusesTheConnection) {
    s.call_open();
    s.expect(Syn().ece().cwr());
    s.inject(RstAck().seq(0).ack(1));
    s.expect(Syn().seq(0));
    s.inject(RstAck().seq(0).ack(1));
    s.expect_closed(CloseReason::refused);
    s.expect_nothing_for(10_s);
}

TEST_F(Ecn, Rfc3168_AgreementThatComesLateLetsCeBeEchoedButNoEctBeSet) {
    s.call_open();
    s.expect(Syn().ece().cwr());
    s.expect_after(1_s, Syn());
    expect_no_agreement_after(SynAck().ece().mss(mss));
    s.inject(Ack().length(100).ce());
    s.inject(Ack().length(100).ect());
    s.expect(Ack().ece());
}

TEST_F(Ecn, Rfc3168_ListenerAgreesWhenItIsAsked) {
    Script server{using_ecn(tcp::EcnUse::accept)};
    accept(server);
    server.call_send("x");
    server.expect(Data().ect());
}

TEST_F(Ecn, Rfc3168_ListenerIsNotAskedByOneOfTheFlagsAlone) {
    for (const Packet& syn : {Syn().mss(mss), Syn().ece().mss(mss), Syn().cwr().mss(mss)}) {
        Script server{using_ecn(tcp::EcnUse::ask)};
        server.listen();
        server.inject(syn);
        server.expect(SynAck());
    }
}

TEST_F(Ecn, ListenerDoesNotAgreeWhenItIsOff) {
    Script server{using_ecn(tcp::EcnUse::off)};
    server.listen();
    server.inject(Syn().ece().cwr().mss(mss));
    server.expect(SynAck());
}

TEST_F(Ecn, SynThatIsItselfMarkedIsNoQuestion) {
    Script server{using_ecn(tcp::EcnUse::accept)};
    server.listen();
    server.inject(Syn().ece().cwr().mss(mss).ce());
    server.expect(SynAck());
}

TEST_F(Ecn, Rfc3168_PeerThatAsksNoMoreWhenItsSynComesAgainIsNotAgreedWith) {
    Script server{using_ecn(tcp::EcnUse::accept)};
    server.listen();
    server.inject(Syn().ece().cwr().mss(mss));
    server.expect(SynAck().ece());
    server.inject(Syn().mss(mss));
    server.expect(SynAck());
}

TEST_F(Ecn, ActiveOpenAsksOnlyIfItIsToldTo) {
    Script client{using_ecn(tcp::EcnUse::accept)};
    client.call_open();
    client.expect(Syn());
}

TEST_F(Ecn, SimultaneousOpenAgreesWithEceAlone) {
    s.call_open();
    s.expect(Syn().ece().cwr());
    s.inject(Syn().ece().cwr().mss(mss));
    s.expect(SynAck().ece());
}

// ---- where ECT stands

TEST_F(Ecn, Rfc3168_AcksAndFinAndResetAreNotEctCapable) {
    connect();
    s.inject(Ack().length(2 * mss).ect());
    s.expect(Ack().not_ect());
    s.call_shutdown();
    s.expect(FinAck().not_ect());
    s.call_abort();
    const std::vector<Sent> reset = s.take_sent();
    ASSERT_EQ(reset.size(), 1u);
    EXPECT_TRUE(reset[0].flags.rst());
    EXPECT_EQ(reset[0].ecn, wire::Ecn::not_capable);
}

TEST_F(Ecn, Rfc3168_RetransmissionIsNotEctCapable) {
    connect();
    s.call_send("x");
    s.expect(Data().seq(1).ect());
    s.expect_between(Duration{}, 1_s, Data().seq(1).not_ect());
}

TEST_F(Ecn, Rfc3168_WindowProbeIsNotEctCapable) {
    s.peer_window(0);
    connect();
    s.call_send("x");
    s.expect_between(Duration{}, 2_s, Ack().seq(0).not_ect());
}

// ---- the receiver

TEST_F(Ecn, Shld8_EachAckCarriesEceFromCeToCwr) {
    connect();
    s.inject(Ack().length(mss).ect());
    s.inject(Ack().length(mss).ce());
    s.expect(Ack().ece());
    s.inject(Ack().length(mss).ect());
    s.inject(Ack().length(mss).ect());
    s.expect(Ack().ece());
    s.call_send("x");
    s.expect(Data().ece());
    s.inject(Ack().length(mss).ect().cwr());
    s.expect(Ack());
    EXPECT_EQ(s.counters().ecn_marks_received, 1u);
}

TEST_F(Ecn, Rfc3168_CwrOnASegmentThatIsMarkedAgainDoesNotEndTheEcho) {
    connect();
    s.inject(Ack().length(mss).ce());
    s.inject(Ack().length(mss).ce().cwr());
    s.expect(Ack().ece());
}

TEST_F(Ecn, MarkOnASegmentThatIsNotAcceptableIsNoMark) {
    connect();
    s.inject(Ack().seq(500'000).length(mss).ce());
    s.expect(Ack());
    EXPECT_EQ(s.counters().ecn_marks_received, 0u);
}

TEST_F(Ecn, MarkWithoutAgreementMeansNothing) {
    Script plain{using_ecn(tcp::EcnUse::off)};
    plain.establish();
    plain.inject(Ack().length(mss).ce());
    plain.inject(Ack().length(mss).ce());
    plain.expect(Ack());
}

// ---- the sender

TEST_F(Ecn, Shld8_EchoHalvesTheWindowAndTheNextNewDataCarriesCwr) {
    connect();
    s.call_send_bytes(40 * mss);
    expect_new_data(10);
    s.inject(Ack().ack(1 + mss).ece());
    EXPECT_EQ(s.connection().cwnd, 5 * mss);
    EXPECT_EQ(s.connection().ssthresh, 5 * mss);
    s.expect_nothing();
    s.inject(Ack().ack(1 + 6 * mss).ece());
    s.expect(Data().seq(1 + 10 * mss).cwr().ect());
    s.ignore_sent();
    EXPECT_EQ(s.connection().cwnd, 5 * mss) << "once in a window of data";
    EXPECT_EQ(s.counters().ecn_reductions, 1u);
    EXPECT_EQ(s.counters().retrans_segs, 0u);
}

// What the last echo answered for, left behind by half of the sequence space, seems to lie ahead.
TEST_F(Ecn, EchoThatIsLongAnsweredHidesNoOther) {
    connect();
    s.call_send_bytes(60 * mss);
    s.inject(Ack().ack(1 + 10 * mss).ece());
    s.ignore_sent();
    s.inject(Ack().ack(s.sent_end()));
    s.ignore_sent();
    s.environment().transfers.transfers[s.connection().transfer].echo_point =
        s.connection().snd_una.load() + 0x7000'0000u;
    s.inject(Ack().ack(s.sent_end() - mss).ece());
    EXPECT_EQ(s.counters().ecn_reductions, 2u);
    s.ignore_sent();
}

TEST_F(Ecn, Rfc3168_EchoOfTheNextWindowReducesAgain) {
    connect();
    s.call_send_bytes(40 * mss);
    expect_new_data(10);
    s.inject(Ack().ack(1 + 10 * mss).ece());
    s.expect(Data().seq(1 + 10 * mss).cwr());
    s.ignore_sent();
    s.inject(Ack().ack(1 + 11 * mss));
    s.ignore_sent();
    s.inject(Ack().ack(1 + 13 * mss).ece());
    EXPECT_EQ(s.counters().ecn_reductions, 2u);
    EXPECT_LT(s.connection().cwnd, 5 * mss);
}

TEST_F(Ecn, Rfc3168_EchoLetsNothingGrow) {
    connect();
    s.call_send_bytes(100 * mss);
    s.ignore_sent();
    s.inject(Ack().ack(1 + mss).ece());
    const uint32_t window = s.connection().cwnd;
    for (uint32_t i = 2; i <= 10; ++i) {
        s.inject(Ack().ack(1 + i * mss).ece());
        EXPECT_EQ(s.connection().cwnd, window);
    }
    s.ignore_sent();
}

TEST_F(Ecn, Rfc4015_TimeoutThatCameTooEarlyStillHalvesTheWindowIfTheAckEchoesAMark) {
    connect();
    s.call_send_bytes(20 * mss);
    s.wait(250_ms);
    ASSERT_EQ(s.counters().timeouts.load(), 1u);
    const uint32_t threshold = s.connection().ssthresh;
    s.inject(Ack().seq(1).ack(1 + mss).ece());
    s.inject(Ack().seq(1).ack(1 + 2 * mss).ece());
    EXPECT_EQ(s.counters().spurious_timeouts.load(), 1u);
    EXPECT_EQ(s.connection().ssthresh, threshold);
    s.ignore_sent();
}

TEST_F(Ecn, Rfc3168_LossInAWindowThatAnEchoHasReducedReducesNoFurther) {
    connect();
    s.call_send_bytes(40 * mss);
    expect_new_data(10);
    s.inject(Ack().ack(1 + mss).ece());
    for (int i = 0; i < 3; ++i) s.inject(Ack().ack(1 + mss).ece());
    s.expect(Data().seq(1 + mss).not_ect());
    EXPECT_EQ(s.connection().ssthresh, 5 * mss);
    EXPECT_EQ(s.counters().fast_retransmits, 1u);
    s.ignore_sent();
}

TEST_F(Ecn, Rfc3168_CwrFollowsALossToo) {
    connect();
    s.call_send_bytes(20 * mss);
    expect_new_data(10);
    for (int i = 0; i < 3; ++i) s.inject(Ack().ack(1));
    s.ignore_sent();
    s.inject(Ack().ack(1 + 10 * mss));
    s.expect(Data().seq(1 + 10 * mss).not_ect());
    s.expect(Data().seq(1 + 12 * mss).cwr().ect());
    s.ignore_sent();
}

TEST_F(Ecn, Rfc3168_CwrFollowsATimeoutToo) {
    connect();
    s.call_send_bytes(40 * mss);
    expect_new_data(10);
    s.expect_between(100_ms, 2_s, Data().seq(1).not_ect());
    EXPECT_EQ(s.counters().timeouts, 1u);
    s.inject(Ack().ack(1 + mss));
    s.inject(Ack().ack(1 + 10 * mss));
    for (const auto& sent : s.take_sent()) {
        if (sent.seq < 1 + 10 * mss) continue;
        EXPECT_TRUE(sent.flags.cwr()) << to_text(sent);
        break;
    }
    EXPECT_GT(s.sent_end(), 1 + 10 * mss);
}

TEST_F(Ecn, EchoOnAConnectionWithoutAgreementReducesNothing) {
    Script plain{using_ecn(tcp::EcnUse::off)};
    plain.establish();
    plain.call_send_bytes(10 * mss);
    plain.ignore_sent();
    plain.inject(Ack().ack(1 + mss).ece());
    EXPECT_EQ(plain.counters().ecn_reductions, 0u);
}

TEST_F(Ecn, CubicGivesWayToAnEchoAsToALoss) {
    Script cubic{using_ecn(tcp::EcnUse::accept, tcp::CongestionAlgorithm::cubic)};
    accept(cubic);
    cubic.call_send_bytes(40 * mss);
    cubic.ignore_sent();
    cubic.inject(Ack().ack(1 + mss).ece());
    EXPECT_EQ(cubic.connection().cwnd, 7 * mss);
}

// ---- DCTCP

class Dctcp : public Ecn {
  protected:
    Dctcp() : Ecn{using_ecn(tcp::EcnUse::accept, tcp::CongestionAlgorithm::dctcp)} {}
    double alpha() const {
        return s.environment().transfers.transfers[s.connection().transfer].dctcp.alpha;
    }
    /// One window of data, of which `marked` segments in `all` are acknowledged with ECE.
    void exchange_window(uint32_t marked) {
        uint32_t left = (s.sent_end() - acknowledged_) / mss;
        while (left-- > 0) {
            acknowledged_ += mss;
            Packet ack = Ack().ack(acknowledged_);
            if (marked > 0) --marked, ack.ece();
            s.inject(ack);
        }
        s.ignore_sent();
    }
    uint32_t acknowledged_ = 1;
};

TEST_F(Dctcp, AsksForEcnByItself) { connect(); }

TEST_F(Dctcp, Rfc8257_FirstMarkHalvesTheWindow) {
    connect();
    s.call_send_bytes(100 * mss);
    s.ignore_sent();
    s.inject(Ack().ack(1 + mss).ece());
    EXPECT_EQ(s.connection().cwnd, 5 * mss);
    s.ignore_sent();
}

TEST_F(Dctcp, Rfc8257_EstimateFallsByASixteenthWithEachWindowWithoutMarks) {
    connect();
    s.call_send_bytes(170 * mss);
    s.ignore_sent();
    double expected = 1;
    for (int window = 0; window < 3; ++window) {
        EXPECT_DOUBLE_EQ(alpha(), expected);
        exchange_window(0);
        s.inject(Ack().ack(acknowledged_ += mss));
        s.ignore_sent();
        expected *= 15.0 / 16;
    }
}

TEST_F(Dctcp, Rfc8257_WindowGivesWayByHalfOfTheEstimate) {
    connect();
    s.call_send_bytes(170 * mss);
    s.ignore_sent();
    exchange_window(0);
    s.inject(Ack().ack(acknowledged_ += mss));
    s.ignore_sent();
    const uint32_t window = s.connection().cwnd;
    s.inject(Ack().ack(acknowledged_ += mss).ece());
    EXPECT_EQ(s.connection().cwnd, static_cast<uint32_t>(window * (1 - 15.0 / 32)));
    s.ignore_sent();
}

TEST_F(Dctcp, Rfc8257_AckTellsTheMarksOfWhatItAcknowledgesBeforeTheyChange) {
    connect();
    s.inject(Ack().length(mss).ect());
    s.expect_nothing();
    s.inject(Ack().length(mss).ce());
    s.expect(Ack().ack(1 + mss));
    s.expect(Ack().ack(1 + 2 * mss).ece());
    s.inject(Ack().length(mss).ce());
    s.expect_nothing();
    s.inject(Ack().length(mss).ect());
    s.expect(Ack().ack(1 + 3 * mss).ece());
    s.expect(Ack().ack(1 + 4 * mss));
}

TEST_F(Dctcp, Rfc8257_ChangesWithinABurstAreToldOneByOne) {
    connect();
    s.inject_burst({Ack().seq(1).length(mss).ect(), Ack().seq(1 + mss).length(mss).ce(),
                    Ack().seq(1 + 2 * mss).length(mss).ce(),
                    Ack().seq(1 + 3 * mss).length(mss).ect()});
    s.expect(Ack().ack(1 + mss));
    s.expect(Ack().ack(1 + 3 * mss).ece());
    s.expect(Ack().ack(1 + 4 * mss));
}

TEST_F(Dctcp, ManyChangesWithinABurstAreToldInPart) {
    connect();
    std::vector<Packet> burst;
    for (uint32_t i = 0; i < 12; ++i) {
        Packet data = Ack().seq(1 + i * 100).length(100);
        burst.push_back(i % 2 == 0 ? data.ect() : data.ce());
    }
    s.inject_burst(burst);
    const auto sent = s.take_sent();
    EXPECT_EQ(sent.size(), size_t{tcp::Transfer::max_mark_changes} + 1);
    EXPECT_EQ(sent.back().ack, 1201u);
}

TEST_F(Dctcp, CwrDoesNotEndTheEcho) {
    connect();
    s.inject(Ack().length(mss).ce());
    s.ignore_sent();
    s.inject(Ack().length(mss).ce().cwr());
    s.inject(Ack().length(mss).ce());
    s.expect(Ack().ece());
}

TEST_F(Dctcp, Rfc8257_LossHalvesTheWindowWhateverTheEstimate) {
    connect();
    s.call_send_bytes(100 * mss);
    s.ignore_sent();
    exchange_window(0);
    const uint32_t flight = s.sent_end() - acknowledged_;
    for (int i = 0; i < 3; ++i) s.inject(Ack().ack(acknowledged_));
    EXPECT_NEAR(s.connection().ssthresh, flight / 2.0, mss);
    s.ignore_sent();
}

}  // namespace
}  // namespace synfin::conformance
