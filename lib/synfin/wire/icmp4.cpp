#include <algorithm>
#include <array>

#include <synfin/wire/checksum.hpp>
#include <synfin/wire/icmp4.hpp>

namespace synfin::wire {

namespace {

/// Writes a message whose second word and body are given, checksum included.
size_t write_message(uint8_t* out, Icmp4Type type, uint8_t code, uint32_t second_word,
                     std::span<const uint8_t> body) {
    const uint16_t type_and_code = static_cast<uint16_t>(static_cast<unsigned>(type) << 8 | code);
    store_be16(out, type_and_code);
    store_be32(out + 4, second_word);
    const PartialSum sum = PartialSum::of16(type_and_code) + PartialSum::of32(second_word) +
                           copy_and_sum(out + Icmp4View::header_bytes, body.data(), body.size());
    store_checksum(out + 2, sum);
    return Icmp4View::header_bytes + body.size();
}

}  // namespace

tl::expected<Icmp4View, Drop> Icmp4View::checked(std::span<const uint8_t> message) {
    if (message.size() < header_bytes) return tl::unexpected{Drop::icmp_too_short};
    const PartialSum sum = sum_bytes(message.data(), message.size());
    if (sum.value() == 0 || !is_complete(sum)) {
        return tl::unexpected{Drop::icmp_bad_checksum};
    }
    return Icmp4View{message};
}

bool Icmp4View::is_error() const {
    switch (type()) {
        case Icmp4Type::destination_unreachable:
        case Icmp4Type::source_quench:
        case Icmp4Type::redirect:
        case Icmp4Type::time_exceeded:
        case Icmp4Type::parameter_problem: return true;
        case Icmp4Type::echo_reply:
        case Icmp4Type::echo_request: return false;
    }
    return false;
}

uint16_t plateau_below(uint32_t packet_bytes) {
    constexpr std::array<uint16_t, 10> plateaus{32000, 17914, 8166, 4352, 2002,
                                                1492,  1006,  508,  296,  68};
    const auto below = std::find_if(plateaus.begin(), plateaus.end(),
                                    [&](uint16_t plateau) { return plateau < packet_bytes; });
    return below == plateaus.end() ? plateaus.back() : *below;
}

size_t write_icmp4_echo(uint8_t* out, Icmp4Type type, uint16_t identifier, uint16_t sequence,
                        std::span<const uint8_t> data) {
    return write_message(out, type, 0, static_cast<uint32_t>(identifier) << 16 | sequence, data);
}

size_t write_icmp4_error(uint8_t* out, Icmp4Type type, uint8_t code, uint32_t rest,
                         std::span<const uint8_t> datagram) {
    return write_message(out, type, code, rest,
                         datagram.first(std::min(datagram.size(), icmp4_quote_bytes_max)));
}

}  // namespace synfin::wire
