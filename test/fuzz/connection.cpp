// Fuzz target: one connection, and a peer that any bytes make up. What the peer says is relative to
// where the connection stands (the next number, the edges of the windows, what is in flight), so
// that a fuzzer reaches every state without guessing 32-bit numbers.
//
// After each event the connection's invariants must hold, every segment that it sends must be one
// that the protocol allows, and at the end it must have given back all that it took.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <synfin/base/assert.hpp>
#include <synfin/tcp/core.hpp>
#include <synfin/wire/tcp_options.hpp>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using namespace synfin;
using namespace synfin::tcp;

namespace flag = wire::flag;

constexpr unsigned most_segments_of_one_event = 5'000;
constexpr size_t segment_bytes_max = 1460;  // behind a header without options
const std::array<uint8_t, 4096> text{};

/// The fuzzer's bytes; zeros when they are used up.
class Bytes {
  public:
    Bytes(const uint8_t* data, size_t size) : rest_{data, size} {}
    bool any() const { return !rest_.empty(); }
    uint8_t byte() {
        if (rest_.empty()) return 0;
        const uint8_t value = rest_.front();
        rest_ = rest_.subspan(1);
        return value;
    }
    uint16_t word() {
        const uint8_t high = byte();
        return static_cast<uint16_t>(high << 8 | byte());
    }
    bool bit() { return (byte() & 1) != 0; }

  private:
    std::span<const uint8_t> rest_;
};

Profile drawn_profile(Bytes& bytes) {
    Profile p;
    const uint8_t switches = bytes.byte();
    p.timestamps = (switches & 1) != 0;
    p.sack = (switches & 2) != 0;
    p.window_scaling = (switches & 4) != 0;
    p.nagle = (switches & 8) == 0;
    p.keep_alive = (switches & 16) != 0;
    p.user_timeout_option = (switches & 32) != 0;
    if ((switches & 64) != 0) p.ecn = EcnUse::ask;
    if ((switches & 128) != 0) p.receive_buffer_bytes = 4096;
    constexpr std::array algorithms{CongestionAlgorithm::cubic, CongestionAlgorithm::new_reno,
                                    CongestionAlgorithm::bbr, CongestionAlgorithm::dctcp};
    p.congestion = algorithms[bytes.byte() % algorithms.size()];
    return p;
}

class Story {
  public:
    explicit Story(Bytes bytes) : bytes_{bytes}, profile_{drawn_profile(bytes_)} {}

    void run() {
        c_.local_address = 0xc6120001;
        c_.remote_address = 0xc6120002;
        c_.local_port = 80;
        c_.remote_port = 4000;
        begin();
        settle();
        while (bytes_.any() && is_alive()) {
            happen();
            settle();
        }
        if (is_alive()) abort(c_, env_, now_);
        release(c_, env_);
        SYNFIN_ASSERT(transfers_.transfers.used() == 0 && transfers_.ranges.used() == 0);
        SYNFIN_ASSERT(transfers_.flights.used() == 0 && transfers_.models.used() == 0);
        SYNFIN_ASSERT(buffers_.nodes.used() == 0 && buffers_.chunks.used() == 0);
    }

  private:
    bool is_alive() const { return c_.state != State::closed && c_.state != State::time_wait; }

    void begin() {
        if (bytes_.bit()) return open_active(c_, std::nullopt, env_, now_);
        Segment syn = drawn_segment();
        syn.flags = flag::syn;
        syn.payload = {};
        open_passive(c_, syn, std::nullopt, env_, now_);
    }

    void happen() {
        switch (bytes_.byte() % 16) {
            case 0: send(c_, a_text(), env_, now_); break;
            case 1: send_static(c_, a_text(), env_, now_); break;
            case 2: send_urgent(c_, a_text(), env_, now_); break;
            case 3: shutdown_send(c_, env_, now_); break;
            case 4: close(c_, env_, now_); break;
            case 5: set_pushing(c_, bytes_.bit() ? Pushing::later : Pushing::now, env_); break;
            case 6: consume_unread(c_, unread_bytes(c_, env_), env_, now_); break;
            case 7: pass_time(); break;
            case 8: {
                const Seq quoted = number_near(c_.snd_una);
                on_icmp_error(c_, quoted, static_cast<Report>(1 + bytes_.byte() % 9), env_, now_);
                break;
            }
            case 9: {
                const Seq quoted = number_near(c_.snd_una);
                on_too_big(c_, quoted, bytes_.word(), bytes_.bit(), env_, now_);
                break;
            }
            default: arrive(); break;
        }
    }

    /// At least one byte.
    std::span<const uint8_t> a_text(size_t most = text.size()) {
        return std::span{text}.first(1 + bytes_.word() % most);
    }

    // Up to the next deadline, or by a moment.
    void pass_time() {
        const std::optional<Instant> deadline = next_deadline(c_, now_);
        const uint8_t how = bytes_.byte();
        if (deadline && (how & 1) != 0) {
            now_ = std::max(now_, *deadline);
        } else {
            now_ = now_ + Duration::microseconds(int64_t{how} * how * how);
        }
        if (deadline && *deadline <= now_) on_timer(c_, env_, now_);
    }

