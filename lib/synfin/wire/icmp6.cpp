#include <algorithm>

#include <synfin/wire/checksum.hpp>
#include <synfin/wire/icmp6.hpp>
#include <synfin/wire/ipv6.hpp>

namespace synfin::wire {

namespace {

constexpr size_t neighbor_message_bytes = 24;
constexpr uint8_t option_source_link_layer = 1;
constexpr uint8_t option_target_link_layer = 2;

PartialSum pseudo_header(const IpAddress& source, const IpAddress& destination, size_t length) {
    return pseudo_header_sum_ipv6(source, destination, ip_protocol::icmp6,
                                  static_cast<uint32_t>(length));
}

/// Fills in type, code, second word and checksum around a body that stands at out + 8 already.
size_t complete(uint8_t* out, Icmp6Type type, uint8_t code, uint32_t second_word, PartialSum body,
                size_t body_bytes, const IpAddress& source, const IpAddress& destination) {
    const size_t length = Icmp6View::header_bytes + body_bytes;
    const uint16_t type_and_code = static_cast<uint16_t>(static_cast<unsigned>(type) << 8 | code);
    store_be16(out, type_and_code);
    store_be32(out + 4, second_word);
    store_checksum(out + 2, pseudo_header(source, destination, length) + body +
                                PartialSum::of16(type_and_code) + PartialSum::of32(second_word));
    return length;
}

size_t write_neighbor_message(uint8_t* out, Icmp6Type type, uint32_t flags, uint8_t option,
                              const IpAddress& target, const MacAddress& mac,
                              const IpAddress& source, const IpAddress& destination) {
    uint8_t* body = out + Icmp6View::header_bytes;
    size_t body_bytes = 16;
    store_ipv6(body, target);
    if (!source.is_unspecified()) {
        body[body_bytes] = option;
        body[body_bytes + 1] = 1;  // in units of 8 bytes
        store_mac(body + body_bytes + 2, mac);
        body_bytes += 8;
    }
    return complete_icmp6(out, type, 0, flags, body_bytes, source, destination);
}

/// The rules of RFC 4861 sections 7.1.1 and 7.1.2.
Drop check_neighbor_message(std::span<const uint8_t> message, const Icmp6View& view,
                            const IpAddress& source, const IpAddress& destination,
                            uint8_t hop_limit) {
    if (message.size() < neighbor_message_bytes) return Drop::icmp_too_short;
    if (hop_limit != 255 || view.code() != 0 || is_ipv6_multicast(view.target())) {
        return Drop::nd_invalid;
    }
    for (size_t i = neighbor_message_bytes; i < message.size();) {
        if (message.size() - i < 8 || message[i + 1] == 0) return Drop::nd_invalid;
        const size_t length = size_t{8} * message[i + 1];
        if (length > message.size() - i) return Drop::nd_invalid;
        const bool link_layer =
            message[i] == option_source_link_layer || message[i] == option_target_link_layer;
        // An Ethernet address takes 8 bytes with its option, and no host answers to a group.
        if (link_layer && (length != 8 || (message[i + 2] & 1) != 0)) return Drop::nd_invalid;
        i += length;
    }
    const bool solicitation = view.type() == Icmp6Type::neighbor_solicitation;
    if (source.is_unspecified()) {
        // Only duplicate address detection has no source.
        if (!solicitation || destination != solicited_node_address(view.target()) ||
            view.link_layer_address()) {
            return Drop::nd_invalid;
        }
    }
    if (!solicitation && is_ipv6_multicast(destination) && view.solicited()) {
        return Drop::nd_invalid;
    }
    return Drop::none;
}

}  // namespace

tl::expected<Icmp6View, Drop> Icmp6View::checked(std::span<const uint8_t> message,
                                                 const IpAddress& source,
                                                 const IpAddress& destination, uint8_t hop_limit) {
    if (message.size() < header_bytes) return tl::unexpected{Drop::icmp_too_short};
    if (!is_complete(pseudo_header(source, destination, message.size()) +
                     sum_bytes(message.data(), message.size()))) {
        return tl::unexpected{Drop::icmp_bad_checksum};
    }
    const Icmp6View view{message};
    if (view.type() == Icmp6Type::neighbor_solicitation ||
        view.type() == Icmp6Type::neighbor_advertisement) {
        const Drop drop = check_neighbor_message(message, view, source, destination, hop_limit);
        if (drop != Drop::none) return tl::unexpected{drop};
    }
    return view;
}

std::optional<MacAddress> Icmp6View::link_layer_address() const {
    const uint8_t wanted = type() == Icmp6Type::neighbor_solicitation ? option_source_link_layer
                                                                      : option_target_link_layer;
    for (size_t i = neighbor_message_bytes; i < message_.size(); i += size_t{8} * message_[i + 1]) {
        if (message_[i] == wanted) return load_mac(&message_[i + 2]);
    }
    return std::nullopt;
}

size_t complete_icmp6(uint8_t* out, Icmp6Type type, uint8_t code, uint32_t second_word,
                      size_t body_bytes, const IpAddress& source, const IpAddress& destination) {
    return complete(out, type, code, second_word,
                    sum_bytes(out + Icmp6View::header_bytes, body_bytes), body_bytes, source,
                    destination);
}

size_t write_icmp6_echo(uint8_t* out, Icmp6Type type, uint16_t identifier, uint16_t sequence,
                        std::span<const uint8_t> data, const IpAddress& source,
                        const IpAddress& destination) {
    const PartialSum body = copy_and_sum(out + Icmp6View::header_bytes, data.data(), data.size());
    return complete(out, type, 0, static_cast<uint32_t>(identifier) << 16 | sequence, body,
                    data.size(), source, destination);
}

size_t write_icmp6_error(uint8_t* out, Icmp6Type type, uint8_t code, uint32_t rest,
                         std::span<const uint8_t> packet, const IpAddress& source,
                         const IpAddress& destination) {
    const size_t quoted = std::min(packet.size(), icmp6_quote_bytes_max);
    const PartialSum body = copy_and_sum(out + Icmp6View::header_bytes, packet.data(), quoted);
    return complete(out, type, code, rest, body, quoted, source, destination);
}

size_t write_neighbor_solicitation(uint8_t* out, const IpAddress& target, const MacAddress& our_mac,
                                   const IpAddress& source, const IpAddress& destination) {
    return write_neighbor_message(out, Icmp6Type::neighbor_solicitation, 0,
                                  option_source_link_layer, target, our_mac, source, destination);
}

size_t write_neighbor_advertisement(uint8_t* out, const IpAddress& target,
                                    const MacAddress& our_mac, bool solicited,
                                    const IpAddress& source, const IpAddress& destination) {
    const uint32_t flags = 0x20000000u | (solicited ? 0x40000000u : 0u);
    return write_neighbor_message(out, Icmp6Type::neighbor_advertisement, flags,
                                  option_target_link_layer, target, our_mac, source, destination);
}

IpAddress solicited_node_address(const IpAddress& target) {
    return IpAddress::v6(0xff02'0000'0000'0000, 0x1'ff00'0000 | (target.low() & 0xff'ffff));
}

MacAddress multicast_mac(const IpAddress& group) {
    MacAddress mac{{0x33, 0x33, 0, 0, 0, 0}};
    store_be32(mac.bytes.data() + 2, static_cast<uint32_t>(group.low()));
    return mac;
}

}  // namespace synfin::wire
