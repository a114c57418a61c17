// A queue of bytes as a list of nodes (transfer.hpp). Copied bytes fill up the last chunk before a
// new one is taken, so that a stream of small writes costs no more memory than one large one.
#include <algorithm>
#include <cstring>

#include <synfin/base/assert.hpp>
#include <synfin/tcp/transfer.hpp>

namespace synfin::tcp {

namespace {

void link_at_tail(ByteQueue& queue, uint32_t node, BufferPool& pool) {
    pool.nodes[node].next = no_index;
    if (queue.tail == no_index) {
        queue.head = node;
    } else {
        pool.nodes[queue.tail].next = node;
    }
    queue.tail = node;
}

// What the last node's chunk can still take behind its bytes.
uint32_t room_at_tail(const ByteQueue& queue, const BufferPool& pool) {
    if (queue.tail == no_index) return 0;
    const BufferNode& node = pool.nodes[queue.tail];
    if (node.chunk == no_index || node.ends_record) return 0;
    const uint8_t* end = pool.chunks[node.chunk].bytes + BufferChunk::size;
    return static_cast<uint32_t>(end - (node.data + node.length));
}

// Whether `data` lies right behind the last node's bytes, in the same memory of the application: a
// long answer that is handed over piece by piece.
bool goes_on_at_tail(const ByteQueue& queue, std::span<const uint8_t> data,
                     const BufferPool& pool) {
    if (queue.tail == no_index) return false;
    const BufferNode& node = pool.nodes[queue.tail];
    return node.chunk == no_index && !node.ends_record && node.data + node.length == data.data();
}

}  // namespace

uint32_t ByteQueue::append_copy(std::span<const uint8_t> data, BufferPool& pool) {
    uint32_t taken = 0;
    while (taken < data.size()) {
        uint32_t room = room_at_tail(*this, pool);
        if (room == 0) {
            const uint32_t chunk = pool.chunks.take();
            if (chunk == no_index) break;
            const uint32_t node = pool.nodes.take();
            if (node == no_index) {
                pool.chunks.give_back(chunk);
                break;
            }
            pool.nodes[node] = BufferNode{pool.chunks[chunk].bytes, 0, no_index, chunk};
            link_at_tail(*this, node, pool);
            room = BufferChunk::size;
        }
        const uint32_t count = std::min(room, static_cast<uint32_t>(data.size()) - taken);
        BufferNode& node = pool.nodes[tail];
        std::memcpy(pool.chunks[node.chunk].bytes + BufferChunk::size - room, data.data() + taken,
                    count);
        node.length += count;
        taken += count;
    }
    bytes += taken;
    return taken;
}

uint32_t ByteQueue::append_static(const wire::SummedBytes& data, BufferPool& pool) {
    if (data.bytes.empty()) return 0;
    const auto length = static_cast<uint32_t>(data.bytes.size());
    if (goes_on_at_tail(*this, data.bytes, pool)) {
        pool.nodes[tail].length += length;
        pool.nodes[tail].sum = 0;
        bytes += length;
        return length;
    }
    const uint32_t node = pool.nodes.take();
    if (node == no_index) return 0;
    pool.nodes[node] = BufferNode{.data = data.bytes.data(), .length = length, .sum = data.sum};
    link_at_tail(*this, node, pool);
    bytes += length;
    return length;
}

void ByteQueue::end_record(BufferPool& pool) {
    if (tail != no_index) pool.nodes[tail].ends_record = true;
}

void ByteQueue::append_queue(ByteQueue& other, BufferPool& pool) {
    if (other.head == no_index) return;
    if (tail == no_index) {
        head = other.head;
    } else {
        pool.nodes[tail].next = other.head;
    }
    tail = other.tail;
    bytes += other.bytes;
    other = ByteQueue{};
}

void ByteQueue::remove_front(uint32_t count, BufferPool& pool) {
    SYNFIN_ASSERT(count <= bytes);
    bytes -= count;
    while (count > 0) {
        BufferNode& node = pool.nodes[head];
        if (count < node.length) {
            node.data += count;
            node.length -= count;
            node.sum = 0;
            return;
        }
        count -= node.length;
        const uint32_t gone = head;
        head = node.next;
        pool.give_back(gone);
    }
    if (head == no_index) tail = no_index;
}

std::span<const uint8_t> ByteQueue::front(const BufferPool& pool) const {
    if (head == no_index) return {};
    const BufferNode& node = pool.nodes[head];
    return {node.data, node.length};
}

uint32_t ByteQueue::copy_front(std::span<uint8_t> into, const BufferPool& pool) const {
    size_t copied = 0;
    for (uint32_t at = head; at != no_index && copied < into.size(); at = pool.nodes[at].next) {
        const BufferNode& node = pool.nodes[at];
        const size_t count = std::min<size_t>(node.length, into.size() - copied);
        std::copy_n(node.data, count, into.begin() + static_cast<ptrdiff_t>(copied));
        copied += count;
    }
    return static_cast<uint32_t>(copied);
}

}  // namespace synfin::tcp