    Seq number_near(Seq from) {
        const uint8_t how = bytes_.byte();
        switch (how % 4) {
            case 0: return from + how / 4u;
            case 1: return from - how / 4u;
            case 2: return from + bytes_.word();
            default: {
                const uint32_t high = bytes_.word();
                return from + (high << 16 | bytes_.word());
            }
        }
    }

    Segment drawn_segment() {
        Segment s;
        const uint8_t how = bytes_.byte();
        s.seq = (how & 1) != 0 ? c_.rcv_nxt.load() : number_near(c_.rcv_nxt);
        s.ack = (how & 2) != 0 ? c_.snd_nxt.load() : number_near(c_.snd_una);
        s.window = (how & 4) != 0 ? uint16_t{0xffff} : bytes_.word();
        s.flags = (how & 8) != 0 ? wire::TcpFlags{flag::ack} : wire::TcpFlags{bytes_.byte()};
        if ((how & 16) != 0) s.payload = a_text(segment_bytes_max);
        if ((how & 32) != 0) add_options(s);
        if ((how & 64) != 0) s.urgent = bytes_.word();
        if ((how & 128) != 0) s.ecn = static_cast<wire::Ecn>(bytes_.byte() % 4);
        if (c_.has(Mark::timestamps) && !s.options.has_timestamps) add_timestamps(s);
        return s;
    }

    void add_timestamps(Segment& s) {
        s.options.has_timestamps = true;
        s.options.ts_value = static_cast<uint32_t>(now_.us() / 1000) + 7;
        s.options.ts_echo = last_stamp_;
    }

    void add_options(Segment& s) {
        const uint8_t which = bytes_.byte();
        if ((which & 1) != 0) {
            s.options.has_mss = true;
            s.options.mss = bytes_.word();
        }
        if ((which & 2) != 0) {
            s.options.has_window_scale = true;
            s.options.window_scale = static_cast<uint8_t>(bytes_.byte() % 15);
        }
        s.options.sack_permitted = (which & 4) != 0;
        if ((which & 8) != 0) {
            add_timestamps(s);
            s.options.ts_value += bytes_.word() - 0x8000u;
            s.options.ts_echo -= bytes_.byte();
        }
        if ((which & 16) != 0) {
            s.options.has_user_timeout = true;
            s.options.user_timeout = bytes_.word();
        }
        for (unsigned n = which >> 6; n > 0; --n) {
            const Seq left = number_near(c_.snd_una);
            s.options.sack[s.options.sack_count++] = {left.value(), number_near(left).value()};
        }
    }

    void arrive() {
        const Segment s = drawn_segment();
        const InputResult result = input(c_, s, env_, now_);
        if (result.data.empty() || !bytes_.bit()) return;
        // The user leaves all of it for later.
        const auto kept = keep_unread(c_, result.data, env_);
        if (kept < result.data.size()) abort(c_, env_, now_);
    }

    void settle() {
        for (unsigned n = 0; c_.state != State::closed; ++n) {
            SYNFIN_ASSERT(n < most_segments_of_one_event);
            check_invariants(c_, env_);
            OutSegment out;
            const bool wanted = wants_output(c_, env_);
            if (!next_segment(c_, out, env_, now_)) break;
            SYNFIN_ASSERT(wanted);
            check(out);
        }
        check_invariants(c_, env_);
    }

    // Section 3.4 and 3.8: what no segment of ours may be, whatever the peer has said.
    void check(const OutSegment& out) {
        if (out.options.has_timestamps) last_stamp_ = out.options.ts_value;
        const uint32_t length =
            out.payload_length + (out.flags.syn() ? 1 : 0) + (out.flags.fin() ? 1 : 0);
        if (out.flags.rst()) {
            SYNFIN_ASSERT(length == 0 && !out.flags.syn() && !out.flags.fin());
            return;
        }
        SYNFIN_ASSERT(!(out.seq + length).after(c_.snd_nxt));
        SYNFIN_ASSERT(!out.seq.before(c_.snd_una.load() - 1));
        SYNFIN_ASSERT(!(out.flags.syn() && out.flags.fin()));
        SYNFIN_ASSERT(out.payload_length + wire::tcp_options_length(out.options) <=
                      segment_bytes_max);
        if (c_.state == State::syn_sent) {
            SYNFIN_ASSERT(out.flags.syn() && !out.flags.ack());
        } else {
            SYNFIN_ASSERT(out.flags.ack() && !out.ack.after(c_.rcv_nxt));
        }
    }

    Bytes bytes_;
    Profile profile_;
    Terms terms_ = terms_of(profile_, 1500);
    TransferPool transfers_{4, 32};
    BufferPool buffers_{64, 64};
    Counters counters_;
    Environment env_{{&profile_, 1}, {&terms_, 1}, transfers_, buffers_, counters_, {1, 2}};
    Connection c_;
    Instant now_ = Instant::from_us(1'000'000);
    uint32_t last_stamp_ = 0;
};

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Story{Bytes{data, size}}.run();
    return 0;
}
