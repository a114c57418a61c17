#include <charconv>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <synfin/dpdk/memif_memory.hpp>

namespace synfin::dpdk {

namespace {

// The driver accepts 2 to 2^14.
constexpr unsigned least_slots_log = 1;
constexpr unsigned most_slots_log = 14;
// Copies are made in whole lines.
constexpr uint32_t line = 64;

/// How the driver names the memory of its rings.
constexpr std::string_view name = "/memfd:memif_region_0 (deleted)";

bool is_laid_out_as(const MemifLayout& layout, std::span<uint8_t> memory) {
    for (unsigned number = 0; number < 2 * layout.queues; ++number) {
        auto* const ring = reinterpret_cast<MemifRing*>(memory.data() + layout.ring_at(number));
        if (ring->cookie != MemifRing::right_cookie) return false;
        for (uint32_t slot = 0; slot < layout.slots; ++slot) {
            const MemifDescriptor& descriptor = ring->descriptors()[slot];
            const size_t right = layout.slots_at(number) + size_t{slot} * layout.slot_bytes;
            if (descriptor.region != 0 || descriptor.offset != right) return false;
        }
    }
    return true;
}

}  // namespace

std::optional<MemifLayout> memif_layout(std::span<uint8_t> memory, unsigned queues) {
    for (unsigned log = least_slots_log; queues > 0 && log <= most_slots_log; ++log) {
        MemifLayout layout{.queues = queues, .slots = 1u << log};
        if (layout.rings_bytes() >= memory.size()) break;
        const size_t left = memory.size() - layout.rings_bytes();
        const size_t slots = size_t{2} * queues * layout.slots;
        layout.slot_bytes = static_cast<uint32_t>(left / slots);
        if (left % slots != 0 || layout.slot_bytes % line != 0) continue;
        if (is_laid_out_as(layout, memory)) return layout;
    }
    return std::nullopt;
}

std::optional<MemifMemory::Identity> MemifMemory::identity_of(int descriptor) {
    struct stat status{};
    if (::fstat(descriptor, &status) != 0) return std::nullopt;
    return Identity{.device = status.st_dev,
                    .inode = status.st_ino,
                    .size = static_cast<uint64_t>(status.st_size)};
}

std::optional<MemifMemory> MemifMemory::find() {
    namespace fs = std::filesystem;
    int found = -1;
    std::error_code error;
    for (fs::directory_iterator entry{"/proc/self/fd", error}, end; !error && entry != end;
         entry.increment(error)) {
        std::error_code unreadable;
        if (fs::read_symlink(entry->path(), unreadable).native() != name) continue;
        if (found != -1) return std::nullopt;
        const std::string number = entry->path().filename();
        std::from_chars(number.data(), number.data() + number.size(), found);
    }
    // A memory that the peer could shrink would end this process when it is touched.
    const int seals = found == -1 ? -1 : ::fcntl(found, F_GET_SEALS);
    if (seals == -1 || (seals & F_SEAL_SHRINK) == 0) return std::nullopt;

    const auto identity = identity_of(found);
    if (!identity) return std::nullopt;
    void* const place = ::mmap(nullptr, identity->size, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_POPULATE, found, 0);
    if (place == MAP_FAILED) return std::nullopt;
    MemifMemory memory;
    memory.bytes_ = {static_cast<uint8_t*>(place), identity->size};
    memory.drivers_descriptor_ = found;
    memory.identity_ = *identity;
    // The link may have gone down, and its descriptor have become another's.
    if (!memory.in_use()) return std::nullopt;
    return memory;
}

MemifMemory::MemifMemory(MemifMemory&& other) noexcept
    : bytes_{std::exchange(other.bytes_, {})},
      drivers_descriptor_{other.drivers_descriptor_},
      identity_{other.identity_} {}

MemifMemory& MemifMemory::operator=(MemifMemory&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(drivers_descriptor_, other.drivers_descriptor_);
    std::swap(identity_, other.identity_);
    return *this;
}

MemifMemory::~MemifMemory() {
    if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

bool MemifMemory::in_use() const { return identity_of(drivers_descriptor_) == identity_; }

}  // namespace synfin::dpdk
