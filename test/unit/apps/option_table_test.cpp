// One table, two ways in: what the command line and a TOML file may say, and how what they may not
// say is refused.
#include "option_table.hpp"

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>
#include <unistd.h>

namespace synfin::apps {
namespace {

/// A TOML file that lives as long as the test.
class File {
  public:
    explicit File(const std::string& text) {
        static int number = 0;
        path_ = std::filesystem::temp_directory_path() /
                ("synfin-option-table-" + std::to_string(::getpid()) + "-" +
                 std::to_string(number++) + ".toml");
        std::ofstream{path_} << text;
    }
    ~File() { std::filesystem::remove(path_); }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    std::string path() const { return path_.string(); }

  private:
    std::filesystem::path path_;
};

/// A table with one option of each kind.
struct Options {
    uint64_t concurrency = 1;
    double rate = 0;
    uint64_t body = 64;
    Duration grace = Duration::seconds(5);
    std::optional<wire::IpAddress> gateway;
    std::string mode = "connect";
    std::string json;
    bool telemetry = false;
    std::vector<std::string> devices;
    OptionTable table;

    Options() {
        table.count("concurrency", "", concurrency, 1, 1'000'000);
        table.number("rate", "", rate, 0.001, 1e9);
        table.bytes("body", "", body, 0, 1u << 30);
        table.duration("grace", "", grace, Duration{}, Duration::hours(1));
        table.address("gateway", "", gateway);
        table.choice("mode", "", {"connect", "request"}, mode);
        table.text("json", "", json);
        table.flag("telemetry", "", telemetry);
        table.list("dev", "DEVICE", "",
                   [this](const std::string& text) -> std::optional<std::string> {
                       if (text.empty()) return "must name a device";
                       devices.push_back(text);
                       return std::nullopt;
                   });
    }

