// Replies that belong to no connection: what to say and to whom, not yet how it looks. They are
// decided while a burst is read and written when there are frames to write into. The family of the
// addresses decides between ICMP and ICMPv6, IPv4 and IPv6.
//
// All of them go to the Ethernet address that the question came from, so none waits for a neighbor.
// The queue is bounded: what does not fit is lost, as it may be on any link, and counted.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include <synfin/base/assert.hpp>
#include <synfin/base/region.hpp>
#include <synfin/tcp/seq.hpp>
#include <synfin/wire/address.hpp>
#include <synfin/wire/arp.hpp>
#include <synfin/wire/fragment.hpp>
#include <synfin/wire/multicast_listener.hpp>
#include <synfin/wire/tcp_fields.hpp>

namespace synfin::stack {

/// ARP, request or reply.
struct ArpReply {
    wire::MacAddress destination;  ///< of the frame
    wire::Arp arp;
};

/// A neighbor solicitation or advertisement (RFC 4861).
struct NeighborMessage {
    wire::MacAddress destination;  ///< of the frame
    wire::IpAddress local;
    wire::IpAddress remote;
    wire::IpAddress target;
    bool is_solicitation = false;
    bool solicited = false;  ///< an advertisement that answers somebody with an address
};

/// That we listen to groups (RFC 3810, RFC 2710).
struct ListenerReport {
    uint8_t version = 2;
    wire::ListenerRecord record = {};  ///< of version 2
    wire::GroupRange groups;           ///< in version 1 a single one
    wire::IpAddress local;             ///< link-local, or unspecified
};

/// A RST, an ACK from TIME_WAIT, or the SYN,ACK of a cookie.
struct SegmentReply {
    wire::MacAddress destination;
    wire::SocketAddress local;
    wire::SocketAddress remote;
    tcp::Seq seq = {};
    tcp::Seq ack = {};
    wire::TcpFlags flags = {};
    uint16_t window = 0;
    uint8_t hop_limit = 0;
    uint8_t traffic_class = 0;
    wire::TcpOptions options = {};
};

/// An ICMP echo reply; its data lies in the queue.
struct EchoReply {
    wire::MacAddress destination;
    wire::IpAddress local;
    wire::IpAddress remote;
    uint16_t identifier = 0;
    uint16_t sequence = 0;
    std::span<const uint8_t> data;
};

/// A fragment of a reply; its data lies in the queue.
struct DatagramPart {
    wire::MacAddress destination;
    wire::IpAddress local;
    wire::IpAddress remote;
    uint8_t protocol = 0;
    wire::FragmentPlace place;
    std::span<const uint8_t> data;
};

/// An ICMP or ICMPv6 error about a packet, the beginning of which lies in the queue: "destination
/// unreachable", or a parameter problem.
struct IcmpError {
    wire::MacAddress destination;
    wire::IpAddress local;
    wire::IpAddress remote;
    bool is_parameter_problem = false;
    uint8_t code = 0;
    uint32_t pointer = 0;  ///< of a parameter problem: the octet that is not understood
    std::span<const uint8_t> data;
};

using Reply = std::variant<ArpReply, NeighborMessage, ListenerReport, SegmentReply, EchoReply,
                           DatagramPart, IcmpError>;

class ReplyQueue {
  public:
    static constexpr uint32_t capacity = 1024;
    static constexpr uint32_t data_capacity = 64;  ///< of them, with data

    explicit ReplyQueue(uint32_t mtu)
        : data_{size_t{data_capacity} * mtu}, mtu_{mtu}, replies_(capacity) {}

    bool empty() const { return count_ == 0; }
    uint32_t size() const { return count_; }
    const Reply& front() const { return replies_[head_]; }
    /// Whether so many replies with data fit.
    bool has_room_for_data(size_t count) const {
        return count <= capacity - count_ && count <= data_capacity - data_count_;
    }

    /// False: no room, and the reply is lost.
    bool push(const Reply& reply) {
        if (count_ == capacity) return false;
        replies_[(head_ + count_++) % capacity] = reply;
        return true;
    }

    /// The same, with a copy of `reply.data`.
    template <typename ReplyWithData>
    bool push_with_data(ReplyWithData reply) {
        if (!has_room_for_data(1) || reply.data.size() > mtu_) return false;
        uint8_t* const kept = static_cast<uint8_t*>(data_.data()) + size_t{data_next_} * mtu_;
        std::copy(reply.data.begin(), reply.data.end(), kept);
        reply.data = {kept, reply.data.size()};
        data_next_ = (data_next_ + 1) % data_capacity;
        ++data_count_;
        return push(reply);
    }

    void pop() {
        SYNFIN_ASSERT(count_ > 0);
        if (std::holds_alternative<EchoReply>(front()) ||
            std::holds_alternative<DatagramPart>(front()) ||
            std::holds_alternative<IcmpError>(front())) {
            --data_count_;
        }
        head_ = (head_ + 1) % capacity;
        --count_;
    }

  private:
    Region data_;
    uint32_t mtu_;
    std::vector<Reply> replies_;
    uint32_t head_ = 0;
    uint32_t count_ = 0;
    uint32_t data_next_ =
        0;  ///< replies leave in the order in which they came, so the places do, too
    uint32_t data_count_ = 0;
};

}  // namespace synfin::stack
