// next_segment: the fast path of usual_output.hpp, or the general one.
#include <synfin/tcp/usual_output.hpp>

namespace synfin::tcp {

namespace {

void take_over(const wire::usual::NoOptions&, wire::TcpOptions&) {}

void take_over(const wire::usual::Timestamps& timestamps, wire::TcpOptions& options) {
    options.has_timestamps = true;
    options.ts_value = timestamps.value;
    options.ts_echo = timestamps.echo;
}

void take_over(const wire::usual::OptionsOfSyn& of_syn, wire::TcpOptions& options) {
    take_over(of_syn.timestamps, options);
    options.kinds() = wire::TcpOptionKinds::usual_syn();
    options.mss = of_syn.mss;
    options.window_scale = of_syn.window_scale;
}

}  // namespace

bool next_segment(Connection& c, OutSegment& out, Environment& env, const Moment& now) {
    const auto write = [&out](const wire::TcpFields& fields, const auto& options,
                              const wire::SummedBytes& payload) __attribute__((always_inline)) {
        out.seq = Seq{fields.seq};
        out.ack = Seq{fields.ack};
        out.window = fields.window;
        out.urgent = fields.urgent;
        out.flags = fields.flags;
        out.ecn = wire::Ecn::not_capable;
        out.options.clear();
        take_over(options, out.options);
        out.pieces[0] = payload.bytes;
        out.piece_count = payload.bytes.empty() ? 0 : 1;
        out.payload_length = static_cast<uint32_t>(payload.bytes.size());
    };
    const bool usual = c.state != State::closed &&
                       next_usual_segment(c, env.terms_of(c), env, now, write) != Usual::none;
    if (!usual) return next_segment_in_general(c, out, env, now);
    ++env.counters.out_segs;
    return true;
}

}  // namespace synfin::tcp
