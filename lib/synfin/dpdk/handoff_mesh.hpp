// Workers that hand packets to each other: for devices that put a packet into a queue which is not
// its owner's, and for the neighbor protocols, which no device spreads sensibly.
//
// One single-producer single-consumer queue per ordered pair of workers carries whole frames. The
// owner of a TCP packet follows from its ports (handoff_owner), so that a worker that opens a
// connection can choose a local port of its own and a listener's connections are spread. The parts
// of a divided datagram, of which only the first bears ports, all go to one worker, which puts them
// together and hands what they make to its owner; where nobody knows the owner, those of TCP are
// copied to all, and whoever has the connection takes what they make. Answers of the neighbor
// protocols (ARP) are of use to all workers, because each has its own cache: they are copied to the
// others. Everything else stays where it arrived.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <boost/lockfree/spsc_queue.hpp>

#include <synfin/base/assert.hpp>
#include <synfin/base/relaxed.hpp>
#include <synfin/dpdk/queue_device.hpp>
#include <synfin/dpdk/steering.hpp>
#include <synfin/stack/colleagues.hpp>
#include <synfin/stack/frame.hpp>

namespace synfin::dpdk {

/// Whose a connection is.
enum class HandoffOwners : uint8_t {
    by_ports,  ///< handoff_owner says it: TCP packets change hands, not only neighbor protocols'
    known,     ///< the device puts its packets into the right queue, and a Steering can tell which
    unknown,   ///< the device puts its packets into the right queue
};

/// Where a received frame belongs.
struct HandoffDestination {
    enum class Kind : uint8_t { here, worker, all } kind = Kind::here;
    unsigned worker = 0;
};

/// Reads just enough of the headers; a malformed frame stays here, where its drop is counted.
inline HandoffDestination handoff_destination(const uint8_t* bytes, uint32_t length,
                                              unsigned workers, HandoffOwners owners) {
    using Kind = HandoffDestination::Kind;
    const bool connections = owners == HandoffOwners::by_ports;
    const auto read16 = [bytes](uint32_t at) {
        return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
    };
    uint32_t network = 14;
    if (length < 34) return {};
    if (read16(12) == 0x8100) network = 18;
    const uint16_t type = read16(network - 2);
    if (type == 0x0806) return {Kind::all, 0};
    constexpr uint8_t icmp = 1;
    constexpr uint8_t tcp = 6;
    constexpr uint8_t icmp6 = 58;
    constexpr uint8_t fragment_header = 44;
    const auto read32 = [&read16](uint32_t at) {
        return uint32_t{read16(at)} << 16 | read16(at + 2);
    };
    // Which worker puts the parts together: by their source, destination and identification.
    const auto assembler = [&](uint8_t divided, uint32_t addresses_at, uint32_t words,
                               uint32_t identification) {
        if (divided == tcp && owners == HandoffOwners::unknown) {
            return HandoffDestination{Kind::all, 0};
        }
        uint32_t mixed = identification;
        for (uint32_t i = 0; i < words; ++i) {
            mixed = (std::rotl(mixed, 13) ^ read32(addresses_at + 4 * i)) * 0x9e3779b1u;
            mixed ^= mixed >> 15;
        }
        mixed *= 0x9e3779b1u;
        return HandoffDestination{Kind::worker,
                                  static_cast<unsigned>((uint64_t{mixed} * workers) >> 32)};
    };
    // The place of the ports in an IP packet at `at`; none if it is not the first piece of TCP.
    const auto ports_of = [&](uint32_t at) -> std::optional<uint32_t> {
        if (length < at + 24) return std::nullopt;
        const unsigned version = bytes[at] >> 4;
        if (version == 4 && bytes[at + 9] == tcp && (read16(at + 6) & 0x1fff) == 0) {
            const uint32_t place = at + (bytes[at] & 0x0fu) * 4u;
            if (length >= place + 4) return place;
        }
        if (version == 6 && bytes[at + 6] == tcp && length >= at + 44) return at + 40;
        return std::nullopt;
    };
    if (type != 0x0800 && type != 0x86dd) return {};
    const bool v4 = type == 0x0800;
    if (length < network + (v4 ? 20u : 40u)) return {};
    const uint8_t protocol = bytes[network + (v4 ? 9 : 6)];
    if (v4 && (read16(network + 6) & 0x3fff) != 0) {
        return assembler(protocol, network + 12, 2, read16(network + 4));
    }
    if (!v4 && protocol == fragment_header) {
        if (length < network + 48) return {};
        return assembler(bytes[network + 40], network + 8, 8, read32(network + 44));
    }
    if (protocol == tcp) {
        if (!connections) return {};
        const auto ports = ports_of(network);
        if (!ports) return {};
        return {Kind::worker, handoff_owner(read16(*ports + 2), read16(*ports), workers)};
    }
    if (v4 ? protocol == icmp : protocol == icmp6) {
        const uint32_t message = network + (v4 ? (bytes[network] & 0x0fu) * 4u : 40u);
        if (length < message + 8) return {};
        const uint8_t kind = bytes[message];
        // Neighbor discovery is to ICMPv6 what ARP is to IPv4.
        if (!v4 && (kind == 135 || kind == 136)) return {Kind::all, 0};
        const bool is_error = v4 ? (kind == 3 || kind == 11 || kind == 12) : kind < 128;
        if (!is_error) return {};
        // An error quotes a packet that we sent: source and destination are ours and the peer's.
        const auto ports = ports_of(message + 8);
        if (!ports) return {};
        if (!connections) return {Kind::all, 0};
        return {Kind::worker, handoff_owner(read16(*ports), read16(*ports + 2), workers)};
    }
    return {};
}

/// The queues between all workers of a process.
class HandoffMesh {
  public:
    static constexpr unsigned capacity = 1024;
    using Queue = boost::lockfree::spsc_queue<stack::Frame, boost::lockfree::capacity<capacity>>;

