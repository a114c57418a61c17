#include <gtest/gtest.h>

#include <synfin/wire/address.hpp>

namespace synfin::wire {
namespace {

std::string round_trip(std::string_view text) {
    const auto address = parse_ip_address(text);
    return address ? to_string(*address) : "refused";
}

TEST(Address, Ipv4IsReadAndWrittenInDottedDecimal) {
    EXPECT_EQ(parse_ip_address("198.18.0.1"), IpAddress::v4(198, 18, 0, 1));
    for (const char* text : {"0.0.0.0", "255.255.255.255", "10.0.200.9"}) {
        EXPECT_EQ(round_trip(text), text);
    }
}

TEST(Address, BadIpv4IsRefused) {
    for (const char* text :
         {"", ".", "1", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "256.0.0.1", "1.2.3.4 ",
          " 1.2.3.4", "01.2.3.4", "1.2.3.00", "0x1.2.3.4", "+1.2.3.4", "-1.2.3.4", "1.2.3.4/24",
          "1.2.3.99999999999", "a.b.c.d"}) {
        EXPECT_EQ(parse_ip_address(text), std::nullopt) << text;
    }
}

TEST(Address, Ipv6IsWrittenInTheCanonicalForm) {
    // RFC 5952 sections 4.1 to 4.3
    const std::pair<const char*, const char*> table[] = {
        {"2001:0DB8:0:0:0:0:0:1", "2001:db8::1"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"0:0:0:0:0:0:0:0", "::"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
        {"fe80::a:B", "fe80::a:b"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
        {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
    };
    for (const auto& [text, canonical] : table) EXPECT_EQ(round_trip(text), canonical) << text;
}

TEST(Address, Ipv6KeepsTheOrderOfItsGroups) {
    EXPECT_EQ(parse_ip_address("1:2:3:4:5:6:7:8"),
              IpAddress::v6(0x0001'0002'0003'0004, 0x0005'0006'0007'0008));
}

TEST(Address, AnIpv4MappedAddressIsIpv4) {
    EXPECT_EQ(parse_ip_address("::ffff:192.0.2.1"), IpAddress::v4(192, 0, 2, 1));
}

TEST(Address, BadIpv6IsRefused) {
    for (const char* text : {":",
                             ":::",
                             "1:2:3:4:5:6:7",
                             "1:2:3:4:5:6:7:8:9",
                             "1:2:3:4:5:6:7:8::",
                             "::1::2",
                             "1:::2",
                             ":1::2",
                             "1::2:",
                             "12345::",
                             "g::1",
                             "1:2:3:4:5:6:7:1.2.3.4",
                             "::1.2.3",
                             "1.2.3.4::",
                             "::1.2.3.4:5",
                             "fe80::1%eth0",
                             "[::1]",
                             " ::1",
                             "::1 ",
                             "::1:2:3:4:5:6:7:8",
                             "::-1"}) {
        EXPECT_EQ(parse_ip_address(text), std::nullopt) << text;
    }
}

TEST(Prefix, BitsBehindThePrefixAreCleared) {
    EXPECT_EQ(to_string(*parse_ip_prefix("198.18.77.1/15")), "198.18.0.0/15");
    EXPECT_EQ(to_string(*parse_ip_prefix("2001:db8:1:2:3::9/36")), "2001:db8::/36");
    EXPECT_EQ(to_string(*parse_ip_prefix("2001:db8:1:2:3::9/100")), "2001:db8:1:2:3::/100");
    EXPECT_EQ(to_string(*parse_ip_prefix("9.9.9.9/0")), "0.0.0.0/0");
    EXPECT_EQ(to_string(*parse_ip_prefix("::ffff:10.1.2.3/104")), "10.0.0.0/8");
}

TEST(Prefix, BadPrefixesAreRefused) {
    for (const char* text :
         {"", "/", "1.2.3.4", "1.2.3.4/", "/24", "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/024",
          "1.2.3.4/24 ", "::/129", "::1", "1.2.3/8", "1.2.3.4/8/8", "::ffff:1.2.3.4/95"}) {
        EXPECT_EQ(parse_ip_prefix(text), std::nullopt) << text;
    }
}

TEST(Prefix, ContainsWhatSharesItsBits) {
    const IpPrefix block = *parse_ip_prefix("198.18.0.0/15");
    EXPECT_TRUE(block.contains(*parse_ip_address("198.18.0.0")));
    EXPECT_TRUE(block.contains(*parse_ip_address("198.19.255.255")));
    EXPECT_FALSE(block.contains(*parse_ip_address("198.20.0.0")));
    EXPECT_FALSE(block.contains(*parse_ip_address("198.17.255.255")));
    const IpPrefix host = *parse_ip_prefix("10.0.0.1/32");
    EXPECT_TRUE(host.contains(*parse_ip_address("10.0.0.1")));
    EXPECT_FALSE(host.contains(*parse_ip_address("10.0.0.0")));
    const IpPrefix v6 = *parse_ip_prefix("2001:db8::/65");
    EXPECT_TRUE(v6.contains(*parse_ip_address("2001:db8::7fff:0:0:1")));
    EXPECT_FALSE(v6.contains(*parse_ip_address("2001:db8::8000:0:0:0")));
}

TEST(Prefix, NeverContainsAnAddressOfTheOtherFamily) {
    EXPECT_FALSE(parse_ip_prefix("::/0")->contains(*parse_ip_address("10.0.0.1")));
    EXPECT_FALSE(parse_ip_prefix("0.0.0.0/0")->contains(*parse_ip_address("2001:db8::1")));
    EXPECT_TRUE(parse_ip_prefix("::/0")->contains(*parse_ip_address("2001:db8::1")));
    EXPECT_TRUE(parse_ip_prefix("0.0.0.0/0")->contains(*parse_ip_address("10.0.0.1")));
}

TEST(SocketAddress, IsReadAndWritten) {
    for (const char* text : {"1.2.3.4:80", "0.0.0.0:0", "[::1]:65535", "[2001:db8::1]:443"}) {
        const auto address = parse_socket_address(text);
        ASSERT_TRUE(address) << text;
        EXPECT_EQ(to_string(*address), text);
    }
    EXPECT_EQ(parse_socket_address("[::1]:80")->port, 80);
}

TEST(SocketAddress, BadOnesAreRefused) {
    for (const char* text : {"", ":", "1.2.3.4", "1.2.3.4:", ":80", "1.2.3.4:65536", "1.2.3.4:-1",
                             "1.2.3.4:080", "1.2.3.4:80 ", "::1:80", "[::1]", "[::1]:", "[::1:80",
                             "::1]:80", "[1.2.3.4]:80", "[]:80", "host:80"}) {
        EXPECT_EQ(parse_socket_address(text), std::nullopt) << text;
    }
}

TEST(MacAddress, IsReadAndWritten) {
    EXPECT_EQ(to_string(*parse_mac_address("02:00:00:Ab:cD:ef")), "02:00:00:ab:cd:ef");
    EXPECT_EQ(parse_mac_address("ff:ff:ff:ff:ff:ff"), MacAddress::broadcast());
    EXPECT_EQ(parse_mac_address("01:02:03:04:05:06"), (MacAddress{{1, 2, 3, 4, 5, 6}}));
}

TEST(MacAddress, BadOnesAreRefused) {
    for (const char* text :
         {"", "02:00:00:00:00", "02:00:00:00:00:00:00", "2:0:0:0:0:0", "02-00-00-00-00-01",
          "02:00:00:00:00:0g", "020000000001", "02:00:00:00:00:1 ", "02:00:00:00:00 01"}) {
        EXPECT_EQ(parse_mac_address(text), std::nullopt) << text;
    }
}

}  // namespace
}  // namespace synfin::wire
