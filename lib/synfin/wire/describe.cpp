#include <synfin/wire/describe.hpp>
#include <synfin/wire/tcp.hpp>

namespace synfin::wire {

namespace {

std::string describe_flags(TcpFlags flags) {
    std::string text;
    const auto add = [&](bool set, const char* flag) {
        if (!set) return;
        if (!text.empty()) text += ',';
        text += flag;
    };
    add(flags.syn(), "SYN");
    add(flags.fin(), "FIN");
    add(flags.rst(), "RST");
    add(flags.psh(), "PSH");
    add(flags.ack(), "ACK");
    add(flags.urg(), "URG");
    add(flags.ece(), "ECE");
    add(flags.cwr(), "CWR");
    return '[' + text + ']';
}

std::string describe_options(const TcpOptions& options) {
    std::string text;
    const auto add = [&](const std::string& option) {
        if (!text.empty()) text += ", ";
        text += option;
    };
    if (options.has_mss) add("mss " + std::to_string(options.mss));
    if (options.sack_permitted) add("sack ok");
    if (options.has_timestamps) {
        add("ts " + std::to_string(options.ts_value) + ' ' + std::to_string(options.ts_echo));
    }
    if (options.has_window_scale) add("wscale " + std::to_string(options.window_scale));
    for (size_t i = 0; i < options.sack_count; ++i) {
        add("sack " + std::to_string(options.sack[i].left) + ':' +
            std::to_string(options.sack[i].right));
    }
    return text;
}

}  // namespace

std::string describe_tcp(std::span<const uint8_t> segment) {
    const auto tcp = TcpView::checked(segment);
    if (!tcp) return std::string{"not TCP: "} + description(tcp.error());
    std::string text = std::to_string(tcp->source_port()) + " > " +
                       std::to_string(tcp->destination_port()) + ' ' +
                       describe_flags(tcp->flags()) + " seq " + std::to_string(tcp->seq());
    if (tcp->flags().ack()) text += " ack " + std::to_string(tcp->ack());
    text += " win " + std::to_string(tcp->window());
    if (tcp->flags().urg()) text += " urg " + std::to_string(tcp->urgent());
    text += " len " + std::to_string(tcp->payload().size());
    TcpOptions options;
    if (!parse_tcp_options(tcp->options(), options)) return text + " <bad options>";
    if (const std::string shown = describe_options(options); !shown.empty()) {
        text += " <" + shown + '>';
    }
    return text;
}

}  // namespace synfin::wire