    HandoffMesh(unsigned workers, HandoffOwners owners)
        : workers_{workers}, owners_{owners}, queues_(size_t{workers} * workers) {
        for (auto& queue : queues_) queue = std::make_unique<Queue>();
    }
    ~HandoffMesh() { drain(); }
    HandoffMesh(const HandoffMesh&) = delete;
    HandoffMesh& operator=(const HandoffMesh&) = delete;

    unsigned workers() const { return workers_; }
    HandoffOwners owners() const { return owners_; }
    /// Frees what is still underway. Call when no worker uses the mesh any more.
    void drain() {
        stack::Frame frame;
        for (auto& queue : queues_) {
            while (queue->pop(frame)) rte_pktmbuf_free(static_cast<rte_mbuf*>(frame.owner));
        }
    }
    Queue& queue(unsigned from, unsigned to) { return *queues_[size_t{from} * workers_ + to]; }

  private:
    unsigned workers_;
    HandoffOwners owners_;
    std::vector<std::unique_ptr<Queue>> queues_;
};

/// A worker's device in a mesh: what QueueDevice is, with the frames of others handed on and those
/// that others hand over received.
class HandoffDevice {
  public:
    HandoffDevice(QueueDevice& inner, HandoffMesh& mesh, unsigned self)
        : inner_{inner}, mesh_{mesh}, self_{self} {}

    unsigned receive(stack::Frame* frames, unsigned max) {
        // Half of the room for the others' queues, so that neither source starves the other.
        unsigned count = 0;
        for (unsigned from = 0; from < mesh_.workers(); ++from) {
            if (from == self_) continue;
            count += static_cast<unsigned>(
                mesh_.queue(from, self_).pop(frames + count, (max - count) / 2));
        }
        const unsigned arrived = inner_.receive(frames + count, max - count);
        unsigned end = count;
        for (unsigned i = count; i < count + arrived; ++i) {
            const HandoffDestination to = handoff_destination(frames[i].data, frames[i].length,
                                                              mesh_.workers(), mesh_.owners());
            if (to.kind == HandoffDestination::Kind::all) copy_to_others(frames[i]);
            if (to.kind == HandoffDestination::Kind::worker && to.worker != self_) {
                hand_over(frames[i], to.worker);
            } else {
                frames[end++] = frames[i];
            }
        }
        return end;
    }

