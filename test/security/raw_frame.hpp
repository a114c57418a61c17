// Frames as an attacker writes them: any field may lie. Checksums are right unless asked otherwise,
// computed here and not by the code under test.
#pragma once

#include <cstdint>
#include <vector>

namespace synfin::security {

struct RawFrame {
    std::vector<uint8_t> to_mac{2, 0, 0, 0, 0, 1};
    std::vector<uint8_t> from_mac{2, 0, 0, 0, 0, 9};
    uint32_t source = 0x0a00'0009;       // 10.0.0.9
    uint32_t destination = 0x0a00'0001;  // 10.0.0.1
    uint16_t source_port = 40'000;
    uint16_t destination_port = 80;
    uint32_t seq = 1000;
    uint32_t ack = 0;
    uint8_t flags = 0x02;
    uint16_t window = 65535;
    std::vector<uint8_t> options{};  ///< as they stand; padded to whole words with zeros
    std::vector<uint8_t> payload{};
    int data_offset = -1;      ///< in words; -1: the right one
    int ip_total_length = -1;  ///< -1: the right one
    uint8_t protocol = 6;
    uint16_t fragment = 0x4000;
    bool bad_tcp_checksum = false;

    std::vector<uint8_t> bytes() const {
        std::vector<uint8_t> tcp;
        std::vector<uint8_t> padded = options;
        while (padded.size() % 4 != 0) padded.push_back(0);
        put16(tcp, source_port), put16(tcp, destination_port);
        put32(tcp, seq), put32(tcp, ack);
        const int words = data_offset >= 0 ? data_offset : static_cast<int>(5 + padded.size() / 4);
        tcp.push_back(static_cast<uint8_t>(words << 4));
        tcp.push_back(flags);
        put16(tcp, window), put16(tcp, 0), put16(tcp, 0);
        tcp.insert(tcp.end(), padded.begin(), padded.end());
        tcp.insert(tcp.end(), payload.begin(), payload.end());
        std::vector<uint8_t> pseudo;
        put32(pseudo, source), put32(pseudo, destination);
        put16(pseudo, 6), put16(pseudo, static_cast<uint16_t>(tcp.size()));
        pseudo.insert(pseudo.end(), tcp.begin(), tcp.end());
        set16(tcp, 16, static_cast<uint16_t>(checksum(pseudo) ^ (bad_tcp_checksum ? 0x5555 : 0)));

        std::vector<uint8_t> ip{0x45, 0};
        put16(ip, ip_total_length >= 0 ? static_cast<uint16_t>(ip_total_length)
                                       : static_cast<uint16_t>(20 + tcp.size()));
        put16(ip, 0), put16(ip, fragment);
        ip.push_back(64), ip.push_back(protocol), put16(ip, 0);
        put32(ip, source), put32(ip, destination);
        set16(ip, 10, checksum(ip));

        std::vector<uint8_t> frame = to_mac;
        frame.insert(frame.end(), from_mac.begin(), from_mac.end());
        put16(frame, 0x0800);
        frame.insert(frame.end(), ip.begin(), ip.end());
        frame.insert(frame.end(), tcp.begin(), tcp.end());
        while (frame.size() < 60) frame.push_back(0);
        return frame;
    }

  private:
    static void put16(std::vector<uint8_t>& out, uint16_t v) {
        out.push_back(static_cast<uint8_t>(v >> 8)), out.push_back(static_cast<uint8_t>(v));
    }
    static void put32(std::vector<uint8_t>& out, uint32_t v) {
        put16(out, static_cast<uint16_t>(v >> 16)), put16(out, static_cast<uint16_t>(v));
    }
    static void set16(std::vector<uint8_t>& out, size_t at, uint16_t v) {
        out[at] = static_cast<uint8_t>(v >> 8), out[at + 1] = static_cast<uint8_t>(v);
    }
    static uint16_t checksum(const std::vector<uint8_t>& bytes) {
        uint32_t sum = 0;
        for (size_t i = 0; i < bytes.size(); i += 2)
            sum +=
                static_cast<uint32_t>(bytes[i] << 8) + (i + 1 < bytes.size() ? bytes[i + 1] : 0u);
        while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
        return static_cast<uint16_t>(~sum);
    }
};

}  // namespace synfin::security
