#include "packet.hpp"

#include <cstdio>

namespace synfin::conformance {

namespace {

std::string flags_text(wire::TcpFlags f) {
    std::string text;
    if (f.fin()) text += 'F';
    if (f.syn()) text += 'S';
    if (f.rst()) text += 'R';
    if (f.psh()) text += 'P';
    if (f.urg()) text += 'U';
    if (f.ece()) text += 'E';
    if (f.cwr()) text += 'W';
    if (f.ack()) text += '.';
    return "[" + (text.empty() ? "none" : text) + "]";
}

std::string number(uint32_t n) { return std::to_string(n); }

/// Relative sequence numbers just below zero read better as negative ones.
std::string relative(uint32_t n) {
    return n > 0xffff'0000u ? std::to_string(static_cast<int32_t>(n)) : std::to_string(n);
}

std::string option_list(const std::vector<std::string>& options) {
    if (options.empty()) return "";
    std::string text = ", <";
    for (const auto& option : options) text += (text.size() > 3 ? "," : "") + option;
    return text + ">";
}

std::string blocks_text(const std::vector<RelativeBlock>& blocks) {
    std::string text = "sack";
    for (const auto& b : blocks) text += " " + relative(b.left) + ":" + relative(b.right);
    return text;
}

}  // namespace

std::string milliseconds_text(int64_t us) {
    char text[40];
    std::snprintf(text, sizeof text, "%.3f ms", static_cast<double>(us) / 1000.0);
    return text;
}

std::string to_text(const Sent& s) {
    std::string text = flags_text(s.flags) + ", seq " + relative(s.seq);
    if (s.flags.ack()) text += ", ack " + relative(s.ack);
    text += ", win " + number(s.window);
    std::vector<std::string> options;
    const auto& o = s.options;
    if (o.has_mss) options.push_back("mss " + number(o.mss));
    if (o.has_window_scale) options.push_back("wscale " + number(o.window_scale));
    if (o.sack_permitted) options.push_back("sackOK");
    if (o.has_timestamps)
        options.push_back("TS val " + number(o.ts_value) + " ecr " + number(o.ts_echo));
    if (!s.sack_blocks.empty()) options.push_back(blocks_text(s.sack_blocks));
    return text + option_list(options) + ", length " + std::to_string(s.payload.size());
}

std::string to_text(const Packet& p) {
    std::string text = flags_text(p.flags);
    if (p.push_presence == Presence::required) text += " with PSH";
    if (p.push_presence == Presence::forbidden) text += " without PSH";
    if (p.sequence) text += ", seq " + relative(*p.sequence);
    if (p.acknowledgment) text += ", ack " + relative(*p.acknowledgment);
    if (p.window_field) text += ", win " + number(*p.window_field);
    std::vector<std::string> options;
    if (p.mss_option) options.push_back("mss " + number(*p.mss_option));
    if (p.mss_presence == Presence::forbidden) options.push_back("no mss");
    if (p.scale_option) options.push_back("wscale " + number(*p.scale_option));
    if (p.scale_presence == Presence::forbidden) options.push_back("no wscale");
    if (p.sack_permitted_presence == Presence::required) options.push_back("sackOK");
    if (p.sack_permitted_presence == Presence::forbidden) options.push_back("no sackOK");
    if (p.timestamp_presence == Presence::required)
        options.push_back("TS val " + (p.ts_value ? number(*p.ts_value) : "any") + " ecr " +
                          (p.ts_echo ? number(*p.ts_echo) : "any"));
    if (p.timestamp_presence == Presence::forbidden) options.push_back("no TS");
    if (p.sack_blocks) options.push_back(blocks_text(*p.sack_blocks));
    return text + option_list(options) + ", length " +
           (p.any_payload ? "any" : number(p.length_bytes));
}

std::string difference(const Packet& e, const Sent& s) {
    const auto mask = static_cast<uint8_t>(~wire::flag::psh.bits());
    if ((e.flags.bits() & mask) != (s.flags.bits() & mask)) return "the flags differ";
    if (e.flags.urg() && s.urgent != e.urgent_pointer)
        return "the urgent pointer is " + std::to_string(s.urgent);
    if (e.push_presence == Presence::required && !s.flags.psh()) return "PSH is missing";
    if (e.push_presence == Presence::forbidden && s.flags.psh()) return "PSH is set";
    if (e.ecn && *e.ecn != s.ecn) return "the ECN codepoint differs";
    if (e.sequence && *e.sequence != s.seq) return "the sequence number differs";
    if (e.acknowledgment && *e.acknowledgment != s.ack) return "the acknowledgment differs";
    if (e.any_payload ? s.payload.empty() : e.length_bytes != s.payload.size())
        return "the payload's length differs";
    if (e.content && *e.content != s.payload) return "the payload differs";
    if (s.reply_without_connection) return "";
    if (e.window_field && *e.window_field != s.window) return "the window differs";
    const auto& o = s.options;
    if (e.mss_option && !(o.has_mss && o.mss == *e.mss_option)) return "the MSS differs";
    if (e.mss_presence == Presence::forbidden && o.has_mss) return "there is an MSS";
    if (e.scale_option && !(o.has_window_scale && o.window_scale == *e.scale_option))
        return "the window scale differs";
    if (e.scale_presence == Presence::forbidden && o.has_window_scale)
        return "there is a window scale";
    if (e.sack_permitted_presence == Presence::required && !o.sack_permitted)
        return "SACK-permitted is missing";
    if (e.sack_permitted_presence == Presence::forbidden && o.sack_permitted)
        return "SACK-permitted is set";
    if (e.timestamp_presence == Presence::required && !o.has_timestamps)
        return "timestamps are missing";
    if (e.timestamp_presence == Presence::forbidden && o.has_timestamps)
        return "there are timestamps";
    if (e.user_timeout_option &&
        !(o.has_user_timeout && o.user_timeout == *e.user_timeout_option)) {
        return "the user timeout differs";
    }
    if (e.sack_blocks && *e.sack_blocks != s.sack_blocks) return "the SACK blocks differ";
    if (e.ts_value && *e.ts_value != o.ts_value) return "TSval differs";
    if (e.ts_echo && *e.ts_echo != o.ts_echo) return "TSecr differs";
    return "";
}

}  // namespace synfin::conformance
