#include <new>
#include <utility>

#include <sys/mman.h>

#include <synfin/base/region.hpp>

namespace synfin {

namespace {
// Regions of this size and above are worth aligning and advising; below it, huge pages only waste.
constexpr size_t huge_page = size_t{2} << 20;
}  // namespace

Region::Region(size_t bytes) {
    if (bytes == 0) return;
    // Whole huge pages: the kernel aligns a mapping of that size when it can.
    size_ = bytes >= huge_page ? (bytes + huge_page - 1) / huge_page * huge_page : bytes;
    data_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data_ == MAP_FAILED) {
        data_ = nullptr;
        throw std::bad_alloc{};
    }
    if (bytes >= huge_page) ::madvise(data_, size_, MADV_HUGEPAGE);
}

Region::Region(Region&& other) noexcept
    : data_{std::exchange(other.data_, nullptr)}, size_{std::exchange(other.size_, 0)} {}

Region& Region::operator=(Region&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

void Region::touch() const {
    if (size_ == 0) return;
#ifdef MADV_POPULATE_WRITE
    if (::madvise(data_, size_, MADV_POPULATE_WRITE) == 0) return;
#endif
    // An older kernel: each page is written to with what stands there.
    constexpr size_t page = 4096;
    auto* const bytes = static_cast<volatile unsigned char*>(data_);
    for (size_t at = 0; at < size_; at += page) bytes[at] = bytes[at];
}

Region::~Region() {
    if (data_ != nullptr) ::munmap(data_, size_);
}

}  // namespace synfin
