// The user timeout option (RFC 5482): each end advises the other how long it will keep trying.
//
// It stands on our SYN or SYN,ACK and on the segment after it, because SYN cookies forget it and a
// segment may be lost; and again when what is advised changes. What the peer advises is heard from
// all but a SYN at a listener, which comes before there is anything that could keep it.
#pragma once

#include <cstdint>

#include <synfin/base/instant.hpp>
#include <synfin/tcp/profile.hpp>

namespace synfin::tcp {

/// The value of the option (section 3): 15 bits of seconds, or of minutes where they do not do.
uint16_t encode_user_timeout(Duration timeout);
/// Zero means nothing (section 3.3).
Duration decode_user_timeout(uint16_t option);

/// USER_TIMEOUT of section 3.1, after the peer's advice.
Duration adopted_user_timeout(const Profile& profile, Duration advised);

}  // namespace synfin::tcp
