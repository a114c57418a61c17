#include "knobs.hpp"

#include <charconv>
#include <optional>

namespace synfin::packetdrill {

namespace {

std::optional<int64_t> number_in(std::string_view text, int64_t most) {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || number < 0 || number > most) {
        return std::nullopt;
    }
    return number;
}

/// A key whose value is a number, its largest value, and what it sets.
struct NumericKnob {
    std::string_view key;
    int64_t most;
    void (*set)(Knobs& knobs, int64_t number);
};

constexpr int64_t most_seconds = 1'000'000;
constexpr int64_t most_milliseconds = 1'000'000'000;
constexpr int64_t most_bytes = 1 << 30;

void set_syn_cookies(Knobs& knobs, int64_t number) {
    constexpr stack::SynCookies by_number[] = {
        stack::SynCookies::never, stack::SynCookies::automatic, stack::SynCookies::always};
    knobs.syn_cookies = by_number[number];
}

void set_ecn(Knobs& knobs, int64_t number) {
    constexpr tcp::EcnUse by_number[] = {tcp::EcnUse::off, tcp::EcnUse::ask, tcp::EcnUse::accept};
    knobs.profile.ecn = by_number[number];
}

constexpr NumericKnob numeric_knobs[] = {
    {"mtu", 65535, [](Knobs& k, int64_t n) { k.mtu = static_cast<uint32_t>(n); }},
    {"rcvbuf", most_bytes,
     [](Knobs& k, int64_t n) { k.profile.receive_buffer_bytes = static_cast<uint32_t>(n); }},
    {"sndbuf", most_bytes,
     [](Knobs& k, int64_t n) {
         k.profile.send_buffer_bytes = static_cast<uint32_t>(n);
         k.profile.send_buffer_most_bytes = 0;
     }},
    {"timestamps", 2, [](Knobs& k, int64_t n) { k.profile.timestamps = n != 0; }},
    {"sack", 1, [](Knobs& k, int64_t n) { k.profile.sack = n != 0; }},
    {"window_scaling", 1, [](Knobs& k, int64_t n) { k.profile.window_scaling = n != 0; }},
    {"nagle", 1, [](Knobs& k, int64_t n) { k.profile.nagle = n != 0; }},
    {"syncookies", 2, set_syn_cookies},
    {"ecn", 2, set_ecn},
    {"mss", 65495, [](Knobs& k, int64_t n) { k.profile.mss_clamp = static_cast<uint16_t>(n); }},
    {"initial_window", 255,
     [](Knobs& k, int64_t n) { k.profile.initial_window_segments = static_cast<uint8_t>(n); }},
    {"ttl", 255, [](Knobs& k, int64_t n) { k.profile.time_to_live = static_cast<uint8_t>(n); }},
    {"keepalive_time", most_seconds,
     [](Knobs& k, int64_t n) { k.profile.keep_alive_idle = Duration::seconds(n); }},
    {"keepalive_intvl", most_seconds,
     [](Knobs& k, int64_t n) { k.profile.keep_alive_interval = Duration::seconds(n); }},
    {"keepalive_probes", 127,
     [](Knobs& k, int64_t n) { k.profile.keep_alive_probes = static_cast<uint8_t>(n); }},
    {"fin_timeout", most_seconds,
     [](Knobs& k, int64_t n) { k.profile.fin_wait_2_timeout = Duration::seconds(n); }},
    {"time_wait", most_seconds, [](Knobs& k, int64_t n) { k.time_wait = Duration::seconds(n); }},
    {"syn_retries", 127,
     [](Knobs& k, int64_t n) { k.profile.syn_retries = static_cast<uint8_t>(n); }},
    {"synack_retries", 127,
     [](Knobs& k, int64_t n) { k.profile.syn_received_retries = static_cast<uint8_t>(n); }},
    {"rto_initial_ms", most_milliseconds,
     [](Knobs& k, int64_t n) { k.profile.rto_initial = Duration::milliseconds(n); }},
    {"rto_min_ms", most_milliseconds,
     [](Knobs& k, int64_t n) { k.profile.rto_min = Duration::milliseconds(n); }},
    {"rto_margin_ms", most_milliseconds,
     [](Knobs& k, int64_t n) { k.profile.rto_margin_min = Duration::milliseconds(n); }},
    {"rto_max_ms", most_milliseconds,
     [](Knobs& k, int64_t n) { k.profile.rto_max = Duration::milliseconds(n); }},
    {"delayed_ack_ms", 500,
     [](Knobs& k, int64_t n) { k.profile.delayed_ack = Duration::milliseconds(n); }},
    {"prompt_ack_ms", 500,
     [](Knobs& k, int64_t n) { k.profile.prompt_ack = Duration::milliseconds(n); }},
};

void complain(Knobs& knobs, std::string_view key, std::string_view value, std::string_view right) {
    knobs.complaints.push_back("so_flags: '" + std::string{key} + "=" + std::string{value} +
                               "' has no effect: " + std::string{right});
}

// A sysctl may be written as Linux writes it, or as we do.
std::string_view without_prefix(std::string_view key) {
    for (const std::string_view prefix : {"net.ipv4.", "tcp_"}) {
        if (key.starts_with(prefix)) key.remove_prefix(prefix.size());
    }
    return key;
}

void apply(Knobs& knobs, std::string_view key, std::string_view value) {
    key = without_prefix(key);
    if (key == "state_file") {
        knobs.state_file = value;
        return;
    }
    if (key == "congestion" || key == "congestion_control") {
        const auto algorithm = tcp::congestion_algorithm_named(value);
        if (!algorithm) return complain(knobs, key, value, "there is no such algorithm");
        knobs.profile.congestion = *algorithm;
        return;
    }
    if (key == "local") {
        const auto address = wire::parse_ip_address(value);
        if (!address) return complain(knobs, key, value, "the value must be an address");
        (address->is_v4() ? knobs.local_v4 : knobs.local_v6) = *address;
        return;
    }
    for (const NumericKnob& knob : numeric_knobs) {
        if (knob.key != key) continue;
        const auto number = number_in(value, knob.most);
        if (!number) {
            return complain(knobs, key, value,
                            "the value must be a number up to " + std::to_string(knob.most));
        }
        knob.set(knobs, *number);
        return;
    }
    complain(knobs, key, value, "there is no such key");
}

}  // namespace

Knobs parse_knobs(std::string_view flags) {
    Knobs knobs;
    // Scripts for Linux expect the first ACKs at once. What a script injects in one moment is yet
    // acknowledged together, as where ACKs are delayed.
    knobs.profile.prompt_ack = Duration::milliseconds(1);
    while (!flags.empty()) {
        const size_t end = std::min(flags.find(','), flags.size());
        const std::string_view item = flags.substr(0, end);
        flags.remove_prefix(std::min(end + 1, flags.size()));
        if (item.empty()) continue;
        const size_t equals = std::min(item.find('='), item.size());
        apply(knobs, item.substr(0, equals), item.substr(std::min(equals + 1, item.size())));
    }
    return knobs;
}

}  // namespace synfin::packetdrill
