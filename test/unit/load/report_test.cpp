#include <set>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <synfin/load/report.hpp>

#include "two_hosts.hpp"

namespace synfin::load::test {
namespace {

using nlohmann::json;

/// The result of a real run of `config` between two workers.
Result result_of(ClientConfig config, ServerConfig server = {}) {
    LoadRun run{config, server};
    EXPECT_TRUE(run.to_the_end());
    Result result;
    result.run = {.tool = "synfin pair",
                  .version = "1.2.3",
                  .mode = "connect",
                  .link = "ring",
                  .steering = "",
                  .notes = {"2MSL 1 s"},
                  .seconds = 2};
    result.client.emplace();
    result.server.emplace();
    result.client_side.emplace();
    result.server_side.emplace();
    add(*result.client, run.client->statistics());
    add(*result.server, run.server->statistics());
    WorkerTime client_time;
    client_time.ns = 37'000'000;
    client_time.busy_cycles = 100'000;
    client_time.judge(Duration::microseconds(700));
    client_time.judge(Duration::milliseconds(3));
    client_time.judge(Duration::microseconds(500));
    result.client_side->add(*run.hosts.client_worker, client_time);
    WorkerTime server_time;
    server_time.busy_cycles = 50'000;
    result.server_side->add(*run.hosts.server_worker, server_time);
    run.hosts.holds_nothing();
    result.leaks.add(run.hosts.client_worker->leaks());
    result.leaks.add(run.hosts.server_worker->leaks());
    return result;
}

ClientConfig hundred_connections(uint32_t requests = 0) {
    ClientConfig config;
    config.connections = 100;
    config.concurrency = 10;
    config.requests = requests;
    return config;
}

std::set<std::string> keys_of(const json& object) {
    std::set<std::string> keys;
    for (const auto& item : object.items()) keys.insert(item.key());
    return keys;
}

void expect_keys(const json& object, const std::set<std::string>& expected) {
    const std::set<std::string> keys = keys_of(object);
    for (const std::string& key : expected) EXPECT_TRUE(keys.contains(key)) << key;
}

TEST(Report, JsonHasEveryDocumentedName) {
    const json report = to_json(result_of(hundred_connections(1)));
    expect_keys(report, {"tool", "version", "mode", "link", "seconds", "connections", "packets",
                         "latency_us", "cycles_per_connection", "stalls", "leaks", "tcp"});
    expect_keys(report["connections"],
                {"opened", "established", "closed", "failed", "reset", "timed_out", "per_second"});
    expect_keys(report["packets"],
                {"client_tx", "client_rx", "server_tx", "server_rx", "per_connection"});
    expect_keys(report["latency_us"], {"handshake", "first_byte", "close"});
    for (const char* which : {"handshake", "first_byte", "close"}) {
        expect_keys(report["latency_us"][which], {"p50", "p90", "p99", "p999", "max"});
    }
    expect_keys(report["cycles_per_connection"], {"client", "server"});
    expect_keys(report["stalls"], {"client", "server"});
    expect_keys(report["stalls"]["client"], {"count", "us", "longest_us", "share"});
    expect_keys(report["leaks"], {"connections", "buffers", "timers"});
    for (const char* side : {"client", "server"}) {
        expect_keys(report["tcp"][side],
                    {"ActiveOpens", "PassiveOpens", "AttemptFails", "EstabResets", "CurrEstab",
                     "InSegs", "OutSegs", "RetransSegs", "InErrs", "OutRsts"});
    }
}

TEST(Report, JsonAddsUp) {
    const json report = to_json(result_of(hundred_connections(1)));
    EXPECT_EQ(report["connections"]["opened"], 100);
    EXPECT_EQ(report["connections"]["established"], 100);
    EXPECT_EQ(report["connections"]["closed"], 100);
    EXPECT_EQ(report["connections"]["per_second"], 50.0);
    EXPECT_EQ(report["requests"]["answered"], 100);
    EXPECT_EQ(report["tcp"]["client"]["ActiveOpens"], 100);
    EXPECT_EQ(report["tcp"]["server"]["PassiveOpens"], 100);
    EXPECT_EQ(report["packets"]["client_tx"], report["packets"]["server_rx"]);
    EXPECT_EQ(report["packets"]["server_tx"], report["packets"]["client_rx"]);
    EXPECT_EQ(report["cycles_per_connection"]["client"], 1000.0);
    EXPECT_EQ(report["cycles_per_connection"]["server"], 500.0);
    EXPECT_EQ(report["time_wait"]["client"], 100);
    EXPECT_EQ(report["latency_us"]["handshake"]["count"], 100);
}

TEST(Report, LatencyIsInMicroseconds) {
    Result result = result_of(hundred_connections());
    result.client->handshake.clear();
    result.client->handshake.record(1'500'000);
    const json report = to_json(result);
    EXPECT_EQ(report["latency_us"]["handshake"]["p50"], 1500.0);
    EXPECT_EQ(report["latency_us"]["handshake"]["max"], 1500.0);
}

TEST(Report, SideThatTookNoPartIsNull) {
    Result result = result_of(hundred_connections());
    result.server.reset();
    result.server_side.reset();
    const json report = to_json(result);
    EXPECT_TRUE(report["tcp"]["server"].is_null());
    EXPECT_TRUE(report["packets"]["server_tx"].is_null());
    EXPECT_TRUE(report["cycles_per_connection"]["server"].is_null());
    EXPECT_TRUE(report["stalls"]["server"].is_null());
    EXPECT_FALSE(report["tcp"]["client"].is_null());
}

TEST(Report, ServerAloneIsReported) {
    Result result = result_of(hundred_connections());
    result.client.reset();
    result.client_side.reset();
    const json report = to_json(result);
    EXPECT_EQ(report["connections"]["opened"], 100);
    EXPECT_TRUE(report["tcp"]["client"].is_null());
    EXPECT_NE(to_text(result).find("100 accepted"), std::string::npos);
}

TEST(Report, RunInOrderIsClean) {
    EXPECT_TRUE(clean(result_of(hundred_connections())));
    EXPECT_TRUE(clean(result_of(hundred_connections(3))));
}

TEST(Report, RunThatEndsWithResetsIsCleanWhenTheyWereAskedFor) {
    ClientConfig config = hundred_connections();
    config.close = CloseBy::rst;
    Result result = result_of(config);
    EXPECT_FALSE(clean(result));
    result.client_resets = true;
    EXPECT_TRUE(clean(result));
}

TEST(Report, EachKindOfFailureMakesTheRunUnclean) {
    using Spoil = void (*)(Result&);
    const Result good = result_of(hundred_connections(1));
    const Spoil spoils[] = {
        [](Result& r) { ++r.client->failed; },     [](Result& r) { ++r.client->reset; },
        [](Result& r) { ++r.client->timed_out; },  [](Result& r) { ++r.client->abandoned; },
        [](Result& r) { ++r.client->violations; }, [](Result& r) { ++r.client->opened; },
        [](Result& r) { --r.client->responses; },  [](Result& r) { ++r.server->accepted; },
        [](Result& r) { --r.server->closed; },     [](Result& r) { ++r.leaks.connections; },
        [](Result& r) { ++r.leaks.buffers; },      [](Result& r) { ++r.leaks.timers; },
    };
    for (const Spoil spoil : spoils) {
        Result result = good;
        spoil(result);
        EXPECT_FALSE(clean(result)) << "spoil " << &spoil - &spoils[0];
        EXPECT_NE(to_text(result).find("NOT CLEAN"), std::string::npos);
    }
}

TEST(Report, RunThatOpenedNothingIsNotClean) {
    Result result;
    result.client.emplace();
    result.client_side.emplace();
    EXPECT_FALSE(clean(result));
}

TEST(Report, TextStatesTheConditions) {
    const std::string text = to_text(result_of(hundred_connections()));
    EXPECT_NE(text.find("synfin pair 1.2.3: connect over ring"), std::string::npos);
    EXPECT_NE(text.find("2MSL 1 s"), std::string::npos);
    EXPECT_NE(text.find("100 opened, 100 established, 100 closed\n"), std::string::npos);
    EXPECT_NE(text.find("every connection went through its whole life in order"),
              std::string::npos);
}

TEST(Report, LongestStallOfAllWorkersIsTheLongest) {
    WorkerTime sum;
    for (const int64_t ms : {2, 7, 5}) {
        WorkerTime part;
        part.judge(Duration::milliseconds(ms));
        add(sum, part);
    }
    EXPECT_EQ(sum.stalls, 3u);
    EXPECT_EQ(sum.stalled_ns, 14'000'000u);
    EXPECT_EQ(sum.longest_stall_ns, 7'000'000u);
}

TEST(Report, WorkersAreSummedUp) {
    ClientStatistics one;
    one.opened = 3;
    one.handshake.record(1000);
    ClientStatistics two;
    two.opened = 4;
    two.handshake.record(5000);
    ClientStatistics sum;
    add(sum, one);
    add(sum, two);
    EXPECT_EQ(sum.opened, 7u);
    EXPECT_EQ(sum.handshake.count(), 2u);
    EXPECT_EQ(sum.handshake.max(), 5000u);
}

TEST(LiveLine, TellsOfTheIntervalAndNotOfTheWholeRun) {
    Sample before;
    before.opened = 1'000'000;
    before.closed = 999'000;
    before.packets = 5'000'000;
    before.retransmissions = 7;
    before.failures = 3;
    for (int i = 0; i < 1000; ++i) before.handshake.record(60'000);
    Sample now = before;
    now.opened += 600'000;
    now.closed += 500'000;
    now.packets += 3'000'000;
    now.concurrent = 101'000;
    now.retransmissions += 2;
    for (int i = 0; i < 100; ++i) now.handshake.record(2'000'000);
    const std::string line =
        live_line(before, now, Duration::seconds(4), Duration::milliseconds(500));
    EXPECT_NE(line.find("4 s"), std::string::npos) << line;
    EXPECT_NE(line.find("opened/s  1.20M"), std::string::npos) << line;
    EXPECT_NE(line.find("closed/s  1.00M"), std::string::npos) << line;
    EXPECT_NE(line.find("concurrent   101k"), std::string::npos) << line;
    EXPECT_NE(line.find("packets/s  6.00M"), std::string::npos) << line;
    EXPECT_NE(line.find("retransmissions 2"), std::string::npos) << line;
    EXPECT_NE(line.find("failures 0"), std::string::npos) << line;
    // All handshakes of the interval took 2 ms; the 1000 faster ones were before.
    EXPECT_NE(line.find("p50   2.00 ms"), std::string::npos) << line;
}

TEST(Report, SaysHowManyLeftTimeWaitEarly) {
    Result result = result_of(hundred_connections());
    EXPECT_EQ(to_text(result).find("before 2MSL"), std::string::npos);
    result.client_side->tcp["TCPTimeWaitOverflow"] = 1234;
    EXPECT_NE(to_text(result).find("100 in TIME_WAIT at the end, 1,234 left it before 2MSL"),
              std::string::npos);
}

TEST(Report, SaysForHowLongTheCoreWasNotTheWorkers) {
    const Result result = result_of(hundred_connections());
    const json report = to_json(result);
    EXPECT_EQ(report["stalls"]["client"]["count"], 2) << "half a millisecond is no stall yet";
    EXPECT_EQ(report["stalls"]["client"]["us"], 3700.0);
    EXPECT_EQ(report["stalls"]["client"]["longest_us"], 3000.0);
    EXPECT_EQ(report["stalls"]["client"]["share"], 0.1);
    EXPECT_EQ(report["stalls"]["server"]["count"], 0);
    const std::string text = to_text(result);
    const size_t place = text.find("away for 10.0 % of the time in 2 stalls, the longest 3.00 ms");
    ASSERT_NE(place, std::string::npos) << text;
    EXPECT_EQ(text.find("stalls", place + 40), std::string::npos) << "the server had none";
}

TEST(Report, HeldConnectionsAreNoPartOfTheRates) {
    ClientConfig config = hundred_connections(1);
    config.held = 60;
    const Result result = result_of(config);
    const json report = to_json(result);
    EXPECT_EQ(report["connections"]["closed"], 160);
    EXPECT_EQ(report["connections"]["held"], 60);
    EXPECT_EQ(report["connections"]["per_second"], 50);
    EXPECT_EQ(report["requests"]["per_second"], 50);
    const std::string text = to_text(result);
    EXPECT_NE(text.find("2.00 s, 50 connections/s"), std::string::npos) << text;
    EXPECT_NE(text.find("60 of them were held"), std::string::npos) << text;
}

TEST(PercentileBetween, IsThatOfWhatWasRecordedInBetween) {
    Histogram before;
    for (int i = 0; i < 100; ++i) before.record(10);
    Histogram after = before;
    for (uint64_t value = 1; value <= 10; ++value) after.record(value);
    EXPECT_EQ(percentile_between(before, after, 0.5), 5u);
    EXPECT_EQ(percentile_between(before, after, 1.0), 10u);
    EXPECT_EQ(percentile_between(after, after, 0.5), 0u);
}

TEST(Sample, CollectsFromWorkersAndApplications) {
    LoadRun run{hundred_connections(), {}};
    ASSERT_TRUE(run.to_the_end());
    Sample sample;
    sample.add(run.client->statistics());
    sample.add_packets(*run.hosts.client_worker);
    sample.add_retransmissions(*run.hosts.client_worker);
    EXPECT_EQ(sample.opened, 100u);
    EXPECT_EQ(sample.closed, 100u);
    EXPECT_EQ(sample.failures, 0u);
    EXPECT_EQ(sample.retransmissions, 0u);
    EXPECT_GE(sample.packets, 500u);
}

}  // namespace
}  // namespace synfin::load::test
