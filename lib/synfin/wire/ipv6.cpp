#include <synfin/wire/icmp6.hpp>
#include <synfin/wire/ipv6.hpp>

namespace synfin::wire {

namespace {

/// Walks the options of a hop-by-hop or destination options header (RFC 8200 section 4.2), which
/// begin at the octet `begin` of the packet. None is known here but padding; the two highest bits
/// of a type say whether that matters: skip, discard, or discard and tell. Whether the destination
/// was a group, where 3 asks for silence and 2 does not, makes no difference here: what comes to a
/// group is not answered.
Drop check_options(std::span<const uint8_t> options, size_t begin, Ipv6Problem& problem) {
    constexpr uint8_t pad1 = 0;
    for (size_t i = 0; i < options.size();) {
        if (options[i] == pad1) {
            ++i;
            continue;
        }
        if (options.size() - i < 2) return Drop::ip_bad_extension;
        const size_t length = size_t{2} + options[i + 1];
        if (length > options.size() - i) return Drop::ip_bad_extension;
        const unsigned action = options[i] >> 6;
        if (action >= 2) {
            problem = {true, icmp6_code::unrecognized_option, static_cast<uint32_t>(begin + i)};
        }
        if (action != 0) return Drop::ip_unknown_option;
        i += length;
    }
    return Drop::none;
}

}  // namespace

bool carries_icmp6_error(std::span<const uint8_t> packet) {
    uint8_t header = packet[6];
    size_t at = Ipv6View::header_bytes;
    while (Ipv6View::is_extension(header) && header != ipv6_extension::no_next_header &&
           at + 8 <= packet.size()) {
        const bool fragment = header == ipv6_extension::fragment;
        header = packet[at];
        at += fragment ? Ipv6View::fragment_header_bytes : size_t{8} + size_t{8} * packet[at + 1];
    }
    constexpr uint8_t first_that_is_no_error = 128;
    return header == ip_protocol::icmp6 && at < packet.size() &&
           packet[at] < first_that_is_no_error;
}

Drop Ipv6View::walk_extensions(Ipv6Problem& problem) {
    for (unsigned n = 0; is_extension(protocol_); ++n) {
        if (protocol_ == ipv6_extension::no_next_header) return Drop::ip_no_payload;
        const size_t left = total_ - header_;
        if (n == ipv6_extensions_max || left < 8) return Drop::ip_bad_extension;
        const uint8_t* extension = at_ + header_;
        size_t length = size_t{8} + size_t{8} * extension[1];
        if (protocol_ == ipv6_extension::fragment) {
            if (fragment_header_) return Drop::ip_bad_extension;
            fragment_header_ = true;
            length = fragment_header_bytes;
            // Offset and M; an atomic fragment has neither, and is none.
            if ((load_be16(extension + 2) & 0xfff9u) != 0) {
                fragment_ = true;
                protocol_ = extension[0];
                header_ += length;
                return Drop::none;
            }
        } else if (length > left) {
            return Drop::ip_bad_extension;
        } else if (protocol_ == ipv6_extension::routing) {
            if (extension[3] != 0) {
                problem = {true, icmp6_code::erroneous_field, static_cast<uint32_t>(header_ + 2)};
                return Drop::ip_source_routed;
            }
        } else {
            if (protocol_ == ipv6_extension::hop_by_hop && n != 0) {
                problem = {true, icmp6_code::unrecognized_next_header,
                           static_cast<uint32_t>(named_at_)};
                return Drop::ip_bad_extension;
            }
            const Drop drop = check_options({extension + 2, length - 2}, header_ + 2, problem);
            if (drop != Drop::none) return drop;
        }
        named_at_ = header_;
        protocol_ = extension[0];
        header_ += length;
    }
    return Drop::none;
}

}  // namespace synfin::wire
