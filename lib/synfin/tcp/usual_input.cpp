// input: the fast path of usual_input.hpp, or the general one.
#include <synfin/tcp/usual_input.hpp>

namespace synfin::tcp {

// One result on all ways, so that it is written where it is wanted: a copy would have to wait for
// each of the small fields that have just been set.
InputResult input(Connection& c, const Segment& s, Environment& env, const Moment& now) {
    InputResult result;
    if (!take_usual_segment(c, s, env, now, result)) take_other_segment(c, s, env, now, result);
    return result;
}

void take_other_segment(Connection& c, const Segment& s, Environment& env, const Moment& now,
                        InputResult& result) {
    if (!usual::acknowledges_text(c, s)) return input_in_general(c, s, env, now, result);
    process_ack(c, s, env, now, result.events);
    update_ts_recent(c, s, paws_tick(now));
}

}  // namespace synfin::tcp