    void recycle(const stack::Frame* frames, unsigned count) { inner_.recycle(frames, count); }
    unsigned prepare(stack::TransmitBatch& batch, unsigned wanted) {
        return inner_.prepare(batch, wanted);
    }
    void transmit(stack::TransmitBatch& batch) { inner_.transmit(batch); }
    bool congested() const { return inner_.congested(); }

    /// Hands another worker a packet that stands in no frame, and of which nothing but the IP
    /// header is known to be right.
    void hand_over_copy(unsigned worker, std::span<const uint8_t> link_header,
                        std::span<const uint8_t> packet) {
        rte_mbuf* const copy = rte_pktmbuf_alloc(inner_.pool());
        const size_t length = link_header.size() + packet.size();
        if (copy == nullptr || length > rte_pktmbuf_tailroom(copy)) {
            rte_pktmbuf_free(copy);
            ++dropped_;
            return;
        }
        stack::Frame frame;
        frame.data = rte_pktmbuf_mtod(copy, uint8_t*);
        frame.length = static_cast<uint32_t>(length);
        frame.verified.ip = true;
        frame.owner = copy;
        std::copy(packet.begin(), packet.end(),
                  std::copy(link_header.begin(), link_header.end(), frame.data));
        hand_over(frame, worker);
    }

    uint64_t handed_over() const { return handed_over_; }
    /// The other worker's queue was full: like a full receive queue.
    uint64_t dropped() const { return dropped_; }

  private:
    void hand_over(const stack::Frame& frame, unsigned worker) {
        if (mesh_.queue(self_, worker).push(frame)) {
            ++handed_over_;
        } else {
            ++dropped_;
            inner_.recycle(&frame, 1);
        }
    }

    [[gnu::noinline]] void copy_to_others(const stack::Frame& frame) {
        for (unsigned worker = 0; worker < mesh_.workers(); ++worker) {
            if (worker == self_) continue;
            rte_mbuf* const copy = rte_pktmbuf_alloc(inner_.pool());
            if (copy == nullptr) {
                ++dropped_;
                continue;
            }
            stack::Frame copied = frame;
            copied.data = rte_pktmbuf_mtod(copy, uint8_t*);
            copied.owner = copy;
            std::memcpy(copied.data, frame.data, frame.length);
            hand_over(copied, worker);
        }
    }

    QueueDevice& inner_;
    HandoffMesh& mesh_;
    unsigned self_;
    Relaxed<uint64_t> handed_over_;
    Relaxed<uint64_t> dropped_;
};

/// What a worker's segments that came in parts are to the others: a device for each of its ports.
class HandoffColleagues final : public stack::Colleagues {
  public:
    /// `steering` says who gets a connection's segments. All that is lent must outlive this.
    HandoffColleagues(const Steering& steering, std::vector<HandoffDevice*> devices, unsigned self)
        : steering_{steering}, devices_{std::move(devices)}, self_{self} {}

    bool take(uint8_t port, const wire::SocketAddress& local, const wire::SocketAddress& remote,
              std::span<const uint8_t> link_header, std::span<const uint8_t> datagram) override {
        const auto owner = steering_.owner(local, remote);
        if (!owner || *owner == self_) return false;
        devices_[port]->hand_over_copy(*owner, link_header, datagram);
        return true;
    }

  private:
    const Steering& steering_;
    std::vector<HandoffDevice*> devices_;
    unsigned self_;
};

/// The same where the owner is unknown: every worker has put the parts together, so who has no
/// connection for the segment leaves it alone. If nobody has, it is not answered, and a SYN in
/// parts opens nothing: what follows it whole would go to another worker.
class HandoffWitnesses final : public stack::Colleagues {
  public:
    bool take(uint8_t, const wire::SocketAddress&, const wire::SocketAddress&,
              std::span<const uint8_t>, std::span<const uint8_t>) override {
        return true;
    }
};

}  // namespace synfin::dpdk
