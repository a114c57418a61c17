#include <cerrno>
#include <system_error>

#include <sys/random.h>

#include <synfin/base/system_random.hpp>

namespace synfin {

uint64_t system_random() {
    uint64_t word = 0;
    // Up to 256 bytes are never cut short; a signal can only interrupt the wait for the first seed.
    ssize_t got = 0;
    do got = ::getrandom(&word, sizeof word, 0);
    while (got < 0 && errno == EINTR);
    if (got != static_cast<ssize_t>(sizeof word)) {
        throw std::system_error{errno, std::generic_category(), "getrandom"};
    }
    return word;
}

std::array<uint64_t, 2> system_random_key() { return {system_random(), system_random()}; }

}  // namespace synfin