    void read(std::vector<std::string> arguments) {
        CLI::App app;
        table.attach(app);
        std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
        app.parse(arguments);
        table.apply();
    }
    /// The sentence with which the arguments are refused.
    std::string refusal(const std::vector<std::string>& arguments) {
        try {
            read(arguments);
        } catch (const UsageError& error) {
            return error.what();
        }
        return "";
    }
    std::string refusal_of_file(const std::string& text) {
        const File file{text};
        const std::string sentence = refusal({"--config", file.path()});
        const size_t place = sentence.find(file.path());
        return place == 0 ? sentence.substr(file.path().size()) : sentence;
    }
};

void expect_one_of_each_kind(const Options& o) {
    EXPECT_EQ(o.concurrency, 10'000u);
    EXPECT_EQ(o.rate, 1.5e6);
    EXPECT_EQ(o.body, 1024u);
    EXPECT_EQ(o.grace, Duration::milliseconds(200));
    EXPECT_EQ(o.gateway, wire::IpAddress::v4(198, 18, 0, 1));
    EXPECT_EQ(o.mode, "request");
    EXPECT_EQ(o.json, "out.json");
    EXPECT_TRUE(o.telemetry);
    EXPECT_EQ(o.devices, (std::vector<std::string>{"tap:a", "tap:b"}));
}

TEST(OptionTable, EveryKindIsReadFromTheCommandLine) {
    Options o;
    o.read({"--concurrency", "10k", "--rate", "1.5M", "--body", "1K", "--grace", "200ms",
            "--gateway", "198.18.0.1", "--mode", "request", "--json", "out.json", "--telemetry",
            "--dev", "tap:a", "--dev", "tap:b"});
    expect_one_of_each_kind(o);
}

TEST(OptionTable, HelpShowsTheKindOfEachValueAndWhatHoldsWithoutOne) {
    Options o;
    CLI::App app;
    o.table.attach(app);
    const std::string help = app.help();
    for (const char* shown : {"--concurrency N=1 ", "--body SIZE=64B ", "--grace TIME=5s ",
                              "--gateway IP ", "--mode connect|request=connect ", "--json TEXT ",
                              "--telemetry ", "--dev DEVICE ", "--rate N "}) {
        EXPECT_NE(help.find(shown), std::string::npos) << shown << "in\n" << help;
    }
}

TEST(OptionTable, EveryKindIsReadFromAFile) {
    const File file{
        "concurrency = 10_000\nrate = \"1.5M\"\nbody = \"1K\"\ngrace = \"200ms\"\n"
        "gateway = \"198.18.0.1\"\nmode = \"request\"\njson = \"out.json\"\ntelemetry = true\n"
        "dev = [\"tap:a\", \"tap:b\"]\n"};
    Options o;
    o.read({"--config", file.path()});
    expect_one_of_each_kind(o);
}

TEST(OptionTable, CommandLineWinsOverTheFile) {
    const File file{"concurrency = 5\nbody = 7\ndev = [\"tap:file\"]\n"};
    Options o;
    o.read({"--concurrency", "6", "--dev", "tap:line", "--config", file.path()});
    EXPECT_EQ(o.concurrency, 6u);
    EXPECT_EQ(o.body, 7u);
    EXPECT_EQ(o.devices, std::vector<std::string>{"tap:line"});
}

TEST(OptionTable, KnowsWhatWasGivenByEitherWay) {
    const File file{"body = 7\n"};
    Options o;
    o.read({"--concurrency", "6", "--config", file.path()});
    EXPECT_TRUE(o.table.given("concurrency"));
    EXPECT_TRUE(o.table.given("body"));
    EXPECT_FALSE(o.table.given("rate"));
}

TEST(OptionTable, SingleValueOfAListNeedsNoArray) {
    const File file{"dev = \"tap:a\"\n"};
    Options o;
    o.read({"--config", file.path()});
    EXPECT_EQ(o.devices, std::vector<std::string>{"tap:a"});
}

TEST(OptionTable, UnknownKeyIsRefusedWithItsLineAndTheClosestName) {
    EXPECT_EQ(Options{}.refusal_of_file("body = 1\n\nconcurency = 5\n"),
              ":3: unknown key 'concurency'; the closest known one is 'concurrency'");
}

TEST(OptionTable, ValueOutOfRangeIsRefusedWithItsLineAndItsRange) {
    const std::string sentence = Options{}.refusal_of_file("body = 1\nconcurrency = 0\n");
    EXPECT_EQ(sentence.substr(0, 2), ":2");
    EXPECT_NE(sentence.find("'concurrency' is '0'"), std::string::npos) << sentence;
    EXPECT_NE(sentence.find("from 1 to 1000000"), std::string::npos) << sentence;
}

TEST(OptionTable, EveryKindRefusesWhatItIsNotWithWhatWouldBeRight) {
    const std::vector<std::pair<std::string, std::string>> wrong = {
        {"concurrency = \"many\"", "whole number"},
        {"concurrency = 1.5", "whole number"},
        {"concurrency = -1", "whole number"},
        {"rate = \"fast\"", "number from"},
        {"body = \"1X\"", "size from"},
        {"grace = 5", "time from"},
        {"grace = \"2h\"", "time from"},
        {"gateway = \"nobody\"", "IP address"},
        {"mode = \"both\"", "one of connect, request"},
        {"telemetry = 1", "true or false"},
        {"dev = [[1]]", "name a device"},
    };
    for (const auto& [text, right] : wrong) {
        const std::string sentence = Options{}.refusal_of_file(text + "\n");
        EXPECT_EQ(sentence.substr(0, 2), ":1") << text;
        EXPECT_NE(sentence.find(right), std::string::npos) << text << " -> " << sentence;
    }
}

TEST(OptionTable, ArrayOrTableForASingleValueIsRefused) {
    EXPECT_NE(Options{}.refusal_of_file("body = [1, 2]\n").find("single value"), std::string::npos);
    EXPECT_NE(Options{}.refusal_of_file("[body]\nx = 1\n").find("single value"), std::string::npos);
}

TEST(OptionTable, BrokenFileIsRefusedWithItsLine) {
    EXPECT_EQ(Options{}.refusal_of_file("body = 1\nrate = = 2\n").substr(0, 3), ":2:");
}

TEST(OptionTable, MissingFileIsRefused) {
    const std::string sentence = Options{}.refusal({"--config", "/nonexistent/synfin.toml"});
    EXPECT_NE(sentence.find("/nonexistent/synfin.toml"), std::string::npos);
}

TEST(OptionTable, WrongValueOnTheCommandLineIsRefusedWithItsOption) {
    const std::string sentence = Options{}.refusal({"--rate", "fast"});
    EXPECT_NE(sentence.find("--rate is 'fast'"), std::string::npos) << sentence;
}

TEST(OptionTable, OptionGivenTwiceIsRefusedUnlessItIsAList) {
    Options o;
    EXPECT_THROW(o.read({"--rate", "1", "--rate", "2"}), CLI::ParseError);
}

TEST(OptionTable, UnknownOptionIsRefused) {
    Options o;
    EXPECT_THROW(o.read({"--speed", "1"}), CLI::ParseError);
}

}  // namespace
}  // namespace synfin::apps
