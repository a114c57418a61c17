// What of a load's options is refused before anything is started.
#include "load_options.hpp"

#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

namespace synfin::apps {
namespace {

constexpr uint64_t plenty = uint64_t{1} << 40;

struct Checked {
    LoadOptions load;
    OptionTable table;
    uint64_t workers = 1;
    uint64_t max_connections = 1000;
    uint64_t memory_bytes = plenty;

    Checked() { load.attach(table); }
    Checked& read(const std::string& arguments) {
        CLI::App app;
        table.attach(app);
        app.parse(arguments);
        table.apply();
        return *this;
    }
    void check() const { load.check(table, workers, max_connections, 2, memory_bytes); }
    /// The sentence with which the options are refused as a usage error.
    std::string refusal() const {
        try {
            check();
        } catch (const UsageError& error) {
            return error.what();
        }
        return "";
    }
};

TEST(LoadOptions, WhatFitsTogetherIsTaken) {
    for (const char* arguments :
         {"--concurrency 1000", "--mode request --requests 5 --host a --path /b --concurrency 5",
          "--close rst --first server", "--mode request --close rst", "--rate 100k"}) {
        Checked options;
        EXPECT_NO_THROW(options.read(arguments).check()) << arguments;
    }
}

TEST(LoadOptions, HoldingContradictsWhatOpensOrEndsConnectionsOtherwise) {
    EXPECT_NE(Checked{}.read("--hold --concurrency 5 --held 5").refusal(), "");
    EXPECT_NE(Checked{}.read("--hold --concurrency 5 --rate 100").refusal(), "");
    EXPECT_NE(Checked{}.read("--held 5 --concurrency 5 --first server").refusal(), "");
    EXPECT_NE(Checked{}.read("--held 996 --concurrency 5").refusal(), "");
}

TEST(LoadOptions, HeldConnectionsAreAllOfTheConcurrencyOrBesideIt) {
    Checked all;
    all.read("--hold --concurrency 50").check();
    EXPECT_EQ(all.load.client_config(0, 2, 1000).held, 25u);
    EXPECT_EQ(all.load.client_config(0, 2, 1000).concurrency, 0u);
    Checked beside;
    beside.read("--held 50 --concurrency 10").check();
    EXPECT_EQ(beside.load.client_config(0, 2, 1000).held, 25u);
    EXPECT_EQ(beside.load.client_config(0, 2, 1000).concurrency, 5u);
}

TEST(LoadOptions, OptionsOfARequestAreRefusedWhereNothingIsRequested) {
    for (const char* arguments : {"--host a", "--path /a"}) {
        const std::string sentence = Checked{}.read(arguments).refusal();
        EXPECT_NE(sentence.find("add --mode request"), std::string::npos) << arguments;
    }
}

TEST(LoadOptions, NumberOfRequestsImpliesTheModeAndContradictsConnect) {
    Checked options;
    options.read("--requests 5");
    EXPECT_NO_THROW(options.check());
    EXPECT_EQ(options.load.client_config(0, 1, 10).requests, 5u);
    EXPECT_EQ(options.load.mode_name(), "requests=5");
    EXPECT_NE(Checked{}.read("--mode connect --requests 5").refusal(), "");
}

TEST(LoadOptions, ModeRequestAsksOnce) {
    Checked options;
    options.read("--mode request");
    EXPECT_EQ(options.load.client_config(0, 1, 10).requests, 1u);
    EXPECT_EQ(options.load.mode_name(), "request");
}

TEST(LoadOptions, ResetByTheServerBehindAResponseIsRefused) {
    const std::string sentence =
        Checked{}.read("--mode request --close rst --first server").refusal();
    EXPECT_NE(sentence.find("the client must be the first"), std::string::npos) << sentence;
}

TEST(LoadOptions, WorkersWithoutAnythingToDoAreRefused) {
    for (const char* arguments : {"--concurrency 3", "--connections 3"}) {
        Checked options;
        options.workers = 4;
        EXPECT_NE(options.read(arguments).refusal().find("each of 4 workers"), std::string::npos);
        options.workers = 3;
        EXPECT_EQ(options.refusal(), "");
    }
}

TEST(LoadOptions, ConcurrencyBeyondTheWorkersLimitIsRefused) {
    EXPECT_NE(Checked{}.read("--concurrency 1001").refusal().find("--max-connections allows 1000"),
              std::string::npos);
}

TEST(LoadOptions, TablesOfAClosedLoopFollowItsConcurrencyAndWhatIsHeld) {
    const auto fitted = [](const char* arguments) {
        Checked options;
        options.workers = 2;
        options.read(arguments);
        options.load.fit_tables(options.table, options.workers, options.max_connections);
        return options.max_connections;
    };
    EXPECT_EQ(fitted("--concurrency 512"), 16384u);
    EXPECT_EQ(fitted("--concurrency 100000"), 200'000u);
    EXPECT_EQ(fitted("--concurrency 512 --held 1000000"), 16384u + 500'001u);
    EXPECT_EQ(fitted("--concurrency 1000000 --hold"), 16384u + 500'001u);
    // As many as may come.
    EXPECT_EQ(fitted("--rate 1000"), 1000u);
}

TEST(LoadOptions, ConcurrencyBeyondTheMemoryIsRefusedWithBothAmounts) {
    Checked options;
    options.memory_bytes = uint64_t{100} << 20;
    options.max_connections = 10'000'000;
    options.read("--concurrency 1M");
    try {
        options.check();
        FAIL() << "was taken";
    } catch (const RunError& error) {
        const std::string sentence = error.what();
        EXPECT_NE(sentence.find("488 MB"), std::string::npos) << sentence;
        EXPECT_NE(sentence.find("100 MB"), std::string::npos) << sentence;
    }
}

TEST(LoadOptions, SharesOfTheWorkersAddUp) {
    Checked options;
    options.read("--concurrency 10 --connections 11 --rate 100");
    uint64_t concurrency = 0;
    uint64_t connections = 0;
    double rate = 0;
    for (unsigned worker = 0; worker < 4; ++worker) {
        const load::ClientConfig config = options.load.client_config(worker, 4, 1000);
        concurrency += config.concurrency;
        connections += config.connections;
        rate += config.rate;
    }
    EXPECT_EQ(concurrency, 10u);
    EXPECT_EQ(connections, 11u);
    EXPECT_DOUBLE_EQ(rate, 100);
}

TEST(LoadOptions, AvailableMemoryIsKnown) {
    EXPECT_GT(available_memory_bytes(), uint64_t{1} << 20);
    EXPECT_LT(available_memory_bytes(), uint64_t{1} << 60);
}

}  // namespace
}  // namespace synfin::apps
