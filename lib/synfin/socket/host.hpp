// What sockets ask of the one who owns the loop: to wait, and to number descriptors.
//
// A blocking call is a loop of "is it so? else wait until something happened". How one waits is the
// owner's affair: a simulation runs its world to the next event, a worker makes passes of its loop,
// a host with threads sleeps on a condition variable. So the same sockets run in all of them.
#pragma once

#include <cerrno>
#include <optional>

#include <synfin/base/instant.hpp>

namespace synfin::socket {

class Host {
  public:
    virtual ~Host() = default;

    /// Returns after something may have happened to a socket: a packet, a timer, a call from
    /// elsewhere; at `deadline` at the latest. False: nothing will ever happen, or the caller is to
    /// give up; its call then fails with EINTR.
    virtual bool wait(std::optional<Instant> deadline) = 0;

    /// A number that no open descriptor has, or -EMFILE.
    virtual int open_descriptor() = 0;
    virtual void close_descriptor(int descriptor) = 0;
};

}  // namespace synfin::socket
