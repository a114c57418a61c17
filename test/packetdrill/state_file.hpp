// The states of all sockets and connections as lines like those of `ss -tan`, for suites that look
// at them from outside.
#pragma once

#include <string>

#include <synfin/socket/sockets.hpp>
#include <synfin/stack/worker.hpp>

namespace synfin::packetdrill {

/// One line each: state, bytes unread, bytes unacknowledged, local and remote address.
std::string describe_states(const stack::Worker& worker, const socket::Sockets& sockets,
                            Instant now);

/// Puts `text` in the place of the file in one step: who reads sees the old or the new.
void replace_file(const std::string& path, const std::string& text);

}  // namespace synfin::packetdrill
