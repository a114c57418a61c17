// Multicast listener discovery: what switches and routers that watch multicast ask, and what a
// listener answers. Version 2 (RFC 3810) puts many groups into a message; to a question of version
// 1 (RFC 2710) the answer is one message for each group.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include <synfin/base/instant.hpp>
#include <synfin/wire/icmp6.hpp>

namespace synfin::wire {

/// ff02::16, to which reports of version 2 go.
inline constexpr IpAddress all_listener_routers = IpAddress::v6(0xff02'0000'0000'0000, 0x16);
/// All messages go no further than the link.
inline constexpr uint8_t listener_hop_limit = 1;

struct ListenerQuery {
    uint8_t version = 2;
    Duration answer_within;  ///< the time over which the answers of all hosts are spread
};

/// Nothing if it is none that a neighbor may have sent: RFC 3810 section 6.2 asks for a link-local
/// source and hop limit 1.
std::optional<ListenerQuery> read_listener_query(const Icmp6View& message, const IpAddress& source,
                                                 uint8_t hop_limit);

enum class ListenerRecord : uint8_t {
    is_exclude = 2,         ///< an answer: every source is welcome
    changes_to_exclude = 4  ///< from now on
};

/// Groups whose addresses follow one another.
struct GroupRange {
    IpAddress first;
    uint32_t count = 0;
};

/// The most groups that a message of version 2 names, so that it fits into 1280 bytes.
inline constexpr uint32_t groups_per_report = 32;

/// Writes the hop-by-hop header with the router alert that each of them carries (RFC 2711), which
/// names ICMPv6 as what follows. Returns 8.
size_t write_router_alert(uint8_t* out);

/// Both write at `out`, checksum included, and return the length of the message.
size_t write_listener_report(uint8_t* out, const IpAddress& group, const IpAddress& source);
size_t write_listener_report_v2(uint8_t* out, const GroupRange& groups, ListenerRecord record,
                                const IpAddress& source);

}  // namespace synfin::wire
