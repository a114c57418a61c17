// What the peer's SACK blocks say (RFC 2018, RFC 2883), and which of them say nothing: a block has
// to lie within what is in flight, or to report a duplicate. Whatever else stands there is ignored
// and counted; no block can make us forget a byte, since only the cumulative ACK frees memory.
#include <algorithm>
#include <array>

#include <synfin/tcp/internal.hpp>

namespace synfin::tcp {

namespace {

struct Block {
    Seq left;
    Seq right;
};

Block block_of(const wire::SackBlock& b) { return {Seq{b.left}, Seq{b.right}}; }

bool is_in_flight(const Connection& c, Block b) {
    return b.left.before(b.right) && b.left.at_or_after(c.snd_una) &&
           b.right.at_or_before(c.snd_nxt);
}

// In the order of the stream: the peer names first what came last, and one ACK that makes up for
// others that were lost must not look like reordering.
void take_blocks(const Connection& c, Transfer& t, std::span<const wire::SackBlock> reported,
                 AckReport& report, Environment& env) {
    std::array<Block, wire::TcpOptions::max_sack_blocks> blocks;
    unsigned count = 0;
    for (const wire::SackBlock& block : reported) {
        const Block b = block_of(block);
        if (!is_in_flight(c, b)) {
            ++env.counters.sack_blocks_ignored;
            continue;
        }
        unsigned place = count++;
        for (; place > 0 && b.left.before(blocks[place - 1].left); --place) {
            blocks[place] = blocks[place - 1];
        }
        blocks[place] = b;
    }
    for (const Block& b : std::span{blocks}.first(count)) {
        if (!t.flight.sack(b.left, b.right, report.delivery, env.transfers.flights)) {
            ++env.counters.flight_coarse;
        }
    }
}

}  // namespace

bool is_duplicate_report(const Segment& s) {
    if (s.options.sack_count == 0) return false;
    const Block first = block_of(s.options.sack[0]);
    if (!first.left.before(first.right)) return false;
    constexpr uint32_t largest_window = uint32_t{1} << 30;
    if (first.left.before(s.ack)) {
        return first.right.at_or_before(s.ack) && s.ack.distance_from(first.left) <= largest_window;
    }
    if (s.options.sack_count < 2) return false;
    const Block second = block_of(s.options.sack[1]);
    return first.left.at_or_after(second.left) && first.right.at_or_before(second.right);
}

void take_sack_blocks(const Connection& c, Transfer& t, const Segment& s, AckReport& report,
                      Environment& env) {
    std::span<const wire::SackBlock> reported{s.options.sack, s.options.sack_count};
    if (is_duplicate_report(s)) {
        ++env.counters.dsacks_received;
        report.dsack = true;
        report.dsack_left = block_of(reported[0]).left;
        report.dsack_right = block_of(reported[0]).right;
        rack_take_dsack(c, t.rack);
        reported = reported.subspan(1);
    }
    take_blocks(c, t, reported, report, env);
}

}  // namespace synfin::tcp
